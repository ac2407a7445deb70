"""When to look at what again: a compact schedule of expiry times."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_COMPACT_FROM = 1024


class Schedule(Generic[T]):
    """Items by the time at which to look at them, in Unix seconds.

    Lazy: an item stays under the time it was added with, whatever becomes of it;
    ``due_at(item)`` gives the item's real next time (infinity: none) and decides
    when that time comes. The owner adds an item whenever its real time becomes
    *earlier* than before; later needs nothing.

    Items with equal times share one list: the usual feed has one expiry for all.
    """

    def __init__(self, due_at: Callable[[T], float]) -> None:
        self._due_at = due_at
        self._times: list[float] = []
        self._items: dict[float, T | list[T]] = {}
        self._size = 0
        self._compact_at = _COMPACT_FROM

    def add(self, item: T, time: float) -> None:
        """Look at ``item`` at ``time``; infinity is never."""
        if time == math.inf:
            return
        held = self._items.get(time)
        if held is None:
            self._items[time] = item
            heapq.heappush(self._times, time)
        elif isinstance(held, list):
            held.append(item)
        else:
            self._items[time] = [held, item]
        self._size += 1

    def pop(self, now: float) -> Iterable[T]:
        """Items whose real time may have come by ``now``; call :meth:`add` again as needed."""
        due: list[T] = []
        while self._times and self._times[0] <= now:
            due.extend(self._take())
        return due

    def next(self) -> float | None:
        """The earliest real time of any item, None if there is none."""
        while self._times:
            time = self._times[0]
            held = self._items[time]
            items = held if isinstance(held, list) else [held]
            if any(self._due_at(item) == time for item in items):
                return time
            for item in self._take():
                real = self._due_at(item)
                if real != math.inf:
                    self.add(item, real)
        return None

    def compact(self, live: int, items: Callable[[], Iterable[T]]) -> None:
        """Forget stale entries when they outnumber the ``live`` items, which ``items`` lists."""
        if self._size <= self._compact_at:
            return
        if self._size > 2 * live:
            self._times, self._items, self._size = [], {}, 0
            for item in items():
                self.add(item, self._due_at(item))
        self._compact_at = max(_COMPACT_FROM, 2 * self._size)

    def _take(self) -> list[T]:
        held = self._items.pop(heapq.heappop(self._times))
        items = held if isinstance(held, list) else [held]
        self._size -= len(items)
        return items
