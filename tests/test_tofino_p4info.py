"""One controller drives a Tofino too: its P4Info is BMv2's but for what is declared here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from finsy.proto import p4i
from google.protobuf import json_format, text_format

P4: Final = Path(__file__).parents[1] / "p4"
COMPILED: Final = P4 / "compiled" / "tofino"

DIFFERENCES: Final = {
    r"pkg_info\.arch": "the architecture",
    r"tables\.(allow|flow|source|prefix)_v[46]\.size": "what a Tofino has room for"
    " (p4/tofino/sizes.h)",
    r"(counters|direct_counters|meters|digests)\..*\.preamble\.id": "the compiler numbers its"
    " architecture's externs itself, whatever the program says; the controller goes by names",
    r"direct_counters\.(source|prefix)_v[46]_counter\.spec\.unit": "an entry of these counts"
    " packets and no bytes, for room",
    r"tables\..*\.direct_resource_ids": "the same numbers, where a table names its counter",
    r"tables\.(request_window|outcome_policy|first_policy|sip_message)\.size": "each compiler's"
    " own default for a table without a key or with constant entries",
    r"registers\.": "state is kept in other shapes; the controller touches no register",
    r"type_info\.structs\.(key|early|start|score)_t\.": "the shapes of that state",
}
"""Every path at which the two may differ, and why."""


pytestmark = pytest.mark.skipif(
    not COMPILED.is_dir(), reason="the Tofino program was not compiled yet: make p4-tofino"
)


def p4info(file: Path) -> p4i.P4Info:
    """A P4Info from its text."""
    return text_format.Parse(file.read_text(), p4i.P4Info())


def flat(info: p4i.P4Info) -> dict[str, str]:
    """Every value by its path; objects by their names, so that their order is nothing."""
    return dict(_flat("", json_format.MessageToDict(info, preserving_proto_field_name=True)))


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _flat(f"{path}.{name}" if path else name, each)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _flat(f"{path}.{_label(each, number)}", each)
    else:
        yield path, str(value)


def _label(item: Any, number: int) -> str:
    if isinstance(item, dict) and "preamble" in item:
        return str(item["preamble"]["name"])
    if isinstance(item, dict) and "id" in item:
        return str(item["id"])
    return str(number)


def test_tofino_has_bmv2s_p4info() -> None:
    bmv2 = flat(p4info(P4 / "compiled" / "sdnblock.p4info.txtpb"))
    tofino = flat(p4info(COMPILED / "sdnblock.p4info.txtpb"))
    different = {path for path in bmv2.keys() | tofino.keys() if bmv2.get(path) != tofino.get(path)}
    undeclared = {
        f"{path}: {bmv2.get(path)} on BMv2, {tofino.get(path)} on Tofino"
        for path in different
        if not any(re.match(pattern, path) for pattern in DIFFERENCES)
    }
    assert not undeclared
    for pattern in DIFFERENCES:
        assert any(re.match(pattern, path) for path in different), f"{pattern} differs no more"


def sources() -> list[Path]:
    """What the Tofino program is made of, in the order of build.sh."""
    shared = ("types.p4", "sizes.h", "ids.p4", "wire.p4", "states.p4", "side.p4", "kind.p4")
    return [
        *sorted([*(P4 / "tofino").glob("*.h"), *(P4 / "tofino").glob("*.p4")]),
        *(P4 / "include" / name for name in shared),
    ]


def test_compiled_is_fresh() -> None:
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources())).hexdigest()
    recorded = (COMPILED / "sdnblock.p4.sha256").read_text().strip()
    assert digest == recorded, "the Tofino program has changed: run make p4-tofino"


def test_the_promised_sizes() -> None:
    info = p4info(COMPILED / "sdnblock.p4info.txtpb")
    sizes = {each.preamble.name: each.size for each in info.tables}
    sizes |= {each.preamble.name: each.size for each in info.registers}
    assert sizes["source_v4"] >= 400_000
    assert sizes["flow_v4"] >= 65_536
    assert sizes["source_v6"] >= 32_768
    assert sizes["prefix_v4"] >= 16_384
    assert sizes["prefix_v6"] >= 4_096
    assert sizes["allow_v4"] + sizes["allow_v6"] >= 8_192
    for part in ("remote", "held", "last", "score"):
        assert sizes[f"walk_{part}"] >= 65_536
    counted = {each.direct_table_id for each in info.direct_counters}
    for table in info.tables:
        if table.preamble.name.startswith(("allow", "flow", "source", "prefix")):
            assert table.preamble.id in counted, table.preamble.name


def test_it_was_placed_and_assembled() -> None:
    first = (COMPILED / "resources.txt").read_text().splitlines()[0]
    found = re.fullmatch(r"(\d+) of 12 stages; assembled: \d+ bytes", first)
    assert found is not None, first
    assert int(found[1]) <= 12


def test_the_switch_has_the_tables_of_the_p4info() -> None:
    """Two runs of the compiler made them: each action once, and each table's own copies."""
    info = p4info(COMPILED / "sdnblock.p4info.txtpb")
    actions = {each.preamble.id: each for each in info.actions}
    lines = set()
    for table in info.tables:
        key = ", ".join(f"{field.name}:{field.bitwidth}" for field in table.match_fields)
        calls = sorted(
            f"{actions[ref.id].preamble.name}#{ref.id}"
            f"({', '.join(f'{each.name}:{each.bitwidth}' for each in actions[ref.id].params)})"
            for ref in table.action_refs
        )
        lines.add(f"{table.preamble.name}#{table.preamble.id} [{key}] {' '.join(calls)}")
    assert set((COMPILED / "schema.txt").read_text().splitlines()) == lines
