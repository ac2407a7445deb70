"""The allowlist as the controller holds it: who covers, and who touches, a target.

Pure. Lookups cost one dictionary access per prefix length in use, not a scan.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping

from sdnblock.block import Prefix, Source, Target, source_of
from sdnblock.blocklist.expiry import Schedule

_Allow = Source | Prefix


class AllowView:
    """All live allowlist entries. Every change returns the prefixes that came or went."""

    def __init__(self) -> None:
        self._entries: dict[_Allow, float] = {}
        self._families = {4: _Family(32), 6: _Family(128)}
        self._schedule: Schedule[_Allow] = Schedule(
            lambda prefix: self._entries.get(prefix, math.inf)
        )

    def replace(self, members: Mapping[_Allow, float], now: float) -> set[_Allow]:
        """``members`` (prefix -> expiry in Unix seconds) are from now on the whole allowlist."""
        changed: set[_Allow] = set()
        for prefix in [p for p in self._entries if p not in members]:
            changed |= self.discard(prefix)
        for prefix, expires in members.items():
            changed |= self.put(prefix, expires, now)
        return changed

    def put(self, prefix: _Allow, expires: float, now: float) -> set[_Allow]:
        """Make or change one entry; one that has expired by ``now`` is taken away."""
        if expires <= now:
            return self.discard(prefix)
        before = self._entries.get(prefix)
        self._entries[prefix] = expires
        if before is None or expires < before:
            self._schedule.add(prefix, expires)
            self._schedule.compact(len(self._entries), lambda: self._entries)
        if before is not None:
            return set()
        self._families[prefix.family].add(prefix)
        return {prefix}

    def discard(self, prefix: _Allow) -> set[_Allow]:
        """Take away one entry, if it is there."""
        if self._entries.pop(prefix, None) is None:
            return set()
        self._families[prefix.family].remove(prefix)
        return {prefix}

    def expire(self, now: float) -> set[_Allow]:
        """Take away every entry that expires at or before ``now``."""
        changed: set[_Allow] = set()
        for prefix in self._schedule.pop(now):
            expires = self._entries.get(prefix)
            if expires is None:
                continue
            if expires <= now:
                changed |= self.discard(prefix)
            else:
                self._schedule.add(prefix, expires)
        return changed

    def next_expiry(self) -> float | None:
        """The next time at which an entry expires (Unix seconds), None if none ever does."""
        return self._schedule.next()

    def expires(self, prefix: _Allow) -> float | None:
        """When an entry ends (infinity: never); None: not an entry."""
        return self._entries.get(prefix)

    def prefixes(self) -> Iterator[_Allow]:
        """Every entry. The view must not change meanwhile."""
        return iter(self._entries)

    def allows(self, target: Target) -> bool:
        """Whether one entry covers every source address of ``target``."""
        if not self._entries:
            return False
        return self._families[target.family].covers(target)

    def overlaps(self, target: Target) -> bool:
        """Whether some entry shares a source address with ``target``."""
        family = self._families[target.family]
        return family.covers(target) or family.inside(target)

    def overlapping(self, target: Target) -> list[_Allow]:
        """The entries that share a source address with ``target``, widest first."""
        return self._families[target.family].overlapping(target)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._entries


class _Family:
    """The entries of one address family: by length, and in order of address."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._by_length: dict[int, dict[int, _Allow]] = {}
        self._lengths: list[int] = []
        self._order: list[tuple[int, int]] = []

    def add(self, prefix: _Allow) -> None:
        number, length = self._number(prefix)
        if length not in self._by_length:
            self._by_length[length] = {}
            insort(self._lengths, length)
        self._by_length[length][number] = prefix
        insort(self._order, (number, length))

    def remove(self, prefix: _Allow) -> None:
        number, length = self._number(prefix)
        del self._by_length[length][number]
        if not self._by_length[length]:
            del self._by_length[length]
            self._lengths.remove(length)
        del self._order[bisect_left(self._order, (number, length))]

    def covers(self, target: Target) -> bool:
        return next(self._covering(target), None) is not None

    def inside(self, target: Target) -> bool:
        first, last = self._inside(target)
        return first < last

    def overlapping(self, target: Target) -> list[_Allow]:
        found = list(self._covering(target))
        first, last = self._inside(target)
        inside = [self._by_length[length][number] for number, length in self._order[first:last]]
        inside.sort(key=lambda prefix: source_of(prefix)[1])
        return list(dict.fromkeys(found + inside))

    def _covering(self, target: Target) -> Iterator[_Allow]:
        number, target_length = self._number(target)
        for length in self._lengths:
            if length > target_length:
                return
            shift = self._bits - length
            found = self._by_length[length].get(number >> shift << shift)
            if found is not None:
                yield found

    def _inside(self, target: Target) -> tuple[int, int]:
        """The range of ``_order`` that lies within ``target``'s source addresses."""
        number, length = self._number(target)
        after = number + (1 << (self._bits - length))
        return bisect_left(self._order, (number, length)), bisect_left(self._order, (after, 0))

    def _number(self, target: Target) -> tuple[int, int]:
        address, length = source_of(target)
        return int.from_bytes(address, "big"), length
