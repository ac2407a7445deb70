"""Who failed with which fingerprint: a record for each source, and the sources of each.

The records are kept over restarts; what is summed up from them is made again as they come
back. Everything is bounded: fingerprints, sources of each, and what one source asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from sdnblock.detect.kept import Kept, Memory, brief, packed_briefs, packed_text, packed_time
from sdnblock.detect.kind import Kind
from sdnblock.detect.site import parse_site, site_of, site_text

_SITES: Final = 100_000
_MARKS: Final = 4
"""Fingerprints remembered of one source."""
_ASKED: Final = 8
"""Different users remembered that a source asked for with one fingerprint."""
_FAMILIES: Final = 10_000
_MEMBERS: Final = 256
"""Sources remembered of one fingerprint."""
_REFERENCES: Final = 300_000
"""Sources of all fingerprints together."""
_SUCCESSES: Final = 64
_LIFETIME: Final = 2592000.0
_LONGEST_KEY: Final = 32


@dataclass(slots=True)
class Suspicion:
    """What one source asked for with one fingerprint, without success (Unix seconds)."""

    first: float
    last: float
    asked: list[int] = field(default_factory=list)
    """Users, each as a number."""
    proven: list[int] = field(default_factory=list)
    """Those of them that nobody can have forged."""


Suspicions = dict[str, Suspicion]
"""Of one source, by fingerprint."""


def _unpack(time: float, packed: Any) -> Suspicions:
    found: Suspicions = {}
    if not isinstance(packed, list):
        raise ValueError("not the failures of a source")
    for each in packed[:_MARKS]:
        if not isinstance(each, list) or len(each) != 5:
            raise ValueError("not a fingerprint and its failures")
        key, first, last, asked, proven = each
        last = min(packed_time(last), time)
        found[packed_text(key, _LONGEST_KEY)] = Suspicion(
            min(packed_time(first), last),
            last,
            packed_briefs(asked, _ASKED),
            packed_briefs(proven, _ASKED),
        )
    if not found:
        raise ValueError("no failures")
    return found


def _unpack_successes(time: float, packed: Any) -> dict[int, float]:
    if not isinstance(packed, list) or not packed:
        raise ValueError("no successes")
    found: dict[int, float] = {}
    for each in packed[-_SUCCESSES:]:
        if not isinstance(each, list) or len(each) != 2:
            raise ValueError("not a source and a time")
        found[packed_briefs([each[0]], 1)[0]] = min(packed_time(each[1]), time)
    return found


def _mark_key(text: str) -> str:
    if len(text) > _LONGEST_KEY or not text.isascii():
        raise ValueError("not a fingerprint")
    return text


FAILURES: Final[Kind[bytes, Suspicions]] = Kind(
    name="scans",
    lifetime=_LIFETIME,
    most=_SITES,
    key_text=site_text,
    parse_key=parse_site,
    time=lambda found: max(each.last for each in found.values()),
    pack=lambda found: [
        [key, each.first, each.last, each.asked, each.proven] for key, each in found.items()
    ],
    unpack=_unpack,
    firm=lambda found: any(each.proven for each in found.values()),
)
SUCCESSES: Final[Kind[str, dict[int, float]]] = Kind(
    name="fingerprints",
    lifetime=_LIFETIME,
    most=_FAMILIES,
    key_text=str,
    parse_key=_mark_key,
    time=lambda found: max(found.values()),
    pack=lambda found: [[site, time] for site, time in found.items()],
    unpack=_unpack_successes,
)


@dataclass(slots=True)
class Family:
    """The sources of one fingerprint, those that failed last at the end."""

    members: OrderedDict[bytes, bytes] = field(default_factory=OrderedDict)
    """Site -> the address that was seen of it last."""
    guilty_until: float = 0.0
    looked_at: float = 0.0
    """When its guilt was last considered."""
    told: str = ""
    """Why it is guilty."""


class Families:
    """Failures by source and by fingerprint. ``memory``: seconds for which they count."""

    def __init__(self, memory: Memory, seconds: float) -> None:
        self._seconds = seconds
        self._failures: Kept[bytes, Suspicions] = memory.keep(FAILURES)
        self._successes: Kept[str, dict[int, float]] = memory.keep(SUCCESSES)
        self._families: OrderedDict[str, Family] = OrderedDict()
        self._references = 0
        for site, found in self._failures.items():
            self._came_back(site, found)
        self._failures.on_load = self._came_back

    def failed(self, key: str, address: bytes, user: int, now: float, proven: bool) -> int:
        """A source with fingerprint ``key`` failed; for how many different users it did."""
        site = site_of(address)
        found = self._failures.get(site) or {}
        suspicion = found.pop(key, None)
        if suspicion is None or now - suspicion.last > self._seconds:
            suspicion = Suspicion(now, now)
        found[key] = suspicion
        while len(found) > _MARKS:
            del found[next(iter(found))]
        suspicion.last = now
        fresh = user not in suspicion.asked and len(suspicion.asked) < _ASKED
        if fresh:
            suspicion.asked.append(user)
        if proven and user in suspicion.asked and user not in suspicion.proven:
            suspicion.proven.append(user)
            fresh = True
        self._failures.put(site, found, changed=fresh)
        self._join(key, site, address)
        return len(suspicion.asked)

    def forget(self, site: bytes) -> None:
        """The source has had success: it is no suspect."""
        self._failures.drop(site)

    def succeeded(self, key: str, site: bytes, now: float) -> None:
        """A source with fingerprint ``key`` has had success."""
        found = self._successes.get(key) or {}
        number = brief(site_text(site))
        fresh = found.pop(number, None) is None
        found[number] = now
        while len(found) > _SUCCESSES:
            del found[next(iter(found))]
        self._successes.put(key, found, changed=fresh)

    def successes(self, key: str, now: float) -> int:
        """How many sources with the fingerprint had success (64 are all that are counted)."""
        found = self._successes.get(key) or {}
        return sum(now - time <= self._seconds for time in found.values())

    def suspicion(self, key: str, site: bytes) -> Suspicion | None:
        """What is held against one source."""
        return (self._failures.get(site) or {}).get(key)

    def suspects(self, key: str, each: int, now: float) -> dict[bytes, Suspicion]:
        """By address, the sources of a fingerprint that asked for ``each`` users or more."""
        found = {}
        for site, address in self.of(key).members.items():
            suspicion = self.suspicion(key, site)
            if suspicion is None or now - suspicion.last > self._seconds:
                continue
            if len(suspicion.asked) >= each:
                found[address] = suspicion
        return found

    def of(self, key: str) -> Family:
        """A fingerprint's sources."""
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = Family()
        self._families.move_to_end(key)
        return family

    def _join(self, key: str, site: bytes, address: bytes) -> None:
        family = self.of(key)
        self._references += site not in family.members
        family.members[site] = address
        family.members.move_to_end(site)
        if len(family.members) > _MEMBERS:
            family.members.popitem(last=False)
            self._references -= 1
        while len(self._families) > _FAMILIES or self._references > _REFERENCES:
            _, oldest = self._families.popitem(last=False)
            self._references -= len(oldest.members)

    def _came_back(self, site: bytes, found: Suspicions) -> None:
        for key in found:
            self._join(key, site, site)
