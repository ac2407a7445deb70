"""Digests and packets from a switch as evidence, and the bounded queue they wait in."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from finsy.proto import p4d, p4r

from sdnblock.block import Action, Prefix, Source
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import FirstPacket, OutcomeCrossed, RateCrossed, SwitchEvidence
from sdnblock.switches.p4runtime.schema import REQUEST_RATE, Schema
from sdnblock.switches.p4runtime.values import BadValue, number, widen
from sdnblock.switches.settings import SwitchSettings

QUEUE_SIZE: Final = 4096
"""Events that wait for a slow consumer. Packets take at most half of it: a flood of samples
must not push out the digests."""

_MAPPED: Final = bytes(10) + b"\xff\xff"


class BadNotice(SwitchError):
    """A digest or packet of another shape than the P4Info's."""


def decode_packet(
    switch: str, schema: Schema, packet: p4r.PacketIn, longest: int = 0
) -> FirstPacket:
    """A sampled packet, cut to ``longest`` bytes (0: not cut). Raises BadNotice."""
    values = {m.metadata_id: m.value for m in packet.metadata}
    port, reason = schema.packet_in["ingress_port"], schema.packet_in["reason"]
    try:
        return FirstPacket(
            switch=switch,
            port=number(values.get(port.id, b""), port.bits),
            reason=number(values.get(reason.id, b""), reason.bits),
            frame=packet.payload[: longest or None],
            time=time.time(),
        )
    except BadValue as error:
        raise BadNotice(f"packet-in: {error}") from None


def decode_digest(
    settings: SwitchSettings, name: str, data: p4d.P4Data
) -> RateCrossed | OutcomeCrossed:
    """One ``request_rate_t`` or ``outcome_t``. Raises BadNotice."""
    members = data.struct.members
    if len(members) != 3:
        raise BadNotice(f"digest of {len(members)} members")
    try:
        source = _remote(widen(members[0].bitstring, 16))
        value = number(members[1].bitstring, 16)
        port = number(members[2].bitstring, 16)
    except BadValue as error:
        raise BadNotice(f"digest: {error}") from None
    now, walk = time.time(), settings.walk
    if name == REQUEST_RATE:
        window = settings.request_window_seconds
        return RateCrossed(settings.name, source, value, window, port, now)
    held = None if walk.response is Action.WATCH else walk.response
    return OutcomeCrossed(settings.name, source, value, held, walk.hold_seconds, now)


def _remote(remote: bytes) -> Source | Prefix:
    """The source behind a ``remote``: an IPv4-mapped address, or an IPv6 /64."""
    if remote.startswith(_MAPPED):
        if not any(remote[12:]):
            raise BadNotice("digest of the address 0.0.0.0")
        return Source(remote[12:])
    if any(remote[8:]) or not any(remote[:8]):
        raise BadNotice("digest of a remote that is no /64")
    return Prefix(remote, 64)


class EvidenceQueue:
    """Evidence on its way to one consumer: bounded; what does not fit is counted."""

    def __init__(self, size: int = QUEUE_SIZE) -> None:
        """An open, empty queue for ``size`` events."""
        self._size = size
        self._events: deque[SwitchEvidence] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self.dropped = 0
        """Events dropped because the consumer was too slow."""

    def put(self, event: SwitchEvidence) -> None:
        """Append an event, or drop it."""
        room = self._size // 2 if isinstance(event, FirstPacket) else self._size
        if len(self._events) >= room or self._closed:
            self.dropped += 1
            return
        self._events.append(event)
        self._wake.set()

    def open(self) -> None:
        """Accept events again after :meth:`close`."""
        self._closed = False

    def close(self) -> None:
        """End every iteration once the queue is empty; drop what comes later."""
        self._closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[SwitchEvidence]:
        """Events in order, until close()."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()
