"""The table of ``make compare``: medians, and no block that was none."""

from __future__ import annotations

from bench.compare.rounds import Round, row
from bench.compare.trial import Outcome
from demo.attack import Heard
from demo.campaigns import register_enum
from demo.phones import Calls

PLAY = Round("svwar", register_enum, 6, "extensions")


def outcome(received: int, last: float | None, **statuses: int) -> Outcome:
    named = {name.removeprefix("of_"): count for name, count in statuses.items()}
    heard = Heard(400, received, 100.0, 105.0, last, named)
    return Outcome(heard, Calls(9, received // 100), 0.5, 0.25)


def test_a_line_holds_medians() -> None:
    trials = [
        outcome(3, 100.2, of_401=1, of_404=2),
        outcome(5, 100.4, of_401=2, of_404=3),
        outcome(200, 101.0, of_401=9, of_404=191),
    ]
    assert row("x", PLAY, trials) == (
        "| x | 5 of 400 | 2 extensions | 0.400 s | 9, 0 | 0.50 + 0.25 s |"
    )


def test_replies_to_the_end_are_no_block_and_none_at_all_is_one_at_once() -> None:
    never, at_once = outcome(400, 104.9), outcome(0, None)
    assert never.blocked_after is None
    assert at_once.blocked_after == 0.0
    assert "| never |" in row("x", PLAY, [never, never, at_once])
    assert "| 0.000 s |" in row("x", PLAY, [never, at_once, at_once])


def test_what_is_no_attack_leaks_nothing_and_loses_calls() -> None:
    play = Round("power cut", register_enum, 6, honest=True)
    assert row("x", play, [outcome(300, None)]) == "| x | - | - | - | 9, 3 | 0.50 + 0.25 s |"
