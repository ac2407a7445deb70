"""Reconcile: what one switch holds against the plan, and the changes that make them equal.

Pure: a :class:`Ledger` is told what is installed, proposes changes in stages, and is told
how they went. The stages keep two promises at every moment between them:

- a source of the allowlist is never dropped: allow entries go in before anything else and
  come out after everything else, and while one does not fit into the switch, no block
  that touches it is installed;
- what is enforced and stays wanted is never missing: changes are made in place, and new
  entries go in before old ones come out, unless the table is full.

What does not fit is *unplaced*: operators' blocks come before detectors', these before
feeds', and an operator's block takes the place of a feed's.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import Action, Prefix, Source, Target
from sdnblock.blocklist.allow import AllowView
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Capacity,
    Change,
    Failure,
    FailureKind,
    Installed,
    Op,
    TableKey,
    TableKind,
    allow_table_of,
    table_of,
)

Wanted = Callable[[Target], Action | None]
Rank = Callable[[Target], int]

_WORST_RANK: Final = 2
# Looked up once: members of an enumeration are found slowly, and each change needs them.
_LIMIT: Final = Action.LIMIT
_INSERT, _DELETE = Op.INSERT, Op.DELETE


@dataclass
class Proposal:
    """Changes in stages, to be written one after the other; empty ones are left out."""

    stages: list[list[Change]] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(stage) for stage in self.stages)


class Ledger:
    """What one switch holds, as far as we know, and what of the plan it does not.

    ``wanted`` gives the plan's action for a target, ``rank`` how much it matters (0:
    operator, 1: detector, 2: feed), ``allowed`` the allowlist.
    """

    def __init__(self, wanted: Wanted, rank: Rank, allowed: AllowView) -> None:
        self._wanted = wanted
        self._rank = rank
        self._allowed = allowed
        self._room: dict[TableKey, int] = {}
        self._limiters = 0
        self._held: dict[TableKey, int] = {}
        self._limited = 0
        # None: something is there, but we do not know what.
        self.blocks: dict[Target, Action | None] = {}
        self.allows: set[Source | Prefix] = set()
        self.unplaced: dict[TableKey, set[Target]] = {}
        self.refused: dict[Target, str] = {}
        # Allowlist entries that the switch could not take: blocks must keep off them.
        self._withheld = AllowView()
        self._kept_off: set[Target] = set()

    def reset(self, installed: Installed, capacity: Capacity) -> None:
        """Begin again with what was read from the switch."""
        self.blocks.clear()
        self.allows.clear()
        self._held.clear()
        self._limited = 0
        self.try_again(capacity)
        for target, action in installed.blocks.items():
            self.correct(target, action)
        self.correct_allows(installed.allows)

    def try_again(self, capacity: Capacity) -> None:
        """Forget what was refused or did not fit: perhaps it does now."""
        self.unplaced.clear()
        self.refused.clear()
        self._withheld = AllowView()
        self._kept_off.clear()
        tables = capacity.tables.items()
        self._room = {table: size - self._held.get(table, 0) for table, size in tables}
        self._limiters = capacity.limiters - self._limited

    def correct(self, target: Target, action: Action | None) -> None:
        """The switch was seen to have ``action`` for ``target``; None: no entry."""
        if action is None:
            self._remove(target)
        else:
            self._put(target, action)

    def correct_allows(self, allows: set[Source | Prefix]) -> None:
        """The switch was seen to hold these allow entries."""
        for prefix in self.allows - allows:
            self._take(allow_table_of(prefix), -1)
        for prefix in allows - self.allows:
            self._take(allow_table_of(prefix), 1)
        self.allows = set(allows)

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def withheld(self) -> int:
        """How many allowlist entries do not fit."""
        return len(self._withheld)

    def unplaced_count(self) -> int:
        """How many wanted entries the switch has no room for."""
        return sum(len(each) for each in self.unplaced.values())

    def action(self, target: Target) -> Action | None:
        """The action that this switch should have for ``target``."""
        action = self._wanted(target)
        if action is not None and len(self._withheld) and self._withheld.overlaps(target):
            self._kept_off.add(target)
            return None
        self._kept_off.discard(target)
        return action

    def fits(self, wanted: Mapping[Target, Action | None]) -> bool:
        """Whether there is room for all of these, so that their order does not matter."""
        coming = Counter(table_of(target) for target, action in wanted.items() if action)
        limited = sum(action is Action.LIMIT for action in wanted.values())
        return limited <= self._limiters and all(
            count <= self._room.get(table, 0) for table, count in coming.items()
        )

    def propose(self, targets: Iterable[Target], with_allows: bool) -> Proposal:
        """Changes for ``targets``, and for the whole allowlist if ``with_allows``."""
        allow_room, allow_in, allow_out = self._propose_allows() if with_allows else ([], [], [])
        if with_allows and len(self._withheld):
            targets = {*targets, *self._touching(*self._withheld.prefixes())}
        now: list[Change] = []
        out: list[Change] = []
        later: list[Change] = []
        room = _Room(dict(self._room), self._limiters)
        for target in targets:
            wanted = self.action(target)
            table = table_of(target)
            if wanted is None:
                self._forget(table, target)
                if target in self.blocks:
                    out.append(BlockChange(Op.DELETE, target, self.blocks[target] or Action.DROP))
                    room.freed[table] = room.freed.get(table, 0) + 1
                continue
            if target in self.blocks:
                self._change(target, wanted, room, now)
            elif target not in self.refused:
                self._insert(target, table, wanted, room, now, out, later)
        stages = (allow_room, allow_in, now, out, later, allow_out)
        return Proposal([stage for stage in stages if stage])

    def has_room(self, stage: Iterable[Change], more: int) -> bool:
        """Whether there is room for ``more`` of the same kinds beside ``stage``, which is being
        written and not recorded yet."""
        blocks = [change for change in stage if isinstance(change, BlockChange)]
        coming = Counter(table_of(change.target) for change in blocks)
        limited = sum(change.action is Action.LIMIT for change in blocks)
        return (not limited or self._limiters >= limited + more) and all(
            self._room.get(table, 0) >= count + more for table, count in coming.items()
        )

    def record(self, stage: list[Change], failures: list[Failure]) -> set[Target]:
        """Note how a stage went; returns targets to look at again."""
        failed = {id(failure.change): failure for failure in failures}
        again: set[Target] = set()
        for change in stage:
            failure = failed.get(id(change))
            if isinstance(change, AllowChange):
                again |= self._record_allow(change, failure)
            elif failure is None:
                again |= self._done(change)
            else:
                again |= self._record_failure(change, failure)
        return again

    # --- allowlist ----------------------------------------------------------------------

    def _propose_allows(self) -> tuple[list[Change], list[Change], list[Change]]:
        """Allow entries that go out to make room, that come in, and that go out at the end."""
        wanted = set(self._allowed.prefixes())
        for prefix in [p for p in self._withheld.prefixes() if p not in wanted]:
            self._withheld.discard(prefix)
        missing, surplus = wanted - self.allows, self.allows - wanted
        early: list[Change] = []
        incoming: list[Change] = []
        outgoing: list[Change] = []
        for family in (4, 6):
            # Short prefixes first: they excuse the most.
            coming = sorted((p for p in missing if p.family == family), key=_length)
            going: list[Change] = [AllowChange(Op.DELETE, p) for p in surplus if p.family == family]
            free = max(0, self._room.get((TableKind.ALLOW, family), 0))
            if len(coming) > free:
                early += going
                free += len(going)
            else:
                outgoing += going
            incoming += [AllowChange(Op.INSERT, prefix) for prefix in coming[:free]]
            for prefix in coming[free:]:
                self._withheld.put(prefix, math.inf, 0)
        return early, incoming, outgoing

    def _record_allow(self, change: AllowChange, failure: Failure | None) -> set[Target]:
        prefix, table = change.prefix, allow_table_of(change.prefix)
        inserted = change.op is Op.INSERT
        if failure is None or failure.kind is (FailureKind.EXISTS if inserted else _GONE):
            if inserted and prefix not in self.allows:
                self.allows.add(prefix)
                self._take(table, 1)
            elif not inserted and prefix in self.allows:
                self.allows.discard(prefix)
                self._take(table, -1)
            if self._withheld.discard(prefix):
                return self._touching(prefix)
            return set()
        if inserted:
            self._withheld.put(prefix, math.inf, 0)
            return self._touching(prefix)
        return set()

    def _touching(self, *prefixes: Source | Prefix) -> set[Target]:
        """Targets that we know of and that share an address with one of ``prefixes``."""
        one = AllowView()
        for prefix in prefixes:
            one.put(prefix, math.inf, 0)
        known = set(self.blocks).union(self._kept_off, *self.unplaced.values())
        return {target for target in known if one.overlaps(target)}

    # --- blocks -------------------------------------------------------------------------

    def _change(self, target: Target, wanted: Action, room: _Room, now: list[Change]) -> None:
        have = self.blocks[target]
        if have is wanted or target in self.refused:
            return
        if wanted is Action.LIMIT:
            if room.limiters <= 0 and have is not None:
                self._unplace(target)  # what is there stays in force
                return
            room.limiters -= 1
        now.append(BlockChange(Op.MODIFY, target, wanted))

    def _insert(
        self,
        target: Target,
        table: TableKey,
        wanted: Action,
        room: _Room,
        now: list[Change],
        out: list[Change],
        later: list[Change],
    ) -> None:
        if wanted is _LIMIT and room.limiters <= 0:
            self._unplace(target)
            return
        change = BlockChange(_INSERT, target, wanted)
        if room.tables.get(table, 0) > 0:
            room.tables[table] -= 1
            now.append(change)
        elif (victim := self._victim(table, target, out)) is not None:
            out.append(BlockChange(Op.DELETE, victim, Action.DROP))
            self._unplace(victim)
            later.append(change)
        elif room.freed.get(table, 0) > 0:
            room.freed[table] -= 1
            later.append(change)
        else:
            self._unplace(target)
            return
        if wanted is _LIMIT:
            room.limiters -= 1

    def _victim(self, table: TableKey, target: Target, out: list[Change]) -> Target | None:
        """An entry that matters less than ``target`` and can give up its place."""
        mine = self._rank(target)
        if mine >= _WORST_RANK:
            return None
        going = {change.target for change in out if isinstance(change, BlockChange)}
        best: Target | None = None
        best_rank = mine
        for other in self.blocks:
            if table_of(other) == table and other not in going:
                rank = self._rank(other)
                if rank > best_rank:
                    best, best_rank = other, rank
                    if rank == _WORST_RANK:
                        break
        return best

    def _done(self, change: BlockChange) -> set[Target]:
        target, table = change.target, table_of(change.target)
        if change.op is _DELETE:
            self._remove(target)
            return self._candidates(table)
        self._put(target, change.action)
        self._forget(table, target)
        return set()

    def _record_failure(self, change: BlockChange, failure: Failure) -> set[Target]:
        target, table = change.target, table_of(change.target)
        if failure.kind is FailureKind.EXISTS:
            self._put(target, None)
            return {target}
        if failure.kind is FailureKind.MISSING:
            self._remove(target)
            return {target}
        if failure.kind is FailureKind.FULL:
            if change.op is Op.INSERT:
                self._room[table] = 0  # it knows better than its P4Info
            self._unplace(target)
            return set()
        self.refused[target] = failure.message
        return set()

    def _put(self, target: Target, action: Action | None) -> None:
        """``target`` has an entry; ``action`` None: nobody knows which."""
        if target not in self.blocks:
            self._take(table_of(target), 1)
        before = self.blocks.get(target)
        self.blocks[target] = action
        if action is not before:
            self._limit((action is _LIMIT) - (before is _LIMIT))

    def _remove(self, target: Target) -> None:
        """``target`` has no entry."""
        if target in self.blocks:
            self._take(table_of(target), -1)
            self._limit(-(self.blocks.pop(target) is Action.LIMIT))

    def _candidates(self, table: TableKey) -> set[Target]:
        """Unplaced targets for the room there is now, those that matter most."""
        waiting = self.unplaced.get(table)
        room = self._room.get(table, 0)
        if not waiting or room <= 0:
            return set()
        return set(heapq.nsmallest(room, waiting, key=self._rank))

    def _unplace(self, target: Target) -> None:
        self.unplaced.setdefault(table_of(target), set()).add(target)

    def _forget(self, table: TableKey, target: Target) -> None:
        waiting = self.unplaced.get(table)
        if waiting is not None:
            waiting.discard(target)
            if not waiting:
                del self.unplaced[table]

    def _take(self, table: TableKey, places: int) -> None:
        self._room[table] = self._room.get(table, 0) - places
        self._held[table] = self._held.get(table, 0) + places

    def _limit(self, more: int) -> None:
        self._limiters -= more
        self._limited += more


_GONE: Final = FailureKind.MISSING


@dataclass
class _Room:
    """Places left while a proposal is made; ``freed`` are those of entries to be deleted."""

    tables: dict[TableKey, int]
    limiters: int
    freed: dict[TableKey, int] = field(default_factory=dict)


def _length(prefix: Source | Prefix) -> int:
    return prefix.length if isinstance(prefix, Prefix) else len(prefix.address) * 8
