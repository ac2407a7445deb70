"""HEP version 3 packets as senders make them, for tests."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from sdnblock.block import TCP, UDP
from sdnblock.evidence.hep import HepPacket

ATTACKER: Final = bytes((203, 0, 113, 66))
SERVER: Final = bytes((198, 51, 100, 10))
OPTIONS: Final = (
    b"OPTIONS sip:100@198.51.100.10 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 203.0.113.66:5061;branch=z9hG4bK-1\r\n"
    b"From: <sip:100@203.0.113.66>;tag=1\r\nTo: <sip:100@198.51.100.10>\r\n"
    b"Call-ID: 1@203.0.113.66\r\nCSeq: 1 OPTIONS\r\nUser-Agent: friendly-scanner\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def chunk(kind: int, value: bytes, vendor: int = 0) -> bytes:
    """One chunk."""
    return struct.pack("!HHH", vendor, kind, 6 + len(value)) + value


def packet(*chunks: bytes) -> bytes:
    """A packet of chunks."""
    body = b"".join(chunks)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def hep(
    payload: bytes = OPTIONS,
    *,
    source: bytes = ATTACKER,
    source_port: int = 5061,
    destination: bytes = SERVER,
    destination_port: int = 5060,
    time: float | None = 1_700_000_000.25,
    protocol: int = UDP,
    kind: int = 1,
    agent: int = 2001,
    node: bytes = b"",
    key: bytes = b"",
    deflate: bool = False,
    more: bytes = b"",
) -> bytes:
    """A packet as Kamailio's siptrace makes it; ``more`` chunks follow."""
    four = len(source) == 4
    chunks = [
        chunk(1, bytes((2 if four else 10,))),
        chunk(2, bytes((protocol,))),
        chunk(3 if four else 5, source),
        chunk(4 if four else 6, destination),
        chunk(7, struct.pack("!H", source_port)),
        chunk(8, struct.pack("!H", destination_port)),
    ]
    if time is not None:
        chunks += [chunk(9, struct.pack("!I", int(time)))]
        chunks += [chunk(10, struct.pack("!I", round(time % 1 * 1e6) % 1_000_000))]
    chunks += [chunk(11, bytes((kind,))), chunk(12, struct.pack("!I", agent))]
    chunks += [chunk(17, b"1@203.0.113.66")]
    if key:
        chunks.append(chunk(14, key))
    if node:
        chunks.append(chunk(19, node))
    chunks.append(chunk(16, zlib.compress(payload)) if deflate else chunk(15, payload))
    return packet(*chunks, more)


def again(parsed: HepPacket) -> bytes:
    """The packet that says what ``parsed`` says (its payload as it came)."""
    made = hep(
        parsed.payload, source=parsed.source, source_port=parsed.source_port,
        destination=parsed.destination, destination_port=parsed.destination_port,
        time=parsed.time, protocol=parsed.protocol or 132, kind=parsed.kind, agent=parsed.agent,
        node=parsed.node.encode("ascii"), key=parsed.key,
        more=chunk(18, b"\0\0") if parsed.sniffed else b"",
    )  # fmt: skip
    if parsed.deflated:  # the payload's chunk is the last but for the VLAN's
        made = made.replace(chunk(15, parsed.payload), chunk(16, parsed.payload))
    return made


TRANSPORTS: Final = {UDP: UDP, TCP: TCP, 22: TCP, 50: TCP, 132: 0}
"""What senders write for the transport, and what it is."""
