"""``python -m bench.framing``: a million requests forged in the names of registered peers.

A real Kamailio, an XDP switch, the controller with its defaults. Exit status 0 if not one packet
was dropped, no peer was dropped or limited, and every call of theirs was completed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from bench.__main__ import machine
from bench.framing.stage import Callers, Stage, stage

_STARVED = 0.02
"""Of the calls, so many may fail though no packet of theirs was dropped: on a machine whose cores
are taken, sipp repeats a BYE that was answered, and gets a 408 for it."""
_ALONE = 5.0
"""Seconds for which one peer alone is named, and nobody else."""


async def frame(made: Stage, count: int, rate: int, calls: float) -> list[str]:
    """Register, then forge in every order while calls go on; what went wrong, in words."""
    await made.register(50)
    print(f"{len(made.peers)} peers registered; with credit: {await made.credited()}", flush=True)
    alone = round(rate * _ALONE)
    callers = await made.call(calls)
    wrong = await _forge(made, rate, (count - alone) // 2, "spread")
    wrong += await _forge(made, rate, (count - alone) // 2, "one-by-one")
    wrong += await _end(callers, "calls of all peers meanwhile")
    callers = await made.call(2, 1)
    wrong += await _forge(made, rate, alone, "one")
    wrong += await _end(callers, "calls of the one peer meanwhile")
    verdicts = await made.verdicts()
    print("packets by verdict:", ", ".join(f"{n} {c:,}" for n, c in verdicts.items() if c))
    wrong += [f"{count} packets {name}" for name, count in verdicts.items()
              if name.startswith("dropped") and count]  # fmt: skip
    return wrong


async def _forge(made: Stage, rate: int, count: int, order: str) -> list[str]:
    print(await made.forge(rate, count, order), flush=True)
    harmed = await made.harmed()
    print(f"  targets dropped or limited: {len(harmed)}, watched: {await made.watched()}")
    return [f"{row['action']} {row['target']}: {row['reason']}" for row in harmed]


async def _end(callers: Callers, who: str) -> list[str]:
    ended = await callers.finish()
    print(f"{who}: {ended.completed} completed, {ended.failed} failed {ended.why}", flush=True)
    if ended.completed and ended.failed <= ended.completed * _STARVED:
        return []
    return [f"{who}: {ended.failed} failed, {ended.completed} completed: {callers.errors()}"]


async def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.framing", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--peers", type=int, default=1_000)
    parser.add_argument("--rate", type=int, default=3_000, help="requests a second (3000)")
    parser.add_argument("--calls", type=float, default=5.0, help="new calls a second (5)")
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="sdnblock-framing-") as directory:
        async with stage(Path(directory), chosen.peers) as made:
            wrong = await frame(made, chosen.requests, chosen.rate, chosen.calls)
            for line in made.alarms():
                print(f"  {line}")
    for line in wrong[:20]:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root, for network namespaces and XDP")
    sys.exit(asyncio.run(main()))
