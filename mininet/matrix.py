"""Every attack asked for, on every switch and topology asked for, as one table."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from checks import problem
from confine import STOPS

_LAB: Final = Path(__file__).with_name("lab.py")
_HEAD: Final = (
    "| attack | topology | switch | probes | replies leaked | last reply | first block | by"
    " | honest calls, lost | other access | |\n" + "| --- " * 11 + "|"
)


def matrix(switches: Sequence[str], topologies: Sequence[str], attacks: Sequence[str]) -> int:
    """Run them one after the other and print Markdown as they end; 0 if all promises held."""
    for switch in switches:
        if why := problem(switch):
            print(f"lab: {switch}: {why}", file=sys.stderr)
            return 1
    broken = 0
    print(_HEAD, flush=True)
    for attack in attacks:
        for topology in topologies:
            for switch in switches:
                status, found = _cell(attack, topology, switch)
                if status >= 128:  # interrupted, and cleaned up
                    return status
                broken += status != 0
                print(row(attack, topology, switch, found), flush=True)
    if broken:
        print(f"\n{broken} of them did not hold", file=sys.stderr)
    return 1 if broken else 0


def row(attack: str, topology: str, switch: str, found: dict[str, Any] | None) -> str:
    """One line of the table; ``found`` is what ``lab.py -o json`` prints, None if it failed."""
    if found is None:
        return f"| {attack} | {topology} | {switch} | - | - | - | - | - | - | - | **failed** |"
    heard, calls = found["heard"], found["calls"]
    silent, blocked = (
        "-" if found[what] is None else f"{found[what]:.3f} s"
        for what in ("silent_after", "blocked_after")
    )
    elsewhere = "-"
    if found["elsewhere"] is not None:
        before, after = found["elsewhere"]
        elsewhere = f"{before:.0%} -> {after:.0%}"
    held = "held" if not found["broken"] else f"**{'; '.join(found['broken'])}**"
    cells = (
        *(attack, topology, switch, str(heard["sent"]), str(heard["received"]), silent, blocked),
        *(", ".join(found["origins"]) or "-", f"{calls['completed']}, {calls['failed']}"),
        *(elsewhere, held),
    )
    return f"| {' | '.join(cells)} |"


def _cell(attack: str, topology: str, switch: str) -> tuple[int, dict[str, Any] | None]:
    argv = (sys.executable, str(_LAB), "--switch", switch, "--topology", topology)
    lab = subprocess.Popen((*argv, "--attack", attack, "-o", "json"), stdout=subprocess.PIPE)
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        lab.send_signal(number)  # a terminal's Ctrl-C reaches it twice, which does no harm

    before = {each: signal.signal(each, stop) for each in STOPS}
    try:
        out, _ = lab.communicate()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if asked:
        return 128 + asked[0], None
    try:
        found = json.loads(out)
    except ValueError:  # it has said on stderr what went wrong
        return lab.returncode or 1, None
    return lab.returncode, found
