"""What the compiler says of the tables it made for the switch, as text.

``schema.py bfrt.json``: a line for each table, its key and its actions, with ids and widths in
bits. The P4Info comes from another run of the compiler (blocks.p4); a test compares the two.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def width(kind: dict[str, Any]) -> int:
    """Of a field: given, or part of the type's name (uint16)."""
    if "width" in kind:
        return int(kind["width"])
    return 1 if kind["type"] == "bool" else int(kind["type"].removeprefix("uint"))


def fields(items: list[dict[str, Any]]) -> str:
    """Names and widths, without the SDE's own ($MATCH_PRIORITY)."""
    return ", ".join(
        f"{item['name']}:{width(item['type'])}"
        for item in items
        if not item["name"].startswith("$")
    )


def schema(file: Path) -> str:
    """The tables that a controller sees, in the order of their names."""
    lines = []
    for table in json.loads(file.read_text())["tables"]:
        name = table["name"].removeprefix("pipe.")
        if table["table_type"] != "MatchAction_Direct" or "." in name:
            continue
        actions = sorted(
            f"{action['name']}#{action['id']}({fields(action['data'])})"
            for action in table["action_specs"]
        )
        lines.append(f"{name}#{table['id']} [{fields(table['key'])}] {' '.join(actions)}\n")
    return "".join(sorted(lines))


if __name__ == "__main__":
    sys.stdout.write(schema(Path(sys.argv[1])))
