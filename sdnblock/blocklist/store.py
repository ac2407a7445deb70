"""Reading and writing the block list in Redis. Every write is atomic and leaves its hint.

Only this package knows the keys; docs/redis.md is the same contract for programs
in other languages.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from redis.asyncio import Redis

from sdnblock.block import Action, Prefix, Source, Target
from sdnblock.blocklist import scripts, spellings
from sdnblock.blocklist.asked import AskedStore
from sdnblock.blocklist.claims import (
    Allowed,
    Claim,
    ClaimKey,
    parse_allow_member,
    parse_member,
    printable,
)
from sdnblock.blocklist.facts import read_facts, write_facts
from sdnblock.blocklist.kept import KeptStore
from sdnblock.blocklist.keys import Keys, check_origin
from sdnblock.blocklist.link import Link, Value
from sdnblock.blocklist.marks import MarkStore
from sdnblock.blocklist.numbers import NumberStore
from sdnblock.blocklist.status import StatusStore
from sdnblock.errors import TargetError

_T = TypeVar("_T")

ACTIONS: Final = (Action.DROP, Action.LIMIT, Action.WATCH)

STREAM_LENGTH: Final = 10000
"""Hints kept in the change stream, about."""

_CHUNK: Final = 500
_HINTED: Final = 2000
"""A larger add gives no hint per target: the set is then read again as a whole."""
_LOOKUPS: Final = 20000
_PURGED: Final = 1000


@dataclass(frozen=True, slots=True)
class Refused:
    """Something under our keys that is not understood: where, what (safe to print), why."""

    key: str
    member: str
    reason: str


class Store(StatusStore):
    """The block list in one Redis. All methods raise BlockListError when Redis fails or refuses."""

    def __init__(self, redis: Redis, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        super().__init__(Link(redis), keys, clock)
        self.memory = KeptStore(self._link, keys, clock)
        """What detection remembers."""
        self.signatures = MarkStore(self._link, keys, clock)
        """Scanners' marks."""
        self.numbers = NumberStore(self._link, keys, clock)
        """Test numbers."""
        self.asked = AskedStore(self._link, keys, clock)
        """Sources that somebody asks about."""

    async def add(self, claims: Sequence[Claim]) -> None:
        """Make the claims, atomically in chunks.

        A claim that the origin has on the target already gets the new expiry,
        reason and action. Raises TargetError, before anything is written, for an
        origin or expiry that cannot be.
        """
        groups: dict[ClaimKey, list[Claim]] = {}
        for claim in claims:
            check_origin(claim.origin)
            _check_expiry(claim.expires)
            groups.setdefault(claim.key, []).append(claim)
        hint = "1" if len(claims) <= _HINTED else "0"
        now = self._clock()
        for key, group in groups.items():
            others = [ClaimKey(key.origin, action) for action in ACTIONS if action != key.action]
            names = [self._keys.claims(key), self._keys.facts(key.origin), self._keys.changes]
            names += [self._keys.claims(other) for other in others]
            for chunk in _chunks(group, _CHUNK):
                words: list[Value] = [STREAM_LENGTH, hint, *map(self._keys.suffix, (key, *others))]
                for claim in chunk:
                    since = now if claim.since is None else claim.since
                    facts = write_facts(claim.reason, since)
                    words += [str(claim.target), _score(claim.expires), facts]
                await self._link.run(scripts.ADD, names, words)

    async def remove(
        self, targets: Iterable[Target], origin: str | None = None, thorough: bool = True
    ) -> list[Claim]:
        """Take out all claims on the targets, of one origin or of all; returns what was there.

        ``thorough`` also finds members spelled in another way (``2001:DB8::1``), which
        means reading the sets; an origin that only this class writes needs it not.
        """
        wanted = list(dict.fromkeys(targets))
        origins = await self._origin_names() if origin is None else [check_origin(origin)]
        if not wanted or not origins:
            return []
        sets = [ClaimKey(name, action) for name in origins for action in ACTIONS]
        members = [str(target).encode("ascii") for target in wanted]
        if thorough:
            members += await self._other_spellings(set(wanted), sets)
        names = [self._keys.changes]
        for name in origins:
            names += [self._keys.claims(ClaimKey(name, action)) for action in ACTIONS]
            names.append(self._keys.facts(name))
        suffixes = [self._keys.suffix(key) for key in sets]
        removed: list[Claim] = []
        for chunk in _chunks(members, max(1, min(_CHUNK, _LOOKUPS // len(sets)))):
            words: list[Value] = [STREAM_LENGTH, len(ACTIONS), len(chunk), *chunk, *suffixes]
            flat = await self._link.run(scripts.REMOVE, names, words)
            for index, member, score, facts in _rows(flat):
                key = sets[index]
                removed.append(_claim(parse_member(member), key, float(score), facts))
        return removed

    async def claims(self, origin: str | None = None) -> AsyncIterator[list[Claim]]:
        """All live claims with their reasons, of one origin or of all, in bounded lists."""
        for key in await self.origins():
            if origin is not None and key.origin != origin:
                continue
            seen: set[bytes] = set()
            async for window in self._link.members(self._keys.claims(key)):
                found: list[tuple[bytes, Target, float]] = []
                for member, target, expires in self._understood(window):
                    if member not in seen:  # a set that is growing names some twice
                        seen.add(member)
                        found.append((member, target, expires))
                if found:
                    facts = await self._facts(self._keys.facts(key.origin), [f[0] for f in found])
                    yield [
                        _claim(target, key, expires, fact)
                        for (_, target, expires), fact in zip(found, facts, strict=True)
                    ]

    async def find(self, target: Target, thorough: bool = True) -> list[Claim]:
        """All live claims on one target with their reasons. ``thorough`` as in :meth:`remove`."""
        sets = await self.origins()
        members = [str(target).encode("ascii")]
        if thorough:
            members += await self._other_spellings({target}, sets)
        found: list[Claim] = []
        for key in sets:
            scores = await self._link.run(scripts.SCORES, [self._keys.claims(key)], members)
            for member, score in zip(members, scores, strict=False):  # none: no longer a zset
                if score is not None and float(score) > self._clock():
                    facts = await self._facts(self._keys.facts(key.origin), [member])
                    found.append(_claim(target, key, float(score), facts[0]))
        return found

    async def held(self, origin: str, targets: Sequence[Target]) -> dict[Target, Claim]:
        """What one origin claims of the targets now, without reasons.

        Asks that origin's sets only, for canonical spellings: fast in any database.
        """
        found: dict[Target, Claim] = {}
        for action in ACTIONS if targets else ():
            key = ClaimKey(check_origin(origin), action)
            members = [str(target).encode("ascii") for target in targets]
            scores = await self._link.run(scripts.SCORES, [self._keys.claims(key)], members)
            for target, score in zip(targets, scores, strict=False):  # none: not a set
                if score is not None and float(score) > self._clock():
                    found.setdefault(target, Claim(target, origin, action, float(score)))
        return found

    async def origins(self) -> list[ClaimKey]:
        """Every claim set there is, in order of name. Walks the names of the database."""
        found: set[ClaimKey] = set()
        async for names in self._link.keys(self._keys.pattern("origin"), "zset"):
            found.update(key for key in map(self._keys.parse_claims, names) if key is not None)
        return sorted(found, key=lambda key: (key.origin, -key.action.strength))

    async def refused(self) -> AsyncIterator[list[Refused]]:
        """What stands under our keys and is not enforced because it is not understood."""
        sets: list[tuple[str, Callable[[bytes], object]]] = [(self._keys.allow, parse_allow_member)]
        async for names in self._link.keys(self._keys.pattern("origin")):
            for name in names:
                key = self._keys.parse_claims(name)
                if key is None:
                    yield [Refused(printable(name), "", "not the name of an origin's claims")]
                else:
                    sets.append((self._keys.claims(key), parse_member))
        for zset, parse in sorted(sets, key=lambda pair: pair[0]):
            kind = (await self._link.command("TYPE", zset)).decode("ascii", "replace")
            if kind not in ("zset", "none"):
                yield [Refused(zset, "", f"is a {kind}, not a sorted set")]
                continue
            async for window in self._link.members(zset) if kind == "zset" else _nothing():
                bad = [
                    Refused(zset, printable(member), why)
                    for member, _ in window
                    if (why := _complaint(parse, member)) is not None
                ]
                if bad:
                    yield bad

    async def allow_add(self, prefix: Source | Prefix, expires: float, note: str = "") -> None:
        """Put a prefix on the allowlist, or change its expiry and note."""
        _check_expiry(expires)
        names = [self._keys.allow, self._keys.allow_facts, self._keys.changes]
        facts = write_facts(note, self._clock())
        words: list[Value] = [STREAM_LENGTH, "1", "allow", str(prefix), _score(expires), facts]
        await self._link.run(scripts.ADD, names, words)

    async def allow_remove(self, prefix: Source | Prefix) -> list[Allowed]:
        """Take a prefix off the allowlist, however it is spelled there; returns what was there."""
        members = [str(prefix).encode("ascii")]
        async for window in self._link.members(self._keys.allow):
            members += spellings.others({prefix}, (member for member, _ in window))
        names = [self._keys.changes, self._keys.allow, self._keys.allow_facts]
        words: list[Value] = [STREAM_LENGTH, 1, len(members), *members, "allow"]
        flat = await self._link.run(scripts.REMOVE, names, words)
        return [_allowed(prefix, float(score), facts) for _, _, score, facts in _rows(flat)]

    async def allowed(self) -> list[Allowed]:
        """The live allowlist, in order of address."""
        found: dict[bytes, Allowed] = {}
        async for window in self._link.members(self._keys.allow):
            facts = await self._facts(self._keys.allow_facts, [member for member, _ in window])
            for (member, expires), fact in zip(window, facts, strict=True):
                if expires > self._clock() and _complaint(parse_allow_member, member) is None:
                    found[member] = _allowed(parse_allow_member(member), expires, fact)
        return sorted(found.values(), key=lambda entry: (entry.prefix.family, entry.prefix.address))

    async def purge(self, now: float) -> int:
        """Delete what expired at or before ``now``, with its facts; returns how many.

        Atomic by chunk: a claim that is extended at the same moment stays.
        """
        total = 0
        for key in await self.origins():
            names = [self._keys.claims(key), self._keys.facts(key.origin), self._keys.changes]
            names += [
                self._keys.claims(ClaimKey(key.origin, action))
                for action in ACTIONS
                if action != key.action
            ]
            total += await self._purge_set(names, self._keys.suffix(key), now)
        names = [self._keys.allow, self._keys.allow_facts, self._keys.changes]
        return total + await self._purge_set(names, "allow", now)

    async def _purge_set(self, names: list[str], suffix: str, now: float) -> int:
        total = 0
        words: list[Value] = [repr(now), _PURGED, STREAM_LENGTH, suffix]
        while True:
            purged = int(await self._link.run(scripts.PURGE, names, words))
            total += purged
            if purged < _PURGED:
                return total

    async def _origin_names(self) -> list[str]:
        return list(dict.fromkeys(key.origin for key in await self.origins()))

    async def _other_spellings(self, targets: set[Target], sets: list[ClaimKey]) -> list[bytes]:
        found: set[bytes] = set()
        for key in sets:
            if await self._link.command("TYPE", self._keys.claims(key)) != b"zset":
                continue
            async for window in self._link.members(self._keys.claims(key)):
                found.update(spellings.others(targets, (member for member, _ in window)))
        return sorted(found)

    async def _facts(self, name: str, members: list[bytes]) -> list[bytes | None]:
        """Facts of each member; none at all where the key is of a wrong type."""
        if await self._link.command("TYPE", name) != b"hash":
            return [None] * len(members)
        facts: list[bytes | None] = await self._link.command("HMGET", name, *members)
        return facts

    def _understood(
        self, window: list[tuple[bytes, float]]
    ) -> Iterator[tuple[bytes, Target, float]]:
        now = self._clock()
        for member, expires in window:
            if expires > now:
                try:
                    yield member, parse_member(member), expires
                except TargetError:
                    continue  # shown by refused()


def _claim(target: Target, key: ClaimKey, expires: float, facts: bytes | None) -> Claim:
    reason, since = read_facts(facts)
    return Claim(target, key.origin, key.action, expires, reason, since)


def _allowed(prefix: Source | Prefix, expires: float, facts: bytes | None) -> Allowed:
    note, since = read_facts(facts)
    return Allowed(prefix, expires, note, since)


def _complaint(parse: Callable[[bytes], object], member: bytes) -> str | None:
    try:
        parse(member)
    except TargetError as error:
        return str(error)
    return None


def _check_expiry(expires: float) -> None:
    if math.isnan(expires):
        raise TargetError("the expiry is not a number")


def _score(expires: float) -> str:
    """A float as Redis reads it."""
    return repr(float(expires))


def _rows(flat: list[Any]) -> Iterator[tuple[int, bytes, bytes, bytes]]:
    """The flat answer of scripts.REMOVE, four by four."""
    return zip(*[iter(flat)] * 4, strict=True)


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


async def _nothing() -> AsyncIterator[list[tuple[bytes, float]]]:
    no_windows: list[list[tuple[bytes, float]]] = []
    for window in no_windows:
        yield window
