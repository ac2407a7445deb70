"""What is committed in p4/compiled is what the sources say, under the names that users build on."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
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


@pytest.mark.bmv2
@pytest.mark.skipif(shutil.which("p4c-bm2-ss") is None, reason="p4c-bm2-ss is not on the PATH")
def test_p4c_says_the_same_again(tmp_path: Path) -> None:
    """The hashes tell of changed sources; this, of changed output."""
    again = tmp_path / "p4"
    shutil.copytree(P4, again)
    subprocess.run([again / "build.sh"], check=True, stdout=subprocess.DEVNULL)
    recorded = (P4 / "compiled" / "compiler").read_text()
    if (now := (again / "compiled" / "compiler").read_text()) != recorded:
        pytest.skip(f"compiled by {recorded.strip()}, and this is {now.strip()}")
    for name in ("sdnblock.json", "sdnblock.p4info.txtpb", "sdnblock.p4.sha256"):
        assert (again / "compiled" / name).read_text() == (P4 / "compiled" / name).read_text()


def test_nothing_compiled_tells_where_it_was_built() -> None:
    absolute = re.compile(rb"/[\w./-]*/(?:p4|xdp)/[\w./-]+\.(?:c|h|p4)\b")
    for file in (each for each in (P4 / "compiled").rglob("*") if each.is_file()):
        assert not absolute.findall(file.read_bytes()), file


BLOCK = {"drop", "limit", "watch", "NoAction"}
FLOW = [("protocol", 8), ("source", 0), ("source_port", 16), ("destination", 0),
        ("destination_port", 16)]  # fmt: skip


def flow(bits: int) -> list[tuple[str, int]]:
    return [(name, width or bits) for name, width in FLOW]


# name: (id, fields, match, actions, size). p4c lets a table of constant entries have no size.
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
    "outcome": (14, [("kind", 8), ("again", 1)], "EXACT", {"fail", "succeed", "NoAction"}, 128),
    "outcome_policy": (15, [], "", {"set_outcome_policy"}, 0),
    "first_policy": (16, [], "", {"set_first_policy"}, 0),
}

POLICIES = {
    "request_window": "request_policy",
    "outcome_policy": "set_outcome_policy",
    "first_policy": "set_first_policy",
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
        assert table.preamble.alias == table.preamble.name
        counters = [0x13000000 + number] if 3 <= number <= 11 else []
        assert list(table.direct_resource_ids) == counters
        assert table.is_const_table == (table.preamble.name == "sip_message")
        default = actions[table.initial_default_action.action_id]
        assert default == {"l2_forward": "miss", **POLICIES}.get(table.preamble.name, "NoAction")


def test_controllers_cannot_set_default_actions(p4info: p4i.P4Info) -> None:
    """But policies: any other changed default would drop or pass everything."""
    changeable = [t.preamble.name for t in p4info.tables if not t.const_default_action_id]
    assert sorted(changeable) == sorted(POLICIES)


def test_units_and_digest(p4info: p4i.P4Info) -> None:
    both, packets = p4i.CounterSpec.BOTH, p4i.MeterSpec.PACKETS
    assert {each.spec.unit for each in p4info.counters} == {both}
    assert {each.spec.unit for each in p4info.direct_counters} == {both}
    assert {each.spec.unit for each in p4info.meters} == {packets}
    for each in p4info.direct_counters:
        assert each.direct_table_id & 0xFFFFFF == each.preamble.id & 0xFFFFFF
    for digest in p4info.digests:
        struct = p4info.type_info.structs[digest.type_spec.struct.name]
        value = {"request_rate_t": "requests", "outcome_t": "score"}[digest.preamble.name]
        assert [(m.name, m.type_spec.bitstring.bit.bitwidth) for m in struct.members] == [
            ("remote", 128),
            (value, 16),
            ("port", 16),
        ]


def test_sizes_are_those_of_the_shared_header(p4info: p4i.P4Info) -> None:
    """The XDP program takes its sizes from there."""
    text = (P4 / "include" / "sizes.h").read_text()
    sizes = {
        name.lower(): int(value) for name, value in re.findall(r"#define SIZE_(\w+) (\d+)", text)
    }
    for table in p4info.tables:
        if table.preamble.name not in ("sip_message", *POLICIES):
            assert table.size == sizes[table.preamble.name]
    counters = {each.preamble.name: each.size for each in p4info.counters}
    assert counters["message_in"] == counters["message_out"] == sizes["message_counter"]
    assert counters["verdict"] == sizes["verdict_counter"]
    assert {each.preamble.name: each.size for each in p4info.meters} == {
        name: sizes[name] for name in ("limit_meter", "sample_meter", "held_meter", "first_meter")
    }
    assert {each.size for each in p4info.registers} == {sizes["slots"]}


def test_actions_counters_meters_and_messages(p4info: p4i.P4Info) -> None:
    actions = {
        each.preamble.name: (each.preamble.id, [(p.name, p.bitwidth) for p in each.params])
        for each in p4info.actions
        if each.preamble.name != "NoAction"
    }
    names = ["set_side", "forward", "miss", "sip", "allow", "drop", "limit", "watch", "set_kind",
             "request_policy", "fail", "succeed", "set_outcome_policy",
             "set_first_policy"]  # fmt: skip
    params = {
        "set_side": [("trusted", 1)],
        "forward": [("port", 9)],
        "limit": [("meter", 16)],
        "set_kind": [("kind", 8)],
        "request_policy": [("threshold", 16), ("window", 32)],
        "fail": [("weight", 16)],
        "succeed": [("weight", 16)],
        "set_outcome_policy": [("threshold", 16), ("memory", 32), ("hold", 32), ("response", 8)],
        "set_first_policy": [("packets", 16), ("shift", 8)],
    }
    assert actions == {
        name: (0x01000001 + at, params.get(name, [])) for at, name in enumerate(names)
    }
    assert {c.preamble.name: (c.preamble.id, c.size) for c in p4info.counters} == {
        "message_in": (0x12000001, 64),
        "message_out": (0x12000002, 64),
        "verdict": (0x12000003, 16),
    }
    assert {c.preamble.name: c.preamble.id - 0x13000000 for c in p4info.direct_counters} == {
        f"{name}_counter": TABLES[name][0] for name in TABLES if 3 <= TABLES[name][0] <= 11
    }
    assert {m.preamble.name: (m.preamble.id, m.size) for m in p4info.meters} == {
        "limit_meter": (0x14000001, 16384),
        "sample_meter": (0x14000002, 1),
        "held_meter": (0x14000003, 1024),
        "first_meter": (0x14000004, 32),
    }
    assert {each.preamble.name for each in p4info.digests} == {"request_rate_t", "outcome_t"}
    (packet_in,) = p4info.controller_packet_metadata
    assert packet_in.preamble.name == "packet_in"
    assert [(m.name, m.bitwidth) for m in packet_in.metadata] == [
        ("ingress_port", 16),
        ("reason", 8),
    ]
