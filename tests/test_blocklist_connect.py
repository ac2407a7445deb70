"""Reaching Redis, losing it, finding it again; every failure is one clear line."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from sdnblock.block import NEVER, Action, Source, parse_target
from sdnblock.blocklist.claims import Claim, ClaimKey
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.settings import RedisSettings
from sdnblock.blocklist.store import Store
from sdnblock.errors import BlockListError
from tests.blocklist_follower import following
from tests.redis_server import RedisServer, TlsPair, free_port

HOST = parse_target("203.0.113.7")
FEED = ClaimKey("feed", Action.DROP)


async def refusal(settings: RedisSettings) -> str:
    """The line that open_redis gives, which names no password and is one line."""
    started = time.monotonic()
    with pytest.raises(BlockListError) as caught:
        await open_redis(settings)
    assert time.monotonic() - started < 3 * settings.timeout
    line = str(caught.value)
    assert "\n" not in line and "secret" not in line
    return line


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"url": "unix:///nowhere/redis.sock"},
            "cannot reach Redis at /nowhere/redis.sock: No such",
        ),
        ({"url": "redis://127.0.0.1:1/0"}, "cannot reach Redis at 127.0.0.1:1: Connection refused"),
        ({"url": "redis://user:secret@127.0.0.1:1/0"}, "at 127.0.0.1:1: Connection refused"),
        ({"url": "redis://nobody.invalid:1/0"}, "cannot reach Redis at nobody.invalid:1"),
        ({"url": "http://127.0.0.1"}, "must begin with redis://"),
        ({"url": "unix://"}, "names no socket"),
        ({"url": "redis://127.0.0.1:x/0"}, "malformed"),
        ({"url": "redis://127.0.0.1:1/zero"}, "must be a number"),
        ({"prefix": ""}, "key prefix"),
        ({"prefix": "a b"}, "key prefix"),
        ({"password_file": Path("/nowhere/password")}, "/nowhere/password"),
        ({"tls_certificate": Path("/x")}, "needs its key"),
        ({"url": "rediss://127.0.0.1:1", "tls_ca": Path("/nowhere/ca.pem")}, "/nowhere/ca.pem"),
        ({"sentinels": ("127.0.0.1:1",)}, "name of the master"),
        ({"sentinels": ("127.0.0.1:1",), "sentinel_master": "m"}, "no Sentinel names a master"),
        ({"sentinels": ("[::1",), "sentinel_master": "m"}, "host:port"),
    ],
)
async def test_what_cannot_be_reached(settings: dict[str, Any], expected: str) -> None:
    assert expected in await refusal(RedisSettings(timeout=2.0, **settings))


async def test_passwords(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password="secret") as server:
        assert "wants a password" in await refusal(server.settings(password=None))
        assert "user name or password" in await refusal(server.settings(password="wrong-secret"))
        file = tmp_path / "password"
        file.write_text("secret\n")
        for good in ({}, {"password": None, "password_file": file}):
            client = await open_redis(server.settings(**good))
            await client.aclose()
        url = f"unix://:secret@{server.socket}"
        await (await open_redis(RedisSettings(url=url))).aclose()
        # The field wins over the URL.
        assert "password" in await refusal(RedisSettings(url=url, password="wrong-secret"))
    with RedisServer(tmp_path, name="open") as server:
        assert "has no password set" in await refusal(server.settings(password="secret"))


async def test_tls(tmp_path: Path) -> None:
    pair, other = TlsPair(tmp_path / "tls"), TlsPair(tmp_path / "other")
    port = free_port()
    with RedisServer(tmp_path, port=port, tls=pair):
        settings = {"url": f"rediss://localhost:{port}/0", "timeout": 2.0}
        proof = {"tls_certificate": pair.certificate, "tls_key": pair.key}
        good = RedisSettings(tls_ca=pair.ca, **proof, **settings)  # type: ignore[arg-type]
        client = await open_redis(good)
        store = Store(client, Keys())
        async with following(good) as told:
            await told.ready()
            await store.add([Claim(HOST, "feed", Action.DROP, NEVER)])
            await told.until(lambda: told.blocked() == {HOST}, 1.0)
        await client.aclose()
        wrong_ca = RedisSettings(tls_ca=other.ca, **proof, **settings)  # type: ignore[arg-type]
        assert "TLS fails" in await refusal(wrong_ca)
        await refusal(RedisSettings(tls_ca=pair.ca, **settings))  # type: ignore[arg-type]
        await refusal(RedisSettings(url=f"redis://localhost:{port}/0", timeout=2.0))


async def answer_as(replies: dict[bytes, bytes], path: Path) -> asyncio.Server:
    """A server that answers by the first word of a command; +OK to all else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            writer.write(replies.get(words[0].upper(), b"+OK\r\n"))
        writer.close()

    return await asyncio.start_unix_server(serve, path)


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({b"INFO": b"$22\r\nredis_version:5.0.14\r\n\r\n"}, "needs Redis 6 or newer"),
        ({b"PING": b"-LOADING Redis is loading the dataset in memory\r\n"}, "is loading its data"),
        ({b"PING": b"-ERR max number of clients reached\r\n"}, "no connection left"),
        ({b"PING": b"-NOPERM this user has no permissions\r\n"}, "docs/redis.md"),
        ({b"PING": b"-MISCONF Redis is configured to save RDB snapshots\r\n"}, "save to disk"),
        ({b"PING": b"HTTP/1.1 400 Bad Request\r\n"}, "Redis at"),
    ],
)
async def test_what_is_no_redis_for_us(
    tmp_path: Path, replies: dict[bytes, bytes], expected: str
) -> None:
    with RedisServer(tmp_path) as real:  # only for its short path
        path = real.socket.with_name("fake")
        server = await answer_as(replies, path)
        async with server:
            assert expected in await refusal(RedisSettings(url=f"unix://{path}", timeout=2.0))


async def test_a_replica_takes_no_writes(tmp_path: Path) -> None:
    port = free_port()
    with (
        RedisServer(tmp_path, name="master", port=port) as master,
        RedisServer(tmp_path, f"replicaof 127.0.0.1 {port}", name="replica") as replica,
    ):
        replica.wait_for("master_link_status:up", "INFO", "replication")
        client = await open_redis(replica.settings())
        with pytest.raises(BlockListError, match="read-only replica"):
            await Store(client, Keys()).add([Claim(HOST, "feed", Action.DROP, NEVER)])
        async with following(replica.settings()) as told:  # but it can be watched
            await told.ready()
            master.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.7")
            await told.until(lambda: told.blocked() == {HOST}, 1.5)
        await client.aclose()


async def test_a_frozen_redis_is_noticed_and_found_again(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        server.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.7")
        async with following(server.settings(timeout=1.0)) as told:
            await told.ready()
            server.freeze()
            took = await told.until(lambda: bool(told.messages), 4.0)
            assert 0.3 < took < 3.0 and "does not answer in time" in told.messages[0]
            server.thaw()
            await told.ready(2)
            assert told.blocked() == {HOST}


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_restarted_redis_that_kept_its_data(tmp_path: Path, end: str) -> None:
    with RedisServer(tmp_path, persist=True) as server:
        client = await open_redis(server.settings())
        store = Store(client, Keys())
        await store.add([Claim(HOST, "feed", Action.DROP, NEVER)])
        meta = await store.ensure_meta()
        async with following(server.settings()) as told:
            await told.ready()
            getattr(server, end)()
            await told.until(lambda: bool(told.messages), 2.0)
            await asyncio.sleep(0.3)
            assert told.blocked() == {HOST}  # nothing is told as gone
            assert len(told.messages) <= 3
            server.start()
            await told.ready(2)
            assert told.metas == [meta, meta] and told.blocked() == {HOST}
            # The store's pooled connections were broken: it goes on all the same.
            await store.remove([HOST])
            await told.until(lambda: not told.blocked(), 1.0)
        await client.aclose()


async def test_a_restarted_redis_that_lost_its_data(tmp_path: Path) -> None:
    """What vanished while we were away is told as empty, then Ready without a mark."""
    with RedisServer(tmp_path) as server:
        client = await open_redis(server.settings())
        store = Store(client, Keys())
        await store.add([Claim(HOST, "feed", Action.DROP, NEVER)])
        await store.ensure_meta()
        await client.aclose()
        async with following(server.settings()) as told:
            await told.ready()
            server.restart()
            await told.ready(2)
            assert told.metas[-1] is None and told.claims == {FEED: {}}


async def test_a_redis_that_comes_and_goes(tmp_path: Path) -> None:
    """Ten restarts under a stream of writers: in the end we know what Redis knows."""
    with RedisServer(tmp_path, persist=True) as server:
        async with following(server.settings()) as told:
            for number in range(10):
                server.cli("ZADD", "sdnblock:origin:feed", "+inf", f"198.51.100.{number}")
                server.restart()
                await asyncio.sleep(0.02 * number)
            expected = {Source(bytes([198, 51, 100, n])) for n in range(10)}
            await told.until(lambda: told.blocked() == expected, 10.0)


async def test_a_killed_tracking_connection(tmp_path: Path) -> None:
    """Only the notices' connection dies: without them changes would be missed."""
    with RedisServer(tmp_path) as server:
        async with following(server.settings()) as told:
            await told.ready()
            server.cli("CLIENT", "KILL", "TYPE", "pubsub")
            await told.ready(2)
            server.cli("ZADD", "sdnblock:origin:feed", "+inf", "203.0.113.7")
            await told.until(lambda: told.blocked() == {HOST}, 1.0)


async def test_rights_that_are_enough(tmp_path: Path) -> None:
    """The ACL that docs/redis.md gives to the controller."""
    rules = (
        "user sdnblock on >pw ~sdnblock:* resetchannels &__redis__:invalidate +@read +@write"
        " +@connection +@scripting +@pubsub +info +client|tracking +client|id +client|setname"
        " -@dangerous +info"
    )
    with RedisServer(tmp_path, rules) as server:
        settings = server.settings(username="sdnblock", password="pw")
        client = await open_redis(settings)
        store = Store(client, Keys())
        async with following(settings) as told:
            await told.ready()
            await store.add([Claim(HOST, "feed", Action.DROP, NEVER, "reason")])
            await told.until(lambda: told.blocked() == {HOST}, 1.0)
            await store.remove([HOST])
            await store.purge(time.time())
            await store.ensure_meta()
            await store.add_counters({HOST: (1, 1)})
            await store.put_switch_status("s", {}, 15)
            assert told.messages == []
        with pytest.raises(BlockListError, match=r"docs/redis\.md"):
            await Store(client, Keys("other:")).ensure_meta()
        await client.aclose()


async def test_sentinel(tmp_path: Path) -> None:
    """The master is found through Sentinel, before and after a failover."""
    ports = [free_port() for _ in range(3)]
    with (
        RedisServer(tmp_path, name="one", port=ports[0]) as one,
        RedisServer(tmp_path, f"replicaof 127.0.0.1 {ports[0]}", name="two", port=ports[1]) as two,
        RedisServer(
            tmp_path,
            f"sentinel monitor main 127.0.0.1 {ports[0]} 1",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 5000",
            name="sentinel",
            port=ports[2],
            sentinel=True,
        ) as sentinel,
    ):
        sentinel.wait_for(str(ports[1]), "SENTINEL", "REPLICAS", "main")
        two.wait_for("master_link_status:up", "INFO", "replication")
        settings = RedisSettings(
            sentinels=(f"127.0.0.1:{ports[2]}",), sentinel_master="main", timeout=2.0
        )
        client = await open_redis(settings)
        store = Store(client, Keys())
        await store.add([Claim(HOST, "feed", Action.DROP, NEVER)])
        await store.ensure_meta()
        one.cli("WAIT", "1", "2000")
        async with following(settings) as told:
            await told.ready()
            one.kill()
            two.wait_for("role:master", "INFO", "replication")
            await told.ready(2)
            assert told.blocked() == {HOST} and told.metas[0] == told.metas[1]
            await store.remove([HOST])
            await told.until(lambda: not told.blocked(), 1.0)
        await client.aclose()
