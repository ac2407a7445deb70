"""HEP version 3, the encapsulation in which SIP servers copy their messages to Homer.

A packet is ``HEP3``, its length (16 bits, all of it), and chunks: vendor, type, length (16
bits each, the length with these six bytes), value; big-endian. Chunks of other vendors and
unknown types are passed over. Hostile input: whatever is wrong is a :class:`HepError` with
one of a few reasons, nothing is inflated before somebody asks for it, and then to 64 KiB
at most.

As Kamailio (siptrace), OpenSIPS (proto_hep), Asterisk (res_hep), FreeSWITCH (sofia-sip),
rtpengine and heplify send it: protocol 22 stands for TLS or WebSocket, 50 for WebSocket
(OpenSIPS), both over TCP. Asterisk gives IPv4-mapped IPv6 addresses where it listens on both.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import TCP, UDP

SIP: Final = 1
"""The payload type of SIP. Others: 5 RTCP as JSON, 100 a log line, 61 rtpengine's control."""

MAX_PACKET: Final = 65535
MAX_INFLATED: Final = 65536

_MAGIC: Final = b"HEP3"
_HEAD: Final = 6
_MAPPED: Final = bytes(10) + b"\xff\xff"
_TRANSPORTS: Final = {UDP: UDP, TCP: TCP, 22: TCP, 50: TCP}

(_FAMILY, _PROTOCOL, _SOURCE_4, _DESTINATION_4, _SOURCE_6, _DESTINATION_6) = range(1, 7)
(_SOURCE_PORT, _DESTINATION_PORT, _SECONDS, _MICROSECONDS, _KIND, _AGENT) = range(7, 13)
_KEY, _PAYLOAD, _DEFLATED, _CORRELATION, _VLAN, _NODE = 14, 15, 16, 17, 18, 19
_TCP_FLAGS, _TOS = 23, 24

_SIZES: Final = {
    _FAMILY: 1, _PROTOCOL: 1, _SOURCE_4: 4, _DESTINATION_4: 4, _SOURCE_6: 16, _DESTINATION_6: 16,
    _SOURCE_PORT: 2, _DESTINATION_PORT: 2, _SECONDS: 4, _MICROSECONDS: 4, _KIND: 1, _AGENT: 4,
}  # fmt: skip
"""Bytes of the values that have a fixed size."""
_WHOLE: Final = {kind: _HEAD + size for kind, size in _SIZES.items()}
_CHUNK = struct.Struct("!HHH")
_SNIFFER: Final = frozenset({_VLAN, _TCP_FLAGS, _TOS})
_V6_FAMILIES: Final = frozenset({10, 28, 30})
"""AF_INET6 of Linux, FreeBSD and macOS: each sender writes its own."""


class HepError(Exception):
    """A packet that is refused; the text is one of a few reasons, without the packet's words."""


@dataclass(frozen=True, slots=True)
class HepPacket:
    """What a packet says. Addresses are packed, as in all evidence."""

    protocol: int
    """UDP or TCP: what carried the message, also under TLS or WebSocket; 0: something else."""
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    time: float | None
    """Unix seconds by the sender's clock; None if it gives none."""
    kind: int
    """What the payload is."""
    agent: int
    """Capture agent id, 0 if it gives none."""
    node: str
    """The sender's name, printable ASCII of at most 64 letters; empty if it gives none."""
    key: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    deflated: bool = False
    sniffed: bool = False
    """Whether the sender looks at packets (it knows VLAN tags or TCP flags), so that it cannot
    know whether a TCP connection stands."""

    def content(self) -> bytes:
        """The payload, inflated if need be. Raises HepError."""
        return _inflate(self.payload) if self.deflated else self.payload


def parse_hep(packet: bytes) -> HepPacket:
    """A packet; bytes behind its length are passed over. Raises HepError."""
    chunks = _chunks(packet)
    source, destination = _addresses(chunks)
    payload, deflated = chunks.get(_PAYLOAD), chunks.get(_DEFLATED)
    if (payload is None) == (deflated is None):
        raise HepError("it has no payload, or two")
    if _PROTOCOL not in chunks or _KIND not in chunks:
        raise HepError("it does not say its transport or what it carries")
    seconds = chunks.get(_SECONDS)
    microseconds = int.from_bytes(chunks.get(_MICROSECONDS, b""), "big")
    if microseconds >= 1_000_000:
        raise HepError("its time cannot be")
    return HepPacket(
        protocol=_TRANSPORTS.get(chunks[_PROTOCOL][0], 0),
        source=source,
        source_port=int.from_bytes(chunks.get(_SOURCE_PORT, b""), "big"),
        destination=destination,
        destination_port=int.from_bytes(chunks.get(_DESTINATION_PORT, b""), "big"),
        time=None if seconds is None else int.from_bytes(seconds, "big") + microseconds / 1e6,
        kind=chunks[_KIND][0],
        agent=int.from_bytes(chunks.get(_AGENT, b""), "big"),
        node="".join(
            chr(each) if 32 <= each < 127 else "?" for each in chunks.get(_NODE, b"")[:64]
        ),
        key=chunks.get(_KEY, b""),
        payload=payload if payload is not None else deflated or b"",
        deflated=payload is None,
        sniffed=not _SNIFFER.isdisjoint(chunks),
    )


class HepStream:
    """Packets out of a TCP connection. How it is cut into pieces makes no difference."""

    def __init__(self) -> None:
        self._pending = bytearray()

    @property
    def kept(self) -> int:
        """Bytes that wait for the rest of their packet: less than MAX_PACKET."""
        return len(self._pending)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The packets that are whole with ``data``; to be taken to the end.

        Raises HepError behind the last of them, then and from then on, when something else than
        a packet begins: there is no way back into step.
        """
        pending, at = self._pending, 0
        pending += data
        try:
            while len(head := bytes(pending[at : at + _HEAD])) == _HEAD:
                length = _length(head)
                if len(pending) - at < length:
                    return
                yield bytes(pending[at : at + length])
                at += length
            _check_magic(head)
        except HepError:
            del pending[at + _HEAD :]  # what is wrong stays, to be wrong again
            raise
        finally:
            del pending[:at]


def _length(data: bytes) -> int:
    _check_magic(data)
    length = data[4] << 8 | data[5]
    if length < _HEAD:
        raise HepError("its length cannot be")
    return length


def _check_magic(start: bytes) -> None:
    if _MAGIC.startswith(start[:4]):
        return
    if start[0] in (1, 2):
        raise HepError("it is HEP version 1 or 2: have the sender send version 3")
    raise HepError("it is not HEP version 3")


def _chunks(packet: bytes) -> dict[int, bytes]:
    """The generic chunks by their types: those of fixed size have it, none is there twice."""
    if len(packet) < _HEAD:
        raise HepError("it is too short")
    end, at = _length(packet), _HEAD
    if end > len(packet):
        raise HepError("it breaks off")
    found: dict[int, bytes] = {}
    while at < end:
        if end - at < _HEAD:
            raise HepError("a chunk breaks off")
        vendor, kind, size = _CHUNK.unpack_from(packet, at)
        if not _HEAD <= size <= end - at:
            raise HepError("a chunk breaks off")
        if not vendor:  # generic
            if kind in found or _WHOLE.get(kind, size) != size:
                raise HepError("a chunk cannot be")
            found[kind] = packet[at + _HEAD : at + size]
        at += size
    return found


def _addresses(chunks: dict[int, bytes]) -> tuple[bytes, bytes]:
    four, six = chunks.get(_SOURCE_4), chunks.get(_SOURCE_6)
    source = four if four is not None else six
    destination = chunks.get(_DESTINATION_4 if four is not None else _DESTINATION_6)
    family = chunks.get(_FAMILY)
    if source is None or destination is None or (four is not None and six is not None):
        raise HepError("it has no two addresses of one family")
    if family is not None and (family[0] == 2) != (four is not None):
        raise HepError("it has no two addresses of one family")
    if family is not None and four is None and family[0] not in _V6_FAMILIES:
        raise HepError("it has no two addresses of one family")
    if four is None and (source.startswith(_MAPPED) or destination.startswith(_MAPPED)):
        return _unmapped(source), _unmapped(destination)
    return source, destination


def _unmapped(address: bytes) -> bytes:
    """The IPv4 address in an IPv4-mapped one (RFC 4291, 2.5.5.2); ``::`` means any of both."""
    if not address.startswith(_MAPPED) and any(address):
        raise HepError("it has no two addresses of one family")
    return address[12:]


def _inflate(payload: bytes) -> bytes:
    """Zlib or gzip, as senders differ."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        content = inflater.decompress(payload, MAX_INFLATED)
    except zlib.error:
        raise HepError("its payload cannot be inflated") from None
    if not inflater.eof:
        raise HepError("its payload cannot be inflated")
    return content
