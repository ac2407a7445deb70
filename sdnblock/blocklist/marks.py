"""Scanner signatures in Redis: a set that any program may add to, and who said so and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sdnblock.blocklist.facts import MAX_FACTS, read_facts, write_facts
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.link import Link

MOST: Final = 10_000
"""Members of the set that are looked at."""

_LONGEST: Final = 256


@dataclass(frozen=True, slots=True)
class Mark:
    """One member of the set, as text from outside; ``since`` in Unix seconds.

    ``forced``: somebody wants it although it may fit honest phones.
    """

    text: str
    note: str = ""
    since: float | None = None
    forced: bool = False


class MarkStore:
    """The set ``signatures``. Raises BlockListError as the store does."""

    def __init__(self, link: Link, keys: Keys, clock: Callable[[], float]) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock

    async def all(self) -> list[Mark]:
        """Every member, in order; of too many some."""
        found: set[bytes] = set()
        cursor = 0
        while True:
            cursor, members = await self._link.command(
                "SSCAN", self._keys.signatures, cursor, "COUNT", 1000
            )
            found.update(member for member in members if len(member) <= _LONGEST)
            if int(cursor) == 0 or len(found) >= MOST:
                break
        if not found:
            return []
        members = sorted(found)[:MOST]
        facts = await self._link.command("HMGET", self._keys.signature_facts, *members)
        return [_mark(member, fact) for member, fact in zip(members, facts, strict=True)]

    async def add(self, marks: Sequence[Mark]) -> None:
        """Add members, or change what is said of them."""
        facts: list[str | bytes] = []
        for mark in marks:
            since = self._clock() if mark.since is None else mark.since
            force = True if mark.forced else None
            facts += [mark.text, write_facts(mark.note, since, force)]
        if marks:  # the facts first: no member is ever without its force
            await self._link.command("HSET", self._keys.signature_facts, *facts)
            await self._link.command("SADD", self._keys.signatures, *(m.text for m in marks))

    async def remove(self, text: str) -> bool:
        """Take a member out; whether it was there."""
        removed = int(await self._link.command("SREM", self._keys.signatures, text))
        await self._link.command("HDEL", self._keys.signature_facts, text)
        return removed > 0


def _mark(member: bytes, facts: bytes | None) -> Mark:
    note, since = read_facts(facts)
    return Mark(member.decode("utf-8", "backslashreplace"), note, since, _forced(facts))


def _forced(facts: bytes | None) -> bool:
    if not facts or len(facts) > MAX_FACTS:
        return False
    try:
        found = json.loads(facts)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("force") is True
