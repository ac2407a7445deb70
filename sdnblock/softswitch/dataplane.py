"""What the P4Runtime server needs of a data plane.

The server (``softswitch/server.py``) speaks P4Runtime and checks everything
that arrives; a data plane stores entries and forwards packets. Two exist: the
XDP program (``softswitch/xdp.py``), and ``softswitch/memory.py``, tables without
packets, for tests of the server and of its clients.

Keys. A table's key is its P4Info match fields in order, each big-endian in
``ceil(bitwidth / 8)`` bytes, zero-padded at the end to a multiple of four
bytes. A table with one LPM field has instead the prefix length as a native
32-bit integer followed by the address bytes (the layout of a BPF LPM trie).

Values. ``action`` is the low 24 bits of the P4Info action id; ``param`` is the
action's only parameter (0 if it has none).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol


class Outcome(enum.Enum):
    """How one table operation ended."""

    OK = "ok"
    EXISTS = "exists"
    MISSING = "missing"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Value:
    """An entry's action and parameter."""

    action: int
    param: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as read back: its value and its direct counter."""

    value: Value
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class MeterRates:
    """Two rates, three colours (RFC 2698), in packets a second and packets."""

    cir: int
    cburst: int
    pir: int
    pburst: int


POLICIES: Final = {"request_window": 2, "outcome_policy": 4, "first_policy": 2}
"""Tables without a key, whose default entry's arguments are a stage's policy, and how many."""

REQUEST_RATE: Final = "request_rate_t"
OUTCOME: Final = "outcome_t"


@dataclass(frozen=True, slots=True)
class RemoteDigest:
    """A digest about a remote: its ``name`` is REQUEST_RATE (``value``: requests) or OUTCOME
    (``value``: score). ``remote`` is 16 bytes (IPv4-mapped, or a /64)."""

    name: str
    remote: bytes
    value: int
    port: int


@dataclass(frozen=True, slots=True)
class SampledPacket:
    """A packet for the controller, with the fields of the ``packet_in`` header."""

    port: int
    reason: int
    frame: bytes


Event = RemoteDigest | SampledPacket


class DeviceConfigError(Exception):
    """The device config cannot be loaded; the text says why (for INVALID_ARGUMENT)."""


class Dataplane(Protocol):
    """Tables, counters, meters and events of one device. Not thread-safe; never waits."""

    @property
    def ports(self) -> dict[int, str]:
        """Port number (from 1) to interface name."""

    def verify(self, device_config: bytes) -> None:
        """Raises DeviceConfigError if :meth:`load` would; changes nothing."""

    def load(self, device_config: bytes) -> None:
        """Replace the program with ``device_config``: all tables start empty.

        Atomic: on DeviceConfigError the running program and its tables stay.
        """

    @property
    def loaded(self) -> bool:
        """Whether a program is in force (after load(), or adopted at start)."""

    @property
    def identity(self) -> str:
        """Names the program in force: another after each load(), the same after adoption."""

    def table_size(self, table: str) -> int:
        """The most entries ``table`` can hold."""

    def insert(self, table: str, keys: Sequence[bytes], values: Sequence[Value]) -> list[Outcome]:
        """Insert entries in order, counters at zero: OK, EXISTS or FULL for each."""

    def modify(self, table: str, keys: Sequence[bytes], values: Sequence[Value]) -> list[Outcome]:
        """Change the values of entries in order, counters untouched: OK or MISSING."""

    def delete(self, table: str, keys: Sequence[bytes]) -> list[Outcome]:
        """Delete entries in order: OK or MISSING."""

    def get(self, table: str, key: bytes) -> Entry | None:
        """One entry, by its exact key (an LPM key is not looked up but compared)."""

    def scan(self, table: str) -> Iterator[list[tuple[bytes, Entry]]]:
        """All entries, in lists of bounded length; those changed meanwhile may be missed."""

    def set_direct_counter(self, table: str, key: bytes, packets: int, bytes_: int) -> Outcome:
        """Set the direct counter of an entry: OK or MISSING."""

    def counter_size(self, counter: str) -> int:
        """The number of cells of an indirect counter."""

    def read_counter(self, counter: str) -> list[tuple[int, int]]:
        """All cells of an indirect counter as (packets, bytes)."""

    def set_counter(self, counter: str, index: int, packets: int, bytes_: int) -> None:
        """Set one cell of an indirect counter."""

    def meter_size(self, meter: str) -> int:
        """The number of cells of an indirect meter."""

    def get_meter(self, meter: str, index: int) -> MeterRates | None:
        """The rates of one cell; None while it has none (everything is green)."""

    def set_meter(self, meter: str, index: int, rates: MeterRates | None) -> None:
        """Set the rates of one cell, bucket full; None makes everything green again."""

    def policy(self, table: str) -> tuple[int, ...]:
        """The arguments of a table of POLICIES in force."""

    def set_policy(self, table: str, arguments: tuple[int, ...]) -> None:
        """Set them."""

    def set_clone_session(self, session: int, truncate: int | None) -> None:
        """Samples of ``session`` go to the controller, cut to ``truncate`` bytes (0: whole).

        None removes the session: its samples go nowhere.
        """

    def clone_sessions(self) -> dict[int, int]:
        """Sessions that exist, with their truncation."""

    @property
    def event_fd(self) -> int | None:
        """A file descriptor that is readable when events wait; None before load()."""

    def events(self) -> list[Event]:
        """All waiting events, oldest first, a bounded number of them."""

    def close(self, keep: bool) -> None:
        """Stop. ``keep``: the program and its tables stay in force to be adopted."""
