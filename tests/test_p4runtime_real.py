"""The driver against real switches that forward packets: BMv2 and XDP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4r

from sdnblock.block import Action, Flow, Prefix, Source, Target
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import FirstPacket, RateCrossed
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Change,
    FailureKind,
    Op,
    SwitchLost,
    TableKind,
)
from sdnblock.switches.p4runtime.channel import open_channel
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.p4runtime.session import Refused, Session
from sdnblock.switches.settings import SwitchSettings
from tests import p4runtime_kit as kit
from tests.p4runtime_machines import Machine, options_from, running, send

pytestmark = [pytest.mark.root]

MakeDriver = Callable[..., P4RuntimeDriver]
MAC = b"\2\0\0\0\0\2"


@pytest.fixture(params=[pytest.param("bmv2", marks=pytest.mark.bmv2), "xdp"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def machine(kind: str, tmp_path: Path) -> Iterator[Machine]:
    kit.artifact("sdnblock.json")
    yield from running(kind, tmp_path)


@pytest.fixture
async def switch(machine: Machine) -> Machine:
    await machine.start()
    return machine


@pytest.fixture
async def make(switch: Machine) -> AsyncIterator[MakeDriver]:
    made: list[P4RuntimeDriver] = []

    def build(**settings: Any) -> P4RuntimeDriver:
        values = {"trusted_ports": frozenset({2}), "forward": {MAC: 2}, **settings}
        made.append(P4RuntimeDriver(SwitchSettings("s1", switch.address, **values)))
        return made[-1]

    yield build
    for driver in made:
        await driver.close()


only_bmv2 = pytest.mark.parametrize(
    "kind", [pytest.param("bmv2", marks=pytest.mark.bmv2)], indirect=False
)


def hosts(count: int) -> list[Source]:
    return [Source((0x0B000001 + at).to_bytes(4, "big")) for at in range(count)]


def one_of_each() -> list[BlockChange]:
    six = b"\x20\x01\x0d\xb8" + bytes(11)
    targets: list[Target] = [
        Source(b"\xcb\0\x71\7"),
        Source(six + b"\7"),
        Source(bytes(15) + b"\1"),
        Prefix(b"\xc6\x33\x64\0", 24),
        Prefix(six + b"\0", 48),
        Flow(17, b"\xcb\0\x71\7", 5060, b"\xc6\x33\x64\x09", 5060),
        Flow(6, six + b"\7", 1, six + b"\x09", 65535),
    ]
    actions = [Action.DROP, Action.LIMIT, Action.WATCH, Action.DROP, Action.LIMIT, Action.LIMIT]
    actions.append(Action.DROP)
    return [
        BlockChange(Op.INSERT, target, action)
        for target, action in zip(targets, actions, strict=True)
    ]


async def test_every_kind_of_entry_is_written_read_changed_and_deleted(
    kind: str, make: MakeDriver
) -> None:
    driver = make(flood_ports=frozenset({1, 2}), request_threshold=30)
    await driver.connect()
    assert driver.status.role == "primary"
    assert {"bmv2": "BMv2", "xdp": "XDP"}[kind] in driver.status.description
    changes: list[Change] = [
        *one_of_each(),
        AllowChange(Op.INSERT, Source(b"\xc0\0\2\1")),
        AllowChange(Op.INSERT, Prefix(b"\x20\x01\x0d\xb8" + bytes(12), 32)),
    ]
    assert await driver.write(changes) == []
    installed = await driver.read_installed()
    assert installed.blocks == {c.target: c.action for c in changes if isinstance(c, BlockChange)}
    assert installed.allows == {c.prefix for c in changes if isinstance(c, AllowChange)}

    assert {failure.kind for failure in await driver.write(changes)} == {FailureKind.EXISTS}
    to_watch = [BlockChange(Op.MODIFY, c.target, Action.WATCH) for c in one_of_each()]
    assert await driver.write(to_watch) == []
    assert set((await driver.read_installed()).blocks.values()) == {Action.WATCH}
    deletes: list[Change] = [BlockChange(Op.DELETE, c.target, Action.DROP) for c in to_watch]
    deletes += [AllowChange(Op.DELETE, prefix) for prefix in installed.allows]
    assert await driver.write(deletes) == []
    failures = await driver.write(deletes)
    assert {failure.kind for failure in failures} == {FailureKind.MISSING}
    assert len(failures) == len(deletes)
    installed = await driver.read_installed()
    assert (installed.blocks, installed.allows) == ({}, set())


async def test_settings_are_read_back_and_left_alone(
    kind: str, make: MakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make(flood_ports=frozenset({1, 2}), request_threshold=30)
    await driver.connect()
    await driver.write(one_of_each())
    written: list[p4r.WriteRequest] = []
    plain = Session.write

    async def spy(self: Session, batch: p4r.WriteRequest) -> list[p4r.Error] | None:
        written.append(batch)
        return await plain(self, batch)

    monkeypatch.setattr(Session, "write", spy)
    await driver.connect()
    assert len((await driver.read_installed()).blocks) == 7
    assert written == [], "everything was as wanted"
    changed = make(trusted_ports=frozenset({1}), sample_rate=0, request_threshold=31, limit_rate=5)
    await changed.connect()
    assert len((await changed.read_installed()).blocks) == 7
    replications = {"bmv2": 2, "xdp": 1}[kind]  # XDP has no group to flood to
    assert [batch.updates[0].entity.WhichOneof("entity") for batch in written] == [
        *["table_entry"] * 3,
        *["meter_entry"] * 2,  # samples, and what the outcome walk holds
        *["packet_replication_engine_entry"] * replications,
        "meter_entry",
    ]


async def test_counters_limit_samples_and_digests_on_packets(
    switch: Machine, make: MakeDriver
) -> None:
    driver = make(request_threshold=20, request_window_seconds=30.0, limit_rate=1, limit_burst=5)
    await driver.connect()
    dropped, limited, watched = (Source(bytes([192, 0, 2, n])) for n in (1, 2, 3))
    changes = [
        BlockChange(Op.INSERT, dropped, Action.DROP),
        BlockChange(Op.INSERT, limited, Action.LIMIT),
        BlockChange(Op.INSERT, watched, Action.WATCH),
    ]
    assert await driver.write(changes) == []
    evidence = driver.evidence()
    wire = switch.wire(1)
    frame = options_from(b"\xcb\0\x71\x2a")
    await send(wire, frame, 25)
    for source in (dropped, limited, watched):
        await send(wire, options_from(source.address), 10)

    async def counts() -> dict[Target, tuple[int, int]]:
        return {
            count.target: (count.packets, count.bytes)
            async for part in driver.read_counters()
            for count in part
        }

    async with asyncio.timeout(20):
        while (await counts())[watched][0] < 10:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert set((await counts()).values()) == {(10, 10 * len(frame))}
    packets = await driver.read_packet_counters()
    verdict = packets["verdict"]
    assert (verdict["dropped by source"], verdict["watched"]) == (10, 10)
    assert verdict["limited, passed"] + verdict["dropped by limit"] == 10
    assert 5 <= verdict["limited, passed"] <= 7
    passed = 25 + 10 + verdict["limited, passed"]
    assert packets["message_in"]["OPTIONS"] == passed
    assert packets["sip_port"]["udp/5060"] == 55

    async with asyncio.timeout(20):
        found = [await anext(evidence) for _ in range(11)]
    crossed = RateCrossed("s1", Source(b"\xcb\0\x71\x2a"), 20, 30.0, 1, 0.0)
    assert found.count(crossed) == 1
    assert found.count(FirstPacket("s1", 1, 1, options_from(watched.address), 0.0)) == 10

    # A modified entry keeps its count.
    await driver.write([BlockChange(Op.MODIFY, dropped, Action.WATCH)])
    assert (await counts())[dropped][0] == 10
    wire.close()


async def test_a_full_table_is_told_entry_by_entry(make: MakeDriver) -> None:
    driver = make()
    await driver.connect()
    size = driver.capacity.tables[TableKind.ALLOW, 4]
    changes = [AllowChange(Op.INSERT, host) for host in hosts(size + 3)]
    failures = await driver.write(changes)
    assert len(failures) == 3
    assert {failure.kind for failure in failures} == {FailureKind.FULL}
    assert len((await driver.read_installed()).allows) == size
    # The failures free nothing and break nothing.
    assert await driver.write([AllowChange(Op.DELETE, hosts(1)[0])]) == []


async def test_a_restart_is_noticed_and_answered_with_everything(
    switch: Machine, make: MakeDriver
) -> None:
    driver = make()
    await driver.connect()
    assert await driver.write(one_of_each()) == []
    switch.stop()
    with pytest.raises(SwitchLost):
        await driver.write(one_of_each())
    with pytest.raises(SwitchLost):
        await driver.connect()
    await switch.start()
    async with asyncio.timeout(20):
        while driver.status.role != "primary":
            try:
                await driver.connect()
            except SwitchLost:
                await asyncio.sleep(0.1)
    assert (await driver.read_installed()).blocks == {}
    assert await driver.write(one_of_each()) == []


async def test_entries_survive_the_controller(make: MakeDriver) -> None:
    first = make()
    await first.connect()
    await first.write(one_of_each())
    await first.close()
    second = make()
    await second.connect()
    assert len((await second.read_installed()).blocks) == 7


async def test_two_controllers_do_not_fight(make: MakeDriver) -> None:
    old, new = make(), make()
    await old.connect()
    await new.connect()
    async with asyncio.timeout(5):
        while old.status.role == "primary":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    waiting = asyncio.create_task(old.connect())
    await asyncio.sleep(0.5)
    assert (old.status.role, new.status.role) == ("backup", "primary")
    await new.write(one_of_each())
    await new.close()
    async with asyncio.timeout(5):
        await waiting
    assert old.status.role == "primary"
    assert len((await old.read_installed()).blocks) == 7


async def push(address: str, action: Any, device_config: bytes) -> None:
    """Set a pipeline as another controller would, and leave."""
    settings = SwitchSettings("s1", address)
    session = Session(open_channel(settings), 1, "vandal", 10.0, lambda message: None)
    await session.open(1)
    await session.become_primary()
    config = p4r.ForwardingPipelineConfig(p4info=kit.p4info(), p4_device_config=device_config)
    try:
        await session.set_config(action, config, 10.0)
    finally:
        await session.close()


@only_bmv2
async def test_a_pipeline_that_somebody_saved_and_did_not_commit_is_no_obstacle(
    switch: Machine, make: MakeDriver
) -> None:
    action = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_SAVE
    await push(switch.address, action, kit.artifact("sdnblock.json").read_bytes())
    driver = make()
    await driver.connect()
    assert await driver.write(one_of_each()) == []


@only_bmv2
async def test_a_pipeline_broken_by_somebody_is_one_line(switch: Machine, make: MakeDriver) -> None:
    driver = make()
    await driver.connect()
    await driver.close()
    with pytest.raises(Refused):
        await push(
            switch.address,
            p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            b"{ not json",
        )
    with pytest.raises(SwitchError, match="restart the switch"):
        await driver.connect()
