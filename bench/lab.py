"""A switch on two ports in a network namespace, Redis, the controller: to measure.

    worker (this host's namespace "outside"): h1 --- p1 [ switch ] p2 --- h2

What is sent into h1 comes out of h2 unless the switch drops it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from demo.processes import CommandFailed, Process, run
from demo.recipes import SDNBLOCK, Place
from demo.whitebox import WhiteBox

_CONFIG = """\
[redis]
url = "unix://{redis}"
{switch}
[detect.request_rate]
threshold = 0
"""


class Lab:
    """Everything but the controller starts with :meth:`open`. A ``demo.network.Stage``."""

    def __init__(self, kind: str = "xdp") -> None:
        """``kind`` as in ``demo.recipes.KINDS``."""
        self.directory = Path(tempfile.mkdtemp(prefix="sdnblock-bench-"))
        self.redis_socket = self.directory / "redis.sock"
        self.config = self.directory / "sdnblock.toml"
        self._tag = f"sdnbench{os.getpid()}"
        self._processes: list[Process] = []
        place = Place("edge1", os.getpid(), self.directory, self.ports(), trusted=(2,))
        self._switch = WhiteBox(self, "switch", kind, place)

    def inside(self, role: str) -> tuple[str, ...]:
        """The command prefix for a namespace: ``switch`` or ``outside``."""
        return ("nsenter", f"--net=/run/netns/{self._tag}-{role}")

    def ports(self, switch: str = "switch") -> tuple[str, ...]:
        """The switch's interfaces."""
        return ("p1", "p2")

    async def open(self) -> None:
        """Namespaces, Redis, switchd, the configuration. Raises CommandFailed."""
        for role in ("switch", "outside"):
            await run("ip", "netns", "add", f"{self._tag}-{role}")
            await run(*self.inside(role), "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        switch = f"{self._tag}-switch"
        await run("ip", "-n", switch, "link", "set", "lo", "up")
        for port in ("1", "2"):
            await run(
                *("ip", "link", "add", f"p{port}", "netns", switch, "type", "veth"),
                *("peer", "name", f"h{port}", "netns", f"{self._tag}-outside"),
            )
            await run("ip", "-n", switch, "link", "set", f"p{port}", "up")
            await run("ip", "-n", f"{self._tag}-outside", "link", "set", f"h{port}", "up")
        redis = await self.start(
            *("outside", "redis", "redis-server", "--port", "0"),
            *("--unixsocket", self.redis_socket, "--save", ""),
        )
        await redis.until_logged("eady to accept connections")
        self.config.write_text(_CONFIG.format(redis=self.redis_socket, switch=self._switch.config))
        await self._switch.start()

    async def passing(self, count: int, step: int = 1) -> int:
        """How many of the bench's sources get a frame through the switch."""
        out = await run(
            *self.inside("outside"),
            *(sys.executable, "-m", "bench.passing", str(count), str(step)),
        )
        return int(out)

    async def start(self, role: str, name: str, *argv: str | Path) -> Process:
        """Start a process in a namespace that :meth:`close` will stop."""
        log = self.directory / f"{name}.log"
        process = await Process.start(name, (*self.inside(role), *argv), log)
        self._processes.append(process)
        return process

    async def controller(self) -> Process:
        """Start the controller; wait for ``in sync`` in its log yourself."""
        return await self.start("switch", "controller", SDNBLOCK, "run", "--config", self.config)

    async def close(self) -> None:
        """Stop and remove everything."""
        for process in reversed(self._processes):
            await process.stop()
        for role in ("switch", "outside"):
            try:
                await run("ip", "netns", "del", f"{self._tag}-{role}")
            except CommandFailed as error:
                print(error, file=sys.stderr)
        shutil.rmtree(self.directory)
