"""Table entries for read answers, straight to wire format.

Reading a hundred thousand entries through message objects takes seconds;
their encoding is simple enough to be put together from bytes. A test holds
every answer against what the message classes make of it.
"""

from __future__ import annotations

from finsy.proto import p4r

from sdnblock.softswitch.bytestring import encode
from sdnblock.softswitch.dataplane import Entry, Value
from sdnblock.softswitch.packing import ACTION_MASK, Match, Packer
from sdnblock.softswitch.schema import EXACT, LPM, Field, Table
from sdnblock.softswitch.state import Note

_CACHED_ACTIONS = 4096
_LENGTHS = tuple(bytes([n]) for n in range(128))

# Field tags: (number << 3) | type.
_ENTITY = b"\x0a"  # ReadResponse.entities
_TABLE_ENTRY = b"\x12"  # Entity.table_entry
_TABLE_ID = b"\x08"
_MATCH = b"\x12"
_ACTION = b"\x1a"
_CONTROLLER_METADATA = b"\x28"
_COUNTER_DATA = b"\x3a"
_METADATA = b"\x5a"
_FIELD_ID = b"\x08"
_EXACT = b"\x12"
_LPM = b"\x22"
_VALUE = b"\x0a"
_PREFIX_LEN = b"\x10"
_BYTE_COUNT = b"\x08"
_PACKET_COUNT = b"\x10"


def varint(number: int) -> bytes:
    """A protobuf varint."""
    if number < 128:
        return _LENGTHS[number]
    parts = bytearray()
    while number > 127:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _delimited(tag: bytes, body: bytes) -> bytes:
    return tag + varint(len(body)) + body


class EntryEncoder:
    """Encodes entries of one table, each as one ``entities`` element of a ReadResponse."""

    def __init__(self, packer: Packer, counters: bool) -> None:
        """``counters``: with ``counter_data``, where the table has a direct counter."""
        table = packer.table
        self._counters = counters and bool(table.direct_counter)
        self._table_id = _TABLE_ID + varint(table.id)
        self._lpm = len(table.fields) == 1 and table.fields[0].kind == LPM
        self._packer = packer
        self._fields = _field_heads(table)
        self._ids = {ref.action.id & ACTION_MASK: ref.action for ref in table.actions.values()}
        self._actions: dict[Value, bytes] = {}

    def __call__(self, key: bytes, entry: Entry, note: Note) -> bytes:
        """One entry; ``note`` is its metadata."""
        action = self._actions.get(entry.value)
        if action is None:
            action = self._action(entry.value)
        body = self._table_id + (self._prefix(key) if self._lpm else self._exact(key)) + action
        if note[0]:
            body += _CONTROLLER_METADATA + varint(note[0])
        if self._counters:
            packets, bytes_ = entry.packets, entry.bytes
            if packets or bytes_:
                data = (_BYTE_COUNT + varint(bytes_)) if bytes_ else b""
                if packets:
                    data += _PACKET_COUNT + varint(packets)
                body += _COUNTER_DATA + _LENGTHS[len(data)] + data
            else:
                body += _COUNTER_DATA + b"\0"
        if note[1]:
            body += _delimited(_METADATA, note[1])
        inner = _TABLE_ENTRY + varint(len(body)) + body
        return _ENTITY + varint(len(inner)) + inner

    def _exact(self, key: bytes) -> bytes:
        parts = []
        for start, end, heads in self._fields:
            value = key[start:end].lstrip(b"\0") or b"\0"
            parts.append(heads[len(value)])
            parts.append(value)
        return b"".join(parts)

    def _prefix(self, key: bytes) -> bytes:
        ((address, length),) = self._packer.unpack(key)
        if length == 0:
            return b""  # "don't care" is not said
        field = self._packer.table.fields[0]
        lpm = _delimited(_VALUE, encode(address)) + _PREFIX_LEN + varint(length)
        return _delimited(_MATCH, _FIELD_ID + varint(field.id) + _delimited(_LPM, lpm))

    def _action(self, value: Value) -> bytes:
        kind = self._ids.get(value.action)
        table_action = p4r.TableAction()
        if kind is not None:
            table_action.action.action_id = kind.id
            for param in kind.params[:1]:
                table_action.action.params.add(param_id=param.id, value=encode(value.param))
        encoded = _delimited(_ACTION, table_action.SerializeToString())
        if len(self._actions) >= _CACHED_ACTIONS:
            self._actions.clear()
        self._actions[value] = encoded
        return encoded


def _field_heads(table: Table) -> list[tuple[int, int, list[bytes]]]:
    """For each field its place in the key, and by length what stands before its value."""
    fields, at = [], 0
    for field in table.fields:
        heads = []
        for length in range(field.width + 1):
            value = _VALUE + varint(length)
            exact = _EXACT + varint(len(value) + length) + value
            number = _FIELD_ID + varint(field.id)
            heads.append(_MATCH + varint(len(number) + len(exact) + length) + number + exact)
        fields.append((at, at + field.width, heads))
        at += field.width
    return fields


def set_match(fields: tuple[Field, ...], match: Match, entry: p4r.TableEntry) -> None:
    """Write a match into a message: the slow way, for single entries."""
    for field, (value, more) in zip(fields, match, strict=True):
        if field.kind == EXACT:
            entry.match.add(field_id=field.id).exact.value = encode(value)
        elif more and field.kind == LPM:
            lpm = entry.match.add(field_id=field.id).lpm
            lpm.value, lpm.prefix_len = encode(value), more
        elif more:
            ternary = entry.match.add(field_id=field.id).ternary
            ternary.value, ternary.mask = encode(value), encode(more)
