"""What is remembered of many keys, and outlives a restart: bounded, and knows what changed.

The records are in memory; whoever keeps them elsewhere too (the controller, in Redis) asks
for what has changed, and gives back what was kept when it starts. No I/O here.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

from sdnblock.blocklist.row import Row
from sdnblock.detect.kind import Kind
from sdnblock.errors import SdnblockError

K = TypeVar("K")
R = TypeVar("R")

_FARTHEST: Final = 1e12
_FUTURE: Final = 60.0
"""Seconds by which a kept time may be ahead of ours (clocks differ); more is cut."""


class Kept(Generic[K, R]):
    """Records by key, the one changed last at the end."""

    def __init__(self, kind: Kind[K, R]) -> None:
        self.kind = kind
        self.complete = True
        """Whether all that was kept elsewhere has been given back."""
        self.on_load: Callable[[K, R], None] | None = None
        """Told of each record that is given back."""
        self._firm: OrderedDict[K, R] = OrderedDict()
        self._others: OrderedDict[K, R] = OrderedDict()
        self._changed: dict[K, None] = {}

    def get(self, key: K) -> R | None:
        """The record, None if there is none."""
        found = self._firm.get(key)
        return self._others.get(key) if found is None else found

    def put(self, key: K, record: R, changed: bool = True) -> None:
        """A new record, or one that has been changed; ``changed`` False: not worth keeping."""
        firm = self.kind.firm(record)
        mine, other = (self._firm, self._others) if firm else (self._others, self._firm)
        other.pop(key, None)
        mine[key] = record
        mine.move_to_end(key)
        if changed:
            self._changed[key] = None
        if len(mine) > self.kind.most:
            self._changed.pop(mine.popitem(last=False)[0], None)

    def drop(self, key: K) -> None:
        """Forget a record, here and where it is kept."""
        if self._firm.pop(key, None) is not None or self._others.pop(key, None) is not None:
            self._changed[key] = None
            if len(self._changed) > 4 * self.kind.most:
                del self._changed[next(iter(self._changed))]

    def expire(self, now: float) -> None:
        """Forget what has not changed for a lifetime."""
        for records in (self._firm, self._others):
            while records:
                key, record = next(iter(records.items()))
                if now - self.kind.time(record) <= self.kind.lifetime:
                    break
                del records[key]
                self._changed.pop(key, None)

    def items(self) -> Iterator[tuple[K, R]]:
        """Every record. None may come or go meanwhile."""
        return itertools.chain(self._firm.items(), self._others.items())

    def __len__(self) -> int:
        return len(self._firm) + len(self._others)

    # --- for whoever keeps them ---------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many changes have not been taken."""
        return len(self._changed)

    def take(self, most: int) -> list[K]:
        """Keys of records that have changed since they were last taken, the oldest first."""
        keys = list(itertools.islice(self._changed, most))
        for key in keys:
            del self._changed[key]
        return keys

    def give_back(self, keys: Iterable[K]) -> None:
        """These were taken and could not be kept."""
        self._changed = {**dict.fromkeys(keys), **self._changed}

    def change_all(self) -> None:
        """What was kept elsewhere is lost: everything has to be kept again."""
        self._changed = dict.fromkeys(key for key, _ in self.items())

    def row(self, key: K) -> Row:
        """A record as it is to be kept now."""
        text, record = self.kind.key_text(key), self.get(key)
        if record is None:
            return Row(text, 0.0, gone=True)
        packed = self.kind.pack(record)
        data = "" if packed is None else json.dumps(packed, separators=(",", ":"))
        return Row(text, self.kind.time(record), data)

    def load(self, rows: Iterable[Row], now: float) -> int:
        """Rows that were kept, from outside; returns how many were not understood.

        What is newer here stays as it is.
        """
        refused = 0
        for row in rows:
            try:
                key = self.kind.parse_key(row.key)
                time = min(row.time, now + _FUTURE)
                known = self.get(key)
                if now - time > self.kind.lifetime or (known is None and key in self._changed):
                    continue
                if known is not None and self.kind.time(known) >= time:
                    continue
                packed = json.loads(row.data) if row.data else None
                record = self.kind.unpack(time, packed)
            except (ValueError, RecursionError, SdnblockError):
                refused += 1
                continue
            self.put(key, record, changed=False)
            if self.on_load is not None:
                self.on_load(key, record)
        return refused


class Memory:
    """All that is kept, by name."""

    def __init__(self) -> None:
        self._tables: dict[str, Kept[Any, Any]] = {}

    def keep(self, kind: Kind[K, R]) -> Kept[K, R]:
        """The records of a kind: the same as before, if they were asked for before."""
        table = self._tables.setdefault(kind.name, Kept(kind))
        table.kind = kind
        return table

    def tables(self) -> list[Kept[Any, Any]]:
        """Everything that is kept, what matters most first."""
        return list(self._tables.values())


@functools.lru_cache(maxsize=4096)
def brief(text: str) -> int:
    """A text as a number of 48 bits: enough to tell apart what one source asked for."""
    data = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=6).digest()
    return int.from_bytes(data, "big")


def packed_briefs(value: Any, most: int) -> list[int]:
    """Several of what :func:`brief` makes. Raises ValueError for anything else."""
    if not isinstance(value, list):
        raise ValueError("a list is no list")
    for each in value:
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < 2**48:
            raise ValueError("not the number of a text")
    return list(dict.fromkeys(value))[:most]


def packed_text(value: Any, most: int) -> str:
    """A text of what was kept, cut. Raises ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("a text is no text")
    return value[:most]


def packed_count(value: Any) -> int:
    """A count of what was kept. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError("a count is no count")
    return value


def packed_time(value: Any) -> float:
    """A time of what was kept. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a time is no time")
    if not -_FARTHEST < value < _FARTHEST:  # also what no float can hold, and NaN
        raise ValueError("a time is farther away than any")
    return float(value)
