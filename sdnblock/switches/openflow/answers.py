"""What a switch sends, read with every length checked. Pure (OpenFlow 1.3.5)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from sdnblock.switches.openflow.flows import VERSION, BadAnswer
from sdnblock.switches.openflow.matches import IN_PORT, BadMatch, parse_fields

HEADER: Final = struct.Struct("!BBHI")


class Type(enum.IntEnum):
    """``ofp_type`` (7.1.1), as far as a switch may send it to us."""

    HELLO = 0
    ERROR = 1
    ECHO_REQUEST = 2
    ECHO_REPLY = 3
    FEATURES_REPLY = 6
    PACKET_IN = 10
    FLOW_REMOVED = 11
    MULTIPART_REPLY = 19
    BARRIER_REPLY = 21
    ROLE_REPLY = 25


@dataclass(frozen=True, slots=True)
class Features:
    """OFPT_FEATURES_REPLY (7.3.1)."""

    datapath_id: int
    tables: int
    auxiliary: int


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """OFPT_ERROR (7.4)."""

    type: int
    code: int


@dataclass(frozen=True, slots=True)
class PacketIn:
    """OFPT_PACKET_IN (7.4.1): a packet sent to us by a flow with ``cookie``."""

    cookie: int
    port: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class FlowRemoved:
    """OFPT_FLOW_REMOVED (7.4.2): a flow has gone, whoever removed it."""

    table: int
    priority: int
    cookie: int
    match: bytes


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """One meter (7.3.5.13); ``plain``: it drops above ``rate`` packets a second, no more."""

    meter: int
    plain: bool
    rate: int
    burst: int


def speaks_ours(version: int, body: bytes) -> bool:
    """Whether a hello leaves room for OpenFlow 1.3 (6.3.1): by its bitmap, else its version."""
    at = 0
    while at + 4 <= len(body):
        kind, length = struct.unpack_from("!HH", body, at)
        if length < 4 or at + length > len(body):
            raise BadAnswer("a hello with an element of a wrong length")
        if kind == 1 and length >= 8:
            (bitmap,) = struct.unpack_from("!I", body, at + 4)
            return bool(bitmap >> VERSION & 1)
        at += (length + 7) // 8 * 8
    return version >= VERSION


def parse_features(body: bytes) -> Features:
    """Raises BadAnswer."""
    if len(body) < 24:
        raise BadAnswer("features that are cut off")
    datapath_id, tables, auxiliary = struct.unpack_from("!Q4xBB", body)
    return Features(datapath_id, tables, auxiliary)


def parse_error(body: bytes) -> ErrorAnswer:
    """Raises BadAnswer."""
    if len(body) < 4:
        raise BadAnswer("an error that is cut off")
    return ErrorAnswer(*struct.unpack_from("!HH", body))


def parse_role(body: bytes) -> tuple[int, int]:
    """Role and generation id (7.3.9). Raises BadAnswer."""
    if len(body) < 16:
        raise BadAnswer("a role that is cut off")
    role, generation = struct.unpack_from("!I4xQ", body)
    return role, generation


def parse_multipart(body: bytes) -> tuple[int, bool, bytes]:
    """Type, whether more parts follow, and the part (7.3.5). Raises BadAnswer."""
    if len(body) < 8:
        raise BadAnswer("a multipart reply that is cut off")
    kind, flags = struct.unpack_from("!HH", body)
    return kind, bool(flags & 1), body[8:]


def parse_packet_in(body: bytes) -> PacketIn:
    """Raises BadAnswer."""
    if len(body) < 24:
        raise BadAnswer("a packet-in that is cut off")
    (cookie, kind, length) = struct.unpack_from("!8xQHH", body)
    frame_at = 16 + (length + 7) // 8 * 8 + 2
    if kind != 1 or length < 4 or frame_at > len(body):
        raise BadAnswer("a packet-in with a match of a wrong length")
    try:
        port, _ = parse_fields(body[20 : 16 + length])[IN_PORT]
    except (BadMatch, KeyError):
        raise BadAnswer("a packet-in without its port") from None
    return PacketIn(cookie, int.from_bytes(port, "big"), body[frame_at:])


def parse_flow_removed(body: bytes) -> FlowRemoved:
    """Raises BadAnswer."""
    if len(body) < 48:
        raise BadAnswer("a flow-removed that is cut off")
    cookie, priority, table, kind, length = struct.unpack_from("!QHxB28xHH", body)
    if kind != 1 or not 4 <= length <= len(body) - 40:
        raise BadAnswer("a flow-removed with a match of a wrong length")
    return FlowRemoved(table, priority, cookie, body[44 : 40 + length])


def parse_description(body: bytes) -> str:
    """Manufacturer and software of OFPMP_DESC (7.3.5.1). Raises BadAnswer."""
    if len(body) < 1056:
        raise BadAnswer("a description that is cut off")
    fields = (body[256:512], body[512:768])
    words = (field.split(b"\0", 1)[0].decode("ascii", "replace") for field in fields)
    cut = " ".join(word for word in words if word)[:60]
    return "".join(char if char.isprintable() else " " for char in cut)


def parse_table_sizes(body: bytes) -> dict[int, int]:
    """Table to its greatest number of entries (7.3.5.5). Raises BadAnswer."""
    sizes: dict[int, int] = {}
    at = 0
    while at < len(body):
        if at + 64 > len(body):
            raise BadAnswer("table features that are cut off")
        length, table = struct.unpack_from("!HB", body, at)
        if length < 64 or at + length > len(body):
            raise BadAnswer("table features of a wrong length")
        (sizes[table],) = struct.unpack_from("!I", body, at + 60)
        at += length
    return sizes


def parse_meter_features(body: bytes) -> int:
    """The greatest number of meters (7.3.5.14). Raises BadAnswer."""
    if len(body) < 16:
        raise BadAnswer("meter features that are cut off")
    (most,) = struct.unpack_from("!I", body)
    return int(most)


def parse_meter_configs(body: bytes) -> list[MeterConfig]:
    """The meters in one part of the reply (7.3.5.13). Raises BadAnswer."""
    found = []
    at = 0
    while at < len(body):
        if at + 8 > len(body):
            raise BadAnswer("meters that are cut off")
        length, flags, meter = struct.unpack_from("!HHI", body, at)
        if length < 8 or at + length > len(body):
            raise BadAnswer("a meter of a wrong length")
        plain, rate, burst = False, 0, 0
        if length == 24:  # one band
            kind, _, rate, burst = struct.unpack_from("!HHII", body, at + 8)
            plain = kind == 1 and flags & 0b111 == 0b110
        found.append(MeterConfig(meter, plain, rate, burst))
        at += length
    return found


def parse_meter_stats(body: bytes) -> list[tuple[int, int]]:
    """Meters in one part of the reply, and the packets their bands took (7.3.5.12).

    Raises BadAnswer.
    """
    found = []
    at = 0
    while at < len(body):
        if at + 40 > len(body):
            raise BadAnswer("meter statistics that are cut off")
        meter, length = struct.unpack_from("!IH", body, at)
        if length < 40 or length % 16 != 8 or at + length > len(body):
            raise BadAnswer("meter statistics of a wrong length")
        bands = (
            struct.unpack_from("!Q", body, band)[0] for band in range(at + 40, at + length, 16)
        )
        found.append((meter, sum(bands)))
        at += length
    return found
