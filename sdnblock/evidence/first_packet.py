"""A packet that a switch copied for us, as the SIP message in it."""

from __future__ import annotations

from sdnblock.evidence.events import REASON_ANSWER, FirstPacket, SipSeen
from sdnblock.evidence.frames import ETHERNET, decode
from sdnblock.evidence.sip import parse_message


def read_first_packet(packet: FirstPacket) -> SipSeen | None:
    """The message; None if the frame holds none that can be read.

    Of a TCP stream only a segment that begins a message is understood: the others were not
    copied.
    """
    segment = decode(ETHERNET, packet.frame)
    message = parse_message(segment.payload) if segment is not None and segment.payload else None
    if segment is None or message is None:
        return None
    return SipSeen(
        packet.time, segment.protocol, segment.source, segment.source_port,
        segment.destination, segment.destination_port, message, packet.switch,
        inbound=packet.reason != REASON_ANSWER, sampled=True,
    )  # fmt: skip
