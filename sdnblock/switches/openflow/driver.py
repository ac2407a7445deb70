"""The OpenFlow 1.3 driver: a switch that connects to us, its flows kept as ``Driver`` says."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sdnblock.errors import SwitchError
from sdnblock.evidence.events import (
    REASON_ANSWER,
    REASON_FIRST,
    REASON_WATCHED,
    FirstPacket,
    SwitchEvidence,
)
from sdnblock.switches.driver import (
    Capacity,
    Change,
    Count,
    Failure,
    Installed,
    Status,
    SwitchLost,
)
from sdnblock.switches.evidence_queue import EvidenceQueue
from sdnblock.switches.openflow.answers import FlowRemoved, PacketIn
from sdnblock.switches.openflow.budgets import copies_of
from sdnblock.switches.openflow.channel import Channel
from sdnblock.switches.openflow.counters import read_packet_counters
from sdnblock.switches.openflow.entries import Entries, Limits
from sdnblock.switches.openflow.flows import SHARES, BadAnswer, Use, use_of
from sdnblock.switches.openflow.found import is_ours, read_flows
from sdnblock.switches.openflow.inventory import Inventory, read_inventory
from sdnblock.switches.openflow.listener import Listener
from sdnblock.switches.openflow.matches import BadMatch, parse_target
from sdnblock.switches.openflow.pipeline import key, wanted
from sdnblock.switches.openflow.questions import Question, blocks
from sdnblock.switches.openflow.role import Role
from sdnblock.switches.openflow.settle import Settler
from sdnblock.switches.settings import SwitchSettings

_PATIENCE: Final = 3600.0
"""Seconds that a switch which was there before, or did not come in time, is waited for."""
_COUNTS: Final = 500
_REASONS: Final = {
    int(Use.BLOCK): REASON_WATCHED,
    int(Use.FIRST): REASON_FIRST,
    int(Use.SIP_OUT): REASON_ANSWER,
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A session that may write."""

    channel: Channel
    entries: Entries
    settler: Settler
    inventory: Inventory


class OpenFlowDriver:
    """One OpenFlow switch; implements :class:`sdnblock.switches.driver.Driver`.

    Who is master: of several controllers the one started last, as with P4Runtime; one with
    ``standby`` set waits until there is no other.

    Evidence differs from P4Runtime's: a switch keeps no state per source, so all SIP that no
    entry hits is copied, within the budgets (see ``budgets``), not the first packets of each
    source; answers are everything that our servers send; and no switch counts requests or
    weighs outcomes.
    """

    def __init__(self, settings: SwitchSettings, listener: Listener) -> None:
        """Nothing is listened to yet."""
        self._settings = settings
        self._listener = listener
        self._label = f"switch {settings.name} ({settings.datapath_id:016x})"
        self._role = Role(settings.standby)
        self._channel: Channel | None = None
        self._ready: _Ready | None = None
        self._inventory: Inventory | None = None
        self._first: Installed | None = None
        self._missed = False
        self._queue = EvidenceQueue()
        self._disturbed: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        """The switch's name from the configuration."""
        return self._settings.name

    @property
    def status(self) -> Status:
        """What the switch is, and whether we may write to it."""
        role, channel, inventory = "disconnected", self._channel, self._inventory
        parts = ["OpenFlow 1.3", f"datapath {self._settings.datapath_id:016x}"]
        if inventory is not None:
            parts.append(inventory.software)
        if channel is not None and channel.is_open:
            role = "primary" if self._ready is not None else "backup"
            parts.append(f"at {channel.peer}")
        return Status(", ".join(parts), role, None if inventory is None else inventory.capacity)

    @property
    def capacity(self) -> Capacity:
        """Entries by the switch's own word; they share one table, so it may fill up before."""
        if self._inventory is None:
            raise SwitchLost(f"{self._label}: never connected")
        return self._inventory.capacity

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
            with self._reading():
                await self._establish(channel)
            done = True
        finally:
            if not done:
                await self._end("connecting failed")

    async def _establish(self, channel: Channel) -> None:
        await self._role.win(
            channel, lambda: _log.info("%s: another controller is its master", self._label)
        )
        self._inventory = inventory = await read_inventory(channel.multipart, self._settings)
        settings, meters = self._settings, inventory.meters
        copies = await copies_of(channel, settings, meters.budgets)
        limits = Limits(settings.limit_rate, settings.limit_burst, copies.watched)
        entries = Entries(channel, meters, limits)
        want = wanted(settings, copies)
        settler = Settler(channel, settings, meters, entries, want)
        self._first = (await settler.settle()).installed
        channel.on_packet = self._on_packet
        channel.on_removed = lambda removed: self._on_removed(
            removed, key(removed) in want or entries.surprises(removed)
        )
        self._ready = _Ready(channel, entries, settler, inventory)

    def on_disturbed(self, call: Callable[[], None]) -> None:
        """``call`` when a flow of ours was removed, and not by us; see ``Driver``."""
        self._disturbed = call

    async def read_installed(self) -> Installed:
        """Everything of ours that the switch holds; see ``Driver``.

        What we need besides blocks is put right as well.
        """
        ready = self._present()
        first, self._first = self._first, None
        if first is not None:
            return first  # read when it was settled, and not written since
        with self._reading():
            return (await ready.settler.settle()).installed

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
        """Counters of every installed block entry, at most some hundreds in a list."""
        found: list[Count] = []
        with self._reading():
            for share in range(SHARES):
                async for stats in read_flows(self._present().channel.multipart, blocks(share)):
                    try:
                        found.append(Count(parse_target(stats.match), stats.packets, stats.bytes))
                    except BadMatch:
                        continue  # reading what is installed deals with it
                    if len(found) >= _COUNTS:
                        yield found
                        found = []
        if found:
            yield found

    async def read_packet_counters(self) -> dict[str, dict[str, int]]:
        """Pipeline-wide packet counters; see ``Driver`` and ``counters``."""
        ready = self._present()
        with self._reading():
            return await read_packet_counters(ready.channel.multipart, ready.inventory.meters)

    async def relay(self, question: str) -> list[bytes]:
        """Ask the switch for somebody who cannot; see ``Relay`` and ``questions``."""
        channel = self._channel
        if channel is None:
            raise SwitchLost(f"{self._label}: not connected")
        return await channel.multipart(Question(question))

    def evidence(self) -> AsyncIterator[SwitchEvidence]:
        """Evidence as it arrives, until close(). For one consumer."""
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

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """An answer that is none is the end of the session."""
        try:
            yield
        except BadAnswer as error:
            raise SwitchLost(f"{self._label}: {error}") from None

    def _on_packet(self, packet: PacketIn) -> None:
        reason = _REASONS.get(use_of(packet.cookie)) if is_ours(packet.cookie) else None
        if reason is not None:
            frame = packet.frame[: self._settings.sample_bytes or None]
            self._queue.put(FirstPacket(self.name, packet.port, reason, frame, time.time()))

    def _on_removed(self, removed: FlowRemoved, missed: bool) -> None:
        if missed and is_ours(removed.cookie) and self._disturbed is not None:
            self._first = None
            self._disturbed()
