"""Digest lists and their acknowledgements (P4Runtime specification, 9.8 "DigestEntry").

Pure: time is given, in seconds of any monotonic clock. One
:class:`DigestQueue` a configured digest. Buffer and duplicate cache are
bounded: digests may be lost, and the server's memory may not.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sdnblock.softswitch.refusal import invalid

MAX_LIST: Final = 1024
"""The longest list sent, also when ``max_list_size`` is 0 or larger."""
MAX_CACHED: Final = 65536
"""Sent and unacknowledged messages remembered; the oldest lists are forgotten first."""


@dataclass(frozen=True, slots=True)
class DigestConfig:
    """``DigestEntry.Config``, as given."""

    max_timeout_ns: int
    max_list_size: int
    ack_timeout_ns: int

    def __post_init__(self) -> None:
        """Raises Refusal INVALID_ARGUMENT for a negative number."""
        for name in ("max_timeout_ns", "max_list_size", "ack_timeout_ns"):
            if getattr(self, name) < 0:
                raise invalid(f"{name} must not be negative")

    @property
    def most(self) -> int:
        """Messages in one list."""
        if self.max_timeout_ns == 0:
            return 1
        return min(self.max_list_size or MAX_LIST, MAX_LIST)


@dataclass(frozen=True, slots=True)
class Sent:
    """A digest list to send: ``data`` are the messages, each opaque here."""

    list_id: int
    data: tuple[bytes, ...]


class DigestQueue:
    """Buffers, filters duplicates, and remembers what waits for its acknowledgement."""

    def __init__(self, config: DigestConfig, list_ids: Iterator[int] | None = None) -> None:
        """``list_ids`` numbers the lists; shared, so that a number is never used twice."""
        self.config = config
        self._ids = list_ids if list_ids is not None else itertools.count(1)
        self._buffer: dict[bytes, None] = {}
        self._since = 0.0
        self._cache: set[bytes] = set()
        self._lists: OrderedDict[int, tuple[float, tuple[bytes, ...]]] = OrderedDict()

    def reconfigure(self, config: DigestConfig) -> None:
        """MODIFY: the new parameters hold from now on, for what waits as well."""
        self.config = config

    def offer(self, message: bytes, now: float) -> Sent | None:
        """A message from the data plane; the list it completes, if it does."""
        self._expire(now)
        if message in self._cache or message in self._buffer:
            return None
        if not self._buffer:
            self._since = now
        self._buffer[message] = None
        return self._flush(now) if len(self._buffer) >= self.config.most else None

    def due(self, now: float) -> Sent | None:
        """The list whose ``max_timeout_ns`` has passed, if there is one."""
        deadline = self.deadline()
        return self._flush(now) if deadline is not None and now >= deadline else None

    def deadline(self) -> float | None:
        """When :meth:`due` is to be asked next."""
        return self._since + self.config.max_timeout_ns / 1e9 if self._buffer else None

    def ack(self, list_id: int) -> None:
        """A list is acknowledged: its messages may come again. Unknown lists are ignored."""
        _, messages = self._lists.pop(list_id, (0.0, ()))
        self._cache.difference_update(messages)

    def forget(self) -> None:
        """Drop buffer and cache (another client became primary)."""
        self._buffer.clear()
        self._cache.clear()
        self._lists.clear()

    def _flush(self, now: float) -> Sent:
        messages = tuple(self._buffer)
        self._buffer.clear()
        sent = Sent(next(self._ids), messages)
        if self.config.ack_timeout_ns:
            self._cache.update(messages)
            self._lists[sent.list_id] = (now, messages)
            while len(self._cache) > MAX_CACHED:
                self.ack(next(iter(self._lists)))
        return sent

    def _expire(self, now: float) -> None:
        oldest = now - self.config.ack_timeout_ns / 1e9
        while self._lists:
            list_id, (at, _) = next(iter(self._lists.items()))
            if at > oldest:
                return
            self.ack(list_id)
