"""A driver whose switch is a table in memory, for what the controller does with any of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from sdnblock.block import Action, Prefix, Source, Target
from sdnblock.evidence.events import SwitchEvidence
from sdnblock.switches.driver import (
    AllowChange,
    Capacity,
    Change,
    Count,
    Failure,
    FailureKind,
    Installed,
    Op,
    Status,
    TableKey,
    TableKind,
    table_of,
)

ROOMY = Capacity({(kind, family): 100_000 for kind in TableKind for family in (4, 6)}, 1000)


class MemoryDriver:
    """Implements ``Driver``; checks what real switches check."""

    def __init__(self) -> None:
        self.name = "memory"
        self.capacity = ROOMY
        self.blocks: dict[Target, Action] = {}
        self.allows: set[Source | Prefix] = set()
        self.counts: dict[Target, int] = {}
        self.known: tuple[Target, ...] = ()
        """Places that a reading passes even if nothing is there."""
        self.written: list[Sequence[Change]] = []
        self.failures: list[Failure] = []
        self.before: Callable[[], Awaitable[None]] = self._pass
        """Awaited before a write is in force."""
        self.after: Callable[[], Awaitable[None]] = self._pass
        """Awaited when a write is in force, and before its answer."""
        self.between: Callable[[], Awaitable[None]] | None = None
        """Awaited after each entry of a reading: what is written then is in it, or not."""

    @property
    def status(self) -> Status:
        return Status("memory", "primary", self.capacity)

    async def connect(self) -> None:
        pass

    def on_disturbed(self, call: Callable[[], None]) -> None:
        pass

    async def read_installed(self) -> Installed:
        if self.between is None:
            return Installed(dict(self.blocks), set(self.allows))
        installed = Installed(allows=set(self.allows))
        for target in {**dict.fromkeys(self.known), **self.blocks}:
            if target in self.blocks:
                installed.blocks[target] = self.blocks[target]
            await self.between()
        return installed

    async def write(self, changes: Sequence[Change]) -> list[Failure]:
        if not changes:
            return []
        self.written.append(list(changes))
        await self.before()
        failures = [failure for change in changes if (failure := self._apply(change))]
        self.failures += failures
        await self.after()
        return failures

    async def read_counters(self) -> AsyncIterator[list[Count]]:
        found = [Count(t, self.counts.get(t, 0), 100 * self.counts.get(t, 0)) for t in self.blocks]
        await asyncio.sleep(0)
        yield found

    async def read_packet_counters(self) -> dict[str, dict[str, int]]:
        return {}

    async def evidence(self) -> AsyncIterator[SwitchEvidence]:
        nothing: list[SwitchEvidence] = []
        for each in nothing:
            yield each

    async def close(self) -> None:
        pass

    def _apply(self, change: Change) -> Failure | None:
        if isinstance(change, AllowChange):
            if change.op is Op.INSERT:
                self.allows.add(change.prefix)
            else:
                self.allows.discard(change.prefix)
            return None
        there = change.target in self.blocks
        if change.op is Op.INSERT and not there and self._full(table_of(change.target)):
            return Failure(change, FailureKind.FULL, "full")
        if there is (change.op is Op.INSERT):
            kind = FailureKind.EXISTS if there else FailureKind.MISSING
            return Failure(change, kind, kind.value)
        if change.op is Op.DELETE:
            del self.blocks[change.target]
            self.counts.pop(change.target, None)
        else:
            self.blocks[change.target] = change.action
        return None

    def _full(self, table: TableKey) -> bool:
        size = self.capacity.tables[table]
        if len(self.blocks) < size:
            return False
        return sum(table_of(each) == table for each in self.blocks) >= size

    async def _pass(self) -> None:
        pass
