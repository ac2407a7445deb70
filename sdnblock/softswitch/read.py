"""The Read RPC's batch (P4Runtime specification 13; wildcards: 9.1.5 and each entity).

Every request of the batch is answered or refused by itself. Answers are put
into messages of bounded size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from finsy.proto import p4r

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.answer import Answer
from sdnblock.softswitch.refusal import INTERNAL, Refusal, invalid, unimplemented
from sdnblock.softswitch.resources import CPU_PORT, cells_of, index_range
from sdnblock.softswitch.snapshot import Snapshot
from sdnblock.softswitch.state import Pause, State
from sdnblock.softswitch.tableread import read_direct_counters, read_table_entries

_SLICE: Final = 1024


class Reading:
    """One Read batch: :meth:`begin` while no write is under way, then :meth:`finish`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._answer = Answer()
        self._snapshot = Snapshot(state)
        self.results: list[Refusal | None] = []
        """A Refusal or None for each request."""

    async def begin(self, requests: Sequence[p4r.Entity], pause: Pause) -> None:
        """Answer everything but whole tables; those will be answered as of now."""
        for request in requests:
            try:
                await self._read(request, pause)
            except Refusal as refusal:
                self.results.append(refusal)
            except SdnblockError as error:
                self.results.append(Refusal(INTERNAL, str(error)))
            else:
                self.results.append(None)

    async def finish(self, pause: Pause) -> list[bytes]:
        """All answers, as serialised ReadResponses. Raises SdnblockError."""
        await self._snapshot.answer(self._answer, pause)
        return self._answer.messages()

    def close(self) -> None:
        """To be called in any case, so that writes stop taking notes for this."""
        self._snapshot.close()

    async def _read(self, request: p4r.Entity, pause: Pause) -> None:
        state, answer = self._state, self._answer
        which = request.WhichOneof("entity")
        if which is None:
            raise invalid("a read request has no entity")
        if which == "table_entry":
            read_table_entries(state, request.table_entry, answer, self._snapshot)
        elif which == "direct_counter_entry":
            read_direct_counters(state, request.direct_counter_entry, answer, self._snapshot)
        elif which == "counter_entry":
            await _read_counters(state, request.counter_entry, answer, pause)
        elif which == "meter_entry":
            await _read_meters(state, request.meter_entry, answer, pause)
        elif which == "direct_meter_entry":
            raise invalid("no table of this pipeline has a direct meter")
        elif which == "packet_replication_engine_entry":
            _read_replication(state, request.packet_replication_engine_entry, answer)
        elif which == "digest_entry":
            _read_digests(state, request.digest_entry, answer)
        else:
            raise unimplemented(f"this switch has no {which.replace('_', ' ')}")


async def _read_counters(
    state: State, request: p4r.CounterEntry, answer: Answer, pause: Pause
) -> None:
    known = state.pipeline.schema.counters
    wanted = (
        [cells_of(known, request.counter_id, "counter")] if request.counter_id else known.values()
    )
    for cells in wanted:
        values = state.dataplane.read_counter(cells.name)
        for index in (
            index_range(request, len(values)) if request.counter_id else range(len(values))
        ):
            entity = p4r.Entity()
            entity.counter_entry.counter_id = cells.id
            entity.counter_entry.index.index = index
            data = entity.counter_entry.data
            data.packet_count, data.byte_count = values[index]
            answer.add(entity)
        await pause()


async def _read_meters(state: State, request: p4r.MeterEntry, answer: Answer, pause: Pause) -> None:
    if request.HasField("counter_data"):
        raise unimplemented("meters here do not count colours")
    known = state.pipeline.schema.meters
    one = request.meter_id
    for cells in [cells_of(known, one, "meter")] if one else known.values():
        size = state.dataplane.meter_size(cells.name)
        for index in index_range(request, size) if one else range(size):
            entity = p4r.Entity()
            entity.meter_entry.meter_id = cells.id
            entity.meter_entry.index.index = index
            rates = state.dataplane.get_meter(cells.name, index)
            if rates is not None:
                config = entity.meter_entry.config
                config.cir, config.cburst = rates.cir, rates.cburst
                config.pir, config.pburst = rates.pir, rates.pburst
            answer.add(entity)
            if index % _SLICE == _SLICE - 1:
                await pause()


def _read_replication(
    state: State, request: p4r.PacketReplicationEngineEntry, answer: Answer
) -> None:
    which = request.WhichOneof("type")
    if which is None:
        raise invalid("the packet replication entry is empty")
    if which != "clone_session_entry":
        raise unimplemented("this switch has no multicast groups: a miss goes to the host")
    wanted = request.clone_session_entry.session_id
    for session, truncate in state.dataplane.clone_sessions().items():
        if wanted not in (0, session):
            continue
        entity = p4r.Entity()
        entry = entity.packet_replication_engine_entry.clone_session_entry
        if session in state.sessions:
            entry.CopyFrom(state.sessions[session])
        else:  # taken over from an earlier switchd
            entry.session_id, entry.packet_length_bytes = session, truncate
            entry.replicas.add(egress_port=CPU_PORT, instance=1)
        answer.add(entity)


def _read_digests(state: State, request: p4r.DigestEntry, answer: Answer) -> None:
    if request.digest_id and request.digest_id not in state.pipeline.schema.digests:
        raise invalid(f"there is no digest {request.digest_id:#010x}")
    for number, queue in state.digests.items():
        if request.digest_id not in (0, number):
            continue
        entity = p4r.Entity()
        entity.digest_entry.digest_id = number
        config = entity.digest_entry.config
        config.max_timeout_ns = queue.config.max_timeout_ns
        config.max_list_size = queue.config.max_list_size
        config.ack_timeout_ns = queue.config.ack_timeout_ns
        answer.add(entity)
