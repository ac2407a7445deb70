"""``python -m bench.simulation``: honest people for a hundred thousand source-days.

Through the real engine with the defaults, and switches' evidence beside what HEP would show of
every message. Patient attackers live among them. Exit status 0 if at most one source-day in a
hundred thousand had a false block, and every attacker was cut off in time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from bench.simulation.attackers import Enumerator, Guesser
from bench.simulation.world import Caught, Tally, run

DAYS: Final = 5
_SHARD: Final = 12_500
"""Source-days that live in one engine."""
PROMISE: Final = 1 / 100_000
AT_MOST: Final = {Guesser.kind: 5, Enumerator.kind: 4}
"""Failures that an attacker may have before its packets are dropped, at any pace."""


def simulate(size: int, seed: int, jobs: int) -> Tally:
    """``size`` source-days, about; the same for the same seed, whatever ``jobs`` is."""
    shards = max(1, round(size / _SHARD))
    # Not every address is seen on every day; trunks and monitors are never fewer than one each.
    addresses = -(-size // (shards * DAYS)) + 40
    total = Tally()
    work = [(f"{seed}-{shard}", addresses, DAYS) for shard in range(shards)]
    with ProcessPoolExecutor(jobs) as pool:
        for tally in pool.map(run, *zip(*work, strict=True)):
            total.add(tally)
            # It takes long: whoever watches, or stops it, knows how far it came.
            print(
                f"  {total.source_days:,} source-days, false blocks: {_list(total.false)}",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return total


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulation", description=__doc__)
    parser.add_argument("--size", type=int, default=100_000, help="source-days (100000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    began = time.monotonic()
    tally = simulate(chosen.size, chosen.seed, chosen.jobs)
    took = time.monotonic() - began
    print(
        f"{tally.source_days:,} source-days, {tally.messages:,} messages,"
        f" {took:.0f} s ({tally.messages / took:,.0f} messages/s), seed {chosen.seed}"
    )
    for name, counts in (
        ("only watched", tally.watched),
        ("reports", tally.reports),
        ("blocks of phones with a wrong password, and of nobody else", tally.due),
        ("FALSE BLOCKS", tally.false),
    ):
        print(f"{name}: {_list(counts)}")
    print(f"lifted after credit was earned: {tally.lifts}")
    rate = tally.blocked_days / max(1, tally.source_days)
    print(
        f"source-days with a false block: {tally.blocked_days}"
        f" ({rate * 100_000:.2f} in 100,000; promised: 1)"
    )
    for line in attackers(tally.caught):
        print(line)
    for story in sorted(tally.stories):
        print(f"  {story}")
    return 0 if rate <= PROMISE and all(map(in_time, tally.caught)) else 1


def in_time(attacker: Caught) -> bool:
    """Whether it was cut off with no more failures than promised."""
    return attacker.before_cut is not None and attacker.before_cut <= AT_MOST[attacker.kind]


def attackers(caught: list[Caught]) -> Iterator[str]:
    """A line for each kind and pace, and kind of server."""
    groups: dict[tuple[str, float, bool], list[Caught]] = {}
    for each in caught:
        groups.setdefault((each.kind, each.pace, each.shared_nonces), []).append(each)
    for (kind, pace, shared), them in sorted(groups.items()):
        cut = [each.before_cut for each in them if each.before_cut is not None]
        median = statistics.median(each.failures for each in them)
        yield (
            f"attackers, an attempt in {pace:g} s, nonces {'shared' if shared else 'of their own'}:"
            f" {len(cut)} of {len(them)} cut off, after at most {max(cut, default=0)} {kind}"
            f" (promised: {AT_MOST[kind]}); within {DAYS} days {median:g}"
        )


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


if __name__ == "__main__":
    sys.exit(main())
