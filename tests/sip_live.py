"""The callers of ``sip_world``, as packets that a switch copies to a running controller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sdnblock.block import TCP, format_address
from sdnblock.evidence.events import REASON_ANSWER, REASON_FIRST
from sdnblock.softswitch.dataplane import SampledPacket
from tests.dataplane import packets
from tests.sip_world import SERVER, World


@dataclass
class LiveWorld(World):
    """Nothing is judged here: every message becomes a packet-in of ``inject``'s switch."""

    inject: Callable[[SampledPacket], object] = field(kw_only=True)

    def _observe(
        self, source: bytes, port: int, to: bytes, to_port: int, text: str, protocol: int,
        *, established: bool = False,
    ) -> None:  # fmt: skip
        from_remote = source != SERVER
        segment = (packets.tcp if protocol == TCP else packets.udp)(text.encode(), port, to_port)
        ends = (format_address(source), format_address(to))
        if len(source) == 4:
            frame = packets.ether(packets.ip4(segment, protocol, *ends), 0x0800)
        else:
            frame = packets.ether(packets.ip6(segment, protocol, *ends), 0x86DD)
        reason = REASON_FIRST if from_remote else REASON_ANSWER
        self.inject(SampledPacket(1 if from_remote else 2, reason, frame))
