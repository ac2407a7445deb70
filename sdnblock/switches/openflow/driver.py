"""The OpenFlow 1.3 driver: a switch that connects to us, its flows kept as ``Driver`` says."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sdnblock.errors import SwitchError
from sdnblock.evidence.events import FirstPacket, SwitchEvidence
from sdnblock.switches.driver import (
    Capacity,
    Change,
    Count,
    Failure,
    Installed,
    Status,
    SwitchLost,
    TableKind,
)
from sdnblock.switches.openflow import answers, requests
from sdnblock.switches.openflow.answers import BadAnswer, PacketIn
from sdnblock.switches.openflow.channel import Channel, Refused
from sdnblock.switches.openflow.entries import Entries
from sdnblock.switches.openflow.flows import FILTER_TABLE, Use, parse_stats
from sdnblock.switches.openflow.listener import Listener
from sdnblock.switches.openflow.matches import BadMatch
from sdnblock.switches.openflow.role import Role
from sdnblock.switches.openflow.settle import TRUSTED, limits_of, read_meters, settle
from sdnblock.switches.p4runtime.notices import EvidenceQueue
from sdnblock.switches.settings import SwitchSettings

_PATIENCE: Final = 3600.0
"""Seconds that a switch which was there before, or did not come in time, is waited for."""
_UNKNOWN_SIZE: Final = 1 << 20
_WATCHED: Final = 1
"""Why the packet was sent: the same number as in the P4 program (``p4/include/types.p4``)."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A session that may write."""

    channel: Channel
    entries: Entries


class OpenFlowDriver:
    """One OpenFlow switch; implements :class:`sdnblock.switches.driver.Driver`.

    Who is master: of several controllers the one started last, as with P4Runtime; one with
    ``standby`` set waits until there is no other.
    """

    def __init__(self, settings: SwitchSettings, listener: Listener) -> None:
        """Nothing is listened to yet."""
        self._settings = settings
        self._listener = listener
        self._label = f"switch {settings.name} ({settings.datapath_id:016x})"
        self._role = Role(settings.standby)
        self._channel: Channel | None = None
        self._ready: _Ready | None = None
        self._capacity: Capacity | None = None
        self._software = ""
        self._first: Installed | None = None
        self._missed = False
        self._queue = EvidenceQueue()

    @property
    def name(self) -> str:
        """The switch's name from the configuration."""
        return self._settings.name

    @property
    def status(self) -> Status:
        """What the switch is, and whether we may write to it."""
        role = "disconnected"
        if self._channel is not None and self._channel.is_open:
            role = "primary" if self._ready is not None else "backup"
        parts = ["OpenFlow 1.3", f"datapath {self._settings.datapath_id:016x}"]
        if self._software:
            parts.append(self._software)
        return Status(", ".join(parts), role, self._capacity)

    @property
    def capacity(self) -> Capacity:
        """Entries by the switch's own word; they share one table, so it may fill up before."""
        if self._capacity is None:
            raise SwitchLost(f"{self._label}: never connected")
        return self._capacity

    async def connect(self) -> None:
        """Wait for the switch, become its master, settle it; see ``Driver``."""
        await self._end("reconnecting")
        self._queue.open()
        settings = self._settings
        await self._listener.register(settings.datapath_id, settings.rpc_timeout)
        patience = _PATIENCE if self._missed else settings.rpc_timeout
        channel = await self._listener.next(settings.datapath_id, patience)
        self._missed = True
        if channel is None:
            raise SwitchError(f"{self._label}: has not connected to {settings.address}")
        channel.label = self._label
        self._channel = channel
        done = False
        try:
            await self._establish(channel)
            done = True
        except BadAnswer as error:
            raise SwitchError(f"{self._label}: {error}") from None
        finally:
            if not done:
                await self._end("connecting failed")

    async def _establish(self, channel: Channel) -> None:
        await self._role.win(
            channel, lambda: _log.info("%s: another controller is its master", self._label)
        )
        parts = await channel.multipart(requests.description)
        self._software = answers.parse_description(b"".join(parts))
        meters = await read_meters(channel)
        size = await _table_size(channel)
        kinds = [(kind, family) for kind in TableKind for family in (4, 6)]
        self._capacity = Capacity(dict.fromkeys(kinds, size), meters.count)
        limits = await limits_of(channel, self._settings)
        entries = Entries(channel, meters, limits)
        found = await settle(channel, self._settings, meters, entries, limits)
        self._first = found.installed
        channel.on_packet = self._on_packet
        self._ready = _Ready(channel, entries)

    async def read_installed(self) -> Installed:
        """Everything of ours that the switch holds; see ``Driver``."""
        ready = self._present()
        first, self._first = self._first, None
        if first is not None:
            return first  # read when it was settled, and not written since
        found = await ready.entries.read()
        ready.entries.adopt(found)
        return found.installed

    async def write(self, changes: Sequence[Change]) -> list[Failure]:
        """Apply changes; the failed ones come back; see ``Driver``.

        Without changes, this only tells whether the session still stands.
        """
        ready = self._present()
        await self._role.tick(ready.channel)
        if not changes:
            return []
        self._first = None
        return await ready.entries.write(changes)

    async def read_counters(self) -> AsyncIterator[list[Count]]:
        """Counters of every installed block entry."""
        async for counts in self._present().entries.counts():
            yield counts

    async def read_packet_counters(self) -> dict[str, dict[str, int]]:
        """``verdict``: packets from trusted ports, allowed ones and those of no entry.

        OpenFlow does not look into SIP: the other groups are empty.
        """
        channel = self._present().channel
        verdict = {"trusted": 0, "allowed": 0, "passed": 0}
        for use in (Use.ALLOW, Use.SETTING):
            parts = await channel.multipart(partial(requests.flow_stats, cookie=use.cookie))
            try:
                for stats in (each for part in parts for each in parse_stats(part)):
                    if stats.table == FILTER_TABLE:
                        trusted = "trusted" if stats.priority == TRUSTED else "passed"
                        verdict["allowed" if use is Use.ALLOW else trusted] += stats.packets
            except BadMatch as error:
                raise SwitchLost(f"{self._label}: {error}") from None
            await asyncio.sleep(0)
        return {"sip_port": {}, "message_in": {}, "message_out": {}, "verdict": verdict}

    def evidence(self) -> AsyncIterator[SwitchEvidence]:
        """Watched packets as they arrive, until close(). For one consumer."""
        return aiter(self._queue)

    async def close(self) -> None:
        """End the session and stop listening. Entries stay in the switch."""
        self._queue.close()
        await self._end("closed")
        await self._listener.unregister(self._settings.datapath_id)

    async def _end(self, reason: str) -> None:
        channel, self._channel, self._ready, self._first = self._channel, None, None, None
        if channel is not None:
            await channel.close(reason)

    def _present(self) -> _Ready:
        if self._ready is None:
            raise SwitchLost(f"{self._label}: not connected")
        self._ready.channel.check()
        return self._ready

    def _on_packet(self, packet: PacketIn) -> None:
        if packet.cookie == Use.BLOCK.cookie:
            frame = packet.frame[: self._settings.sample_bytes or None]
            self._queue.put(FirstPacket(self.name, packet.port, _WATCHED, frame, time.time()))


async def _table_size(channel: Channel) -> int:
    """How many entries our table holds; a guess where the switch does not say."""
    try:
        parts = await channel.multipart(requests.table_features)
    except Refused:
        return _UNKNOWN_SIZE
    for part in parts:
        size = answers.parse_table_sizes(part).get(FILTER_TABLE)
        if size:
            return size
    return _UNKNOWN_SIZE
