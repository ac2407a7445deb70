"""What is urgent on its way from Redis to the consumer: it overtakes, and changes nothing else."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.block import Action, Source, Target, parse_prefix
from sdnblock.blocklist import hints as lanes
from sdnblock.blocklist.changes import Disconnected, Ready, Single, SingleAllow, WatchEvent, Whole
from sdnblock.blocklist.claims import ClaimKey, parse_member
from sdnblock.blocklist.hints import Hints
from sdnblock.blocklist.outbox import Outbox
from sdnblock.blocklist.rereads import Rereads
from sdnblock.blocklist.shadow import Shadow
from sdnblock.blocklist.urgency import FEW, Urgency

KEYS = [ClaimKey("feed", Action.DROP), ClaimKey("operator", Action.DROP)]
FEED = KEYS[0]


def host(number: int) -> Source:
    return Source(bytes((11, 0, number >> 8, number & 255)))


_single = st.builds(
    Single,
    st.sampled_from(KEYS),
    st.integers(0, 3).map(host),
    st.sampled_from([None, 1.0, 2.0]),
    st.booleans(),
)
_whole = st.builds(
    Whole, st.sampled_from(KEYS), st.dictionaries(st.integers(0, 3).map(host), st.just(3.0))
)
_events = st.one_of(_single, _single, _single, _whole, st.just(Ready(None)))

Held = dict[tuple[ClaimKey, Target], float]


def apply(event: WatchEvent, held: Held) -> None:
    match event:
        case Single(key, target, None):
            held.pop((key, target), None)
        case Single(key, target, float(expires)):
            held[key, target] = expires
        case Whole(key, members):
            for name in [name for name in held if name[0] == key]:
                del held[name]
            held.update({(key, target): expires for target, expires in members.items()})


@settings(deadline=None)
@given(st.lists(st.one_of(_events, st.none()), max_size=60))
def test_any_interleaving_of_lanes_ends_at_the_same_claims(
    steps: list[WatchEvent | None],
) -> None:
    """None: the consumer takes. Fences keep their place, too."""

    async def run() -> None:
        outbox, expected, held = Outbox(), dict[tuple[ClaimKey, Target], float](), Held()
        waiting = 0
        readies = 0

        async def take() -> int:
            events = await outbox.take()
            assert events
            assert not any(isinstance(event, Ready) for event in events[:-1])
            nonlocal readies
            for event in events:
                apply(event, held)
                readies += isinstance(event, Ready)
            return len(events)

        for step in steps:
            if step is not None:
                outbox.put(step)
                apply(step, expected)
                waiting += 1
            elif waiting:
                await take()
                waiting = 1 if outbox._urgent or outbox._bulk else 0
        while outbox._urgent or outbox._bulk:
            await take()
        assert held == expected
        assert readies == sum(isinstance(step, Ready) for step in steps)
        await outbox.room()

    asyncio.run(run())


async def test_urgent_news_overtakes_and_comes_once() -> None:
    outbox = Outbox()
    outbox.put(*(Single(FEED, host(n), 1.0) for n in range(5000)))
    outbox.put(Single(FEED, host(4000), 2.0, urgent=True))
    assert await outbox.take() == [Single(FEED, host(4000), 2.0)]
    told: list[WatchEvent] = []
    while len(told) < 4999:
        batch = await outbox.take()
        assert len(batch) < 100
        told += batch
    assert Single(FEED, host(4000), 1.0) not in told
    assert not outbox._urgent and not outbox._bulk


@pytest.mark.parametrize(
    "fence",
    [
        Whole(FEED, {host(1): 3.0}),
        SingleAllow(parse_prefix("11.0.0.0/8"), 1.0),
        Disconnected("gone"),
        Ready(None),
    ],
)
async def test_nothing_overtakes_the_allowlist_or_what_is_told_whole(fence: WatchEvent) -> None:
    outbox = Outbox()
    outbox.put(fence)
    outbox.put(Single(FEED, host(1), 2.0, urgent=True))
    told: list[WatchEvent] = []
    while len(told) < 2:
        told += await outbox.take()
    assert told == [fence, Single(FEED, host(1), 2.0)]


async def test_the_loop_goes_on_between_what_is_taken() -> None:
    outbox = Outbox()
    outbox.put(*(Single(FEED, host(n), 1.0) for n in range(2000)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    taken = 0
    while taken < 2000:
        taken += len(await outbox.take())
    assert turns >= 20
    task.cancel()


# --- hints --------------------------------------------------------------------------------


async def test_the_set_with_the_fewest_hints_is_looked_at_first() -> None:
    hints = Hints()
    for number in range(1000):
        hints.add(KEYS[0], str(host(number)).encode())
    assert await hints.take(10) == (KEYS[0], [str(host(n)).encode() for n in range(10)], True)
    hints.add(KEYS[1], b"203.0.113.7")
    hints.add(KEYS[1], b"203.0.113.7")
    hints.add(None, b"")
    assert await hints.take(10) == (None, [], False)
    assert await hints.take(10) == (KEYS[1], [b"203.0.113.7"], False)
    members: list[bytes] = []
    more = True
    while more:
        _, some, more = await hints.take(99)
        members += some
    assert len(members) == 990


async def test_of_too_many_hints_their_set_is_read() -> None:
    hints = Hints()
    told = [hints.add(FEED, str(number).encode()) for number in range(4500)]
    assert told.count(True) == 1
    hints.reading(FEED)
    hints.add(FEED, b"after")
    _, taken, more = await hints.take(99)
    assert taken == [b"after"]
    assert not more


def test_a_set_that_was_found_gone_is_read_again_if_it_changed_meanwhile() -> None:
    now = [0.0]
    rereads = Rereads(lambda: now[0])
    rereads.changed([FEED], with_hints=False)
    assert rereads.take() == [FEED]
    rereads.changed([FEED], with_hints=False)  # while it is read
    rereads.forget(FEED)
    assert rereads.take() == [FEED]
    assert rereads.take() == []


async def test_hints_about_sets_without_end_wait_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "_FULL", 500)
    hints = Hints()
    for number in range(600):
        hints.add(ClaimKey(f"o{number}", Action.DROP), b"203.0.113.7")
    waiting = asyncio.create_task(hints.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    for _ in range(360):
        await hints.take(5)
    await asyncio.wait_for(waiting, 1)


# --- who is urgent ------------------------------------------------------------------------


def test_few_are_urgent_and_many_are_not() -> None:
    now = 0.0
    urgency = Urgency(lambda: now)
    assert all(urgency.permits(FEED, 1) for _ in range(FEW))
    assert not urgency.permits(FEED, 1)
    assert urgency.permits(KEYS[1], FEW)  # another one's affair
    now += 0.5
    assert urgency.permits(FEED, FEW // 2)
    for _ in range(100):  # a flood stays one as long as it lasts
        now += 0.1
        assert not urgency.permits(FEED, 25)
    now += 1.0
    assert urgency.permits(FEED, 1)


def test_keys_without_end_cost_no_memory() -> None:
    urgency = Urgency(lambda: 0.0)
    for number in range(50_000):
        assert urgency.permits(number, 1)
    assert len(urgency._left) <= 10_000


# --- readings with changes in between -----------------------------------------------------

_coin = st.booleans()
_members = st.integers(0, 5).map(lambda n: str(host(n)).encode())


@settings(deadline=None)
@given(
    st.dictionaries(_members, st.sampled_from([1.0, 2.0])),
    st.lists(st.tuples(_members, st.sampled_from([None, 1.0, 2.0])), max_size=20),
    st.integers(1, 3),
    st.data(),
)
def test_a_reading_with_hints_in_between_ends_at_the_set(
    held: dict[bytes, float],
    changes: list[tuple[bytes, float | None]],
    size: int,
    data: st.DataObject,
) -> None:
    """Changes of which there is a hint may come at any moment of a reading, also at its end."""
    shadow = Shadow[Target](parse_member)
    told: dict[Target, float | None] = {}

    def hinted() -> None:
        while changes:
            more: bool = data.draw(_coin)
            if not more:
                return
            member, score = changes.pop()
            if score is None:
                held.pop(member, None)
            else:
                held[member] = score
            target = parse_member(member)
            if shadow.update(target, [(member, score)]):
                told[target] = shadow.expires(target)

    for _ in range(3):
        shadow.begin()
        hinted()
        windows = list(held.items())
        for start in range(0, len(windows), size):
            told |= shadow.window(windows[start : start + size])
            hinted()
        for gone in shadow.finish(size):
            told |= gone
            hinted()
        hinted()
        expected = {parse_member(member): score for member, score in held.items()}
        assert {target: at for target, at in told.items() if at is not None} == expected
        assert len(shadow) == len(held)
        for member in data.draw(st.lists(_members, max_size=3)):  # nobody told us
            if held.pop(member, None) is None:
                held[member] = 1.0
