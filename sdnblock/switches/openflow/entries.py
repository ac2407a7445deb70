"""Blocks and allow entries of one connected switch: written, read back, counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sdnblock.block import Action, Flow, Prefix, Source, Target
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Change,
    Count,
    Failure,
    FailureKind,
    Installed,
    Op,
    SwitchLost,
)
from sdnblock.switches.openflow import requests
from sdnblock.switches.openflow.answers import ErrorAnswer
from sdnblock.switches.openflow.channel import Channel
from sdnblock.switches.openflow.flows import (
    COOKIE,
    COOKIE_MASK,
    FILTER_TABLE,
    FORWARD_TABLE,
    Command,
    FlowStats,
    Use,
    block_instructions,
    flow_mod,
    goto,
    parse_block,
    parse_stats,
)
from sdnblock.switches.openflow.matches import (
    BadMatch,
    allow_priority,
    parse_target,
    target_match,
    target_priority,
)
from sdnblock.switches.openflow.meters import Meters
from sdnblock.switches.openflow.refusals import describe, failure_kind

Build = Callable[[int], bytes]
_CHUNK: Final = 2000
_COMMANDS: Final = {
    Op.INSERT: Command.ADD,
    Op.MODIFY: Command.MODIFY_STRICT,
    Op.DELETE: Command.DELETE_STRICT,
}


@dataclass
class Found:
    """Flows of ours as a switch holds them, sorted by what they are for."""

    installed: Installed = field(default_factory=Installed)
    meters: dict[Target, int] = field(default_factory=dict)
    outdated: list[Target] = field(default_factory=list)
    """Blocks in force with other instructions than the present settings give."""
    settings: list[FlowStats] = field(default_factory=list)
    odd: list[FlowStats] = field(default_factory=list)
    """Flows with our cookie that we would not have made."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Rate and burst of every meter for ``limit``; bytes of a watched packet, None: no copy."""

    rate: int
    burst: int
    sample: int | None


class Entries:
    """Writes and reads over one channel. :meth:`adopt` first."""

    def __init__(self, channel: Channel, meters: Meters, limits: Limits) -> None:
        self._channel = channel
        self._meters = meters
        self._limits = limits
        self._blocks: set[Target] = set()
        self._allows: set[Source | Prefix] = set()

    def adopt(self, found: Found) -> None:
        """Begin with what the switch holds."""
        self._blocks = set(found.installed.blocks)
        self._allows = set(found.installed.allows)
        self._meters.recover(found.meters)

    def instructions(self, target: Target, action: Action) -> bytes:
        """What a block's flow does, by the present settings. A limited target has its meter."""
        return block_instructions(action, self._meters.of(target) or 0, self._limits.sample)

    async def write(self, changes: Sequence[Change]) -> list[Failure]:
        """Apply changes; see ``Driver``."""
        failures: list[Failure] = []
        for at in range(0, len(changes), _CHUNK):
            failures += await self._write(changes[at : at + _CHUNK])
        return failures

    async def _write(self, changes: Sequence[Change]) -> list[Failure]:
        failures: list[Failure] = []
        builds: list[Build] = []
        owners: list[Change] = []
        done: list[Change] = []
        fresh: set[int] = set()
        for change in changes:
            failure = self._impossible(change)
            if failure is None and self._needs_meter(change):
                assert isinstance(change, BlockChange)
                meter = self._meters.take(change.target)
                if meter is None:
                    failure = Failure(change, FailureKind.FULL, "no meter is left")
                else:
                    builds.append(partial(_add_meter, meter, self._limits))
                    fresh.add(id(change))
            if failure is not None:
                failures.append(failure)
                continue
            builds.append(self._flow(change))
            owners += [change] * (len(builds) - len(owners))
            done.append(change)
        refused = _first_by_change(owners, await self._channel.batch(builds))
        idle: list[int] = []
        for change in done:
            error = refused.get(id(change))
            if error is not None:
                failures.append(Failure(change, failure_kind(error), describe(error)))
            self._note(change, error is None, fresh, idle)
        if idle:
            await self._channel.batch([partial(_delete_meter, meter) for meter in idle])
        return failures

    def _impossible(self, change: Change) -> Failure | None:
        """OpenFlow replaces what is there and passes over what is not (6.4): we do not."""
        there = (
            change.prefix in self._allows
            if isinstance(change, AllowChange)
            else change.target in self._blocks
        )
        if there is (change.op is not Op.INSERT):
            return None
        kind = FailureKind.EXISTS if there else FailureKind.MISSING
        return Failure(change, kind, kind.value)

    def _needs_meter(self, change: Change) -> bool:
        return (
            isinstance(change, BlockChange)
            and change.op is not Op.DELETE
            and change.action is Action.LIMIT
            and self._meters.of(change.target) is None
        )

    def _flow(self, change: Change) -> Build:
        command = _COMMANDS[change.op]
        if isinstance(change, AllowChange):
            return partial(
                flow_mod,
                command,
                Use.ALLOW,
                FILTER_TABLE,
                allow_priority(change.prefix),
                target_match(change.prefix),
                goto(FORWARD_TABLE),
            )
        target = change.target
        deletes = change.op is Op.DELETE
        return partial(
            flow_mod,
            command,
            Use.BLOCK,
            FILTER_TABLE,
            target_priority(target),
            target_match(target),
            b"" if deletes else self.instructions(target, change.action),
        )

    def _note(self, change: Change, succeeded: bool, fresh: set[int], idle: list[int]) -> None:
        """Keep the books; meters that no flow uses any more go to ``idle``.

        ``fresh``: identities of changes for which a meter was made.
        """
        if isinstance(change, AllowChange):
            if succeeded and change.op is Op.INSERT:
                self._allows.add(change.prefix)
            elif succeeded:
                self._allows.discard(change.prefix)
            return
        target = change.target
        if succeeded:
            if change.op is Op.DELETE:
                self._blocks.discard(target)
            else:
                self._blocks.add(target)
        limited = change.action is Action.LIMIT and change.op is not Op.DELETE
        if (succeeded and not limited) or (not succeeded and id(change) in fresh):
            meter = self._meters.give_back(target)
            if meter is not None:
                idle.append(meter)

    async def read(self) -> Found:
        """All flows of ours. Raises SwitchLost."""
        found = Found()
        async for stats in self._stats(_ours):
            try:
                self._sort(stats, found)
            except BadMatch:
                found.odd.append(stats)
        return found

    def _sort(self, stats: FlowStats, found: Found) -> None:
        use = stats.cookie & 0xFF
        if use == Use.SETTING:
            found.settings.append(stats)
            return
        if stats.table != FILTER_TABLE:
            raise BadMatch("not in our table")
        target = parse_target(stats.match)
        if use == Use.ALLOW and not isinstance(target, Flow):
            if stats.priority != allow_priority(target):
                raise BadMatch("another priority")
            found.installed.allows.add(target)
            return
        action, meter = parse_block(stats.instructions)
        known = not meter or self._meters.owns(meter)
        if use != Use.BLOCK or stats.priority != target_priority(target) or not known:
            raise BadMatch("no block that we would have made")
        found.installed.blocks[target] = action
        if meter:
            found.meters[target] = meter
        if stats.instructions != block_instructions(action, meter, self._limits.sample):
            found.outdated.append(target)

    async def counts(self) -> AsyncIterator[list[Count]]:
        """The counters of all blocks, as many in a list as the switch put in a part."""
        parts = await self._channel.multipart(partial(requests.flow_stats, cookie=Use.BLOCK.cookie))
        for part in parts:
            found: list[Count] = []
            for stats in self._parsed(part):
                try:
                    target = parse_target(stats.match)
                except BadMatch:
                    continue  # reading what is installed deals with it
                found.append(Count(target, stats.packets, stats.bytes))
            if found:
                yield found
            await asyncio.sleep(0)

    async def _stats(self, build: Build) -> AsyncIterator[FlowStats]:
        for part in await self._channel.multipart(build):
            for stats in self._parsed(part):
                yield stats
            await asyncio.sleep(0)

    def _parsed(self, part: bytes) -> Iterable[FlowStats]:
        try:
            yield from parse_stats(part)
        except BadMatch as error:
            raise SwitchLost(f"{self._channel.label}: {error}") from None


def _first_by_change(
    owners: Sequence[Change], errors: dict[int, ErrorAnswer]
) -> dict[int, ErrorAnswer]:
    """The first error of each change, by the change's identity."""
    found: dict[int, ErrorAnswer] = {}
    for place in sorted(errors):
        found.setdefault(id(owners[place]), errors[place])
    return found


def _ours(xid: int) -> bytes:
    return requests.flow_stats(xid, COOKIE, COOKIE_MASK)


def _add_meter(meter: int, limits: Limits, xid: int) -> bytes:
    return requests.add_meter(xid, meter, limits.rate, limits.burst)


def _delete_meter(meter: int, xid: int) -> bytes:
    return requests.delete_meter(xid, meter)
