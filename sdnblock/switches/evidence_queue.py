"""The bounded queue in which evidence of a switch waits for its one consumer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from sdnblock.evidence.events import FirstPacket, SwitchEvidence

QUEUE_SIZE: Final = 4096
"""Events that wait for a slow consumer. Packets take at most half of it: a flood of samples
must not push out what a switch has concluded itself."""


class EvidenceQueue:
    """Evidence on its way to one consumer: bounded; what does not fit is counted."""

    def __init__(self, size: int = QUEUE_SIZE) -> None:
        """An open, empty queue for ``size`` events."""
        self._size = size
        self._events: deque[SwitchEvidence] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self.dropped = 0
        """Events dropped because the consumer was too slow."""

    def put(self, event: SwitchEvidence) -> None:
        """Append an event, or drop it."""
        room = self._size // 2 if isinstance(event, FirstPacket) else self._size
        if len(self._events) >= room or self._closed:
            self.dropped += 1
            return
        self._events.append(event)
        self._wake.set()

    def open(self) -> None:
        """Accept events again after :meth:`close`."""
        self._closed = False

    def close(self) -> None:
        """End every iteration once the queue is empty; drop what comes later."""
        self._closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[SwitchEvidence]:
        """Events in order, until close()."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()
