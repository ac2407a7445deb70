"""Digests and packet-ins as evidence, and the queue."""

from __future__ import annotations

import asyncio

import pytest
from finsy.proto import p4d, p4r
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import Action, Prefix, Source, parse_target
from sdnblock.evidence.events import FirstPacket, OutcomeCrossed, RateCrossed
from sdnblock.switches.evidence_queue import EvidenceQueue
from sdnblock.switches.p4runtime.notices import (
    BadNotice,
    decode_digest,
    decode_packet,
)
from sdnblock.switches.p4runtime.schema import OUTCOME, REQUEST_RATE
from sdnblock.switches.settings import SwitchSettings, WalkSettings
from tests import p4runtime_kit as kit

MAPPED = bytes(10) + b"\xff\xff"


def digest(*values: bytes) -> p4d.P4Data:
    data = p4d.P4Data()
    for value in values:
        data.struct.members.add(bitstring=value)
    return data


SETTINGS = SwitchSettings(
    "s1",
    request_window_seconds=2.0,
    walk=WalkSettings(threshold=256, hold_seconds=30.0, response=Action.LIMIT),
)


def test_a_crossed_walk() -> None:
    found = decode_digest(SETTINGS, OUTCOME, digest(MAPPED + b"\xcb\0\x71\7", b"\1\0", b"\3"))
    expected = OutcomeCrossed("s1", Source(b"\xcb\0\x71\7"), 256, Action.LIMIT, 30.0, 0.0)
    assert found == expected


def test_a_digest_of_an_ipv4_host() -> None:
    found = decode_digest(
        SETTINGS, REQUEST_RATE, digest(b"\xff\xff\xcb\x00\x71\x07", b"\x14", b"\1")
    )
    assert found == RateCrossed("s1", Source(b"\xcb\x00\x71\x07"), 20, 2.0, 1, 0.0)


def test_a_digest_of_an_ipv6_network() -> None:
    remote = b"\x20\x01\x0d\xb8\0\0\0\1" + bytes(8)
    found = decode_digest(SETTINGS, REQUEST_RATE, digest(remote, b"\1\0", b"\2"))
    assert found == RateCrossed("s1", Prefix(remote, 64), 256, 2.0, 2, 0.0)


@pytest.mark.parametrize(
    "values",
    [
        (),
        (b"\1",),
        (b"", b"\1", b"\1"),
        (b"\0", b"\1", b"\1"),
        (MAPPED + bytes(4), b"\1", b"\1"),
        (b"\x20\x01" + bytes(13) + b"\1", b"\1", b"\1"),
        (b"\x20" * 17, b"\1", b"\1"),
        (MAPPED + b"\1\2\3\4", b"\1\0\0", b"\1"),
        (MAPPED + b"\1\2\3\4", b"\1", b"\1", b"\1"),
    ],
)
def test_a_malformed_digest_is_refused(values: tuple[bytes, ...]) -> None:
    with pytest.raises(BadNotice):
        decode_digest(SETTINGS, OUTCOME, digest(*values))


@given(st.binary(max_size=60))
def test_random_digests_are_refused_or_a_target(wire: bytes) -> None:
    try:
        data = p4d.P4Data.FromString(wire)
        found = decode_digest(SETTINGS, REQUEST_RATE, data)
    except (DecodeError, BadNotice):
        return
    assert parse_target(str(found.source)) == found.source


def packet(port: bytes, reason: bytes) -> p4r.PacketIn:
    message = p4r.PacketIn(payload=b"frame")
    fields = kit.schema().packet_in
    message.metadata.add(metadata_id=fields["ingress_port"].id, value=port)
    message.metadata.add(metadata_id=fields["reason"].id, value=reason)
    return message


def test_a_packet() -> None:
    found = decode_packet("s1", kit.schema(), packet(b"\1\0", b"\1"))
    assert found == FirstPacket("s1", 256, 1, b"frame", 0.0)


@pytest.mark.parametrize(
    "message",
    [p4r.PacketIn(), packet(b"", b"\1"), packet(b"\1", b"\1\0"), packet(b"\1" * 3, b"\1")],
)
def test_a_malformed_packet_is_refused(message: p4r.PacketIn) -> None:
    with pytest.raises(BadNotice):
        decode_packet("s1", kit.schema(), message)


CROSSED = RateCrossed("s1", Source(b"\1\2\3\4"), 1, 1.0, 1, 0.0)
PACKET = FirstPacket("s1", 1, 1, b"", 0.0)


async def test_the_queue_is_bounded_and_packets_leave_room_for_digests() -> None:
    queue = EvidenceQueue(10)
    for _ in range(8):
        queue.put(PACKET)
    assert queue.dropped == 3
    for _ in range(8):
        queue.put(CROSSED)
    assert queue.dropped == 6
    queue.close()
    assert [event async for event in queue] == [PACKET] * 5 + [CROSSED] * 5


async def test_the_queue_wakes_its_consumer_and_ends() -> None:
    queue = EvidenceQueue()
    found = []

    async def consume() -> None:
        async for event in queue:
            found.append(event)

    task = asyncio.create_task(consume())
    for _ in range(3):
        await asyncio.sleep(0)
        queue.put(CROSSED)
    await asyncio.sleep(0.01)
    assert len(found) == 3
    queue.close()
    await asyncio.wait_for(task, 1)
    queue.put(CROSSED)
    assert queue.dropped == 1
