"""Reading without a say: the reader of the command line, on fakes and on real switches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from finsy.proto import p4r

from sdnblock.block import Action, Target, parse_prefix, parse_target
from sdnblock.errors import SwitchError
from sdnblock.switches.driver import AllowChange, BlockChange, Change, Op
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.p4runtime.reader import open_reader
from sdnblock.switches.settings import SwitchSettings
from tests import p4runtime_kit as kit
from tests.p4runtime_fake import FakeSwitch, serve
from tests.p4runtime_machines import Machine, options_from, running, send

MAC = b"\2\0\0\0\0\2"
ALLOWED = parse_prefix("198.51.100.0/24")
TARGETS: dict[Target, Action] = {
    parse_target("10.0.0.1"): Action.DROP,
    parse_target("10.0.1.0/24"): Action.LIMIT,
    parse_target("udp:10.0.0.2:5060>198.51.100.9:5060"): Action.WATCH,
    parse_target("2001:db8::1"): Action.WATCH,
    parse_target("2001:db8:1::/48"): Action.DROP,
    parse_target("tcp:[2001:db8::1]:5060>[2001:db8::9]:5061"): Action.DROP,
}


@pytest.fixture
async def switch() -> FakeSwitch:
    return FakeSwitch()


@pytest.fixture
async def settings(switch: FakeSwitch, tmp_path: Path) -> AsyncIterator[SwitchSettings]:
    server, address = await serve(switch, tmp_path / "s")
    yield SwitchSettings("s1", address, rpc_timeout=2.0)
    await server.stop(0)


def running_config() -> p4r.ForwardingPipelineConfig:
    """What a switch of ours answers."""
    config = p4r.ForwardingPipelineConfig(p4info=kit.p4info())
    config.cookie.cookie = 1
    return config


async def refused(settings: SwitchSettings) -> str:
    """Why no reader can be had."""
    with pytest.raises(SwitchError) as caught:
        async with open_reader(settings):
            pass
    line = str(caught.value)
    assert "\n" not in line and line.startswith(f"switch s1 ({settings.address}")
    return line


async def test_a_pipeline_that_is_not_ours(switch: FakeSwitch, settings: SwitchSettings) -> None:
    switch.config = running_config()
    del switch.config.p4info.tables[:]
    assert "it is not sdnblock's pipeline" in await refused(settings)


async def test_no_pipeline_is_said_in_whatever_way(
    switch: FakeSwitch, settings: SwitchSettings
) -> None:
    assert "runs no pipeline yet: start sdnblock run" in await refused(settings)

    switch.config = p4r.ForwardingPipelineConfig()
    assert "runs no pipeline yet: start sdnblock run" in await refused(settings)


@pytest.mark.parametrize("rpc", ["Capabilities", "GetForwardingPipelineConfig"])
async def test_refusals_are_told(switch: FakeSwitch, settings: SwitchSettings, rpc: str) -> None:
    switch.config = running_config()

    async def refuse(request: Any, context: Any) -> bool:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not\nfor \x1b[2J you")
        return True

    switch.hooks[rpc] = refuse
    assert await refused(settings)


async def test_another_version_of_ours_is_read_all_the_same(
    switch: FakeSwitch, settings: SwitchSettings
) -> None:
    switch.config = running_config()
    async with open_reader(settings) as reader:
        assert reader.description == "P4Runtime 1.3.0, sdnblock's pipeline of another version"
        assert [part async for part in reader.entries() if part] == []


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN])
async def test_no_such_entry(
    switch: FakeSwitch, settings: SwitchSettings, code: grpc.StatusCode
) -> None:
    switch.config = running_config()

    async def absent(request: Any, context: Any) -> bool:
        await context.abort(code, "no such entry")
        return True

    switch.hooks["Read"] = absent
    async with open_reader(settings) as reader:
        assert await reader.entry(parse_target("203.0.113.7")) is None


async def test_a_server_that_ignores_the_key_is_not_believed(
    switch: FakeSwitch, settings: SwitchSettings
) -> None:
    switch.config = running_config()
    updates = p4r.WriteRequest().updates
    kit.codec().add_block(updates, Op.INSERT, parse_target("10.0.0.1"), Action.DROP, None)
    switch.store[b"x"] = updates[0].entity
    async with open_reader(settings) as reader:
        assert await reader.entry(parse_target("203.0.113.7")) is None
        found = await reader.entry(parse_target("10.0.0.1"))
        assert found is not None and found.action is Action.DROP
        assert switch.streams == {} and switch.writes == []


async def test_nobody_there(tmp_path: Path) -> None:
    settings = SwitchSettings("s1", f"unix:{tmp_path}/none", rpc_timeout=2.0)
    assert "cannot connect" in await refused(settings)


@pytest.fixture(params=[pytest.param("bmv2", marks=pytest.mark.bmv2), "xdp"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    kit.artifact("sdnblock.json")
    yield from running(request.param, tmp_path)


@pytest.mark.root
async def test_real_switches(machine: Machine) -> None:
    await machine.start()
    settings = SwitchSettings("s1", machine.address, forward={MAC: 2})
    assert "runs no pipeline yet: start sdnblock run" in await refused(settings)
    driver = P4RuntimeDriver(settings)
    try:
        await driver.connect()
        changes: list[Change] = [AllowChange(Op.INSERT, ALLOWED)]
        changes += [BlockChange(Op.INSERT, target, act) for target, act in TARGETS.items()]
        assert await driver.write(changes) == []
        wire = machine.wire(1)
        await send(wire, options_from(bytes((10, 0, 0, 1))), 5)
        wire.close()
        async with open_reader(settings) as reader:
            assert "sdnblock's pipeline (sdnblock." in reader.description
            installed = await reader.installed()
            assert installed.blocks == TARGETS
            assert installed.allows == {ALLOWED}
            assert (reader.limiters, reader.foreign) == (1, 0)
            for target, action in TARGETS.items():
                found = await reader.entry(target)
                assert found is not None and (found.target, found.action) == (target, action)
            counted = await reader.entry(parse_target("10.0.0.1"))
            assert counted is not None and counted.packets == 5
            assert counted.bytes is not None and counted.bytes > 300
            entries = [entry async for part in reader.entries() for entry in part]
            assert counted in entries
            for text in ("10.0.0.9", "10.0.2.0/24", "2001:db8::2"):
                assert await reader.entry(parse_target(text)) is None
            counters = await reader.packet_counters()
            assert counters["verdict"]["dropped by source"] == 5
        assert driver.status.role == "primary"
    finally:
        await driver.close()
