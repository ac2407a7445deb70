"""Memory in a real Redis: bounded there too, the same after kill -9, shared, never lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sdnblock.block import Action, parse_address, parse_target
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.row import Row
from sdnblock.blocklist.safety import Safety, SafetySettings
from sdnblock.blocklist.store import Store
from sdnblock.controller.hub import Hub
from sdnblock.controller.remembering import Remembering
from sdnblock.detect.engine import Engine
from sdnblock.detect.past import LADDER
from sdnblock.detect.registry import NAMES
from sdnblock.softswitch.dataplane import SampledPacket
from tests.cli_kit import Cli, SwitchThread, switch_thread
from tests.redis_server import RedisServer
from tests.sip_live import LiveWorld
from tests.sip_world import World

ATTACKER, CUSTOMER = "203.0.113.66", "192.0.2.10"


@contextlib.asynccontextmanager
async def store_on(server: RedisServer) -> AsyncIterator[Store]:
    client: Redis = await open_redis(server.settings())
    try:
        yield Store(client, Keys())
    finally:
        await client.aclose()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def remembering(engine: Engine, store: Store) -> AsyncIterator[Remembering]:
    """An engine whose memory is kept, from when it knows what it knew."""
    hub = Hub(Safety(SafetySettings()), (), NAMES, time.time)
    hub.load({}, {})
    keeper = Remembering(engine.memory, store, hub)
    task = asyncio.create_task(keeper.run())
    try:
        await asyncio.wait_for(keeper.wait_ready(), 30)
        yield keeper
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def world() -> World:
    found = World()
    found.now = time.time() - 1000
    return found


async def all_kept(store: Store, kind: str) -> dict[str, Row]:
    return {row.key: row async for rows in store.memory.kept(kind) for row in rows}


async def test_rows_are_kept_the_newer_wins_and_both_bounds_hold(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with store_on(server) as store:
            now = time.time()
            await store.memory.keep("t", [Row("a", now - 5, "[1]"), Row("b", now - 4)], 100, 50)
            await store.memory.keep("t", [Row("a", now - 9, "[2]")], 100, 50)  # late: ignored
            assert await all_kept(store, "t") == {
                "a": Row("a", pytest.approx(now - 5), "[1]"),  # type: ignore[arg-type]
                "b": Row("b", pytest.approx(now - 4)),  # type: ignore[arg-type]
            }
            await store.memory.keep("t", [Row("a", 0, gone=True)], 100, 50)
            assert list(await all_kept(store, "t")) == ["b"]
            assert await store.memory.find("t", "a") is None
            # Old ones go, and too many; the newest stay.
            await store.memory.keep("t", [Row("old", now - 101, "[]")], 100, 50)
            many = [Row(f"n{number}", now + number * 1e-3, "[0]") for number in range(3000)]
            await store.memory.keep("t", many, 100, 50)
            for _ in range(4):
                await store.memory.keep("t", [Row("n2999", now + 3, "[0]")], 100, 50)
            left = await all_kept(store, "t")
            assert set(left) == {f"n{number}" for number in range(2950, 3000)}
            assert server.cli("HLEN", "sdnblock:memory:1:t:data") == "50"
            assert 0 < int(server.cli("TTL", "sdnblock:memory:1:t")) <= 86500


async def test_more_than_a_window_of_one_moment_is_read_whole(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with store_on(server) as store:
            now = time.time()
            rows = [Row(f"k{number}", now - number // 4500) for number in range(6000)]
            await store.memory.keep("t", rows, 1e6, 10_000)
            assert len(await all_kept(store, "t")) == 6000
            found = [r.key async for rows in store.memory.kept("t", now) for r in rows]
            assert set(found) == {f"k{number}" for number in range(4500)}


async def test_another_engine_knows_what_the_first_knew(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with store_on(server) as store:
            first = world()
            async with remembering(first.engine, store):
                first.register(CUSTOMER, "1001", good=True)
                for number in range(5):
                    first.register(ATTACKER, str(number), good=False)
                tables = first.engine.memory.tables()
                await until(lambda: not any(table.waiting for table in tables))
            second = world()
            second.now = first.now + LADDER[0] + 1
            async with remembering(second.engine, store):
                assert second.engine.credit.has(parse_address(CUSTOMER), second.now)
                for number in range(5):
                    second.register(ATTACKER, str(number), good=False)
                assert second.verdicts[-1].seconds == LADDER[1]


async def test_one_on_standby_learns_while_it_stands_by(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with store_on(server) as store:
            primary, standby = world(), world()
            primary.now = time.time()
            async with (
                remembering(primary.engine, store),
                remembering(standby.engine, store),
            ):
                primary.register(CUSTOMER, "1001", good=True)
                customer = parse_address(CUSTOMER)
                await until(lambda: standby.engine.credit.has(customer, primary.now))
                # What it was told it does not write again.
                assert not any(table.waiting for table in standby.engine.memory.tables())


async def test_a_redis_that_was_emptied_or_away_is_written_again(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with store_on(server) as store:
            it = world()
            async with remembering(it.engine, store):
                await store.ensure_meta()
                it.register(CUSTOMER, "1001", good=True)
                await until(
                    lambda: server.cli("ZCARD", "sdnblock:memory:1:credit") == "1",
                )
                await asyncio.sleep(1.2)  # it has seen the mark
                server.cli("FLUSHALL")
                await store.ensure_meta()  # as the controller does
                await until(lambda: server.cli("ZCARD", "sdnblock:memory:1:credit") == "1")
                server.kill()  # nothing was saved
                await asyncio.sleep(0.5)
                assert it.engine.credit.has(parse_address(CUSTOMER), it.now)
                server.start()
                await store.ensure_meta()
                await until(lambda: server.cli("ZCARD", "sdnblock:memory:1:credit") == "1")


async def test_a_key_of_a_wrong_type_spoils_no_other_and_ends_in_caution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdnblock.controller.remembering._PATIENCE", 0.5)
    with RedisServer(tmp_path) as server:
        server.cli("SET", "sdnblock:memory:1:credit", "mine")
        async with store_on(server) as store:
            it = world()
            async with remembering(it.engine, store):  # ready after a while all the same
                it.request(ATTACKER, "OPTIONS", "x", agent="friendly-scanner")
                assert it.verdicts[-1].action is Action.WATCH
                for number in range(5):
                    it.register(ATTACKER, str(number), good=False)
                await until(lambda: server.cli("ZCARD", "sdnblock:memory:1:past") == "1")
                server.cli("DEL", "sdnblock:memory:1:credit")
                await until(lambda: it.engine.memory.tables()[0].complete)


async def test_a_flood_of_addresses_is_written_slowly(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with store_on(server) as store:
            it = world()
            async with remembering(it.engine, store):
                started = time.monotonic()
                for number in range(20_000):
                    source = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
                    it.request(source, "OPTIONS", "x", agent="friendly-scanner")
                    if number % 500 == 0:
                        await asyncio.sleep(0)
                await asyncio.sleep(2)
                passed = time.monotonic() - started
                written = int(server.cli("ZCARD", "sdnblock:memory:1:past"))
                assert 100 <= written <= 600 * (passed + 1)


# --- the whole controller, killed -----------------------------------------------------------


def configure(cli: Cli, switch: SwitchThread) -> None:
    """One switch, our side, and a server whose nonces are good for one address only."""
    cli.configure(
        f'[[switch]]\nname = "edge1"\naddress = "{switch.address}"\ntrusted_ports = [2]\n'
        '[safety]\nown_prefixes = ["198.51.100.0/24"]\n[controller]\nresync_interval = 1\n'
        '[detect.proof]\nnonces = "bound"\n'
    )


class Controller:
    """``sdnblock run`` as a process, and the world that its switch copies packets of."""

    def __init__(self, cli: Cli, switch: SwitchThread) -> None:
        self._cli, self._switch = cli, switch
        self.world = LiveWorld(inject=self._inject)

    def _inject(self, packet: SampledPacket) -> None:
        async def put(running: object) -> None:
            self._switch.dataplane.inject_event(packet)

        self._switch.do(put)

    def start(self) -> None:
        """Start; returns when its switch is in step and sends it packets."""
        log = self._cli.folder / "log"
        log.write_text("")
        self.process = self._cli.process("run", stderr=log.open("a"))
        deadline = time.monotonic() + 60
        while "is in sync" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9; its traces in Redis that it was there are taken away."""
        self.process.kill()
        self.process.wait(20)
        self._cli.server.cli("DEL", "sdnblock:switch:edge1")

    def expiry(self, target: str, origin: str, seconds: float = 20) -> float:
        """Wait for a drop of ``origin``; for how long it is, from now."""
        deadline = time.monotonic() + seconds
        while not (score := self._cli.server.cli("ZSCORE", f"sdnblock:origin:{origin}", target)):
            assert time.monotonic() < deadline, (self._cli.folder / "log").read_text()
            time.sleep(0.02)
        return float(score) - time.time()


def test_killed_and_started_again_it_forgets_neither_the_ladder_nor_credit(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, switch_thread() as switch:
        cli = Cli(server, tmp_path)
        configure(cli, switch)
        it = Controller(cli, switch)
        try:
            it.start()
            it.world.register(CUSTOMER, "1001", good=True)
            for number in range(5):
                it.world.register(ATTACKER, str(number), good=False)
            assert 590 < it.expiry(ATTACKER, "brute-force") <= 600
            server.wait_for("1", "ZCARD", "sdnblock:memory:1:past")
            server.wait_for("1", "ZCARD", "sdnblock:memory:1:credit")
            it.kill()
            # The block ends early; it comes again.
            cli("block", "remove", ATTACKER)
            past = server.cli("HGET", "sdnblock:memory:1:past:data", ATTACKER)
            ended = past.replace(past.split(",")[3], str(time.time() - 1), 1)
            server.cli("HSET", "sdnblock:memory:1:past:data", ATTACKER, ended)
            it.start()
            for number in range(5):
                it.world.register(ATTACKER, str(number), good=False)
            assert 3590 < it.expiry(ATTACKER, "brute-force") <= 3600
            # The customer's name is forged: watched, not dropped.
            it.world.request(CUSTOMER, "OPTIONS", "x", agent="friendly-scanner")
            assert 590 < it.expiry(CUSTOMER, "scanner:watch") <= 600
            assert server.cli("ZSCORE", "sdnblock:origin:scanner", CUSTOMER) == ""
            found = cli.json("block", "show", CUSTOMER, "--no-switches")
            assert found["effective"] == "watch"
            assert parse_target(found["target"]) == parse_target(CUSTOMER)
        finally:
            it.process.kill()
            it.process.wait(20)


def test_one_guilty_phone_of_an_office_is_a_flow_in_list_show_and_switch(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, switch_thread() as switch:
        cli = Cli(server, tmp_path)
        configure(cli, switch)
        it = Controller(cli, switch)
        flow = f"udp:{CUSTOMER}:30000>198.51.100.10:5060"
        try:
            it.start()
            for phone in range(5):
                it.world.register(CUSTOMER, f"u{phone}", good=True, port=20000 + phone)
            for _ in range(5):
                it.world.register(CUSTOMER, "wrong", good=False, port=30000)
            assert 590 < it.expiry(flow, "brute-force") <= 600
            shown = cli.json("block", "show", flow)
            assert (shown["effective"], shown["claims"][0]["origin"]) == ("drop", "brute-force")
            assert "user 'wrong'" in shown["claims"][0]["reason"]
            assert shown["switches"][0]["action"] == "drop"
            assert f"{flow}: drop" in cli("block", "show", flow).out
            assert [row["target"] for row in cli.json("block", "list")] == [flow]
            # The office itself is free, and what is known of it says what happened.
            told = cli.json("why", CUSTOMER)
            assert (told["effective"], told["credit"], told["users_known"]) == (None, True, 5)
            assert [each["target"] for each in told["decisions"]] == [flow]
            assert told["past"]["flows"] == 1 and told["past"]["proven"] == 0
        finally:
            it.process.kill()
            it.process.wait(20)
