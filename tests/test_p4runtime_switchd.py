"""The driver against our own P4Runtime server, on a data plane in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from sdnblock.block import Action, Flow, Prefix, Source, Target
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import FirstPacket, RateCrossed
from sdnblock.softswitch.dataplane import REQUEST_RATE, MeterRates, RemoteDigest, SampledPacket
from sdnblock.softswitch.device import Device
from sdnblock.softswitch.memory import UNLOADABLE, MemoryDataplane
from sdnblock.softswitch.server import OPTIONS, Servicer
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Change,
    FailureKind,
    Op,
    SwitchLost,
    TableKind,
)
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.p4runtime.session import Session
from sdnblock.switches.settings import SwitchSettings
from tests import p4runtime_kit as kit

MakeDriver = Callable[..., P4RuntimeDriver]
SIX = b"\x20\x01\x0d\xb8" + bytes(11)


class Switchd:
    """A server that can be stopped and started again, empty or not."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:{folder}/switchd"
        self.dataplane = MemoryDataplane()
        self._server: grpc.aio.Server | None = None
        self._device: Device | None = None

    async def start(self, table_sizes: dict[str, int] | None = None) -> None:
        self.dataplane = MemoryDataplane(table_sizes=table_sizes)
        self._device = Device(self.dataplane)
        self._server = grpc.aio.server(options=OPTIONS)
        Servicer(self._device).add_to(self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None and self._device is not None:
            await self._server.stop(0)
            self._device.unwatch_events()
        self._server = None


@pytest.fixture
async def switchd(tmp_path: Path) -> AsyncIterator[Switchd]:
    kit.artifact("sdnblock.bpf.o")
    switch = Switchd(tmp_path)
    await switch.start()
    yield switch
    await switch.stop()


@pytest.fixture
async def make(switchd: Switchd) -> AsyncIterator[MakeDriver]:
    made: list[P4RuntimeDriver] = []

    def build(**settings: Any) -> P4RuntimeDriver:
        made.append(P4RuntimeDriver(SwitchSettings("s1", switchd.address, **settings)))
        return made[-1]

    yield build
    for driver in made:
        await driver.close()


def hosts(count: int) -> list[Source]:
    return [Source((0x0B000001 + at).to_bytes(4, "big")) for at in range(count)]


def one_of_each() -> list[BlockChange]:
    targets: list[Target] = [
        Source(b"\xcb\0\x71\7"),
        Source(SIX + b"\7"),
        Prefix(b"\xc6\x33\x64\0", 24),
        Prefix(SIX + b"\0", 48),
        Flow(17, b"\xcb\0\x71\7", 5060, b"\xc6\x33\x64\x09", 5060),
        Flow(6, SIX + b"\7", 1, SIX + b"\x09", 65535),
    ]
    actions = [Action.DROP, Action.LIMIT, Action.WATCH] * 2
    return [
        BlockChange(Op.INSERT, target, action)
        for target, action in zip(targets, actions, strict=True)
    ]


async def eventually(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_auto_knows_our_own_switch(make: MakeDriver) -> None:
    driver = make()
    await driver.connect()
    assert driver.status.role == "primary"
    assert "XDP" in driver.status.description


async def test_a_pipeline_that_does_not_fit_is_refused_in_one_line_and_nothing_lost(
    make: MakeDriver, tmp_path: Path
) -> None:
    driver = make()
    await driver.connect()
    assert await driver.write(one_of_each()) == []
    info = kit.p4info()
    info.tables[0].size += 1
    spoiled = tmp_path / "p4info"
    spoiled.write_text(str(info))
    with pytest.raises(SwitchError, match="does not fit this switch"):
        await make(p4info=spoiled).connect()
    unloadable = tmp_path / "object"
    unloadable.write_bytes(UNLOADABLE)
    with pytest.raises(SwitchError, match="setting the pipeline"):
        await make(device_config=unloadable).connect()
    last = make()
    await last.connect()
    assert len((await last.read_installed()).blocks) == 6


async def test_every_kind_of_entry_is_written_read_changed_and_deleted(make: MakeDriver) -> None:
    driver = make()
    await driver.connect()
    changes: list[Change] = [
        *one_of_each(),
        AllowChange(Op.INSERT, Source(b"\xc0\0\2\1")),
        AllowChange(Op.INSERT, Source(SIX + b"\2")),
        AllowChange(Op.INSERT, Prefix(SIX + b"\0", 32)),
    ]
    assert await driver.write(changes) == []
    installed = await driver.read_installed()
    assert installed.blocks == {c.target: c.action for c in changes if isinstance(c, BlockChange)}
    assert installed.allows == {c.prefix for c in changes if isinstance(c, AllowChange)}
    failures = await driver.write(changes)
    assert [failure.kind for failure in failures] == [FailureKind.EXISTS] * len(changes)
    for action in (Action.WATCH, Action.LIMIT, Action.DROP):
        modify = [BlockChange(Op.MODIFY, c.target, action) for c in one_of_each()]
        assert await driver.write(modify) == []
        assert set((await driver.read_installed()).blocks.values()) == {action}
    deletes: list[Change] = [BlockChange(Op.DELETE, c.target, Action.DROP) for c in one_of_each()]
    deletes += [AllowChange(Op.DELETE, prefix) for prefix in installed.allows]
    assert await driver.write(deletes) == []
    failures = await driver.write(deletes)
    assert [failure.kind for failure in failures] == [FailureKind.MISSING] * len(deletes)
    installed = await driver.read_installed()
    assert (installed.blocks, installed.allows) == ({}, set())


async def test_settings_arrive_and_are_left_alone_when_right(
    switchd: Switchd, make: MakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "trusted_ports": frozenset({2, 300}),
        "forward": {b"\2\0\0\0\0\2": 2},
        "sip_ports": frozenset({(17, 5060), (6, 5061)}),
        "request_threshold": 50,
        "request_window_seconds": 2.0,
        "sample_rate": 40,
        "sample_burst": 60,
        "sample_bytes": 128,
        "limit_rate": 7,
        "limit_burst": 9,
    }
    driver = make(**settings)
    await driver.connect()
    assert await driver.write(one_of_each()) == []
    plane = switchd.dataplane
    entries = {
        table: sum(len(part) for part in plane.scan(table))
        for table in ("port_side", "l2_forward", "sip_port")
    }
    assert entries == {"port_side": 2, "l2_forward": 1, "sip_port": 2}
    assert plane.policy("request_window") == (50, 1953)
    assert plane.get_meter("sample_meter", 0) == MeterRates(40, 60, 40, 60)
    assert plane.clone_sessions() == {250: 128}
    assert plane.get_meter("limit_meter", 1) == MeterRates(7, 9, 7, 9)
    assert plane.get_meter("limit_meter", 2) is None

    written = []
    plain = Session.write

    async def spy(self: Session, batch: Any) -> Any:
        written.append(batch)
        return await plain(self, batch)

    monkeypatch.setattr(Session, "write", spy)
    await driver.connect()
    assert len((await driver.read_installed()).blocks) == 6
    assert written == []

    less = {**settings, "trusted_ports": frozenset({2}), "forward": {}, "sample_rate": 0}
    changed = make(**{**less, "limit_rate": 8, "request_threshold": 0})
    await changed.connect()
    assert len((await changed.read_installed()).blocks) == 6
    assert plane.get_meter("limit_meter", 1) == MeterRates(8, 9, 8, 9)
    assert plane.clone_sessions() == {}
    assert plane.policy("request_window")[0] == 0
    assert sum(len(part) for part in plane.scan("l2_forward")) == 0


async def test_flood_ports_are_no_obstacle(
    make: MakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    driver = make(flood_ports=frozenset({1, 2}))
    await driver.connect()
    assert "flood_ports has no effect on XDP" in caplog.text


async def test_counters(switchd: Switchd, make: MakeDriver) -> None:
    driver = make()
    await driver.connect()
    source, six = Source(b"\xcb\0\x71\7"), Source(SIX + b"\7")
    await driver.write(
        [BlockChange(Op.INSERT, source, Action.DROP), BlockChange(Op.INSERT, six, Action.WATCH)]
    )
    plane = switchd.dataplane
    plane.inject_hit("source_v4", source.address, 3, 300)
    plane.inject_hit("source_v6", six.address, 2**40, 2**45)
    plane.inject_count("message_in", 6, 5, 500)
    plane.inject_count("message_out", 22, 4, 500)
    plane.inject_count("verdict", 3, 9, 900)
    plane.inject_hit("sip_port", b"\x11\x13\xc4\0", 8, 800)
    found = {
        count.target: (count.packets, count.bytes)
        async for counts in driver.read_counters()
        for count in counts
    }
    assert found == {source: (3, 300), six: (2**40, 2**45)}
    packets = await driver.read_packet_counters()
    assert packets["message_in"]["REGISTER"] == 5
    assert packets["message_out"]["404"] == 4
    assert packets["verdict"]["dropped by source"] == 9
    assert packets["sip_port"]["udp/5060"] == 8
    await driver.write([BlockChange(Op.MODIFY, source, Action.LIMIT)])
    found = {c.target: (c.packets, c.bytes) async for cs in driver.read_counters() for c in cs}
    assert found[source] == (3, 300), "a modified entry keeps its count"


async def test_full_tables(switchd: Switchd, make: MakeDriver) -> None:
    await switchd.stop()
    await switchd.start({"source_v4": 10, "allow_v4": 2})
    driver = make()
    await driver.connect()
    failures = await driver.write([BlockChange(Op.INSERT, h, Action.DROP) for h in hosts(12)])
    assert [failure.kind for failure in failures] == [FailureKind.FULL] * 2
    assert {failure.change.target for failure in failures} == set(hosts(12)[10:])  # type: ignore[union-attr]
    failures = await driver.write([AllowChange(Op.INSERT, host) for host in hosts(3)])
    assert [failure.kind for failure in failures] == [FailureKind.FULL]
    # A refused limit gives its meter cell back.
    limits = [BlockChange(Op.INSERT, host, Action.LIMIT) for host in hosts(13)[10:]]
    assert len(await driver.write(limits)) == 3
    assert len((await driver.read_installed()).blocks) == 10
    assert driver.capacity.tables[TableKind.SOURCE, 4] == 1048576


async def test_evidence(switchd: Switchd, make: MakeDriver) -> None:
    driver = make(request_threshold=20, request_window_seconds=3.0, sample_bytes=64)
    await driver.connect()
    evidence = driver.evidence()
    plane = switchd.dataplane
    for _ in range(2):
        remote = bytes(10) + b"\xff\xff\xcb\0\x71\7"
        plane.inject_event(RemoteDigest(REQUEST_RATE, remote, 20, 3))
        expected = RateCrossed("s1", Source(b"\xcb\0\x71\7"), 20, 3.0, 3, 0.0)
        assert await asyncio.wait_for(anext(evidence), 2) == expected
        await asyncio.sleep(0.05)  # the ack lets the same digest through again
    plane.inject_event(RemoteDigest(REQUEST_RATE, SIX[:8] + bytes(8), 20, 3))
    found = await asyncio.wait_for(anext(evidence), 2)
    assert found == RateCrossed("s1", Prefix(SIX[:8] + bytes(8), 64), 20, 3.0, 3, 0.0)
    plane.inject_event(SampledPacket(2, 1, b"x" * 100))
    assert await asyncio.wait_for(anext(evidence), 2) == FirstPacket("s1", 2, 1, b"x" * 64, 0.0)


async def test_a_flood_of_evidence_is_bounded_and_counted(
    switchd: Switchd, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    for _ in range(5000):
        switchd.dataplane.inject_event(SampledPacket(2, 1, b"x" * 60))
    await eventually(lambda: driver.dropped_evidence > 0)
    assert await driver.write(one_of_each()) == []


async def test_two_controllers_do_not_fight(make: MakeDriver) -> None:
    old, new = make(), make()
    await old.connect()
    await new.connect()
    await eventually(lambda: old.status.role == "disconnected")
    waiting = asyncio.create_task(old.connect())
    await eventually(lambda: old.status.role == "backup")
    await asyncio.sleep(0.2)
    assert (old.status.role, new.status.role) == ("backup", "primary")
    assert await new.write(one_of_each()) == []
    await new.close()
    async with asyncio.timeout(5):
        await waiting
    assert old.status.role == "primary"
    assert len((await old.read_installed()).blocks) == 6
    # Whoever comes back later takes over again, once.
    third = make()
    await third.connect()
    await eventually(lambda: old.status.role == "disconnected")


async def test_several_backups_and_one_place(make: MakeDriver) -> None:
    drivers = [make() for _ in range(4)]
    first = drivers[-1]
    await first.connect()
    waiting = [asyncio.create_task(driver.connect()) for driver in drivers[:-1]]
    await eventually(lambda: all(driver.status.role == "backup" for driver in drivers[:-1]))
    await first.close()
    async with asyncio.timeout(5):
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.3)
    roles = [driver.status.role for driver in drivers[:-1]]
    assert roles.count("primary") == 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_restart_is_noticed_and_the_switch_filled_again(
    switchd: Switchd, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    assert await driver.write(one_of_each()) == []
    await switchd.stop()
    with pytest.raises(SwitchLost):
        await driver.write(one_of_each())
    assert driver.status.role == "disconnected"
    with pytest.raises(SwitchError, match="s1"):
        await driver.connect()
    await switchd.start()
    await driver.connect()
    assert (await driver.read_installed()).blocks == {}
    assert await driver.write(one_of_each()) == []


async def test_ten_thousand_of_everything_in_one_call(make: MakeDriver) -> None:
    driver = make()
    await driver.connect()
    many = hosts(10_000)
    changes: list[Change] = [BlockChange(Op.INSERT, host, Action.LIMIT) for host in many]
    changes += [
        BlockChange(Op.INSERT, Flow(17, host.address, 5060, b"\1\2\3\4", 5060), Action.DROP)
        for host in many
    ]
    changes += [AllowChange(Op.INSERT, host) for host in many[:5000]]
    assert await driver.write(changes) == []
    installed = await driver.read_installed()
    assert len(installed.blocks) == 20_000
    assert len(installed.allows) == 5000
    over = [
        BlockChange(Op.MODIFY, change.target, Action.LIMIT)
        for change in changes[10_000:20_000]
        if isinstance(change, BlockChange)
    ]
    failures = await driver.write(over)
    assert len(failures) == 20_000 - driver.capacity.limiters
    assert {failure.kind for failure in failures} == {FailureKind.FULL}


async def test_what_is_written_while_the_switch_is_read(make: MakeDriver) -> None:
    """The books are right afterwards, whatever the reading saw."""
    sources = hosts(20_000)
    first, last, limited = sources[0], sources[-1], Source(b"\xcb\0\x71\1")
    other, allowed = Source(b"\xcb\0\x71\2"), Source(b"\xc0\0\2\1")
    driver = make()
    await driver.connect()
    await driver.read_installed()
    filled = [BlockChange(Op.INSERT, source, Action.LIMIT) for source in sources[:10]]
    filled += [BlockChange(Op.INSERT, source, Action.DROP) for source in sources[10:]]
    assert not await driver.write(filled)
    reading = asyncio.create_task(driver.read_installed())
    await asyncio.sleep(0.02)
    changes: list[Change] = [
        BlockChange(Op.INSERT, limited, Action.LIMIT),
        BlockChange(Op.DELETE, first, Action.LIMIT),
        BlockChange(Op.MODIFY, last, Action.LIMIT),
        AllowChange(Op.INSERT, allowed),
    ]
    assert not await driver.write(changes)
    assert not reading.done()
    await reading
    more = [
        BlockChange(Op.INSERT, other, Action.LIMIT), BlockChange(Op.INSERT, last, Action.DROP),
        BlockChange(Op.DELETE, first, Action.DROP),
    ]  # fmt: skip
    kinds = [failure.kind for failure in await driver.write(more)]
    assert sorted(kinds, key=str) == [FailureKind.EXISTS, FailureKind.MISSING]
    found = await driver.read_installed()
    wanted = dict.fromkeys((*sources[1:10], last, limited, other), Action.LIMIT)
    wanted |= dict.fromkeys(sources[10:-1], Action.DROP)
    assert found.blocks == wanted
    assert found.allows == {allowed}
    entries = driver._ready.entries  # type: ignore[union-attr]
    cells = [entries._limiters.cell(target) for target in found.blocks]
    assert len({cell for cell in cells if cell is not None}) == 12
