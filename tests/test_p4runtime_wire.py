"""Read answers decoded part by part."""

from __future__ import annotations

from finsy.proto import p4r
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.switches.p4runtime.wire import responses

values = st.lists(st.binary(max_size=300), max_size=30)


def answer(values: list[bytes]) -> p4r.ReadResponse:
    response = p4r.ReadResponse()
    for value in values:
        response.entities.add().table_entry.metadata = value
    return response


@given(values, st.integers(1, 7))
def test_parts_make_the_whole_and_none_is_larger(values: list[bytes], size: int) -> None:
    parts = list(responses(answer(values).SerializeToString(), size))
    assert all(0 < len(part.entities) <= size for part in parts)
    assert [e.table_entry.metadata for part in parts for e in part.entities] == values


@given(values, st.binary(max_size=40), st.integers(0, 2000))
def test_garbage_is_a_decode_error_or_entities(
    values: list[bytes], garbage: bytes, at: int
) -> None:
    wire = answer(values).SerializeToString()
    at = min(at, len(wire))
    try:
        for part in responses(wire[:at] + garbage + wire[at + 3 :], 5):
            assert len(part.entities) <= len(wire) + len(garbage)
    except DecodeError:
        pass


def test_fields_of_later_versions_are_skipped() -> None:
    wire = answer([b"a", b"b"]).SerializeToString()
    later = b"\x12\x03new"  # field 2, length-delimited
    parts = list(responses(wire + later + wire, 1))
    assert [e.table_entry.metadata for p in parts for e in p.entities] == [b"a", b"b", b"a", b"b"]
