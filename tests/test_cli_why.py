"""``sdnblock why``: the story of a live source, with the controller and without it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdnblock.detect.kept import Memory
from sdnblock.detect.stories import Stories
from sdnblock.detect.story import KIND, unpack_story
from tests.cli_kit import Cli, switch_thread
from tests.redis_server import RedisServer
from tests.sip_world import World
from tests.test_remembering import Controller, configure

ATTACKER, CUSTOMER, SCANNER = "203.0.113.66", "192.0.2.10", "203.0.113.9"
ROW = {
    "source", "target", "action", "grade", "detector", "reason", "first_seen", "decided_at",
    "packets_before",
}  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with RedisServer(tmp_path) as server:
        yield Cli(server, tmp_path)


def told(world: World) -> Stories:
    """The stories of a world."""
    stories = Stories(world.engine.memory)
    world.engine.add(stories)
    return stories


def test_a_story_counts_what_was_seen_and_what_came_of_it() -> None:
    world = World()
    stories = told(world)
    for number in range(6):
        world.ask(ATTACKER, "REGISTER", f"u{number}", 404, agent="PBX")
    for verdict in world.verdicts:
        stories.concluded(verdict, world.now, enforced=True)
    (table,) = (t for t in world.engine.memory.tables() if t.kind.name == "story")
    ((_, story),) = table.items()
    row = story.as_row()
    assert row["requests"] == {"REGISTER": 6} and row["answers"] == {"404": 6}
    assert list(row["users"]) == [f"u{number}" for number in range(6)]
    assert row["user_agents"] == {"PBX": 6}
    (decision,) = row["decisions"]
    assert set(decision) == ROW | {"until", "enforced"}
    assert (decision["detector"], decision["packets_before"]) == ("enumeration", 6)
    assert row["findings"][0]["result"] == "drop"
    assert unpack_story(story.last, json.loads(json.dumps(row))) == story


def test_only_the_guilty_and_the_looked_at_are_kept() -> None:
    world = World()
    stories = told(world)
    world.ask(CUSTOMER, "OPTIONS", "x", 200)
    table = world.engine.memory.keep(KIND)
    assert not len(table)
    stories.look_at(bytes((192, 0, 2, 10)))
    stories.look_at(bytes((192, 0, 2, 11)))
    assert len(table) == 1


def test_stories_are_bounded_whatever_comes() -> None:
    world = World()
    stories = told(world)
    for number in range(500):
        agent = f"tool {number} " + "\u00e9" * 100
        world.request(ATTACKER, f"METHOD{number % 50}", f"user{number}{'x' * 80}", agent=agent)
        world.ask(ATTACKER, "OPTIONS", f"user{number}{'x' * 80}", 400 + number % 100, agent=agent)
        world.engine.tick(world.now)
    for verdict in world.verdicts * 3:
        stories.concluded(verdict, world.now, enforced=True)
    stories.look_at(bytes((203, 0, 113, 66)))
    table = world.engine.memory.keep(KIND)
    assert len(table.row(bytes((203, 0, 113, 66))).data) < 16384
    bounded = Stories(Memory())
    for number in range(30_000):
        event = _seen(number)
        bounded.request(event)
    assert len(bounded._light) == 20_000


def _seen(number: int) -> Any:
    from types import SimpleNamespace

    source = (0x0A000000 + number).to_bytes(4, "big")
    return SimpleNamespace(source=source, site=source, time=float(number))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=20,
)
_LIKE = st.fixed_dictionaries(
    {
        name: _JSON
        for name in (
            "first_seen", "messages", "requests", "answers", "users", "user_agents", "findings",
            "decisions",
        )
    }
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(_JSON | _LIKE)
def test_a_story_of_anything_is_a_story_or_refused(packed: Any) -> None:
    try:
        story = unpack_story(1e9, packed)
    except ValueError:
        return
    assert unpack_story(1e9, json.loads(json.dumps(story.as_row()))) == story


def test_nothing_known_and_what_is_no_address(cli: Cli) -> None:
    assert cli.fails("why", ATTACKER).error == f"sdnblock: nothing is known of {ATTACKER}"
    assert "is a prefix" in cli.fails("why", "203.0.113.0/24").error
    empty = json.loads(cli.fails("why", ATTACKER, "-o", "json").out)
    assert empty["decisions"] == [] and empty["effective"] is None and empty["past"] is None


def test_what_redis_knows_without_any_controller(cli: Cli) -> None:
    cli.configure('[allow]\nprefixes = ["192.0.2.0/24"]')
    now = time.time()
    cli("block", "add", "203.0.113.0/24", "--origin", "voipbl", "--reason", "on their list")
    cli("block", "add", f"udp:{ATTACKER}:5060>198.51.100.9:5060", "--action", "limit")
    cli.server.cli("ZADD", "sdnblock:memory:1:credit", str(now - 90), CUSTOMER)
    found = cli.json("why", ATTACKER)
    assert (found["effective"], found["feeds"], found["credit"]) == ("drop", ["voipbl"], False)
    assert {claim["target"] for claim in found["claims"]} == {
        "203.0.113.0/24", f"udp:{ATTACKER}:5060>198.51.100.9:5060",
    }  # fmt: skip
    out = cli("why", ATTACKER, "--no-switches").out
    assert "drop 203.0.113.0/24 by voipbl" in out and "on their list" in out
    assert "named by voipbl" in out and "no controller has told" in out
    customer = cli.json("why", CUSTOMER)
    assert customer["credit"] is True and customer["allowed_by"]
    assert "excepted by the allowlist: 192.0.2.0/24" in cli("why", CUSTOMER).out


def test_hostile_records_are_ignored_or_shown_safely(cli: Cli) -> None:
    now = str(time.time())
    for kind, data in (("past", "[1,2"), ("story", "{}"), ("tenants", '"x"')):
        cli.server.cli("ZADD", f"sdnblock:memory:1:{kind}", now, ATTACKER)
        cli.server.cli("HSET", f"sdnblock:memory:1:{kind}:data", ATTACKER, data)
    cli.fails("why", ATTACKER)
    story = {
        "first_seen": 1, "messages": 3, "requests": {"\x1b[2J": 3}, "answers": {}, "findings": [],
        "users": {"a\nb": 1}, "user_agents": {"\u202e": 1}, "decisions": [],
    }  # fmt: skip
    cli.server.cli("HSET", "sdnblock:memory:1:story:data", ATTACKER, json.dumps(story))
    out = cli("why", ATTACKER).out
    assert "\x1b" not in out and "\u202e" not in out and "a\\nb 1" in out


def test_the_story_of_a_live_source_and_after_the_controller_was_killed(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, switch_thread() as switch:
        cli = Cli(server, tmp_path)
        configure(cli, switch)
        it = Controller(cli, switch)
        try:
            it.start()
            it.world.register(CUSTOMER, "1001", good=True)
            it.world.ask(SCANNER, "OPTIONS", "100", 404)
            for number in range(5):
                it.world.register(ATTACKER, str(number), good=False)
            it.expiry(ATTACKER, "brute-force")
            # A source that did nothing bad is told of because somebody asks.
            asked = cli.json("why", SCANNER)
            assert asked["requests"] == {"OPTIONS": 1} and asked["answers"] == {"404": 1}
            found = cli.json("why", ATTACKER)
            assert found["effective"] == "drop"
            assert found["requests"] == {"REGISTER": 10}
            assert found["answers"]["401"] >= 9
            assert {"0", "1", "2", "3"} <= set(found["users"])
            (decision,) = found["decisions"]
            assert set(decision) >= ROW
            assert (decision["target"], decision["grade"]) == (ATTACKER, "proven")
            assert found["past"]["proven"] == 1
            assert found["switches"][0]["action"] == "drop"
            customer = cli.json("why", CUSTOMER)
            assert customer["credit"] and customer["users_known"] == 1
            it.kill()
            server.cli("DEL", "sdnblock:asked:alive")
            again = cli.json("why", ATTACKER)
            assert again["decisions"] == found["decisions"]
            lines = cli("why", ATTACKER).out
            assert "decided" in lines and "by brute-force, proven, after 10 messages" in lines
        finally:
            it.process.kill()
            it.process.wait(20)
