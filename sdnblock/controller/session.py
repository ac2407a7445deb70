"""One switch, kept equal to the plan: connect, compare, write, and again when it is lost.

Every switch has a session of its own, so a slow or dead one delays no other.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

from sdnblock.block import Action, Target
from sdnblock.blocklist.steady import stop
from sdnblock.controller.backoff import Backoff, Pace
from sdnblock.controller.flight import Flight
from sdnblock.controller.hub import Hub
from sdnblock.controller.slices import Slices
from sdnblock.errors import SwitchError
from sdnblock.reconcile import Ledger, Proposal
from sdnblock.switches.driver import (
    AllowChange,
    BlockChange,
    Change,
    Driver,
    Failure,
    Installed,
    Op,
    SwitchLost,
    target_of,
)
from sdnblock.switches.meanwhile import Meanwhile

_log = logging.getLogger(__name__)

_MOST_URGENT: Final = 256
"""A change that affects more targets is none that could be urgent."""
_PART: Final = 100
"""Targets compared before the loop goes on."""
_TURNS: Final = 6
"""Turns of the loop after which a write has been encoded and sent."""
_LOOK_EVERY: Final = 1.0
"""Seconds after which an idle session makes sure that it still stands."""
_DISTURBED: Final = 0.5
_MOST_DISTURBED: Final = 60.0
"""Seconds between comparisons because somebody removes our entries: at first, and at most."""
_STEADY: Final = 30.0
"""A session that lasted so long (seconds) was a good one: the next attempt comes quickly."""

Adopt = Callable[[Installed], Awaitable[None]]


class Session:
    """Keeps one switch in step. ``adopt`` is given what a switch held before our first word."""

    def __init__(self, driver: Driver, hub: Hub, resync_interval: float, adopt: Adopt) -> None:
        self.driver = driver
        self.name = driver.name
        self.ledger = Ledger(hub.plan.action, hub.rank, hub.allows)
        self.last_error: str | None = None
        self.last_sync: float | None = None
        """When the switch was last known to hold exactly the plan (Unix seconds)."""
        self.connected = asyncio.Event()
        self._hub = hub
        self._adopt = adopt
        self._resync_interval = resync_interval
        self._urgent: dict[Target, None] = {}
        # Ordered: of a dict whose beginning is gone, the next ones take long to find.
        self._bulk: OrderedDict[Target, None] = OrderedDict()
        self._slices = Slices()
        self._flight: Flight | None = None
        self._allows_dirty = False
        self._begun = False
        """Whether the ledger is about the session that there is now."""
        self._wake = asyncio.Event()
        self._alarms: dict[str, int] = {}
        self.reinserted: set[Target] = set()
        """Entries whose counters began again since somebody last emptied this set."""
        self.inserting: set[Target] = set()
        """Entries that are being inserted: their counters may have begun again, or not yet."""
        # What is written during a comparison.
        self._written: Meanwhile | None = None
        self._disturbed = False
        self._pace = Pace(_DISTURBED, _MOST_DISTURBED)
        driver.on_disturbed(self._compare_soon)
        hub.listen(self.look_at)

    def look_at(self, targets: set[Target], allowlist_changed: bool, urgent: bool) -> None:
        """These targets may differ from the plan now; urgent ones come before all others."""
        if self._begun:  # before, all of the plan is going to be looked at
            if urgent and len(targets) <= _MOST_URGENT:
                self._hurry(targets)
            else:
                self._bulk.update(dict.fromkeys(targets))
            self._allows_dirty |= allowlist_changed
        self._wake.set()

    @property
    def busy(self) -> bool:
        """Whether more waits to be written than is usual."""
        return len(self._bulk) > _PART or (self._begun and not self.connected.is_set())

    def _hurry(self, targets: Iterable[Target]) -> None:
        for target in targets:
            self._bulk.pop(target, None)
            self._urgent[target] = None

    def _compare_soon(self) -> None:
        self._disturbed = True
        self._wake.set()

    async def run(self) -> None:
        """Keep the switch in step for ever."""
        backoff = Backoff(0.1, 10.0)
        while True:
            began = time.monotonic()
            try:
                await self._hold()
            except SwitchError as error:
                self.connected.clear()
                if time.monotonic() - began > _STEADY:
                    backoff.reset()
                if str(error) != self.last_error:
                    _log.warning("switch %s: %s; trying again", self.name, error)
                self.last_error = str(error)
            await asyncio.sleep(backoff.wait())

    async def _hold(self) -> None:
        """One session, from connect to the loss of the switch, which it raises."""
        self._begun = False
        await self.driver.connect()
        await self._compare()
        self.connected.set()
        self.last_error = None
        next_compare = time.monotonic() + self._resync_interval
        while True:
            await self._write_pending()
            disturbed = self._disturbed and self._pace.permits(time.monotonic())
            if disturbed:
                _log.warning("switch %s: somebody else removed entries of ours", self.name)
            if disturbed or time.monotonic() >= next_compare:
                await self._compare()
                next_compare = time.monotonic() + self._resync_interval
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                await self.driver.write(())  # raises SwitchLost if the session ended unasked

    async def _compare(self) -> None:
        """Read what is installed and write every difference."""
        self._disturbed = False
        if self.connected.is_set():
            await self._look_again()
        else:
            await self._begin()
        wanted = await self._differing()
        targets = list(wanted)
        if not self.ledger.fits(wanted):
            targets.sort(key=self._hub.rank)
        self._bulk.update(dict.fromkeys(targets))
        await self._write_pending()
        _log.info(
            "switch %s is in sync: %d entries, %d changed",
            self.name, len(self.ledger), len(targets),
        )  # fmt: skip

    async def _begin(self) -> None:
        """Whatever the switch holds, we know it now."""
        installed = await self.driver.read_installed()
        await self._adopt(installed)
        self.ledger.reset(installed, self.driver.capacity)
        self._alarms.clear()
        self._urgent.clear()
        self._bulk.clear()
        self._allows_dirty = True
        self._begun = True

    async def _look_again(self) -> None:
        """The switch should hold what we wrote: where it does not, the ledger has to know.

        Urgent changes are written meanwhile, and of those the ledger knows better.
        """
        ledger, written = self.ledger, Meanwhile()
        self._written = written
        try:
            installed = await self._meanwhile(self.driver.read_installed())
            # Allow entries first: one that is missing must be back before any other block is made.
            ledger.correct_allows(
                (installed.allows - written.allows) | (ledger.allows & written.allows)
            )
            ledger.try_again(self.driver.capacity)
            self._alarms.clear()
            self._allows_dirty = True
            await self._correct(installed.blocks, written)
        finally:
            self._written = None

    async def _correct(self, held: Mapping[Target, Action], written: Meanwhile) -> None:
        ledger = self.ledger
        every = itertools.chain(list(held), list(ledger.blocks))
        for number, target in enumerate(every, 1):
            action = held.get(target)
            if ledger.blocks.get(target) is not action and target not in written.blocks:
                ledger.correct(target, action)
            if number % _PART == 0:
                await self._turn()

    async def _meanwhile(self, reading: Coroutine[Any, Any, Installed]) -> Installed:
        """What ``reading`` gives; what is urgent is written while it goes on."""
        task = asyncio.create_task(reading)
        task.add_done_callback(lambda _: self._wake.set())
        try:
            while not task.done():
                await self._wake.wait()
                self._wake.clear()
                while self._hurried and not task.done():
                    await self._write_urgent()
            return task.result()
        finally:
            await stop(task)

    async def _turn(self) -> None:
        """Let the loop go on, and what is urgent come first."""
        if self._hurried:
            await self._write_urgent()
        else:
            await asyncio.sleep(0)

    async def _differing(self) -> dict[Target, Action | None]:
        """Targets whose entry is not the plan's, and what that is; the loop goes on meanwhile."""
        blocks, action = self.ledger.blocks, self._hub.plan.action
        found = {}
        every = itertools.chain(list(blocks), list(self._hub.plan.targets()))
        for number, target in enumerate(every, 1):
            wanted = action(target)
            if blocks.get(target) is not wanted:
                found[target] = wanted
            if number % _PART == 0:
                await self._turn()
        return found

    @property
    def _hurried(self) -> bool:
        return bool(self._urgent) or self._allows_dirty

    async def _write_pending(self) -> None:
        """Write until nothing is pending."""
        self._wake.clear()
        try:
            while self._hurried or self._bulk or self._flight is not None:
                if self._bulk and not self._hurried:
                    await self._write_ahead()
                    continue
                await self._land()
                if self._hurried:
                    await self._write_urgent()
        finally:
            flight, self._flight = self._flight, None
            if flight is not None:
                await stop(flight.task)
        self.last_sync = time.time()
        self._alarm()

    async def _write_urgent(self) -> None:
        """The next few of what is urgent, and allow entries where they changed."""
        with_allows, self._allows_dirty = self._allows_dirty, False
        try:
            await self._write(self.ledger.propose(self._take(self._urgent), with_allows))
        except SwitchLost:
            self._allows_dirty |= with_allows
            raise

    async def _write_ahead(self) -> None:
        """The next few of the bulk, made ready while the switch works on those before."""
        targets = self._take(self._bulk)
        before = self._flight
        if before is not None and (
            before.touches(targets) or not self.ledger.has_room(before.stage, len(targets))
        ):
            await self._land()
        proposal = self.ledger.propose(targets, with_allows=False)
        before, failures = self._flight, []
        if before is not None:
            failures = await before.task
            self._flight = None
        late = self._hurried
        if not late and len(proposal.stages) == 1:
            self._flight = Flight(proposal.stages[0], self._put)
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        if before is not None:
            self._settle(before.stage, failures)
        if late:
            self._give_back(targets)
        elif self._flight is None:
            await self._write(proposal)

    async def _land(self) -> None:
        """Wait for what is under way."""
        if self._flight is not None:
            stage, failures = self._flight.stage, await self._flight.task
            self._flight = None
            self._settle(stage, failures)

    def _take(self, queue: dict[Target, None]) -> list[Target]:
        targets = list(itertools.islice(queue, self._slices.size))
        for target in targets:
            del queue[target]
        return targets

    def _give_back(self, targets: list[Target]) -> None:
        """To the beginning of the bulk: what matters more comes before what matters less."""
        for target in reversed(targets):
            self._bulk[target] = None
            self._bulk.move_to_end(target, last=False)

    async def _write(self, proposal: Proposal) -> None:
        for number, stage in enumerate(proposal.stages):
            failures = await self._put(stage)
            again = self._settle(stage, failures)
            if (
                again
                and isinstance(stage[0], AllowChange)
                and stage[0].op is Op.INSERT
                and failures
            ):
                # An allow entry did not go in: what was proposed after it is void.
                for later in proposal.stages[number + 1 :]:
                    for change in later:
                        if isinstance(change, BlockChange):
                            self._hurry([change.target])
                return

    async def _put(self, stage: list[Change]) -> list[Failure]:
        """Write one stage; what failed."""
        began = time.monotonic()
        if self._written is not None:
            self._written.note(stage)
        self.inserting = _insertions(stage)
        failures: list[Failure] = []
        try:
            failures = await self.driver.write(stage)
        finally:  # also in doubt: what was not there before counts from zero
            self.reinserted |= self.inserting.difference(
                target_of(each.change) for each in failures
            )
            self.inserting = set()
        self._slices.took(len(stage), time.monotonic() - began)
        return failures

    def _settle(self, stage: list[Change], failures: list[Failure]) -> set[Target]:
        """Note how a stage went; the targets that are looked at again."""
        again = self.ledger.record(stage, failures)
        if len(again) <= _MOST_URGENT:
            self._hurry(again)
        else:
            self._bulk.update(dict.fromkeys(again))
        return again

    def _alarm(self) -> None:
        """Say once, and again when it changes, what could not be enforced."""
        now = {
            "entries do not fit: the table is full; remove blocks or use prefixes":
                self.ledger.unplaced_count(),
            "allowlist entries do not fit: the blocks that touch them are withheld":
                self.ledger.withheld,
            "entries were refused by the switch": len(self.ledger.refused),
        }  # fmt: skip
        for what, count in now.items():
            if count and self._alarms.get(what) != count:
                example = next(iter(self.ledger.refused.values()), "") if "refused" in what else ""
                _log.error("switch %s: %d %s %s", self.name, count, what, example)
        self._alarms = now


def _insertions(stage: Iterable[Change]) -> set[Target]:
    return {
        change.target
        for change in stage
        if isinstance(change, BlockChange) and change.op is Op.INSERT
    }
