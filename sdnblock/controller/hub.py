"""The block list as it is now, and who has to hear of a change. No I/O.

The hub takes what the block list's watcher, the clock and the detectors say, keeps the
plan, and tells each switch's session which targets to look at again.

Nothing is passed on before the block list has been read completely: half a block list
must not delete entries, and blocks must not arrive before the allowlist that excepts them.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from sdnblock.block import Prefix, Source, Target, source_of
from sdnblock.blocklist.allow import AllowView
from sdnblock.blocklist.claims import Claim, ClaimKey
from sdnblock.blocklist.safety import Safety
from sdnblock.blocklist.urgency import FEW, Urgency
from sdnblock.blocklist.view import BlockView
from sdnblock.detect.site import site_target
from sdnblock.plan import Plan

_log = logging.getLogger(__name__)

OPERATOR: Final = "operator"
RECOVERED: Final = "recovered"
_NO_FEEDS: Final = frozenset({OPERATOR, RECOVERED})
Listener = Callable[[set[Target], bool, bool], None]
Change = tuple[ClaimKey, Target, float | None]
"""A claim's key and target, and its expiry from now on; None: it is gone."""
_PART: Final = 50
"""Claims taken in before the loop goes on: a fraction of a millisecond."""


class Hub:
    """The state that all switches share. ``detectors`` are the origins that rank as such."""

    def __init__(
        self,
        safety: Safety,
        static_allows: Iterable[Source | Prefix],
        detectors: frozenset[str],
        now: Callable[[], float],
    ) -> None:
        self.blocks = BlockView()
        self.allows = AllowView()
        self.plan = Plan(self.blocks, self.allows)
        self._ready = asyncio.Event()
        self._safety = safety
        # The allowlist has two sources: the configuration, and Redis.
        self._static = dict.fromkeys(static_allows, math.inf)
        self._dynamic: dict[Source | Prefix, float] = {}
        self._detectors = detectors
        self._now = now
        self._listeners: list[Listener] = []
        self._urgency = Urgency()
        # While everything is loaded again: claims that somebody has put meanwhile.
        self._fresh: set[tuple[ClaimKey, Target]] | None = None
        self._refused: set[tuple[str, Target]] = set()
        self._put_allows({})

    def listen(self, listener: Listener) -> None:
        """``listener(targets, allowlist_changed, urgent)`` is called after every change.

        What is urgent need not wait for what is not.
        """
        self._listeners.append(listener)

    @property
    def ready(self) -> bool:
        """Whether the whole block list has been read once."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        """Wait for that."""
        await self._ready.wait()

    def set_safety(self, safety: Safety) -> None:
        """New limits, for claims that come from now on."""
        self._safety = safety

    def rank(self, target: Target) -> int:
        """How much a block matters when room is short: 0 operator, 1 detector, 2 feed."""
        origins = {claim.origin for claim in self.blocks.claims_on(target)}
        if OPERATOR in origins:
            return 0
        return 1 if origins & self._detectors else 2

    def named_by(self, address: bytes) -> list[str]:
        """The feeds that name a source: origins that are neither detectors nor people.

        ``address`` is packed; for IPv6 its /64 counts, and whatever covers that.
        """
        found: dict[str, None] = {}
        site = site_target(address)
        packed, longest = source_of(site)
        number, bits = int.from_bytes(packed, "big"), len(packed) * 8
        for length in range(1, longest + 1):
            shift = bits - length
            cut = (number >> shift << shift).to_bytes(len(packed), "big")
            target = Source(cut) if length == bits else Prefix(cut, length)
            if target in self.blocks:
                found.update((claim.origin, None) for claim in self.blocks.claims_on(target))
        return [name for name in found if name not in self._detectors | _NO_FEEDS]

    # --- what the block list says -------------------------------------------------------

    def load(
        self,
        claims: dict[ClaimKey, dict[Target, float]],
        allows: dict[Source | Prefix, float],
    ) -> None:
        """This is the whole block list, the first time. From now on changes are passed on."""
        changed_allows = self._put_allows(allows)
        changed: set[Target] = set()
        for key in [key for key in self.blocks.keys() if key not in claims]:  # noqa: SIM118
            changed |= self.blocks.replace(key, {}, self._now())
        for key, members in claims.items():
            changed |= self._replace(key, members)
        self._ready.set()
        self._tell(changed, changed_allows)

    async def load_again(
        self,
        claims: dict[ClaimKey, dict[Target, float]],
        allows: dict[Source | Prefix, float],
    ) -> None:
        """This is the whole block list, again; what differs is passed on, part by part."""
        self._tell(set(), self._put_allows(allows))
        self._fresh = set()
        try:
            for key in [key for key in self.blocks.keys() if key not in claims]:  # noqa: SIM118
                await self.replace(key, {})
            for key, members in claims.items():
                await self.replace(key, members)
        finally:
            self._fresh = None

    async def replace(self, key: ClaimKey, members: Mapping[Target, float]) -> None:
        """These are all of ``key``'s claims; what differs is passed on, part by part.

        What :meth:`put` says in between is newer, and stays.
        """
        fresh = self._fresh if self._fresh is not None else set()
        for part in _parts(self.blocks.targets_of(key)):
            gone = [t for t in part if t not in members and (key, t) not in fresh]
            self._apply([(key, target, None) for target in gone], urgent=False)
            await asyncio.sleep(0)
        for part in _parts(members):
            there = [t for t in part if (key, t) not in fresh]
            self._apply([(key, target, members[target]) for target in there], urgent=False)
            await asyncio.sleep(0)

    def put(self, key: ClaimKey, target: Target, expires: float | None) -> None:
        """One claim: made, changed, or (None) gone."""
        self.put_all([(key, target, expires)], urgent=self._urgency.permits(key, 1))

    def put_all(self, claims: Iterable[Change], *, urgent: bool) -> None:
        """A few claims: each made, changed, or (None) gone."""
        claims = list(claims)
        if self._fresh is not None:
            self._fresh.update((key, target) for key, target, _ in claims)
        self._apply(claims, urgent=urgent)

    def _apply(self, claims: Iterable[Change], *, urgent: bool) -> None:
        changed: set[Target] = set()
        now = self._now()
        for key, target, expires in claims:
            if expires is None:
                changed |= self.blocks.discard(key, target)
            elif not self._safety.check(target, key.origin) or not self.refusal(target, key.origin):
                changed |= self.blocks.put(key, target, expires, now)
        self._tell(changed, set(), urgent=urgent)

    def replace_allows(self, members: dict[Source | Prefix, float]) -> None:
        """These are all entries of the allowlist in Redis."""
        self._tell(set(), self._put_allows(members))

    def put_allow(self, prefix: Source | Prefix, expires: float | None) -> None:
        """One allowlist entry in Redis: made, changed, or (None) gone."""
        self.put_allows([(prefix, expires)])

    def put_allows(self, members: Iterable[tuple[Source | Prefix, float | None]]) -> None:
        """A few of them; they are looked at together."""
        now = self._now()
        changed: set[Source | Prefix] = set()
        for prefix, expires in members:
            if expires is None:
                self._dynamic.pop(prefix, None)
            else:
                self._dynamic[prefix] = expires
            if prefix in self._static:
                continue
            if expires is None:
                changed |= self.allows.discard(prefix)
            else:
                changed |= self.allows.put(prefix, expires, now)
        self._tell(set(), changed)

    def set_static_allows(self, prefixes: Iterable[Source | Prefix]) -> None:
        """The configuration's allowlist has changed."""
        self._static = dict.fromkeys(prefixes, math.inf)
        self._tell(set(), self._put_allows(self._dynamic))

    def expire(self) -> None:
        """Let go of what has expired by now."""
        now = self._now()
        changed, allows = self.blocks.expire(now), self.allows.expire(now)
        self._tell(changed, allows, urgent=len(changed) <= FEW)

    def next_expiry(self) -> float | None:
        """When :meth:`expire` has something to do (Unix seconds)."""
        times = [t for t in (self.blocks.next_expiry(), self.allows.next_expiry()) if t is not None]
        return min(times, default=None)

    def refusal(self, target: Target, origin: str) -> str | None:
        """Why a claim is not enforced, None if it is. Logged once."""
        reason = self._safety.check(target, origin)
        if reason is not None and (origin, target) not in self._refused:
            if len(self._refused) < 10_000:
                self._refused.add((origin, target))
            _log.warning("refused %s from origin %s: %s", target, origin, reason)
        return reason

    def holds(self, key: ClaimKey, target: Target, until: float) -> bool:
        """Whether ``key`` (or a stronger action of its origin) blocks ``target`` until then."""
        return any(
            claim.origin == key.origin
            and claim.action.strength >= key.action.strength
            and claim.expires >= until
            for claim in self.blocks.claims_on(target)
        )

    def all_claims(self) -> list[Claim]:
        """Every live claim, to be put back into a Redis that lost them."""
        return list(self.blocks.claims())

    def all_allows(self) -> list[tuple[Source | Prefix, float]]:
        """Every live allowlist entry that is not only the configuration's."""
        now = self._now()
        return [(prefix, expires) for prefix, expires in self._dynamic.items() if expires > now]

    # --- helpers ------------------------------------------------------------------------

    def _replace(self, key: ClaimKey, members: dict[Target, float]) -> set[Target]:
        accepted = {
            target: expires
            for target, expires in members.items()
            if not self._safety.check(target, key.origin) or not self.refusal(target, key.origin)
        }
        return self.blocks.replace(key, accepted, self._now())

    def _put_allows(self, members: dict[Source | Prefix, float]) -> set[Source | Prefix]:
        self._dynamic = members
        return self.allows.replace({**members, **self._static}, self._now())

    def _tell(
        self, changed: set[Target], allows: set[Source | Prefix], *, urgent: bool = False
    ) -> None:
        if not changed and not allows:
            return
        affected = self.plan.blocks_changed(changed) | self.plan.allow_changed(allows)
        if self.ready:
            for listener in self._listeners:
                listener(affected, bool(allows), urgent)


def _parts(targets: Iterable[Target]) -> Iterator[list[Target]]:
    """Lists of a few of them; all are gathered first, so that they may change meanwhile."""
    every = list(targets)
    for at in range(0, len(every), _PART):
        yield every[at : at + _PART]
