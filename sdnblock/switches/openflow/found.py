"""The flows that a switch holds, sorted by what they are for. Pure but for the asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action, Flow, Prefix, Source, Target
from sdnblock.switches.driver import Installed
from sdnblock.switches.meanwhile import Meanwhile
from sdnblock.switches.openflow import questions, tables
from sdnblock.switches.openflow.flows import (
    COOKIE,
    COOKIE_MASK,
    FlowStats,
    Use,
    parse_block,
    parse_stats,
    use_of,
)
from sdnblock.switches.openflow.matches import (
    BadMatch,
    allow_priority,
    parse_target,
    target_priority,
)
from sdnblock.switches.openflow.questions import Multipart, Question

_AT_ONCE: Final = 50
_SETTINGS: Final = frozenset({Use.SETTING, Use.SIP_IN, Use.SIP_OUT, Use.FIRST})


@dataclass(frozen=True, slots=True)
class Held:
    """One block (or, action None, allow entry) and what it counted; ``meter`` 0: none."""

    target: Target
    action: Action | None
    meter: int
    stats: FlowStats


@dataclass
class Found:
    """What a switch holds in our tables."""

    installed: Installed = field(default_factory=Installed)
    meters: dict[Target, int] = field(default_factory=dict)
    instructions: dict[Target, bytes] = field(default_factory=dict)
    """Of watched targets: the copy may be another than the present settings give."""
    settings: list[FlowStats] = field(default_factory=list)
    odd: list[FlowStats] = field(default_factory=list)
    """Flows with our cookie that we would not have made."""
    taken: set[tuple[int, Target]] = field(default_factory=set)
    """Priority and target of flows of others that stand where one of ours may have to."""
    others: int = 0
    """Flows of others that may decide before ours do."""

    def forget(self, meanwhile: Meanwhile) -> None:
        """Leave out what was written while this was read."""
        for target in meanwhile.blocks:
            self.installed.blocks.pop(target, None)
            self.meters.pop(target, None)
            self.instructions.pop(target, None)
        self.installed.allows -= meanwhile.allows
        written = {(target_priority(target), target) for target in meanwhile.blocks}
        written |= {(allow_priority(prefix), prefix) for prefix in meanwhile.allows}
        if written:
            self.odd = [flow for flow in self.odd if _place(flow) not in written]


async def read_all(multipart: Multipart, owns: Callable[[int], bool]) -> Found:
    """Everything in our tables. ``owns``: whether a meter is one of ours. Raises BadAnswer."""
    found = Found()
    for number in range(tables.COUNT):
        async for stats in read_flows(multipart, questions.table(number)):
            _sort(stats, owns, found)
    return found


async def read_flows(multipart: Multipart, question: Question) -> AsyncIterator[FlowStats]:
    """The flows of one answer; the loop goes on after every few of them. Raises BadAnswer."""
    for part in await multipart(question):
        for number, stats in enumerate(parse_stats(part), 1):
            yield stats
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)


def is_ours(cookie: int) -> bool:
    """Whether a flow is one of ours, by its cookie."""
    return cookie & COOKIE_MASK == COOKIE


def read_held(stats: FlowStats, owns: Callable[[int], bool]) -> Held:
    """A block or an allow entry. Raises BadMatch for a flow that is none, or is not as ours are."""
    use = use_of(stats.cookie)
    target = parse_target(stats.match)
    if stats.table != tables.FILTER or use not in (Use.BLOCK, Use.ALLOW):
        raise BadMatch("no block, and no allow entry")
    if use == Use.ALLOW:
        if isinstance(target, Flow) or stats.priority != allow_priority(target):
            raise BadMatch("no allow entry that we would have made")
        return Held(target, None, 0, stats)
    action, meter = parse_block(stats.instructions)
    if stats.priority != target_priority(target) or (meter and not owns(meter)):
        raise BadMatch("no block that we would have made")
    return Held(target, action, meter, stats)


def _sort(stats: FlowStats, owns: Callable[[int], bool], found: Found) -> None:
    if not is_ours(stats.cookie):
        _foreign(stats, found)
    elif use_of(stats.cookie) in _SETTINGS:
        found.settings.append(stats)
    else:
        try:
            held = read_held(stats, owns)
        except BadMatch:
            found.odd.append(stats)
            return
        _note(held, found)


def _note(held: Held, found: Found) -> None:
    target, action = held.target, held.action
    if action is not None:
        found.installed.blocks[target] = action
        if held.meter:
            found.meters[target] = held.meter
        if action is Action.WATCH:
            found.instructions[target] = held.stats.instructions
    elif isinstance(target, (Source, Prefix)):
        found.installed.allows.add(target)


def _foreign(stats: FlowStats, found: Found) -> None:
    if stats.table == tables.FORWARD or not stats.priority:
        return  # others may forward as they like, and what nothing else matches is theirs
    found.others += 1
    if stats.table == tables.FILTER:
        try:
            found.taken.add((stats.priority, parse_target(stats.match)))
        except BadMatch:
            return


def _place(flow: FlowStats) -> tuple[int, Target] | None:
    """Where a flow stands; None if none of our entries could stand there."""
    try:
        return flow.priority, parse_target(flow.match)
    except BadMatch:
        return None
