"""``python -m bench.attacks``: every attack against defaults, with what leaked and how long.

Exit status 0 only if every promise held. ``--slow`` adds those that take minutes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from bench.__main__ import machine
from bench.attacks.attacks import FORGERIES, QUICK, SLOW
from bench.attacks.stage import stage


async def main(slow: bool) -> int:
    """Run them all and print the table."""
    print(machine())
    results = []
    with tempfile.TemporaryDirectory(prefix="sdnblock-attacks-") as directory:
        async with stage(Path(directory)) as made:
            for attack in (*QUICK, *FORGERIES, *(SLOW if slow else ())):
                cut = await attack.run(made, await made.address())
                results.append(attack.held(cut))
                by = ", ".join(f"{claim['origin']} ({claim['action']})" for claim in cut.claims)
                print(
                    f"{attack.name:<40} sent {cut.sent:4}  leaked {cut.leaked:3}"
                    f"  cut after {cut.seconds * 1000:8.0f} ms"
                    f"  {by or ('reported' if attack.report_only else 'NOT CONVICTED')}"
                    f"{'' if results[-1] else '  <-- FAILED'}",
                    flush=True,
                )
                for claim in cut.claims:
                    print(f"{'':<8}{claim['target']}: {claim['reason']}")
                for line in cut.said if attack.report_only or not cut.claims else ():
                    print(f"{'':<8}{line}")
            calls = await made.phones.finish()
            print(f"honest calls: {calls.completed} completed, {calls.failed} failed")
    return 0 if all(results) and calls.completed and not calls.failed else 1


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root, for network namespaces and XDP")
    sys.exit(asyncio.run(main("--slow" in sys.argv[1:])))
