"""What every contender meets, and how its outcomes become one line of a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bench.compare import attacks
from bench.compare.trial import Attack, Outcome
from demo.campaigns import crack

HEAD: Final = (
    "| protection | replies leaked | found | time to block | calls completed, lost "
    "| CPU server + protection |\n| --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Round:
    """One attack (or a trouble of honest phones) among honest calls, one a second."""

    says: str
    attack: Attack
    seconds: float
    finds: Literal["extensions", "passwords", ""] = ""
    """What the attacker looks for."""
    quiet: bool = False
    """So few packets that all contenders can meet it at the same time."""
    honest: bool = False
    """It is no attack."""
    afterwards: float = 2.0
    """Seconds for which honest calls go on when it is over."""


ROUNDS: Final = (
    Round("svwar, 400 extensions, 20 exist", attacks.enumeration, 6, "extensions"),
    Round("svcrack, 1,000 passwords for one extension", crack, 6, "passwords"),
    Round("a flood, 1,000 INVITEs a second for 5 s", attacks.short_flood, 8),
    Round(
        "200 extensions under a phone's name, 6 a second, 5 exist",
        attacks.quiet_enumeration, 40, "extensions", quiet=True,
    ),
    Round(
        "30 passwords under a phone's name, one a second",
        attacks.quiet_crack, 40, "passwords", quiet=True,
    ),
    Round(
        "no attack: 20 phones behind one address register at once, after a power cut",
        attacks.power_cut, 10, quiet=True, honest=True, afterwards=15,
    ),
)  # fmt: skip


def row(name: str, play: Round, found: Sequence[Outcome]) -> str:
    """The medians of some trials, as one line of a table."""
    leaked = taken = blocked = "-"
    if not play.honest:
        leaked = f"{_middle([each.heard.received for each in found]):.0f}"
        leaked += f" of {_middle([each.heard.sent for each in found]):.0f}"
        after = [each.blocked_after for each in found]
        times = [each for each in after if each is not None]
        blocked = f"{_middle(times):.3f} s" if len(times) * 2 > len(found) else "never"
    if play.finds:
        taken = f"{_middle([getattr(each, play.finds) for each in found]):.0f} {play.finds}"
        taken = taken.removesuffix("s") if taken.startswith("1 ") else taken
    calls = (
        f"{_middle([each.calls.completed for each in found]):.0f},"
        f" {_middle([each.calls.failed for each in found]):.0f}"
    )
    cpu = (
        f"{_middle([each.cpu_server for each in found]):.2f}"
        f" + {_middle([each.cpu_protection for each in found]):.2f} s"
    )
    return f"| {name} | {leaked} | {taken} | {blocked} | {calls} | {cpu} |"


def _middle(values: Sequence[float]) -> float:
    return statistics.median(values)
