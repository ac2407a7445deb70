"""Who is urgent: whoever wants little. Pure.

An origin's changes are urgent as long as they are few: a hundred at once, and a hundred a
second from then on. What is more goes the way of a feed of a hundred thousand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final

FEW: Final = 100
_MANY: Final = 10_000


class Urgency:
    """A bucket of tokens for each key. Times are of ``clock`` (monotonic seconds)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[Hashable, tuple[float, float]] = {}

    def permits(self, key: Hashable, changes: int) -> bool:
        """Whether so many changes of ``key`` are urgent now; they count in any case."""
        now = self._clock()
        left, since = self._left.get(key, (FEW, now))
        left = min(FEW, left + FEW * (now - since)) - changes
        if len(self._left) >= _MANY and key not in self._left:
            self._left.clear()
        self._left[key] = max(0.0, left), now
        return left >= 0
