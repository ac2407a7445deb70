"""``make compare``: every contender against every attack, as the README's table has it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from bench.__main__ import machine
from bench.compare.contenders import Builtin, Contender, Fail2ban, Sdnblock
from bench.compare.rounds import HEAD, ROUNDS, Round, row
from bench.compare.trial import Outcome, trial
from demo.network import Network

REPEATS: Final = 3
CONTENDERS: Final[Mapping[str, Callable[[Network, Path], Contender]]] = {
    "nothing": Builtin,
    "pike + htable": partial(Builtin, defines=("WITH_ANTIFLOOD",)),
    "pike + htable + names": partial(Builtin, defines=("WITH_ANTIFLOOD", "WITH_SCANNER_NAMES")),
    "fail2ban + nftables": Fail2ban,
    "sdnblock (XDP)": Sdnblock,
}


async def meet(play: Round, repeats: int) -> dict[str, list[Outcome]]:
    """Let every contender meet it some times, turn by turn."""
    found: dict[str, list[Outcome]] = {name: [] for name in CONTENDERS}
    for _ in range(repeats):
        if play.quiet:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    name: group.create_task(trial(make, play.attack, play.seconds, play.afterwards))
                    for name, make in CONTENDERS.items()
                }
            for name, task in tasks.items():
                found[name].append(task.result())
        else:
            for name, make in CONTENDERS.items():
                found[name].append(await trial(make, play.attack, play.seconds, play.afterwards))
    return found


async def main(repeats: int) -> None:
    """Print Markdown, round by round."""
    began = time.monotonic()
    print(f"{machine()}; medians of {repeats}")
    for play in ROUNDS:
        print(f"\n{play.says}:\n\n{HEAD}", flush=True)
        for name, outcomes in (await meet(play, repeats)).items():
            print(row(name, play, outcomes), flush=True)
    print(f"\n{(time.monotonic() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root, for network namespaces, nftables and XDP")
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS))
