"""Reads: wildcards, filters, counters only if asked for, bounded messages, errors in place."""

from __future__ import annotations

import asyncio
from random import Random

import grpc
import pytest
from finsy.proto import p4r

from sdnblock.softswitch.refusal import INVALID_ARGUMENT, NOT_FOUND, OK, UNIMPLEMENTED
from tests.softswitch_kit import (
    DELETE,
    INSERT,
    MODIFY,
    Client,
    Running,
    drop,
    entry,
    error_codes,
    pipeline_config,
    running,
    schema,
    table_id,
    update,
)

ENTRIES = [
    entry("source_v4", b"\x0a\0\0\1", action="drop"),
    entry("source_v4", b"\x0a\0\0\2", action="limit", params=[b"\x07"]),
    entry("source_v6", b"\x01", action="watch"),
    entry("prefix_v4", (b"\x0a\0\0\0", 8), action="drop"),
    entry("allow_v6", action="allow"),
    entry("flow_v4", b"\x11", b"\x01", b"\x13\xc4", b"\x02", b"\x00", action="drop"),
    entry("port_side", b"\x01", action="set_side", params=[b"\x01"]),
    entry("l2_forward", b"\x02\0\0\0\0\1", action="forward", params=[b"\x01\x00"]),
]


def _sorted(entries: list[p4r.TableEntry]) -> list[bytes]:
    return sorted(entry.SerializeToString(deterministic=True) for entry in entries)


async def _filled(server: Running) -> Client:
    client = await server.primary()
    assert set(await client.write(*(update(INSERT, each) for each in ENTRIES))) == {OK}
    return client


async def test_everything_is_read_back_as_it_was_written() -> None:
    async with running() as server:
        client = await _filled(server)
        found = await client.read_tables(p4r.TableEntry())
        const = [each for each in found if each.table_id == table_id("sip_message")]
        ours = [each for each in found if each.table_id != table_id("sip_message")]
        assert _sorted(ours) == _sorted(ENTRIES)
        assert not any(each.HasField("counter_data") for each in found)
        assert const and all(each.is_const and each.priority for each in const)


async def test_constant_entries() -> None:
    async with running() as server:
        client = await server.primary()
        wanted = p4r.TableEntry(table_id=table_id("sip_message"))
        found = await client.read_tables(wanted)
        assert sorted(each.priority for each in found) == list(range(1, len(found) + 1))
        invite = next(e for e in found if e.match[0].ternary.value.startswith(b"INVITE "))
        assert invite.match[0].ternary.mask.rstrip(b"\0") == b"\xff" * 7
        assert invite.action.action.params[0].value == b"\x02"
        wanted.match.add().CopyFrom(invite.match[0])
        assert await client.read_tables(wanted) == [invite]
        wanted.ClearField("match")
        wanted.priority = invite.priority
        assert await client.read_tables(wanted) == [invite]
        wanted.priority = 1000
        assert await client.read_tables(wanted) == []


async def test_one_table_one_entry_and_filters() -> None:
    async with running() as server:
        client = await _filled(server)
        table = p4r.TableEntry(table_id=table_id("source_v4"))
        assert _sorted(await client.read_tables(table)) == _sorted(ENTRIES[:2])
        assert await client.read_tables(entry("source_v4", b"\x0a\0\0\2")) == [ENTRIES[1]]
        assert await client.read_tables(entry("source_v4", b"\x0a\0\0\3")) == []
        assert await client.read_tables(entry("prefix_v4", (b"\x0a\0\0\0", 9))) == []
        assert await client.read_tables(entry("source_v4", action="limit")) == [ENTRIES[1]]
        assert await client.read_tables(entry("source_v4", action="watch")) == []
        table.priority = 5
        assert await client.read_tables(table) == []
        table.priority, table.metadata = 0, b"x"
        assert await client.read_tables(table) == []


async def test_counters_only_if_asked_for() -> None:
    async with running() as server:
        client = await _filled(server)
        server.dataplane.inject_hit("source_v4", b"\x0a\0\0\1", 3, 2**40)
        asked = p4r.TableEntry()
        asked.counter_data.SetInParent()
        found = await client.read_tables(asked)
        counted = {each.table_id for each in found if each.HasField("counter_data")}
        assert table_id("source_v4") in counted
        assert table_id("port_side") not in counted
        (hit,) = [each for each in found if each.counter_data.packet_count]
        assert (hit.counter_data.packet_count, hit.counter_data.byte_count) == (3, 2**40)
        assert hit.match[0].exact.value == b"\x0a\0\0\1"


async def test_default_entries_come_apart() -> None:
    async with running() as server:
        client = await server.primary()
        found = await client.read_tables(p4r.TableEntry(is_default_action=True))
        assert {each.table_id for each in found} == set(schema().tables)
        assert all(each.is_default_action and not each.match for each in found)
        one = p4r.TableEntry(table_id=table_id("request_window"), is_default_action=True)
        (policy,) = await client.read_tables(one)
        assert [param.value for param in policy.action.action.params] == [b"\0", b"\0"]


async def test_direct_counters() -> None:
    async with running() as server:
        client = await _filled(server)
        server.dataplane.inject_hit("source_v4", b"\x0a\0\0\1", 3, 30)

        async def read(table_entry: p4r.TableEntry) -> list[p4r.DirectCounterEntry]:
            asked = p4r.DirectCounterEntry(table_entry=table_entry)
            found = await client.read(p4r.Entity(direct_counter_entry=asked))
            return [each.direct_counter_entry for each in found]

        assert len(await read(p4r.TableEntry())) == 6
        assert len(await read(p4r.TableEntry(table_id=table_id("source_v4")))) == 2
        (one,) = await read(entry("source_v4", b"\x0a\0\0\1"))
        assert (one.data.packet_count, one.data.byte_count) == (3, 30)
        assert one.table_entry == entry("source_v4", b"\x0a\0\0\1")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(entry("source_v4", b"\x0a\0\0\3"))
        assert error_codes(caught.value) == [NOT_FOUND]


async def test_indirect_counters_and_meters() -> None:
    async with running() as server:
        client = await server.primary()
        server.dataplane.inject_count("verdict", 3, 5, 500)
        everything = await client.read(p4r.Entity(counter_entry=p4r.CounterEntry()))
        assert len(everything) == 64 + 64 + 16
        number = next(c.id for c in schema().counters.values() if c.name == "verdict")
        asked = p4r.CounterEntry(counter_id=number)
        assert len(await client.read(p4r.Entity(counter_entry=asked))) == 16
        asked.index.index = 3
        (one,) = await client.read(p4r.Entity(counter_entry=asked))
        data = one.counter_entry.data
        assert (data.packet_count, data.byte_count) == (5, 500)
        meters = await client.read(p4r.Entity(meter_entry=p4r.MeterEntry()))
        assert len(meters) == 16384 + 1 + 1024 + 32
        assert not any(each.meter_entry.HasField("config") for each in meters)


async def test_every_request_of_a_batch_is_answered_or_refused_by_itself() -> None:
    async with running() as server:
        client = await _filled(server)
        filtered = entry("source_v4", action="drop")
        filtered.table_id = 0
        idle = entry("source_v4")
        idle.time_since_last_hit.SetInParent()
        cases = [
            (p4r.Entity(table_entry=entry("source_v4", b"\x0a\0\0\1")), OK),
            (p4r.Entity(table_entry=p4r.TableEntry(table_id=77)), INVALID_ARGUMENT),
            (p4r.Entity(), INVALID_ARGUMENT),
            (p4r.Entity(table_entry=filtered), INVALID_ARGUMENT),
            (p4r.Entity(table_entry=idle), INVALID_ARGUMENT),
            (p4r.Entity(table_entry=entry("source_v4", action="allow")), INVALID_ARGUMENT),
            (p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=1)), INVALID_ARGUMENT),
            (p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=1)), INVALID_ARGUMENT),
            (p4r.Entity(register_entry=p4r.RegisterEntry()), UNIMPLEMENTED),
            (p4r.Entity(table_entry=entry("source_v4", b"\x0a\0\0\2")), OK),
        ]
        request = p4r.ReadRequest(device_id=1, entities=[entity for entity, _ in cases])
        found = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for answer in client.stub.Read(request):
                found += answer.entities
        assert [each.table_entry for each in found] == ENTRIES[:2]
        assert error_codes(caught.value) == [code for _, code in cases]


async def test_reads_need_a_device_and_a_pipeline_but_no_session() -> None:
    async with running() as server:
        client = server.client()
        for device, code in (
            (2, grpc.StatusCode.NOT_FOUND),
            (1, grpc.StatusCode.FAILED_PRECONDITION),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in client.stub.Read(p4r.ReadRequest(device_id=device)):
                    pass
            assert caught.value.code() == code
        await server.primary()
        assert len(await client.read_tables(p4r.TableEntry())) == 26


async def test_big_answers_come_in_small_messages_and_hold_nobody_up() -> None:
    async with running() as server:
        client, slow = await server.primary(), server.client()
        for start in range(0, 60000, 5000):
            await client.write(*(update(INSERT, drop(start + n)) for n in range(5000)))
        request = p4r.ReadRequest(device_id=1)
        request.entities.add().table_entry.table_id = table_id("source_v4")
        call = slow.stub.Read(request)
        first = await call.read()
        assert first.ByteSize() < 1 << 20
        # The slow reader has taken one message; a write must not wait for the rest.
        writing = client.write(update(INSERT, drop(10_000_000)))
        assert await asyncio.wait_for(writing, 5) == [OK]
        count = len(first.entities)
        while isinstance(answer := await call.read(), p4r.ReadResponse):
            assert answer.ByteSize() < 1 << 20
            count += len(answer.entities)
        assert count == 60000


@pytest.mark.parametrize("seed", range(4))
async def test_a_read_beside_writes_sees_each_of_them_wholly_or_not_at_all(seed: int) -> None:
    """Every write replaces all of a hundred entries by others: no read sees a mixture."""
    random = Random(seed)
    async with running() as server:
        client, reader = await server.primary(), server.client()
        for start in range(0, 20000, 5000):
            await client.write(*(update(INSERT, drop(1_000_000 + start + n)) for n in range(5000)))
        await client.write(*(update(INSERT, drop(n)) for n in range(100)))
        done = False

        async def churn() -> None:
            round_ = 0
            while not done:
                # One batch: a hundred moved, some kept but with another action and metadata.
                old, new = round_ * 100, (round_ + 1) * 100
                changed = drop(1_000_000)
                changed.metadata = str(round_ + 1).encode()
                updates = [update(DELETE, drop(old + n)) for n in range(100)]
                updates += [update(INSERT, drop(new + n)) for n in range(100)]
                updates.append(update(MODIFY, changed))
                random.shuffle(updates)
                assert await client.write(*updates) == [OK] * 201
                round_ += 1

        churning = asyncio.ensure_future(churn())
        seen = set()
        for _ in range(12):
            found = await reader.read_tables(p4r.TableEntry(table_id=table_id("source_v4")))
            numbers = [
                int.from_bytes(each.match[0].exact.value, "big") - 0x0A000000 for each in found
            ]
            assert len(set(numbers)) == len(numbers) == 20100
            moving = sorted(number for number in numbers if number < 1_000_000)
            first = moving[0]
            assert moving == list(range(first, first + 100)) and first % 100 == 0
            (marked,) = [each.metadata for each in found if each.metadata] or [b"0"]
            assert int(marked) == first // 100
            seen.add(first)
        done = True
        await churning
        assert len(seen) > 1
        state = server.device.state()
        assert not any(state.watchers.values())


async def test_a_pipeline_is_not_replaced_under_a_read() -> None:
    async with running() as server:
        client, reader = await server.primary(), server.client()
        for start in range(0, 50000, 5000):
            await client.write(*(update(INSERT, drop(start + n)) for n in range(5000)))
        asked = p4r.TableEntry(table_id=table_id("source_v4"))
        reading = asyncio.ensure_future(reader.read_tables(asked))
        await asyncio.sleep(0.02)
        await client.set_pipeline(pipeline_config())
        assert len(await reading) in (0, 50000)
        assert await reader.read_tables(asked) == []
