"""Finding the pipeline's objects in a P4Info."""

from __future__ import annotations

import pytest

from sdnblock.switches.p4runtime.schema import SchemaError, read_schema
from tests import p4runtime_kit as kit


def test_objects_are_found_by_name_whatever_their_ids() -> None:
    info = kit.p4info()
    for table in info.tables:
        table.preamble.id += 1000
    assert read_schema(info).tables["source_v4"].id == kit.schema().tables["source_v4"].id + 1000


def test_objects_are_found_by_alias() -> None:
    info = kit.p4info()
    for table in info.tables:
        table.preamble.name = "Ingress.control." + table.preamble.name
    assert read_schema(info).tables == kit.schema().tables


@pytest.mark.parametrize("name", ["source_v4", "allow_v6", "request_window", "sip_port"])
def test_a_missing_table_is_named(name: str) -> None:
    info = kit.p4info()
    kept = [table for table in info.tables if table.preamble.name != name]
    del info.tables[:]
    info.tables.extend(kept)
    with pytest.raises(SchemaError, match=f"no table {name}"):
        read_schema(info)


def test_another_key_is_refused() -> None:
    info = kit.p4info()
    table = next(table for table in info.tables if table.preamble.name == "flow_v4")
    table.match_fields[1].bitwidth = 31
    with pytest.raises(SchemaError, match="flow_v4"):
        read_schema(info)


def test_other_parameters_are_refused() -> None:
    info = kit.p4info()
    action = next(action for action in info.actions if action.preamble.name == "limit")
    del action.params[:]
    with pytest.raises(SchemaError, match="action limit"):
        read_schema(info)


def test_impossible_sizes_are_refused() -> None:
    info = kit.p4info()
    info.tables[0].size = -5
    with pytest.raises(SchemaError, match="size"):
        read_schema(info)
    info = kit.p4info()
    info.meters[0].size = 0
    with pytest.raises(SchemaError, match="size"):
        read_schema(info)


@pytest.mark.parametrize("objects", ["counters", "meters", "digests", "actions"])
def test_missing_objects_of_every_kind_are_refused(objects: str) -> None:
    info = kit.p4info()
    info.ClearField(objects)  # type: ignore[arg-type]
    with pytest.raises(SchemaError):
        read_schema(info)


def test_a_missing_packet_in_header_is_refused() -> None:
    info = kit.p4info()
    del info.controller_packet_metadata[:]
    with pytest.raises(SchemaError, match="packet_in"):
        read_schema(info)


def test_a_digest_of_another_shape_is_refused() -> None:
    info = kit.p4info()
    info.type_info.structs["request_rate_t"].members[0].name = "other"
    with pytest.raises(SchemaError, match="request_rate_t"):
        read_schema(info)
