"""The controller: starts its tasks, joins them, and ends when one of them fails.

Entries stay in the switches when it ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from sdnblock.block import Target
from sdnblock.blocklist.claims import ClaimKey
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.safety import Safety
from sdnblock.blocklist.store import Store
from sdnblock.blocklist.watch import Watcher
from sdnblock.config import Config
from sdnblock.controller.answering import Answering
from sdnblock.controller.backoff import Backoff
from sdnblock.controller.counting import Counting
from sdnblock.controller.feed import Feed
from sdnblock.controller.hub import Hub
from sdnblock.controller.judging import Judging
from sdnblock.controller.marking import Marking
from sdnblock.controller.numbers import Numbers
from sdnblock.controller.remembering import Remembering
from sdnblock.controller.reporting import Reporting
from sdnblock.controller.saver import Saver
from sdnblock.controller.servers import Servers
from sdnblock.controller.session import Session
from sdnblock.controller.sweeping import Sweeping
from sdnblock.controller.telling import Telling
from sdnblock.detect.engine import Engine
from sdnblock.detect.numbers import TestNumbers
from sdnblock.detect.registry import NAMES as DETECTORS
from sdnblock.detect.scanner import ScannerSettings
from sdnblock.detect.sides import Sides
from sdnblock.detect.stories import Stories
from sdnblock.errors import BlockListError, ConfigError, SwitchError
from sdnblock.reading import Readers
from sdnblock.reconcile import Ledger
from sdnblock.switches.driver import AllowChange, Capacity, Driver, Installed
from sdnblock.switches.drivers import Drivers
from sdnblock.switches.settings import SwitchSettings

_log = logging.getLogger(__name__)

_CLOCK_STEP: Final = 1.0

MakeDriver = Callable[[SwitchSettings], Driver]
Reload = Callable[[], Config]


class Daemon:
    """One controller. ``reload`` reads the configuration again, for SIGHUP."""

    def __init__(
        self, config: Config, reload: Reload, make_driver: MakeDriver | None = None
    ) -> None:
        self._config = config
        self._reload = reload
        make_driver = make_driver or Drivers().make
        self._drivers = [make_driver(switch) for switch in config.switches]
        self.hub = Hub(Safety(config.safety), config.allow, DETECTORS, time.time)
        sides = Sides(config.safety.own_prefixes)
        self._engine = Engine(config.detect, sides, self.hub.named_by, self.hub.allows.allows)
        self.servers = Servers(config, sides)
        self._numbers = TestNumbers(config.numbers, self._engine.credit, self._engine.memory)
        self._stories = Stories(self._engine.memory)
        self.sessions: list[Session] = []
        self._marking: Marking | None = None
        self._stop = asyncio.Event()

    @property
    def stopping(self) -> bool:
        """Whether it was told to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End :meth:`run`, as SIGTERM does."""
        self._stop.set()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises BlockListError for a Redis that will not do, SdnblockError for an address that
        cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_config)
        if not self._drivers:
            _log.warning("no switch is configured: nothing will be enforced")
        async with contextlib.AsyncExitStack() as stack:
            for driver in self._drivers:
                stack.push_async_callback(driver.close)
            stack.callback(self.servers.close)
            self.servers.open()
            store = await self._open_store(stack)
            if store is None:
                return
            with contextlib.suppress(asyncio.CancelledError):
                async with asyncio.TaskGroup() as group:
                    tasks = self._start(group, store, stack)
                    await self._stop.wait()
                    for task in tasks:
                        task.cancel()
        _log.info("stopped; what is installed stays in force")

    async def _open_store(self, stack: contextlib.AsyncExitStack) -> Store | None:
        """Redis, waited for if it is not there yet; None if we are told to stop meanwhile."""
        backoff = Backoff(0.2, 5.0)
        said = ""
        while not self._stop.is_set():
            try:
                redis = await open_redis(self._config.redis)
            except BlockListError as error:
                if str(error) != said:
                    said = str(error)
                    _log.error("%s; waiting for it", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), backoff.wait())
                continue
            stack.push_async_callback(redis.aclose)
            return Store(redis, self._config.redis.keys())
        return None

    def _start(
        self, group: asyncio.TaskGroup, store: Store, stack: contextlib.AsyncExitStack
    ) -> list[asyncio.Task[None]]:
        config, settings = self._config, self._config.controller
        saver = Saver(store, self.hub)
        watcher = Watcher(config.redis, config.redis.keys())
        names = frozenset(driver.name for driver in self._drivers)
        feed = Feed(watcher, store, self.hub, saver, names, settings.recovered_for)
        self._marking = Marking(
            self._engine.signatures, store, config.detect.of(ScannerSettings).file
        )
        remembering = Remembering(self._engine.memory, store, self.hub)
        stack.push_async_callback(remembering.flush)
        judging = Judging(
            self.hub,
            saver,
            self._engine,
            remembering.wait_ready,
            (self._numbers, self._stories),
        )
        tasks = [
            group.create_task(feed.run(), name="block list"),
            group.create_task(saver.run(), name="saver"),
            group.create_task(self._expire(), name="expiry"),
            group.create_task(remembering.run(), name="memory"),
            group.create_task(self._marking.run(), name="signatures"),
            group.create_task(Numbers(self._numbers, store).run(), name="test numbers"),
            group.create_task(Telling(self._stories, store).run(), name="stories"),
            group.create_task(judging.run(), name="detectors"),
            group.create_task(self.servers.run(judging), name="SIP servers"),
            group.create_task(Sweeping(self._busy).run(), name="garbage"),
        ]
        for driver in self._drivers:

            async def adopt(installed: Installed, name: str = driver.name) -> None:
                await feed.adopt(name, installed, time.time())

            session = Session(driver, self.hub, settings.resync_interval, adopt)
            self.sessions.append(session)
            counting = Counting(session, store, settings.counters_interval)
            tasks += [
                group.create_task(self._hold(session), name=f"switch {driver.name}"),
                group.create_task(counting.run(), name=f"counters of {driver.name}"),
                group.create_task(judging.follow(driver), name=f"evidence of {driver.name}"),
            ]
        reporting = Reporting(self.sessions, self.hub, store)
        tasks.append(group.create_task(reporting.run(), name="reporting"))
        answering = Answering(self._drivers, store, config.redis.timeout)
        if answering.needed:
            tasks.append(group.create_task(answering.run(), name="questions about switches"))
        return tasks

    def _busy(self) -> bool:
        """Whether much is waiting to be read or written."""
        return not self.hub.ready or any(session.busy for session in self.sessions)

    async def _hold(self, session: Session) -> None:
        """Nothing is written to a switch before the whole block list is known."""
        await self.hub.wait_ready()
        await session.run()

    async def _expire(self) -> None:
        """Expiry to the second, by the wall clock, which may be set while we sleep."""
        while True:
            upcoming = self.hub.next_expiry()
            wait = _CLOCK_STEP if upcoming is None else min(upcoming - time.time(), _CLOCK_STEP)
            await asyncio.sleep(max(wait, 0.005))
            if upcoming is not None and upcoming <= time.time():
                self.hub.expire()

    def _reload_config(self) -> None:
        """SIGHUP: the allowlist and the detectors' settings; the rest needs a restart."""
        try:
            fresh = self._reload()
        except ConfigError as error:
            _log.error("not reloaded, everything stays as it was: %s", error)
            return
        self.hub.set_static_allows(fresh.allow)
        self.hub.set_safety(Safety(fresh.safety))
        if self._config.detect != fresh.detect:
            self._engine.configure(fresh.detect)
            self.servers.configure(fresh.detect)
        self._numbers.settings = fresh.numbers
        if self._marking is not None:
            self._marking.set_file(fresh.detect.of(ScannerSettings).file)
        unchanged = (
            self._config.switches == fresh.switches
            and self._config.redis == fresh.redis
            and self._config.controller == fresh.controller
            and (self._config.hep, self._config.kamailio) == (fresh.hep, fresh.kamailio)
        )
        self._config = fresh
        _log.info(
            "reloaded: allowlist, safety, detectors%s",
            ""
            if unchanged
            else "; switches, redis, sip, limit, sample, hep, kamailio, controller and the"
            " thresholds that switches hold need a restart",
        )


async def show_differences(config: Config) -> list[str]:
    """What a controller started now would change, a line each. Nothing is written anywhere.

    Raises BlockListError; a switch that cannot be read is a line of its own.
    """
    hub = Hub(Safety(config.safety), config.allow, DETECTORS, time.time)

    @contextlib.asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        async with contextlib.aclosing(await open_redis(config.redis)) as redis:
            yield Store(redis, config.redis.keys())

    async with open_store() as store:
        await load_once(hub, store)
    readers = Readers(open_store)
    lines = []
    for settings in config.switches:
        try:
            async with readers.open(settings) as reader:
                lines += _changes(settings.name, hub, await reader.installed(), reader.capacity)
        except SwitchError as error:
            lines.append(str(error))
    return lines


def _changes(name: str, hub: Hub, installed: Installed, capacity: Capacity) -> list[str]:
    ledger = Ledger(hub.plan.action, hub.rank, hub.allows)
    ledger.reset(installed, capacity)
    everything = set(installed.blocks) | set(hub.plan.targets())
    lines = []
    for change in itertools.chain(*ledger.propose(everything, with_allows=True).stages):
        if isinstance(change, AllowChange):
            what = f"allow {change.prefix}"
        else:
            what = f"{change.action.value} {change.target}"
        lines.append(f"{name}: {change.op.value} {what}")
    if ledger.unplaced_count():
        lines.append(f"{name}: {ledger.unplaced_count()} entries do not fit")
    return lines


async def load_once(hub: Hub, store: Store) -> None:
    """The block list as it is now, without following it. Raises BlockListError."""
    claims: dict[ClaimKey, dict[Target, float]] = {}
    async for chunk in store.claims():
        for claim in chunk:
            claims.setdefault(claim.key, {})[claim.target] = claim.expires
    hub.load(claims, {entry.prefix: entry.expires for entry in await store.allowed()})
