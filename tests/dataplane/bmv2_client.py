"""A small synchronous P4Runtime client for BMv2: what the recorder and its tests need."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import grpc
from finsy.proto import p4r, p4r_grpc

from sdnblock.artifacts import BMV2_JSON, artifact
from sdnblock.softswitch.dataplane import MeterRates
from tests.dataplane.names import Names
from tests.dataplane.scenario import DIRECT, INDIRECT, Answer, Scenario, TableEntry, key_text

_ELECTION = p4r.Uint128(low=1)
_QUIET = 0.15
"""Seconds without a stream message after which no more is expected."""


def canonical(value: int) -> bytes:
    """P4Runtime's byte string of a number: the shortest big-endian form."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


class Bmv2Client:
    """Primary of one simple_switch_grpc."""

    def __init__(self, address: str) -> None:
        self._names = Names()
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", 64 << 20)]
        )
        grpc.channel_ready_future(self._channel).result(timeout=20)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._replication: list[p4r.Entity] = []
        self._requests: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
        self._messages: queue.Queue[p4r.StreamMessageResponse] = queue.Queue()
        self._requests.put(
            p4r.StreamMessageRequest(
                arbitration=p4r.MasterArbitrationUpdate(device_id=1, election_id=_ELECTION)
            )
        )
        stream = self._stub.StreamChannel(iter(self._requests.get, None))
        threading.Thread(target=self._listen, args=(stream,), daemon=True).start()
        assert self._messages.get(timeout=10).HasField("arbitration")

    def _listen(self, stream: Iterator[p4r.StreamMessageResponse]) -> None:
        try:
            for message in stream:
                self._messages.put(message)
        except grpc.RpcError:
            return

    def close(self) -> None:
        """End the session."""
        self._requests.put(None)
        self._channel.close()

    def prepare(self, scenario: Scenario, ports: int) -> None:
        """Empty tables, counters and registers; then the scenario's state."""
        # A new pipeline does not empty BMv2's replication engine: its groups would double.
        self._write(self._replication, p4r.Update.DELETE)
        self._replication = [self._flood_group(ports)]
        if scenario.sample:
            self._replication.append(_clone_session())
        pipeline = p4r.ForwardingPipelineConfig(
            p4info=self._names.p4info, p4_device_config=artifact(BMV2_JSON).read_bytes()
        )
        self._stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=1, election_id=_ELECTION, config=pipeline,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            )
        )  # fmt: skip
        self._write(self._replication)
        config = p4r.DigestEntry.Config(max_list_size=1)
        self._write([
            p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=digest, config=config))
            for digest in self._names.digests.values()
        ])  # fmt: skip
        meters = [self._meter(*cell, rates) for cell, rates in scenario.meters.items()]
        self._write(meters, p4r.Update.MODIFY)
        for table, arguments in scenario.policies.items():
            policy = self._entry(TableEntry(table, (), self._names.policies[table], arguments))
            policy.table_entry.is_default_action = True
            self._write([policy], p4r.Update.MODIFY)
        self._write([self._entry(each) for each in scenario.entries])

    def collect(self, scenario: Scenario, answer: Answer) -> None:
        """Counters, digests and packet-ins."""
        self._stream(answer)
        for entry in scenario.entries:
            if entry.table not in DIRECT:
                continue
            query = self._entry(entry)
            query.table_entry.ClearField("action")
            query.table_entry.counter_data.SetInParent()
            for found in self._read(query):
                # BMv2 ignores an LPM length in a filter: look for the very entry.
                if list(found.table_entry.match) != list(query.table_entry.match):
                    continue
                data = found.table_entry.counter_data
                if data.packet_count:
                    counts = answer.direct.setdefault(entry.table, {})
                    counts[key_text(entry.key)] = [data.packet_count, data.byte_count]
        for counter in INDIRECT:
            query = p4r.Entity(
                counter_entry=p4r.CounterEntry(counter_id=self._names.counters[counter])
            )
            for found in self._read(query):
                cell = found.counter_entry
                if cell.data.packet_count:
                    cells = answer.indirect.setdefault(counter, {})
                    cells[str(cell.index.index)] = [cell.data.packet_count, cell.data.byte_count]

    def _stream(self, answer: Answer) -> None:
        until = time.monotonic() + _QUIET
        names = {number: name for name, number in self._names.digests.items()}
        while time.monotonic() < until:
            try:
                message = self._messages.get(timeout=0.05)
            except queue.Empty:
                continue
            until = time.monotonic() + _QUIET
            if message.HasField("digest"):
                for data in message.digest.data:
                    remote, value, port = (
                        int.from_bytes(each.bitstring, "big") for each in data.struct.members
                    )
                    name = names[message.digest.digest_id]
                    answer.digests.append([name, f"{remote:032x}", value, port])
                ack = p4r.DigestListAck(
                    digest_id=message.digest.digest_id, list_id=message.digest.list_id
                )
                self._requests.put(p4r.StreamMessageRequest(digest_ack=ack))
            elif message.HasField("packet"):
                port, reason = (
                    int.from_bytes(each.value, "big") for each in message.packet.metadata
                )
                answer.samples.append([port, reason, message.packet.payload.hex()])

    def _write(self, entities: list[p4r.Entity], kind: int = p4r.Update.INSERT) -> None:
        for start in range(0, len(entities), 1000):
            self._stub.Write(
                p4r.WriteRequest(
                    device_id=1, election_id=_ELECTION,
                    updates=[p4r.Update(type=kind, entity=each)  # type: ignore[arg-type]
                             for each in entities[start : start + 1000]],
                )
            )  # fmt: skip

    def _read(self, query: p4r.Entity) -> Iterator[p4r.Entity]:
        for answer in self._stub.Read(p4r.ReadRequest(device_id=1, entities=[query])):
            yield from answer.entities

    def _entry(self, entry: TableEntry) -> p4r.Entity:
        table = self._names.tables[entry.table]
        action = self._names.actions[entry.action]
        matches = []
        for field, value in zip(table.match_fields, entry.key, strict=True):
            match = p4r.FieldMatch(field_id=field.id)
            if isinstance(value, tuple):
                match.lpm.value, match.lpm.prefix_len = canonical(value[0]), value[1]
            else:
                match.exact.value = canonical(value)
            matches.append(match)
        params = [
            p4r.Action.Param(param_id=param.id, value=canonical(value))
            for param, value in zip(action.params, entry.params, strict=True)
        ]
        return p4r.Entity(
            table_entry=p4r.TableEntry(
                table_id=table.preamble.id,
                match=matches,
                action=p4r.TableAction(
                    action=p4r.Action(action_id=action.preamble.id, params=params)
                ),
            )
        )

    def _meter(self, meter: str, index: int, rates: MeterRates) -> p4r.Entity:
        return p4r.Entity(
            meter_entry=p4r.MeterEntry(
                meter_id=self._names.meters[meter],
                index=p4r.Index(index=index),
                config=p4r.MeterConfig(
                    cir=rates.cir, cburst=rates.cburst, pir=rates.pir, pburst=rates.pburst
                ),
            )
        )

    @staticmethod
    def _flood_group(ports: int) -> p4r.Entity:
        group = p4r.MulticastGroupEntry(multicast_group_id=1)
        for port in range(1, ports + 1):
            group.replicas.add(egress_port=port, instance=1)
        return p4r.Entity(
            packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(
                multicast_group_entry=group
            )
        )


def _clone_session() -> p4r.Entity:
    session = p4r.CloneSessionEntry(session_id=250)
    session.replicas.add(egress_port=255, instance=1)
    return p4r.Entity(
        packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(
            clone_session_entry=session
        )
    )
