"""The views against naive models: any sequence of changes, any clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sdnblock.block import (
    Action,
    Prefix,
    Source,
    Target,
    covers,
    overlaps,
    parse_prefix,
    parse_target,
    source_of,
)
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.blocklist.view import AllowView, BlockView

TARGETS: list[Target] = [
    parse_target(text)
    for text in (
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.0/24",
        "2001:db8::1",
        "2001:db8::/32",
        "udp:192.0.2.1:5060>198.51.100.9:5060",
    )
]
KEYS = [ClaimKey(origin, action) for origin in ("a", "b") for action in Action]

targets = st.sampled_from(TARGETS)
keys = st.sampled_from(KEYS)
expiries = st.one_of(
    st.integers(-5, 60).map(float), st.floats(0, 60), st.just(math.inf), st.just(-math.inf)
)


class BlockViewMachine(RuleBasedStateMachine):
    """Every change is made to the view and to a plain dict, and both must agree."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.view = BlockView()
        self.model: dict[tuple[ClaimKey, Target], float] = {}

    def action(self, target: Target) -> Action | None:
        actions = [key.action for key, t in self.model if t == target]
        return max(actions, key=lambda action: action.strength, default=None)

    def check(self, before: dict[Target, Action | None], changed: set[Target]) -> None:
        self.model = {claim: at for claim, at in self.model.items() if at > self.now}
        assert changed == {t for t in TARGETS if self.action(t) != before[t]}

    def actions(self) -> dict[Target, Action | None]:
        return {target: self.action(target) for target in TARGETS}

    @rule(key=keys, block=targets, expires=expiries)
    def put(self, key: ClaimKey, block: Target, expires: float) -> None:
        before = self.actions()
        self.model[key, block] = expires
        self.check(before, self.view.put(key, block, expires, self.now))

    @rule(key=keys, block=targets)
    def discard(self, key: ClaimKey, block: Target) -> None:
        before = self.actions()
        self.model.pop((key, block), None)
        self.check(before, self.view.discard(key, block))

    @rule(key=keys, members=st.dictionaries(targets, expiries))
    def replace(self, key: ClaimKey, members: dict[Target, float]) -> None:
        before = self.actions()
        self.model = {claim: at for claim, at in self.model.items() if claim[0] != key}
        self.model |= {(key, target): at for target, at in members.items()}
        self.check(before, self.view.replace(key, members, self.now))

    @rule(step=st.floats(0, 30))
    def expire(self, step: float) -> None:
        before = self.actions()
        self.now += step
        self.check(before, self.view.expire(self.now))

    @invariant()
    def agrees(self) -> None:
        assert self.view.next_expiry() == min(
            (at for at in self.model.values() if at != math.inf), default=None
        )
        held = {target for _, target in self.model}
        assert set(self.view.targets()) == held
        assert len(self.view) == len(held)
        claims = {(claim.key, claim.target): claim.expires for claim in self.view.claims()}
        assert claims == self.model
        for target in TARGETS:
            assert self.view.action(target) == self.action(target)
            own = {key: at for (key, t), at in self.model.items() if t == target}
            assert self.view.expires(target) == max(own.values(), default=None)
            assert {claim.key: claim.expires for claim in self.view.claims_on(target)} == own


TestBlockView = BlockViewMachine.TestCase
TestBlockView.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def prefixes() -> st.SearchStrategy[Source | Prefix]:
    """Prefixes close together, so that they often cover each other."""
    near = st.tuples(st.integers(0, 0xFF), st.integers(1, 32)).map(_near_v4)
    return st.one_of(near, st.sampled_from([parse_prefix("2001:db8::/32"), parse_prefix("::1")]))


def _near_v4(drawn: tuple[int, int]) -> Source | Prefix:
    low, length = drawn
    number = 0xC0000200 | low
    number = number >> (32 - length) << (32 - length)
    address = number.to_bytes(4, "big")
    return Source(address) if length == 32 else Prefix(address, length)


class AllowViewMachine(RuleBasedStateMachine):
    """The allowlist against a dict and a scan."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.view = AllowView()
        self.model: dict[Source | Prefix, float] = {}

    def check(self, before: set[Source | Prefix], changed: set[Source | Prefix]) -> None:
        self.model = {prefix: at for prefix, at in self.model.items() if at > self.now}
        assert changed == before ^ self.model.keys()

    @rule(prefix=prefixes(), expires=expiries)
    def put(self, prefix: Source | Prefix, expires: float) -> None:
        before = set(self.model)
        self.model[prefix] = expires
        self.check(before, self.view.put(prefix, expires, self.now))

    @rule(prefix=prefixes())
    def discard(self, prefix: Source | Prefix) -> None:
        before = set(self.model)
        self.model.pop(prefix, None)
        self.check(before, self.view.discard(prefix))

    @rule(members=st.dictionaries(prefixes(), expiries, max_size=5))
    def replace(self, members: dict[Source | Prefix, float]) -> None:
        before = set(self.model)
        self.model = dict(members)
        self.check(before, self.view.replace(members, self.now))

    @rule(step=st.floats(0, 30))
    def expire(self, step: float) -> None:
        before = set(self.model)
        self.now += step
        self.check(before, self.view.expire(self.now))

    @rule(block=st.one_of(targets, prefixes()))
    def look(self, block: Target) -> None:
        net = source_of(block)
        assert self.view.allows(block) == any(covers(source_of(p), net) for p in self.model)
        touching = {p for p in self.model if overlaps(source_of(p), net)}
        assert self.view.overlaps(block) == bool(touching)
        assert set(self.view.overlapping(block)) == touching

    @invariant()
    def agrees(self) -> None:
        assert set(self.view.prefixes()) == self.model.keys()
        assert self.view.next_expiry() == min(
            (at for at in self.model.values() if at != math.inf), default=None
        )


TestAllowView = AllowViewMachine.TestCase
TestAllowView.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=30))
def test_a_claim_put_again_and_again_does_not_pile_up(times: list[float]) -> None:
    """Extending and shortening leaves nothing behind that grows (a detector does it all day)."""
    view = BlockView()
    for _ in range(200):
        for at in times:
            view.put(KEYS[0], TARGETS[0], at, 0.0)
    assert view._schedule._size <= 3000
    assert view.expires(TARGETS[0]) == times[-1]


def test_a_stronger_claim_wins_and_the_weaker_returns() -> None:
    """A target stays blocked until the last origin lets go or expires."""
    view, target = BlockView(), TARGETS[0]
    drop, limit = ClaimKey("feed", Action.DROP), ClaimKey("operator", Action.LIMIT)
    assert view.put(limit, target, math.inf, 0) == {target}
    assert view.put(drop, target, 10, 0) == {target}
    assert view.action(target) is Action.DROP
    assert view.put(drop, target, 20, 0) == set()
    assert view.expire(15) == set()
    assert view.expire(20) == {target}
    assert view.action(target) is Action.LIMIT
    assert view.discard(limit, target) == {target}
    assert view.action(target) is None and target not in view


@pytest.mark.parametrize("expires", [-math.inf, -1.0, 0.0, 100.0])
def test_what_has_expired_is_no_block(expires: float) -> None:
    """A score in the past, whatever it is, blocks nothing."""
    view = BlockView()
    assert view.put(KEYS[0], TARGETS[0], expires, 100.0) == set()
    assert view.replace(KEYS[0], {TARGETS[0]: expires}, 100.0) == set()
    assert len(view) == 0
