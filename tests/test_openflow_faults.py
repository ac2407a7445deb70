"""The OpenFlow driver against a switch that does everything wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.block import UDP, Action, parse_target
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import REASON_FIRST, FirstPacket
from sdnblock.switches.driver import BlockChange, FailureKind, Op, SwitchLost
from sdnblock.switches.openflow import channel, listener, tables
from sdnblock.switches.openflow.channel import Channel
from sdnblock.switches.openflow.driver import OpenFlowDriver
from sdnblock.switches.openflow.listener import Listener, Listeners
from sdnblock.switches.settings import FirstSettings, SwitchSettings
from tests import openflow_fake as fake
from tests.openflow_fake import FakeSwitch, message

A, B, C = (parse_target(f"192.0.2.{n}") for n in (1, 2, 3))
SETTINGS = SwitchSettings(
    "s1",
    protocol="openflow",
    datapath_id=7,
    rpc_timeout=0.6,
    trusted_ports=frozenset({2}),
    sip_ports=frozenset({(UDP, 5060)}),
    first=FirstSettings(packets=1),
)
PIPELINE = 1 + 2 + 1 + 2 + 1 + 2 + 1
"""Flows of SETTINGS: forward; SIP, rest; trusted port, its SIP; SIP, rest."""


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/of"


@pytest.fixture
async def switch() -> AsyncIterator[FakeSwitch]:
    made = FakeSwitch()
    yield made
    await made.drop()


@pytest.fixture
async def driver(address: str) -> AsyncIterator[OpenFlowDriver]:
    made = OpenFlowDriver(replace(SETTINGS, address=address), Listener(address))
    yield made
    await made.close()


def block(target: Any, action: Action = Action.DROP, op: Op = Op.INSERT) -> BlockChange:
    return BlockChange(op, target, action)


async def until(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it does not happen"
        await asyncio.sleep(0.01)


async def together(driver: OpenFlowDriver, switch: FakeSwitch, address: str) -> None:
    """Connect driver and switch."""
    connecting = asyncio.create_task(driver.connect())
    try:
        await listening(address)
        await switch.connect(address)
        await connecting
    finally:
        connecting.cancel()


async def listening(address: str) -> None:
    path = Path(address.removeprefix("unix:"))
    await until(path.exists)


async def lost(driver: OpenFlowDriver, words: str) -> None:
    """The session ends, within a few timeouts, for a reason with these words."""
    deadline = time.monotonic() + 10
    with pytest.raises(SwitchLost, match=words):
        while time.monotonic() < deadline:
            await driver.write(())
            await asyncio.sleep(0.02)
    assert driver.status.role == "disconnected"


async def test_a_good_one_to_begin_with(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    await together(driver, switch, address)
    assert driver.status.role == "primary" and "fake 1.0" in driver.status.description
    assert len(switch.flows) == PIPELINE
    assert await driver.write([block(A), block(B, Action.LIMIT)]) == []
    assert (await driver.read_installed()).blocks == {A: Action.DROP, B: Action.LIMIT}
    assert await driver.write([block(B, op=Op.DELETE)]) == []
    assert len(switch.flows) == PIPELINE + 1 and len(switch.meters) == 3
    assert switch.meters == {51: (100, 100), 52: (500, 500), 53: (500, 500)}


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        (message(fake.HELLO, 1, version=1), "does not speak OpenFlow 1.3"),
        (message(fake.HELLO, 1, struct.pack("!HHI", 1, 8, 1 << 5)), "does not speak OpenFlow 1.3"),
        (message(fake.HELLO, 1, struct.pack("!HH", 1, 3)), "element of a wrong length"),
        (message(fake.BARRIER_REPLY, 1), "does not begin with a hello"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not begin with a hello"),
        (bytes(8), "no OpenFlow"),
        (struct.pack("!BBHI", 4, 0, 65535, 1), "does not answer our hello"),
        (b"", "does not answer our hello"),
    ],
)
async def test_who_speaks_something_else_is_told_and_logged(
    hello: bytes,
    words: str,
    driver: OpenFlowDriver,
    switch: FakeSwitch,
    address: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_PATIENCE", 0.4)
    switch.hello = hello
    switch.mute = True
    with pytest.raises(SwitchError, match="has not connected"):
        await together(driver, switch, address)
    assert words in caplog.text
    await until(switch.closed.is_set)
    if "1.3" in words:
        error = bytes(switch.received)[8:]
        assert error[1] == fake.ERROR and error[8:12] == bytes(4)  # HELLO_FAILED, INCOMPATIBLE
    # It does not stand in the way of the right one.
    good = FakeSwitch()
    await together(driver, good, address)
    await good.drop()


async def test_garbage_ends_the_session_and_the_next_one_is_good(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    dice = random.Random(4)
    for garbage in (
        b"\xff" * 100,
        struct.pack("!BBHI", 4, fake.PACKET_IN, 7, 0),  # shorter than its own header
        message(fake.PACKET_IN, 0, version=1),
        message(fake.ERROR, 0, b"\0"),
        *(dice.randbytes(200) for _ in range(5)),
    ):
        await together(driver, switch, address)
        switch.write(garbage)
        await lost(driver, "no OpenFlow|OpenFlow version|error that is cut off|closed|silent")


async def test_a_message_that_never_ends_is_silence(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    await together(driver, switch, address)
    switch.write(struct.pack("!BBHI", 4, fake.PACKET_IN, 65535, 0) + bytes(1000))
    switch.mute = True
    await lost(driver, "silent|no answer")


async def test_bad_notices_are_counted_and_passed_over(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    await together(driver, switch, address)
    for body in (b"", bytes(24), os.urandom(60)):
        switch.send(fake.PACKET_IN, 0, body)
        switch.send(fake.FLOW_REMOVED, 0, body)
    good = struct.pack("!IHBBQHHI", 0xFFFFFFFF, 5, 0, 1, 0x73646E626C6F6B06, 1, 12, 0x80000004)
    switch.send(fake.PACKET_IN, 0, good + struct.pack("!I4x2x", 9) + b"frame")
    event = await anext(aiter(driver.evidence()))
    assert isinstance(event, FirstPacket)
    assert (event.port, event.reason, event.frame) == (9, REASON_FIRST, b"frame")
    assert "(4 so far)" in caplog.text
    assert await driver.write([block(A)]) == []


async def test_answers_to_others_are_no_answers(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    await together(driver, switch, address)

    async def wrong(xid: int, body: bytes) -> bool:
        switch.send(fake.BARRIER_REPLY, xid + 1000)
        switch.send(fake.FEATURES_REPLY, xid, bytes(24))
        switch.error(xid + 1000, (5, 1))
        return True

    switch.hooks[fake.BARRIER_REQUEST] = wrong
    with pytest.raises(SwitchLost, match=r"no answer within 0\.6 s"):
        await driver.write([block(A)])


async def test_answers_may_be_late_but_not_too_late(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    await together(driver, switch, address)
    tasks = set()

    async def late(xid: int, body: bytes) -> bool:
        async def answer() -> None:
            await asyncio.sleep(0.4)
            switch.send(fake.BARRIER_REPLY, xid)

        tasks.add(asyncio.create_task(answer()))
        return True

    switch.hooks[fake.BARRIER_REQUEST] = late
    began = time.monotonic()
    assert await driver.write([block(A)]) == []
    assert time.monotonic() - began >= 0.4
    del switch.hooks[fake.BARRIER_REQUEST]
    await asyncio.gather(*tasks)


async def test_endless_answers_are_cut(
    driver: OpenFlowDriver,
    switch: FakeSwitch,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(channel, "_LONGEST", 3)
    for part, pause in ((bytes(60000), 0.0), (b"", 0.0), (b"", 0.05)):
        await together(driver, switch, address)

        async def endless(xid: int, body: bytes, part: bytes = part, pause: float = pause) -> bool:
            while not switch.closed.is_set():
                switch.part(xid, fake.FLOW, part, more=True)
                await asyncio.sleep(pause)
                if not pause:
                    await asyncio.sleep(0)
            return True

        async def flood(xid: int, body: bytes) -> bool:
            asyncio.get_running_loop().create_task(endless(xid, body))
            return True

        switch.hooks[fake.MULTIPART_REQUEST] = flood
        with pytest.raises(SwitchLost, match="without end"):
            await driver.read_installed()
            await driver.read_installed()  # the first one was read when it connected
        switch.hooks.clear()


@pytest.mark.parametrize("kind", [fake.DESC, fake.METER_FEATURES, fake.FLOW, fake.METER_CONFIG])
async def test_an_answer_that_is_none_is_one_line(
    kind: int, driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    async def cut(xid: int, body: bytes) -> bool:
        if struct.unpack_from("!H", body) != (kind,):
            return False
        switch.part(xid, kind, b"\0\x09" + bytes(5))
        return True

    switch.hooks[fake.MULTIPART_REQUEST] = cut
    with pytest.raises(
        SwitchLost, match=r"switch s1 \(0000000000000007\): .*(cut off|wrong length)"
    ):
        await together(driver, switch, address)
    assert driver.status.role == "disconnected"


async def test_errors_are_matched_to_their_entries(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    await together(driver, switch, address)
    refused = {b"\xc0\x00\x02\x02": (5, 1), b"\xc0\x00\x02\x03": (2, 9)}
    switch.refuse_flow = lambda name, _: refused.get(name[2][-4:])
    failures = await driver.write([block(A), block(B), block(C, Action.LIMIT)])
    assert [(f.change.target, f.kind) for f in failures if isinstance(f.change, BlockChange)] == [
        (B, FailureKind.FULL), (C, FailureKind.REFUSED),
    ]  # fmt: skip
    assert failures[0].message == "table full (OpenFlow error 5/1)"
    assert len(switch.meters) == 3, "the meter of what was refused is given back"
    switch.refuse_flow = lambda name, _: None
    assert await driver.write([block(B), block(C, Action.LIMIT)]) == []
    # The error of a meter is that of its entry.
    switch.refuse_meter = (12, 11)
    (failure,) = await driver.write([block(parse_target("192.0.2.9"), Action.LIMIT)])
    assert (failure.kind, failure.message) == (
        *(FailureKind.FULL, "out of meters (OpenFlow error 12/11)"),
    )


async def test_a_refused_table_is_one_line_that_names_it(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    switch.refuse_flow = lambda name, _: (5, 2) if name[0] == tables.FILTER else None
    with pytest.raises(SwitchError, match="pipeline, in table 1: a table that it does not have"):
        await together(driver, switch, address)


async def test_a_switch_without_meters_drops_and_watches_but_does_not_limit(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in (fake.METER_FEATURES, fake.METER_CONFIG, fake.METER, fake.TABLE_FEATURES):
        switch.refuse_multipart[kind] = (1, 2)
    switch.refuse_meter = (1, 1)
    switch.refuse_role = (11, 1)
    await together(driver, switch, address)
    assert "cannot meter packets to the controller" in caplog.text
    assert driver.capacity.limiters == 0
    failures = await driver.write([block(A), block(B, Action.WATCH), block(C, Action.LIMIT)])
    assert [f.kind for f in failures] == [FailureKind.FULL]
    assert not any(b"\xff\xff\xff\xfd" in instr for _, instr in switch.flows.values())
    assert (await driver.read_packet_counters())["verdict"]["watched"] == 0


async def test_where_only_the_common_meter_is_known_it_is_used(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    switch.refuse_flow = lambda _, instr: (
        (2, 0) if b"\xff\xff\x00\x18\x00\x00\x23\x20" in instr else None
    )
    await together(driver, switch, address)
    assert switch.meters[0xFFFFFFFE] == (100 + 500 + 500, 100 + 500 + 500)
    copies = [name[0] for name, (_, i) in switch.flows.items() if b"\xff\xff\xff\xfd" in i]
    assert sorted(copies) == [tables.SERVICE] * 2 + [tables.FILTER] * 2
    assert await driver.write([block(A, Action.WATCH)]) == []
    assert (await driver.read_installed()).blocks == {A: Action.WATCH}


async def test_an_echo_is_answered_and_ours_has_to_be(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    await together(driver, switch, address)
    seen: list[bytes] = []

    async def echoed(xid: int, body: bytes) -> bool:
        seen.append(struct.pack("!I", xid) + body)
        return True

    switch.hooks[fake.ECHO_REPLY] = echoed
    switch.send(fake.ECHO_REQUEST, 99, b"are you there?")
    await until(lambda: seen == [struct.pack("!I", 99) + b"are you there?"])
    await until(lambda: switch.got.count(fake.ECHO_REQUEST) >= 3)
    await driver.write([block(A)])  # silent, but it answers our echoes
    switch.mute = True
    began = time.monotonic()
    await asyncio.sleep(0.1)
    await lost(driver, "silent for|no answer within")
    assert time.monotonic() - began < 3


async def test_a_switch_that_takes_nothing_does_not_fill_our_memory(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_MOST_UNSENT", 1 << 18)
    await together(driver, switch, address)
    assert switch._writer is not None
    switch._writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def push() -> None:
        with contextlib.suppress(OSError):
            while True:
                switch.send(fake.ECHO_REQUEST, 1, bytes(60000))
                assert switch._writer is not None
                await switch._writer.drain()

    pushing = asyncio.create_task(push())
    await lost(driver, "does not take them|taken nothing|no answer")
    pushing.cancel()


async def test_a_connection_again_replaces_a_dead_one_and_no_living_one(
    address: str,
    driver: OpenFlowDriver,
    switch: FakeSwitch,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_ALIVE", 0.2)
    made = OpenFlowDriver(replace(SETTINGS, address=address, rpc_timeout=60.0), Listener(address))
    try:
        await together(made, switch, address)
        other = FakeSwitch()
        await other.connect(address)
        await until(other.closed.is_set)
        assert "a second one with the same datapath_id 0000000000000007" in caplog.text
        assert await made.write([block(A)]) == [] and len(other.flows) == 0
        switch.mute = True  # half-open: its cable is out, it has come back by another way
        writing = asyncio.create_task(made.write([block(B)]))
        await other.connect(address)
        with pytest.raises(SwitchLost, match="connected again"):
            await asyncio.wait_for(writing, 5)
        await asyncio.wait_for(made.connect(), 5)
        assert (await made.read_installed()).blocks == {}
        assert len(other.flows) == PIPELINE
        await other.drop()
    finally:
        await made.close()


async def test_strangers_are_turned_away_and_told_of_once(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    await together(driver, switch, address)
    for _ in range(3):
        stranger = FakeSwitch(datapath_id=8)
        await stranger.connect(address)
        await until(stranger.closed.is_set)
    assert caplog.text.count("datapath_id 0000000000000008 at a socket is not configured") == 1
    assert await driver.write([block(A)]) == []


async def test_several_switches_share_an_address_and_one_that_hangs_delays_no_other(
    address: str,
) -> None:
    listeners = Listeners()
    fakes = [FakeSwitch(number) for number in (1, 2, 3)]
    drivers = []
    for each in fakes:
        wanted = replace(SETTINGS, name=f"s{each.datapath_id}", datapath_id=each.datapath_id,
                         address=address)  # fmt: skip
        drivers.append(OpenFlowDriver(wanted, listeners.of(wanted)))
    try:
        await asyncio.gather(
            *(together(driver, each, address) for driver, each in zip(drivers, fakes, strict=True))
        )
        fakes[1].mute = True
        hanging = asyncio.create_task(drivers[1].write([block(A)]))
        for _ in range(20):
            began = time.monotonic()
            for driver in (drivers[0], drivers[2]):
                assert await driver.write([block(B)]) == []
                assert await driver.write([block(B, op=Op.DELETE)]) == []
            assert time.monotonic() - began < 0.4
        with pytest.raises(SwitchLost):
            await hanging
        await drivers[0].close()  # the others go on
        assert await drivers[2].write([block(C)]) == []
    finally:
        for driver, each in zip(drivers, fakes, strict=True):
            await driver.close()
            await each.drop()


async def test_whoever_only_holds_connections_keeps_no_other_host_out(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wanted = replace(SETTINGS, address=f":{port}", rpc_timeout=5.0)
    driver = OpenFlowDriver(wanted, Listener(wanted.address))
    idle: list[socket.socket] = []
    switch = FakeSwitch()
    try:
        connecting = asyncio.create_task(driver.connect())
        await asyncio.sleep(0.2)
        for _ in range(60):
            idle.append(socket.create_connection(("127.0.0.1", port)))
        await asyncio.sleep(0.2)
        await switch.connect(f"::1:{port}")
        await asyncio.wait_for(connecting, 5)
        assert driver.status.role == "primary" and "at ::1:" in driver.status.description
    finally:
        for each in idle:
            each.close()
        await driver.close()
        await switch.drop()


async def test_the_address_that_somebody_uses_already_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "of"
    first, second = Listener(f"unix:{path}"), Listener(f"unix:{path}")
    await first.register(1, 1.0)
    with pytest.raises(SwitchError, match=r"cannot listen for .*address already in use"):
        await second.register(1, 1.0)
    await first.unregister(1)
    await second.register(1, 1.0)  # what is left of the first one is no hindrance
    await second.unregister(1)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SwitchError, match="cannot listen"):
        await Listener(f"unix:{tmp_path}/file").register(1, 1.0)
    assert (tmp_path / "file").read_text() == "mine"


async def test_another_master_is_noticed_at_the_next_write(
    driver: OpenFlowDriver, switch: FakeSwitch, address: str
) -> None:
    await together(driver, switch, address)
    switch.refuse_flow = lambda name, _: (1, 10)  # IS_SLAVE
    with pytest.raises(SwitchLost, match="another controller has become its master"):
        await driver.write([block(A)])


_pieces = st.one_of(
    st.binary(max_size=80),
    st.builds(
        message,
        st.integers(0, 30),
        st.integers(0, 12),
        st.binary(max_size=120),
        st.sampled_from([4, 4, 4, 4, 1]),
    ),
    st.builds(
        lambda kind, more, xid, body: message(
            fake.MULTIPART_REPLY, xid, struct.pack("!HH4x", kind, more) + body
        ),
        st.integers(0, 13),
        st.booleans(),
        st.integers(0, 12),
        st.binary(max_size=120),
    ),
)


@given(st.lists(_pieces, max_size=12))
@settings(deadline=None)
def test_whatever_comes_a_channel_ends_in_one_way(pieces: list[bytes]) -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        one = Channel(reader, writer, "switch", 5.0)
        one.on_packet = lambda _: None
        one.on_removed = lambda _: None
        theirs.sendall(message(fake.HELLO, 1) + message(fake.FEATURES_REPLY, 2, bytes(24)))
        await one.handshake()
        theirs.sendall(b"".join(pieces))
        theirs.close()
        done = await asyncio.gather(
            one.multipart(lambda xid: message(fake.MULTIPART_REQUEST, xid)),
            one.batch([lambda xid: message(fake.FLOW_MOD, xid)] * 3),
            return_exceptions=True,
        )
        for each in done:
            assert isinstance(each, (list, dict, SwitchLost)), each
        await until(lambda: not one.is_open)
        for task in one._tasks:
            assert not task.done() or task.cancelled() or task.exception() is None
        await one.close("over")

    logging.getLogger("sdnblock").setLevel(logging.CRITICAL)
    try:
        asyncio.run(run())
    finally:
        logging.getLogger("sdnblock").setLevel(logging.NOTSET)
