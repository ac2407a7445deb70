"""From a frame to the UDP or TCP payload in it: Ethernet with VLAN tags, Linux cooked, raw IP.

As the switches' pipeline: up to two VLAN tags, IPv4 options, IPv6 extension headers; of
fragments only the first is looked at. What is cut short or unknown gives None.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from sdnblock.block import TCP, UDP

# Link types of pcap (tcpdump.org/linktypes.html).
NULL: Final = 0
ETHERNET: Final = 1
RAW_BSD: Final = 12
RAW_OPENBSD: Final = 14
RAW: Final = 101
LINUX_SLL: Final = 113
IPV4: Final = 228
IPV6: Final = 229
LINUX_SLL2: Final = 276

LINK_TYPES: Final = frozenset(
    {NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW, LINUX_SLL, IPV4, IPV6, LINUX_SLL2}
)

_VLAN: Final = frozenset({0x8100, 0x88A8, 0x9100})
_EXTENSIONS: Final = frozenset({0, 43, 44, 51, 60})
_PORTS = struct.Struct("!HH")
_SEQUENCE = struct.Struct("!I")
_PLAIN = struct.Struct("!12xHBxH2xHxB2x4s4sHH4x")
"""Ethernet, IPv4 and UDP without tags and options: type; version and size; length; fragment;
protocol; addresses; ports."""
_PLAIN_SIZE: Final = _PLAIN.size
_FIN_RST: Final = 0x05


@dataclass(slots=True, init=False)  # one of every packet: its __init__ is written out
class Segment:
    """A UDP datagram, or a TCP segment with its sequence number."""

    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    payload: bytes
    sequence: int = 0
    ends: bool = False
    """Whether a TCP segment closes its direction (FIN or RST)."""

    def __init__(
        self, protocol: int, source: bytes, source_port: int, destination: bytes,
        destination_port: int, payload: bytes, sequence: int = 0, ends: bool = False,
    ) -> None:  # fmt: skip
        self.protocol = protocol
        self.source = source
        self.source_port = source_port
        self.destination = destination
        self.destination_port = destination_port
        self.payload = payload
        self.sequence = sequence
        self.ends = ends


def decode(link_type: int, frame: bytes) -> Segment | None:
    """The segment in a frame of a link type of LINK_TYPES; None if there is none."""
    if link_type == ETHERNET:
        if len(frame) >= _PLAIN_SIZE:  # what nearly all are, in one step
            kind, head, total, fragment, protocol, source, destination, port, to = (
                _PLAIN.unpack_from(frame)
            )
            plain = kind == 0x0800 and head == 0x45 and protocol == UDP
            if plain and not fragment & 0x1FFF and total >= 28:
                return Segment(UDP, source, port, destination, to, frame[42 : 14 + total])
        return _ethernet(frame)
    if link_type == LINUX_SLL:
        return _by_type(frame, 14)
    if link_type == LINUX_SLL2:
        return _by_type(frame, 0, 20)
    if link_type == NULL:
        return _ip(frame, 4)
    return _ip(frame, 0)


def _ethernet(frame: bytes) -> Segment | None:
    return _by_type(frame, 12)


def _by_type(frame: bytes, at: int, after: int | None = None) -> Segment | None:
    """What follows an EtherType at ``at`` (the payload begins at ``after``, else behind it)."""
    if len(frame) < at + 2:
        return None
    kind = frame[at] << 8 | frame[at + 1]
    at = at + 2 if after is None else after
    for _ in range(2):
        if kind not in _VLAN or len(frame) < at + 4:
            break
        kind = frame[at + 2] << 8 | frame[at + 3]
        at += 4
    return _ip(frame, at) if kind in (0x0800, 0x86DD) else None


def _ip(frame: bytes, at: int) -> Segment | None:
    if len(frame) < at + 20:
        return None
    version = frame[at] >> 4
    if version == 4:
        return _ipv4(frame, at)
    return _ipv6(frame, at) if version == 6 else None


def _ipv4(frame: bytes, at: int) -> Segment | None:
    header = (frame[at] & 15) * 4
    total = frame[at + 2] << 8 | frame[at + 3]
    fragment = (frame[at + 6] << 8 | frame[at + 7]) & 0x1FFF
    if header < 20 or fragment or len(frame) < at + header:
        return None
    # Zero: left to the network card by the sender (TCP segmentation offload).
    end = min(len(frame), at + total) if total >= header else len(frame)
    source, destination = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    return _l4(frame, at + header, end, frame[at + 9], source, destination)


def _ipv6(frame: bytes, at: int) -> Segment | None:
    if len(frame) < at + 40:
        return None
    length = frame[at + 4] << 8 | frame[at + 5]
    kind = frame[at + 6]
    source, destination = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    at += 40
    end = min(len(frame), at + length) if length else len(frame)
    for _ in range(4):
        if kind not in _EXTENSIONS:
            break
        if end < at + 8:
            return None
        if kind == 44:
            if (frame[at + 2] << 8 | frame[at + 3]) & 0xFFF8:
                return None
            size = 8
        else:
            size = (frame[at + 1] + 2) * 4 if kind == 51 else (frame[at + 1] + 1) * 8
        kind = frame[at]
        at += size
    return _l4(frame, at, end, kind, source, destination)


def _l4(
    frame: bytes, at: int, end: int, protocol: int, source: bytes, destination: bytes
) -> Segment | None:
    if protocol == UDP:
        if end < at + 8:
            return None
        ports = _PORTS.unpack_from(frame, at)
        return Segment(UDP, source, ports[0], destination, ports[1], frame[at + 8 : end])
    if protocol == TCP:
        if end < at + 20:
            return None
        ports = _PORTS.unpack_from(frame, at)
        sequence: int = _SEQUENCE.unpack_from(frame, at + 4)[0]
        start = at + (frame[at + 12] >> 4) * 4
        if start < at + 20:
            return None
        ends = bool(frame[at + 13] & _FIN_RST)
        payload = frame[start:end] if start < end else b""  # as in sip.parse_message
        return Segment(TCP, source, ports[0], destination, ports[1], payload, sequence, ends)
    return None
