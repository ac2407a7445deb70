"""Reads of table entries and direct counters (P4Runtime specification 9.1.5, 9.1.6, 9.3.1)."""

from __future__ import annotations

from collections.abc import Iterable

from finsy.proto import p4r

from sdnblock.softswitch.answer import Answer, encode_entity
from sdnblock.softswitch.bytestring import encode
from sdnblock.softswitch.constants import const_entries
from sdnblock.softswitch.dataplane import POLICIES, Entry
from sdnblock.softswitch.encode import EntryEncoder, set_match
from sdnblock.softswitch.packing import ACTION_MASK, Packer
from sdnblock.softswitch.refusal import invalid, missing
from sdnblock.softswitch.snapshot import Encode, Snapshot
from sdnblock.softswitch.state import DEFAULT_ENTRY, NO_NOTE, Note, State


def read_table_entries(
    state: State, request: p4r.TableEntry, answer: Answer, snapshot: Snapshot
) -> None:
    """Entries by table and filter; default entries only if asked for. Raises Refusal.

    Whole tables are left to ``snapshot``, the rest is answered at once.
    """
    for packer in _tables(state, request):
        if request.is_default_action:
            _default_entry(state, packer, request, answer)
        elif packer.table.const:
            _const_entries(packer, request, answer)
        elif packer.plain and not request.priority:  # no entry of these has one
            _entries(state, packer, request, answer, snapshot)


def _tables(state: State, request: p4r.TableEntry) -> Iterable[Packer]:
    packers = state.pipeline.packers
    if request.table_id == 0:
        if (
            request.match
            or request.HasField("action")
            or request.priority
            or request.controller_metadata
            or request.metadata
        ):
            raise invalid("a read of all tables (table id 0) cannot be filtered")
        return packers.values()
    if request.table_id not in packers:
        raise invalid(f"there is no table {request.table_id:#010x}")
    packer = packers[request.table_id]
    if request.HasField("meter_config") or request.HasField("meter_counter_data"):
        raise invalid(f"table {packer.table.name} has no direct meter")
    if request.HasField("time_since_last_hit") or request.idle_timeout_ns:
        raise invalid(f"table {packer.table.name} has no idle timeout")
    if request.is_default_action and (request.match or request.priority):
        raise invalid("a default entry has neither match fields nor a priority")
    return [packer]


def _entries(
    state: State, packer: Packer, request: p4r.TableEntry, answer: Answer, snapshot: Snapshot
) -> None:
    encoder = EntryEncoder(packer, request.HasField("counter_data"))
    wanted = _wanted_action(packer, request)
    cookie, metadata = request.controller_metadata, request.metadata

    def chosen(key: bytes, entry: Entry, note: Note) -> bytes | None:
        if (
            (wanted is not None and entry.value.action != wanted)
            or (cookie and cookie != note[0])
            or (metadata and metadata != note[1])
        ):
            return None
        return encoder(key, entry, note)

    everything = wanted is None and not cookie and not metadata
    _find(state, packer, request, encoder if everything else chosen, answer, snapshot)


def _find(
    state: State,
    packer: Packer,
    request: p4r.TableEntry,
    encode: Encode,
    answer: Answer,
    snapshot: Snapshot,
) -> bool:
    """The one entry whose match is given (False if it is not there), or all."""
    table = packer.table.name
    if not request.match:
        snapshot.scan(table, encode)
        return True
    key = packer.key(request)
    entry = state.dataplane.get(table, key)
    if entry is None:
        return False
    part = encode(key, entry, state.notes.get(table, {}).get(key, NO_NOTE))
    answer.add_encoded([] if part is None else [part])
    return True


def _wanted_action(packer: Packer, request: p4r.TableEntry) -> int | None:
    """The data plane's number of the action filtered by; None for all."""
    if not request.HasField("action"):
        return None
    if request.action.WhichOneof("type") != "action":
        raise invalid(f"table {packer.table.name} has no action profile: filter by action")
    number = request.action.action.action_id
    if number == 0:
        return None
    if number not in packer.table.actions:
        raise invalid(f"table {packer.table.name} has no action {number:#x}")
    return number & ACTION_MASK


def _const_entries(packer: Packer, request: p4r.TableEntry, answer: Answer) -> None:
    """Entries of a constant table (9.1.4)."""
    match = packer.match(request) if request.match else None
    wanted = _wanted_action(packer, request)
    if request.controller_metadata or request.metadata:
        return
    actions = {ref.action.name: ref.action for ref in packer.table.actions.values()}
    for const in const_entries(packer.table):
        action = actions[const.action]
        if (
            (match is not None and match != const.match)
            or (request.priority and request.priority != const.priority)
            or (wanted is not None and wanted != action.id & ACTION_MASK)
        ):
            continue
        entity = p4r.Entity()
        entry = entity.table_entry
        entry.table_id, entry.priority, entry.is_const = packer.table.id, const.priority, True
        set_match(packer.table.fields, const.match, entry)
        entry.action.action.action_id = action.id
        for param in action.params:
            entry.action.action.params.add(param_id=param.id, value=encode(const.argument))
        answer.add(entity)


def _default_entry(state: State, packer: Packer, request: p4r.TableEntry, answer: Answer) -> None:
    table = packer.table
    number, arguments = table.default
    if table.name in POLICIES:
        arguments = state.dataplane.policy(table.name)
    note = state.notes.get(table.name, {}).get(DEFAULT_ENTRY, NO_NOTE)
    wanted = _wanted_action(packer, request)
    if (
        (wanted is not None and wanted != number & ACTION_MASK)
        or (request.controller_metadata and request.controller_metadata != note[0])
        or (request.metadata and request.metadata != note[1])
    ):
        return
    entity = p4r.Entity()
    entry = entity.table_entry
    entry.table_id, entry.is_default_action = table.id, True
    entry.controller_metadata, entry.metadata = note
    ref = table.actions.get(number)
    if ref is not None:
        entry.action.action.action_id = number
        for param, argument in zip(ref.action.params, arguments, strict=True):
            entry.action.action.params.add(param_id=param.id, value=encode(argument))
    answer.add(entity)


def read_direct_counters(
    state: State, request: p4r.DirectCounterEntry, answer: Answer, snapshot: Snapshot
) -> None:
    """Direct counters: of one entry, of a table, or of all tables. Raises Refusal."""
    asked = request.table_entry
    packers = state.pipeline.packers
    if asked.table_id == 0:
        if asked.match:
            raise invalid("a read of all direct counters (table id 0) cannot be filtered")
        wanted = [packer for packer in packers.values() if packer.table.direct_counter]
    else:
        packer = packers.get(asked.table_id)
        if packer is None or not packer.table.direct_counter:
            raise invalid(f"table {asked.table_id:#010x} has no direct counter")
        wanted = [packer]
    if asked.is_default_action:
        raise invalid("default entries have no direct counters")
    if asked.priority:
        raise invalid("no table with a direct counter has priorities")
    for packer in wanted:
        if not _find(state, packer, asked, _counter_encoder(packer), answer, snapshot):
            raise missing(f"{packer.table.name} has no such entry")


def _counter_encoder(packer: Packer) -> Encode:
    def encode(key: bytes, entry: Entry, note: Note) -> bytes:
        entity = p4r.Entity()
        counter = entity.direct_counter_entry
        counter.table_entry.table_id = packer.table.id
        set_match(packer.table.fields, packer.unpack(key), counter.table_entry)
        counter.data.packet_count, counter.data.byte_count = entry.packets, entry.bytes
        return encode_entity(entity)

    return encode
