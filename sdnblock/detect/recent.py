"""What is remembered of many keys for some time: bounded, the one not used longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
R = TypeVar("R")


class Recent(Generic[K, R]):
    """Records by key, each forgotten when it was not touched for ``seconds``."""

    def __init__(self, make: Callable[[], R], seconds: float, most: int) -> None:
        self._make = make
        self._seconds = seconds
        self._most = most
        self._records: OrderedDict[K, tuple[float, R]] = OrderedDict()

    def get(self, key: K, now: float) -> R | None:
        """The record, None if there is none that still counts."""
        found = self._records.get(key)
        return found[1] if found is not None and now - found[0] <= self._seconds else None

    def touch(self, key: K, now: float) -> R:
        """The record, a new one if there is none."""
        record = self.get(key, now)
        if record is None:
            record = self._make()
        self._records[key] = (now, record)
        self._records.move_to_end(key)
        if len(self._records) > self._most:
            self._records.popitem(last=False)
        return record

    def drop(self, key: K) -> None:
        """Forget a record."""
        self._records.pop(key, None)

    def __len__(self) -> int:
        return len(self._records)
