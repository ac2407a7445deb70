"""SIP packets a second through parser and detectors, on one core.

    python -m bench.replay_bench

Two hundred phones that register with a challenge, and one attacker among them.
"""

from __future__ import annotations

import statistics
import time

from sdnblock.block import UDP, parse_prefix
from sdnblock.detect.engine import Engine
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.frames import decode
from sdnblock.evidence.sip import parse_message
from tests.dataplane import packets as p

_COUNT = 50_000


def frames() -> list[bytes]:
    """The packets, each of its own call."""
    found = []
    for number in range(_COUNT):
        user = number % 200
        text = (
            f"REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}"
            f"\r\nFrom: <sip:{user}@example.net>;tag=t{number}\r\nTo: <sip:{user}@example.net>\r\n"
            f"Call-ID: {number}@192.0.2.1\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:{user}@192.0.2.1:5060>;expires=3600\r\nUser-Agent: Phone/1.0\r\n"
            "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE\r\nContent-Length: 0\r\n\r\n"
        )
        found.append(p.v4(text.encode(), source=f"192.0.2.{1 + user}"))
    return found


def main() -> None:
    """Measure and print."""
    packets, rates = frames(), []
    for _ in range(5):
        engine = Engine(DetectSettings(), Sides([parse_prefix("198.51.100.0/24")]))
        began = time.perf_counter()
        for number, frame in enumerate(packets):
            segment = decode(1, frame)
            message = parse_message(segment.payload) if segment else None
            if segment is None or message is None:
                continue
            ends = (segment.source, segment.source_port, segment.destination)
            engine.observe(
                SipSeen(number / 1000, UDP, *ends, segment.destination_port, message, "bench")
            )
        rates.append(_COUNT / (time.perf_counter() - began))
    print(f"frames, parser and detectors: median {statistics.median(rates):,.0f} packets/s")


if __name__ == "__main__":
    main()
