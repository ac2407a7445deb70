"""Writes: every refusal the specification has, and that the rest of a batch goes on."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
import pytest
from finsy.proto import p4r

from sdnblock.softswitch.dataplane import MeterRates, Value
from sdnblock.softswitch.memory import MemoryDataplane
from sdnblock.softswitch.packing import ACTION_MASK
from sdnblock.softswitch.refusal import (
    ALREADY_EXISTS,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OK,
    OUT_OF_RANGE,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
)
from tests.softswitch_kit import (
    DELETE,
    INSERT,
    MODIFY,
    action_id,
    drop,
    entry,
    running,
    schema,
    table_id,
    update,
)

KEY = b"\x0a\0\0\1"


def _value(name: str, param: int = 0) -> Value:
    return Value(action_id(name) & ACTION_MASK, param)


async def test_life_of_an_entry() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        assert await client.write(update(INSERT, drop(1))) == [OK]
        assert await client.write(update(INSERT, drop(1))) == [ALREADY_EXISTS]
        plane.inject_hit("source_v4", KEY, 3, 300)
        limit = entry("source_v4", KEY, action="limit", params=[b"\x07"])
        assert await client.write(update(MODIFY, limit)) == [OK]
        held = plane.get("source_v4", KEY)
        assert held and (held.value, held.packets, held.bytes) == (_value("limit", 7), 3, 300)
        assert await client.write(update(DELETE, drop(1))) == [OK]
        assert await client.write(update(DELETE, drop(1))) == [NOT_FOUND]
        assert await client.write(update(MODIFY, drop(1))) == [NOT_FOUND]


async def test_updates_take_effect_in_request_order_and_each_gets_its_answer() -> None:
    async with running() as server:
        client = await server.primary()
        bad = drop(9)
        bad.match[0].field_id = 5
        codes = await client.write(
            update(INSERT, drop(1)),
            update(DELETE, drop(1)),
            update(INSERT, drop(1)),
            update(INSERT, drop(1)),
            update(INSERT, entry("source_v6", b"\x20\x01", action="watch")),
            update(INSERT, bad),
            update(DELETE, drop(2)),
            update(MODIFY, entry("source_v4", KEY, action="watch")),
        )
        assert codes == [
            OK, OK, OK, ALREADY_EXISTS, OK, INVALID_ARGUMENT, NOT_FOUND, OK,
        ]  # fmt: skip
        held = server.dataplane.get("source_v4", KEY)
        assert held and held.value == _value("watch")


async def test_full() -> None:
    async with running(MemoryDataplane(table_sizes={"source_v4": 3})) as server:
        client = await server.primary()
        codes = await client.write(*(update(INSERT, drop(number)) for number in range(5)))
        assert codes == [OK] * 3 + [RESOURCE_EXHAUSTED] * 2
        assert await client.write(update(INSERT, drop(0))) == [ALREADY_EXISTS]
        code, text = await client.write_error(update(INSERT, drop(9)))
        assert (code, text) == (RESOURCE_EXHAUSTED, "source_v4 is full: it takes 3 entries")


async def test_a_big_batch_with_errors_arrives_whole() -> None:
    async with running() as server:
        client = await server.primary()
        await client.write(update(INSERT, drop(4321)))
        codes = await client.write(*(update(INSERT, drop(number)) for number in range(5000)))
        assert codes.count(OK) == 4999
        assert codes[4321] == ALREADY_EXISTS


def _with(message: p4r.TableEntry, **fields: object) -> p4r.TableEntry:
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def _counted(message: p4r.TableEntry, packets: int, bytes_: int = 0) -> p4r.TableEntry:
    message.counter_data.packet_count, message.counter_data.byte_count = packets, bytes_
    return message


def _metered(message: p4r.TableEntry) -> p4r.TableEntry:
    message.meter_config.cir = 1
    return message


def _default(table: str, action: str = "", *params: bytes) -> p4r.TableEntry:
    return _with(entry(table, action=action, params=params), is_default_action=True)


REFUSED = {
    "unknown table": (INSERT, p4r.TableEntry(table_id=0x02FFFFFF), INVALID_ARGUMENT),
    "table 0": (INSERT, p4r.TableEntry(), INVALID_ARGUMENT),
    "no type": (p4r.Update.UNSPECIFIED, drop(1), INVALID_ARGUMENT),
    "no action": (INSERT, entry("source_v4", KEY), INVALID_ARGUMENT),
    "action of another table": (
        INSERT,
        entry("source_v4", KEY, action="allow"),
        INVALID_ARGUMENT,
    ),
    "default-only action": (INSERT, entry("source_v4", KEY, action="NoAction"), PERMISSION_DENIED),
    "priority": (INSERT, _with(drop(1), priority=1), INVALID_ARGUMENT),
    "negative priority": (INSERT, _with(drop(1), priority=-1), INVALID_ARGUMENT),
    "priority in a delete": (DELETE, _with(drop(1), priority=1), INVALID_ARGUMENT),
    "too wide": (INSERT, entry("source_v4", b"\1\0\0\0\0", action="drop"), OUT_OF_RANGE),
    "too wide by a bit": (
        INSERT,
        entry("port_side", b"\x02\x00", action="set_side", params=[b"\1"]),
        OUT_OF_RANGE,
    ),
    "parameter too wide": (
        INSERT,
        entry("port_side", b"\x01", action="set_side", params=[b"\2"]),
        OUT_OF_RANGE,
    ),
    "empty": (INSERT, entry("source_v4", b"", action="drop"), OUT_OF_RANGE),
    "is_const": (INSERT, _with(drop(1), is_const=True), INVALID_ARGUMENT),
    "is_const in a delete": (DELETE, _with(drop(1), is_const=True), INVALID_ARGUMENT),
    "idle timeout": (INSERT, _with(drop(1), idle_timeout_ns=1), INVALID_ARGUMENT),
    "direct meter": (INSERT, _metered(drop(1)), INVALID_ARGUMENT),
    "counter below 0": (INSERT, _counted(drop(1), -1), INVALID_ARGUMENT),
    "counter where there is none": (
        INSERT,
        _counted(entry("l2_forward", KEY, action="forward", params=[b"\1"]), 1),
        INVALID_ARGUMENT,
    ),
    "metadata too long": (INSERT, _with(drop(1), metadata=bytes(257)), INVALID_ARGUMENT),
    "constant table": (
        INSERT,
        entry("sip_message", action="set_kind", params=[b"\1"]),
        PERMISSION_DENIED,
    ),
    "delete in a constant table": (DELETE, entry("sip_message"), PERMISSION_DENIED),
    "modify in a constant table": (
        MODIFY,
        entry("sip_message", action="set_kind", params=[b"\1"]),
        PERMISSION_DENIED,
    ),
    "unknown entry of a constant table": (MODIFY, entry("sip_message"), NOT_FOUND),
    "keyless table": (
        INSERT,
        entry("request_window", action="request_policy", params=[b"\1", b"\1"]),
        INVALID_ARGUMENT,
    ),
    "constant default": (MODIFY, _default("source_v4", "NoAction"), PERMISSION_DENIED),
    "insert a default": (
        INSERT,
        _default("request_window", "request_policy", b"\1", b"\1"),
        INVALID_ARGUMENT,
    ),
    "delete a default": (DELETE, _default("request_window"), INVALID_ARGUMENT),
    "default with a priority": (
        MODIFY,
        _with(_default("request_window", "request_policy", b"\1", b"\1"), priority=1),
        INVALID_ARGUMENT,
    ),
    "default with a match": (
        MODIFY,
        _with(drop(1), is_default_action=True),
        INVALID_ARGUMENT,
    ),
    "policy out of range": (
        MODIFY,
        _default("request_window", "request_policy", b"\1\0\0", b"\1"),
        OUT_OF_RANGE,
    ),
    "policy with a parameter missing": (
        MODIFY,
        _default("request_window", "request_policy", b"\1"),
        INVALID_ARGUMENT,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_entries(name: str) -> None:
    kind, message, code = REFUSED[name]
    async with running() as server:
        client = await server.primary()
        got, text = await client.write_error(update(kind, message))
        assert got == code, text
        assert text and "\n" not in text
        assert all(
            not chunk
            for table in schema().tables.values()
            if table.fields and not table.const
            for chunk in server.dataplane.scan(table.name)
        )


async def test_counts_are_set_with_the_entry_and_alone() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        assert await client.write(update(INSERT, _counted(drop(1), 5, 500))) == [OK]
        assert await client.write(update(MODIFY, entry("source_v4", KEY, action="watch"))) == [OK]
        held = plane.get("source_v4", KEY)
        assert held and (held.packets, held.bytes, held.value) == (5, 500, _value("watch"))
        assert await client.write(update(MODIFY, _counted(entry("source_v4", KEY), 0))) == [OK]
        held = plane.get("source_v4", KEY)
        assert held and (held.packets, held.bytes, held.value) == (0, 0, _value("watch"))
        assert await client.write(update(MODIFY, entry("source_v4", KEY))) == [OK]
        assert await client.write(update(MODIFY, entry("source_v4", b"\1"))) == [NOT_FOUND]


async def test_a_delete_looks_at_the_key_only() -> None:
    async with running() as server:
        client = await server.primary()
        await client.write(update(INSERT, drop(1)))
        nonsense = _metered(_counted(_with(drop(1), idle_timeout_ns=5, metadata=bytes(999)), -3))
        nonsense.action.action.action_id = 99
        assert await client.write(update(DELETE, nonsense)) == [OK]


async def test_metadata_is_given_back_and_goes_with_the_entry() -> None:
    async with running() as server:
        client = await server.primary()
        noted = _with(drop(1), metadata=b"why", controller_metadata=12)
        assert await client.write(update(INSERT, noted)) == [OK]
        assert await client.read_tables(p4r.TableEntry(table_id=table_id("source_v4"))) == [noted]
        await client.write(update(DELETE, drop(1)), update(INSERT, drop(1)))
        assert await client.read_tables(p4r.TableEntry(table_id=table_id("source_v4"))) == [drop(1)]
        await client.write(update(MODIFY, noted), update(MODIFY, drop(1)))
        assert await client.read_tables(p4r.TableEntry(table_id=table_id("source_v4"))) == [drop(1)]


async def test_the_request_policy_is_a_default_entry() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        set_ = _default("request_window", "request_policy", b"\x20", b"\x03\xe8")
        assert await client.write(update(MODIFY, set_)) == [OK]
        assert plane.policy("request_window") == (32, 1000)
        assert await client.read_tables(_default("request_window")) == [set_]
        assert await client.write(update(MODIFY, _default("request_window"))) == [OK]
        assert plane.policy("request_window") == (0, 0)


async def test_whole_requests_that_are_refused() -> None:
    async with running() as server:
        client = await server.primary()
        for atomicity in (p4r.WriteRequest.ROLLBACK_ON_ERROR, p4r.WriteRequest.DATAPLANE_ATOMIC):
            request = client.request(update(INSERT, drop(1)))
            request.atomicity = atomicity
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.stub.Write(request)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert await client.write() == []


def _entity(kind: int, **which: object) -> p4r.Update:
    return p4r.Update(type=kind, entity=p4r.Entity(**which))  # type: ignore[arg-type]


def _counter(index: int | None, packets: int | None = 1, name: str = "verdict") -> p4r.CounterEntry:
    number = next(c.id for c in schema().counters.values() if c.name == name)
    message = p4r.CounterEntry(counter_id=number)
    if index is not None:
        message.index.index = index
    if packets is not None:
        message.data.packet_count = packets
    return message


def _meter(
    index: int | None, rates: Mapping[str, int] | None = None, name: str = "limit_meter"
) -> p4r.MeterEntry:
    number = next(m.id for m in schema().meters.values() if m.name == name)
    message = p4r.MeterEntry(meter_id=number)
    if index is not None:
        message.index.index = index
    for rate, value in (rates or {}).items():
        setattr(message.config, rate, value)
    return message


def _session(number: int = 250, port: int | bytes = 255, **fields: int) -> p4r.Entity:
    entity = p4r.Entity()
    session = entity.packet_replication_engine_entry.clone_session_entry
    session.session_id = number
    replica = session.replicas.add(instance=1)
    if isinstance(port, bytes):
        replica.port = port
    else:
        replica.egress_port = port
    for name, value in fields.items():
        setattr(session, name, value)
    return entity


async def test_counters() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        assert await client.write(_entity(MODIFY, counter_entry=_counter(2, 9))) == [OK]
        assert plane.read_counter("verdict")[2] == (9, 0)
        assert await client.write(_entity(MODIFY, counter_entry=_counter(2, None))) == [OK]
        assert plane.read_counter("verdict")[2] == (9, 0)
        assert await client.write(_entity(MODIFY, counter_entry=_counter(None, 4))) == [OK]
        assert plane.read_counter("verdict") == [(4, 0)] * 16
        for kind, message, code in (
            (INSERT, _counter(2), INVALID_ARGUMENT),
            (DELETE, _counter(2), INVALID_ARGUMENT),
            (MODIFY, _counter(-1), INVALID_ARGUMENT),
            (MODIFY, _counter(16), OUT_OF_RANGE),
            (MODIFY, _counter(0, -1), INVALID_ARGUMENT),
            (MODIFY, p4r.CounterEntry(counter_id=5), INVALID_ARGUMENT),
            (MODIFY, p4r.CounterEntry(), INVALID_ARGUMENT),
        ):
            assert await client.write(_entity(kind, counter_entry=message)) == [code], message


async def test_direct_counters() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        await client.write(update(INSERT, drop(1)))
        data = p4r.CounterData(packet_count=3, byte_count=4)
        good = p4r.DirectCounterEntry(table_entry=drop(1), data=data)
        assert await client.write(_entity(MODIFY, direct_counter_entry=good)) == [OK]
        held = plane.get("source_v4", KEY)
        assert held and (held.packets, held.bytes) == (3, 4)
        for kind, message, code in (
            (INSERT, good, INVALID_ARGUMENT),
            (DELETE, good, INVALID_ARGUMENT),
            (MODIFY, p4r.DirectCounterEntry(table_entry=drop(2), data=data), NOT_FOUND),
            (MODIFY, p4r.DirectCounterEntry(), INVALID_ARGUMENT),
            (
                MODIFY,
                p4r.DirectCounterEntry(table_entry=_default("source_v4"), data=data),
                INVALID_ARGUMENT,
            ),
        ):
            assert await client.write(_entity(kind, direct_counter_entry=message)) == [code]


async def test_meters() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        rates = {"cir": 10, "cburst": 20, "pir": 30, "pburst": 40}
        assert await client.write(_entity(MODIFY, meter_entry=_meter(3, rates))) == [OK]
        assert plane.get_meter("limit_meter", 3) == MeterRates(10, 20, 30, 40)
        assert await client.write(_entity(MODIFY, meter_entry=_meter(3))) == [OK]
        assert plane.get_meter("limit_meter", 3) is None
        assert await client.write(_entity(MODIFY, meter_entry=_meter(None, rates))) == [OK]
        assert plane.get_meter("limit_meter", 16383) == MeterRates(10, 20, 30, 40)
        coloured = _meter(0, rates)
        coloured.counter_data.SetInParent()
        for kind, message, code in (
            (INSERT, _meter(3, rates), INVALID_ARGUMENT),
            (DELETE, _meter(3), INVALID_ARGUMENT),
            (MODIFY, _meter(-1, rates), INVALID_ARGUMENT),
            (MODIFY, _meter(16384, rates), OUT_OF_RANGE),
            (MODIFY, _meter(1, rates, "sample_meter"), OUT_OF_RANGE),
            (MODIFY, _meter(0, {"eburst": 1}), INVALID_ARGUMENT),
            (MODIFY, _meter(0, {"cir": -1}), INVALID_ARGUMENT),
            (MODIFY, _meter(0, {"cir": 2, "pir": 1}), INVALID_ARGUMENT),
            (MODIFY, coloured, UNIMPLEMENTED),
            (MODIFY, p4r.MeterEntry(), INVALID_ARGUMENT),
        ):
            assert await client.write(_entity(kind, meter_entry=message)) == [code], message
        direct = p4r.DirectMeterEntry(table_entry=drop(1))
        assert await client.write(_entity(MODIFY, direct_meter_entry=direct)) == [INVALID_ARGUMENT]


async def test_clone_sessions() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane

        async def write(kind: int, entity: p4r.Entity) -> int:
            (code,) = await client.write(p4r.Update(type=kind, entity=entity))  # type: ignore[arg-type]
            return code

        assert await write(MODIFY, _session()) == NOT_FOUND
        assert await write(DELETE, _session()) == NOT_FOUND
        assert await write(INSERT, _session(packet_length_bytes=128)) == OK
        assert await write(INSERT, _session()) == ALREADY_EXISTS
        assert plane.clone_sessions() == {250: 128}
        wildcard = p4r.Entity()
        wildcard.packet_replication_engine_entry.clone_session_entry.SetInParent()
        assert await client.read(wildcard) == [_session(packet_length_bytes=128)]
        assert await write(MODIFY, _session(port=b"\xff")) == OK
        assert await client.read(_session()) == [_session(port=b"\xff")]
        assert await client.read(_session(7)) == []
        for entity, code in (
            (_session(0), INVALID_ARGUMENT),
            (_session(251), UNIMPLEMENTED),
            (_session(port=3), UNIMPLEMENTED),
            (_session(port=b""), OUT_OF_RANGE),
            (_session(packet_length_bytes=-1), INVALID_ARGUMENT),
            (_session(class_of_service=2), UNIMPLEMENTED),
        ):
            assert await write(MODIFY, entity) == code, entity
        bare = _session()
        bare.packet_replication_engine_entry.clone_session_entry.ClearField("replicas")
        assert await write(MODIFY, bare) == UNIMPLEMENTED
        assert await write(DELETE, bare) == OK
        assert plane.clone_sessions() == {}


async def test_what_is_not_there_says_so() -> None:
    async with running() as server:
        client = await server.primary()
        multicast = p4r.Entity()
        multicast.packet_replication_engine_entry.multicast_group_entry.multicast_group_id = 1
        for entity, code in (
            (multicast, UNIMPLEMENTED),
            (p4r.Entity(action_profile_member=p4r.ActionProfileMember()), UNIMPLEMENTED),
            (p4r.Entity(action_profile_group=p4r.ActionProfileGroup()), UNIMPLEMENTED),
            (p4r.Entity(value_set_entry=p4r.ValueSetEntry()), UNIMPLEMENTED),
            (p4r.Entity(register_entry=p4r.RegisterEntry()), UNIMPLEMENTED),
            (p4r.Entity(extern_entry=p4r.ExternEntry()), UNIMPLEMENTED),
            (p4r.Entity(), INVALID_ARGUMENT),
        ):
            assert await client.write(p4r.Update(type=INSERT, entity=entity)) == [code], entity
