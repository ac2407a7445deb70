"""The block list as the controller holds it: claims summed up by target.

Pure and compact: a claim costs a few hundred bytes, targets included. The
claims that are live are those that had not expired at the latest ``now`` given:
call :meth:`BlockView.expire` when :meth:`BlockView.next_expiry` has come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from sdnblock.block import Action, Target
from sdnblock.blocklist.allow import AllowView
from sdnblock.blocklist.claims import Claim, ClaimKey
from sdnblock.blocklist.expiry import Schedule

__all__ = ["AllowView", "BlockView"]

_MANY = 3
"""Above this :meth:`BlockView.replace` loads in bulk; low, so that the tests do so too."""

_Holders = ClaimKey | tuple[ClaimKey, ...]


class BlockView:
    """All live claims. Every change returns the targets whose *action* it changed.

    That includes targets that are no longer blocked (:meth:`action` is then
    None), and leaves out those for which only an expiry or a weaker claim moved.
    """

    def __init__(self) -> None:
        self._claims: dict[ClaimKey, dict[Target, float]] = {}
        # Who claims a target: nearly always one key, held without a container.
        self._holders: dict[Target, _Holders] = {}
        self._schedule: Schedule[Target] = Schedule(self._soonest)

    def replace(self, key: ClaimKey, members: Mapping[Target, float], now: float) -> set[Target]:
        """``members`` (target -> expiry in Unix seconds) are from now on all of ``key``'s claims.

        Those that expire at or before ``now`` are left out.
        """
        if key not in self._claims and len(members) > _MANY:
            return self._load(key, members, now)
        changed: set[Target] = set()
        for target in [t for t in self._claims.get(key, ()) if t not in members]:
            changed |= self.discard(key, target)
        for target, expires in members.items():
            changed |= self.put(key, target, expires, now)
        return changed

    def _load(self, key: ClaimKey, members: Mapping[Target, float], now: float) -> set[Target]:
        """:meth:`replace` for a key without claims: in bulk, as dicts copy without hashing."""
        claims = dict(members)
        for target in [t for t, expires in members.items() if expires <= now]:
            del claims[target]
        if not claims:
            return set()
        shared = [t for t in self._holders if t in claims] if self._holders else []
        held = {target: self._holders[target] for target in shared}
        before = {target: self.action(target) for target in shared}
        self._claims[key] = claims
        self._holders.update(dict.fromkeys(claims, key))
        for target, holders in held.items():
            self._holders[target] = (*_each(holders), key)
        for target, expires in claims.items():
            self._schedule.add(target, expires)
        self._schedule.compact(len(self._holders), lambda: self._holders)
        changed = set(claims)
        changed.difference_update(t for t in shared if self.action(t) is before[t])
        return changed

    def put(self, key: ClaimKey, target: Target, expires: float, now: float) -> set[Target]:
        """Make or change one claim; one that has expired by ``now`` is taken away."""
        if expires <= now:
            return self.discard(key, target)
        claims = self._claims.get(key)
        if claims is None:
            claims = self._claims[key] = {}
        before = claims.get(target)
        claims[target] = expires
        if before is None or expires < before:
            self._schedule.add(target, expires)
            self._schedule.compact(len(self._holders), lambda: self._holders)
        return self._hold(key, target) if before is None else set()

    def discard(self, key: ClaimKey, target: Target) -> set[Target]:
        """Take away one claim, if it is there."""
        claims = self._claims.get(key)
        if claims is None or claims.pop(target, None) is None:
            return set()
        if not claims:
            del self._claims[key]
        before = self.action(target)
        rest = tuple(holder for holder in _each(self._holders[target]) if holder != key)
        if not rest:
            del self._holders[target]
        else:
            self._holders[target] = rest[0] if len(rest) == 1 else rest
        return {target} if self.action(target) is not before else set()

    def expire(self, now: float) -> set[Target]:
        """Take away every claim that expires at or before ``now``."""
        changed: set[Target] = set()
        for target in self._schedule.pop(now):
            for key in _each(self._holders.get(target, ())):
                if self._claims[key][target] <= now:
                    changed |= self.discard(key, target)
            if target in self._holders:
                self._schedule.add(target, self._soonest(target))
        return changed

    def next_expiry(self) -> float | None:
        """The next time at which a claim expires (Unix seconds), None if none ever does."""
        return self._schedule.next()

    def action(self, target: Target) -> Action | None:
        """The strongest action that any live claim asks for ``target``; None: not blocked."""
        holders = self._holders.get(target)
        if holders is None:
            return None
        if isinstance(holders, ClaimKey):  # as nearly always
            return holders.action
        strongest: Action | None = None
        for key in holders:
            if strongest is None or key.action.strength > strongest.strength:
                strongest = key.action
        return strongest

    def expires(self, target: Target) -> float | None:
        """When the last claim on ``target`` ends (infinity: never); None: not blocked."""
        return max(
            (self._claims[key][target] for key in _each(self._holders.get(target, ()))),
            default=None,
        )

    def targets(self) -> Iterator[Target]:
        """Every blocked target. The view must not change meanwhile."""
        return iter(self._holders)

    def targets_of(self, key: ClaimKey) -> list[Target]:
        """The targets that one key claims."""
        return list(self._claims.get(key, ()))

    def claims(self) -> Iterator[Claim]:
        """Every live claim (without reasons). The view must not change meanwhile."""
        for key, claims in self._claims.items():
            for target, expires in claims.items():
                yield Claim(target, key.origin, key.action, expires)

    def claims_on(self, target: Target) -> list[Claim]:
        """The live claims on one target (without reasons)."""
        return [
            Claim(target, key.origin, key.action, self._claims[key][target])
            for key in _each(self._holders.get(target, ()))
        ]

    def keys(self) -> list[ClaimKey]:
        """The keys that have live claims."""
        return list(self._claims)

    def __len__(self) -> int:
        """How many targets are blocked."""
        return len(self._holders)

    def __contains__(self, target: object) -> bool:
        return target in self._holders

    def _hold(self, key: ClaimKey, target: Target) -> set[Target]:
        held = self._holders.get(target)
        if held is None:
            self._holders[target] = key
            return {target}
        before = self.action(target)
        self._holders[target] = (*_each(held), key)
        return {target} if self.action(target) is not before else set()

    def _soonest(self, target: Target) -> float:
        return min(
            (self._claims[key][target] for key in _each(self._holders.get(target, ()))),
            default=math.inf,
        )


def _each(holders: _Holders | tuple[()]) -> tuple[ClaimKey, ...]:
    return (holders,) if isinstance(holders, ClaimKey) else holders
