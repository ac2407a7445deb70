"""What a compiled program takes of a Tofino, stage by stage, as text.

``resources.py DIRECTORY``: where the compiler and the assembler wrote to. Everything is counted
from the compiler's resources.json; that the program was assembled, from the assembler's output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

COLUMNS: Final[dict[str, tuple[int, Callable[[dict[str, Any]], int]]]] = {
    # name: (how many a stage has, how many of its elements are used)
    "SRAM": (80, lambda stage: used(stage["rams"]["srams"])),
    "map RAM": (48, lambda stage: used(stage["map_rams"]["maprams"])),
    "TCAM": (24, lambda stage: used(stage["tcams"]["tcams"])),
    "meter or stateful ALU": (4, lambda stage: used(stage["meter_alus"]["meters"])),
    "counter ALU": (4, lambda stage: used(stage["statistic_alus"]["stats"])),
    "logical table": (16, lambda stage: len(stage["logical_tables"]["ids"])),
    "gateway": (16, lambda stage: used(stage["gateways"]["gateways"])),
    "hash unit": (6, lambda stage: used(stage["hash_distribution_units"]["units"])),
}


def used(elements: list[dict[str, Any]]) -> int:
    """How many elements somebody uses."""
    return sum(1 for element in elements if element["usages"])


def report(directory: Path) -> str:
    """A row for each stage, and their sum."""
    pipe = directory / "pipe"
    stages = json.loads((pipe / "logs" / "resources.json").read_text())["resources"]["mau"]
    rows = []
    for stage in stages["mau_stages"]:
        counts = [count(stage) for _, count in COLUMNS.values()]
        if any(counts):
            rows.append([f"{stage['stage_number']}", *(str(each) for each in counts)])
    sums = [str(sum(int(row[at]) for row in rows)) for at in range(1, len(COLUMNS) + 1)]
    has = [str(each) for each, _ in COLUMNS.values()]
    lines = [["stage", *COLUMNS], *rows, ["all", *sums], ["a stage has", *has]]
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    text = "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    binary = pipe / "tofino.bin"
    assembled = f"{binary.stat().st_size} bytes" if binary.is_file() else "not assembled"
    return f"{len(rows)} of {stages['nStages']} stages; assembled: {assembled}\n\n{text}\n"


if __name__ == "__main__":
    sys.stdout.write(report(Path(sys.argv[1])))
