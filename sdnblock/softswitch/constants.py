"""The entries of constant tables, which no P4Info tells.

They are read back like others (P4Runtime specification, 9.1.4). p4c writes
them into its BMv2 output, in the program's order, so there they are read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from sdnblock.artifacts import BMV2_JSON, artifact
from sdnblock.softswitch.packing import Match
from sdnblock.softswitch.schema import Table


@dataclass(frozen=True, slots=True)
class ConstEntry:
    """One entry: match (value, mask), priority, action name and argument."""

    match: Match
    priority: int
    action: str
    argument: int


def const_entries(table: Table) -> tuple[ConstEntry, ...]:
    """The entries of ``table`` in the program's order; none if it is not constant.

    Raises SdnblockError if the compiled program is missing from this installation.
    """
    return _compiled().get(table.name, ()) if table.const else ()


@cache
def _compiled() -> dict[str, tuple[ConstEntry, ...]]:
    program = json.loads(artifact(BMV2_JSON).read_text())
    return {
        table["name"]: _read(table, program["actions"])
        for pipeline in program["pipelines"]
        for table in pipeline["tables"]
        if "entries" in table
    }


def _read(table: dict[str, Any], actions: list[dict[str, Any]]) -> tuple[ConstEntry, ...]:
    names = {action["id"]: action["name"] for action in actions}
    entries = []
    for at, entry in enumerate(table["entries"]):
        chosen = entry["action_entry"]
        data = chosen["action_data"]
        entries.append(
            ConstEntry(
                match=tuple(
                    (int(part["key"], 16), int(part["mask"], 16)) for part in entry["match_key"]
                ),
                priority=len(table["entries"]) - at,
                action=names[chosen["action_id"]],
                argument=int(data[0], 16) if data else 0,
            )
        )
    return tuple(entries)
