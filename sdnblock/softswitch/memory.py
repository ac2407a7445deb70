"""A data plane without packets: tables, counters and meters in memory.

For tests of the P4Runtime server and of its clients, and for what is written
between saving a pipeline and committing it. Sizes can be made small, so that
"full" can be tested; events and counts are injected by the ``inject`` helpers.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sdnblock.softswitch.dataplane import (
    POLICIES,
    REQUEST_RATE,
    DeviceConfigError,
    Entry,
    Event,
    MeterRates,
    Outcome,
    RemoteDigest,
    SampledPacket,
    Value,
)

TABLE_SIZES: Final = {
    "port_side": 512,
    "l2_forward": 4096,
    "sip_port": 256,
    "allow_v4": 8192,
    "allow_v6": 8192,
    "flow_v4": 131072,
    "flow_v6": 131072,
    "source_v4": 1048576,
    "source_v6": 262144,
    "prefix_v4": 65536,
    "prefix_v6": 65536,
    "outcome": 128,
}
COUNTER_SIZES: Final = {"message_in": 64, "message_out": 64, "verdict": 16}
METER_SIZES: Final = {
    "limit_meter": 16384,
    "sample_meter": 1,
    "held_meter": 1024,
    "first_meter": 32,
}

UNLOADABLE: Final = b"unloadable"
"""A device config that begins with this is refused by :meth:`MemoryDataplane.load`."""

_CHUNK: Final = 1024
_EVENTS: Final = 256
_EVENT_BACKLOG: Final = 65536


class _Row:
    """One entry, changed in place."""

    __slots__ = ("bytes", "packets", "value")

    def __init__(self, value: Value, packets: int = 0, bytes_: int = 0) -> None:
        self.value = value
        self.packets = packets
        self.bytes = bytes_

    def entry(self) -> Entry:
        return Entry(self.value, self.packets, self.bytes)


class MemoryDataplane:
    """The :class:`~sdnblock.softswitch.dataplane.Dataplane` protocol in dictionaries."""

    def __init__(
        self,
        ports: Mapping[int, str] | None = None,
        table_sizes: Mapping[str, int] | None = None,
    ) -> None:
        """``ports``: number to name. ``table_sizes`` override :data:`TABLE_SIZES`."""
        self._ports = dict(ports or {1: "memory1", 2: "memory2"})
        self._sizes = {**TABLE_SIZES, **(table_sizes or {})}
        self._fd: int | None = None
        self._loads = 0
        self.device_config = b""
        self._reset()

    def _reset(self) -> None:
        self._tables: dict[str, dict[bytes, _Row]] = {name: {} for name in self._sizes}
        self._counters = {name: [(0, 0)] * size for name, size in COUNTER_SIZES.items()}
        self._meters: dict[str, dict[int, MeterRates]] = {name: {} for name in METER_SIZES}
        self._policies = {table: (0,) * count for table, count in POLICIES.items()}
        self._sessions: dict[int, int] = {}
        self._events: deque[Event] = deque(maxlen=_EVENT_BACKLOG)

    @property
    def ports(self) -> dict[int, str]:
        """Port number (from 1) to interface name."""
        return dict(self._ports)

    def verify(self, device_config: bytes) -> None:
        """Raises DeviceConfigError for nothing, and for :data:`UNLOADABLE`."""
        if not device_config:
            raise DeviceConfigError("the device config is empty")
        if device_config.startswith(UNLOADABLE):
            raise DeviceConfigError("the device config is not a program")

    def load(self, device_config: bytes) -> None:
        """Start empty. Raises DeviceConfigError as :meth:`verify` does."""
        self.verify(device_config)
        self._loads += 1
        self._reset()
        self.device_config = device_config
        if self._fd is None:
            self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @property
    def loaded(self) -> bool:
        """Whether :meth:`load` has succeeded."""
        return bool(self.device_config)

    @property
    def identity(self) -> str:
        """The number of this load."""
        return f"memory {self._loads}"

    def table_size(self, table: str) -> int:
        """The most entries ``table`` can hold."""
        return self._sizes[table]

    def insert(self, table: str, keys: Sequence[bytes], values: Sequence[Value]) -> list[Outcome]:
        """Insert entries in order, counters at zero: OK, EXISTS or FULL for each."""
        rows, size = self._tables[table], self._sizes[table]
        outcomes = []
        for key, value in zip(keys, values, strict=True):
            if key in rows:
                outcomes.append(Outcome.EXISTS)
            elif len(rows) >= size:
                outcomes.append(Outcome.FULL)
            else:
                rows[key] = _Row(value)
                outcomes.append(Outcome.OK)
        return outcomes

    def modify(self, table: str, keys: Sequence[bytes], values: Sequence[Value]) -> list[Outcome]:
        """Change the values of entries in order, counters untouched: OK or MISSING."""
        rows = self._tables[table]
        outcomes = []
        for key, value in zip(keys, values, strict=True):
            row = rows.get(key)
            if row is not None:
                row.value = value
            outcomes.append(Outcome.MISSING if row is None else Outcome.OK)
        return outcomes

    def delete(self, table: str, keys: Sequence[bytes]) -> list[Outcome]:
        """Delete entries in order: OK or MISSING."""
        rows = self._tables[table]
        return [Outcome.MISSING if rows.pop(key, None) is None else Outcome.OK for key in keys]

    def get(self, table: str, key: bytes) -> Entry | None:
        """One entry, by its exact key."""
        row = self._tables[table].get(key)
        return None if row is None else row.entry()

    def scan(self, table: str) -> Iterator[list[tuple[bytes, Entry]]]:
        """All entries as they are now, in lists of bounded length."""
        rows = self._tables[table]
        keys = list(rows)
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            yield [(key, rows[key].entry()) for key in chunk if key in rows]

    def set_direct_counter(self, table: str, key: bytes, packets: int, bytes_: int) -> Outcome:
        """Set the direct counter of an entry: OK or MISSING."""
        row = self._tables[table].get(key)
        if row is None:
            return Outcome.MISSING
        row.packets, row.bytes = packets, bytes_
        return Outcome.OK

    def counter_size(self, counter: str) -> int:
        """The number of cells of an indirect counter."""
        return COUNTER_SIZES[counter]

    def read_counter(self, counter: str) -> list[tuple[int, int]]:
        """All cells of an indirect counter as (packets, bytes)."""
        return list(self._counters[counter])

    def set_counter(self, counter: str, index: int, packets: int, bytes_: int) -> None:
        """Set one cell of an indirect counter."""
        self._counters[counter][index] = (packets, bytes_)

    def meter_size(self, meter: str) -> int:
        """The number of cells of an indirect meter."""
        return METER_SIZES[meter]

    def get_meter(self, meter: str, index: int) -> MeterRates | None:
        """The rates of one cell; None while it has none."""
        return self._meters[meter].get(index)

    def set_meter(self, meter: str, index: int, rates: MeterRates | None) -> None:
        """Set the rates of one cell; None takes them away."""
        if rates is None:
            self._meters[meter].pop(index, None)
        else:
            self._meters[meter][index] = rates

    def policy(self, table: str) -> tuple[int, ...]:
        """The arguments of a policy table in force."""
        return self._policies[table]

    def set_policy(self, table: str, arguments: tuple[int, ...]) -> None:
        """Set them."""
        self._policies[table] = arguments

    def set_clone_session(self, session: int, truncate: int | None) -> None:
        """Create, change or (None) remove a clone session."""
        if truncate is None:
            self._sessions.pop(session, None)
        else:
            self._sessions[session] = truncate

    def clone_sessions(self) -> dict[int, int]:
        """Sessions that exist, with their truncation."""
        return dict(self._sessions)

    @property
    def event_fd(self) -> int | None:
        """An eventfd that is readable while events wait; None before load()."""
        return self._fd

    def events(self) -> list[Event]:
        """Waiting events, oldest first, at most some hundreds."""
        taken = [self._events.popleft() for _ in range(min(_EVENTS, len(self._events)))]
        if not self._events and self._fd is not None and taken:
            os.eventfd_read(self._fd)
        return taken

    def close(self, keep: bool) -> None:
        """Stop; ``keep`` leaves the tables readable by whoever holds this object."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if not keep:
            self.device_config = b""
            self._reset()

    # What packets would do.

    def inject_hit(self, table: str, key: bytes, packets: int, bytes_: int) -> None:
        """Add to the direct counter of an entry. Raises KeyError if there is none."""
        row = self._tables[table][key]
        row.packets += packets
        row.bytes += bytes_

    def inject_count(self, counter: str, index: int, packets: int, bytes_: int) -> None:
        """Add to a cell of an indirect counter."""
        old_packets, old_bytes = self._counters[counter][index]
        self._counters[counter][index] = (old_packets + packets, old_bytes + bytes_)

    def inject_event(self, event: Event) -> None:
        """Let an event wait; a sample is lost unless clone session 250 exists."""
        if isinstance(event, SampledPacket):
            truncate = self._sessions.get(250)
            if truncate is None:
                return
            frame = event.frame[:truncate] if truncate else event.frame
            event = SampledPacket(event.port, event.reason, frame)
        self._events.append(event)
        if self._fd is not None:
            os.eventfd_write(self._fd, 1)

    def inject_digest(self, remote: bytes, requests: int, port: int) -> None:
        """A ``request_rate_t`` digest; ``remote`` is 16 bytes."""
        self.inject_event(RemoteDigest(REQUEST_RATE, remote, requests, port))
