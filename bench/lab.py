"""A switch on two ports in a network namespace, Redis, the controller: to measure, to test.

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

CONFIG = """\
[redis]
url = "unix://{redis}"
[[switch]]
name = "edge1"
address = "127.0.0.1:9559"
device_id = {device}
trusted_ports = [2]
{more}[detect.request_rate]
threshold = 0
"""


class Lab:
    """Everything but the controller starts with :meth:`open`.

    ``kind``: ``xdp`` (sdnblock switchd) or ``bmv2`` (simple_switch_grpc).
    """

    def __init__(self, kind: str = "xdp") -> None:
        self.kind = kind
        self.directory = Path(tempfile.mkdtemp(prefix="sdnblock-bench-"))
        self.redis_socket = self.directory / "redis.sock"
        self.config = self.directory / "sdnblock.toml"
        self.sdnblock = Path(sys.executable).with_name("sdnblock")
        self._tag = f"sdnbench{os.getpid()}"
        self.processes: list[Process] = []

    def inside(self, role: str) -> tuple[str, str]:
        """The command prefix for a namespace: ``switch`` or ``outside``."""
        return ("nsenter", f"--net=/run/netns/{self._tag}-{role}")

    async def open(self) -> None:
        """Namespaces, Redis, switchd, the configuration. Raises CommandFailed."""
        for role in ("switch", "outside"):
            await run("ip", "netns", "add", f"{self._tag}-{role}")
            await run(*self.inside(role), "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        switch = f"{self._tag}-switch"
        await run("ip", "-n", switch, "link", "set", "lo", "up")
        if self.kind == "xdp":
            bridge = ("link", "add", "br0", "type", "bridge", "forward_delay", "0")
            await run("ip", "-n", switch, *bridge)
            await run("ip", "-n", switch, "link", "set", "br0", "up")
        for port in ("1", "2"):
            await run(
                *("ip", "link", "add", f"p{port}", "netns", switch, "type", "veth"),
                *("peer", "name", f"h{port}", "netns", f"{self._tag}-outside"),
            )
            await run("ip", "-n", switch, "link", "set", f"p{port}", "up")
            await run("ip", "-n", f"{self._tag}-outside", "link", "set", f"h{port}", "up")
            if self.kind == "xdp":
                await run("ip", "-n", switch, "link", "set", f"p{port}", "master", "br0")
        redis = await self.start(
            "redis",
            ("redis-server", "--port", "0", "--unixsocket", self.redis_socket, "--save", ""),
        )
        await redis.until_logged("eady to accept connections")
        more = "flood_ports = [1, 2]\n" if self.kind == "bmv2" else ""
        self.config.write_text(
            CONFIG.format(redis=self.redis_socket, more=more, device=os.getpid())
        )
        await self.switch()

    async def switch(self) -> Process:
        """Start the switch and wait until it answers."""
        if self.kind == "xdp":
            argv: tuple[str | Path, ...] = (
                *(self.sdnblock, "switchd", "--interface", "p1,p2"),
                *("--device-id", str(os.getpid())),
            )
            ready = "ready:"
        else:
            argv = (
                *("simple_switch_grpc", "--no-p4", "--device-id", str(os.getpid())),
                *("-i1@p1", "-i2@p2", "--", "--grpc-server-addr", "127.0.0.1:9559"),
                *("--cpu-port", "255"),
            )
            ready = "Adding interface p2"
        name = f"switch-{len(self.processes)}"
        process = await self.start(name, (*self.inside("switch"), *argv))
        await process.until_logged(ready)
        return process

    async def redis(self, *words: str) -> str:
        """``redis-cli WORDS``."""
        return (await run("redis-cli", "-s", self.redis_socket, *words)).strip()

    async def passing(self, count: int, step: int = 1) -> int:
        """How many of the bench's sources get a frame through the switch."""
        out = await run(
            *self.inside("outside"),
            *(sys.executable, "-m", "bench.passing", str(count), str(step)),
        )
        return int(out)

    async def start(self, name: str, argv: tuple[str | Path, ...]) -> Process:
        """Start a process that :meth:`close` will stop."""
        process = await Process.start(name, argv, self.directory / f"{name}.log")
        self.processes.append(process)
        return process

    async def controller(self) -> Process:
        """Start the controller; wait for ``in sync`` in its log yourself."""
        name = f"controller-{len(self.processes)}"
        argv = (*self.inside("switch"), self.sdnblock, "run", "--config", self.config)
        return await self.start(name, argv)

    async def close(self) -> None:
        """Stop and remove everything."""
        for process in reversed(self.processes):
            await process.stop()
        for role in ("switch", "outside"):
            try:
                await run("ip", "netns", "del", f"{self._tag}-{role}")
            except CommandFailed as error:
                print(error, file=sys.stderr)
        shutil.rmtree(self.directory)
