"""From HEP packets to evidence: who is believed, what is refused, and how much of each.

Nothing of a packet is inflated or read as SIP before its sender and its key are known.
"""

from __future__ import annotations

import hmac
from typing import Final

from sdnblock.block import TCP, format_address
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.hep import SIP, HepError, HepPacket, parse_hep
from sdnblock.evidence.senders import Among, HepSettings
from sdnblock.evidence.sip import SipMessage, parse_message
from sdnblock.evidence.tally import Tally

_AHEAD: Final = 2.0
_BEHIND: Final = 10.0
"""Seconds up to which a sender's clock is as good as ours: a message that has waited for its
turn was seen when it was seen, or a burst would be made of it."""
_NAMES: Final = 1024


class HepIntake:
    """Admits packets of known senders with the right key. No I/O, no clock of its own."""

    def __init__(self, settings: HepSettings, key: bytes | None) -> None:
        self._key = key
        self._max_age = settings.max_age
        self._senders = Among(settings.senders)
        self._keyless = Among(settings.keyless)
        self._sniffers = Among(settings.sniffers)
        self._partial = Among(settings.partial)
        self._names: dict[tuple[bytes, str, int], str] = {}
        self.tally = Tally()

    def knows(self, address: bytes) -> bool:
        """Whether a sender is on the list; counts it if it is not."""
        if address in self._senders:
            return True
        self.tally.refuse("the sender is not on the list", format_address(address))
        return False

    def take(self, address: bytes, packet: bytes, now: float) -> SipSeen | None:
        """The evidence in a packet from ``address``; None if it is refused or holds no SIP."""
        if not self.knows(address):
            return None
        try:
            return self._take(address, parse_hep(packet), now)
        except HepError as error:
            self.tally.refuse(str(error), format_address(address))
            return None

    def _take(self, address: bytes, packet: HepPacket, now: float) -> SipSeen | None:
        if self._key is not None and not hmac.compare_digest(packet.key, self._key):
            if packet.key:
                raise HepError("its key is wrong")
            if address not in self._keyless:
                raise HepError("it has no key")
        if packet.kind != SIP:
            self.tally.ignored[f"payload type {packet.kind}"] += 1
            return None
        message = parse_message(packet.content())
        if message is None:
            self.tally.ignored["no SIP message in it"] += 1  # keepalives, for instance
            return None
        if not packet.protocol:
            raise HepError("its SIP came over neither UDP nor TCP")
        _check_addresses(packet, message)
        seen_at = self._time(packet, now)
        self.tally.judged += 1
        known = packet.protocol == TCP and not packet.sniffed and address not in self._sniffers
        return SipSeen(
            seen_at, packet.protocol, packet.source, packet.source_port, packet.destination,
            packet.destination_port, message, self._name(address, packet), established=known,
            sampled=address in self._partial,
        )  # fmt: skip

    def _time(self, packet: HepPacket, now: float) -> float:
        """When it was seen: by the sender's clock if that is in step, else now."""
        if packet.time is None:
            return now
        behind = now - packet.time
        if abs(behind) > self._max_age:
            raise HepError(
                "its time is far from ours: set the clocks, or the sender sends what it kept"
            )
        return packet.time if -_AHEAD <= behind <= _BEHIND else now

    def _name(self, address: bytes, packet: HepPacket) -> str:
        """Who reports it, for people: always the same text for the same sender."""
        key = (address, packet.node, packet.agent)
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _NAMES:
                self._names.clear()
            own = packet.node or (f"agent {packet.agent}" if packet.agent else "")
            name = f"HEP of {format_address(address)}{f' ({own})' if own else ''}"
            self._names[key] = name
        return name


def _check_addresses(packet: HepPacket, message: SipMessage) -> None:
    """The remote end must be somebody, and of a request both: a flow can be made of them."""
    if not message.is_request:
        if not _somebody(packet.destination):
            raise HepError("its address is nobody's")
        return
    if not _somebody(packet.source) or not packet.source_port:
        raise HepError("its address is nobody's")
    if not _somebody(packet.destination) or not packet.destination_port:
        raise HepError(
            "it does not say where the request came to: let the server listen on single"
            " addresses, not on all"
        )


def _somebody(address: bytes) -> bool:
    """Whether it can be one host: not unspecified, multicast or broadcast."""
    if len(address) == 4:
        return 0 < address[0] < 224
    return any(address) and address[0] != 0xFF
