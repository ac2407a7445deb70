"""Digests and packets from a switch as evidence."""

from __future__ import annotations

import time
from typing import Final

from finsy.proto import p4d, p4r

from sdnblock.block import Action, Prefix, Source
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import FirstPacket, OutcomeCrossed, RateCrossed
from sdnblock.switches.p4runtime.schema import REQUEST_RATE, Schema
from sdnblock.switches.p4runtime.values import BadValue, number, widen
from sdnblock.switches.settings import SwitchSettings

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
