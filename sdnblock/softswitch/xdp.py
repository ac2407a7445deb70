"""The XDP program as a :class:`~sdnblock.softswitch.dataplane.Dataplane`.

What is loaded is pinned under ``/sys/fs/bpf/sdnblock/<device id>/``: a switchd that ends
with ``--keep``, or is killed, leaves program and tables in force, and the next one takes
them over. Entries live in the kernel only; nothing here remembers them.
"""

from __future__ import annotations

import enum
import errno
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sdnblock.softswitch import layout
from sdnblock.softswitch.attach import attach, detach, find_interfaces, is_up
from sdnblock.softswitch.bpf import (
    BPF_F_LOCK,
    BpfError,
    Libbpf,
    Loaded,
    Map,
    RingBuffer,
    load_object,
)
from sdnblock.softswitch.dataplane import (
    DeviceConfigError,
    Entry,
    Event,
    MeterRates,
    Outcome,
    Value,
)
from sdnblock.softswitch.takeover import MAPS, PROGRAMS, Pins, fits, set_ports

BPFFS: Final = Path("/sys/fs/bpf")
CLONE_SESSION: Final = 250
_ZERO: Final = layout.INDEX.pack(0)

_OUTCOMES: Final = {
    0: Outcome.OK,
    errno.EEXIST: Outcome.EXISTS,
    errno.ENOENT: Outcome.MISSING,
    errno.E2BIG: Outcome.FULL,  # hash maps
    errno.ENOSPC: Outcome.FULL,  # LPM tries
    errno.ENOMEM: Outcome.FULL,  # the machine, or our control group, has no memory left
}


class Verdict(enum.Enum):
    """What the program did with a packet (values of ``enum xdp_action``)."""

    DROP = 1
    PASS = 2
    REDIRECT = 4


class XdpDataplane:
    """XDP on some interfaces of this host; ports are numbered from 1 in the order given.

    Raises BpfError: no root, no libbpf, kernel too old, no such interface.
    """

    def __init__(
        self,
        interfaces: Sequence[str],
        device_id: int = 1,
        *,
        sizes: dict[str, int] | None = None,
    ) -> None:
        self._lib = Libbpf()
        self._sizes = sizes
        self._interfaces = find_interfaces(interfaces)
        self._modes: dict[str, str] = {}
        self._loaded: Loaded | None = None
        self._ring: RingBuffer | None = None
        self._detached_ports = 0
        self._pins: Pins | None = None
        if interfaces:
            self._lib.mount_bpffs(BPFFS)
            self._pins = Pins(self._lib, BPFFS / "sdnblock" / str(device_id))
            if taken := self._pins.take_over(self._interfaces):
                loaded, modes = taken
                self._use(loaded, RingBuffer(self._lib, loaded.maps["events"]), modes)

    @classmethod
    def detached(cls, ports: int = 8, sizes: dict[str, int] | None = None) -> XdpDataplane:
        """One without interfaces, whose packets come from :meth:`test_run` only."""
        dataplane = cls([], sizes=sizes)
        dataplane._detached_ports = ports
        return dataplane

    # --- life ---------------------------------------------------------------------------

    @property
    def ports(self) -> dict[int, str]:
        """Port number to interface name."""
        if self._detached_ports:
            return {port: f"test{port}" for port in range(1, self._detached_ports + 1)}
        return {interface.port: interface.name for interface in self._interfaces}

    @property
    def modes(self) -> dict[str, str]:
        """Interface name to ``native`` or ``generic``; empty before load()."""
        return dict(self._modes)

    @property
    def loaded(self) -> bool:
        """Whether a program is in force."""
        return self._loaded is not None

    @property
    def identity(self) -> str:
        """The kernel's number of the program in force; the same for whoever adopts it."""
        return str(self._in_force().programs["pipeline"].id)

    def verify(self, device_config: bytes) -> None:
        """Let the kernel's verifier see a BPF object, and drop it. Raises DeviceConfigError."""
        self._open(device_config).close()

    def load(self, device_config: bytes) -> None:
        """Load a BPF object with empty tables and put it on all interfaces, in one step each.

        Raises DeviceConfigError, with the running program left as it was, if the object is
        not ours or the kernel refuses it; BpfError if an interface does.
        """
        fresh = self._open(device_config)
        staged: Path | None = None
        try:
            if self._pins:
                for interface in self._interfaces:
                    is_up(interface)  # or gone
                set_ports(self._lib, fresh, self._interfaces)
                staged = self._pins.stage(fresh)
            ring = RingBuffer(self._lib, fresh.maps["events"])
            try:
                modes = self._attach_all(fresh)
            except BaseException:
                ring.close()
                raise
        except BaseException:
            if self._pins and staged:
                self._pins.unstage(staged)
            fresh.close()
            raise
        if self._pins and staged:
            self._pins.settle(staged)
        for port in range(1, self._detached_ports + 1):  # test runs leave by the loopback
            self._must(fresh.maps["devices"], layout.INDEX.pack(port), layout.INDEX.pack(1))
        self._use(fresh, ring, modes)

    def _open(self, device_config: bytes) -> Loaded:
        try:
            fresh = load_object(self._lib, device_config, PROGRAMS, self._sizes)
        except BpfError as error:
            raise DeviceConfigError(str(error)) from None
        try:
            self._check(fresh)
        except BaseException:
            fresh.close()
            raise
        return fresh

    def close(self, keep: bool) -> None:
        """Stop; with ``keep`` everything stays in force for the next one to take over."""
        if self._ring:
            self._ring.close()
            self._ring = None
        loaded, self._loaded = self._loaded, None
        self._modes = {}
        if not loaded:
            return
        try:
            if not keep:
                for interface in self._interfaces:
                    detach(self._lib, interface, loaded.programs["pipeline"])
                if self._pins:
                    self._pins.remove()
        finally:
            loaded.close()

    def _check(self, fresh: Loaded) -> None:
        missing = [name for name in MAPS if name not in fresh.maps and name != "rodata"]
        rodata = [name for name in fresh.maps if name.endswith(layout.RODATA)]
        if missing or len(rodata) != 1:
            raise DeviceConfigError(
                f"this BPF object is not sdnblock's: it has no map {(missing or ['.rodata'])[0]!r}"
            )
        fresh.maps["rodata"] = fresh.maps.pop(rodata[0])
        if not fits(fresh):
            raise DeviceConfigError("this BPF object is of another version of sdnblock")

    def _attach_all(self, fresh: Loaded) -> dict[str, str]:
        """Puts ``fresh`` on every interface, or on none. Returns the modes."""
        old = self._loaded.programs["pipeline"] if self._loaded else None
        new = fresh.programs["pipeline"]
        modes: dict[str, str] = {}
        try:
            for interface in self._interfaces:
                modes[interface.name] = attach(self._lib, interface, new, old)
        except BpfError:
            for interface in self._interfaces[: len(modes)]:
                if old:
                    attach(self._lib, interface, old, new)
                else:
                    detach(self._lib, interface, new)
            raise
        return modes

    def _use(self, loaded: Loaded, ring: RingBuffer, modes: dict[str, str]) -> None:
        if self._ring:
            self._ring.close()
        if self._loaded:
            self._loaded.close()
        self._loaded, self._ring, self._modes = loaded, ring, modes

    # --- tables -------------------------------------------------------------------------

    def table_size(self, table: str) -> int:
        """The most entries ``table`` can hold."""
        return self._map(table).max_entries

    def insert(self, table: str, keys: Sequence[bytes], values: Sequence[Value]) -> list[Outcome]:
        """Insert entries in order: OK, EXISTS or FULL for each. Raises BpfError."""
        packed = layout.pack_values(table, keys, values)
        codes = self._map(table).insert_many(layout.pack_keys(table, keys), packed)
        return [self._outcome(code, table) for code in codes]

    def delete(self, table: str, keys: Sequence[bytes]) -> list[Outcome]:
        """Delete entries in order: OK or MISSING. Raises BpfError."""
        codes = self._map(table).delete_many(layout.pack_keys(table, keys))
        return [self._outcome(code, table) for code in codes]

    def modify(self, table: str, keys: Sequence[bytes], values: Sequence[Value]) -> list[Outcome]:
        """Change entries in order, in the kernel, counters untouched: OK or MISSING."""
        return self._command(
            table,
            keys,
            [(layout.COMMAND_MODIFY, value.action, value.param, 0, 0) for value in values],
        )

    def set_direct_counter(self, table: str, key: bytes, packets: int, bytes_: int) -> Outcome:
        """Set the direct counter of an entry: OK or MISSING."""
        return self._command(table, [key], [(layout.COMMAND_SET_COUNTER, 0, 0, packets, bytes_)])[0]

    def get(self, table: str, key: bytes) -> Entry | None:
        """One entry by its exact key."""
        raw = self._map(table).lookup(layout.pack_keys(table, [key]))
        if raw is None:
            return None
        length, entry = layout.unpack_entry(raw)
        if table in layout.TRIES and length != layout.prefix_length(key):
            return None  # a shorter prefix that covers it
        return entry

    def scan(self, table: str) -> Iterator[list[tuple[bytes, Entry]]]:
        """All entries, in lists of bounded length."""
        each = self._map(table)
        if table in layout.TRIES:
            yield from _scan_trie(table, each)
            return
        size = each.key_size
        for count, keys, values in each.batches():
            unpacked = layout.ENTRY.iter_unpack(values[: count * layout.ENTRY.size])
            yield [
                (keys[at : at + size], Entry(Value(action, param), packets, bytes_))
                for at, (action, _, param, packets, bytes_) in zip(
                    range(0, count * size, size), unpacked, strict=True
                )
            ]

    def _command(
        self, table: str, keys: Sequence[bytes], commands: Sequence[tuple[int, int, int, int, int]]
    ) -> list[Outcome]:
        number, result = layout.TABLES[table], []
        control = self._in_force().programs["control"]
        for start in range(0, len(keys), layout.MAX_COMMANDS):
            part = range(start, min(start + layout.MAX_COMMANDS, len(keys)))
            packed = b""
            for at in part:
                operation, action, param, packets, bytes_ = commands[at]
                packed += layout.COMMAND.pack(
                    operation, number, 0, action, param, packets, bytes_, keys[at]
                )
            _, answered, _ = control.test_run(packed)
            for command in layout.COMMAND.iter_unpack(answered[: len(packed)]):
                ok = command[2] == layout.STATUS_OK
                result.append(Outcome.OK if ok else Outcome.MISSING)
        return result

    def _outcome(self, code: int, table: str) -> Outcome:
        try:
            return _OUTCOMES[code]
        except KeyError:
            raise self._lib.fail(f"write to {table}", code) from None

    # --- counters, meters, settings -----------------------------------------------------

    def counter_size(self, counter: str) -> int:
        """The number of cells of an indirect counter."""
        return self._map(counter).max_entries

    def read_counter(self, counter: str) -> list[tuple[int, int]]:
        """All cells of an indirect counter as (packets, bytes)."""
        cells = self._map(counter)
        return [
            layout.sum_cells(cells.lookup(layout.INDEX.pack(index)) or b"")
            for index in range(cells.max_entries)
        ]

    def set_counter(self, counter: str, index: int, packets: int, bytes_: int) -> None:
        """Set one cell of an indirect counter."""
        cells = self._map(counter)
        others = bytes(layout.CELL.size * (cells.cells - 1))
        self._must(cells, layout.INDEX.pack(index), layout.CELL.pack(packets, bytes_) + others)

    def meter_size(self, meter: str) -> int:
        """The number of cells of an indirect meter."""
        return self._map(meter).max_entries

    def get_meter(self, meter: str, index: int) -> MeterRates | None:
        """The rates of one cell, None while it has none."""
        raw = self._map(meter).lookup(layout.INDEX.pack(index)) or bytes(layout.METER.size)
        return layout.unpack_meter(raw[: layout.METER.size])

    def set_meter(self, meter: str, index: int, rates: MeterRates | None) -> None:
        """Set the rates of one cell, buckets full; None makes everything green again."""
        packed = layout.pack_meter(rates, time.monotonic_ns())
        self._must(self._map(meter), layout.INDEX.pack(index), packed, BPF_F_LOCK)

    def policy(self, table: str) -> tuple[int, ...]:
        """The arguments of a policy table in force."""
        return tuple(self._settings()[layout.POLICY_FIELDS[table]])

    def set_policy(self, table: str, arguments: tuple[int, ...]) -> None:
        """Set them."""
        self._set_settings(layout.POLICY_FIELDS[table], arguments)

    def set_clone_session(self, session: int, truncate: int | None) -> None:
        """Whether, and how long, samples go to the controller. Raises ValueError for a
        session that the program does not use."""
        if session != CLONE_SESSION:
            raise ValueError(f"the program samples to session {CLONE_SESSION} only")
        self._set_settings(layout.SESSION_FIELDS, (int(truncate is not None), truncate or 0))

    def clone_sessions(self) -> dict[int, int]:
        """Sessions that exist, with their truncation."""
        session, length = self._settings()[layout.SESSION_FIELDS]
        return {CLONE_SESSION: length} if session else {}

    def _settings(self) -> list[int]:
        raw = self._map("settings").lookup(_ZERO) or bytes(layout.SETTINGS.size)
        return list(layout.SETTINGS.unpack(raw[: layout.SETTINGS.size]))

    def _set_settings(self, fields: slice, values: Sequence[int]) -> None:
        settings = self._settings()
        settings[fields] = values
        self._must(self._map("settings"), _ZERO, layout.SETTINGS.pack(*settings))

    # --- events -------------------------------------------------------------------------

    @property
    def event_fd(self) -> int | None:
        """Readable when events wait; None before load()."""
        return self._ring.fd if self._ring else None

    def events(self) -> list[Event]:
        """All waiting events, oldest first: at most a megabyte of them."""
        if not self._ring:
            return []
        events = (layout.unpack_event(record) for record in self._ring.read())
        return [event for event in events if event is not None]

    def events_lost(self) -> int:
        """Events that did not fit into the buffer since load()."""
        raw = self._map("events_lost").lookup(_ZERO) or b""
        return sum(int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8))

    def memory(self) -> dict[str, int]:
        """Bytes of kernel memory of each map."""
        return {name: each.memory for name, each in self._in_force().maps.items()}

    # --- tests --------------------------------------------------------------------------

    def test_run(self, port: int, frame: bytes) -> tuple[Verdict, bytes]:
        """Run the program on one frame as if it came in at ``port``; nothing is sent."""
        self.set_test_port(port)
        value, out, _ = self._in_force().programs["pipeline"].test_run(frame)
        return Verdict(value), out

    def set_test_port(self, port: int) -> None:
        """Test runs come in by the loopback (interface 1): let that be ``port``."""
        self._must(self._map("ports"), layout.INDEX.pack(1), layout.INDEX.pack(port))

    def measure(self, frame: bytes, repeat: int) -> int:
        """Nanoseconds a packet, over ``repeat`` runs of the program on ``frame``."""
        return self._in_force().programs["pipeline"].test_run(frame, repeat)[2]

    # --- helpers ------------------------------------------------------------------------

    def _in_force(self) -> Loaded:
        if not self._loaded:
            raise BpfError("no pipeline is loaded yet")
        return self._loaded

    def _map(self, name: str) -> Map:
        return self._in_force().maps[name]

    def _must(self, each: Map, key: bytes, value: bytes, flags: int = 0) -> None:
        if code := each.update(key, value, flags):
            raise self._lib.fail(f"write to {each.name}", code)


def _scan_trie(table: str, trie: Map) -> Iterator[list[tuple[bytes, Entry]]]:
    found = []
    key = trie.next_key(None)
    while key is not None:
        if raw := trie.lookup(key):
            found.append((layout.unpack_key(table, key), layout.unpack_entry(raw)[1]))
        if len(found) == 1024:
            yield found
            found = []
        key = trie.next_key(key)
    if found:
        yield found
