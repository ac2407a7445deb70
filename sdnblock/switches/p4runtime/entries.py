"""The block and allow entries of one session: read, written, counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence
from typing import Final, TypeVar

from finsy.proto import p4r, rpc_code

from sdnblock.block import Action, Target, overlaps, source_of
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Change,
    Count,
    Failure,
    FailureKind,
    Installed,
    Op,
    TableKey,
    allow_table_of,
    table_of,
    target_of,
)
from sdnblock.switches.p4runtime.channel import MAX_UPDATES
from sdnblock.switches.p4runtime.codec import ALLOW_TABLES, BLOCK_TABLES, ForeignEntry
from sdnblock.switches.p4runtime.errors import failure_kind, failure_text
from sdnblock.switches.p4runtime.limiters import Limiters
from sdnblock.switches.p4runtime.meters import LimitMeters
from sdnblock.switches.p4runtime.pipeline import Pipeline
from sdnblock.switches.p4runtime.session import Refused, Session
from sdnblock.switches.p4runtime.snapshot import Snapshot
from sdnblock.switches.settings import SwitchSettings

T = TypeVar("T")

_LIMIT: Final = Action.LIMIT  # looked up once: an enumeration's members are found slowly

_log = logging.getLogger(__name__)


class Entries:
    """What one switch holds of ours, under one session."""

    def __init__(
        self, session: Session, pipeline: Pipeline, settings: SwitchSettings, label: str
    ) -> None:
        """Nothing is known yet of what the switch holds: the first use reads it."""
        self._session = session
        self._codec = pipeline.codec
        self._meters = LimitMeters(session, pipeline, settings, label)
        self._label = label
        self._limiters = Limiters(pipeline.codec.capacity.limiters)
        self._counts: dict[TableKey, int] = {}
        self._known = False
        self._doubts = 0
        """Writes that were cut short: what came of them nobody knows."""
        self._foreign: dict[TableKey, int] = {}
        self._readings: list[Snapshot] = []
        self._alone = asyncio.Lock()
        """Held while something is written, and while the books are made anew."""

    # Reading

    async def read_installed(self) -> Installed:
        """Everything of ours; meter cells are recovered and their rates made ours.

        Others may write while the tables are read; what they wrote is not in the answer.
        Raises SwitchLost, SwitchError.
        """
        reading, doubts = Snapshot(), self._doubts
        self._readings.append(reading)
        try:
            for table in ALLOW_TABLES:
                reading.counts[table] = await self._scan(table, reading.keep_allow(self._codec))
            for table in BLOCK_TABLES:
                reading.counts[table] = await self._scan(table, reading.keep_block(self._codec))
            async with self._alone:
                self._known = False  # should this be cut short
                await self._adopt(reading)
                self._known = self._doubts == doubts
        finally:
            self._readings.remove(reading)
        return reading.installed

    async def _adopt(self, reading: Snapshot) -> None:
        reading.forget_written()
        self._counts = reading.counts
        cells = [
            (t, c) for t in reading.written.blocks if (c := self._limiters.cell(t)) is not None
        ]
        unusable = self._limiters.recover([*cells, *reading.limited])
        await self._meters.reconcile(set(self._limiters.cells()))
        if unusable:
            _log.warning(
                "%s: %d limited targets get a meter cell of their own", self._label, len(unusable)
            )
            for failure in await self._write(
                [BlockChange(Op.MODIFY, target, Action.LIMIT) for target in unusable]
            ):
                _log.warning("%s: %s: %s", self._label, failure.change, failure.message)

    async def _scan(self, key: TableKey, take: Callable[[TableKey, p4r.TableEntry], None]) -> int:
        """Give every entry of a table to ``take``; returns their number, foreign ones included."""
        total = foreign = 0
        example = ""
        async for entries in self._table(key, counters=False):
            for entry in entries:
                try:
                    take(key, entry)
                except ForeignEntry as error:
                    foreign += 1
                    example = str(error)
            total += len(entries)
        if foreign and self._foreign.get(key) != foreign:
            _log.warning(
                "%s: %d entries of %s are not sdnblock's and are left alone (%s)",
                self._label,
                foreign,
                self._codec.tables[key].name,
                example,
            )
        self._foreign[key] = foreign
        return total

    async def _table(self, key: TableKey, *, counters: bool) -> AsyncIterator[list[p4r.TableEntry]]:
        """The entries of a table, part by part."""
        table = self._codec.tables[key]
        query = p4r.Entity(table_entry=p4r.TableEntry(table_id=table.id))
        if counters:
            query.table_entry.counter_data.SetInParent()
        async for entities in self._session.read(query, table.size):
            yield [
                entity.table_entry for entity in entities if entity.table_entry.table_id == table.id
            ]

    async def read_counters(self) -> AsyncIterator[list[Count]]:
        """Counters of every block entry. Raises SwitchLost."""
        for key in BLOCK_TABLES:
            sized = self._codec.tables[key].counts_bytes
            async for entries in self._table(key, counters=True):
                counts = []
                for entry in entries:
                    try:
                        target = self._codec.target(key, entry)
                    except ForeignEntry:
                        continue  # reported when it was read
                    data = entry.counter_data
                    bytes_ = max(0, data.byte_count) if sized else 0
                    counts.append(Count(target, max(0, data.packet_count), bytes_))
                if counts:
                    yield counts

    # Writing

    async def write(self, changes: Sequence[Change]) -> list[Failure]:
        """Apply changes: allows first, then blocks, and what is allowed no more last.

        Raises SwitchLost.
        """
        if not changes:
            return []
        if not self._known:
            await self.read_installed()
        async with self._alone:
            for reading in self._readings:
                reading.written.note(changes)
            done = False
            try:
                failures = await self._write(changes)
                done = True
            finally:
                if not done:  # what the switch holds is in doubt
                    self._known = False
                    self._doubts += 1
        return failures

    async def _write(self, changes: Sequence[Change]) -> list[Failure]:
        opening: list[AllowChange] = []
        closing: list[AllowChange] = []
        blocks: list[BlockChange] = []
        for change in changes:
            if isinstance(change, BlockChange):
                blocks.append(change)
            else:
                (closing if change.op is Op.DELETE else opening).append(change)
        failures: list[Failure] = []
        for allows in _slices(opening, MAX_UPDATES):
            await self._allows(allows, failures)
        await self._blocks(_unguarded(blocks, failures), failures)
        for allows in _slices(closing, MAX_UPDATES):
            await self._allows(allows, failures)
        return failures

    async def _allows(self, changes: Sequence[AllowChange], failures: list[Failure]) -> None:
        batch = self._session.batch()
        for change in changes:
            self._codec.add_allow(batch.updates, change.op, change.prefix)
        await self._send(batch, changes, failures)

    async def _blocks(self, changes: Sequence[BlockChange], failures: list[Failure]) -> None:
        """Send batches one by one, encoding each while the switch works on the one before."""
        sending: asyncio.Task[None] | None = None
        try:
            for part in _slices(changes, MAX_UPDATES):
                going, fresh = await self._limit(part, failures)
                batch = self._session.batch()
                for change in going:
                    cell = self._limiters.cell(change.target) if _limits(change) else None
                    self._codec.add_block(
                        batch.updates, change.op, change.target, change.action, cell
                    )
                if sending is not None:
                    await sending
                sending = asyncio.create_task(self._send(batch, going, failures, fresh))
                await asyncio.sleep(0)  # it starts
            if sending is not None:
                await sending
        finally:
            if sending is not None and not sending.done():
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _limit(
        self, changes: Sequence[BlockChange], failures: list[Failure]
    ) -> tuple[Sequence[BlockChange], set[Target]]:
        """Give cells to targets that become limited, and the cells their rates.

        Returns the changes that can go on (the others have failed), and the
        targets that got a cell.
        """
        refused: dict[Target, tuple[FailureKind, str]] = {}
        fresh: list[Target] = []
        given: set[Target] = set()
        for change in filter(_limits, changes):
            if self._limiters.cell(change.target) is not None:
                continue
            if self._limiters.allocate(change.target) is None:
                refused[change.target] = (
                    FailureKind.FULL,
                    f"all {self._limiters.size} meter cells are in use",
                )
            else:
                fresh.append(change.target)
        if fresh:
            cells = [cell for target in fresh if (cell := self._limiters.cell(target)) is not None]
            for target, error in zip(fresh, await self._meters.write(cells), strict=True):
                if error is not None:
                    refused[target] = (FailureKind.REFUSED, f"its meter: {error}")
                    self._limiters.free(target)
                else:
                    given.add(target)
        if not refused:
            return changes, given
        going: list[BlockChange] = []
        for change in changes:
            if _limits(change) and change.target in refused:
                failures.append(Failure(change, *refused[change.target]))
            else:
                going.append(change)
        return going, given

    async def _send(
        self,
        batch: p4r.WriteRequest,
        changes: Sequence[Change],
        failures: list[Failure],
        fresh: Container[Target] = (),
    ) -> None:
        """Send a batch and account for it; ``fresh`` targets got a meter cell for it."""
        if not changes:
            return
        try:
            errors = await self._session.write(batch)
        except Refused as refusal:
            whole = p4r.Error(canonical_code=rpc_code.INVALID_ARGUMENT, message=str(refusal))
            errors = [whole] * len(changes)
        if errors is None:
            for change in changes:
                self._done(change)
            return
        for change, error in zip(changes, errors, strict=True):
            if error.canonical_code == rpc_code.OK:
                self._done(change)
        for change, error in zip(changes, errors, strict=True):
            if error.canonical_code != rpc_code.OK:
                failures.append(self._failed(change, error, fresh))

    def _done(self, change: Change) -> None:
        key = _table_of(change)
        if change.op is Op.INSERT:
            self._counts[key] += 1
        elif change.op is Op.DELETE:
            self._counts[key] -= 1
        for reading in self._readings:
            reading.done(key, target_of(change), change.op is not Op.DELETE)
        if isinstance(change, BlockChange) and not _limits(change):
            self._limiters.free(change.target)

    def _failed(self, change: Change, error: p4r.Error, fresh: Container[Target]) -> Failure:
        key = _table_of(change)
        at_capacity = self._counts[key] >= self._codec.tables[key].size
        kind = failure_kind(error, change.op, at_capacity)
        if isinstance(change, BlockChange) and (
            kind is FailureKind.MISSING or change.target in fresh
        ):
            self._limiters.free(change.target)
        return Failure(change, kind, failure_text(error))


def _unguarded(blocks: Sequence[BlockChange], failures: list[Failure]) -> Sequence[BlockChange]:
    """The block changes that no allow entry was meant to guard which could not be written.

    The others become failures: a block must not come into force before the
    allow entry that exempts an address from it.
    """
    missing = [
        source_of(failure.change.prefix)
        for failure in failures
        if isinstance(failure.change, AllowChange) and failure.kind is not FailureKind.EXISTS
    ]
    if not missing:
        return blocks
    safe: list[BlockChange] = []
    for change in blocks:
        harmless = change.op is Op.DELETE or change.action is Action.WATCH
        source = source_of(change.target)
        if harmless or not any(overlaps(prefix, source) for prefix in missing):
            safe.append(change)
        else:
            text = "an allowlist entry that exempts from it could not be written"
            failures.append(Failure(change, FailureKind.REFUSED, text))
    return safe


def _limits(change: BlockChange) -> bool:
    """Whether a change leaves its target limited."""
    return change.action is _LIMIT and change.op is not Op.DELETE


def _table_of(change: Change) -> TableKey:
    if isinstance(change, BlockChange):
        return table_of(change.target)
    return allow_table_of(change.prefix)


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
