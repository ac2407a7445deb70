"""Writes of table entries (P4Runtime specification, 9.1 "TableEntry").

The common update (an INSERT, MODIFY or DELETE of an ordinary entry that says
no more than match and action) is packed and joins a run of its kind, which
reaches the data plane in one call. Everything else ends the run first, so that
updates take effect in the order of the request.
"""

from __future__ import annotations

from typing import Final

from finsy.proto import p4r

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.constants import const_entries
from sdnblock.softswitch.dataplane import POLICIES, Outcome, Value
from sdnblock.softswitch.packing import Packer
from sdnblock.softswitch.refusal import (
    ALREADY_EXISTS,
    INTERNAL,
    RESOURCE_EXHAUSTED,
    Refusal,
    denied,
    invalid,
    missing,
    unimplemented,
)
from sdnblock.softswitch.state import DEFAULT_ENTRY, MAX_METADATA, NO_NOTE, Note, State

INSERT: Final = p4r.Update.INSERT
MODIFY: Final = p4r.Update.MODIFY
DELETE: Final = p4r.Update.DELETE


class TableWriter:
    """Collects the table updates of one batch; ``results`` has a Refusal or None for each."""

    def __init__(self, state: State, results: list[Refusal | None]) -> None:
        self._state = state
        self._dataplane = state.dataplane
        self._packers = state.pipeline.packers
        self._results = results
        self._packer: Packer | None = None
        self._type: int = 0
        self._at: list[int] = []
        self._keys: list[bytes] = []
        self._values: list[Value] = []

    def add(self, at: int, update: p4r.Update) -> None:
        """Take update number ``at``; its result stands after the next :meth:`flush`."""
        entry = update.entity.table_entry
        try:
            packer = self._packers.get(entry.table_id)
            if packer is None:
                raise invalid(f"there is no table {entry.table_id:#010x}")
            kind = update.type
            if (
                packer.plain
                and not _uncommon(entry)
                and (kind == DELETE or (kind != 0 and entry.HasField("action")))
            ):
                key = packer.key(entry)
                if packer is not self._packer or kind != self._type:
                    self.flush()
                    self._packer, self._type = packer, kind
                if kind != DELETE:
                    self._values.append(packer.value(entry.action))
                self._keys.append(key)
                self._at.append(at)
                return
            self.flush()
            self._one(packer, kind, entry)
        except Refusal as refusal:
            self._results[at] = refusal
        except SdnblockError as error:
            self._results[at] = Refusal(INTERNAL, str(error))

    def flush(self) -> None:
        """Carry out the run that has been collected."""
        packer, keys, places = self._packer, self._keys, self._at
        if packer is None or not keys:
            self._packer = None
            return
        table, kind, values = packer.table.name, self._type, self._values
        self._packer, self._at, self._keys, self._values = None, [], [], []
        try:
            outcomes = self._apply(table, kind, keys, values)
        except SdnblockError as error:
            for at in places:
                self._results[at] = Refusal(INTERNAL, str(error))
            return
        for at, outcome in zip(places, outcomes, strict=True):
            if outcome is not Outcome.OK:
                self._results[at] = self._refusal(table, outcome)
        if kind != INSERT and self._state.notes.get(table):
            for key, outcome in zip(keys, outcomes, strict=True):
                if outcome is Outcome.OK:
                    self._state.note(table, key, NO_NOTE)

    def _apply(
        self, table: str, kind: int, keys: list[bytes], values: list[Value]
    ) -> list[Outcome]:
        self._state.before_change(table, keys)
        if kind == INSERT:
            return self._dataplane.insert(table, keys, values)
        if kind == MODIFY:
            return self._dataplane.modify(table, keys, values)
        return self._dataplane.delete(table, keys)

    def _refusal(self, table: str, outcome: Outcome) -> Refusal:
        if outcome is Outcome.EXISTS:
            return Refusal(ALREADY_EXISTS, f"{table} has this entry already")
        if outcome is Outcome.FULL:
            size = self._dataplane.table_size(table)
            return Refusal(RESOURCE_EXHAUSTED, f"{table} is full: it takes {size} entries")
        return missing(f"{table} has no such entry")

    def _must(self, table: str, outcome: Outcome) -> None:
        if outcome is not Outcome.OK:
            raise self._refusal(table, outcome)

    # The uncommon.

    def _one(self, packer: Packer, kind: int, entry: p4r.TableEntry) -> None:
        table = packer.table
        if kind not in (INSERT, MODIFY, DELETE):
            raise invalid("the update's type is not INSERT, MODIFY or DELETE")
        if entry.is_const:
            raise invalid("is_const must not be set in a write")
        if entry.is_default_action:
            self._default(packer, kind, entry)
            return
        if table.const:
            self._const(packer, kind, entry)
            return
        if not table.fields:
            raise invalid(f"table {table.name} has no key: only its default entry can be modified")
        if entry.priority:
            raise invalid(f"table {table.name} has no ternary field: priority must be 0")
        self._keyed(packer, kind, entry)

    def _keyed(self, packer: Packer, kind: int, entry: p4r.TableEntry) -> None:
        name, key = packer.table.name, packer.key(entry)
        if kind == DELETE:  # nothing but the key counts
            self._must(name, self._apply(name, kind, [key], [])[0])
            self._state.note(name, key, NO_NOTE)
            return
        note = _check_extras(packer, entry)
        self._state.before_change(name, [key])
        if kind == INSERT or entry.HasField("action"):
            value = packer.value(entry.action)
            self._must(name, self._apply(name, kind, [key], [value])[0])
        elif self._dataplane.get(name, key) is None:
            raise self._refusal(name, Outcome.MISSING)
        if entry.HasField("counter_data"):
            data = entry.counter_data
            self._must(
                name,
                self._dataplane.set_direct_counter(name, key, data.packet_count, data.byte_count),
            )
        self._state.note(name, key, note)

    def _default(self, packer: Packer, kind: int, entry: p4r.TableEntry) -> None:
        """The default entry (9.1.3)."""
        table = packer.table
        if kind != MODIFY:
            raise invalid("a default entry is always there: it can only be modified")
        if entry.match or entry.priority:
            raise invalid("a default entry has neither match fields nor a priority")
        if table.const_default:
            raise denied(f"the default entry of {table.name} is constant")
        if table.name not in POLICIES:
            raise unimplemented(f"the default entry of {table.name} cannot be changed here")
        note = _check_extras(packer, entry)
        _, arguments = table.default
        if entry.HasField("action"):
            _, arguments = packer.action(entry.action, default=True)
        else:
            note = NO_NOTE
        self._dataplane.set_policy(table.name, arguments)
        self._state.note(table.name, DEFAULT_ENTRY, note)

    def _const(self, packer: Packer, kind: int, entry: p4r.TableEntry) -> None:
        """Constant tables: MODIFY of direct resources only (9.1.4), and there are none."""
        name = packer.table.name
        if kind != MODIFY or entry.HasField("action"):
            raise denied(f"the entries of {name} are constant")
        match = packer.match(entry)
        if not any(
            (const.match, const.priority) == (match, entry.priority)
            for const in const_entries(packer.table)
        ):
            raise self._refusal(name, Outcome.MISSING)
        if _check_extras(packer, entry) != NO_NOTE:
            raise denied(f"the entries of {name} are constant")


def _uncommon(entry: p4r.TableEntry) -> bool:
    """Whether an entry says more than table, match and action."""
    return bool(
        entry.priority
        or entry.is_default_action
        or entry.metadata
        or entry.controller_metadata
        or entry.idle_timeout_ns
        or entry.is_const
        or entry.HasField("counter_data")
        or entry.HasField("meter_config")
        or entry.HasField("meter_counter_data")
        or entry.HasField("time_since_last_hit")
    )


def check_counter_data(data: p4r.CounterData) -> None:
    """Raises Refusal INVALID_ARGUMENT for counts below zero."""
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid("a counter cannot be set below 0")


def _check_extras(packer: Packer, entry: p4r.TableEntry) -> Note:
    """Direct resources (9.1.6), idle timeout (9.1.7) and metadata of a write."""
    name = packer.table.name
    if entry.HasField("meter_config") or entry.HasField("meter_counter_data"):
        raise invalid(f"table {name} has no direct meter")
    if entry.HasField("counter_data"):
        if not packer.table.direct_counter or entry.is_default_action:
            raise invalid(f"table {name} has no direct counter for this entry")
        check_counter_data(entry.counter_data)
    if entry.idle_timeout_ns or entry.HasField("time_since_last_hit"):
        raise invalid(f"table {name} has no idle timeout")
    if len(entry.metadata) > MAX_METADATA:
        raise invalid(f"metadata is longer than {MAX_METADATA} bytes")
    return (entry.controller_metadata, entry.metadata)
