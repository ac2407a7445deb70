"""Kamailio's events: what they say, and the lists in Redis that they come by."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from sdnblock.block import UDP, Source, parse_address, parse_prefix
from sdnblock.blocklist import kamailio
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.kamailio import BATCH, KamailioLists
from sdnblock.controller.kamailio import KamailioReader
from sdnblock.detect.sides import Sides
from sdnblock.detect.window import RequestWindow
from sdnblock.errors import BlockListError
from sdnblock.evidence.events import Evidence, RateCrossed, SipSeen
from sdnblock.evidence.kamailio import FIELDS, EventError, read_event
from sdnblock.evidence.sip_values import Address
from tests.redis_server import RedisServer

NOW = 1_700_000_000.75
ATTACKER = "203.0.113.66"
EVENT = {
    "@timestamp": "1700000000", "sourceip": ATTACKER, "toip": "198.51.100.10", "method": "INVITE",
    "from": "sip:100@198.51.100.10", "to": "sip:00441234@198.51.100.10", "dialled": "'00441234'",
    "ua": "friendly-scanner", "short_ua": "friendly-scanner", "node": "kam1",
}  # fmt: skip


def values(**changes: str | None) -> list[bytes | None]:
    fields = {**EVENT, **{name.replace("at_", "@"): value for name, value in changes.items()}}
    return [None if (value := fields[name]) is None else value.encode() for name in FIELDS]


def read(**changes: str | None) -> SipSeen:
    return read_event(b"1@203.0.113.66", values(**changes), NOW)


def test_an_event() -> None:
    event = read()
    assert (event.source, event.destination) == (
        parse_address(ATTACKER),
        parse_address("198.51.100.10"),
    )
    assert (event.protocol, event.whole, event.sampled, event.established) == (
        *(UDP, False, True, False),
    )
    message = event.message
    assert (message.method, message.user_agent) == ("INVITE", "friendly-scanner")
    assert message.from_ == Address("100", "198.51.100.10")
    assert message.to == message.request_uri == Address("00441234", "198.51.100.10")
    assert message.call_id == "1@203.0.113.66"
    assert event.via == "Kamailio kam1"
    assert event.time == NOW


@pytest.mark.parametrize(
    ("stamp", "age"),
    [("1700000000", 0.0), ("1699999999", 0.0), ("1699999995", 5.75), ("1699999995.5", 5.25),
     ("1700000010", 0.0), (None, 0.0), ("yesterday", 0.0), ("1e9", 0.0)],
)  # fmt: skip
def test_times(stamp: str | None, age: float) -> None:
    assert read(at_timestamp=stamp).time == pytest.approx(NOW - age)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sourceip": None}, "no source address"),
        ({"sourceip": "friendly"}, "no source address"),
        ({"sourceip": "203.0.113.66\0"}, None),
        ({"sourceip": "0.0.0.0"}, "nobody's"),
        ({"sourceip": "255.255.255.255"}, "nobody's"),
        ({"sourceip": "ff02::1"}, "nobody's"),
        ({"method": None}, "no method"),
        ({"method": "<null>"}, "no method"),
        ({"method": "IN VITE"}, "no method"),
        ({"at_timestamp": "1600000000"}, "set the clocks"),
        ({"at_timestamp": "1800000000"}, "set the clocks"),
    ],
)
def test_what_cannot_be_used(changes: dict[str, str | None], words: str | None) -> None:
    if words is None:
        assert read(**changes).source == parse_address(ATTACKER)
        return
    with pytest.raises(EventError, match=words):
        read(**changes)


def test_what_kamailio_prints() -> None:
    """Escaped quotes, nothing at all, IPv6 in brackets, methods in small letters."""
    event = read(
        ua="a\\'b\\\\c\\\"d\\0e", to="<null>", toip="[2001:db8::9]", sourceip="2001:db8::66",
        method="invite", node="<null>", dialled="'00441234",
    )  # fmt: skip
    assert event.message.user_agent == "a'b\\c\"de"
    assert event.message.uri == "sip:00441234"
    assert event.message.method == "INVITE"
    assert event.source == parse_address("2001:db8::66")
    assert event.via == "Kamailio events"
    assert read(ua="<null>", short_ua="x").message.user_agent == "x"
    assert read(sourceip="::ffff:203.0.113.66").source == parse_address(ATTACKER)
    assert read(toip="2001:db8::9").destination == bytes(4)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=60)), min_size=10, max_size=10),
       st.lists(st.integers(0, 9)))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_hostile_values_raise_nothing_else(noise: list[bytes | None], kept: list[int]) -> None:
    mixed = [noise[at] if at in kept else value for at, value in enumerate(values())]
    with contextlib.suppress(EventError):
        event = read_event(b"x", mixed, NOW)
        assert len(event.source) == len(event.destination)
        for texts in event.message.headers.values():
            assert not any(ord(letter) < 32 for text in texts for letter in text)


def push(
    server: RedisServer, call_id: str, keep: bool = True, stamp: int = 0, **changes: str
) -> None:
    """As the configuration of the talk does it, but in one command for the hash."""
    fields = {**EVENT, "@timestamp": str(stamp or int(time.time())), **changes}
    with Redis(unix_socket_path=str(server.socket)) as client, client.pipeline() as pipe:
        if keep:
            pipe.hset(f"event:{call_id}", mapping=dict(fields.items()))
            pipe.expire(f"event:{call_id}", 10)
        pipe.lpush("rate_events", call_id)
        pipe.lpush("events", call_id)
        pipe.execute()


@contextlib.asynccontextmanager
async def lists(server: RedisServer, prefix: str = "") -> AsyncIterator[KamailioLists]:
    client = await open_redis(server.settings())
    try:
        yield KamailioLists(client, "Redis", prefix, FIELDS)
    finally:
        await client.aclose()


def ids(events: list[tuple[bytes, list[bytes | None]]]) -> list[str]:
    return [call_id.decode() for call_id, _ in events]


async def test_each_is_taken_once_oldest_first(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with lists(server) as made:
            for number in range(3):
                push(server, f"c{number}")
            batch = await made.take()
            assert batch is not None
            assert ids(batch.events) == ids(batch.rates) == ["c0", "c1", "c2"]
            assert batch.events[0][1][1] == ATTACKER.encode()
            assert not batch.full
            push(server, "c3", keep=False)
            batch = await made.take()
            assert batch is not None
            assert ids(batch.events) == ["c3"]
            assert batch.events[0][1] == [None] * 10
            batch = await made.take()
            assert batch is not None
            assert not batch.events
            assert server.cli("LLEN", "events") == server.cli("LLEN", "rate_events") == "0"


async def test_a_reader_that_dies_loses_nothing(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        push(server, "c0")
        async with lists(server) as first, lists(server) as second:
            assert await first.take()
            assert await second.take() is None
            server.cli("DEL", "events:reader")  # as after LEASE seconds
            batch = await second.take()
            assert batch is not None
            assert ids(batch.events) == ["c0"]
            assert await first.take() is None
            push(server, "c1")
            batch = await second.take()
            assert batch is not None
            assert ids(batch.events) == ["c1"]


async def test_an_answer_that_is_lost_costs_nothing(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        for number in range(3):
            push(server, f"c{number}")
        async with lists(server) as made:
            first = await made.take()
            push(server, "c3")
            # The next call is carried out, but we do not hear of it.
            number, taken = made._number, made._taken
            assert await made.take()
            made._number, made._taken = number, taken
            batch = await made.take()
            assert first is not None
            assert batch is not None
            assert ids(first.events) + ids(batch.events) == ["c0", "c1", "c2", "c3"]


async def test_lists_that_nobody_read_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kamailio, "MOST", 400)
    with RedisServer(tmp_path) as server:
        many = [f"c{number}" for number in range(1000)]
        server.cli("LPUSH", "events", *many)
        server.cli("LPUSH", "rate_events", *many)
        async with lists(server) as made:
            batch = await made.take()
            assert batch is not None
            assert batch.lost == 1200
            assert batch.full
            assert ids(batch.events) == many[600 : 600 + BATCH]
            batch = await made.take()
            assert batch is not None
            assert ids(batch.rates) == many[600 + BATCH :]
            assert batch.lost == 0


async def test_values_without_end_are_cut_and_odd_keys_do_no_harm(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        push(server, "c0", ua="x" * 100_000)
        server.cli("SET", "event:c1", "no hash")
        push(server, "c1", keep=False)
        push(server, "y" * 50_000)
        async with lists(server) as made:
            batch = await made.take()
            assert batch is not None
            assert [len(call_id) for call_id, _ in batch.events] == [2, 2, 1024]
            assert batch.events[0][1][7] == b"x" * 1024
            assert batch.events[1][1] == [None] * 10
            assert batch.events[2][1][1] == ATTACKER.encode()
        server.cli("DEL", "events")
        server.cli("SET", "events", "no list")
        async with lists(server, "other:") as made:
            assert await made.take()
        server.cli("DEL", "events:reader")
        async with lists(server) as made:
            with pytest.raises(BlockListError):
                await made.take()


@dataclass
class Reading:
    """A reader and what it has handed on."""

    reader: KamailioReader
    seen: list[Evidence] = field(default_factory=list)

    def see(self, event: Evidence) -> None:
        self.seen.append(event)

    def sources(self, kind: type[Evidence]) -> list[object]:
        return [event.source for event in self.seen if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def reading(server: RedisServer, threshold: int = 0) -> AsyncIterator[Reading]:
    sides = Sides([parse_prefix("198.51.100.0/24")])
    made = Reading(KamailioReader(server.settings(), "", sides.ours, RequestWindow(threshold, 1.0)))
    task = asyncio.create_task(made.reader.run(made.see))
    try:
        yield made
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_events_become_evidence(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with reading(server) as it:
            push(server, "c0")
            push(server, "c1", sourceip="nobody")
            push(server, "c2", keep=False)
            push(server, "c3", sourceip="203.0.113.67")
            await until(lambda: len(it.seen) == 2)
            await until(lambda: server.cli("LLEN", "events") == "0")
            assert it.sources(SipSeen) == [parse_address(ATTACKER), parse_address("203.0.113.67")]
            tally = it.reader.tally
            assert (tally.judged, dict(tally.refused)) == (2, {"it has no source address": 1})
            assert tally.ignored == {"their hash gone already": 1}


async def test_rate_events_are_counted_by_source_and_second(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        stamp = int(time.time())
        for number in range(8):
            # Two seconds of one, read at once, are no second with twice as many.
            push(server, f"a{number}", stamp=stamp - 1 + number // 4)
            push(server, f"b{number}", stamp=stamp, sourceip="203.0.113.67")
            push(server, f"c{number}", stamp=stamp, sourceip="198.51.100.10")
        async with reading(server, threshold=5) as it:
            await until(lambda: len(it.sources(SipSeen)) == 24)
            (crossed,) = [event for event in it.seen if isinstance(event, RateCrossed)]
            assert crossed.source == Source(parse_address("203.0.113.67"))
            assert (crossed.requests, crossed.port, crossed.switch) == (5, 0, "Kamailio")


async def test_a_call_that_was_heard_of_twice_is_judged_once(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        for _ in range(3):
            push(server, "c0")
        async with reading(server) as it:
            await until(lambda: server.cli("LLEN", "events") == "0")
            assert len(it.seen) == 1


async def test_two_readers_share_without_losing_any(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with reading(server) as one:
            async with reading(server) as other:
                for number in range(30):
                    push(server, f"c{number}")
                await until(lambda: len(one.seen) + len(other.seen) >= 30)
                assert sorted((len(one.seen), len(other.seen))) == [0, 30]
                first = one if one.seen else other
            if first is one:
                return
            # The reader has gone: the other one takes over.
            push(server, "c30")
            await until(lambda: len(one.seen) >= 1)


async def test_a_reader_takes_over_from_one_that_is_gone(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with reading(server) as one:
            push(server, "c0")
            await until(lambda: len(one.seen) == 1)
        async with reading(server) as other:
            push(server, "c1")
            await until(lambda: len(other.seen) >= 1)
            assert time.time() - other.seen[-1].time < 10


async def test_redis_comes_and_goes(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with reading(server) as it:
            push(server, "c0")
            await until(lambda: len(it.seen) == 1)
            server.restart()
            push(server, "c1")
            await until(lambda: len(it.seen) == 2)


async def test_a_backlog_is_worked_off(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        push(server, "c0")
        server.cli("LPUSH", "events", *[f"x{number}" for number in range(2000)])
        push(server, "c1")
        async with reading(server) as it:
            await until(lambda: len(it.seen) == 2)
            assert it.reader.tally.ignored == {"their hash gone already": 2000}
