"""How long to wait before the next attempt, or the next time."""

from __future__ import annotations

import random


class Backoff:
    """Doubling waits with jitter, from ``first`` to ``most`` seconds."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._next = first

    def reset(self) -> None:
        """It worked: begin small again."""
        self._next = self._first

    def wait(self) -> float:
        """Seconds to wait now."""
        wait = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._next * 2, self._most)
        return wait


class Pace:
    """Lets something happen at once, then ever more seldom while it is asked for again and again.

    From ``first`` to ``most`` seconds between two times; after ``most`` without any, anew.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._wait = first
        self._last = float("-inf")

    def permits(self, now: float) -> bool:
        """Whether it may happen now; if so, it counts as having happened."""
        if now - self._last < self._wait:
            return False
        calm = now - self._last >= self._most + self._wait
        self._wait = self._first if calm else min(self._wait * 2, self._most)
        self._last = now
        return True
