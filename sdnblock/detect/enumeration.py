"""Detector ``enumeration``: who asks for users that do not exist, again and again.

A threshold random walk (Jung et al., 2004) as a saturating integer: a definitive failure adds
4, a success takes 3 away, never below 0; 16 convicts, which an attacker who always fails
reaches with the fourth. Only failures about different users count: a phone that calls one
wrong number ten times has made one mistake. What our users ask for with their credential, from
where it was accepted lately, does not count: customers may dial what they like.

Sees: 404, 410, 484, 485 and 604 to REGISTER, OPTIONS, INVITE, SUBSCRIBE and MESSAGE. Cannot see:
servers that give the same answer for users that exist and users that do not, and scans spread
over many sources. A source with credit needs four times as much and is limited at worst.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sdnblock.block import Action
from sdnblock.detect.detector import Detector, Shared, Sort
from sdnblock.detect.finding import Finding
from sdnblock.detect.kept import Kept, brief, packed_briefs, packed_count, packed_time
from sdnblock.detect.kind import Kind
from sdnblock.detect.site import parse_site, site_of, site_text
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.grade import Grade

NAME: Final = "enumeration"

_DEFINITIVE: Final = frozenset({404, 410, 484, 485, 604})
_EXISTS: Final = frozenset({*range(200, 300), 408, 480, 486, 487, 600, 603})
"""There is such a user: he answered, is busy, away, or was not waited for."""
_METHODS: Final = frozenset({"REGISTER", "OPTIONS", "INVITE", "SUBSCRIBE", "MESSAGE"})
_MOST: Final = 100_000
_USERS: Final = 64


@dataclass(frozen=True, slots=True)
class EnumerationSettings:
    """``[detect.enumeration]``: the walk, and seconds after which a source is forgotten."""

    enabled: bool = True
    failure: int = field(default=4, metadata={"least": 1, "most": 1000})
    success: int = field(default=3, metadata={"least": 0, "most": 1000})
    threshold: int = field(default=16, metadata={"least": 1, "most": 100_000})
    memory: float = field(default=604800.0, metadata={"duration": True})
    credit_factor: int = field(default=4, metadata={"least": 1, "most": 1000})


@dataclass(slots=True)
class Walk:
    """The walk of one source. Times in Unix seconds."""

    first: float
    last: float
    score: int = 0
    failures: int = 0
    proven: int = 0
    users: list[int] = field(default_factory=list)
    """Those asked for in vain, each as a number."""

    def pack(self) -> list[Any]:
        """Plain values, without :attr:`last`."""
        return [self.first, self.score, self.failures, self.proven, self.users]


def unpack_walk(time: float, packed: Any) -> Walk:
    """:meth:`Walk.pack` back, from outside. Raises ValueError."""
    if not isinstance(packed, list) or len(packed) != 5:
        raise ValueError("not a walk")
    first, *counts, users = packed
    score, failures, proven = map(packed_count, counts)
    return Walk(
        min(packed_time(first), time), time, score, failures, proven, packed_briefs(users, _USERS)
    )


KIND: Final[Kind[bytes, Walk]] = Kind(
    name="walks",
    lifetime=2592000.0,
    most=_MOST,
    key_text=site_text,
    parse_key=parse_site,
    time=lambda walk: walk.last,
    pack=Walk.pack,
    unpack=unpack_walk,
    firm=lambda walk: walk.proven > 0,
)


class Enumeration(Detector):
    """A walk for each source."""

    name = NAME

    def __init__(self, settings: EnumerationSettings, shared: Shared) -> None:
        self._settings = settings
        self._credit = shared.credit
        self._tenants = shared.tenants
        self._walks: Kept[bytes, Walk] = shared.memory.keep(KIND)

    def cares(self, sort: Sort) -> bool:
        """Answers that say whether somebody exists."""
        return sort.method in _METHODS and (sort.status in _EXISTS or sort.status in _DEFINITIVE)

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        """A finding, when a source's walk crosses its threshold."""
        exists = outcome.status in _EXISTS
        site = site_of(outcome.remote)
        walk = self._walks.get(site)
        if (exists and walk is None) or self._is_customer(outcome):
            return ()
        if walk is not None and outcome.time - walk.last > self._settings.memory:
            self._walks.drop(site)
            walk = None
        if exists:
            if walk is not None and walk.score:
                walk.score = max(0, walk.score - self._settings.success)
                walk.last = outcome.time
                self._walks.put(site, walk)
            return ()
        user = brief(outcome.user)
        if walk is not None and user in walk.users:
            return ()
        if walk is None:
            walk = Walk(outcome.time, outcome.time)
        if len(walk.users) < _USERS:
            walk.users.append(user)
        walk.last = outcome.time
        walk.score += self._settings.failure
        walk.failures += 1
        walk.proven += outcome.proven
        self._walks.put(site, walk)
        threshold = self._settings.threshold
        credit = self._credit.has(outcome.remote, outcome.time)
        if credit:
            threshold *= self._settings.credit_factor
        if walk.score < threshold:
            return ()
        self._walks.drop(site)
        grade = Grade.PROVEN if walk.proven >= 3 else Grade.SPOOFABLE
        reason = (
            f"asked for {walk.failures} users that do not exist"
            f" (last {outcome.user[:40]!a}) within {outcome.time - walk.first:.1f} s"
        )
        at_most = Action.LIMIT if credit else None
        return (Finding(NAME, outcome.remote, grade, reason, at_most=at_most),)

    def proved(self, outcome: Outcome) -> Iterable[Finding]:
        """A failure that counted already is acknowledged: it was no forgery."""
        site = site_of(outcome.remote)
        walk = self._walks.get(site)
        if walk is None or outcome.status not in _DEFINITIVE:
            return ()
        if brief(outcome.user) in walk.users:
            walk.proven += 1
            self._walks.put(site, walk)
        return ()

    def _is_customer(self, outcome: Outcome) -> bool:
        """Whether one of our users asked, from where his credential was taken lately."""
        digest = outcome.asked.digest if outcome.challenged and not outcome.rejected else None
        return digest is not None and self._tenants.has(
            outcome.remote, digest.get("username"), outcome.time
        )
