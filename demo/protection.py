"""What is being shown: Redis, ``sdnblock switchd`` and ``sdnblock run``, as a user starts them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from demo.network import Network
from demo.processes import CommandFailed, Process, run

RATE_THRESHOLD = 20
"""SIP requests within a second that convict. The phones here send five."""

_CONFIG = """\
# Everything else has its default.
[redis]
url = "unix://{redis}"

[[switch]]
name = "edge1"
address = "127.0.0.1:9559"
device_id = {device}
trusted_ports = [5]

[controller]
counters_interval = 1.0

[detect.request_rate]
threshold = {threshold}
window = 1.0
action = "drop"   # the default is "limit", since a source of UDP can be forged
for = "10m"
"""


class Protection:
    """The three processes and a way to ask them things."""

    def __init__(self, network: Network, directory: Path) -> None:
        self._network = network
        self._directory = directory
        self.socket = directory / "redis.sock"
        self.config = directory / "sdnblock.toml"
        self._sdnblock = Path(sys.executable).with_name("sdnblock")
        self._processes: list[Process] = []

    async def start(self) -> str:
        """Start all three; returns what switchd says of its interfaces. Raises CommandFailed."""
        redis = await Process.start(
            "redis",
            ("redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--dir", self._directory),
            self._directory / "redis.log",
        )  # fmt: skip
        self._processes.append(redis)
        await redis.until_logged("eady to accept connections")
        switchd = await self._network.start(
            *("switch", "switchd", self._sdnblock, "switchd"),
            *("--interface", "p1,p2,p3,p4,p5", "--device-id", str(os.getpid())),
        )
        self._processes.append(switchd)
        await switchd.until_logged("ready:")
        self.config.write_text(
            _CONFIG.format(redis=self.socket, threshold=RATE_THRESHOLD, device=os.getpid())
        )
        controller = await self._network.start(
            *("switch", "controller", self._sdnblock, "run", "--config", self.config),
        )
        self._processes.append(controller)
        await controller.until_logged("in sync")
        return "\n".join(
            line
            for line in switchd.words(20).splitlines()
            if "native XDP" in line or "generic XDP" in line
        )

    async def cli(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run ``sdnblock ARGUMENTS`` beside the switch and return what it prints."""
        return await run(
            *self._network.inside("switch"),
            self._sdnblock,
            "--config",
            self.config,
            *arguments,
            ok=ok,
        )

    async def show(self, target: str) -> dict[str, Any] | None:
        """``sdnblock block show TARGET -o json``, None while it is not blocked."""
        with contextlib.suppress(CommandFailed):
            found = json.loads(await self.cli("block", "show", target, "-o", "json"))
            return found if isinstance(found, dict) else None
        return None

    async def redis(self, *arguments: str) -> str:
        """``redis-cli ARGUMENTS`` on the demo's Redis."""
        return await run("redis-cli", "-s", self.socket, *arguments)

    def failures(self) -> list[str]:
        """Processes that ended although nobody stopped them."""
        return [f"{p.name} ended: {p.words()}" for p in self._processes if not p.running]

    async def stop(self) -> None:
        """Stop controller, switch and Redis, in this order."""
        for process in reversed(self._processes):
            await process.stop()
        self._processes.clear()
