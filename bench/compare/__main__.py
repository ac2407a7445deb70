"""``make compare``: every contender against every attack, as the README's table has it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench.__main__ import machine
from bench.compare import attacks
from bench.compare.contenders import Builtin, Contender, Fail2ban, Sdnblock
from bench.compare.trial import Attack, Outcome, trial
from demo.campaigns import crack, flood
from demo.network import Network

CONTENDERS: Final[Mapping[str, Callable[[Network, Path], Contender]]] = {
    "nothing": Builtin,
    "pike + htable": partial(Builtin, defines=("WITH_ANTIFLOOD",)),
    "pike + htable + names": partial(Builtin, defines=("WITH_ANTIFLOOD", "WITH_SCANNER_NAMES")),
    "fail2ban + nftables": Fail2ban,
    "sdnblock (XDP)": Sdnblock,
}


@dataclass(frozen=True)
class Round:
    """One attack (or none), as every contender meets it."""

    says: str
    attack: Attack | None
    seconds: float
    calls_per_second: float = 1.0
    finds: str = ""
    """What the attacker looks for: ``extensions``, ``passwords`` or nothing."""


ROUNDS: Final = (
    Round("svwar, 400 extensions, 20 exist", attacks.enumeration, 12, finds="extensions"),
    Round("svcrack, 1,000 passwords", crack, 20, finds="passwords"),
    Round(
        "200 extensions as a phone, 6 a second, 5 exist", attacks.quiet_enumeration, 40,
        finds="extensions",
    ),
    Round("30 passwords as a phone, one a second", attacks.quiet_crack, 40, finds="passwords"),
    Round("flood, 1,000 INVITEs a second", flood, 10),
    Round("no attack; an office, 5 calls a second", None, 20, calls_per_second=5),
)  # fmt: skip

_HEAD: Final = (
    "| protection | replies leaked | found | time to block | calls completed, lost "
    "| CPU server + protection |\n| --- | --- | --- | --- | --- | --- |"
)


def row(name: str, play: Round, found: Outcome) -> str:
    """One line of a round's table."""
    if play.attack is None:
        leaked = taken = blocked = "-"
    else:
        leaked = f"{found.heard.received} of {found.heard.sent}"
        taken = "-"
        if play.finds:
            number = found.extensions if play.finds == "extensions" else found.passwords
            taken = f"{number} {play.finds if number != 1 else play.finds[:-1]}"
        after = found.blocked_after
        blocked = "never" if after is None else f"{after:.2f} s"
    calls = f"{found.calls.completed}, {found.calls.failed}"
    cpu = f"{found.cpu_server:.2f} + {found.cpu_protection:.2f} s"
    return f"| {name} | {leaked} | {taken} | {blocked} | {calls} | {cpu} |"


async def main() -> None:
    """Print Markdown, line by line as it is measured."""
    print(machine())
    for play in ROUNDS:
        print(f"\n{play.says}:\n\n{_HEAD}", flush=True)
        for name, make in CONTENDERS.items():
            found = await trial(make, play.attack, play.seconds, play.calls_per_second)
            print(row(name, play, found), flush=True)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root, for network namespaces, nftables and XDP")
    asyncio.run(main())
