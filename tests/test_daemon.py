"""The controller, whole: a real Redis, our P4Runtime server, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from sdnblock.block import NEVER, Action, Source, parse_prefix, parse_target
from sdnblock.blocklist.claims import Claim
from sdnblock.daemon import show_differences
from sdnblock.softswitch.memory import MemoryDataplane
from tests.daemon_kit import Loop, WatchedPlane, config_for, controller, loop
from tests.redis_server import RedisServer
from tests.softswitch_kit import running

ATTACKER = "203.0.113.7"


def claim(text: str, action: Action = Action.DROP, seconds: float = math.inf,
          origin: str = "operator") -> Claim:  # fmt: skip
    return Claim(parse_target(text), origin, action, time.time() + seconds, "a test")


async def test_one_redis_command_blocks_and_one_unblocks(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        it.redis.cli("ZADD", "sdnblock:origin:honeypot", "+inf", ATTACKER)
        assert await it.blocked(ATTACKER) < 1.0
        it.redis.cli("ZREM", "sdnblock:origin:honeypot", ATTACKER)
        assert await it.blocked(ATTACKER, None) < 1.0


async def test_a_block_stays_until_the_last_origin_lets_go(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        await it.store.add([claim(ATTACKER, origin="one"), claim(ATTACKER, origin="two")])
        await it.store.add([claim(ATTACKER, Action.WATCH, origin="three")])
        await it.blocked(ATTACKER)
        await it.store.remove([parse_target(ATTACKER)], "one")
        await asyncio.sleep(0.3)
        await it.blocked(ATTACKER)
        await it.store.remove([parse_target(ATTACKER)], "two")
        await it.blocked(ATTACKER, Action.WATCH)
        await it.store.remove([parse_target(ATTACKER)], "three")
        await it.blocked(ATTACKER, None)


async def test_expiry_is_kept_to_the_second(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        made = claim(ATTACKER, seconds=1.5)
        await it.store.add([made])
        await it.blocked(ATTACKER)
        await it.blocked(ATTACKER, None)
        assert 0 <= time.time() - made.expires < 0.5
        # Adding again extends.
        await it.store.add([claim(ATTACKER, seconds=1.0)])
        await it.blocked(ATTACKER)
        await it.store.add([claim(ATTACKER, seconds=60.0)])
        await asyncio.sleep(1.5)
        await it.blocked(ATTACKER)


async def test_the_allowlist_wins_always_and_afterwards(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        await it.store.add([claim(ATTACKER), claim("203.0.113.0/24")])
        await it.blocked(ATTACKER)
        await it.store.allow_add(parse_prefix(ATTACKER), NEVER)
        await it.blocked(ATTACKER, None)
        assert parse_target(ATTACKER) in it.plane.allows()
        assert it.plane.blocks() == {parse_target("203.0.113.0/24"): Action.DROP}
        it.plane.never = [Source(bytes((203, 0, 113, 7)))]
        # From now on it cannot be dropped, whatever comes.
        await it.store.add([claim("203.0.112.0/20"), claim(ATTACKER, origin="x")])
        await it.blocked("203.0.112.0/20")
        await it.store.remove([parse_target("203.0.113.0/24")])
        await it.blocked("203.0.113.0/24", None)
        assert not it.plane.violations
        it.plane.never = []
        await it.store.allow_remove(parse_prefix(ATTACKER))
        await it.blocked(ATTACKER)


async def test_start_and_resync_never_drop_the_allowlisted(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        redis.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.0/24", "+inf", ATTACKER)
        redis.cli("ZADD", "sdnblock:allow", "+inf", ATTACKER)
        plane = WatchedPlane()
        plane.never = [Source(bytes((203, 0, 113, 7)))]
        async with running(plane) as switch:
            config = config_for(redis, {"edge1": switch.listener.address})
            for _ in range(2):  # empty, then as the first has left it
                async with controller(config):
                    for _ in range(500):
                        if plane.blocks():
                            break
                        await asyncio.sleep(0.01)
                    await asyncio.sleep(1.3)  # one resync
            assert plane.blocks() == {parse_target("203.0.113.0/24"): Action.DROP}
            assert not plane.violations


async def test_safety_refuses_what_a_feed_may_not_block(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        for member in ("10.0.0.1", "2.0.0.0/7", "0.0.0.0/0", "nonsense", "127.0.0.1", "\x1b[31m"):
            it.redis.cli("ZADD", "sdnblock:origin:feed", "+inf", member)
        it.redis.cli("ZADD", "sdnblock:origin:feed", "+inf", ATTACKER)
        await it.blocked(ATTACKER)
        assert it.plane.blocks() == {parse_target(ATTACKER): Action.DROP}


async def test_redis_killed_and_restarted_with_its_data(tmp_path: Path) -> None:
    with RedisServer(tmp_path, persist=True) as redis:
        async with running(WatchedPlane()) as switch:
            config = config_for(redis, {"edge1": switch.listener.address})
            async with controller(config) as daemon:
                it = Loop(redis, switch, daemon, None, config)  # type: ignore[arg-type]
                redis.cli("ZADD", "sdnblock:origin:feed", "+inf", ATTACKER)
                redis.cli("ZADD", "sdnblock:origin:feed", str(time.time() + 2), "203.0.113.8")
                await it.blocked("203.0.113.8")
                redis.kill()
                await asyncio.sleep(0.5)
                assert len(it.plane.blocks()) == 2
                await it.blocked("203.0.113.8", None)  # expiry goes on without Redis
                assert len(it.plane.blocks()) == 1
                redis.start()
                redis.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.9")
                await it.blocked("203.0.113.9")
                redis.cli("ZREM", "sdnblock:origin:feed", ATTACKER)
                await it.blocked(ATTACKER, None)


async def test_an_emptied_redis_unblocks_nothing_and_is_filled_again(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        await it.store.add([claim(ATTACKER), claim("203.0.113.8", Action.LIMIT, origin="feed")])
        await it.store.allow_add(parse_prefix("198.51.100.0/24"), NEVER)
        await it.blocked("203.0.113.8", Action.LIMIT)
        await it.until(lambda: bool(it.plane.allows()))
        before, allows = it.plane.blocks(), it.plane.allows()
        it.redis.cli("FLUSHALL")
        await asyncio.sleep(1.0)
        assert it.plane.blocks() == before
        assert it.plane.allows() == allows
        assert {c.origin for c in await it.store.find(parse_target(ATTACKER))} == {"operator"}
        assert [a.prefix for a in await it.store.allowed()] == [parse_prefix("198.51.100.0/24")]
        # It is an ordinary block list again: a removal removes.
        await it.store.remove([parse_target(ATTACKER)])
        await it.blocked(ATTACKER, None)


async def test_redis_killed_and_restarted_empty(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        await it.store.add([claim(ATTACKER)])
        await it.blocked(ATTACKER)
        it.redis.restart()  # without persistence
        await asyncio.sleep(2.0)
        assert it.plane.blocks() == {parse_target(ATTACKER): Action.DROP}
        assert await it.store.find(parse_target(ATTACKER))


async def test_no_block_list_at_the_start_adopts_what_switches_hold(tmp_path: Path) -> None:
    plane = WatchedPlane()
    async with running(plane) as switch:
        with RedisServer(tmp_path, name="first") as redis:
            redis.cli("ZADD", "sdnblock:origin:feed", "+inf", ATTACKER)
            redis.cli("ZADD", "sdnblock:allow", "+inf", "198.51.100.0/24")
            config = config_for(redis, {"edge1": switch.listener.address})
            async with controller(config) as daemon:
                await Loop(redis, switch, daemon, None, config).blocked(ATTACKER)  # type: ignore[arg-type]
        with RedisServer(tmp_path, name="second") as redis:
            config = config_for(redis, {"edge1": switch.listener.address})
            async with controller(config) as daemon:
                it = Loop(redis, switch, daemon, None, config)  # type: ignore[arg-type]
                await it.until(lambda: "recovered" in redis.cli("KEYS", "*"))
                await asyncio.sleep(0.5)
                assert plane.blocks() == {parse_target(ATTACKER): Action.DROP}
                assert plane.allows() == {parse_target("198.51.100.0/24")}
                score = float(redis.cli("ZSCORE", "sdnblock:origin:recovered", ATTACKER))
                assert 80000 < score - time.time() < 86401
                await it.until(lambda: "sdnblock:meta" in redis.cli("KEYS", "*"))


async def test_a_switch_that_restarts_empty_is_filled_again(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        await it.store.add([claim(ATTACKER)])
        await it.blocked(ATTACKER)
        address = it.switch.listener.address
        await it.switch.close()
        await asyncio.sleep(0.3)
        plane = WatchedPlane()
        async with running(plane, address):
            await it.until(lambda: parse_target(ATTACKER) in plane.blocks(), 15)


async def test_a_dead_switch_delays_no_other(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        async with running(WatchedPlane()) as switch:
            addresses = {"dead": "127.0.0.1:1", "edge1": switch.listener.address}
            config = config_for(redis, addresses)
            async with controller(config) as daemon:
                it = Loop(redis, switch, daemon, None, config)  # type: ignore[arg-type]
                redis.cli("ZADD", "sdnblock:origin:feed", "+inf", ATTACKER)
                assert await it.blocked(ATTACKER) < 3.0
                redis.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.8")
                assert await it.blocked("203.0.113.8") < 1.0
                dead = next(each for each in daemon.sessions if each.name == "dead")
                assert dead.last_error and "127.0.0.1:1" in dead.last_error


async def test_drift_is_found_and_repaired(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        await it.store.add([claim(ATTACKER)])
        await it.blocked(ATTACKER)
        MemoryDataplane.delete(it.plane, "source_v4", [bytes((203, 0, 113, 7))])
        assert not it.plane.blocks()
        await it.blocked(ATTACKER)


async def test_counters_add_up_over_restarts(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        target, key = parse_target(ATTACKER), bytes((203, 0, 113, 7))
        await it.store.add([claim(ATTACKER)])
        await it.blocked(ATTACKER)

        async def total() -> tuple[int, int] | None:
            return (await it.store.counters([target])).get(target)

        async def until(expected: tuple[int, int]) -> None:
            for _ in range(500):
                if await total() == expected:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError(f"{await total()} instead of {expected}")

        it.plane.inject_hit("source_v4", key, 10, 1000)
        await until((10, 1000))
        it.plane.inject_hit("source_v4", key, 5, 500)
        await until((15, 1500))
        # Gone and back, the switch counts from zero.
        MemoryDataplane.delete(it.plane, "source_v4", [key])
        await it.blocked(ATTACKER)
        it.plane.inject_hit("source_v4", key, 7, 700)
        await until((22, 2200))


async def test_a_digest_becomes_a_block_that_says_why(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        remote = bytes(10) + b"\xff\xff" + bytes((203, 0, 113, 7))
        it.plane.inject_digest(remote, 20, 1)
        await it.blocked(ATTACKER)
        for _ in range(100):
            if found := await it.store.find(parse_target(ATTACKER)):
                break
            await asyncio.sleep(0.01)
        (made,) = found
        assert made.origin == "request-rate"
        assert "20 SIP requests within 1 s (threshold 20)" in made.reason
        assert "edge1" in made.reason
        assert 50 < made.expires - time.time() < 61


async def test_a_digest_of_an_allowlisted_source_blocks_nobody(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        await it.store.allow_add(parse_prefix("203.0.113.0/24"), NEVER)
        await it.until(lambda: bool(it.plane.allows()))
        it.plane.inject_digest(bytes(10) + b"\xff\xff" + bytes((203, 0, 113, 7)), 20, 1)
        it.plane.inject_digest(bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 7)), 20, 1)
        await it.blocked("192.0.2.7")
        assert list(it.plane.blocks()) == [parse_target("192.0.2.7")]


async def test_a_full_table_is_told_and_filled_when_there_is_room(tmp_path: Path) -> None:
    async with loop(tmp_path, sizes={"source_v4": 2}) as it:
        for last in (1, 2, 3):
            await it.store.add([claim(f"203.0.113.{last}", origin="feed")])
        (session,) = it.daemon.sessions
        await it.until(lambda: session.ledger.unplaced_count() == 1)
        held = list(it.plane.blocks())
        assert len(held) == 2
        await it.store.remove([held[0]])
        await it.until(lambda: len(it.plane.blocks()) == 2 and session.ledger.unplaced_count() == 0)


async def test_redis_that_is_down_at_the_start_is_waited_for(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        async with running(WatchedPlane()) as switch:
            redis.stop()
            config = config_for(redis, {"edge1": switch.listener.address})
            async with controller(config) as daemon:
                await asyncio.sleep(0.5)
                redis.start()
                redis.cli("ZADD", "sdnblock:origin:feed", "+inf", ATTACKER)
                await Loop(redis, switch, daemon, None, config).blocked(ATTACKER)  # type: ignore[arg-type]


async def test_a_verdict_while_redis_is_away_is_enforced_and_kept(tmp_path: Path) -> None:
    with RedisServer(tmp_path, persist=True) as redis:
        async with running(WatchedPlane()) as switch:
            config = config_for(redis, {"edge1": switch.listener.address})
            async with controller(config) as daemon:
                it = Loop(redis, switch, daemon, None, config)  # type: ignore[arg-type]
                await it.until(lambda: any(s.connected.is_set() for s in daemon.sessions))
                redis.kill()
                await asyncio.sleep(0.3)
                it.plane.inject_digest(bytes(10) + b"\xff\xff" + bytes((203, 0, 113, 7)), 20, 1)
                await it.blocked(ATTACKER)
                redis.start()
                await it.until(
                    lambda: (
                        ATTACKER in redis.cli("ZRANGE", "sdnblock:origin:request-rate", "0", "-1")
                    )
                )
                await it.blocked(ATTACKER)


async def test_a_reload_changes_the_allowlist_without_a_moment_of_dropping(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        plane = WatchedPlane()
        async with running(plane) as switch:
            config = config_for(redis, {"edge1": switch.listener.address})
            redis.cli("ZADD", "sdnblock:origin:feed", "+inf", ATTACKER, "+inf", "203.0.113.0/24")
            configs = [config]
            async with controller(config, lambda: configs[-1]) as daemon:
                it = Loop(redis, switch, daemon, None, config)  # type: ignore[arg-type]
                await it.blocked(ATTACKER)
                configs.append(replace(config, allow=(parse_prefix(ATTACKER),)))
                os.kill(os.getpid(), signal.SIGHUP)
                await it.blocked(ATTACKER, None)
                plane.never = [Source(bytes((203, 0, 113, 7)))]
                # In Redis too; then no longer in the file: it stays.
                redis.cli("ZADD", "sdnblock:allow", "+inf", ATTACKER)
                await asyncio.sleep(0.3)
                configs.append(config)
                os.kill(os.getpid(), signal.SIGHUP)
                await asyncio.sleep(0.3)
                assert plane.allows() == {parse_target(ATTACKER)}
                assert not plane.violations
                plane.never = []
                redis.cli("ZREM", "sdnblock:allow", ATTACKER)
                await it.blocked(ATTACKER)


async def test_a_dry_run_names_every_change_and_makes_none(tmp_path: Path) -> None:
    async with loop(tmp_path) as it:
        await it.store.add([claim(ATTACKER)])
        await it.blocked(ATTACKER)
        it.daemon.stop()
        await asyncio.sleep(0.3)
        await it.store.remove([parse_target(ATTACKER)])
        await it.store.add([claim("203.0.113.0/24", Action.LIMIT)])
        await it.store.allow_add(parse_prefix("203.0.113.9"), NEVER)
        before = it.plane.blocks()
        assert await show_differences(it.config) == [
            "edge1: insert allow 203.0.113.9",
            "edge1: insert limit 203.0.113.0/24",
            f"edge1: delete drop {ATTACKER}",
        ]
        assert it.plane.blocks() == before
        assert not it.plane.allows()
