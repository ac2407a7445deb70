"""From a block's write into Redis to the first packet dropped (run in the outside namespace).

``python -m bench.latency CONFIG SAMPLES``: prints JSON, seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

from bench.probe import Probe
from demo.processes import run
from sdnblock.block import NEVER, Action, Source
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.store import Store
from sdnblock.config import load_config


async def by_store(config: Path, samples: int) -> list[float]:
    """What the CLI calls to write, in this process: without the start of a Python."""
    settings = load_config(config).redis
    redis = await open_redis(settings)
    store = Store(redis, settings.keys())
    found = []
    probe = Probe()
    for number in range(samples):
        source = bytes((203, 0, 113 + number // 200, 1 + number % 200))
        stop = threading.Event()
        watching = asyncio.create_task(asyncio.to_thread(probe.until_dropped, source, stop))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await store.add([Claim(Source(source), "operator", Action.DROP, NEVER, "bench")])
        async with asyncio.timeout(10):
            found.append(await watching - began)
    await redis.aclose()
    return found


async def by_cli(config: Path, samples: int) -> tuple[list[float], list[float]]:
    """``sdnblock block add`` as a process: (from its start, from its end)."""
    program = Path(sys.executable).with_name("sdnblock")
    from_start, from_end = [], []
    probe = Probe()
    for number in range(samples):
        source = bytes((192, 0, 2, 1 + number))
        stop = threading.Event()
        watching = asyncio.create_task(asyncio.to_thread(probe.until_dropped, source, stop))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        target = ".".join(map(str, source))
        await run(program, "--config", config, "block", "add", target)
        ended = time.monotonic()
        async with asyncio.timeout(10):
            dropped = await watching
        from_start.append(dropped - began)
        from_end.append(dropped - ended)
    return from_start, from_end


async def main(config: Path, samples: int) -> None:
    """Measure and print."""
    store = await by_store(config, samples)
    from_start, from_end = await by_cli(config, max(20, samples // 20))
    print(json.dumps({"store": store, "cli_start": from_start, "cli_end": from_end}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
