"""Where a session leaves its news for the one who iterates.

In two lanes: urgent news does not wait behind a hundred thousand other changes. Of one
claim only the latest is kept, so urgent news may overtake older news of the same claim:
it takes its place.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Hashable
from typing import Final

from sdnblock.blocklist.changes import Disconnected, Ready, Single, WatchEvent, Whole, WholeAllow

_FULL: Final = 200_000
_BATCH: Final = 25
"""Events taken at once: a fraction of a millisecond of the consumer's work."""


class Outbox:
    """Events in order. Putting never waits, so state and news change in one step;
    whoever is about to make more news waits for :meth:`room` first.
    """

    def __init__(self) -> None:
        self._urgent: dict[Hashable, WatchEvent] = {}
        self._bulk: dict[Hashable, WatchEvent] = {}
        self._weight = 0
        # News in the bulk that is not of one claim, or is of the allowlist: nothing overtakes it.
        self._fences = 0
        self._numbers = itertools.count()
        self._failure: BaseException | None = None
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def put(self, *events: WatchEvent) -> None:
        """Add events."""
        for event in events:
            if not isinstance(event, Single):
                self._bulk[next(self._numbers)] = event
                self._fences += 1
                self._weight += _weight(event)
                continue
            name = event.key, event.target
            if self._bulk.pop(name, None) is not None:
                self._weight -= 1
            if event.urgent and not self._fences:
                self._urgent[name] = event
            else:
                self._bulk[name] = event
                self._weight += 1
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
        """What has come, urgent news first, at least one event and not very many.

        Raises what :meth:`fail` left. The loop goes on between two calls.
        """
        await asyncio.sleep(0)
        while not self._urgent and not self._bulk:
            if self._failure is not None:
                raise self._failure
            self._filled.clear()
            await self._filled.wait()
        if self._urgent:
            batch, self._urgent = list(self._urgent.values()), {}
            return batch
        names = list(itertools.islice(self._bulk, _BATCH))
        batch = []
        for name in names[: _cut([self._bulk[name] for name in names])]:
            event = self._bulk.pop(name)
            batch.append(event)
            self._weight -= _weight(event)
            self._fences -= not isinstance(event, Single)
        self._drained.set()
        return batch


def _cut(events: list[WatchEvent]) -> int:
    """How many to take: a list ends with Ready, and Disconnected begins one."""
    for at, event in enumerate(events):
        if isinstance(event, Ready):
            return at + 1
        if isinstance(event, Disconnected) and at:
            return at
    return len(events)


def _weight(event: WatchEvent) -> int:
    return 1 + len(event.members) if isinstance(event, (Whole, WholeAllow)) else 1
