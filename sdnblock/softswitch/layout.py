"""How the XDP program lays out its maps: the Python side of ``p4/xdp/maps.h``. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from sdnblock.softswitch.dataplane import (
    OUTCOME,
    REQUEST_RATE,
    Entry,
    Event,
    MeterRates,
    RemoteDigest,
    SampledPacket,
    Value,
)

VERSION: Final = 3
"""``LAYOUT`` of sdnblock.bpf.c."""

ENTRY: Final = struct.Struct("=HHIQQ")
METER: Final = struct.Struct("=II4Q4Q")
SLOT_SIZE: Final = 32
WALK_SIZE: Final = 32
FIRST_SIZE: Final = 24
SETTINGS: Final = struct.Struct("=10I")
COMMAND: Final = struct.Struct("=HHIIIQQ40s")
LAYOUT: Final = struct.Struct("=7I")
CELL: Final = struct.Struct("=QQ")
INDEX: Final = struct.Struct("=I")
_EVENT: Final = struct.Struct("=IIII")
_RATE: Final = struct.Struct("=Q")

COMMAND_MODIFY: Final = 1
COMMAND_SET_COUNTER: Final = 2
STATUS_OK: Final = 1
MAX_COMMANDS: Final = 32

TABLES: Final = {
    "port_side": 1,
    "l2_forward": 2,
    "sip_port": 3,
    "allow_v4": 4,
    "allow_v6": 5,
    "flow_v4": 6,
    "flow_v6": 7,
    "source_v4": 8,
    "source_v6": 9,
    "prefix_v4": 10,
    "prefix_v6": 11,
    "outcome": 14,
}
"""Map name to the number that commands know it by (the low bits of the P4Info id)."""

_PADDED: Final = {"allow_v4": 4, "prefix_v4": 4}
"""Bytes that keys have more in the map than in the protocol, so that entries are aligned."""

TRIES: Final = frozenset({"allow_v4", "allow_v6", "prefix_v4", "prefix_v6"})
COUNTERS: Final = ("message_in", "message_out", "verdict")
METERS: Final = ("limit_meter", "sample_meter", "held_meter", "first_meter")
OTHER_MAPS: Final = (
    "request_slots", "walks", "firsts", "settings", "ports", "devices", "events", "events_lost",
)  # fmt: skip
RODATA: Final = ".rodata"

POLICY_FIELDS: Final = {
    "request_window": slice(0, 2),
    "outcome_policy": slice(4, 8),
    "first_policy": slice(8, 10),
}
"""Where ``struct settings`` has the arguments of the policy tables."""
SESSION_FIELDS: Final = slice(2, 4)
"""And where whether samples are wanted, and their length."""

_EVENT_SAMPLE: Final = 2
_DIGESTS: Final = {1: REQUEST_RATE, 3: OUTCOME}
"""Types of events that are digests."""


def expected_layout() -> bytes:
    """What the program's ``layout`` says if it fits this module."""
    return LAYOUT.pack(
        VERSION, ENTRY.size, METER.size, SLOT_SIZE, WALK_SIZE, FIRST_SIZE, SETTINGS.size
    )


def pack_keys(table: str, keys: Sequence[bytes]) -> bytes:
    """Keys as the map has them, one after the other."""
    padding = bytes(_PADDED.get(table, 0))
    return padding.join(keys) + padding if keys else b""


def unpack_key(table: str, key: bytes) -> bytes:
    """A key as the protocol has it."""
    return key[: len(key) - _PADDED.get(table, 0)]


def pack_values(table: str, keys: Sequence[bytes], values: Sequence[Value]) -> bytes:
    """New entries, their counters at zero."""
    pack = ENTRY.pack
    if table in TRIES:
        return b"".join(
            [
                pack(value.action, prefix_length(key), value.param, 0, 0)
                for key, value in zip(keys, values, strict=True)
            ]
        )
    return b"".join([pack(value.action, 0, value.param, 0, 0) for value in values])


def prefix_length(key: bytes) -> int:
    """The prefix length that a trie's key begins with."""
    length: int = INDEX.unpack_from(key)[0]
    return length


def unpack_entry(raw: bytes) -> tuple[int, Entry]:
    """An entry as stored: its prefix length (0 outside tries) and the entry."""
    action, length, param, packets, bytes_ = ENTRY.unpack(raw)
    return length, Entry(Value(action, param), packets, bytes_)


def sum_cells(raw: bytes) -> tuple[int, int]:
    """(packets, bytes) of a per-CPU counter cell, over all CPUs."""
    packets = bytes_ = 0
    for one, other in CELL.iter_unpack(raw):
        packets += one
        bytes_ += other
    return packets, bytes_


def pack_meter(rates: MeterRates | None, now_ns: int) -> bytes:
    """A meter cell with full buckets at ``now_ns`` of the monotonic clock; None: unset."""
    if rates is None:
        return bytes(METER.size)
    peak = (rates.pir, rates.pburst, rates.pburst, yielded(rates.pir, now_ns))
    committed = (rates.cir, rates.cburst, rates.cburst, yielded(rates.cir, now_ns))
    return METER.pack(0, 1, *peak, *committed)


def unpack_meter(raw: bytes) -> MeterRates | None:
    """The rates of a meter cell, None if it is unset."""
    _, configured, pir, pburst, _, _, cir, cburst, _, _ = METER.unpack(raw)
    return MeterRates(cir, cburst, pir, pburst) if configured else None


def yielded(rate: int, now_ns: int) -> int:
    """Whole tokens that ``rate`` a second yields in ``now_ns``, as ``stages.h`` counts them."""
    seconds, rest = divmod(now_ns, 1_000_000_000)
    return (seconds * rate + rest // 1000 * rate // 1_000_000) & 0xFFFFFFFFFFFFFFFF


def unpack_event(record: bytes) -> Event | None:
    """A record of the ring buffer; None for one of a kind that this version does not know."""
    kind, port, value, length = _EVENT.unpack_from(record)
    data = record[_EVENT.size : _EVENT.size + length]
    if kind in _DIGESTS:
        return RemoteDigest(_DIGESTS[kind], data, value, port)
    if kind == _EVENT_SAMPLE:
        return SampledPacket(port, value, data)
    return None
