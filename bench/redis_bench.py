"""How fast the block list gets from Redis into the controller's view, and how large it is there.

    python bench/redis_bench.py [--claims 100000]

Starts a redis-server of its own on a unix socket in a temporary directory.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from sdnblock.block import Action, Source
from sdnblock.blocklist.claims import Claim, ClaimKey
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.settings import RedisSettings
from sdnblock.blocklist.store import Store
from sdnblock.blocklist.view import BlockView
from sdnblock.blocklist.watch import Ready, Single, Watcher, Whole


class Consumer:
    """The watcher feeding a view, as in the controller."""

    def __init__(self, settings: RedisSettings) -> None:
        """Nothing read yet."""
        self.view = BlockView()
        self.ready = asyncio.Event()
        self.replacing = 0.0
        self._watcher = Watcher(settings)
        self._waiting: dict[Source, asyncio.Future[float]] = {}

    async def run(self) -> None:
        """Take in events for ever."""
        async for events in self._watcher.events():
            for event in events:
                if isinstance(event, Whole):
                    started = time.perf_counter()
                    self.view.replace(event.key, event.members, time.time())
                    self.replacing += time.perf_counter() - started
                    for source in [source for source in self._waiting if source in event.members]:
                        self._waiting.pop(source).set_result(time.perf_counter())
                elif isinstance(event, Single) and event.expires is not None:
                    self.view.put(event.key, event.target, event.expires, time.time())
                    waiting = self._waiting.pop(event.target, None)  # type: ignore[arg-type]
                    if waiting is not None:
                        waiting.set_result(time.perf_counter())
                elif isinstance(event, Ready):
                    self.ready.set()

    def seen(self, source: Source) -> asyncio.Future[float]:
        """When ``source`` is told."""
        self._waiting[source] = asyncio.get_running_loop().create_future()
        return self._waiting[source]


class Stalls:
    """The longest time for which the event loop did nothing else."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.worst = 0.0

    async def watch(self) -> None:
        """Measure for ever."""
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0)
            self.worst = max(self.worst, time.perf_counter() - started)


def line(what: str, seconds: list[float]) -> None:
    """Median, 99th percentile and worst of some latencies."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(
        f"{what:44} median {statistics.median(ordered) * 1000:7.2f} ms"
        f"   p99 {p99 * 1000:7.2f} ms   worst {ordered[-1] * 1000:7.2f} ms   n {len(ordered)}"
    )


def memory() -> float:
    """Resident memory now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def bench(socket: Path, count: int) -> None:
    """Fill, load, then the latencies."""
    settings = RedisSettings(url=f"unix://{socket}")
    redis = await open_redis(settings)
    store = Store(redis, settings.keys())
    now = time.time()

    def claims() -> list[Claim]:
        return [
            Claim(
                Source(number.to_bytes(4, "big")), "feed", Action.DROP, now + 86400 + number % 997
            )
            for number in range(0x0B000000, 0x0B000000 + count)
        ]

    started = time.perf_counter()
    await store.add(claims())
    print(f"{'store.add, all at once':44} {time.perf_counter() - started:8.3f} s")
    await load(settings, count)
    await latencies(settings, store, now)
    started = time.perf_counter()
    listed = sum([len(window) async for window in store.claims()])
    print(f"{f'store.claims, {listed} with facts':44} {time.perf_counter() - started:8.3f} s")
    await redis.aclose()


async def load(settings: RedisSettings, count: int) -> None:
    """From nothing to Ready, for time; then again, for memory."""
    consumer, stalls = Consumer(settings), Stalls()
    tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(stalls.watch())]
    gc.collect()
    before, started = memory(), time.perf_counter()
    await consumer.ready.wait()
    seconds = time.perf_counter() - started
    assert len(consumer.view) == count
    print(f"{f'watcher to view, {count} claims':44} {seconds:8.3f} s")
    print(f"{'  of it view.replace (in one piece)':44} {consumer.replacing:8.3f} s")
    print(f"{'  longest stall of the loop':44} {stalls.worst:8.3f} s")
    gc.collect()
    print(f"{'  resident memory, watcher and view':44} {memory() - before:8.1f} MB more")
    await finish(tasks)
    del consumer
    gc.collect()
    tracemalloc.start()
    consumer = Consumer(settings)
    task = asyncio.create_task(consumer.run())
    await consumer.ready.wait()
    gc.collect()
    print(
        f"{'  allocated, watcher and view':44} {tracemalloc.get_traced_memory()[0] / 1e6:8.1f} MB"
    )
    await finish([task])
    del consumer, task
    tracemalloc.stop()
    tracemalloc.start()
    view = BlockView()
    key, now = ClaimKey("feed", Action.DROP), time.time()
    first = 0x0B000000
    view.replace(
        key,
        {Source(n.to_bytes(4, "big")): now + 86400 + n % 997 for n in range(first, first + count)},
        now,
    )
    gc.collect()
    print(f"{'  allocated, view alone':44} {tracemalloc.get_traced_memory()[0] / 1e6:8.1f} MB")
    tracemalloc.stop()


async def latencies(settings: RedisSettings, store: Store, now: float) -> None:
    """From a write to the event, for hints and for plain ZADDs."""
    consumer = Consumer(settings)
    task = asyncio.create_task(consumer.run())
    await consumer.ready.wait()
    redis = store._link.redis
    hinted: list[float] = []
    small: list[float] = []
    large: list[float] = []
    for number in range(500):
        source = Source(bytes([12, 0, number >> 8, number & 255]))
        seen, started = consumer.seen(source), time.perf_counter()
        await store.add([Claim(source, "operator", Action.DROP, now + 3600)])
        hinted.append(await seen - started)
        await asyncio.sleep(0.002)
    await asyncio.sleep(1)
    for times, key, rounds in (
        (small, "sdnblock:origin:honeypot", 20),
        (large, "sdnblock:origin:feed", 20),
    ):
        for number in range(rounds):
            source = Source(bytes([12, len(key), 1, number]))
            seen, started = consumer.seen(source), time.perf_counter()
            await redis.zadd(key, {str(source): now + 3600})
            times.append(await seen - started)
            await asyncio.sleep(0.37)
    line("store.add to event (hint in the stream)", hinted)
    line("plain ZADD to event, small origin", small)
    line("plain ZADD to event, the large origin", large)
    await finish([task])


async def finish(tasks: list[asyncio.Task[None]]) -> None:
    """End the tasks."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Start a Redis, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, default=100_000)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, {sys.platform}")
    with tempfile.TemporaryDirectory(prefix="sdnblock-bench-") as directory:
        socket = Path(directory) / "redis.sock"
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""],
            cwd=directory,
            stdout=subprocess.DEVNULL,
        )
        try:
            while not socket.exists():
                time.sleep(0.01)
            asyncio.run(bench(socket, arguments.claims))
        finally:
            server.terminate()
            server.wait(10)


if __name__ == "__main__":
    main()
