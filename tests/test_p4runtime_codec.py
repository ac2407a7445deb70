"""Targets to table entries and back."""

from __future__ import annotations

import pytest
from finsy.proto import p4r
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.codec_bench import measure
from sdnblock.block import Action, Flow, Prefix, Source, Target
from sdnblock.switches.driver import Op, TableKind, allow_table_of, table_of
from sdnblock.switches.p4runtime import values
from sdnblock.switches.p4runtime.codec import (
    ALLOW_TABLES,
    BLOCK_TABLES,
    ForeignEntry,
)
from tests import p4runtime_kit as kit


def encoded(op: Op, target: Target, action: Action, cell: int | None) -> p4r.Update:
    batch = p4r.WriteRequest()
    kit.codec().add_block(batch.updates, op, target, action, cell)
    return p4r.Update.FromString(batch.updates[0].SerializeToString())


@given(kit.targets, st.sampled_from(Action), st.integers(0, 65535), st.sampled_from(Op))
@settings(max_examples=400)
def test_every_block_survives_the_round_trip(
    target: Target, action: Action, cell: int, op: Op
) -> None:
    update = encoded(op, target, action, cell)
    entry = update.entity.table_entry
    key = table_of(target)
    assert kit.codec().target(key, entry) == target
    assert entry.table_id == kit.codec().tables[key].id
    if op is Op.DELETE:
        assert not entry.HasField("action")
        return
    assert kit.codec().block(key, entry) == (
        target,
        action,
        cell if action is Action.LIMIT else None,
    )
    assert not entry.HasField("counter_data"), "a MODIFY must leave the count alone"
    assert entry.priority == 0


@given(st.one_of(kit.sources, kit.prefixes))
def test_every_allow_survives_the_round_trip(prefix: Source | Prefix) -> None:
    batch = p4r.WriteRequest()
    kit.codec().add_allow(batch.updates, Op.INSERT, prefix)
    kit.codec().add_allow(batch.updates, Op.DELETE, prefix)
    insert, delete = batch.updates
    key = allow_table_of(prefix)
    assert kit.codec().allow(key, insert.entity.table_entry) == prefix
    assert list(insert.entity.table_entry.match) == list(delete.entity.table_entry.match)


@given(kit.targets)
def test_byte_strings_are_the_shortest(target: Target) -> None:
    entry = encoded(Op.INSERT, target, Action.LIMIT, 0).entity.table_entry
    for match in entry.match:
        value = match.exact.value or match.lpm.value
        assert value == b"\0" or value[0] != 0
    assert entry.action.action.params[0].value == b"\0"


@given(kit.flows, st.permutations(range(5)))
def test_a_switch_may_order_the_match_fields_as_it_likes(flow: Flow, order: list[int]) -> None:
    entry = encoded(Op.INSERT, flow, Action.DROP, None).entity.table_entry
    shuffled = p4r.TableEntry(table_id=entry.table_id, action=entry.action)
    shuffled.match.extend(entry.match[at] for at in order)
    assert kit.codec().block(table_of(flow), shuffled)[0] == flow


@given(kit.sources)
def test_padded_values_are_read_too(source: Source) -> None:
    entry = encoded(Op.INSERT, source, Action.DROP, None).entity.table_entry
    entry.match[0].exact.value = bytes(3) + source.address
    assert kit.codec().target(table_of(source), entry) == source


@given(st.sampled_from(BLOCK_TABLES + ALLOW_TABLES), st.binary(max_size=80))
@settings(max_examples=1000)
def test_random_bytes_are_foreign_and_nothing_worse(
    key: tuple[TableKind, int], wire: bytes
) -> None:
    try:
        entry = p4r.TableEntry.FromString(wire)
    except DecodeError:
        return
    decode = kit.codec().allow if key in ALLOW_TABLES else kit.codec().block
    with pytest.raises(ForeignEntry):
        decode(key, entry)


@given(kit.targets, st.data())
@settings(max_examples=500)
def test_spoiled_entries_are_foreign_or_another_target(target: Target, data: st.DataObject) -> None:
    entry = encoded(Op.INSERT, target, Action.LIMIT, 7).entity.table_entry
    at = data.draw(st.integers(0, len(entry.match) - 1))
    how = data.draw(st.sampled_from(["value", "length", "missing", "field", "param", "action"]))
    if how == "value":
        wrong = data.draw(st.binary(max_size=40))
        match = entry.match[at]
        if match.HasField("lpm"):
            match.lpm.value = wrong
        else:
            match.exact.value = wrong
    elif how == "length":
        entry.match[at].lpm.prefix_len = data.draw(st.integers(-(2**31), 2**31 - 1))
    elif how == "missing":
        del entry.match[at]
    elif how == "field":
        entry.match[at].field_id = data.draw(st.integers(0, 2**32 - 1))
    elif how == "param":
        entry.action.action.params[0].value = data.draw(st.binary(max_size=9))
    else:
        entry.action.action.action_id = data.draw(st.integers(0, 2**32 - 1))
    key = table_of(target)
    try:
        found, action, cell = kit.codec().block(key, entry)
    except ForeignEntry:
        return
    assert table_of(found) == key
    assert str(found)
    assert (cell is not None) == (action is Action.LIMIT)


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ((TableKind.SOURCE, 6), Source(bytes(10) + b"\xff\xff\1\2\3\4")),
        ((TableKind.SOURCE, 4), Source(bytes(4))),
        ((TableKind.PREFIX, 4), Prefix(b"\1\2\3\0", 0)),
        ((TableKind.PREFIX, 4), Prefix(b"\1\2\3\4", 32)),
        ((TableKind.PREFIX, 4), Prefix(b"\1\2\3\4", 24)),
        ((TableKind.PREFIX, 6), Prefix(bytes(10) + b"\xff\xff\1\2\0\0", 112)),
        ((TableKind.FLOW, 4), Flow(6, b"\1\2\3\4", 0, b"\1\2\3\5", 5060)),
        ((TableKind.FLOW, 4), Flow(1, b"\1\2\3\4", 1, b"\1\2\3\5", 5060)),
    ],
)
def test_what_we_would_not_write_is_foreign(key: tuple[TableKind, int], target: Target) -> None:
    entry = encoded(Op.INSERT, target, Action.DROP, None).entity.table_entry
    with pytest.raises(ForeignEntry):
        kit.codec().block(key, entry)


def test_capacity_is_the_p4infos_sizes() -> None:
    capacity = kit.codec().capacity
    assert capacity.tables[TableKind.SOURCE, 4] == 1048576
    assert capacity.tables[TableKind.ALLOW, 6] == 8192
    assert len(capacity.tables) == 8
    assert capacity.limiters == 16384


@pytest.mark.parametrize("value", [b"", b"\1\0\0\0\0", bytes(3) + b"\1\0\0\0\0"])
def test_values_that_do_not_fit_are_refused(value: bytes) -> None:
    with pytest.raises(values.BadValue):
        values.widen(value, 4)


@pytest.mark.parametrize("number", [0, 1, 255, 256, 2**48])
def test_numbers_round_trip(number: int) -> None:
    assert values.number(values.encode(number), 64) == number
    assert values.shortest(number.to_bytes(9, "big")) == values.encode(number)


def test_a_number_must_fit_its_bits() -> None:
    assert values.number(b"\1\xff", 9) == 511
    with pytest.raises(values.BadValue):
        values.number(b"\2\0", 9)


def test_an_entry_takes_not_much_longer_than_protobuf_itself() -> None:
    """No clock is the same on two machines; seconds are told by bench/codec_bench.py."""
    times = measure(20_000)
    assert times.encoding < 8 * times.protobuf
    assert times.decoding < 8 * times.protobuf
