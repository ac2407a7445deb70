"""``sdnblock switch`` on an OpenFlow switch: through its controller, or in place of one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.cli_kit import Cli, Done
from tests.openflow_switch import DATAPATH_ID, Vswitch
from tests.redis_server import RedisServer

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(shutil.which("ovs-vswitchd") is None, reason="no Open vSwitch"),
]

FLOW = "udp:203.0.113.7:5060>198.51.100.9:5060"


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with RedisServer(tmp_path) as server:
        yield Cli(server, tmp_path)


@pytest.fixture
async def switch(cli: Cli) -> AsyncIterator[Vswitch]:
    made = Vswitch()
    try:
        await made.open()
        address = f"unix:{made.directory}/of.sock"
        cli.configure(
            f'[[switch]]\nname = "edge2"\nprotocol = "openflow"\naddress = "{address}"\n'
            f'datapath_id = {DATAPATH_ID}\ntrusted_ports = [2]\n[sip]\nports = ["udp/5060"]'
        )
        await made.controller(address)
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def controller(cli: Cli) -> AsyncIterator[subprocess.Popen[str]]:
    """``sdnblock run``, until the end of the context; its log goes to a file."""
    with (cli.folder / "log").open("w") as log:
        process = cli.process("run", stdout=subprocess.DEVNULL, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)


async def sdnblock(cli: Cli, *words: str, ok: bool = True) -> Done:
    """The command line, while the loop goes on."""
    return await asyncio.to_thread(cli, *words, ok=ok)


async def until(check: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(check):
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.1)


async def test_a_switch_is_read_through_its_controller(cli: Cli, switch: Vswitch) -> None:
    for words in (
        ("block", "add", "203.0.113.7", FLOW, "2001:db8::7"),
        ("block", "add", "198.51.100.0/24", "--action", "limit"),
        ("block", "add", "192.0.2.1", "--action", "watch"),
        ("allow", "add", "203.0.113.128/25"),
    ):
        await sdnblock(cli, *words)
    plan = await sdnblock(cli, "run", "--dry-run")
    assert "edge2: insert drop 203.0.113.7" in plan.lines
    assert "edge2: insert allow 203.0.113.128/25" in plan.lines and len(plan.lines) == 6
    async with controller(cli):
        await until(lambda: cli("switch", "diff", "edge2", ok=False).status == 0)
        await until(lambda: cli.json("switch", "list")[0]["state"] == "primary")
        (row,) = await asyncio.to_thread(cli.json, "switch", "list")
        assert (row["protocol"], row["datapath_id"]) == ("openflow", f"{DATAPATH_ID:016x}")
        assert "Open vSwitch" in row["description"]
        entries = await asyncio.to_thread(cli.json, "switch", "entries")
        assert [(e["table"], e["target"], e["action"]) for e in entries] == [
            ("allow_v4", "203.0.113.128/25", "allow"),
            ("flow_v4", FLOW, "drop"),
            ("prefix_v4", "198.51.100.0/24", "limit"),
            ("source_v4", "192.0.2.1", "watch"),
            ("source_v4", "203.0.113.7", "drop"),
            ("source_v6", "2001:db8::7", "drop"),
        ]
        rows = await asyncio.to_thread(cli.json, "switch", "show", "edge2")
        assert {r["table"]: r["entries"] for r in rows if r["entries"]} == {
            "allow_v4": 1, "flow_v4": 1, "prefix_v4": 1, "source_v4": 2, "source_v6": 1,
            "limiters": 1,
        }  # fmt: skip
        out = (await sdnblock(cli, "switch", "show")).out
        assert out.startswith("edge2: OpenFlow 1.3, Open vSwitch ")
        assert "read through the controller" in out.splitlines()[0]
        counters = (await sdnblock(cli, "switch", "counters", "--all")).out
        assert "udp/5060" in counters and "dropped by source" in counters
        shown = (await sdnblock(cli, "block", "show", "203.0.113.7")).out
        assert "switch edge2: drop, 0 packets, 0 B" in shown
        assert (await sdnblock(cli, "run", "--dry-run")).lines == []
        # Somebody removes an entry and adds one that is not ours: both are told, and put right.
        await switch.ofctl("add-flow", "table=1,priority=7,ip,nw_src=192.0.2.77,actions=drop")
        note = (await sdnblock(cli, "switch", "show")).err
        assert note == "note: edge2: 1 entries are not sdnblock's\n"
        await switch.ofctl("del-flows", "table=1,ip,nw_src=203.0.113.7")
        await until(lambda: cli("switch", "diff", ok=False).status == 0, seconds=10)
        assert len(await asyncio.to_thread(cli.json, "switch", "entries")) == 6
        # It goes away: the controller says so, and so do we.
        assert switch.vswitchd is not None
        await switch.vswitchd.stop()
        await until(lambda: cli.json("switch", "list")[0]["state"] == "disconnected")
        failed = await sdnblock(cli, "switch", "entries", ok=False)
        assert failed.status == 1 and "switch edge2" in failed.error
        await switch.start_switch()
        await until(lambda: cli("switch", "diff", ok=False).status == 0)


async def test_a_switch_without_a_controller_is_read_in_its_place(
    cli: Cli, switch: Vswitch
) -> None:
    await sdnblock(cli, "block", "add", "203.0.113.7")
    async with controller(cli):
        await until(lambda: cli("switch", "diff", ok=False).status == 0)
    before = await switch.flows()
    cli.server.cli("DEL", "sdnblock:switch:edge2")  # else it expires, within 15 seconds
    (entry,) = await asyncio.to_thread(cli.json, "switch", "entries")
    assert (entry["target"], entry["action"]) == ("203.0.113.7", "drop")
    assert "read directly" in (await sdnblock(cli, "switch", "show")).out
    await sdnblock(cli, "block", "add", "203.0.113.8")
    diff = await sdnblock(cli, "switch", "diff", "-o", "csv", ok=False)
    assert diff.status == 1 and "edge2,missing,203.0.113.8,drop," in diff.out
    assert await switch.flows() == before
    failed = await sdnblock(cli, "shell", "edge2", ok=False)
    assert failed.error == (
        "sdnblock: edge2 is an OpenFlow switch: p4runtime-shell cannot speak to it"
    )


async def test_a_controller_that_does_not_answer_is_one_line(cli: Cli, switch: Vswitch) -> None:
    cli.server.cli("SET", "sdnblock:switch:edge2", '{"role":"primary"}')
    failed = await sdnblock(cli, "switch", "show", ok=False)
    assert failed.error == "sdnblock: switch edge2: its controller does not answer"
    cli.server.cli("SET", "sdnblock:switch:edge2", '{"role":"disconnected"}')
    failed = await sdnblock(cli, "switch", "show", ok=False)
    assert failed.error == "sdnblock: switch edge2: not connected to its controller"
