"""A consumer of the watcher that keeps a plain copy of what it was told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from sdnblock.block import Prefix, Source, Target
from sdnblock.blocklist.changes import RefusedMembers
from sdnblock.blocklist.claims import ClaimKey, Meta
from sdnblock.blocklist.settings import RedisSettings
from sdnblock.blocklist.watch import (
    Disconnected,
    Ready,
    RefusedNow,
    Single,
    SingleAllow,
    Watcher,
    WatchEvent,
    Whole,
    WholeAllow,
)


class Follower:
    """The block list as told so far."""

    def __init__(self) -> None:
        self.claims: dict[ClaimKey, dict[Target, float]] = {}
        self.allows: dict[Source | Prefix, float] = {}
        self.refused: dict[ClaimKey | None, RefusedMembers] = {}
        self.metas: list[Meta | None] = []
        self.messages: list[str] = []
        self.log: list[WatchEvent] = []
        self.at: list[float] = []
        self.slowest = 0.0
        self._news = asyncio.Event()

    async def run(self, watcher: Watcher) -> None:
        """Take in events for ever."""
        async for events in watcher.events():
            assert events
            ready = [isinstance(event, Ready) for event in events]
            assert not any(ready[:-1])
            assert not any(isinstance(event, Disconnected) for event in events[1:])
            now = time.monotonic()
            for event in events:
                self._take(event)
                self.log.append(event)
                self.at.append(now)
            self._news.set()

    async def until(self, true: Callable[[], bool], seconds: float = 5.0) -> float:
        """Wait for something to be true; returns how long that took."""
        started = time.monotonic()
        while not true():
            left = started + seconds - time.monotonic()
            assert left > 0, f"not within {seconds} s; {self.messages} {str(self.log[-3:])[:500]}"
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._news.wait()
        return time.monotonic() - started

    async def ready(self, times: int = 1) -> None:
        """Wait for so many ``Ready``."""
        await self.until(lambda: len(self.metas) >= times, 20)

    def blocked(self) -> set[Target]:
        """Every target that any key claims."""
        return {target for members in self.claims.values() for target in members}

    def _take(self, event: WatchEvent) -> None:
        match event:
            case Whole(key, members, refused):
                self.claims[key] = dict(members)
                self.refused[key] = refused
            case WholeAllow(allows, refused):
                self.allows = dict(allows)
                self.refused[None] = refused
            case Single(key, target, None):
                self.claims.setdefault(key, {}).pop(target, None)
            case Single(key, target, float(expires)):
                self.claims.setdefault(key, {})[target] = expires
            case SingleAllow(prefix, None):
                self.allows.pop(prefix, None)
            case SingleAllow(prefix, float(expires)):
                self.allows[prefix] = expires
            case RefusedNow(refused_key, refused):
                self.refused[refused_key] = refused
            case Ready(meta):
                self.metas.append(meta)
            case Disconnected(message):
                self.messages.append(message)


@contextlib.asynccontextmanager
async def following(settings: RedisSettings) -> AsyncIterator[Follower]:
    """A follower at work on a watcher of its own."""
    follower = Follower()
    task = asyncio.create_task(follower.run(Watcher(settings)))
    try:
        yield follower
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
