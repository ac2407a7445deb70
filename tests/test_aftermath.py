"""What the lab promises of an attack, and how it judges: no promise is kept by accident."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from demo.aftermath import Aftermath, sender, tried
from demo.attack import Heard
from demo.campaigns import ATTACKER, CAMPAIGNS, for_emulator
from demo.phones import Calls

GOOD = Aftermath(
    campaign=CAMPAIGNS["register-enum"],
    heard=Heard(sent=400, received=3, first_sent=100.0, last_sent=103.0, last_received=100.2),
    calls=Calls(20, 0),
    blocks=[
        {
            "target": ATTACKER.address,
            "action": "drop",
            "origin": "scanner",
            "since": 100.15,
            "packets": 397,
            "reason": "a scanner's mark",
        }
    ],
    honest=[],
    elsewhere=(1.0, 0.0),
)


def test_what_held_is_held_and_measured() -> None:
    assert GOOD.broken() == []
    assert GOOD.blocked_after == pytest.approx(0.15)
    assert GOOD.silent_after == pytest.approx(0.2)
    assert GOOD.origins == ["scanner: drop"]
    assert "BROKEN" not in GOOD.report()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"heard": Heard()}, "sent nothing"),
        ({"heard": replace(GOOD.heard, received=11)}, "11 replies leaked, more than 10"),
        ({"blocks": []}, "nothing is blocked"),
        ({"calls": Calls(20, 1)}, "20 completed, 1 lost"),
        ({"calls": Calls(9, 0)}, "9 completed, 0 lost"),
        ({"honest": ["192.0.2.10"]}, "192.0.2.10 is blocked, and it is honest"),
        ({"elsewhere": (0.5, 0.0)}, "only 50% came through before"),
        ({"elsewhere": (1.0, 0.01)}, "1% comes through after"),
        ({"ended": ["controller ended: ..."]}, "controller ended"),
    ],
)
def test_each_promise_can_be_broken(changed: dict[str, Any], says: str) -> None:
    found = replace(GOOD, **changed)
    assert len(found.broken()) == 1
    assert says in found.broken()[0]
    assert says in found.report()


def test_of_a_limited_source_some_packets_still_come_through_elsewhere() -> None:
    limited = replace(GOOD, blocks=[{**GOOD.blocks[0], "action": "limit"}], elsewhere=(1.0, 0.3))
    assert limited.broken() == []
    assert replace(limited, elsewhere=(1.0, 0.9)).broken()


def test_forged_sources_are_not_blocked_but_told_of() -> None:
    forged = replace(GOOD, campaign=CAMPAIGNS["spoofed-flood"], elsewhere=None)
    told = replace(forged, blocks=[], alarms=["flood: spoofed flood: 400 new sources"])
    assert told.broken() == []
    assert told.blocked_after is None
    assert replace(told, alarms=[]).broken() == ["no alarm that says 'spoofed flood'"]
    blocked = replace(told, blocks=[{**GOOD.blocks[0], "target": "11.1.2.3"}])
    assert blocked.broken() == ["11.1.2.3 is blocked, and it is forged"]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (ATTACKER.address, (ATTACKER.address, None)),
        ("203.0.113.0/24", (ATTACKER.address, None)),
        (f"udp:{ATTACKER.address}:5062>198.51.100.10:5060", (ATTACKER.address, 5062)),
        (f"tcp:{ATTACKER.address}:5062>198.51.100.10:5060", None),
        ("udp:192.0.2.10:5062>198.51.100.10:5060", None),
        ("192.0.2.10", None),
        ("2001:db8::/32", None),
    ],
)
def test_which_targets_the_attacker_can_try(
    target: str, found: tuple[str, int | None] | None
) -> None:
    campaign = CAMPAIGNS["flood"]
    assert sender(campaign, target) == found
    row = {"target": target, "action": "limit"}
    assert tried(campaign, [row]) == (row if found else None)


def test_a_drop_is_tried_before_a_limit_and_a_watch_never() -> None:
    rows = [{"target": ATTACKER.address, "action": action} for action in ("watch", "limit", "drop")]
    assert tried(CAMPAIGNS["flood"], rows) == rows[2]
    assert tried(CAMPAIGNS["flood"], rows[:2]) == rows[1]
    assert tried(CAMPAIGNS["flood"], rows[:1]) is None


def test_only_what_is_forged_is_slower_for_an_emulator() -> None:
    slower = {name for name, each in CAMPAIGNS.items() if for_emulator(each) != each}
    assert slower == {"spoofed-flood"}
    forged = for_emulator(CAMPAIGNS["spoofed-flood"])
    assert forged.says.startswith("100 REGISTERs a second")
    assert forged.alarm == CAMPAIGNS["spoofed-flood"].alarm
