"""Entries to keys and back, bytestrings, and the hand-made encoding of read answers."""

from __future__ import annotations

from random import Random

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.softswitch.bytestring import canonical, decode, encode
from sdnblock.softswitch.dataplane import Entry, Value
from sdnblock.softswitch.encode import EntryEncoder, set_match, varint
from sdnblock.softswitch.packing import ACTION_MASK, Match, Packer
from sdnblock.softswitch.refusal import (
    INVALID_ARGUMENT,
    OUT_OF_RANGE,
    PERMISSION_DENIED,
    Refusal,
)
from sdnblock.softswitch.schema import LPM, Table
from tests.softswitch_kit import action_id, entry, schema

TABLES = [table for table in schema().tables.values() if table.fields and not table.const]


def _masked(value: int, length: int, bits: int) -> tuple[int, int]:
    return value >> (bits - length) << (bits - length), length


def _match(table: Table) -> st.SearchStrategy[Match]:
    fields = []
    for field in table.fields:
        values = st.integers(0, (1 << field.bits) - 1)
        if field.kind == LPM:
            lengths = st.integers(0, field.bits)
            fields.append(st.builds(_masked, values, lengths, st.just(field.bits)))
        else:
            fields.append(
                st.one_of(values, st.integers(0, min(3, (1 << field.bits) - 1))).map(
                    lambda value: (value, 0)
                )
            )
    return st.tuples(*fields)


tables_and_matches = st.sampled_from(TABLES).flatmap(lambda t: st.tuples(st.just(t), _match(t)))


@given(tables_and_matches)
def test_key_and_back(case: tuple[Table, Match]) -> None:
    table, match = case
    packer = Packer(table)
    message = p4r.TableEntry(table_id=table.id)
    set_match(table.fields, match, message)
    key = packer.key(message)
    assert len(key) % 4 == 0
    assert packer.unpack(key) == match
    assert packer.match(message) == match
    assert packer.pack(match) == key


@given(tables_and_matches, st.integers(0, 9), st.randoms())
def test_padding_and_order_do_not_matter(
    case: tuple[Table, Match], zeros: int, random: Random
) -> None:
    table, match = case
    packer = Packer(table)
    message = p4r.TableEntry(table_id=table.id)
    set_match(table.fields, match, message)
    key = packer.key(message)
    fields = list(message.match)
    for field in fields:
        inner = getattr(field, field.WhichOneof("field_match_type") or "")
        inner.value = bytes(zeros) + inner.value
    random.shuffle(fields)
    del message.match[:]
    message.match.extend(fields)
    assert packer.key(message) == key


counts = st.one_of(st.just(0), st.integers(0, 2**63 - 1), st.integers(0, 300))
notes = st.one_of(st.just((0, b"")), st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=256)))


@given(tables_and_matches, st.data(), counts, counts, st.booleans(), notes)
def test_encoding_is_what_the_message_classes_make(
    case: tuple[Table, Match],
    data: st.DataObject,
    packets: int,
    bytes_: int,
    counters: bool,
    note: tuple[int, bytes],
) -> None:
    table, match = case
    packer = Packer(table)
    refs = [ref.action for ref in table.actions.values() if ref.in_entries]
    action = data.draw(st.sampled_from(refs))
    arguments = [data.draw(st.integers(0, (1 << p.bits) - 1)) for p in action.params]

    wanted = p4r.ReadResponse()
    message = wanted.entities.add().table_entry
    message.table_id = table.id
    set_match(table.fields, match, message)
    message.action.action.action_id = action.id
    for param, argument in zip(action.params, arguments, strict=True):
        message.action.action.params.add(param_id=param.id, value=encode(argument))
    message.controller_metadata, message.metadata = note
    if counters and table.direct_counter:
        message.counter_data.SetInParent()
        message.counter_data.packet_count, message.counter_data.byte_count = packets, bytes_

    value = Value(action.id & ACTION_MASK, arguments[0] if arguments else 0)
    encoded = EntryEncoder(packer, counters)(
        packer.pack(match), Entry(value, packets, bytes_), note
    )
    assert p4r.ReadResponse.FromString(encoded) == wanted
    assert packer.value(message.action) == value


@given(st.integers(0, 2**64 - 1))
def test_varint(number: int) -> None:
    message = p4r.TableEntry(controller_metadata=number)
    if number:
        assert message.SerializeToString() == b"\x28" + varint(number)


@given(st.integers(0, 2**130), st.integers(1, 128), st.integers(0, 40))
def test_bytestring_ranges(number: int, bits: int, zeros: int) -> None:
    raw = bytes(zeros) + encode(number)
    assert canonical(raw) == encode(number)
    if number < 1 << bits:
        assert decode(raw, bits, "x") == number
    else:
        with pytest.raises(Refusal) as caught:
            decode(raw, bits, "x")
        assert caught.value.code == OUT_OF_RANGE


@pytest.mark.parametrize(
    ("raw", "bits"),
    # The specification's table of invalid encodings of unsigned values.
    [
        (b"\x01\x63", 8),
        (b"", 8),
        (b"\x01\x00\x63", 16),
        (b"\x10\x63", 12),
        (b"\x01\x00\x63", 12),
        (b"\x00\x40\x63", 12),
    ],
)
def test_invalid_bytestrings_of_the_specification(raw: bytes, bits: int) -> None:
    with pytest.raises(Refusal) as caught:
        decode(raw, bits, "x")
    assert caught.value.code == OUT_OF_RANGE


def _spoilt(name: str) -> p4r.TableEntry:
    message = entry("prefix_v4", (b"\x0a\0\0\0", 8), action="drop")
    match name:
        case "host bits":
            message.match[0].lpm.value = b"\x0a\0\0\1"
        case "length 0":
            message.match[0].lpm.prefix_len = 0
        case "length 33":
            message.match[0].lpm.prefix_len = 33
        case "length below 0":
            message.match[0].lpm.prefix_len = -1
        case "exact":
            message.match[0].exact.value = b"\x0a\0\0\0"
        case "unset":
            message.match[0].ClearField("lpm")
        case "unknown field":
            message.match[0].field_id = 2
        case "field 0":
            message.match[0].field_id = 0
        case "twice":
            message.match.add().CopyFrom(message.match[0])
    return message


@pytest.mark.parametrize(
    "name",
    [
        "host bits",
        "length 0",
        "length 33",
        "length below 0",
        "exact",
        "unset",
        "unknown field",
        "field 0",
        "twice",
    ],
)
def test_malformed_matches(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        Packer(schema().table("prefix_v4")).key(_spoilt(name))
    assert caught.value.code == INVALID_ARGUMENT


def test_exact_fields_cannot_be_left_out() -> None:
    packer = Packer(schema().table("flow_v4"))
    for missing in range(5):
        message = entry("flow_v4", *(b"\x01" for _ in range(5)))
        del message.match[missing]
        with pytest.raises(Refusal) as caught:
            packer.key(message)
        assert caught.value.code == INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("action", "params", "code"),
    [
        ("limit", [], INVALID_ARGUMENT),
        ("limit", [b"\1", b"\1"], INVALID_ARGUMENT),
        ("limit", [b"\1\0\0"], OUT_OF_RANGE),
        ("limit", [b""], OUT_OF_RANGE),
        ("drop", [b"\1"], INVALID_ARGUMENT),
        ("allow", [], INVALID_ARGUMENT),
        ("NoAction", [], PERMISSION_DENIED),
    ],
)
def test_malformed_actions(action: str, params: list[bytes], code: int) -> None:
    packer = Packer(schema().table("source_v4"))
    message = entry("source_v4", b"\1", action=action, params=params)
    for _ in range(2):  # a refusal must not be remembered as a value
        with pytest.raises(Refusal) as caught:
            packer.value(message.action)
        assert caught.value.code == code


def test_action_of_another_kind() -> None:
    packer = Packer(schema().table("source_v4"))
    assert packer.value(entry("source_v4", b"\1", action="drop").action)
    for action in (
        p4r.TableAction(),
        p4r.TableAction(action_profile_member_id=1),
        p4r.TableAction(action_profile_group_id=1),
        p4r.TableAction(action_profile_action_set=p4r.ActionProfileActionSet()),
        p4r.TableAction(action=p4r.Action(action_id=0)),
    ):
        with pytest.raises(Refusal) as caught:
            packer.value(action)
        assert caught.value.code == INVALID_ARGUMENT


def test_a_parameter_of_the_wrong_number_is_not_the_cached_one() -> None:
    packer = Packer(schema().table("source_v4"))
    good = entry("source_v4", b"\1", action="limit", params=[b"\5"]).action
    assert packer.value(good) == Value(action_id("limit") & ACTION_MASK, 5)
    good.action.params[0].param_id = 2
    with pytest.raises(Refusal):
        packer.value(good)
