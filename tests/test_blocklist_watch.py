"""The watcher on a real Redis: plain ZADDs, hints, losses, restarts, hostile content."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from sdnblock.block import NEVER, Action, Source, parse_prefix, parse_target
from sdnblock.blocklist.changes import Disconnected, Single, Whole
from sdnblock.blocklist.claims import Claim, ClaimKey
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.rereads import Rereads
from sdnblock.blocklist.store import Store
from tests.blocklist_follower import following
from tests.redis_server import RedisServer

HOST = parse_target("203.0.113.7")
HOST6 = parse_target("2001:db8::1")
FEED = ClaimKey("feed", Action.DROP)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("watch")) as running:
        yield running


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    server.cli("FLUSHALL")
    client = await open_redis(server.settings())
    yield client
    await client.aclose()


@pytest.fixture
def store(redis: Redis) -> Store:
    return Store(redis, Keys())


def claim(target: Source = HOST, origin: str = "feed", action: Action = Action.DROP) -> Claim:  # type: ignore[assignment]
    return Claim(target, origin, action, NEVER)


async def test_everything_first_then_ready(server: RedisServer, store: Store) -> None:
    await store.add([claim(), claim(origin="operator", action=Action.LIMIT)])
    await store.allow_add(parse_prefix("192.0.2.0/24"), 4e9)
    meta = await store.ensure_meta()
    async with following(server.settings()) as told:
        await told.ready()
        assert told.metas == [meta]
        assert told.claims == {
            FEED: {HOST: NEVER},
            ClaimKey("operator", Action.LIMIT): {HOST: NEVER},
        }
        assert told.allows == {parse_prefix("192.0.2.0/24"): 4e9}


async def test_our_own_writes_are_told_at_once(server: RedisServer, store: Store) -> None:
    """Median and worst of 200 writes, from the call to the consumer."""
    async with following(server.settings()) as told:
        await told.ready()
        times = []
        for number in range(200):
            host = Source(bytes([198, 51, 100, number]))
            started = time.monotonic()
            await store.add([claim(host)])
            await told.until(lambda host=host: host in told.blocked())  # type: ignore[misc]
            times.append(time.monotonic() - started)
        assert statistics.median(times) < 0.005
        await store.remove([Source(bytes([198, 51, 100, n])) for n in range(200)])
        await told.until(lambda: not told.blocked())


async def test_a_changed_action_is_told_of_both_keys(server: RedisServer, store: Store) -> None:
    async with following(server.settings()) as told:
        await told.ready()
        await store.add([claim(action=Action.LIMIT)])
        await told.until(lambda: told.blocked() == {HOST})
        await store.add([claim(action=Action.DROP)])
        await told.until(
            lambda: told.claims == {FEED: {HOST: NEVER}, ClaimKey("feed", Action.LIMIT): {}}, 0.2
        )


async def test_one_plain_command_of_redis_cli(server: RedisServer, redis: Redis) -> None:
    """ZADD, ZREM, DEL, EXPIRE, RENAME by anybody: told within a second."""
    async with following(server.settings()) as told:
        await told.ready()
        server.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.7")
        await told.until(lambda: told.claims.get(FEED) == {HOST: NEVER}, 1.0)
        server.cli("ZADD", "sdnblock:origin:feed", "5e9", "203.0.113.7", "+inf", "2001:db8::1")
        await told.until(lambda: told.claims[FEED] == {HOST: 5e9, HOST6: NEVER}, 1.0)
        server.cli("ZREM", "sdnblock:origin:feed", "203.0.113.7")
        await told.until(lambda: told.claims[FEED] == {HOST6: NEVER}, 1.0)
        server.cli("RENAME", "sdnblock:origin:feed", "sdnblock:origin:other:watch")
        other = ClaimKey("other", Action.WATCH)
        await told.until(lambda: told.claims == {FEED: {}, other: {HOST6: NEVER}}, 1.0)
        server.cli("PEXPIRE", "sdnblock:origin:other:watch", "50")
        await told.until(lambda: not told.blocked(), 2.0)
        server.cli("ZADD", "sdnblock:allow", "+inf", "192.0.2.0/24")
        await told.until(lambda: told.allows == {parse_prefix("192.0.2.0/24"): NEVER}, 1.0)
        server.cli("DEL", "sdnblock:allow")
        await told.until(lambda: not told.allows, 1.0)


def test_a_notice_that_two_writers_share_is_read_within_a_second() -> None:
    """A hint explains a notice, but perhaps not all of it: a cheap set is read again soon."""
    now = 100.0
    rereads = Rereads(lambda: now)
    for seconds, due in ((0.002, 0.9), (0.4, 10.1)):
        rereads.done(FEED, seconds)
        now += 50
        rereads.hinted(FEED)
        rereads.changed([FEED], with_hints=True)
        now += due - 0.2
        assert rereads.take() == []
        now += 0.2
        assert rereads.take() == [FEED]


async def test_plain_zadds_among_a_hundred_thousand(server: RedisServer, store: Store) -> None:
    """Told within a second, whether or not our own writers are busy on the same key.

    Where the first reading takes longer than half a second (0.3 s is usual), within twice as long.
    """
    hosts = [Source(bytes([11, i >> 16, i >> 8 & 255, i & 255])) for i in range(100_000)]
    await store.add([claim(host) for host in hosts])
    async with following(server.settings()) as told:
        began = time.monotonic()
        await told.ready()
        promise = max(1.0, 2 * (time.monotonic() - began))
        assert told.claims[FEED].keys() == set(hosts)
        for number in range(5):
            target = Source(bytes([198, 51, 100, number]))
            server.cli("ZADD", "sdnblock:origin:feed", "+inf", str(target))
            await told.until(lambda target=target: target in told.claims[FEED], promise)  # type: ignore[misc]
            await store.add([claim(Source(bytes([198, 51, 101, number])))])
            await asyncio.sleep(random.uniform(0, 0.7))
        server.cli("ZREM", "sdnblock:origin:feed", "198.51.100.1")
        await told.until(
            lambda: Source(bytes([198, 51, 100, 1])) not in told.claims[FEED], promise + 0.2
        )


async def test_spellings_of_one_target_are_one_block(server: RedisServer, store: Store) -> None:
    """The later expiry counts; the block ends with the last spelling."""
    async with following(server.settings()) as told:
        await told.ready()
        name = "sdnblock:origin:feed"
        server.cli("ZADD", name, "4e9", "2001:DB8::1", "5e9", "2001:db8:0::1")
        await told.until(lambda: told.claims.get(FEED) == {HOST6: 5e9}, 1.0)
        server.cli("ZADD", name, "6e9", "2001:db8::1")
        await told.until(lambda: told.claims[FEED] == {HOST6: 6e9}, 1.0)
        server.cli("ZREM", name, "2001:db8::1")
        await told.until(lambda: told.claims[FEED] == {HOST6: 5e9}, 1.0)
        server.cli("ZREM", name, "2001:db8:0::1")
        await told.until(lambda: told.claims[FEED] == {HOST6: 4e9}, 1.0)
        # A foreign writer's own spelling in the hint.
        server.cli("ZADD", name, "7e9", "2001:DB8:0::1")
        server.cli("XADD", "sdnblock:changes", "*", "key", "origin:feed", "target", "2001:DB8:0::1")
        await told.until(lambda: told.claims[FEED] == {HOST6: 7e9}, 1.0)
        await store.remove([HOST6])
        await told.until(lambda: not told.blocked(), 1.0)


async def test_hostile_members_are_refused_and_the_rest_is_told(
    server: RedisServer, redis: Redis
) -> None:
    hostile = [b"", b"\x00", b"\xff\xfe", b"\x1b[2J", b"x" * 100_000, b"0.0.0.0/0", b"1.2.3.4\x00"]
    await redis.zadd("sdnblock:origin:feed", dict.fromkeys(hostile, math.inf))
    await redis.zadd("sdnblock:origin:feed", {str(HOST): math.inf})
    await redis.zadd("sdnblock:allow", {b"\x1b[2J": 1.0, b"192.0.2.1": math.inf})
    async with following(server.settings()) as told:
        await told.ready()
        assert told.claims == {FEED: {HOST: NEVER}}
        assert told.allows == {parse_prefix("192.0.2.1"): NEVER}
        assert len(told.refused[FEED]) == len(hostile) and len(told.refused[None]) == 1
        for member, why in told.refused[FEED]:
            assert (member + why).isprintable() and len(member) < 400 and why
        await redis.zadd("sdnblock:origin:feed", {f"junk{n}": 1.0 for n in range(1000)})
        await told.until(lambda: len(told.refused[FEED]) > 100, 1.5)
        assert len(told.refused[FEED]) < 300 and "more" in told.refused[FEED][-1][1]
        await redis.zrem("sdnblock:origin:feed", *hostile, *(f"junk{n}" for n in range(1000)))
        await told.until(lambda: told.refused[FEED] == [], 1.5)
        assert told.claims == {FEED: {HOST: NEVER}}


async def test_hostile_hints_do_nothing(server: RedisServer, store: Store, redis: Redis) -> None:
    async with following(server.settings()) as told:
        await told.ready()
        for fields in (
            {"key": "origin:feed"},
            {"target": "203.0.113.7"},
            {"key": "origin:feed", "target": "x" * 100_000},
            {"key": b"\xff", "target": b"\xff"},
            {"key": "origin:allow", "target": "203.0.113.7"},
            {"key": "origin:a:drop", "target": "203.0.113.7"},
            {"key": "origin:feed", "target": "203.0.113.7"},
            {"x" * 1000: "y" * 1000},
        ):
            await redis.xadd("sdnblock:changes", fields)  # type: ignore[arg-type]
        await redis.set("sdnblock:origin:wrong", "1")
        await redis.xadd("sdnblock:changes", {"key": "origin:wrong", "target": "203.0.113.7"})
        await store.add([claim()])
        await told.until(lambda: told.claims.get(FEED) == {HOST: NEVER}, 1.0)
        assert told.messages == [] and told.blocked() == {HOST}


async def test_a_key_of_a_wrong_type(server: RedisServer, store: Store) -> None:
    await store.add([claim(), claim(origin="good")])
    async with following(server.settings()) as told:
        await told.ready()
        server.cli("SET", "sdnblock:origin:feed", "1")
        await told.until(lambda: told.claims[FEED] == {}, 1.0)
        assert told.refused[FEED] == [("sdnblock:origin:feed", "is a string, not a sorted set")]
        await store.add([claim(HOST6, origin="good")])  # type: ignore[arg-type]
        await told.until(lambda: HOST6 in told.blocked(), 1.0)
        server.cli("DEL", "sdnblock:origin:feed")
        server.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.7")
        await told.until(lambda: told.claims[FEED] == {HOST: NEVER}, 1.5)
        assert told.refused[FEED] == [] and told.messages == []


async def test_a_change_stream_of_a_wrong_type(server: RedisServer, redis: Redis) -> None:
    """Without hints the notices still tell everything within a second."""
    await redis.set("sdnblock:changes", "1")
    async with following(server.settings()) as told:
        await told.ready()
        server.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.7")
        await told.until(lambda: told.claims.get(FEED) == {HOST: NEVER}, 1.0)
        assert told.messages == []


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB"])
async def test_an_emptied_redis_is_told_as_a_loss_first(
    server: RedisServer, store: Store, command: str
) -> None:
    """Before anything is told as gone the consumer knows that Redis lost it."""
    await store.add([claim(), claim(HOST6)])  # type: ignore[arg-type]
    meta = await store.ensure_meta()
    async with following(server.settings()) as told:
        await told.ready()
        before = len(told.log)
        server.cli(command)
        await told.ready(2)
        assert told.metas == [meta, None]
        news = told.log[before:]
        assert isinstance(news[0], Disconnected) and "emptied" in news[0].message
        assert Whole(FEED, {}) in news
        assert not [event for event in news if isinstance(event, Single)]
        # The consumer puts everything back and marks the database: nothing more to tell.
        await store.add([claim(), claim(HOST6)])  # type: ignore[arg-type]
        await store.ensure_meta()
        await told.until(lambda: told.blocked() == {HOST, HOST6})
        await asyncio.sleep(0.5)
        assert len(told.metas) == 2


async def test_a_loss_is_never_told_as_removals(server: RedisServer, store: Store) -> None:
    """Emptied in the middle of readings and hints: no Single without an expiry, ever."""
    hosts = [Source(bytes([11, 0, i >> 8, i & 255])) for i in range(3000)]
    for _ in range(10):
        await store.add([claim(host) for host in hosts])
        await store.ensure_meta()
        async with following(server.settings()) as told:
            await told.ready()
            before = len(told.log)
            await store.add([claim(host) for host in hosts[:50]])
            server.cli("ZADD", "sdnblock:origin:feed", "+inf", "192.0.2.1")
            await asyncio.sleep(random.uniform(0, 0.03))
            server.cli("FLUSHALL")
            await told.ready(2)
            await asyncio.sleep(0.02)
            gone = [e for e in told.log[before:] if isinstance(e, Single) and e.expires is None]
            assert gone == [] and told.metas[-1] is None


async def test_flushing_another_database_is_no_loss(server: RedisServer, store: Store) -> None:
    await store.add([claim()])
    await store.ensure_meta()
    async with following(server.settings()) as told:
        await told.ready()
        server.cli("-n", "1", "FLUSHDB")
        await asyncio.sleep(0.3)
        assert told.messages == [] and len(told.metas) == 1


async def test_the_mark_alone_is_deleted(server: RedisServer, store: Store) -> None:
    await store.add([claim()])
    await store.ensure_meta()
    async with following(server.settings()) as told:
        await told.ready()
        server.cli("DEL", "sdnblock:meta")
        await told.ready(2)
        assert told.metas[-1] is None and told.claims == {FEED: {HOST: NEVER}}


async def test_purging_costs_no_news_and_no_reading(server: RedisServer, store: Store) -> None:
    await store.add([Claim(HOST, "feed", Action.DROP, time.time() + 0.2), claim(HOST6)])  # type: ignore[arg-type]
    async with following(server.settings()) as told:
        await told.ready()
        await asyncio.sleep(0.25)
        assert await store.purge(time.time()) == 1
        await asyncio.sleep(0.5)
        # Told late, "to be sure": the view has expired it by itself.
        assert told.claims[FEED].keys() == {HOST, HOST6}


async def test_the_watcher_never_holds_the_loop(server: RedisServer, store: Store) -> None:
    """While 100,000 claims are read, another task runs at least every 10 ms (idle: 3).

    By the thread's CPU time, so that what else the machine does is not counted; nor is the
    collection of what a thousand tests before this one have left.
    """
    hosts = [Source(bytes([11, i >> 16, i >> 8 & 255, i & 255])) for i in range(100_000)]
    await store.add([claim(host) for host in hosts])
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            gaps.append(time.thread_time() - before)

    gc.collect()
    gc.freeze()
    try:
        async with following(server.settings()) as told:
            ticking = asyncio.create_task(tick())
            await told.ready()
            ticking.cancel()
    finally:
        gc.unfreeze()
    gaps.sort()
    assert gaps[-5] < 0.010, gaps[-5:]


@pytest.mark.parametrize("seed", range(4))
async def test_random_writers_of_all_kinds(server: RedisServer, store: Store, seed: int) -> None:
    """Our own writers and others, on few keys, at once: soon we know exactly what Redis holds."""
    chance = random.Random(seed)
    hosts = [Source(bytes([198, 51, 100, n])) for n in range(20)]
    names = [f"sdnblock:origin:{o}{s}" for o in ("a", "b") for s in ("", ":limit", ":watch")]
    other = await open_redis(server.settings())

    async def write() -> None:
        host, expires = chance.choice(hosts), float(chance.randint(4_000_000_000, 4_000_000_009))
        origin, action = chance.choice("ab"), chance.choice(list(Action))
        match chance.randrange(8):
            case 0 | 1 | 2:
                await store.add([Claim(host, origin, action, expires)])
            case 3:
                await store.remove([host], chance.choice([None, origin]))
            case 4 | 5:
                await other.zadd(chance.choice(names), {str(host): expires})
            case 6:
                await other.zrem(chance.choice(names), str(host))
            case 7:
                await other.delete(chance.choice(names))

    async def actual() -> dict[ClaimKey, dict[object, float]]:
        found: dict[ClaimKey, dict[object, float]] = {}
        async for window in store.claims():
            for each in window:
                found.setdefault(each.key, {})[each.target] = each.expires
        return found

    async with following(server.settings()) as told:
        await told.ready()
        for _ in range(150):
            await asyncio.gather(*(write() for _ in range(chance.randint(1, 8))))
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.01]))
        expected = await actual()
        await told.until(
            lambda: {key: held for key, held in told.claims.items() if held} == expected, 2.0
        )
        assert told.messages == []
    await other.aclose()
