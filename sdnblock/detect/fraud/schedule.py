"""When a fraud profile applies: hours of the day and days of the week, like ``18:00-08:00``
and ``Mon-Fri, Sun``. As OpenSIPS's rules have them; empty means always."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

from sdnblock.errors import TargetError

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2}) *- *([0-9]{1,2}):([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the day; ``first`` after ``last`` goes over midnight, equal means all day."""

    first: int = 0
    last: int = 0

    def __contains__(self, minute: int) -> bool:
        if self.first == self.last:
            return True
        if self.first < self.last:
            return self.first <= minute < self.last
        return minute >= self.first or minute < self.last


def parse_hours(text: str) -> Hours:
    """``HH:MM-HH:MM``, or empty. Raises TargetError."""
    if not text.strip():
        return Hours()
    found = _HOURS.fullmatch(text.strip())
    numbers = [int(each) for each in found.groups()] if found else [99] * 4
    first, last = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(first, last) > 1440 or max(numbers[1], numbers[3]) > 59 or first == last:
        raise TargetError(f"{text!a} is not like 18:00-08:00")
    return Hours(first % 1440, last % 1440)


def parse_days(text: str) -> frozenset[int]:
    """Days, Monday is 0. ``Fri-Mon`` goes over Sunday; empty means every day. Raises
    TargetError."""
    days: set[int] = set()
    for part in text.split(",") if text.strip() else ["mon-sun"]:
        first, dash, last = (word.strip().lower() for word in part.partition("-"))
        if first not in _DAYS or (dash and last not in _DAYS):
            raise TargetError(f"{text!a} is not like Mon-Fri, Sun")
        day, end = _DAYS.index(first), _DAYS.index(last or first)
        days.add(end)
        while day != end:
            days.add(day)
            day = (day + 1) % 7
    return frozenset(days)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as calendar and clock show it."""

    day: tuple[int, int]
    """Year and day of the year."""
    weekday: int
    minute: int


def moment(when: float, utc: bool) -> Moment:
    """``when`` (Unix seconds) in local time, or in UTC."""
    at = time.gmtime(when) if utc else time.localtime(when)
    return Moment((at.tm_year, at.tm_yday), at.tm_wday, at.tm_hour * 60 + at.tm_min)
