"""Where a session leaves its news for the one who iterates."""

from __future__ import annotations

import asyncio
from typing import Final

from sdnblock.blocklist.changes import Disconnected, Ready, WatchEvent, Whole, WholeAllow

_FULL: Final = 200_000
_BATCH: Final = 2000


class Outbox:
    """Events in order. Putting never waits, so state and news change in one step;
    whoever is about to make more news waits for :meth:`room` first.
    """

    def __init__(self) -> None:
        self._events: list[WatchEvent] = []
        self._weight = 0
        self._failure: BaseException | None = None
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def put(self, *events: WatchEvent) -> None:
        """Add events."""
        self._events += events
        self._weight += sum(map(_weight, events))
        if events:
            self._filled.set()

    def fail(self, error: BaseException) -> None:
        """Let :meth:`take` raise ``error`` once everything before it has been taken."""
        self._failure = error
        self._filled.set()

    async def room(self) -> None:
        """Wait while the consumer is far behind."""
        while self._weight > _FULL:
            self._drained.clear()
            await self._drained.wait()

    async def take(self) -> list[WatchEvent]:
        """What has come, at least one event and not very many; raises what :meth:`fail` left."""
        while not self._events:
            if self._failure is not None:
                raise self._failure
            self._filled.clear()
            await self._filled.wait()
        cut = _cut(self._events)
        batch, self._events = self._events[:cut], self._events[cut:]
        self._weight -= sum(map(_weight, batch))
        self._drained.set()
        return batch


def _cut(events: list[WatchEvent]) -> int:
    """How many to take: a list ends with Ready, and Disconnected begins one."""
    for at, event in enumerate(events[:_BATCH]):
        if isinstance(event, Ready):
            return at + 1
        if isinstance(event, Disconnected) and at:
            return at
    return _BATCH


def _weight(event: WatchEvent) -> int:
    return 1 + len(event.members) if isinstance(event, (Whole, WholeAllow)) else 1
