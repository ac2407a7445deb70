"""Test numbers in Redis: a sorted set that voice routing asks with one ZSCORE."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sdnblock.blocklist import scripts
from sdnblock.blocklist.claims import printable
from sdnblock.blocklist.facts import read_facts, write_facts
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.link import Link, Value

_CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class TestNumber:
    """One number. ``seen``: when it was last dialled; ``since``: when it was first listed."""

    __test__ = False  # nothing for pytest to collect

    number: str
    seen: float
    reason: str = ""
    since: float | None = None


class NumberStore:
    """The set ``testnumbers``. Raises BlockListError as the store does."""

    def __init__(self, link: Link, keys: Keys, clock: Callable[[], float]) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock

    async def add(self, numbers: Mapping[str, tuple[float, str]], keep: float, most: int) -> None:
        """List numbers (last dialled, reason); forget those not dialled for ``keep`` seconds,
        and the oldest of more than ``most``. Without any numbers only that."""
        items = list(numbers.items())
        now = self._clock()
        for at in range(0, max(1, len(items)), _CHUNK):
            words: list[Value] = [repr(now - keep), most, int(keep * 1000), _CHUNK]
            for number, (seen, reason) in items[at : at + _CHUNK]:
                words += [number, repr(min(seen, now)), write_facts(reason, now)]
            names = [self._keys.numbers, self._keys.number_facts]
            await self._link.run(scripts.NUMBERS, names, words)

    async def remove(self, numbers: Iterable[str]) -> list[str]:
        """Take numbers off; returns those that were there."""
        removed = []
        for number in numbers:
            if int(await self._link.command("ZREM", self._keys.numbers, number)):
                removed.append(number)
            await self._link.command("HDEL", self._keys.number_facts, number)
        return removed

    async def find(self, number: str) -> TestNumber | None:
        """One number; None: it is not listed."""
        score = await self._link.command("ZSCORE", self._keys.numbers, number)
        if score is None:
            return None
        facts = await self._link.command("HGET", self._keys.number_facts, number)
        return TestNumber(number, float(score), *read_facts(facts))

    async def all(self) -> AsyncIterator[list[TestNumber]]:
        """Every number, in windows."""
        async for window in self._link.members(self._keys.numbers):
            members = [member for member, _ in window]
            facts = await self._link.command("HMGET", self._keys.number_facts, *members)
            yield [
                TestNumber(printable(member), seen, *read_facts(fact))
                for (member, seen), fact in zip(window, facts, strict=True)
            ]
