"""The P4Runtime server on the XDP program itself: entries, "full", counters, events."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from finsy.proto import p4r

from sdnblock.artifacts import XDP_OBJECT, artifact
from sdnblock.softswitch.device import Device
from sdnblock.softswitch.listen import listen
from sdnblock.softswitch.refusal import ALREADY_EXISTS, NOT_FOUND, OK, RESOURCE_EXHAUSTED
from sdnblock.softswitch.xdp import Verdict, XdpDataplane
from tests.softswitch_kit import (
    CHANNEL_OPTIONS,
    DELETE,
    INSERT,
    MODIFY,
    Client,
    SetConfig,
    drop,
    entry,
    pipeline_config,
    schema,
    table_id,
    update,
)
from tests.softswitch_process import is_root

pytestmark = [pytest.mark.root, pytest.mark.skipif(not is_root(), reason="needs root")]

ENTRIES = [
    entry("port_side", b"\x02", action="set_side", params=[b"\x01"]),
    entry("l2_forward", b"\x02\0\0\0\0\1", action="forward", params=[b"\x02"]),
    entry("sip_port", b"\x11", b"\x13\xc4", action="sip"),
    entry("allow_v4", (b"\xc6\x33\x64\0", 24), action="allow"),
    entry("allow_v4", action="allow"),
    entry("allow_v6", (b"\x20\1\x0d\xb8" + bytes(12), 32), action="allow"),
    entry("flow_v4", b"\x11", b"\x0a\0\0\1", b"\x13\xc4", b"\x0a\0\0\2", b"\0", action="watch"),
    entry("flow_v6", b"\x06", b"\1", b"\2", b"\3", b"\4", action="limit", params=[b"\x3f\xff"]),
    entry("source_v4", b"\0", action="drop"),
    entry("source_v6", b"\xff" * 16, action="watch"),
    entry("prefix_v4", (b"\x0a\0\0\0", 8), action="limit", params=[b"\0"]),
    entry("prefix_v4", (b"\x0a\0\0\0", 9), action="drop"),
    entry("prefix_v6", (b"\x80" + bytes(15), 1), action="drop"),
]


def invite(source: int) -> bytes:
    """An INVITE over UDP from 10.0.0.0 + ``source`` to 10.9.0.1:5060."""
    payload = b"INVITE sip:100@10.9.0.1 SIP/2.0\r\n\r\n"
    udp = struct.pack("!HHHH", 5062, 5060, 8 + len(payload), 0) + payload
    ip = struct.pack(
        "!BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 0x0A000000 + source, 0x0A090001
    )
    return bytes(6) + b"\x02\0\0\0\0\x09" + b"\x08\0" + ip + udp


@asynccontextmanager
async def _served(
    sizes: dict[str, int] | None = None,
) -> AsyncIterator[tuple[Client, XdpDataplane]]:
    plane = XdpDataplane.detached(sizes=sizes)
    listener = await listen(Device(plane), "127.0.0.1:0")
    channel = grpc.aio.insecure_channel(listener.address, options=CHANNEL_OPTIONS)
    try:
        client = Client(channel, 1)
        await client.arbitrate()
        assert await client.status() == (OK, 1)
        await client.set_pipeline(pipeline_config(artifact(XDP_OBJECT).read_bytes()))
        yield client, plane
    finally:
        await channel.close(None)
        await listener.stop()
        plane.close(keep=False)


def _sorted(entries: list[p4r.TableEntry]) -> list[bytes]:
    return sorted(each.SerializeToString(deterministic=True) for each in entries)


async def test_entries_come_back_as_they_were_written() -> None:
    async with _served() as (client, _):
        assert set(await client.write(*(update(INSERT, each) for each in ENTRIES))) == {OK}
        found = await client.read_tables(p4r.TableEntry())
        ours = [each for each in found if each.table_id != table_id("sip_message")]
        assert _sorted(ours) == _sorted(ENTRIES)
        for each in ENTRIES:
            if each.match:
                asked = p4r.TableEntry(table_id=each.table_id, match=each.match)
                assert await client.read_tables(asked) == [each]
        again = await client.write(*(update(INSERT, each) for each in ENTRIES))
        assert set(again) == {ALREADY_EXISTS}
        assert set(await client.write(*(update(DELETE, each) for each in ENTRIES))) == {OK}
        assert set(await client.write(*(update(DELETE, each) for each in ENTRIES))) == {NOT_FOUND}
        assert set(await client.write(*(update(MODIFY, each) for each in ENTRIES))) == {NOT_FOUND}


async def test_full() -> None:
    async with _served() as (client, _):
        size = schema().table("port_side").size
        sides = [
            entry("port_side", number.to_bytes(2, "big"), action="set_side", params=[b"\1"])
            for number in range(512)
        ]
        assert len(sides) == size
        assert set(await client.write(*(update(INSERT, each) for each in sides))) == {OK}
        ports = [
            entry("sip_port", b"\x11", number.to_bytes(2, "big"), action="sip")
            for number in range(300)
        ]
        codes = await client.write(*(update(INSERT, each) for each in ports))
        assert codes == [OK] * 256 + [RESOURCE_EXHAUSTED] * 44
        prefixes = [
            entry("allow_v4", ((0x0A000000 + number * 256).to_bytes(4, "big"), 24), action="allow")
            for number in range(8200)
        ]
        codes = await client.write(*(update(INSERT, each) for each in prefixes))
        assert codes == [OK] * 8192 + [RESOURCE_EXHAUSTED] * 8


async def test_packets_are_dropped_and_counted() -> None:
    async with _served() as (client, plane):
        assert await client.write(update(INSERT, drop(1))) == [OK]
        frame = invite(1)
        for _ in range(3):
            assert plane.test_run(1, frame)[0] is Verdict.DROP
        assert plane.test_run(1, invite(2))[0] is Verdict.PASS
        asked = p4r.TableEntry(table_id=table_id("source_v4"))
        asked.counter_data.SetInParent()
        (held,) = await client.read_tables(asked)
        counted = held.counter_data
        assert (counted.packet_count, counted.byte_count) == (3, 3 * len(frame))
        verdicts = p4r.CounterEntry(
            counter_id=next(c.id for c in schema().counters.values() if c.name == "verdict")
        )
        cells = await client.read(p4r.Entity(counter_entry=verdicts))
        packets = [cell.counter_entry.data.packet_count for cell in cells]
        assert packets == [1, 0, 0, 3] + [0] * 12


async def test_digests_and_samples_arrive_also_after_a_second_pipeline() -> None:
    async with _served() as (client, plane):
        for _ in range(2):
            digest = p4r.Entity()
            digest.digest_entry.digest_id = next(iter(schema().digests))
            digest.digest_entry.config.max_list_size = 1
            session = p4r.Entity()
            clone = session.packet_replication_engine_entry.clone_session_entry
            clone.session_id, clone.packet_length_bytes = 250, 60
            clone.replicas.add(egress_port=255, instance=1)
            policy = entry("request_window", action="request_policy", params=[b"\3", b"\xff\xff"])
            policy.is_default_action = True
            codes = await client.write(
                p4r.Update(type=INSERT, entity=digest),
                p4r.Update(type=INSERT, entity=session),
                update(MODIFY, policy),
                update(INSERT, entry("sip_port", b"\x11", b"\x13\xc4", action="sip")),
                update(INSERT, entry("source_v4", b"\x0a\0\0\2", action="watch")),
            )
            assert codes == [OK] * 5
            for _ in range(3):
                plane.test_run(1, invite(1))
            (data,) = (await client.next()).digest.data
            values = [member.bitstring for member in data.struct.members]
            assert values == [b"\xff\xff\x0a\0\0\1", b"\3", b"\1"]
            plane.test_run(1, invite(2))
            packet = (await client.next()).packet
            assert packet.payload == invite(2)[:60]
            assert [field.value for field in packet.metadata] == [b"\1", b"\1"]
            await client.set_pipeline(pipeline_config(artifact(XDP_OBJECT).read_bytes()))


@pytest.mark.parametrize("config", [b"", b"not an object", b"\x7fELF" + bytes(100)])
async def test_a_bad_device_config_leaves_the_program_in_force(config: bytes) -> None:
    async with _served() as (client, plane):
        await client.write(update(INSERT, drop(1)))
        for action in (SetConfig.VERIFY, SetConfig.VERIFY_AND_COMMIT):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.set_pipeline(pipeline_config(config), action)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "\n" not in (caught.value.details() or "")
        assert plane.test_run(1, invite(1))[0] is Verdict.DROP


async def test_a_saved_pipeline_is_replayed() -> None:
    async with _served() as (client, plane):
        config = pipeline_config(artifact(XDP_OBJECT).read_bytes())
        await client.set_pipeline(config, SetConfig.VERIFY_AND_SAVE)
        assert set(await client.write(*(update(INSERT, each) for each in ENTRIES))) == {OK}
        assert await client.write(update(INSERT, drop(1))) == [OK]
        await client.set_pipeline(None, SetConfig.COMMIT)
        found = await client.read_tables(p4r.TableEntry())
        ours = [each for each in found if each.table_id != table_id("sip_message")]
        assert _sorted(ours) == _sorted([*ENTRIES, drop(1)])
        del plane
