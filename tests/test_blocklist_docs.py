"""docs/redis.md: every shell and Python example runs, and does what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from sdnblock.block import Action, parse_target
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.keys import Keys
from sdnblock.blocklist.marks import Mark
from sdnblock.blocklist.row import Row
from sdnblock.blocklist.settings import RedisSettings
from sdnblock.blocklist.store import Store
from tests.blocklist_follower import following
from tests.redis_server import RedisServer

PAGE = (Path(__file__).parent.parent / "docs" / "redis.md").read_text()


def examples(language: str) -> list[str]:
    """The page's code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Shell:
    """bash, in which ``redis-cli`` reaches a private server."""

    def __init__(self, directory: Path, server: RedisServer) -> None:
        wrapper = directory / "redis-cli"
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -s {server.socket} "$@"\n')
        wrapper.chmod(0o755)
        self._environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}

    def run(self, script: str) -> None:
        """Run a script; it must succeed, and no Redis error may be in what it prints."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=self._environment,
            check=True,
            timeout=20,
            capture_output=True,
            text=True,
        )
        assert not re.search(r"^\(?(error|ERR|WRONGTYPE|NOSCRIPT)", done.stdout, re.M), done.stdout


async def test_the_examples(tmp_path: Path) -> None:
    """All in order on one Redis, with a watcher and the store looking on."""
    with RedisServer(tmp_path) as server:
        shell = Shell(tmp_path, server)
        async with following(server.settings()) as told:
            for script in examples("sh"):
                shell.run(script)
            for script in examples("python"):
                exec(compile(script, "docs/redis.md", "exec"), {"url": server.url})
            host = parse_target("203.0.113.7")
            honeypot = {
                host,
                parse_target("2001:db8::1"),
                parse_target("198.51.100.0/24"),
                parse_target("udp:203.0.113.9:5060>198.51.100.9:5060"),
            }
            await told.until(
                lambda: (
                    {key: set(members) for key, members in told.claims.items()}
                    == {
                        ClaimKey("honeypot", Action.DROP): honeypot,
                        ClaimKey("honeypot", Action.LIMIT): {parse_target("203.0.113.8")},
                        ClaimKey("honeypot", Action.WATCH): {parse_target("203.0.113.10")},
                        ClaimKey("worker", Action.DROP): {host},
                        ClaimKey("script", Action.DROP): {host},
                    }
                ),
                2.0,
            )
            assert not told.allows and not any(told.refused.values())
        client = await open_redis(server.settings())
        found = {claim.origin: claim.reason for claim in await Store(client, Keys()).find(host)}
        assert found == {"honeypot": "dialled 900 numbers", "worker": "", "script": "tried it"}
        await client.aclose()


async def test_the_rights(tmp_path: Path) -> None:
    """The page's two ACL lines, as they stand: enough for a writer, enough for us."""
    lines = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    with RedisServer(tmp_path) as server:
        for each in lines:
            assert server.cli(*each.split()) == "OK"
        settings = RedisSettings(url=server.url, username="sdnblock", password="PASSWORD")
        async with following(settings) as told:
            await told.ready()
            await _all_of_the_controllers_own(settings)
            user = ("--user", "honeypot", "--pass", "PASSWORD", "--no-auth-warning")
            for example in examples("sh")[0].splitlines()[:1]:
                server.cli(*user, *example.split()[1:])
            await told.until(lambda: told.blocked() == {parse_target("203.0.113.7")}, 1.0)
            refused = server.cli(*user, "ZADD", "sdnblock:origin:operator", "1", "192.0.2.1")
            assert "NOPERM" in refused or refused == ""
            assert server.cli("EXISTS", "sdnblock:origin:operator") == "0"


async def _all_of_the_controllers_own(settings: RedisSettings) -> None:
    """Every command that controller and CLI use beside the block list, with those rights."""
    client = await open_redis(settings)
    store, now = Store(client, Keys()), time.time()
    await store.ensure_meta()
    await store.memory.keep("past", [Row("192.0.2.1", now, "[]")], 100, 10)
    assert [rows async for rows in store.memory.kept("past")]
    assert await store.memory.find("past", "192.0.2.1")
    await store.signatures.add([Mark("QuickScan")])
    assert await store.signatures.all() and await store.signatures.remove("QuickScan")
    await store.numbers.add({"12345678": (now, "tried")}, 100, 10)
    assert [rows async for rows in store.numbers.all()]
    assert await store.numbers.find("12345678") and await store.numbers.remove(["12345678"])
    await store.asked.ask("192.0.2.1")
    await store.asked.listen()
    assert await store.asked.alive() and await store.asked.since(0)
    await client.aclose()
