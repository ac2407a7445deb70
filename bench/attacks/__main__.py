"""``python -m bench.attacks``: every attack against defaults, with what leaked and how long.

Exit status 0 only if every promise held. ``--slow`` adds those that take minutes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.__main__ import machine
from bench.attacks.attacks import FORGERIES, QUICK, SLOW, Attack
from bench.attacks.reports import HEP, SETTINGS
from bench.attacks.stage import Cut, stage


async def main(slow: bool) -> int:
    """Run them all and print the table."""
    print(machine())
    print("\nas switches see it, with the default configuration")
    results = await play((*QUICK, *(SLOW if slow else ())), "", "")
    print("\nwith the SIP server's own report (HEP), domains and a profile of calls abroad")
    results += await play((*FORGERIES,), SETTINGS, HEP)
    return 0 if all(results) else 1


async def play(attacks: Sequence[Attack], settings: str, modules: str) -> list[bool]:
    """Run attacks on one stage and print a row each; which promises held."""
    results = []
    with tempfile.TemporaryDirectory(prefix="sdnblock-attacks-") as directory:
        async with stage(Path(directory), settings, modules) as made:
            for attack in attacks:
                cut = await attack.run(made, await made.address())
                results.append(attack.held(cut))
                print("\n".join(rows(attack, cut)), flush=True)
            calls = await made.phones.finish()
            print(f"honest calls: {calls.completed} completed, {calls.failed} failed")
            results.append(calls.completed > 0 and not calls.failed)
    return results


def rows(attack: Attack, cut: Cut) -> list[str]:
    """What is printed of an attack."""
    by = ", ".join(f"{claim['origin']} ({claim['action']})" for claim in cut.claims)
    found = [
        f"{attack.name:<48} sent {cut.sent:4}  leaked {cut.leaked:3}"
        f"  last after {cut.seconds * 1000:6.0f} ms"
        f"  {by or ('reported' if attack.report_only else 'NOT CONVICTED')}"
        f"{'' if attack.held(cut) else '  <-- FAILED'}"
    ]
    found += [f"{'':<8}{claim['target']}: {claim['reason']}" for claim in cut.claims]
    if attack.report_only or not cut.claims:
        found += [f"{'':<8}{line}" for line in cut.said]
    return found


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root, for network namespaces and XDP")
    sys.exit(asyncio.run(main("--slow" in sys.argv[1:])))
