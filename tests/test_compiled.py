"""What is committed in p4/compiled is what the sources say, under the names that users build on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import text_format

P4 = Path(__file__).parents[1] / "p4"


def digest(files: list[Path]) -> str:
    """As the build scripts compute it: the files one after the other."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def p4info() -> p4i.P4Info:
    text = (P4 / "compiled" / "sdnblock.p4info.txtpb").read_text()
    return text_format.Parse(text, p4i.P4Info())


def test_p4c_output_is_fresh() -> None:
    sources = [P4 / "sdnblock.p4", *sorted((P4 / "include").iterdir())]
    recorded = (P4 / "compiled" / "sdnblock.p4.sha256").read_text().strip()
    assert digest(sources) == recorded, "p4/ has changed: run make p4 (and record BMv2 anew)"


def test_bpf_object_is_fresh() -> None:
    xdp = P4 / "xdp"
    sources = [xdp / "sdnblock.bpf.c", *sorted(xdp.glob("*.h")), P4 / "include" / "sizes.h"]
    recorded = (P4 / "compiled" / "sdnblock.bpf.sha256").read_text().strip()
    assert digest(sources) == recorded, "p4/xdp has changed: run make xdp"


BLOCK = {"drop", "limit", "watch", "NoAction"}
FLOW = [("protocol", 8), ("source", 0), ("source_port", 16), ("destination", 0),
        ("destination_port", 16)]  # fmt: skip


def flow(bits: int) -> list[tuple[str, int]]:
    return [(name, width or bits) for name, width in FLOW]


# name: (id, fields, match, actions, size)
TABLES: dict[str, tuple[int, list[tuple[str, int]], str, set[str], int]] = {
    "port_side": (1, [("ingress_port", 9)], "EXACT", {"set_side", "NoAction"}, 512),
    "l2_forward": (2, [("dst_mac", 48)], "EXACT", {"forward", "miss"}, 4096),
    "sip_port": (3, [("protocol", 8), ("port", 16)], "EXACT", {"sip", "NoAction"}, 256),
    "allow_v4": (4, [("source", 32)], "LPM", {"allow", "NoAction"}, 8192),
    "allow_v6": (5, [("source", 128)], "LPM", {"allow", "NoAction"}, 8192),
    "flow_v4": (6, flow(32), "EXACT", BLOCK, 131072),
    "flow_v6": (7, flow(128), "EXACT", BLOCK, 131072),
    "source_v4": (8, [("source", 32)], "EXACT", BLOCK, 1048576),
    "source_v6": (9, [("source", 128)], "EXACT", BLOCK, 262144),
    "prefix_v4": (10, [("source", 32)], "LPM", BLOCK, 65536),
    "prefix_v6": (11, [("source", 128)], "LPM", BLOCK, 65536),
    "sip_message": (12, [("first", 96)], "TERNARY", {"set_kind", "NoAction"}, 0),
    "request_window": (13, [], "", {"request_policy"}, 0),
}


def test_tables(p4info: p4i.P4Info) -> None:
    actions = {each.preamble.id: each.preamble.name for each in p4info.actions}
    assert {each.preamble.name for each in p4info.tables} == set(TABLES)
    for table in p4info.tables:
        number, fields, match, expected, size = TABLES[table.preamble.name]
        assert table.preamble.id == 0x02000000 + number
        assert [(field.name, field.bitwidth) for field in table.match_fields] == fields
        assert [field.id for field in table.match_fields] == list(range(1, len(fields) + 1))
        kinds = {p4i.MatchField.MatchType.Name(field.match_type) for field in table.match_fields}
        assert kinds <= {match}
        assert {actions[ref.id] for ref in table.action_refs} == expected
        assert not size or table.size == size


def test_actions_counters_meters_and_messages(p4info: p4i.P4Info) -> None:
    actions = {
        each.preamble.name: (each.preamble.id, [(p.name, p.bitwidth) for p in each.params])
        for each in p4info.actions
        if each.preamble.name != "NoAction"
    }
    names = ["set_side", "forward", "miss", "sip", "allow", "drop", "limit", "watch", "set_kind",
             "request_policy"]  # fmt: skip
    params = {
        "set_side": [("trusted", 1)],
        "forward": [("port", 9)],
        "limit": [("meter", 16)],
        "set_kind": [("kind", 8)],
        "request_policy": [("threshold", 16), ("window", 32)],
    }
    assert actions == {
        name: (0x01000001 + at, params.get(name, [])) for at, name in enumerate(names)
    }
    assert {c.preamble.name: (c.preamble.id, c.size) for c in p4info.counters} == {
        "message_in": (0x12000001, 64),
        "message_out": (0x12000002, 64),
        "verdict": (0x12000003, 8),
    }
    assert {c.preamble.name: c.preamble.id - 0x13000000 for c in p4info.direct_counters} == {
        f"{name}_counter": TABLES[name][0] for name in TABLES if 3 <= TABLES[name][0] <= 11
    }
    assert {m.preamble.name: (m.preamble.id, m.size) for m in p4info.meters} == {
        "limit_meter": (0x14000001, 16384),
        "sample_meter": (0x14000002, 1),
    }
    assert [each.preamble.name for each in p4info.digests] == ["request_rate_t"]
    (packet_in,) = p4info.controller_packet_metadata
    assert packet_in.preamble.name == "packet_in"
    assert [(m.name, m.bitwidth) for m in packet_in.metadata] == [
        ("ingress_port", 16),
        ("reason", 8),
    ]
