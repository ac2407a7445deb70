"""Sources that somebody asks about (``sdnblock why``), so that controllers tell what they know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.link import Link

_MOST: Final = 1000
_FOR: Final = 600
"""Seconds after which a question is forgotten."""


_ALIVE: Final = 5
"""Seconds after which a controller that is not heard of is not there."""


class AskedStore:
    """The sorted set ``asked``: source -> when. Raises BlockListError as the store does."""

    def __init__(self, link: Link, keys: Keys, clock: Callable[[], float]) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock

    async def ask(self, source: str) -> None:
        """Ask about a source."""
        now = self._clock()
        await self._link.command("ZADD", self._keys.asked, repr(now), source)
        await self._link.command("ZREMRANGEBYSCORE", self._keys.asked, "-inf", repr(now - _FOR))
        await self._link.command("EXPIRE", self._keys.asked, _FOR)

    async def listen(self) -> None:
        """A controller is there that answers; said again every few seconds."""
        await self._link.command("SET", self._keys.asked_alive, "1", "EX", _ALIVE)

    async def alive(self) -> bool:
        """Whether a controller is there that answers."""
        return bool(await self._link.command("EXISTS", self._keys.asked_alive))

    async def since(self, time: float) -> list[tuple[str, float]]:
        """What was asked after ``time``, the oldest first."""
        flat = await self._link.command(
            "ZRANGEBYSCORE", self._keys.asked, f"({time!r}", "+inf",
            "WITHSCORES", "LIMIT", 0, _MOST,
        )  # fmt: skip
        pairs = zip(*[iter(flat)] * 2, strict=True)
        return [(text[:64].decode("ascii", "replace"), float(when)) for text, when in pairs]
