"""What is measured of one user's calls to numbers that begin with one prefix. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from sdnblock.detect.fraud.profiles import Measure

_MINUTE: Final = 60.0


@dataclass(slots=True)
class Statistics:
    """Counts; calls of the past minute by the second, so that no flood makes it grow."""

    last: float = 0.0
    concurrent: int = 0
    total: int = 0
    sequential: int = 0
    _day: tuple[int, int] = (0, 0)
    _number: str = ""
    _seconds: deque[tuple[int, int]] = field(default_factory=deque)
    said: dict[Measure, int] = field(default_factory=dict)
    """What was warned of today, and at which value."""

    def begin(self, now: float, day: tuple[int, int], number: str) -> None:
        """A call to ``number`` begins. Totals begin again each day; what runs, runs on."""
        if day != self._day:
            self._day, self.total = day, 0
            self.said.clear()
        self.last = now
        self.total += 1
        self.concurrent += 1
        self.sequential = self.sequential + 1 if number == self._number else 1
        self._number = number
        second = int(now)
        if self._seconds and self._seconds[-1][0] >= second:
            self._seconds[-1] = (self._seconds[-1][0], self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))
        self._slide(now)

    def end(self) -> None:
        """One of the calls that were begun is over."""
        assert self.concurrent, "more calls ended than began"
        self.concurrent -= 1

    def values(self, now: float) -> dict[Measure, int]:
        """Everything but the duration, which is one call's."""
        self._slide(now)
        return {
            Measure.CPM: sum(count for _, count in self._seconds),
            Measure.TOTAL: self.total,
            Measure.CONCURRENT: self.concurrent,
            Measure.SEQUENTIAL: self.sequential,
        }

    def _slide(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] <= now - _MINUTE:
            self._seconds.popleft()
