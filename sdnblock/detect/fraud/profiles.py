"""Fraud profiles: for which users, numbers and times which limits hold.

A profile names prefixes of dialled numbers and two levels for each of five measures, as a rule
of OpenSIPS's module fraud_detection does, and by the same names. A level of 0 is off.
"""

from __future__ import annotations

import enum
import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from sdnblock.detect.fraud.schedule import Hours, Moment, parse_days, parse_hours
from sdnblock.errors import TargetError

_VISUAL = re.compile(r"[-.() ]")  # RFC 3966, 5.1.1
_PREFIX = re.compile(r"[+]?[0-9*#]{0,15}", re.ASCII)
_LONGEST: Final = 16


class Measure(enum.Enum):
    """What is measured of each user and prefix: its name in the configuration, and in words."""

    CPM = "cpm", "calls within a minute"
    TOTAL = "total_calls", "calls today"
    DURATION = "call_duration", "seconds of one call"
    CONCURRENT = "concurrent_calls", "calls at once"
    SEQUENTIAL = "sequential_calls", "calls to one number after another"

    def __init__(self, key: str, words: str) -> None:
        self.key = key
        self.words = words


def parse_number_prefix(text: str) -> str:
    """The beginning of dialled numbers; empty for all of them. Raises TargetError."""
    prefix = dialled(text)
    if not _PREFIX.fullmatch(prefix):
        raise TargetError(f"{text!a} is not the beginning of a number, like 00 or +881")
    return prefix


@lru_cache(maxsize=4096)
def dialled(user: str) -> str:
    """A number as dialled, without parameters and what only pleases the eye."""
    return _VISUAL.sub("", user.partition(";")[0])


def _level() -> Any:
    return field(default=0, metadata={"least": 0, "most": 10_000_000})


@dataclass(frozen=True, slots=True)
class Profile:
    """``[[detect.fraud.profile]]``."""

    name: str = ""
    prefixes: tuple[str, ...] = field(default=("",), metadata={"parse": parse_number_prefix})
    """Beginnings of dialled numbers; of all profiles the longest that fits counts."""
    users: tuple[str, ...] = ()
    """For which users: patterns like ``trunk-*``; none: all."""
    hours: Hours = field(default=Hours(), metadata={"parse": parse_hours})
    days: frozenset[int] = field(default=parse_days(""), metadata={"parse": parse_days})
    cpm_warning: int = _level()
    cpm_critical: int = _level()
    total_calls_warning: int = _level()
    total_calls_critical: int = _level()
    call_duration_warning: int = _level()
    call_duration_critical: int = _level()
    concurrent_calls_warning: int = _level()
    concurrent_calls_critical: int = _level()
    sequential_calls_warning: int = _level()
    sequential_calls_critical: int = _level()

    def levels(self, measure: Measure) -> tuple[int, int]:
        """(warning, critical)."""
        return getattr(self, f"{measure.key}_warning"), getattr(self, f"{measure.key}_critical")

    def applies(self, user: str, now: Moment) -> bool:
        """Whether it is for this user and time."""
        if now.weekday not in self.days or now.minute not in self.hours:
            return False
        return not self.users or any(_fits(user, pattern) for pattern in self.users)


ABROAD: Final = Profile(
    name="abroad",
    prefixes=("00", "011"),
    cpm_warning=10,
    total_calls_warning=200,
    concurrent_calls_warning=10,
    sequential_calls_warning=20,
    call_duration_warning=7200,
)
"""Calls abroad, where no profile is configured: it only warns. A person dials fewer; stolen
credentials were seen to dial every 2.7 s and a hundred calls at once."""


class Profiles:
    """All profiles, found by the number dialled."""

    def __init__(self, profiles: tuple[Profile, ...]) -> None:
        self._by_prefix: dict[str, list[Profile]] = {}
        for profile in profiles:
            for prefix in profile.prefixes:
                self._by_prefix.setdefault(prefix, []).append(profile)
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    def concern(self, number: str) -> bool:
        """Whether there is one for numbers that begin so, for whomever and whenever."""
        return next(self._prefixes_of(number), None) is not None

    def find(self, user: str, number: str, now: Moment) -> tuple[str, Profile] | None:
        """The longest prefix of ``number`` that has a profile for ``user`` now; of several the
        first that is written."""
        for prefix in self._prefixes_of(number):
            for profile in self._by_prefix[prefix]:
                if profile.applies(user, now):
                    return prefix, profile
        return None

    def _prefixes_of(self, number: str) -> Iterator[str]:
        for length in self._lengths:
            prefix = number[:length]
            if len(prefix) == length and prefix in self._by_prefix:
                yield prefix


@lru_cache(maxsize=4096)
def _fits(user: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(user, pattern)
