"""One switch's session: what is urgent overtakes, and nothing else changes by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.block import NEVER, Action, Source, Target, parse_prefix, parse_target
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.blocklist.safety import Safety, SafetySettings
from sdnblock.controller.counting import Counting
from sdnblock.controller.hub import Hub
from sdnblock.controller.session import Session
from sdnblock.controller.slices import Slices
from sdnblock.detect.registry import NAMES
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Capacity,
    Driver,
    Installed,
    Op,
    SwitchLost,
    TableKind,
    target_of,
)
from tests.driver_memory import ROOMY, MemoryDriver

FEED, OPERATOR = ClaimKey("feed", Action.DROP), ClaimKey("operator", Action.DROP)
ATTACKER = parse_target("203.0.113.7")
CUSTOMER = Source(bytes((192, 0, 2, 1)))


def host(number: int) -> Source:
    return Source((0x0B000000 + number).to_bytes(4, "big"))


async def nothing_to_adopt(installed: Installed) -> None:
    assert installed is not None


def hub() -> Hub:
    made = Hub(Safety(SafetySettings()), (), NAMES, time.time)
    made.load({}, {})
    return made


@asynccontextmanager
async def holding(driver: Driver, over: Hub, resync: float = 3600.0) -> AsyncIterator[Session]:
    """A session in step."""
    session = Session(driver, over, resync, nothing_to_adopt)
    task = asyncio.create_task(session.run())
    try:
        await asyncio.wait_for(session.connected.wait(), 5)
        yield session
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        for _ in range(1_000_000):
            if condition():
                return
            await asyncio.sleep(0.001)


def put(over: Hub, targets: Iterable[Target], expires: float | None, *, urgent: bool) -> None:
    over.put_all([(FEED, target, expires) for target in targets], urgent=urgent)


def held_up(times: int) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    return wait


async def test_an_urgent_block_comes_before_a_hundred_thousand() -> None:
    driver, over = MemoryDriver(), hub()
    async with holding(driver, over):
        put(over, map(host, range(50_000)), NEVER, urgent=False)
        await until(lambda: len(driver.blocks) > 1000)
        over.put(OPERATOR, ATTACKER, NEVER)
        already = len(driver.written)
        await until(lambda: ATTACKER in driver.blocks)
        places = [
            number
            for number, changes in enumerate(driver.written)
            if any(isinstance(c, BlockChange) and c.target == ATTACKER for c in changes)
        ]
        assert len(places) == 1 and places[0] <= already
        await until(lambda: len(driver.blocks) == 50_001)


async def test_what_waits_in_the_bulk_and_becomes_urgent_is_written_once() -> None:
    driver, over = MemoryDriver(), hub()
    driver.before = held_up(3)
    async with holding(driver, over) as session:
        put(over, map(host, range(5000)), NEVER, urgent=False)
        await until(lambda: bool(driver.blocks))
        over.put_all([(OPERATOR, host(4999), NEVER)], urgent=True)  # its action does not change
        session.look_at({host(4998)}, False, True)
        await until(lambda: len(driver.blocks) == 5000)
        targets = [c.target for changes in driver.written for c in changes]  # type: ignore[union-attr]
        assert len(targets) == len(set(targets)) == 5000
        assert targets.index(host(4998)) < 4000


_step = st.tuples(
    st.sampled_from(["urgent", "bulk", "turn"]),
    st.lists(st.integers(0, 7), min_size=1, max_size=5),
    st.sampled_from([NEVER, None]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(_step, max_size=40), st.integers(0, 4), st.integers(0, 4), st.integers(-1, 4))
def test_any_interleaving_ends_at_the_same_table(
    steps: list[tuple[str, list[int], float | None]], before: int, after: int, between: int
) -> None:
    """Whatever is urgent and whatever is not: the table is the block list's, change by change.

    ``between`` not under 0: the switch is read again all the time, and that takes a while.
    """

    async def run() -> None:
        driver, over = MemoryDriver(), hub()
        driver.before, driver.after = held_up(before), held_up(after)
        if between >= 0:
            driver.between, driver.known = held_up(between), tuple(map(host, range(8)))
        wanted: set[Target] = set()
        async with holding(driver, over, 3600.0 if between < 0 else 0.0) as session:
            for lane, numbers, expires in steps:
                if lane == "turn":
                    await held_up(len(numbers))()
                    continue
                targets = [host(number) for number in numbers]
                put(over, targets, expires, urgent=lane == "urgent")
                wanted = wanted - set(targets) if expires is None else wanted | set(targets)
            await held_up(50)()  # what is under way is over, and the next one has begun
            await until(lambda: driver.blocks.keys() == session.ledger.blocks.keys() == wanted)
        # Each entry was inserted and deleted in turn: never refused, never twice.
        there: set[Target] = set()
        for changes in driver.written:
            for change in changes:
                assert isinstance(change, BlockChange)
                assert (change.op is Op.INSERT) is (change.target not in there)
                there ^= {change.target}
        assert there == wanted

    asyncio.run(run())


_many = st.tuples(
    st.sampled_from(["urgent", "bulk", "turn"]),
    st.integers(0, 200),
    st.integers(1, 150),
    st.sampled_from([NEVER, NEVER, None]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(_many, max_size=12), st.integers(0, 6), st.integers(0, 6), st.integers(40, 400))
def test_what_is_made_ready_while_a_write_is_under_way_neither_overfills_nor_forgets(
    steps: list[tuple[str, int, int, float | None]], before: int, after: int, room: int
) -> None:
    """More than one write can take, so that one is made ready beside another."""

    async def run() -> None:
        driver, over = MemoryDriver(), hub()
        driver.capacity = Capacity({**ROOMY.tables, (TableKind.SOURCE, 4): room}, 1000)
        driver.before, driver.after = held_up(before), held_up(after)
        wanted: set[Target] = set()
        async with holding(driver, over) as session:
            for lane, first, count, expires in steps:
                if lane == "turn":
                    await held_up(count)()
                    continue
                targets = list(map(host, range(first, first + count)))
                put(over, targets, expires, urgent=lane == "urgent")
                wanted = wanted - set(targets) if expires is None else wanted | set(targets)
            await until(
                lambda: (
                    driver.blocks.keys() == session.ledger.blocks.keys()
                    and driver.blocks.keys() <= wanted
                    and len(driver.blocks) == min(room, len(wanted))
                )
            )
        assert not driver.failures

    asyncio.run(run())


async def test_the_next_write_is_made_ready_while_the_switch_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver, over = MemoryDriver(), hub()
    asked, begun, ended = 0, [], []
    action = over.plan.action

    def ask(target: Target) -> Action | None:
        nonlocal asked
        asked += 1
        return action(target)

    async def work() -> None:
        begun.append(asked)
        await held_up(20)()

    async def end() -> None:
        ended.append(asked)

    monkeypatch.setattr(over.plan, "action", ask)
    async with holding(driver, over):
        driver.before, driver.after = work, end
        put(over, map(host, range(2000)), NEVER, urgent=False)
        await until(lambda: len(driver.blocks) == 2000)
    meanwhile = [after - before for before, after in zip(begun, ended, strict=True)]
    assert len(meanwhile) > 3
    assert min(meanwhile[:-2]) > 0


async def test_what_is_removed_while_its_write_is_under_way_is_deleted() -> None:
    driver, over = MemoryDriver(), hub()

    async def remove() -> None:
        if len(driver.written) == 1:
            put(over, [target_of(driver.written[0][0])], None, urgent=False)
        await held_up(20)()

    async with holding(driver, over) as session:
        driver.before = remove
        put(over, map(host, range(150)), NEVER, urgent=False)
        await until(lambda: len(driver.blocks) == len(session.ledger.blocks) == 149)


async def test_an_allow_entry_overtakes_what_has_been_made_ready() -> None:
    driver, over = MemoryDriver(), hub()
    around = parse_prefix("192.0.2.0/24")
    told: list[None] = []

    async def allow() -> None:
        if not told:
            told.append(None)
            over.put_allow(CUSTOMER, NEVER)

    async with holding(driver, over):
        driver.before = held_up(20)
        driver.after = allow  # the first write is in force, the second one is ready
        put(over, map(host, range(120)), NEVER, urgent=False)
        put(over, [around], NEVER, urgent=False)
        await until(lambda: around in driver.blocks)
        assert len(driver.written[0]) < 120
        written = [change for changes in driver.written for change in changes]
        allowed = written.index(AllowChange(Op.INSERT, CUSTOMER))
        assert allowed < written.index(BlockChange(Op.INSERT, around, Action.DROP))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(["block", "tamper"]), st.integers(0, 7), st.booleans())),
    st.integers(0, 3),
)
def test_what_somebody_else_does_is_put_right_while_blocks_come_and_go(
    steps: list[tuple[str, int, bool]], between: int
) -> None:
    async def run() -> None:
        driver, over = MemoryDriver(), hub()
        driver.between, driver.known = held_up(between), tuple(map(host, range(8)))
        wanted: set[Target] = set()
        async with holding(driver, over, 0.0) as session:
            for what, number, there in steps:
                target = host(number)
                if what == "block":
                    over.put(OPERATOR, target, NEVER if there else None)
                    wanted = wanted | {target} if there else wanted - {target}
                elif there:
                    driver.blocks[target] = Action.WATCH
                else:
                    driver.blocks.pop(target, None)
                await held_up(number)()
            end = dict.fromkeys(wanted, Action.DROP)
            async with asyncio.timeout(10):
                while not driver.blocks == session.ledger.blocks == end:
                    session.look_at(set(), False, False)  # only to wake it: it reads again
                    await asyncio.sleep(0)

    asyncio.run(run())


async def test_a_block_does_not_wait_for_a_comparison() -> None:
    driver, over = MemoryDriver(), hub()
    going, done = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        going.set()
        await done.wait()

    async with holding(driver, over, 0.0):
        driver.between, driver.known = wait, (host(1), host(2))
        over.put(OPERATOR, host(3), NEVER)
        await going.wait()
        over.put(OPERATOR, ATTACKER, NEVER)
        over.put(OPERATOR, host(3), None)
        await until(lambda: driver.blocks == {ATTACKER: Action.DROP})
        over.put_allow(CUSTOMER, NEVER)
        await until(lambda: driver.allows == {CUSTOMER})
        written = len(driver.written)
        done.set()
        await held_up(100)()
        assert len(driver.written) == written
        assert driver.blocks == {ATTACKER: Action.DROP}
        assert driver.allows == {CUSTOMER}


async def test_an_allow_entry_that_somebody_removed_is_back_before_any_block() -> None:
    driver, over = MemoryDriver(), hub()
    over.put_allow(CUSTOMER, NEVER)
    around = parse_prefix("192.0.2.0/24")

    async def between() -> None:
        passed.append(None)
        if len(passed) == 10:  # the reading ends without another turn
            over.put(OPERATOR, around, NEVER)

    passed: list[None] = []
    async with holding(driver, over, 0.0) as session:
        await until(lambda: driver.allows == {CUSTOMER})
        driver.between, driver.known = between, tuple(map(host, range(10)))
        before = len(driver.written)
        driver.allows.clear()
        session.look_at(set(), False, False)  # only to wake it: it reads again
        await until(lambda: around in driver.blocks)
        first, second = driver.written[before : before + 2]
        assert first == [AllowChange(Op.INSERT, CUSTOMER)]
        assert second == [BlockChange(Op.INSERT, around, Action.DROP)]


async def test_a_session_that_is_lost_in_a_write_ends_at_the_table_too() -> None:
    driver, over = MemoryDriver(), hub()
    fail = iter([False, False, True] + [False] * 1000)

    async def lose() -> None:
        if next(fail):
            raise SwitchLost("gone")

    driver.after = lose
    async with holding(driver, over):
        put(over, map(host, range(500)), NEVER, urgent=False)
        over.put(OPERATOR, ATTACKER, NEVER)
        await until(lambda: len(driver.blocks) == 501)


# --- counters -----------------------------------------------------------------------------


class Totals:
    """What is told to the block list."""

    def __init__(self) -> None:
        self.packets: dict[Target, int] = {}

    async def add_counters(self, owed: dict[Target, tuple[int, int]]) -> None:
        for target, (packets, _) in owed.items():
            self.packets[target] = self.packets.get(target, 0) + packets


@pytest.mark.parametrize("lost", [False, True])
async def test_a_count_read_before_the_insertion_is_known_counts_once(lost: bool) -> None:
    """A switch drops by an entry, and counts, before its answer has reached us."""
    driver, over, totals = MemoryDriver(), hub(), Totals()
    counted = asyncio.Event()

    async def wait() -> None:
        await counted.wait()
        driver.after = held_up(0)
        if lost:
            raise SwitchLost("the answer is lost")

    async with holding(driver, over) as session:
        counting = Counting(session, totals, 0.002)  # type: ignore[arg-type]
        driver.after = wait
        over.put(OPERATOR, ATTACKER, NEVER)
        await until(lambda: ATTACKER in driver.blocks)
        driver.counts[ATTACKER] = 10
        task = asyncio.create_task(counting.run())
        await asyncio.sleep(0.05)  # several readings, all of them in doubt
        assert totals.packets in ({}, {ATTACKER: 10})
        counted.set()
        await until(lambda: totals.packets == {ATTACKER: 10})
        driver.counts[ATTACKER] = 15
        await until(lambda: totals.packets == {ATTACKER: 15})
        await asyncio.sleep(0.02)
        assert totals.packets == {ATTACKER: 15}
        task.cancel()


async def test_a_reinserted_entry_counts_from_zero() -> None:
    driver, over, totals = MemoryDriver(), hub(), Totals()
    async with holding(driver, over) as session:
        task = asyncio.create_task(Counting(session, totals, 0.002).run())  # type: ignore[arg-type]
        for expected in (10, 30, 60):
            over.put(OPERATOR, ATTACKER, NEVER)
            await until(lambda: ATTACKER in driver.blocks)
            driver.counts[ATTACKER] = expected - totals.packets.get(ATTACKER, 0)
            await until(lambda n=expected: totals.packets == {ATTACKER: n})  # type: ignore[misc]
            over.put(OPERATOR, ATTACKER, None)
            await until(lambda: not driver.blocks)
        task.cancel()


# --- how much at once ---------------------------------------------------------------------


def test_slices_follow_what_a_switch_can_do() -> None:
    for each, expected in ((25e-6, 320), (1e-3, 32), (1e-7, 2000)):
        slices = Slices()
        for _ in range(200):
            slices.took(slices.size, slices.size * each)
        assert abs(slices.size - expected) <= expected * 0.01


def test_one_write_that_was_held_up_does_not_make_slices_tiny() -> None:
    slices = Slices()
    for _ in range(100):
        slices.took(slices.size, slices.size * 25e-6)
    slices.took(slices.size, 5.0)
    assert slices.size > 150
    slices.took(1, 5.0)  # of a single change nothing is learned
    assert slices.size > 150
