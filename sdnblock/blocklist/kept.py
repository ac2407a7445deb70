"""What detection remembers of sources, kept in Redis over restarts (docs/redis.md, Memory).

For each kind a sorted set, member = key, score = when the record last changed, and a hash
with the rest as JSON. Bounded in number and in age by every write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from sdnblock.blocklist import scripts
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.link import Link, Value
from sdnblock.blocklist.row import Row

MAX_DATA: Final = 16384
"""Bytes of JSON of one record; a larger one is not read."""

_MAX_KEY: Final = 256
_CHUNK: Final = 1000
"""Records that are written in one step."""
_WINDOW: Final = 2000
"""Records that are read in one step: some ten milliseconds of us."""
_SPARE: Final = 86400.0
"""Seconds that a set outlives its newest record."""


class KeptStore:
    """Reads and writes the records of each kind. Raises BlockListError as the store does."""

    def __init__(self, link: Link, keys: Keys, clock: Callable[[], float]) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock

    async def keep(self, kind: str, rows: Sequence[Row], lifetime: float, most: int) -> None:
        """Write records, each unless a newer one is there; forget old ones and too many."""
        names = [self._keys.kept(kind), self._keys.kept_data(kind)]
        for at in range(0, len(rows), _CHUNK):
            oldest = self._clock() - lifetime
            words: list[Value] = [repr(oldest), most, int((lifetime + _SPARE) * 1000), _CHUNK]
            for row in rows[at : at + _CHUNK]:
                words += [row.key, "" if row.gone else repr(row.time), row.data]
            await self._link.run(scripts.KEEP, names, words)

    async def kept(self, kind: str, since: float = float("-inf")) -> AsyncIterator[list[Row]]:
        """Records that changed at or after ``since``, the oldest first; some may come twice."""
        low, skip = since, 0
        plain = not await self._link.command("EXISTS", self._keys.kept_data(kind))
        while True:
            flat = await self._link.command(
                "ZRANGEBYSCORE", self._keys.kept(kind), repr(low), "+inf",
                "WITHSCORES", "LIMIT", skip, _WINDOW,
            )  # fmt: skip
            found = [
                (member, float(score)) for member, score in zip(*[iter(flat)] * 2, strict=True)
            ]
            if found:
                yield await self._rows(kind, found, plain)
            if len(found) < _WINDOW:
                return
            last = found[-1][1]
            low, skip = (last, skip + len(found)) if last == low else (last, 0)

    async def find(self, kind: str, key: str) -> Row | None:
        """One record."""
        score = await self._link.command("ZSCORE", self._keys.kept(kind), key)
        if score is None:
            return None
        rows = await self._rows(kind, [(key.encode(), float(score))])
        return rows[0] if rows else None

    async def _rows(
        self, kind: str, found: list[tuple[bytes, float]], plain: bool = False
    ) -> list[Row]:
        """Rows with their data; ``plain``: there is none."""
        data: list[bytes | None] = [None] * len(found)
        if not plain:
            members = [member for member, _ in found]
            data = await self._link.command("HMGET", self._keys.kept_data(kind), *members)
        rows = []
        for (member, time), text in zip(found, data, strict=True):
            if len(member) > _MAX_KEY or (text is not None and len(text) > MAX_DATA):
                continue
            try:
                rows.append(Row(member.decode(), time, (text or b"").decode()))
            except UnicodeDecodeError:
                continue
        return rows
