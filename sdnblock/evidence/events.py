"""Evidence: observed facts about sources, as one stream of typed events.

Each event names its grade: *spoofable* is anything that one
forged UDP packet can cause; *proven* needed a round trip.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action, Prefix, Source
from sdnblock.evidence.sip import SipMessage

_HOST_PART: Final = bytes(8)

REASON_WATCHED: Final = 1
REASON_FIRST: Final = 2
REASON_ANSWER: Final = 3


@dataclass(frozen=True, slots=True)
class RateCrossed:
    """Evidence: a source's SIP requests reached the threshold within one window.

    ``source`` is an IPv4 host or an IPv6 /64. Grade: spoofable. ``port`` 0: not a switch has
    counted them, but whoever ``switch`` names.
    """

    switch: str
    source: Source | Prefix
    requests: int
    window_seconds: float
    port: int
    time: float = field(compare=False)
    """When the controller heard of it, in Unix seconds; so in the other events of switches."""


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """Evidence: a packet that the switch copied for us. Grade: spoofable.

    ``frame`` is the Ethernet frame, possibly truncated, as it entered ``port``; ``reason`` one
    of REASON_WATCHED (of a watched source), REASON_FIRST (a request among the first of its
    source) and REASON_ANSWER (our final response to one of those).
    """

    switch: str
    port: int
    reason: int
    frame: bytes
    time: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class OutcomeCrossed:
    """Evidence: what our servers answered a remote made a switch's outcome walk cross.

    ``source`` is an IPv4 host or an IPv6 /64; ``score`` is what the walk had reached.
    ``held``: the switch limits or drops it already, for ``hold_seconds``. Grade: spoofable,
    since requests can be forged in somebody's name.
    """

    switch: str
    source: Source | Prefix
    score: int
    held: Action | None
    hold_seconds: float
    time: float = field(compare=False)


SwitchEvidence = RateCrossed | OutcomeCrossed | FirstPacket


@dataclass(slots=True, init=False)  # one is made of every packet: its __init__ is written out
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
    inbound: bool | None = None
    """Whether it came in from the untrusted side; None where only the addresses can tell."""
    established: bool = False
    """Whether the reporter knows that the TCP connection really stands: a SIP server that took
    the message from it, or a capture that has both directions. A segment that a switch copied
    may be forged."""
    sampled: bool = False
    """Whether the reporter shows only some of the messages that it sees."""
    whole: bool = True
    """Whether its headers, ports and transport are known; False: a request of which somebody
    has told only the method and a few headers."""
    site: bytes = field(init=False, repr=False, compare=False)
    """The source's: itself, or its /64 (see :mod:`sdnblock.detect.site`). Many ask for it."""
    words: tuple[bytes | str, ...] | None = field(
        default=None, init=False, repr=False, compare=False
    )
    """For detectors, of a request (see :mod:`sdnblock.detect.words`)."""

    def __init__(
        self, time: float, protocol: int, source: bytes, source_port: int, destination: bytes,
        destination_port: int, message: SipMessage, via: str, inbound: bool | None = None,
        established: bool = False, sampled: bool = False, whole: bool = True,
    ) -> None:  # fmt: skip
        self.time = time
        self.protocol = protocol
        self.source = source
        self.source_port = source_port
        self.destination = destination
        self.destination_port = destination_port
        self.message = message
        self.via = via
        self.inbound = inbound
        self.established = established
        self.sampled = sampled
        self.whole = whole
        self.site = source if len(source) == 4 else source[:8] + _HOST_PART
        self.words = None


Evidence = SipSeen | RateCrossed | OutcomeCrossed
"""What detectors look at (a FirstPacket becomes a SipSeen)."""
