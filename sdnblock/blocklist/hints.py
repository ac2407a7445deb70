"""Hints that wait to be looked at: of the set that has the fewest first.

Whoever writes a hundred thousand claims with their hints does not hold up another
origin's single one. The stream keeps some ten thousand, so what is read from it must never
wait: hints about one set that are too many to be looked at one by one are given up, also
those that still come, until the set is read as a whole.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

from sdnblock.blocklist.rereads import SetId

_MANY: Final = 2000
"""Hints that cost more to look at than to read their set."""
_FULL: Final = 50_000
_COMPARED: Final = 1000
"""Sets that are compared; more at once are nobody's block list."""


class Hints:
    """Members by the set that they are said to have changed in, each once."""

    def __init__(self) -> None:
        self._waiting: dict[SetId, dict[bytes, None]] = {}
        self._given_up: set[SetId] = set()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def add(self, key: SetId, member: bytes) -> bool:
        """One hint; an empty member only says that there was one.

        Returns whether there are too many now: the set has to be read, and until
        :meth:`reading` says that it is, further hints about it are not kept.
        """
        if key in self._given_up:
            return False
        members = self._waiting.setdefault(key, {})
        if member:
            members[member] = None
        self._filled.set()
        if len(members) <= _MANY:
            return False
        members.clear()
        self._given_up.add(key)
        return True

    def reading(self, key: SetId) -> None:
        """``key`` is about to be read: hints that come from now on tell something new."""
        self._given_up.discard(key)

    async def room(self) -> None:
        """Wait while very many wait."""
        while len(self._waiting) + sum(map(len, self._waiting.values())) > _FULL:
            self._drained.clear()
            await self._drained.wait()

    async def take(self, most: int) -> tuple[SetId, list[bytes], bool]:
        """Some members of one set, and whether more of that set wait."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        keys = itertools.islice(self._waiting, _COMPARED)
        key = min(keys, key=lambda each: len(self._waiting[each]))
        members = self._waiting[key]
        taken = list(itertools.islice(members, most))
        for member in taken:
            del members[member]
        if not members:
            del self._waiting[key]
        self._drained.set()
        return key, taken, bool(members)
