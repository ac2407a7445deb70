"""``sdnblock switch`` against a P4Runtime server in memory, with a real controller beside it."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from finsy.proto import p4r

from sdnblock.blocklist.keys import Keys
from tests import softswitch_kit as kit
from tests.cli_kit import Cli, Done, SwitchThread, switch_thread
from tests.p4runtime_fake import FakeSwitch, serve
from tests.redis_server import RedisServer

FLOW = "udp:203.0.113.7:5060>198.51.100.9:5060"
DOWN = "unix:/nowhere/switch"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def cli(server: RedisServer, tmp_path: Path) -> Cli:
    server.cli("FLUSHALL")
    return Cli(server, tmp_path)


@pytest.fixture
def switch(cli: Cli) -> Iterator[SwitchThread]:
    with switch_thread() as one:
        cli.configure(f'[[switch]]\nname = "edge1"\naddress = "{one.address}"')
        yield one


def until(check: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


@contextlib.contextmanager
def controller(cli: Cli) -> Iterator[subprocess.Popen[str]]:
    """``sdnblock run``, until the end of the context; its log goes to a file."""
    with (cli.folder / "log").open("w") as log:
        process = cli.process("run", stdout=subprocess.DEVNULL, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def in_step(cli: Cli) -> Iterator[None]:
    """A controller at work, and the switch as it should be."""
    with controller(cli):
        until(lambda: cli("switch", "diff", "edge1", ok=False).status == 0)
        yield


def test_without_a_configured_switch_each_command_says_what_to_do(cli: Cli) -> None:
    for verb in ("show", "entries", "counters", "diff"):
        assert cli.fails("switch", verb).error == (
            "sdnblock: no switch is configured in /dev/null: add a [[switch]] or give --config"
        )
    assert cli.json("switch", "list") == []
    assert cli("switch", "list").err == "no switch is configured, and no controller reports one\n"
    assert cli.fails("shell", "edge1").error == "sdnblock: no switch 'edge1' in /dev/null (none)"


def test_a_switch_that_is_down_is_one_line(cli: Cli) -> None:
    cli.configure(f'[[switch]]\nname = "edge1"\naddress = "{DOWN}"')
    for verb in ("show", "entries", "counters", "diff"):
        line = cli.fails("switch", verb, "edge1").err.splitlines()[0]
        assert line.startswith(f"sdnblock: switch edge1 ({DOWN}): cannot connect: "), line
    line = cli.fails("shell", "edge1").err.splitlines()[-1]
    assert line.startswith(f"sdnblock: switch edge1 ({DOWN}): cannot connect: "), line
    assert cli.fails("switch", "show", "edge9").error == (
        f"sdnblock: no switch 'edge9' in {cli.config} (edge1)"
    )


def test_a_switch_without_a_pipeline(cli: Cli, switch: SwitchThread) -> None:
    assert cli.fails("switch", "entries").error == (
        f"sdnblock: switch edge1 ({switch.address}) runs no pipeline yet: start sdnblock run"
    )


def test_everything_about_a_switch_that_a_controller_keeps(cli: Cli, switch: SwitchThread) -> None:
    cli("block", "add", "203.0.113.7", FLOW, "2001:db8::7", "--reason", "scan")
    cli("block", "add", "198.51.100.0/24", "--action", "limit")
    cli("block", "add", "192.0.2.1", "--action", "watch")
    cli("allow", "add", "203.0.113.128/25")
    with in_step(cli):
        until(lambda: cli.json("switch", "list")[0]["state"] == "primary")
        (row,) = cli.json("switch", "list")
        assert (row["name"], row["address"]) == ("edge1", switch.address)
        until(lambda: cli.json("switch", "list")[0]["installed"] == 5)
        assert "primary" in cli("switch", "list").out

        rows = {row["table"]: row for row in cli.json("switch", "show", "edge1")}
        held = {table: row["entries"] for table, row in rows.items() if row["entries"]}
        assert held == {
            "allow_v4": 1,
            "flow_v4": 1,
            "prefix_v4": 1,
            "source_v4": 2,
            "source_v6": 1,
            "limiters": 1,
        }
        assert rows["source_v4"]["capacity"] == 1048576
        out = cli("switch", "show").out
        assert out.startswith("edge1: P4Runtime 1.5.0, sdnblock's pipeline (sdnblock.bpf.o)\n")

        entries = cli.json("switch", "entries")
        assert [(row["table"], row["target"], row["action"]) for row in entries] == [
            ("allow_v4", "203.0.113.128/25", "allow"),
            ("flow_v4", FLOW, "drop"),
            ("prefix_v4", "198.51.100.0/24", "limit"),
            ("source_v4", "192.0.2.1", "watch"),
            ("source_v4", "203.0.113.7", "drop"),
            ("source_v6", "2001:db8::7", "drop"),
        ]
        parsed = csv.DictReader(io.StringIO(cli("switch", "entries", "-o", "csv").out))
        assert [row["target"] for row in parsed] == [row["target"] for row in entries]
        found = cli.json("switch", "entries", "edge1", "--contains", "198.51.100.3")
        assert [row["target"] for row in found] == ["198.51.100.0/24"]
        found = cli.json("switch", "entries", "--action", "allow")
        assert [row["target"] for row in found] == ["203.0.113.128/25"]

        found = cli.json("block", "show", "203.0.113.7")["switches"]
        assert found == [
            {"name": "edge1", "action": "drop", "packets": 0, "bytes": 0, "error": None}
        ]
        lines = cli("block", "show", FLOW).lines
        assert lines[-1] == "  switch edge1: drop, 0 packets, 0 B"
        # With a controller at work nothing is left to be said.
        until(lambda: cli("block", "add", "203.0.113.77", "--for", "1m").err == "")


def test_counters(cli: Cli, switch: SwitchThread) -> None:
    with in_step(cli):
        rows = cli.json("switch", "counters")
        assert {row["group"] for row in rows} == {
            "sip_port",
            "message_in",
            "message_out",
            "verdict",
        }
        names = [row["name"] for row in rows if row["group"] == "verdict"]
        assert names[:3] == ["passed", "allowed", "dropped by flow"]
        done = cli("switch", "counters", "edge1")
        assert (done.out, done.err) == ("", "nothing was counted yet\n")
        assert len(cli("switch", "counters", "--all").lines) == len(rows) + 1


def test_diff_after_the_controller_is_gone(cli: Cli, switch: SwitchThread) -> None:
    cli("block", "add", "203.0.113.7", "203.0.113.8", "203.0.113.9", "--for", "forever")
    cli("allow", "add", "198.51.100.0/25")
    with in_step(cli):
        pass
    done = cli("switch", "diff")
    assert (done.out, done.err) == ("", "no difference\n")
    assert cli.json("switch", "diff") == []
    cli("block", "add", "192.0.2.1")
    cli("block", "add", "203.0.113.8", "--action", "watch")
    cli("block", "remove", "203.0.113.9")
    cli("allow", "add", "198.51.100.128/25")
    cli("allow", "remove", "198.51.100.0/25")
    done = cli.fails("switch", "diff", "-o", "csv")
    assert sorted(done.lines[1:]) == [
        "edge1,different,203.0.113.8,watch,drop",
        "edge1,missing,192.0.2.1,drop,",
        "edge1,missing,198.51.100.128/25,allow,",
        "edge1,surplus,198.51.100.0/25,,allow",
        "edge1,surplus,203.0.113.9,,drop",
    ]
    assert cli.fails("switch", "diff").lines[0].split() == [
        "SWITCH",
        "DIFFERENCE",
        "TARGET",
        "WANTED",
        "INSTALLED",
    ]


def test_diff_knows_the_allowlist_the_safety_rules_and_lifting(
    cli: Cli, switch: SwitchThread
) -> None:
    cli("block", "add", "203.0.113.7", "--action", "watch")
    cli("block", "add", "203.0.113.0/24")
    cli("block", "add", "192.0.2.1")
    cli("allow", "add", "192.0.2.0/24")
    cli.server.cli("ZADD", "sdnblock:origin:feed", "+inf", "10.0.0.1")
    with in_step(cli):
        pass
    entries = {row["target"]: row["action"] for row in cli.json("switch", "entries")}
    # The watched host is dropped with its prefix; what may not be blocked is not.
    assert entries == {"192.0.2.0/24": "allow", "203.0.113.7": "drop", "203.0.113.0/24": "drop"}
    done = cli("switch", "diff")
    assert (done.status, done.err) == (0, "no difference\n")


async def test_a_full_table_is_told_and_is_no_difference(cli: Cli, tmp_path: Path) -> None:
    fake = FakeSwitch()
    fake.config = kit.pipeline_config()
    next(t for t in fake.config.p4info.tables if t.preamble.name == "source_v4").size = 3
    for number in (1, 2, 3):
        address = bytes((203, 0, 113, number))
        entry = kit.entry("source_v4", address, action="drop")
        fake.store[address] = p4r.Entity(table_entry=entry)
    server, where = await serve(fake, tmp_path / "s")
    cli.configure(f'[[switch]]\nname = "edge1"\naddress = "{where}"')
    for text in (f"203.0.113.{number}" for number in range(1, 6)):
        await asyncio.to_thread(cli.spawn, "block", "add", text)
    done = await asyncio.to_thread(cli.spawn, "switch", "diff")
    assert done == Done(0, "", "note: edge1: 2 entries do not fit\nno difference\n")
    await server.stop(0)


def test_a_wrong_p4info_is_one_line(cli: Cli, switch: SwitchThread) -> None:
    wrong = kit.p4info()
    wrong.tables[0].match_fields[0].bitwidth = 7
    path = cli.folder / "wrong.txtpb"
    path.write_text(str(wrong))
    assert cli.config is not None
    text = cli.config.read_text()
    cli.config.write_text(text.replace("\n[redis]", f'\np4info = "{path}"\n[redis]'))
    with controller(cli):
        until(lambda: bool(cli.json("switch", "list")[0].get("last_error")))
        problem = cli.json("switch", "list")[0]["last_error"]
    assert f"{path}: the P4Info's table port_side has another key than sdnblock's" in problem
    assert "\n" not in problem


def test_one_switch_that_is_down_spoils_no_other(cli: Cli, switch: SwitchThread) -> None:
    assert cli.config is not None
    text = cli.config.read_text()
    cli.config.write_text(f'[[switch]]\nname = "edge0"\naddress = "{DOWN}"\n{text}')
    cli("block", "add", "203.0.113.7")
    with in_step(cli):
        done = cli.fails("switch", "entries")
        assert done.lines[1].split()[:3] == ["edge1", "source_v4", "203.0.113.7"]
        assert done.error.startswith(f"sdnblock: switch edge0 ({DOWN}): cannot connect")
        lines = cli("block", "show", "203.0.113.7").lines
        assert lines[-2].startswith(f"  not known: switch edge0 ({DOWN}): cannot connect")
        assert lines[-1] == "  switch edge1: drop, 0 packets, 0 B"


def test_reading_takes_nothing_from_the_controller(cli: Cli, switch: SwitchThread) -> None:
    with in_step(cli):
        for verb in ("show", "entries", "counters", "diff"):
            cli("switch", verb)
        cli("block", "add", "203.0.113.7")
        until(lambda: len(cli.json("switch", "entries")) == 1, 5)
    log = (cli.folder / "log").read_text()
    assert "WARNING" not in log and "ERROR" not in log, log


def test_foreign_entries_are_noted(cli: Cli, switch: SwitchThread) -> None:
    with in_step(cli):
        pass

    async def write(running: kit.Running) -> None:
        client = running.client((1 << 127) + 1)
        await client.arbitrate()
        await client.status()
        entry = kit.entry("flow_v4", b"\x01", b"\1\2\3\4", b"\1", b"\1\2\3\5", b"\1", action="drop")
        assert await client.write(kit.update(kit.INSERT, entry)) == [0]

    switch.do(write)
    assert "note: edge1: 1 entries are not sdnblock's\n" in cli("switch", "show").err
    assert cli("switch", "entries").out == ""


def test_hostile_statuses(cli: Cli) -> None:
    prefix = Keys().switch("x")[:-1]
    cli.server.cli("SET", f"{prefix}a", '{"role": 5, "installed": true, "last_sync": "soon"}')
    cli.server.cli("SET", f"{prefix}b", "not json")
    cli.server.cli("SET", f"{prefix}c", '{"role": "backup", "last_sync": 1e999}')
    rows = cli.json("switch", "list")
    assert [(row["name"], row["state"], row["installed"]) for row in rows] == [
        ("a", "?", None),
        ("c", "backup", None),
    ]
    assert cli("switch", "list").lines[2].startswith("c ")
