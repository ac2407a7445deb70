"""Digest lists, acknowledgements and packet-ins: who gets them, when, and how often."""

from __future__ import annotations

import asyncio
import time

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.softswitch.dataplane import SampledPacket
from sdnblock.softswitch.digests import MAX_CACHED, MAX_LIST, DigestConfig, DigestQueue
from sdnblock.softswitch.refusal import (
    ALREADY_EXISTS,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OK,
    PERMISSION_DENIED,
    UNIMPLEMENTED,
    Refusal,
)
from tests.softswitch_kit import DELETE, INSERT, MODIFY, Client, running, schema

DIGEST = next(iter(schema().digests))
MAPPED = bytes(10) + b"\xff\xff\xcb\x00\x71\x07"


def _queue(max_timeout_ns: int = 10**9, size: int = 3, ack_ns: int = 10**9) -> DigestQueue:
    return DigestQueue(DigestConfig(max_timeout_ns, size, ack_ns))


def test_a_list_is_sent_when_full_or_when_its_first_message_is_old() -> None:
    queue = _queue()
    assert queue.offer(b"a", 0.0) is None
    assert queue.offer(b"a", 0.1) is None
    assert queue.offer(b"b", 0.5) is None
    assert queue.deadline() == 1.0
    assert queue.due(0.9) is None
    sent = queue.due(1.0)
    assert sent and sent.data == (b"a", b"b")
    assert queue.due(5.0) is None
    queue.offer(b"c", 6.0)
    queue.offer(b"d", 6.0)
    full = queue.offer(b"e", 6.0)
    assert full and full.data == (b"c", b"d", b"e") and full.list_id != sent.list_id


def test_duplicates_are_kept_back_until_the_ack_or_its_timeout() -> None:
    queue = _queue(max_timeout_ns=0)
    first = queue.offer(b"a", 0.0)
    assert first
    assert queue.offer(b"a", 0.5) is None
    queue.ack(first.list_id + 1)
    assert queue.offer(b"a", 0.6) is None
    queue.ack(first.list_id)
    assert queue.offer(b"a", 0.7)
    assert queue.offer(b"a", 1.6) is None
    assert queue.offer(b"a", 1.7)


def test_no_ack_timeout_is_no_suppression() -> None:
    queue = _queue(max_timeout_ns=0, ack_ns=0)
    assert queue.offer(b"a", 0.0) and queue.offer(b"a", 0.0)


def test_a_changed_client_hears_it_again() -> None:
    queue = _queue(max_timeout_ns=0)
    assert queue.offer(b"a", 0.0)
    queue.forget()
    assert queue.offer(b"a", 0.0)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 0.3)), max_size=200),
    st.integers(0, 5),
    st.sampled_from([0, 10**8, 10**9]),
    st.sampled_from([0, 10**8, 10**9]),
)
def test_lists_hold_no_duplicates_and_nothing_unacknowledged_twice(
    steps: list[tuple[int, float]], size: int, timeout: int, ack: int
) -> None:
    queue = DigestQueue(DigestConfig(timeout, size, ack))
    now, sent_at = 0.0, dict[bytes, float]()
    for number, delay in steps:
        now += delay
        for sent in (queue.due(now), queue.offer(bytes([number]), now)):
            if sent is None:
                continue
            assert len(set(sent.data)) == len(sent.data) <= (size or MAX_LIST)
            for message in sent.data:
                last = sent_at.get(message)
                assert last is None or now - last >= ack / 1e9 - timeout / 1e9 - 1e-6
                sent_at[message] = now


def test_memory_is_bounded() -> None:
    queue = DigestQueue(DigestConfig(2**62, 0, 2**62))
    for number in range(MAX_CACHED + 5 * MAX_LIST):
        queue.offer(number.to_bytes(4, "big"), 0.0)
    assert len(queue._cache) <= MAX_CACHED
    assert queue.offer((0).to_bytes(4, "big"), 0.0) is None  # forgotten, so taken again


def test_negative_times_are_refused() -> None:
    for config in ((-1, 0, 0), (0, -1, 0), (0, 0, -1)):
        with pytest.raises(Refusal) as caught:
            DigestConfig(*config)
        assert caught.value.code == INVALID_ARGUMENT


async def _configure(client: Client, kind: int, *config: int, number: int = DIGEST) -> int:
    entity = p4r.Entity()
    entity.digest_entry.digest_id = number
    timeout, size, ack = config or (0, 1, 0)
    entity.digest_entry.config.max_timeout_ns = timeout
    entity.digest_entry.config.max_list_size = size
    entity.digest_entry.config.ack_timeout_ns = ack
    (code,) = await client.write(p4r.Update(type=kind, entity=entity))  # type: ignore[arg-type]
    return code


async def test_configuration() -> None:
    async with running() as server:
        client = await server.primary()
        assert await _configure(client, MODIFY) == NOT_FOUND
        assert await _configure(client, DELETE) == NOT_FOUND
        assert await _configure(client, INSERT, number=5) == INVALID_ARGUMENT
        assert await _configure(client, INSERT, -1, 0, 0) == INVALID_ARGUMENT
        assert await _configure(client, INSERT, 1, 2, 3) == OK
        assert await _configure(client, INSERT, 1, 2, 3) == ALREADY_EXISTS
        assert await _configure(client, MODIFY, 4, 5, 6) == OK
        (found,) = await client.read(p4r.Entity(digest_entry=p4r.DigestEntry()))
        config = found.digest_entry.config
        assert (config.max_timeout_ns, config.max_list_size, config.ack_timeout_ns) == (4, 5, 6)
        assert await _configure(client, DELETE) == OK
        assert await client.read(p4r.Entity(digest_entry=p4r.DigestEntry())) == []


async def test_a_digest_reaches_the_primary_only_and_again_after_its_ack() -> None:
    async with running() as server:
        client, backup = await server.primary(), server.client(None)
        await backup.arbitrate()
        await backup.status()
        server.dataplane.inject_digest(MAPPED, 1, 1)  # nobody asked for it
        assert await _configure(client, INSERT, 0, 1, 60 * 10**9) == OK
        server.dataplane.inject_digest(MAPPED, 300, 2)
        server.dataplane.inject_digest(MAPPED, 300, 2)
        message = (await client.next()).digest
        assert message.digest_id == DIGEST and message.timestamp
        (data,) = message.data
        values = [member.bitstring for member in data.struct.members]
        assert values == [MAPPED.lstrip(b"\0"), b"\x01\x2c", b"\x02"]
        await client.quiet()
        ack = p4r.DigestListAck(digest_id=DIGEST, list_id=message.list_id)
        await client.stream.write(p4r.StreamMessageRequest(digest_ack=ack))
        await client.round_trip()
        server.dataplane.inject_digest(MAPPED, 300, 2)
        again = (await client.next()).digest
        assert again.data == message.data and again.list_id != message.list_id
        await backup.quiet()


async def test_digests_wait_for_company() -> None:
    async with running() as server:
        client = await server.primary()
        assert await _configure(client, INSERT, 200_000_000, 3, 0) == OK
        began = time.monotonic()
        for number in range(5):
            server.dataplane.inject_digest(MAPPED, number, 1)
        assert len((await client.next()).digest.data) == 3
        assert time.monotonic() - began < 0.15
        assert len((await client.next()).digest.data) == 2
        assert 0.15 < time.monotonic() - began < 2


async def test_digests_without_a_primary_are_lost_not_kept() -> None:
    async with running() as server:
        client = await server.primary()
        assert await _configure(client, INSERT, 0, 1, 60 * 10**9) == OK
        client.stream.cancel()
        other = server.client(9)
        await asyncio.sleep(0.1)
        server.dataplane.inject_digest(MAPPED, 1, 1)
        await asyncio.sleep(0.1)
        await other.arbitrate()
        assert await other.status() == (OK, 9)
        server.dataplane.inject_digest(MAPPED, 1, 1)
        assert len((await other.next()).digest.data) == 1
        await other.quiet()


async def test_packet_in() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        plane.inject_event(SampledPacket(1, 1, b"lost: no clone session"))
        session = p4r.Entity()
        clone = session.packet_replication_engine_entry.clone_session_entry
        clone.session_id, clone.packet_length_bytes = 250, 4
        clone.replicas.add(egress_port=255, instance=1)
        assert await client.write(p4r.Update(type=INSERT, entity=session)) == [OK]
        plane.inject_event(SampledPacket(2, 1, b"INVITE sip:"))
        packet = (await client.next()).packet
        assert packet.payload == b"INVI"
        fields = {number: name for name, (number, _) in schema().packet_in.items()}
        assert {fields[m.metadata_id]: m.value for m in packet.metadata} == {
            "ingress_port": b"\x02",
            "reason": b"\x01",
        }


async def test_stream_errors() -> None:
    async with running() as server:
        client, backup = await server.primary(), server.client(None)
        await backup.arbitrate()
        await backup.status()

        async def error(who: Client, message: p4r.StreamMessageRequest) -> tuple[str | None, int]:
            await who.stream.write(message)
            answer = (await who.next()).error
            return answer.WhichOneof("details"), answer.canonical_code

        ack = p4r.StreamMessageRequest(digest_ack=p4r.DigestListAck(digest_id=5))
        assert await error(client, ack) == ("digest_list_ack", INVALID_ARGUMENT)
        assert await error(backup, ack) == ("digest_list_ack", PERMISSION_DENIED)
        out = p4r.StreamMessageRequest(packet=p4r.PacketOut(payload=b"x"))
        assert await error(client, out) == ("packet_out", UNIMPLEMENTED)
        assert await error(backup, out) == ("packet_out", PERMISSION_DENIED)
        assert await error(client, p4r.StreamMessageRequest()) == ("other", INVALID_ARGUMENT)
        other = p4r.StreamMessageRequest()
        other.other.SetInParent()
        assert await error(client, other) == ("other", UNIMPLEMENTED)
