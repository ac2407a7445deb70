"""The SIP messages of a capture, UDP and TCP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sdnblock.block import TCP
from sdnblock.evidence.capture import read_capture
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.frames import Segment
from sdnblock.evidence.sip import SipMessage, parse_message
from sdnblock.evidence.tcp import TcpDirection

_STREAMS: Final = 10_000


def read_events(path: Path) -> Iterator[SipSeen]:
    """Every SIP message of a capture. Raises CaptureError."""
    streams: dict[tuple[bytes, int, bytes, int], TcpDirection] = {}
    name = path.name
    for time, segment in read_capture(path):
        payload = segment.payload
        if segment.protocol != TCP:
            message = parse_message(payload) if payload else None
            if message is not None:
                yield SipSeen(
                    time, segment.protocol, segment.source, segment.source_port,
                    segment.destination, segment.destination_port, message, name,
                )  # fmt: skip
            continue
        key = (segment.source, segment.source_port, segment.destination, segment.destination_port)
        if segment.payload:
            if key not in streams and len(streams) >= _STREAMS:
                streams.clear()
            # Both sides have sent data: no forged segments, the connection stands.
            stands = (*key[2:], *key[:2]) in streams
            stream = streams.setdefault(key, TcpDirection())
            for message in stream.feed(segment.sequence, segment.payload):
                yield _seen(time, segment, message, name, stands and stream.in_step)
        if segment.ends:
            streams.pop(key, None)


def _seen(
    time: float, segment: Segment, message: SipMessage, via: str, established: bool = False
) -> SipSeen:
    return SipSeen(
        time, segment.protocol, segment.source, segment.source_port,
        segment.destination, segment.destination_port, message, via, established=established,
    )  # fmt: skip
