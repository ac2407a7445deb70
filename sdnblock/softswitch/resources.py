"""Writes of everything that is not a table entry: counters, meters, clone sessions, digests.

(P4Runtime specification 9.3-9.5 and 9.8.) Each function takes one update's
entity and raises Refusal.
"""

from __future__ import annotations

from typing import Final

from finsy.proto import p4r

from sdnblock.softswitch.bytestring import decode
from sdnblock.softswitch.dataplane import MeterRates
from sdnblock.softswitch.digests import DigestConfig, DigestQueue
from sdnblock.softswitch.refusal import (
    ALREADY_EXISTS,
    OUT_OF_RANGE,
    Refusal,
    invalid,
    missing,
    unimplemented,
)
from sdnblock.softswitch.schema import Cells
from sdnblock.softswitch.state import Pause, State
from sdnblock.softswitch.tablewrite import DELETE, INSERT, MODIFY, check_counter_data

CLONE_SESSION: Final = 250
"""The only clone session the pipeline uses."""
CPU_PORT: Final = 255

_SLICE: Final = 1024


async def write_resource(state: State, update: p4r.Update, pause: Pause) -> None:
    """Carry out one update of anything but a table entry. Raises Refusal, SdnblockError."""
    kind, entity = update.type, update.entity
    which = entity.WhichOneof("entity")
    if which is None:
        raise invalid("the update has no entity")
    if kind not in (INSERT, MODIFY, DELETE):
        raise invalid("the update's type is not INSERT, MODIFY or DELETE")
    if which == "counter_entry":
        _modify_only(kind, "a counter")
        await _write_counter(state, entity.counter_entry, pause)
    elif which == "direct_counter_entry":
        _modify_only(kind, "a direct counter")
        _write_direct_counter(state, entity.direct_counter_entry)
    elif which == "meter_entry":
        _modify_only(kind, "a meter")
        await _write_meter(state, entity.meter_entry, pause)
    elif which == "direct_meter_entry":
        _modify_only(kind, "a direct meter")
        raise invalid("no table of this pipeline has a direct meter")
    elif which == "packet_replication_engine_entry":
        _write_replication(state, kind, entity.packet_replication_engine_entry)
    elif which == "digest_entry":
        _write_digest(state, kind, entity.digest_entry)
    else:
        raise unimplemented(f"this switch has no {which.replace('_', ' ')}")


def _modify_only(kind: int, what: str) -> None:
    if kind != MODIFY:
        raise invalid(f"{what} can only be modified")


def cells_of(known: dict[int, Cells], number: int, what: str) -> Cells:
    """The counter or meter with this id. Raises Refusal INVALID_ARGUMENT."""
    if number not in known:
        raise invalid(f"there is no {what} {number:#010x}")
    return known[number]


def index_range(entry: p4r.CounterEntry | p4r.MeterEntry, size: int) -> range:
    """The cells that an entry names, all of them if it has no index (9.3.2, 9.4.2).

    Raises Refusal INVALID_ARGUMENT below zero, OUT_OF_RANGE beyond the end.
    """
    if not entry.HasField("index"):
        return range(size)
    index = entry.index.index
    if index < 0:
        raise invalid(f"index {index} is below 0")
    if index >= size:
        raise Refusal(OUT_OF_RANGE, f"index {index} is beyond the last one, {size - 1}")
    return range(index, index + 1)


async def _write_counter(state: State, entry: p4r.CounterEntry, pause: Pause) -> None:
    cells = cells_of(state.pipeline.schema.counters, entry.counter_id, "counter")
    indexes = index_range(entry, state.dataplane.counter_size(cells.name))
    if not entry.HasField("data"):
        return
    check_counter_data(entry.data)
    packets, bytes_ = entry.data.packet_count, entry.data.byte_count
    for index in indexes:
        state.dataplane.set_counter(cells.name, index, packets, bytes_)
        if index % _SLICE == _SLICE - 1:
            await pause()


def _write_direct_counter(state: State, entry: p4r.DirectCounterEntry) -> None:
    packer = state.pipeline.packers.get(entry.table_entry.table_id)
    if packer is None or not packer.table.direct_counter:
        raise invalid(f"table {entry.table_entry.table_id:#010x} has no direct counter")
    if entry.table_entry.is_default_action:
        raise invalid(f"the default entry of {packer.table.name} has no direct counter")
    if entry.table_entry.priority:
        raise invalid(f"table {packer.table.name} has no ternary field: priority must be 0")
    name, key = packer.table.name, packer.key(entry.table_entry)
    if state.dataplane.get(name, key) is None:
        raise missing(f"{name} has no such entry")
    if entry.HasField("data"):
        check_counter_data(entry.data)
        data = entry.data
        state.before_change(name, [key])
        state.dataplane.set_direct_counter(name, key, data.packet_count, data.byte_count)


async def _write_meter(state: State, entry: p4r.MeterEntry, pause: Pause) -> None:
    cells = cells_of(state.pipeline.schema.meters, entry.meter_id, "meter")
    if entry.HasField("counter_data"):
        raise unimplemented("meters here do not count colours")
    indexes = index_range(entry, state.dataplane.meter_size(cells.name))
    rates = _rates(entry.config) if entry.HasField("config") else None
    for index in indexes:
        state.dataplane.set_meter(cells.name, index, rates)
        if index % _SLICE == _SLICE - 1:
            await pause()


def _rates(config: p4r.MeterConfig) -> MeterRates:
    """A two-rate three-colour configuration (9.4; RFC 2698)."""
    if min(config.cir, config.cburst, config.pir, config.pburst) < 0:
        raise invalid("a meter's rates and bursts must not be negative")
    if config.eburst:
        raise invalid("eburst must be unset: this is a two-rate three-colour meter")
    if config.pir < config.cir:
        raise invalid("a meter's peak rate must not be below its committed rate")
    return MeterRates(config.cir, config.cburst, config.pir, config.pburst)


def _write_replication(state: State, kind: int, entry: p4r.PacketReplicationEngineEntry) -> None:
    which = entry.WhichOneof("type")
    if which is None:
        raise invalid("the packet replication entry is empty")
    if which != "clone_session_entry":
        raise unimplemented("this switch has no multicast groups: a miss goes to the host")
    session = entry.clone_session_entry
    if session.session_id == 0:
        raise invalid("clone session 0 cannot be written")
    exists = session.session_id in state.dataplane.clone_sessions()
    if kind == DELETE:
        if not exists:
            raise missing(f"there is no clone session {session.session_id}")
        state.dataplane.set_clone_session(session.session_id, None)
        state.sessions.pop(session.session_id, None)
        return
    if session.session_id != CLONE_SESSION:
        raise unimplemented(f"the pipeline clones to session {CLONE_SESSION} only")
    _check_replicas(session)
    if kind == INSERT and exists:
        raise Refusal(ALREADY_EXISTS, f"clone session {CLONE_SESSION} exists already")
    if kind == MODIFY and not exists:
        raise missing(f"there is no clone session {CLONE_SESSION}")
    state.dataplane.set_clone_session(CLONE_SESSION, session.packet_length_bytes)
    state.sessions[CLONE_SESSION] = session


def _check_replicas(session: p4r.CloneSessionEntry) -> None:
    if session.packet_length_bytes < 0:
        raise invalid("packet_length_bytes must not be negative")
    if session.class_of_service:
        raise unimplemented("this switch has one class of service: 0")
    if len(session.replicas) != 1:
        raise unimplemented(f"a clone session here has one replica, to port {CPU_PORT}")
    replica = session.replicas[0]
    which = replica.WhichOneof("port_kind")
    if which is None:
        raise invalid("the replica has no port")
    port = replica.egress_port if which == "egress_port" else decode(replica.port, 32, "port")
    if port != CPU_PORT:
        raise unimplemented(f"clones go to the controller only, port {CPU_PORT}, not {port}")
    if replica.backup_replicas:
        raise unimplemented("this switch has no backup replicas")
    if replica.instance not in (0, 1):
        raise unimplemented("the instance of a clone's replica is 0 or 1 here")


def _write_digest(state: State, kind: int, entry: p4r.DigestEntry) -> None:
    number = entry.digest_id
    if number not in state.pipeline.schema.digests:
        raise invalid(f"there is no digest {number:#010x}")
    if kind != INSERT and number not in state.digests:
        raise missing(f"digest {number:#010x} is not configured")
    if kind == DELETE:
        del state.digests[number]
        return
    if kind == INSERT and number in state.digests:
        raise Refusal(ALREADY_EXISTS, f"digest {number:#010x} is configured already")
    given = entry.config
    config = DigestConfig(given.max_timeout_ns, given.max_list_size, given.ack_timeout_ns)
    if kind == INSERT:
        state.digests[number] = DigestQueue(config, state.list_ids)
    else:
        state.digests[number].reconfigure(config)
