"""The store on a real Redis: what it writes, what it survives, what it refuses."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sdnblock.block import NEVER, Action, Source, Target, parse_prefix, parse_target
from sdnblock.blocklist.claims import Claim, ClaimKey
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.store import Store
from sdnblock.errors import BlockListError, TargetError
from tests.redis_server import RedisServer

HOST = parse_target("203.0.113.7")
HOST6 = parse_target("2001:db8::1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("store")) as running:
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


def claim(target: Target = HOST, origin: str = "feed", **more: object) -> Claim:
    values: dict[str, object] = {"action": Action.DROP, "expires": NEVER, "since": 1.0, **more}
    return Claim(target, origin, **values)  # type: ignore[arg-type]


async def everything(store: Store, origin: str | None = None) -> list[Claim]:
    return [claim async for window in store.claims(origin) for claim in window]


async def test_add_writes_the_contract(store: Store, server: RedisServer) -> None:
    """Claim, reason and hint, under the names that other programs read."""
    await store.add([claim(reason="scanner", expires=4102444800.0)])
    assert server.cli("ZRANGE", "sdnblock:origin:feed", "0", "-1", "WITHSCORES").split() == [
        "203.0.113.7",
        "4102444800",
    ]
    facts = json.loads(server.cli("HGET", "sdnblock:facts:feed", "203.0.113.7"))
    assert facts == {"reason": "scanner", "since": 1.0}
    hint = server.cli("XRANGE", "sdnblock:changes", "-", "+").split()[1:]
    assert hint == ["key", "origin:feed", "target", "203.0.113.7"]


async def test_adding_again_extends_and_replaces_the_reason(store: Store) -> None:
    await store.add([claim(expires=time.time() + 10, reason="first")])
    later = claim(expires=time.time() + 1000, reason="second")
    await store.add([later])
    assert await everything(store) == [later]
    bare = claim(expires=time.time() + 5)
    await store.add([bare])
    assert await everything(store) == [bare]


@pytest.mark.parametrize("first", Action)
@pytest.mark.parametrize("second", Action)
async def test_another_action_replaces_the_origins_older_one(
    store: Store, first: Action, second: Action
) -> None:
    other = claim(origin="operator", action=first)
    await store.add([claim(action=first), other])
    await store.add([claim(action=second)])
    found = await store.find(HOST)
    assert {(c.origin, c.action) for c in found} == {("feed", second), ("operator", first)}


async def test_remove_takes_one_origin_or_all_and_tells_what(store: Store, redis: Redis) -> None:
    claims = [
        claim(reason="one"),
        claim(origin="operator", action=Action.LIMIT, reason="two"),
        claim(HOST6, reason="three"),
    ]
    await store.add(claims)
    assert await store.remove([HOST], origin="feed") == claims[:1]
    assert await store.remove([HOST], origin="feed") == []
    assert await store.remove([HOST, HOST6]) == [claims[2], claims[1]]
    assert await everything(store) == []
    assert await redis.keys("*facts*") == []  # the last claim takes its facts along


async def test_other_spellings_are_found_removed_and_shown(
    store: Store, server: RedisServer
) -> None:
    """What somebody wrote as 2001:DB8::1 is the block of 2001:db8::1."""
    far = str(int(time.time()) + 1000)
    for member in ("2001:DB8::1", "2001:db8:0:0::1", " 2001:db8::1", "2001:db8::1/128"):
        server.cli("ZADD", "sdnblock:origin:honeypot", far, member)
    server.cli("ZADD", "sdnblock:origin:honeypot", far, "::ffff:203.0.113.7", far, "198.51.100.1")
    server.cli("HSET", "sdnblock:facts:honeypot", "2001:DB8::1", '{"reason":"loud"}')
    found = await store.find(HOST6)
    assert len(found) == 4 and {c.target for c in found} == {HOST6}
    assert "loud" in {c.reason for c in found}
    assert len(await store.remove([HOST6, HOST])) == 5
    assert server.cli("ZRANGE", "sdnblock:origin:honeypot", "0", "-1") == "198.51.100.1"
    assert server.cli("EXISTS", "sdnblock:facts:honeypot") == "0"


async def test_expired_claims_are_not_claims(store: Store, server: RedisServer) -> None:
    server.cli(
        "ZADD", "sdnblock:origin:x", "-inf", "192.0.2.1", "5", "192.0.2.2", "-7", "192.0.2.3"
    )
    server.cli("ZADD", "sdnblock:origin:x", "1e300", "192.0.2.4")
    assert [c.target for c in await everything(store)] == [parse_target("192.0.2.4")]
    assert await store.find(parse_target("192.0.2.1")) == []
    assert await store.purge(time.time()) == 3


async def test_purge_deletes_facts_only_with_the_last_claim(store: Store, redis: Redis) -> None:
    await store.add([claim(expires=50.0, reason="old"), claim(HOST6, expires=50.0, reason="both")])
    await redis.zadd("sdnblock:origin:feed:watch", {str(HOST6): math.inf})
    await store.allow_add(parse_prefix("192.0.2.0/24"), 60.0, "guest")
    assert await store.purge(100.0) == 3
    assert await redis.hkeys("sdnblock:facts:feed") == [b"2001:db8::1"]
    assert await redis.exists("sdnblock:facts:allow", "sdnblock:allow") == 0
    assert [c.reason for c in await store.find(HOST6)] == ["both"]


async def test_purge_never_takes_what_is_extended_at_the_same_time(
    store: Store, server: RedisServer
) -> None:
    """Two clients race for 200 claims, again and again: every extended claim must survive."""
    other = Store(await open_redis(server.settings()), Keys())
    hosts = [Source(bytes([198, 51, 100, i])) for i in range(200)]
    for _ in range(10):
        await store.add([claim(host, expires=50.0) for host in hosts])
        extensions = [other.add([claim(host, expires=NEVER, reason="again")]) for host in hosts]
        await asyncio.gather(*extensions, store.purge(100.0), store.purge(100.0))
        found = await everything(store)
        assert {c.target for c in found} == set(hosts)
        assert all(c.reason == "again" for c in found)
    await other._link.redis.aclose()


async def test_concurrent_writers_leave_one_action_per_origin(
    store: Store, server: RedisServer
) -> None:
    stores = [Store(await open_redis(server.settings()), Keys()) for _ in range(4)]
    hosts = [Source(bytes([198, 51, 100, i])) for i in range(50)]
    for _ in range(5):
        await asyncio.gather(
            *(
                each.add([claim(host, action=action) for host in hosts])
                for each in stores
                for action in Action
            )
        )
        found = await everything(store)
        assert sorted(str(c.target) for c in found) == sorted(map(str, hosts))
    for each in stores:
        await each._link.redis.aclose()


async def test_large_adds_and_removes_go_in_chunks(store: Store) -> None:
    claims = [claim(Source(bytes([11, 0, i >> 8, i & 255])), reason="r") for i in range(5000)]
    await store.add(claims)
    assert {c.target for c in await everything(store, "feed")} == {c.target for c in claims}
    assert len(await store.remove([c.target for c in claims])) == 5000
    assert await store.origins() == []


HOSTILE = [
    b"",
    b" ",
    b"\x00",
    b"1.2.3.4\x00",
    b"\xff\xfe",
    "\uff11.2.3.4".encode(),
    b"0.0.0.0/0",
    b"::/0",
    b"203.0.113.007",
    b"1.2.3.4/33",
    b"10.1",
    b"\x1b[31mred",
    b"x" * 100_000,
    b"fe80::1%eth0",
    b"udp:1.2.3.4:0>1.2.3.4:1",
    b"1.2.3.4\n5.6.7.8",
]


@pytest.mark.parametrize("name", ["sdnblock:origin:x", "sdnblock:allow"])
async def test_hostile_members_are_shown_and_never_claims(
    store: Store, redis: Redis, name: str
) -> None:
    await redis.zadd(name, dict.fromkeys(HOSTILE, math.inf))
    await redis.zadd(name, {"192.0.2.1": math.inf})
    if name == "sdnblock:allow":
        assert [a.prefix for a in await store.allowed()] == [parse_prefix("192.0.2.1")]
    else:
        assert [c.target for c in await everything(store)] == [parse_target("192.0.2.1")]
    refused = [each async for window in store.refused() for each in window]
    assert len(refused) == len(HOSTILE)
    for each in refused:
        assert each.key == name and each.reason
        assert (each.member + each.reason).isprintable() and len(each.member) < 400


@pytest.mark.parametrize(
    "facts",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"reason": 5, "since": "x"}',
        b'{"reason": {"a": 1}, "since": true}',
        b'{"since": NaN}',
        b'{"since": 1' + b"0" * 400 + b"}",
        b"[" * 4000,
        b'{"reason": "' + b"x" * 10_000 + b'"}',
        b"\xff\xfe",
    ],
)
async def test_hostile_facts_are_no_facts(store: Store, redis: Redis, facts: bytes) -> None:
    await redis.zadd("sdnblock:origin:x", {str(HOST): math.inf})
    await redis.hset("sdnblock:facts:x", str(HOST), facts.decode("latin-1"))
    assert await everything(store) == [Claim(HOST, "x", Action.DROP, NEVER, "", None)]


async def test_reasons_are_safe_for_a_terminal(store: Store, redis: Redis) -> None:
    evil = 'red \x1b[31m\n"quoted" \u202e \udc80 ok ü'
    await store.add([claim(reason=evil)])
    (found,) = await everything(store)
    assert found.reason.isprintable() and "ok ü" in found.reason and '"quoted"' in found.reason
    await store.add([claim(reason="x" * 100_000)])
    assert len((await everything(store))[0].reason) == 500


async def test_keys_of_a_wrong_type_are_named_and_the_rest_goes_on(
    store: Store, redis: Redis
) -> None:
    await store.add([claim(origin="good", reason="r")])
    await redis.set("sdnblock:origin:bad", "1")
    await redis.lpush("sdnblock:origin:worse:limit", "x")
    await redis.set("sdnblock:facts:good", "1")
    await redis.zadd("sdnblock:origin:Upper", {"192.0.2.1": 1})
    await redis.zadd("sdnblock:origin:allow", {"192.0.2.1": 1})
    assert [c.origin for c in await everything(store)] == ["good"]
    refused = {r.key: r.reason async for window in store.refused() for r in window}
    assert refused == {
        "sdnblock:origin:bad": "is a string, not a sorted set",
        "sdnblock:origin:worse:limit": "is a list, not a sorted set",
        "sdnblock:origin:Upper": "not the name of an origin's claims",
        "sdnblock:origin:allow": "not the name of an origin's claims",
    }
    with pytest.raises(BlockListError, match="sdnblock:origin:bad") as caught:
        await store.add([claim(origin="bad")])
    assert "\n" not in str(caught.value)
    assert len(await store.remove([HOST])) == 1
    assert await store.purge(time.time()) == 0


async def test_a_failed_add_changes_nothing(store: Store, redis: Redis) -> None:
    """The facts key is of a wrong type: no half of the claim is written."""
    await redis.set("sdnblock:facts:feed", "1")
    with pytest.raises(BlockListError, match="sdnblock:facts:feed"):
        await store.add([claim()])
    assert sorted(await redis.keys("*")) == [b"sdnblock:facts:feed"]


@pytest.mark.parametrize("origin", ["allow", "", "UPPER", "a:b", "x" * 64, "a b"])
async def test_names_that_no_origin_has(store: Store, redis: Redis, origin: str) -> None:
    with pytest.raises(TargetError):
        await store.add([claim(), claim(origin=origin)])
    assert await redis.keys("*") == []


async def test_an_expiry_that_is_no_number(store: Store) -> None:
    with pytest.raises(TargetError):
        await store.add([claim(expires=math.nan)])


async def test_the_allowlist(store: Store, redis: Redis) -> None:
    net, host = parse_prefix("192.0.2.0/24"), parse_prefix("2001:db8::1")
    await store.allow_add(net, NEVER, "office")
    await store.allow_add(host, time.time() + 100, "guest")
    await redis.zadd("sdnblock:allow", {"2001:DB8::1": math.inf})
    assert [(a.prefix, a.note) for a in await store.allowed()] == [
        (net, "office"),
        (host, "guest"),
        (host, ""),
    ]
    assert len(await store.allow_remove(host)) == 2
    assert await store.allow_remove(host) == []
    assert [a.prefix for a in await store.allowed()] == [net]
    assert await redis.hkeys("sdnblock:facts:allow") == [b"192.0.2.0/24"]


async def test_counters_add_up_and_are_forgotten(store: Store, redis: Redis) -> None:
    await store.add_counters({HOST: (1, 60), HOST6: (2**53 - 10, 2**50)})
    await store.add_counters({HOST: (2, 120)})
    assert await store.counters([HOST, HOST6, parse_target("192.0.2.9")]) == {
        HOST: (3, 180),
        HOST6: (2**53 - 10, 2**50),
    }
    assert await redis.hget("sdnblock:counters", "203.0.113.7") == b"3 180"
    await redis.hset("sdnblock:counters", "192.0.2.9", "rubbish")
    assert await store.counters([parse_target("192.0.2.9")]) == {}
    await store.add_counters({parse_target("192.0.2.9"): (1, 1)})
    assert await store.counters([parse_target("192.0.2.9")]) == {parse_target("192.0.2.9"): (1, 1)}
    await store.forget_counters([HOST])
    assert await store.prune_counters({HOST6}) == 1
    assert set(await store.counters([HOST, HOST6])) == {HOST6}


async def test_switch_status(store: Store, redis: Redis) -> None:
    await store.put_switch_status("edge-1", {"role": "primary"}, 15)
    await redis.set("sdnblock:switch:bad", "{")
    await redis.set("sdnblock:switch:list", "[]")
    assert await store.switch_status() == {"edge-1": {"role": "primary"}}
    assert 0 < await redis.pttl("sdnblock:switch:edge-1") <= 15000


async def test_the_mark_of_the_database(store: Store, redis: Redis) -> None:
    assert await store.meta() is None
    meta = await store.ensure_meta()
    assert meta == await store.meta() == await store.ensure_meta()
    assert meta.version == 1 and len(meta.instance) == 32
    await redis.hset("sdnblock:meta", "version", "2")
    with pytest.raises(BlockListError, match="version '2'"):
        await store.meta()
    await redis.delete("sdnblock:meta")
    await redis.set("sdnblock:meta", "x")
    with pytest.raises(BlockListError, match="sdnblock:meta is a string"):
        await store.meta()


async def test_another_prefix_is_another_block_list(store: Store, redis: Redis) -> None:
    tagged = Store(redis, Keys("{sdn*}:"))
    await store.add([claim()])
    await tagged.add([claim(HOST6)])
    assert [c.target for c in await everything(tagged)] == [HOST6]
    assert [c.target for c in await everything(store)] == [HOST]
    assert await redis.zscore("{sdn*}:origin:feed", "2001:db8::1") == math.inf


async def test_a_full_redis_says_so_and_writes_nothing(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "maxmemory 1", "maxmemory-policy noeviction") as full:
        client = await open_redis(full.settings())
        store = Store(client, Keys())
        with pytest.raises(BlockListError, match=r"is full \(maxmemory\)"):
            await store.add([claim()])
        with pytest.raises(BlockListError, match="full"):
            await store.ensure_meta()
        assert await everything(store) == []
        assert full.cli("DBSIZE") == "0"
        await client.aclose()


async def test_a_redis_cluster_with_a_hash_tag(tmp_path: Path) -> None:
    """All keys in one slot: every script is accepted; without a tag the line says what to do."""
    with RedisServer(tmp_path, "cluster-enabled yes") as node:
        node.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        node.wait_for("cluster_state:ok", "CLUSTER", "INFO")
        client = await open_redis(node.settings())
        store = Store(client, Keys("{sdnblock}:"))
        await store.add([claim(reason="r"), claim(HOST6, action=Action.LIMIT)])
        assert len(await everything(store)) == 2
        assert len(await store.remove([HOST, HOST6])) == 2
        await store.allow_add(parse_prefix("192.0.2.0/24"), 5.0)
        assert await store.purge(time.time()) == 1
        await store.ensure_meta()
        await store.add_counters({HOST: (1, 1)})
        with pytest.raises(BlockListError, match=r"such as \{sdnblock\}:"):
            await Store(client, Keys()).add([claim()])
        await client.aclose()


async def test_origins_are_found_among_many_other_keys(store: Store, redis: Redis) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(20_000):
            pipe.set(f"other:{number}", "x")
        await pipe.execute()
    await store.add([claim()])
    assert await store.origins() == [ClaimKey("feed", Action.DROP)]
