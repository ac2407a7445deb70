"""A controller, its Redis and its switches in one test: real but for the packets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from sdnblock.block import Action, Prefix, Source, Target, covers, parse_target, source_of
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.store import Store
from sdnblock.config import Config, ControllerSettings
from sdnblock.daemon import Daemon
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.request_rate import RequestRateSettings
from sdnblock.softswitch.dataplane import Outcome, Value
from sdnblock.softswitch.memory import MemoryDataplane
from sdnblock.switches.settings import SwitchSettings
from tests.redis_server import RedisServer
from tests.softswitch_kit import Running, running

_ACTIONS = {6: Action.DROP, 7: Action.LIMIT, 8: Action.WATCH}


class WatchedPlane(MemoryDataplane):
    """Checks after every single change that nothing in ``never`` can be dropped."""

    def __init__(self, sizes: dict[str, int] | None = None) -> None:
        super().__init__(table_sizes=sizes)
        self.never: list[Source] = []
        self.violations: list[str] = []

    def insert(self, table: str, keys: Sequence[bytes], values: Sequence[Value]) -> list[Outcome]:
        found = []
        for key, value in zip(keys, values, strict=True):
            found += super().insert(table, [key], [value])
            self._check(f"insert into {table}")
        return found

    def modify(self, table: str, keys: Sequence[bytes], values: Sequence[Value]) -> list[Outcome]:
        found = []
        for key, value in zip(keys, values, strict=True):
            found += super().modify(table, [key], [value])
            self._check(f"modify in {table}")
        return found

    def delete(self, table: str, keys: Sequence[bytes]) -> list[Outcome]:
        found = []
        for key in keys:
            found += super().delete(table, [key])
            self._check(f"delete from {table}")
        return found

    def blocks(self) -> dict[Target, Action]:
        """Sources and prefixes that are blocked."""
        found: dict[Target, Action] = {}
        for table in ("source_v4", "source_v6", "prefix_v4", "prefix_v6"):
            for target, action in self._rows(table):
                found[target] = _ACTIONS[action]
        return found

    def allows(self) -> set[Target]:
        """The allow entries."""
        return {t for table in ("allow_v4", "allow_v6") for t, _ in self._rows(table)}

    def _rows(self, table: str) -> list[tuple[Target, int]]:
        if not self.loaded:
            return []
        rows: list[tuple[Target, int]] = []
        for entries in self.scan(table):
            for key, entry in entries:
                if table.startswith("source"):
                    rows.append((Source(key), entry.value.action))
                    continue
                length, address = int.from_bytes(key[:4], "little"), key[4:]
                full = length == len(address) * 8
                target = Source(address) if full else Prefix(address, length)
                rows.append((target, entry.value.action))
        return rows

    def _check(self, what: str) -> None:
        if not self.never:
            return
        blocks, allows = self.blocks(), self.allows()
        for source in self.never:
            here = source_of(source)
            if any(covers(source_of(allow), here) for allow in allows):
                continue
            if any(covers(source_of(t), here) and a is not Action.WATCH for t, a in blocks.items()):
                self.violations.append(f"{source} can be dropped after {what}")


def config_for(redis: RedisServer, switches: dict[str, str], **changes: object) -> Config:
    """A configuration with short intervals."""
    return replace(
        Config(
            redis=redis.settings(),
            switches=tuple(
                SwitchSettings(name, address, request_threshold=20, rpc_timeout=3.0)
                for name, address in switches.items()
            ),
            controller=ControllerSettings(counters_interval=0.2, resync_interval=1.0),
            detect=DetectSettings.with_(
                RequestRateSettings(threshold=20, action=Action.DROP, seconds=60)
            ),
        ),
        **changes,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def controller(
    config: Config, reload: Callable[[], Config] | None = None
) -> AsyncIterator[Daemon]:
    """A running controller; at the end it is stopped as by SIGTERM, and must not have failed."""
    daemon = Daemon(config, reload or (lambda: config))
    task = asyncio.create_task(daemon.run())
    try:
        yield daemon
        assert not task.done() or daemon.stopping, f"the controller ended: {task}"
    finally:
        daemon.stop()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)


@asynccontextmanager
async def loop(
    directory: Path, *, sizes: dict[str, int] | None = None, **changes: object
) -> AsyncIterator[Loop]:
    """Redis, one switch, one controller, in sync."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(directory))
        switch = await stack.enter_async_context(running(WatchedPlane(sizes)))
        config = config_for(redis, {"edge1": switch.listener.address}, **changes)
        daemon = await stack.enter_async_context(controller(config))
        client = await open_redis(config.redis)
        stack.push_async_callback(client.aclose)
        found = Loop(redis, switch, daemon, Store(client, config.redis.keys()), config)
        await found.until(lambda: bool(daemon.sessions) and daemon.sessions[0].connected.is_set())
        yield found


class Loop:
    """The parts of :func:`loop`."""

    def __init__(
        self, redis: RedisServer, switch: Running, daemon: Daemon, store: Store, config: Config
    ) -> None:
        self.redis, self.switch, self.daemon, self.store = redis, switch, daemon, store
        self.config = config

    @property
    def plane(self) -> WatchedPlane:
        """The switch's tables."""
        assert isinstance(self.switch.dataplane, WatchedPlane)
        return self.switch.dataplane

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> float:
        """Wait for a condition; seconds that it took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, "it does not happen"
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    async def blocked(self, text: str, action: Action | None = Action.DROP) -> float:
        """Wait until the switch has (or, None, no longer has) an entry for a target."""
        target = parse_target(text)
        return await self.until(lambda: self.plane.blocks().get(target) is action)
