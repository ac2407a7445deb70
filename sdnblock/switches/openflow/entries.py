"""Blocks and allow entries of one connected switch: written, and the books about them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from sdnblock.block import Action, Flow, Prefix, Source, Target
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Change,
    Failure,
    FailureKind,
    Op,
    target_of,
)
from sdnblock.switches.meanwhile import Meanwhile
from sdnblock.switches.openflow import requests, tables
from sdnblock.switches.openflow.answers import ErrorAnswer, FlowRemoved
from sdnblock.switches.openflow.channel import Channel
from sdnblock.switches.openflow.flows import Command, Use, block_instructions, flow_mod, goto
from sdnblock.switches.openflow.found import Found
from sdnblock.switches.openflow.matches import (
    BadMatch,
    allow_priority,
    parse_target,
    target_match,
    target_priority,
)
from sdnblock.switches.openflow.meters import Meters
from sdnblock.switches.openflow.refusals import describe, failure_kind
from sdnblock.switches.openflow.requests import Build

_CHUNK: Final = 2000
_COMMANDS: Final = {
    Op.INSERT: Command.ADD,
    Op.MODIFY: Command.MODIFY_STRICT,
    Op.DELETE: Command.DELETE_STRICT,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Rate and burst of every meter for ``limit``; the instruction that copies what is watched."""

    rate: int
    burst: int
    copy: bytes


class Entries:
    """Writes over one channel. :meth:`adopt` first."""

    def __init__(self, channel: Channel, meters: Meters, limits: Limits) -> None:
        self._channel = channel
        self._meters = meters
        self._limits = limits
        self._blocks: set[Target] = set()
        self._allows: set[Source | Prefix] = set()
        self._taken: set[tuple[int, Target]] = set()
        # Priority and target of what we are deleting just now: its end is no surprise.
        self._leaving: set[tuple[int, Target]] = set()
        self._readings: list[Meanwhile] = []
        self.alone = asyncio.Lock()
        """Held while something is written, and by whoever wants nothing to be."""

    @contextmanager
    def reading(self) -> Iterator[Meanwhile]:
        """While the switch is read: what is written meanwhile."""
        meanwhile = Meanwhile()
        self._readings.append(meanwhile)
        try:
            yield meanwhile
        finally:
            self._readings.remove(meanwhile)

    def adopt(self, found: Found, meanwhile: Meanwhile) -> None:
        """Begin with what the switch holds; of what was written ``meanwhile`` we know better."""
        found.forget(meanwhile)
        blocks, allows = set(found.installed.blocks), set(found.installed.allows)
        self._blocks = blocks | (self._blocks & meanwhile.blocks)
        self._allows = allows | (self._allows & meanwhile.allows)
        self._taken = found.taken
        for target in meanwhile.blocks:
            meter = self._meters.of(target)
            if meter is not None:
                found.meters[target] = meter
        self._meters.recover(found.meters)

    def surprises(self, removed: FlowRemoved) -> bool:
        """Whether a removed flow was an entry that should be there."""
        try:
            target = parse_target(removed.match)
        except BadMatch:
            return False
        if (removed.priority, target) in self._leaving:
            return False
        if removed.cookie == Use.ALLOW.cookie and not isinstance(target, Flow):
            return target in self._allows and removed.priority == allow_priority(target)
        return target in self._blocks and removed.priority == target_priority(target)

    def watched(self) -> bytes:
        """The instructions of a watched target by the present settings."""
        return block_instructions(Action.WATCH, 0, self._limits.copy)

    def rewatch(self, target: Target) -> Build:
        """A watched target's flow, changed to the present settings."""
        return partial(
            flow_mod,
            Command.MODIFY_STRICT,
            Use.BLOCK,
            tables.FILTER,
            target_priority(target),
            target_match(target),
            self.watched(),
        )

    async def write(self, changes: Sequence[Change]) -> list[Failure]:
        """Apply changes; see ``Driver``."""
        failures: list[Failure] = []
        async with self.alone:
            for reading in self._readings:
                reading.note(changes)
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
        self._leaving = {
            (_priority(change), target_of(change)) for change in done if change.op is Op.DELETE
        }
        refused = _first_by_change(owners, await self._channel.batch(builds))
        idle: list[int] = []
        for change in done:
            error = refused.get(id(change))
            if error is not None:
                failures.append(Failure(change, failure_kind(error), describe(error)))
            self._note(change, error is None, fresh, idle)
        self._leaving = set()
        if idle:
            await self._channel.batch([partial(_delete_meter, meter) for meter in idle])
        return failures

    def _impossible(self, change: Change) -> Failure | None:
        """OpenFlow replaces what is there and passes over what is not (6.4): we do not."""
        target = target_of(change)
        there = target in (self._allows if isinstance(change, AllowChange) else self._blocks)
        if there is not (change.op is not Op.INSERT):
            kind = FailureKind.EXISTS if there else FailureKind.MISSING
            return Failure(change, kind, kind.value)
        if change.op is Op.INSERT and self._taken and (_priority(change), target) in self._taken:
            return Failure(change, FailureKind.REFUSED, "somebody else's flow stands in its place")
        return None

    def _needs_meter(self, change: Change) -> bool:
        return (
            isinstance(change, BlockChange)
            and change.op is not Op.DELETE
            and change.action is Action.LIMIT
            and self._meters.of(change.target) is None
        )

    def _flow(self, change: Change) -> Build:
        target = target_of(change)
        if isinstance(change, AllowChange):
            use, instructions = Use.ALLOW, goto(tables.FORWARD)
        elif change.op is Op.DELETE:
            use, instructions = Use.BLOCK, b""
        else:
            use = Use.BLOCK
            instructions = block_instructions(
                change.action, self._meters.of(target) or 0, self._limits.copy
            )
        return partial(
            flow_mod,
            _COMMANDS[change.op],
            use,
            tables.FILTER,
            _priority(change),
            target_match(target),
            instructions,
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


def _priority(change: Change) -> int:
    if isinstance(change, AllowChange):
        return allow_priority(change.prefix)
    return target_priority(change.target)


def _first_by_change(
    owners: Sequence[Change], errors: dict[int, ErrorAnswer]
) -> dict[int, ErrorAnswer]:
    """The first error of each change, by the change's identity."""
    found: dict[int, ErrorAnswer] = {}
    for place in sorted(errors):
        found.setdefault(id(owners[place]), errors[place])
    return found


def _add_meter(meter: int, limits: Limits, xid: int) -> bytes:
    return requests.add_meter(xid, meter, limits.rate, limits.burst)


def _delete_meter(meter: int, xid: int) -> bytes:
    return requests.delete_meter(xid, meter)
