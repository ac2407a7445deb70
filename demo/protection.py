"""What is being shown: Redis, the switches and ``sdnblock run``, as a user starts them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from demo.network import Stage
from demo.processes import CommandFailed, Process, run
from demo.recipes import SDNBLOCK, Place
from demo.whitebox import Switch, WhiteBox

RATE_THRESHOLD = 20
"""SIP requests within a second that convict. The phones here send five."""

_CONFIG = """\
[redis]
url = "unix://{redis}"

{switches}
[controller]
counters_interval = 1.0

# Everything else has its default.
"""

DEMO: Final = f"""\
[detect.request_rate]
threshold = {RATE_THRESHOLD}
window = 1.0
action = "drop"   # the default is "limit", since a source of UDP can be forged
for = "10m"
"""


def one_switch(network: Stage, directory: Path, kind: str = "xdp") -> WhiteBox:
    """A switch in the role ``switch``; its last port leads to the SIP server."""
    ports = network.ports()
    place = Place("edge1", os.getpid(), directory, ports, trusted=(len(ports),))
    return WhiteBox(network, "switch", kind, place)


class Protection:
    """Redis, switches, the controller, and a way to ask them things.

    ``settings`` is what the configuration says besides where everything is; without
    ``switches`` there is one, by XDP. ``beside``: the controller runs in the namespace of that
    role, where it can listen to what the role's host sends; it needs no network otherwise.
    """

    def __init__(
        self,
        network: Stage,
        directory: Path,
        settings: str,
        switches: Sequence[Switch] = (),
        beside: str = "",
    ) -> None:
        self._inside = network.inside(beside) if beside else ()
        self._directory = directory
        self._settings = settings
        self.switches = switches or (one_switch(network, directory),)
        self.socket = directory / "redis.sock"
        self.config = directory / "sdnblock.toml"
        self._redis: Process | None = None
        self.controller: Process | None = None

    async def start(self) -> str:
        """Start all; returns what switchds say of their interfaces. Raises CommandFailed."""
        await self.start_redis()
        for switch in self.switches:
            await switch.start()
        config = _CONFIG.format(
            redis=self.socket, switches="\n".join(switch.config for switch in self.switches)
        )
        self.config.write_text(config + self._settings)
        await self.start_controller()
        said = [line for switch in self.switches for line in switch.said().splitlines()]
        return "\n".join(line for line in said if "native XDP" in line or "generic XDP" in line)

    async def start_redis(self) -> None:
        """Start Redis, empty."""
        self._redis = await Process.start(
            "redis",
            ("redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--dir", self._directory),
            self._directory / "redis.log",
        )  # fmt: skip
        await self._redis.until_logged("eady to accept connections")

    async def start_controller(self) -> None:
        """Start the controller and wait until every switch is in step."""
        self.controller = await Process.start(
            "controller",
            (*self._inside, SDNBLOCK, "run", "--config", self.config),
            self._directory / "controller.log",
        )
        for switch in self.switches:
            await self.controller.until_logged(f"switch {switch.name} is in sync", 30)

    async def kill_redis(self) -> None:
        """SIGKILL; nothing is saved."""
        await _kill(self._redis)

    async def kill_controller(self) -> None:
        """SIGKILL: no good-bye to the switches."""
        await _kill(self.controller)

    async def cli(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run ``sdnblock ARGUMENTS`` and return what it prints."""
        return await run(SDNBLOCK, "--config", self.config, *arguments, ok=ok)

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
        return [f"{p.name} ended: {p.words()}" for p in self.processes() if not p.running]

    async def stop(self) -> None:
        """Stop controller, switches and Redis, in this order."""
        if self.controller is not None:
            await self.controller.stop()
        for switch in self.switches:
            await switch.stop()
        if self._redis is not None:
            await self._redis.stop()

    def processes(self) -> list[Process]:
        """All that was started."""
        found = [self._redis, self.controller]
        return [p for p in found if p] + [p for s in self.switches for p in s.processes]


async def _kill(process: Process | None) -> None:
    assert process is not None, "it is not running"
    process.signal(signal.SIGKILL)
    await process.wait(5)
