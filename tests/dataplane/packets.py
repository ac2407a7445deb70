"""Building frames byte by byte, also those that no stack would send."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

UDP, TCP = 17, 6

HOST = b"\x02\x00\x00\x00\x00\x01"
"""A MAC address that l2_forward tables of the corpus know."""
STRANGER = b"\x02\x00\x00\x00\x00\x99"
SENDER = b"\x02\x00\x00\x00\x00\x77"

OPTIONS = b"OPTIONS sip:x@example.net SIP/2.0\r\n"


def ether(payload: bytes, kind: int, *, vlans: tuple[int, ...] = (), to: bytes = HOST) -> bytes:
    """An Ethernet frame; ``vlans`` are the EtherTypes of its tags, outermost first."""
    frame = to + SENDER
    for tag in vlans:
        frame += struct.pack("!HH", tag, 5)
    return frame + struct.pack("!H", kind) + payload


def ip4(
    payload: bytes,
    protocol: int,
    source: str = "203.0.113.7",
    destination: str = "198.51.100.9",
    *,
    options: bytes = b"",
    words: int | None = None,
    version: int = 4,
    fragment: int = 0,
    total: int | None = None,
) -> bytes:
    """An IPv4 packet (RFC 791, 3.1); ``fragment`` is flags and offset."""
    words = 5 + len(options) // 4 if words is None else words
    total = 20 + len(options) + len(payload) if total is None else total
    return (
        struct.pack(
            "!BBHHHBBH4s4s",
            version << 4 | words, 0, total & 0xFFFF, 1, fragment, 64, protocol, 0,
            socket.inet_aton(source), socket.inet_aton(destination),
        )
        + options + payload
    )  # fmt: skip


def ip6(
    payload: bytes,
    next_header: int,
    source: str = "2001:db8::7",
    destination: str = "2001:db8:5::9",
    *,
    version: int = 6,
    length: int | None = None,
) -> bytes:
    """An IPv6 packet (RFC 8200, 3)."""
    length = len(payload) if length is None else length
    return (
        struct.pack("!IHBB", version << 28, length & 0xFFFF, next_header, 64)
        + socket.inet_pton(socket.AF_INET6, source)
        + socket.inet_pton(socket.AF_INET6, destination)
        + payload
    )


def extension(payload: bytes, next_header: int, units: int = 0) -> bytes:
    """A hop-by-hop, routing or destination header of ``units`` times 8 bytes beyond 8."""
    return struct.pack("!BB", next_header, units) + bytes(6 + 8 * units) + payload


def authentication(payload: bytes, next_header: int, units: int = 4) -> bytes:
    """An authentication header (RFC 4302, 2)."""
    return struct.pack("!BB", next_header, units) + bytes(6 + 4 * units) + payload


def fragment6(payload: bytes, next_header: int, offset: int = 0, more: int = 0) -> bytes:
    """A fragment header (RFC 8200, 4.5)."""
    return struct.pack("!BBHI", next_header, 0xFF, offset << 3 | more, 7) + payload


def udp(
    payload: bytes = OPTIONS, source: int = 5060, destination: int = 5060, *,
    length: int | None = None,
) -> bytes:  # fmt: skip
    """A UDP datagram without checksum."""
    length = 8 + len(payload) if length is None else length
    return struct.pack("!HHHH", source, destination, length & 0xFFFF, 0) + payload


def tcp(
    payload: bytes = OPTIONS, source: int = 5060, destination: int = 5060, *,
    options: bytes = b"", words: int | None = None,
) -> bytes:  # fmt: skip
    """A TCP segment."""
    words = 5 + len(options) // 4 if words is None else words
    return (
        struct.pack("!HHIIBBHHH", source, destination, 1, 1, words << 4, 0x18, 1000, 0, 0)
        + options + payload
    )  # fmt: skip


def v4(payload: bytes = OPTIONS, source: str = "203.0.113.7", **more: object) -> bytes:
    """A plain SIP request over UDP and IPv4. ``more`` goes to :func:`udp`, ``to`` to ether."""
    to = more.pop("to", HOST)
    assert isinstance(to, bytes)
    return ether(ip4(udp(payload, **more), UDP, source), 0x0800, to=to)  # type: ignore[arg-type]


def v6(payload: bytes = OPTIONS, source: str = "2001:db8::7", **more: object) -> bytes:
    """The same over IPv6."""
    return ether(ip6(udp(payload, **more), UDP, source), 0x86DD)  # type: ignore[arg-type]


def padded(frame: bytes, length: int = 60) -> bytes:
    """A frame as a real network card sends it: never shorter than 60 bytes."""
    return frame + bytes(max(0, length - len(frame)))


@dataclass(frozen=True)
class Packet:
    """A frame, the port it comes in at, and seconds to wait before it."""

    port: int
    frame: bytes
    pause: float = 0.0
