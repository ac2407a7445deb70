"""The ledger against a model switch: its promises hold between any two changes."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.block import Action, Flow, Prefix, Source, Target, covers, source_of
from sdnblock.blocklist.allow import AllowView
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.blocklist.view import BlockView
from sdnblock.plan import Plan
from sdnblock.reconcile import Ledger
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Capacity,
    Change,
    Failure,
    FailureKind,
    Installed,
    Op,
    TableKind,
    table_of,
)
from tests.test_plan import prefixes, steps, targets

ROOMY = Capacity({(kind, family): 100 for kind in TableKind for family in (4, 6)}, 100)
TIGHT = Capacity({(kind, family): 2 for kind in TableKind for family in (4, 6)}, 1)


class ModelSwitch:
    """Tables with a size, that check every change as a real switch does."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.blocks: dict[Target, Action] = {}
        self.allows: set[Source | Prefix] = set()

    def apply(self, change: Change) -> Failure | None:
        if isinstance(change, AllowChange):
            return self._allow(change)
        there = change.target in self.blocks
        if change.op is Op.INSERT:
            if there:
                return Failure(change, FailureKind.EXISTS, "")
            used = sum(table_of(t) == table_of(change.target) for t in self.blocks)
            if used >= self.capacity.tables[table_of(change.target)]:
                return Failure(change, FailureKind.FULL, "")
        elif not there:
            return Failure(change, FailureKind.MISSING, "")
        if change.op is Op.DELETE:
            del self.blocks[change.target]
            return None
        limited = sum(a is Action.LIMIT and t != change.target for t, a in self.blocks.items())
        if change.action is Action.LIMIT and limited >= self.capacity.limiters:
            return Failure(change, FailureKind.FULL, "")
        self.blocks[change.target] = change.action
        return None

    def _allow(self, change: AllowChange) -> Failure | None:
        family = (TableKind.ALLOW, change.prefix.family)
        if change.op is Op.INSERT:
            used = sum(prefix.family == change.prefix.family for prefix in self.allows)
            if used >= self.capacity.tables[family]:
                return Failure(change, FailureKind.FULL, "")
            self.allows.add(change.prefix)
        else:
            self.allows.discard(change.prefix)
        return None

    def drops(self, address: bytes) -> bool:
        """Whether a packet from ``address`` (not of a blocked flow) can be dropped."""
        if any(covers(source_of(a), (address, len(address) * 8)) for a in self.allows):
            return False
        hits = [
            (source_of(t)[1], a)
            for t, a in self.blocks.items()
            if not isinstance(t, Flow) and covers(source_of(t), (address, len(address) * 8))
        ]
        return bool(hits) and max(hits, key=lambda hit: hit[0])[1] is not Action.WATCH


def settle(
    ledger: Ledger,
    switch: ModelSwitch,
    every: set[Target],
    allow: AllowView,
    safe: set[Source | Prefix] | None = None,
) -> None:
    """Write until nothing is left; check the promises after every single change.

    ``safe`` are entries of the allowlist that cannot be dropped any more: they stay so.
    """
    pending, with_allows = set(every), True
    safe = set() if safe is None else safe
    safe &= set(allow.prefixes())
    for _ in range(20):
        proposal = ledger.propose(pending, with_allows)
        pending, with_allows = set(), False
        for number, stage in enumerate(proposal.stages):
            failures = []
            for change in stage:
                failure = switch.apply(change)
                if failure:
                    failures.append(failure)
                for prefix in allow.prefixes():
                    dropped = switch.drops(source_of(prefix)[0])
                    assert not (dropped and prefix in safe), f"{prefix} after {change}"
                    if not dropped:
                        safe.add(prefix)
            again = ledger.record(stage, failures)
            pending |= again
            if again and isinstance(stage[0], AllowChange) and failures:
                for later in proposal.stages[number + 1 :]:
                    pending |= {c.target for c in later if isinstance(c, BlockChange)}
                break
        if not pending:
            return
    raise AssertionError("it never settles")


@given(steps, st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_switch_ends_as_planned(
    changes: list[tuple[str, Target, Action | None]], tight: bool
) -> None:
    blocks, allow = BlockView(), AllowView()
    plan = Plan(blocks, allow)
    capacity = TIGHT if tight else ROOMY
    ledger = Ledger(plan.action, lambda target: 2, allow)
    switch = ModelSwitch(capacity)
    ledger.reset(Installed(), capacity)
    safe: set[Source | Prefix] = set()
    for what, target, action in changes:
        if what in ("block", "unblock"):
            assert action is not None
            key = ClaimKey("feed", action)
            changed = (
                blocks.put(key, target, math.inf, 0)
                if what == "block"
                else blocks.discard(key, target)
            )
            affected = plan.blocks_changed(changed)
        else:
            assert isinstance(target, Source | Prefix)
            affected = plan.allow_changed(
                allow.put(target, math.inf, 0) if what == "allow" else allow.discard(target)
            )
        settle(ledger, switch, affected, allow, safe)
        assert switch.blocks == ledger.blocks
        assert switch.allows == ledger.allows
        for prefix in allow.prefixes():
            assert not switch.drops(source_of(prefix)[0]), f"{prefix} is on the allowlist"
    wanted = {t: a for t in blocks.targets() if (a := plan.action(t))}
    if not tight:
        assert switch.blocks == wanted
        assert switch.allows == set(allow.prefixes())
        return
    # Full tables: nothing that is not wanted, and no room wasted.
    assert switch.blocks.keys() <= wanted.keys()
    waiting = set().union(*ledger.unplaced.values()) if ledger.unplaced else set()
    for target in wanted.keys() - switch.blocks.keys():
        overlapping = any(
            covers(source_of(p), source_of(target)) or covers(source_of(target), source_of(p))
            for p in set(allow.prefixes()) - switch.allows
        )
        assert overlapping or target in waiting


@given(st.lists(st.tuples(targets, st.sampled_from(list(Action))), max_size=30),
       st.lists(prefixes, max_size=5))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_resync_from_any_state(
    held: list[tuple[Target, Action]], allowed: list[Source | Prefix]
) -> None:
    blocks, allow = BlockView(), AllowView()
    plan = Plan(blocks, allow)
    for prefix in allowed:
        plan.allow_changed(allow.put(prefix, math.inf, 0))
    for target, action in held[::2]:
        plan.blocks_changed(blocks.put(ClaimKey("feed", action), target, math.inf, 0))
    switch = ModelSwitch(ROOMY)
    switch.blocks = dict(held)
    ledger = Ledger(plan.action, lambda target: 2, allow)
    ledger.reset(Installed(dict(held), set()), ROOMY)
    settle(ledger, switch, set(blocks.targets()) | set(dict(held)), allow)
    assert switch.blocks == {t: a for t in blocks.targets() if (a := plan.action(t))}
    assert switch.allows == set(allow.prefixes())


def source(last: int) -> Source:
    return Source(bytes((203, 0, 113, last)))


def test_an_operators_block_takes_a_feeds_place_in_a_full_table() -> None:
    blocks, allow = BlockView(), AllowView()
    plan = Plan(blocks, allow)
    ranks = {source(9): 0}
    ledger = Ledger(plan.action, lambda target: ranks.get(target, 2), allow)  # type: ignore[arg-type]
    switch = ModelSwitch(TIGHT)
    ledger.reset(Installed(), TIGHT)
    for last in (1, 2, 3):
        changed = blocks.put(ClaimKey("feed", Action.DROP), source(last), math.inf, 0)
        settle(ledger, switch, plan.blocks_changed(changed), allow)
    assert set(switch.blocks) == {source(1), source(2)}
    assert ledger.unplaced_count() == 1
    changed = blocks.put(ClaimKey("operator", Action.DROP), source(9), math.inf, 0)
    settle(ledger, switch, plan.blocks_changed(changed), allow)
    assert source(9) in switch.blocks
    assert ledger.unplaced_count() == 2
    # Room again: who waited comes in.
    changed = blocks.discard(ClaimKey("operator", Action.DROP), source(9))
    settle(ledger, switch, plan.blocks_changed(changed), allow)
    assert len(switch.blocks) == 2
    assert ledger.unplaced_count() == 1


def test_an_allow_entry_that_does_not_fit_withholds_the_blocks_it_touches() -> None:
    blocks, allow = BlockView(), AllowView()
    plan = Plan(blocks, allow)
    ledger = Ledger(plan.action, lambda target: 2, allow)
    switch = ModelSwitch(TIGHT)
    ledger.reset(Installed(), TIGHT)
    around = Prefix(bytes((203, 0, 113, 0)), 24)
    for last in (1, 2, 3):
        allow.put(source(last), math.inf, 0)
    changed = blocks.put(ClaimKey("feed", Action.DROP), around, math.inf, 0)
    settle(ledger, switch, plan.blocks_changed(changed), allow)
    assert ledger.withheld == 1
    assert around not in switch.blocks
    affected = plan.allow_changed(allow.discard(source(3)))
    settle(ledger, switch, affected, allow)
    assert ledger.withheld == 0
    assert switch.blocks == {around: Action.DROP}


def test_a_full_allow_table_takes_installed_blocks_out_at_a_resync() -> None:
    blocks, allow = BlockView(), AllowView()
    plan = Plan(blocks, allow)
    around = Prefix(bytes((203, 0, 113, 0)), 24)
    plan.blocks_changed(blocks.put(ClaimKey("feed", Action.DROP), around, math.inf, 0))
    switch = ModelSwitch(TIGHT)
    switch.blocks = {around: Action.DROP}
    for last in (1, 2, 3):
        plan.allow_changed(allow.put(source(last), math.inf, 0))
    ledger = Ledger(plan.action, lambda target: 2, allow)
    ledger.reset(Installed(dict(switch.blocks), set()), TIGHT)
    settle(ledger, switch, set(), allow)
    assert switch.blocks == {}
