"""The P4Runtime driver: sessions one after the other, each with its entries and settings."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from finsy.proto import p4r

from sdnblock.errors import SdnblockError, SwitchError
from sdnblock.evidence.events import SwitchEvidence
from sdnblock.switches.driver import (
    Capacity,
    Change,
    Count,
    Failure,
    Installed,
    Status,
    SwitchLost,
)
from sdnblock.switches.evidence_queue import QUEUE_SIZE, EvidenceQueue
from sdnblock.switches.p4runtime.channel import open_channel
from sdnblock.switches.p4runtime.counters import read_packet_counters
from sdnblock.switches.p4runtime.entries import Entries
from sdnblock.switches.p4runtime.errors import plain
from sdnblock.switches.p4runtime.notices import BadNotice, decode_digest, decode_packet
from sdnblock.switches.p4runtime.pipeline import (
    Pipeline,
    choose_target,
    ensure_pipeline,
    load_pipeline,
)
from sdnblock.switches.p4runtime.session import Refused, Session
from sdnblock.switches.p4runtime.settle import Settler
from sdnblock.switches.settings import SwitchSettings

_MASK32: Final = (1 << 32) - 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A session that may write, and what belongs to it."""

    session: Session
    pipeline: Pipeline
    entries: Entries


class P4RuntimeDriver:
    """One P4Runtime switch; implements :class:`sdnblock.switches.driver.Driver`.

    Who is primary: of several controllers, the one started last (the upper half
    of its election id is its start time), so two never take the switch from
    each other in turn; one with ``standby`` set waits until there is no other.
    """

    def __init__(self, settings: SwitchSettings) -> None:
        """Nothing is connected yet. Call within a running event loop."""
        self._settings = settings
        self._label = f"switch {settings.name} ({settings.address})"
        self._epoch = 1 if settings.standby else time.time_ns()
        self._sessions = 0
        self._session: Session | None = None
        self._ready: _Ready | None = None
        self._pipeline: Pipeline | None = None
        self._version = ""
        self._queue = EvidenceQueue()
        self._malformed = 0

    @property
    def name(self) -> str:
        """The switch's name from the configuration."""
        return self._settings.name

    @property
    def status(self) -> Status:
        """What the switch is, and whether we may write to it."""
        session, pipeline = self._session, self._pipeline
        if session is None or not session.is_open:
            role = "disconnected"
        else:
            role = "primary" if session.is_primary else "backup"
        parts = [f"P4Runtime{self._version}", f"device {self._settings.device_id}"]
        if pipeline is not None:
            parts.append({"xdp": "Linux XDP", "bmv2": "BMv2", "tofino": "Tofino"}[pipeline.target])
        parts.append(f"at {self._settings.address}")
        return Status(
            description=", ".join(parts),
            role=role,
            capacity=None if pipeline is None else pipeline.codec.capacity,
        )

    @property
    def capacity(self) -> Capacity:
        """Entries that the switch surely holds: the sizes in its P4Info."""
        if self._pipeline is None:
            raise SwitchLost(f"{self._label}: never connected")
        return self._pipeline.codec.capacity

    @property
    def dropped_evidence(self) -> int:
        """Digests and packets that were dropped: too many at once, or malformed."""
        return self._queue.dropped + self._malformed

    async def connect(self) -> None:
        """One attempt to become primary with our pipeline and settings; see ``Driver``."""
        await self._end("reconnecting")
        self._queue.open()
        try:
            channel = open_channel(self._settings)
        except SwitchError as error:
            raise SwitchError(f"{self._label}: {error}") from None
        session = Session(
            channel,
            self._settings.device_id,
            self._label,
            self._settings.rpc_timeout,
            self._on_message,
        )
        self._session = session
        done = False
        try:
            await self._establish(session)
            done = True
        finally:
            if not done:
                await self._end("connecting failed")

    async def _establish(self, session: Session) -> None:
        try:
            capabilities = await session.capabilities()
        except Refused as error:
            if error.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            capabilities = None  # P4Runtime before 1.1
        version = capabilities.p4runtime_api_version if capabilities is not None else ""
        self._version = f" {plain(version)[:20]}" if version else ""
        self._sessions += 1
        election_id = self._epoch << 64 | self._sessions << 32 | random.randint(1, _MASK32)
        await session.open(election_id)
        target = choose_target(self._settings, capabilities)
        try:
            pipeline = await asyncio.to_thread(load_pipeline, self._settings, target)
        except SdnblockError as error:
            raise SwitchError(f"{self._label}: {error}") from None
        self._pipeline = pipeline
        await session.become_primary()
        if await ensure_pipeline(session, pipeline, self._settings.pipeline_timeout):
            _log.info("%s: pipeline replaced, tables are empty", self._label)
        session.cookie = pipeline.cookie
        try:
            await Settler(session, pipeline, self._settings, self._label).settle()
        except Refused as error:
            # A BMv2 that was given unparseable JSON forwards on, but reads and writes fail.
            # Replacing its pipeline would end it, and with it every drop in force.
            raise SwitchError(f"{error}: its tables do not answer, restart the switch") from None
        self._ready = _Ready(
            session, pipeline, Entries(session, pipeline, self._settings, self._label)
        )

    def on_disturbed(self, call: Callable[[], None]) -> None:
        """P4Runtime tells nothing of the kind; see ``Driver``."""

    async def read_installed(self) -> Installed:
        """Everything of ours that the switch holds; see ``Driver``."""
        return await self._present().entries.read_installed()

    async def write(self, changes: Sequence[Change]) -> list[Failure]:
        """Apply changes; the failed ones come back; see ``Driver``.

        Within one call allows are inserted before any block is written, and
        deleted after. Without changes, this only tells whether the session still
        stands.
        """
        return await self._present().entries.write(changes)

    async def read_counters(self) -> AsyncIterator[list[Count]]:
        """Counters of every installed block entry, at most a thousand in a list."""
        async for counts in self._present().entries.read_counters():
            yield counts

    async def read_packet_counters(self) -> dict[str, dict[str, int]]:
        """Pipeline-wide packet counters; see ``Driver``."""
        ready = self._present()
        return await read_packet_counters(ready.session, ready.pipeline.schema)

    def evidence(self) -> AsyncIterator[SwitchEvidence]:
        """Evidence as it arrives, until close(). For one consumer."""
        return aiter(self._queue)

    async def close(self) -> None:
        """End the session. Entries stay in the switch."""
        self._queue.close()
        await self._end("closed")

    async def _end(self, reason: str) -> None:
        session, self._session, self._ready = self._session, None, None
        if session is not None:
            await session.close(reason)

    def _present(self) -> _Ready:
        if self._ready is None:
            raise SwitchLost(f"{self._label}: not connected")
        self._ready.session.check()
        return self._ready

    def _on_message(self, message: p4r.StreamMessageResponse) -> p4r.DigestListAck | None:
        """Turn a stream message into evidence; the ack it wants, if any. Never raises."""
        pipeline = self._pipeline
        if pipeline is None:
            return None
        if message.HasField("packet"):
            try:
                self._queue.put(
                    decode_packet(
                        self.name, pipeline.schema, message.packet, self._settings.sample_bytes
                    )
                )
            except BadNotice as error:
                self._bad(error)
        elif message.HasField("digest"):
            digests = {number: name for name, number in pipeline.schema.digests.items()}
            name = digests.get(message.digest.digest_id)
            if name is None:
                return None
            self._queue.dropped += max(0, len(message.digest.data) - QUEUE_SIZE)
            for data in message.digest.data[:QUEUE_SIZE]:
                try:
                    self._queue.put(decode_digest(self._settings, name, data))
                except BadNotice as error:
                    self._bad(error)
            return p4r.DigestListAck(
                digest_id=message.digest.digest_id, list_id=message.digest.list_id
            )
        elif message.HasField("error"):
            _log.warning("%s says: %s", self._label, plain(message.error.message))
        return None

    def _bad(self, error: BadNotice) -> None:
        self._malformed += 1
        if self._malformed & (self._malformed - 1) == 0:  # the 1st, 2nd, 4th, 8th...
            _log.warning("%s: %s (%d malformed so far)", self._label, error, self._malformed)
