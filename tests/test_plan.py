"""The plan against a naive model: strongest wins, allowlist wins, change by change or at once."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.block import UDP, Action, Flow, Prefix, Source, Target, covers, source_of
from sdnblock.blocklist.allow import AllowView
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.blocklist.view import BlockView
from sdnblock.plan import Plan

# Few addresses and lengths, so that targets cover each other often.
addresses = st.integers(0, 7).map(lambda n: bytes((10, 0, n >> 2, n & 3)))
addresses6 = st.integers(0, 3).map(lambda n: bytes((32, 1, *[0] * 13, n)))


def prefix(address: bytes, length: int) -> Source | Prefix:
    bits = len(address) * 8
    if length == bits:
        return Source(address)
    number = int.from_bytes(address, "big") >> (bits - length) << (bits - length)
    return Prefix(number.to_bytes(len(address), "big"), length)


prefixes = st.one_of(
    st.builds(prefix, addresses, st.sampled_from((8, 16, 23, 24, 30, 31, 32))),
    st.builds(prefix, addresses6, st.sampled_from((16, 64, 127, 128))),
)
flows = st.builds(
    lambda source, port: Flow(UDP, source, port, bytes((198, 51, 100, 9)), 5060),
    addresses,
    st.sampled_from((5060, 5061)),
)
targets: st.SearchStrategy[Target] = st.one_of(st.builds(Source, addresses), prefixes, flows)
actions = st.sampled_from(list(Action))

steps = st.lists(
    st.one_of(
        st.tuples(st.just("block"), targets, actions),
        st.tuples(st.just("unblock"), targets, actions),
        st.tuples(st.just("allow"), prefixes, st.none()),
        st.tuples(st.just("disallow"), prefixes, st.none()),
    ),
    max_size=40,
)


def naive(target: Target, blocks: BlockView, allow: AllowView) -> Action | None:
    """Strongest action of all blocked targets that cover it; None where the allowlist covers."""

    def allowed(each: Target) -> bool:
        return any(covers(source_of(a), source_of(each)) for a in allow.prefixes())

    if blocks.action(target) is None or allowed(target):
        return None
    found = [
        action
        for other in blocks.targets()
        if (other == target or (not isinstance(other, Flow) and _covers(other, target)))
        and not allowed(other)
        and (action := blocks.action(other)) is not None
    ]
    return max(found, key=lambda action: action.strength)


def _covers(outer: Target, inner: Target) -> bool:
    if source_of(outer) == source_of(inner):
        return isinstance(inner, Flow)
    return covers(source_of(outer), source_of(inner))


@given(steps)
@settings(max_examples=400, deadline=None)
def test_every_change_names_every_target_whose_entry_differs(
    changes: list[tuple[str, Target, Action | None]],
) -> None:
    blocks, allow = BlockView(), AllowView()
    plan = Plan(blocks, allow)
    installed: dict[Target, Action] = {}
    for what, target, action in changes:
        if what in ("block", "unblock"):
            assert action is not None
            key = ClaimKey("operator", action)
            if what == "block":
                changed = blocks.put(key, target, math.inf, 0)
            else:
                changed = blocks.discard(key, target)
            affected = plan.blocks_changed(changed)
        else:
            assert isinstance(target, Source | Prefix)
            allows = allow.put(target, math.inf, 0) if what == "allow" else allow.discard(target)
            affected = plan.allow_changed(allows)
        for each in affected:
            wanted = plan.action(each)
            if wanted is None:
                installed.pop(each, None)
            else:
                installed[each] = wanted
        expected = {t: a for t in blocks.targets() if (a := naive(t, blocks, allow))}
        assert installed == expected


def test_a_watch_does_not_release_the_drop_around_it() -> None:
    blocks, allow = BlockView(), AllowView()
    plan = Plan(blocks, allow)
    source, around = Source(bytes((203, 0, 113, 7))), Prefix(bytes((203, 0, 113, 0)), 24)
    plan.blocks_changed(blocks.put(ClaimKey("d", Action.WATCH), source, math.inf, 0))
    assert plan.action(source) is Action.WATCH
    drop = ClaimKey("feed", Action.DROP)
    assert source in plan.blocks_changed(blocks.put(drop, around, math.inf, 0))
    assert plan.action(source) is Action.DROP
    assert source in plan.blocks_changed(blocks.discard(drop, around))
    assert plan.action(source) is Action.WATCH
