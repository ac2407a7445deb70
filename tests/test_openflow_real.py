"""The OpenFlow driver against a real Open vSwitch, which connects over a unix socket."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.processes import run
from sdnblock.block import Action, Source, Target, parse_prefix, parse_target
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import REASON_ANSWER, REASON_FIRST, FirstPacket
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Change,
    FailureKind,
    Op,
    SwitchLost,
)
from sdnblock.switches.openflow import role
from sdnblock.switches.openflow.driver import OpenFlowDriver
from sdnblock.switches.openflow.listener import Listener
from sdnblock.switches.settings import FirstSettings, SwitchSettings
from tests.dataplane import packets
from tests.openflow_switch import DATAPATH_ID, Vswitch

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(shutil.which("ovs-vswitchd") is None, reason="no Open vSwitch"),
]

TEXTS = (
    "11.0.0.1", "11.0.1.0/24", "2001:db8::1", "2001:db8::/32",
    "udp:11.0.0.1:5060>11.0.0.2:5062", "tcp:[2001:db8::1]:1>[2001:db8::2]:65535",
)  # fmt: skip
BUDGETS = 1
"""Meters that are not for targets: that of watched packets."""
TARGETS = [parse_target(text) for text in TEXTS]


@pytest.fixture
async def switch() -> AsyncIterator[Vswitch]:
    made = Vswitch()
    try:
        await made.open()
        yield made
    finally:
        await made.close()


def settings_for(switch: Vswitch, name: str = "of", **changes: Any) -> SwitchSettings:
    return replace(
        SwitchSettings("ovs", f"unix:{switch.directory}/{name}.sock", rpc_timeout=5.0),
        protocol="openflow",
        datapath_id=DATAPATH_ID,
        trusted_ports=frozenset([2]),
        **changes,
    )


@asynccontextmanager
async def driving(
    switch: Vswitch, settings: SwitchSettings | None = None
) -> AsyncIterator[OpenFlowDriver]:
    """A connected driver."""
    settings = settings or settings_for(switch)
    driver = OpenFlowDriver(settings, Listener(settings.address, settings.tls))
    try:
        connecting = asyncio.create_task(driver.connect())
        await asyncio.sleep(0.05)
        await switch.controller(settings.address)
        await connecting
        yield driver
    finally:
        await driver.close()


def sip(source: str, sport: int, dport: int) -> bytes:
    """An Ethernet frame with the beginning of a SIP request."""
    datagram = packets.udp(packets.OPTIONS, sport, dport)
    return packets.ether(packets.ip4(datagram, packets.UDP, source), 0x0800, to=b"\xff" * 6)


async def until(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it does not happen"
        await asyncio.sleep(0.01)


def block(target: Target, action: Action = Action.DROP, op: Op = Op.INSERT) -> BlockChange:
    return BlockChange(op, target, action)


async def shapes(switch: Vswitch) -> list[str]:
    """The switch's flows; which meter it is that limits does not matter."""
    return sorted(re.sub(r"meter:\d+", "meter", flow) for flow in await switch.flows())


async def passing(switch: Vswitch, count: int) -> int:
    """How many of 11.0.0.0, 11.0.0.1... get a frame from h1 to h2."""
    out = await run(
        *switch.inside("outside"), sys.executable, "-m", "bench.passing", str(count), "1"
    )
    return int(out)


async def test_everything_written_is_read_back(switch: Vswitch) -> None:
    async with driving(switch) as driver:
        assert driver.status.role == "primary"
        assert "Open vSwitch" in driver.status.description
        assert (await driver.read_installed()).blocks == {}
        wanted = dict(zip(TARGETS, [Action.DROP, Action.LIMIT, Action.WATCH] * 2, strict=True))
        assert await driver.write([block(t, a) for t, a in wanted.items()]) == []
        allows = [parse_prefix(text) for text in ("12.0.0.0/8", "11.0.0.9", "2001:db8:1::/48")]
        assert await driver.write([AllowChange(Op.INSERT, allow) for allow in allows]) == []
        for action in (Action.LIMIT, Action.WATCH, Action.LIMIT, Action.LIMIT, Action.DROP):
            found = await driver.read_installed()
            assert found.blocks == wanted and found.allows == set(allows)
            wanted = dict.fromkeys(TARGETS, action)
            changes = [block(t, action, Op.MODIFY) for t in wanted]
            assert await driver.write(changes) == []
        assert await driver.write([block(t, Action.DROP, Op.DELETE) for t in TARGETS]) == []
        assert await driver.write([AllowChange(Op.DELETE, allow) for allow in allows]) == []
        found = await driver.read_installed()
        assert (found.blocks, found.allows) == ({}, set())
        assert (await switch.ofctl("dump-meters")).count("meter=") == BUDGETS


async def test_what_is_there_or_not_is_said(switch: Vswitch) -> None:
    async with driving(switch) as driver:
        first, second = TARGETS[:2]
        assert await driver.write([block(first)]) == []
        failures = await driver.write(
            [block(first), block(second, op=Op.MODIFY), block(second, op=Op.DELETE)]
        )
        assert [f.kind for f in failures] == [
            FailureKind.EXISTS, FailureKind.MISSING, FailureKind.MISSING,
        ]  # fmt: skip


async def test_nobody_elses_flows_and_meters_are_touched(switch: Vswitch) -> None:
    theirs = [
        "table=0,priority=0,actions=NORMAL",
        "table=0,priority=35000,ip,nw_src=11.0.0.200,actions=drop",
        "table=0,priority=7,in_port=1,cookie=0x5,actions=goto_table:1",
        "table=1,priority=0,actions=drop",
    ]
    await switch.controller(settings_for(switch).address)  # the first one empties the tables
    for flow in theirs:
        await switch.ofctl("add-flow", flow)
    await switch.ofctl("add-meter", "meter=1,pktps,band=type=drop,rate=5")
    before = await switch.flows()
    async with driving(switch) as driver:
        assert (await driver.read_installed()).blocks == {}
        await driver.write([block(target, Action.LIMIT) for target in TARGETS])
        await driver.write([block(target, op=Op.MODIFY) for target in TARGETS])
        missing = block(parse_target("11.0.0.200"), op=Op.DELETE)
        assert [f.kind for f in await driver.write([missing])] == [FailureKind.MISSING]
        await driver.write([block(target, op=Op.DELETE) for target in TARGETS])
        after = await switch.flows()
        others = [flow for flow in after if "0x73646e626c6f6b" not in flow]
        assert sorted(others) == sorted(before)
        assert "meter=1 " in await switch.ofctl("dump-meters")


async def test_a_full_table_is_said_for_the_entries_that_did_not_fit(switch: Vswitch) -> None:
    await switch.vsctl(
        *("--", "--id=@t", "create", "Flow_Table", "flow_limit=135", "overflow_policy=refuse"),
        *("--", "set", "Bridge", "br0", "flow_tables:1=@t"),
    )
    async with driving(switch) as driver:
        changes = [block(Source(bytes([11, 0, 0, n]))) for n in range(1, 31)]
        assert set(driver.capacity.tables.values()) == {10}
        failures = await driver.write(changes)
        assert len(failures) == 20 and {f.kind for f in failures} == {FailureKind.FULL}
        refused = {id(f.change) for f in failures}
        taken = {c.target for c in changes if id(c) not in refused}
        assert set((await driver.read_installed()).blocks) == taken


async def test_frames_meet_the_entry_of_highest_priority(switch: Vswitch) -> None:
    async with driving(switch) as driver:
        assert await passing(switch, 32) == 32
        await driver.write([block(parse_target("11.0.0.0/28"))])
        assert await passing(switch, 32) == 16
        longer = block(parse_target("11.0.0.0/29"), Action.WATCH)
        await driver.write([longer])
        assert await passing(switch, 32) == 24  # the longest prefix
        await driver.write([block(parse_target("11.0.0.1"))])
        assert await passing(switch, 32) == 23  # a source is above it
        flow = parse_target("udp:11.0.0.1:40000>198.51.100.9:5060")
        await driver.write([block(flow, Action.WATCH)])
        assert await passing(switch, 32) == 24  # a flow is above that
        await driver.write([block(parse_target("11.0.0.20"))])
        await driver.write([AllowChange(Op.INSERT, parse_prefix("11.0.0.0/24"))])
        assert await passing(switch, 32) == 32  # allow is above all


async def counted(driver: OpenFlowDriver, target: Target, packets: int) -> None:
    """Wait until the switch has counted so many; Open vSwitch takes up to a second."""
    deadline = time.monotonic() + 5
    while True:
        found = {c.target: c async for counts in driver.read_counters() for c in counts}
        if found[target].packets == packets:
            assert found[target].bytes == packets * 64
            return
        assert time.monotonic() < deadline, found[target]
        await asyncio.sleep(0.1)


async def test_counters_agree_to_the_packet(switch: Vswitch) -> None:
    prefix, source = parse_target("11.0.0.0/28"), parse_target("11.0.0.5")
    async with driving(switch) as driver:
        await driver.write([block(prefix), block(source)])
        for _ in range(3):
            assert await passing(switch, 32) == 16
        await counted(driver, source, 3)
        await counted(driver, prefix, 45)
        await driver.write([block(prefix, Action.WATCH, Op.MODIFY)])
        await passing(switch, 32)
        await counted(driver, prefix, 60)  # a change in place goes on counting
        verdict = (await driver.read_packet_counters())["verdict"]
        assert verdict["passed"] >= 48 and verdict["allowed"] == 0


async def test_every_blocks_counters_are_read_also_those_of_an_older_version(
    switch: Vswitch,
) -> None:
    """Which gave all blocks one cookie."""
    hosts: set[Target] = {Source(bytes((11, 0, n >> 8, n & 255))) for n in range(1, 1001)}
    old = parse_target("11.0.200.1")
    async with driving(switch) as driver:
        assert (await driver.read_installed()).blocks == {}
        await switch.ofctl(
            "add-flow",
            "cookie=0x73646e626c6f6b01,table=1,priority=35000,ip,nw_src=11.0.200.1,actions=drop",
        )
        assert (await driver.read_installed()).blocks == {old: Action.DROP}
        assert await driver.write([block(host) for host in hosts]) == []
        found = [count.target async for counts in driver.read_counters() for count in counts]
        assert len(found) == len(set(found)) == 1001 and set(found) == hosts | {old}
        assert await driver.write([block(old, op=Op.DELETE)]) == []
        assert set((await driver.read_installed()).blocks) == hosts


async def test_limit_lets_a_little_through(switch: Vswitch) -> None:
    settings = settings_for(switch, limit_rate=2, limit_burst=2)
    async with driving(switch, settings) as driver:
        await driver.write([block(parse_target("11.0.0.0/25"), Action.LIMIT)])
        assert 1 <= await passing(switch, 100) <= 10
    # Another rate reaches the meters that are in use.
    async with driving(switch, settings_for(switch, limit_rate=5000, limit_burst=5000)) as driver:
        assert len((await driver.read_installed()).blocks) == 1
        assert "rate=5000 burst_size=5000" in await switch.ofctl("dump-meters")
        assert await passing(switch, 100) == 100


async def test_some_watched_packets_reach_us(switch: Vswitch) -> None:
    settings = settings_for(switch, sample_rate=3, sample_burst=3, sample_bytes=40)
    async with driving(switch, settings) as driver:
        await driver.write([block(parse_target("11.0.0.0/24"), Action.WATCH)])
        assert await passing(switch, 100) == 100
        found: list[FirstPacket] = []

        async def collect() -> None:
            async for event in driver.evidence():
                assert isinstance(event, FirstPacket)
                found.append(event)

        with suppress(TimeoutError):
            await asyncio.wait_for(collect(), 1.0)
        assert 1 <= len(found) <= 20
        assert {(event.switch, event.port, event.reason) for event in found} == {("ovs", 1, 1)}
        assert all(len(event.frame) == 40 and event.frame[26] == 11 for event in found)


async def test_a_switch_that_restarts_empty_is_lost_and_found(switch: Vswitch) -> None:
    async with driving(switch) as driver:
        await driver.write([block(target) for target in TARGETS])
        await switch.restart()
        with pytest.raises(SwitchLost, match="connection"):
            for _ in range(100):
                await driver.write(())
                await asyncio.sleep(0.05)
        assert driver.status.role == "disconnected"
        await driver.connect()
        assert (await driver.read_installed()).blocks == {}
        assert await driver.write([block(target) for target in TARGETS]) == []


async def test_the_next_controller_finds_everything(switch: Vswitch) -> None:
    async with driving(switch) as driver:
        await driver.write([block(target, Action.LIMIT) for target in TARGETS])
        before = await switch.flows()
    assert await switch.flows() == before  # it has gone, nothing has changed
    async with driving(switch) as driver:
        found = await driver.read_installed()
        assert found.blocks == dict.fromkeys(TARGETS, Action.LIMIT)
        assert await switch.flows() == before
        more = [block(Source(bytes([13, 0, 0, n])), Action.LIMIT) for n in range(1, 9)]
        assert await driver.write(more) == []
        assert len((await driver.read_installed()).blocks) == len(TARGETS) + 8


async def test_the_newest_controller_is_master_and_the_other_takes_over(
    switch: Vswitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "TICK", 0.1)
    monkeypatch.setattr(role, "_GONE", 1.0)
    async with AsyncExitStack() as stack:
        old_settings, new_settings = settings_for(switch, "old"), settings_for(switch, "new")
        old = await stack.enter_async_context(driving(switch, old_settings))
        new = OpenFlowDriver(new_settings, Listener(new_settings.address))
        stack.push_async_callback(new.close)
        connecting = asyncio.create_task(new.connect())
        await asyncio.sleep(0.1)
        await switch.controller(old_settings.address, new_settings.address)
        await asyncio.wait_for(connecting, 10)
        with pytest.raises(SwitchLost, match="another controller"):
            for _ in range(20):
                await old.write([block(TARGETS[0])])
                await asyncio.sleep(0.1)
        waiting = asyncio.create_task(old.connect())
        for _ in range(30):
            await new.write(())
            await asyncio.sleep(0.1)
        assert not waiting.done() and old.status.role == "backup"
        await new.close()
        await asyncio.wait_for(waiting, 10)
        assert await old.write([block(TARGETS[1])]) == []


async def test_a_switch_that_does_not_come_is_an_error_of_one_line(tmp_path: Path) -> None:
    settings = SwitchSettings(
        "edge", f"unix:{tmp_path}/x", rpc_timeout=0.2, protocol="openflow", datapath_id=1
    )
    driver = OpenFlowDriver(settings, Listener(settings.address))
    with pytest.raises(SwitchError, match=r"edge .*has not connected to unix:"):
        await driver.connect()
    await driver.close()


async def test_somebody_elses_removals_are_noticed_and_ours_are_not(switch: Vswitch) -> None:
    settings = settings_for(switch, first=FirstSettings(packets=1))
    async with driving(switch, settings) as driver:
        noticed: list[None] = []
        driver.on_disturbed(lambda: noticed.append(None))
        wanted = dict.fromkeys(TARGETS, Action.LIMIT)
        await driver.write([block(target, action) for target, action in wanted.items()])
        await driver.write([AllowChange(Op.INSERT, parse_prefix("12.0.0.0/8"))])
        others = [block(Source(bytes([13, 0, 0, n])), Action.LIMIT) for n in range(1, 9)]
        await driver.write(others)
        await driver.write([block(each.target, op=Op.DELETE) for each in others])
        before = await switch.flows()
        assert (await driver.read_installed()).blocks == wanted
        assert await switch.flows() == before and noticed == []
        shape = await shapes(switch)
        for removal in (
            "table=1,ip,nw_src=11.0.0.1",  # a block
            "table=1,ip,nw_src=12.0.0.0/8",  # an allow entry
            "table=1,udp,tp_dst=5070",  # a flow of our pipeline
            "",  # everything
        ):
            await switch.ofctl("del-flows", *([removal] if removal else []))
            await until(lambda: bool(noticed))
            held = (await driver.read_installed()).blocks
            await driver.write([block(t, wanted[t]) for t in wanted if t not in held])
            await driver.write([AllowChange(Op.INSERT, parse_prefix("12.0.0.0/8"))])
            assert await shapes(switch) == shape, removal
            noticed.clear()


async def test_first_requests_and_answers_are_copied_each_within_its_budget(
    switch: Vswitch,
) -> None:
    budget = FirstSettings(packets=1, rate=20, burst=20)
    settings = settings_for(switch, first=budget, sample_bytes=200)
    async with driving(switch, settings) as driver:
        found: list[FirstPacket] = []

        async def collect() -> None:
            async for event in driver.evidence():
                assert isinstance(event, FirstPacket)
                found.append(event)

        collecting = asyncio.create_task(collect())
        await driver.write([block(parse_target("11.0.0.7")), block(parse_target("11.0.0.8"))])
        await driver.write([AllowChange(Op.INSERT, parse_prefix("11.0.0.8"))])
        # A flood of requests; answers (from the trusted side) come through all the same.
        switch.send("h1", [sip("11.0.0.9", 5999, 5060)] * 2000)
        switch.send("h2", [sip("11.0.0.99", 5060, 5999)] * 5)
        switch.send("h1", [sip("11.0.0.9", 5060, 5999)] * 5)  # no SIP port on our side
        switch.send("h1", [sip("11.0.0.7", 5999, 5060)] * 5)  # blocked
        switch.send("h1", [sip("11.0.0.8", 5999, 5060)] * 5)  # allowed
        await until(lambda: sum(e.reason == REASON_ANSWER for e in found) == 5)
        requests = [event for event in found if event.reason == REASON_FIRST]
        assert 10 <= len(requests) <= 80
        assert {event.port for event in requests} == {1}
        assert {event.frame[26:30] for event in requests} == {bytes([11, 0, 0, 9])}
        assert {event.port for event in found if event.reason == REASON_ANSWER} == {2}
        assert len(found) == len(requests) + 5
        collecting.cancel()
        # Every packet was counted once, by its SIP port; and nothing was lost.
        wanted = {"passed": 2005, "dropped by source": 5, "allowed": 5}
        counters: dict[str, dict[str, int]] = {}
        for _ in range(50):  # Open vSwitch gathers them within a second
            counters = await driver.read_packet_counters()
            if counters["sip_port"]["udp/5060"] == 2015:
                break
            await asyncio.sleep(0.1)
        assert {port: n for port, n in counters["sip_port"].items() if n} == {"udp/5060": 2015}
        assert {name: n for name, n in counters["verdict"].items() if n} == wanted


async def test_what_is_written_while_the_switch_is_read(switch: Vswitch) -> None:
    """The books are right afterwards, whatever the reading saw."""
    hosts = [Source((0x0B000001 + number).to_bytes(4, "big")) for number in range(3000)]
    first, last = hosts[0], hosts[-1]
    limited, watched = parse_target("203.0.113.1"), parse_target("203.0.113.2")
    allowed = Source(bytes((192, 0, 2, 1)))
    async with driving(switch) as driver:
        assert not await driver.write([block(host, Action.WATCH) for host in hosts])
        reading = asyncio.create_task(driver.read_installed())
        await asyncio.sleep(0.01)
        changes: list[Change] = [
            block(limited, Action.LIMIT), block(watched, Action.WATCH),
            block(first, op=Op.DELETE), block(last, Action.LIMIT, Op.MODIFY),
            AllowChange(Op.INSERT, allowed),
        ]  # fmt: skip
        assert not await driver.write(changes)
        assert not reading.done()
        await reading
        # Known is what is there: no more can be inserted, no less deleted.
        failures = await driver.write([block(limited), block(last), block(first, op=Op.DELETE)])
        kinds = [failure.kind for failure in failures]
        assert kinds == [FailureKind.EXISTS, FailureKind.EXISTS, FailureKind.MISSING]
        assert not await driver.write([block(parse_target("203.0.113.3"), Action.LIMIT)])
        meters = [m for f in await switch.flows() for m in re.findall(r"meter:(\d+)", f)]
        assert len(meters) == len(set(meters)) == 3
        found = await driver.read_installed()
    wanted = dict.fromkeys((*hosts[1:-1], watched), Action.WATCH)
    wanted |= dict.fromkeys((last, limited, parse_target("203.0.113.3")), Action.LIMIT)
    assert found.blocks == wanted
    assert found.allows == {allowed}
