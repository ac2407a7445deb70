"""Evidence: observed facts about sources, as one stream of typed events.

Each event names its grade (DESIGN's words): *spoofable* is anything that one
forged UDP packet can cause; *proven* needed a round trip.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdnblock.block import Prefix, Source
from sdnblock.evidence.sip import SipMessage


@dataclass(frozen=True, slots=True)
class RateCrossed:
    """Evidence: a source's SIP requests reached the threshold within one window.

    ``source`` is an IPv4 host or an IPv6 /64. Grade: spoofable.
    """

    switch: str
    source: Source | Prefix
    requests: int
    window_seconds: float
    port: int


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """Evidence: a packet that the switch sampled for us. Grade: spoofable.

    ``frame`` is the Ethernet frame, possibly truncated, as it entered ``port``.
    """

    switch: str
    port: int
    reason: int
    frame: bytes


SwitchEvidence = RateCrossed | FirstPacket


@dataclass(frozen=True, slots=True)
class SipSeen:
    """Evidence: a SIP message on its way from ``source`` to ``destination``.

    ``time`` is when it was seen there (Unix seconds), addresses are packed, ``protocol`` is
    the IP protocol number. ``via`` names who reported it: a switch, a HEP sender, a capture.
    """

    time: float
    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    message: SipMessage
    via: str
