"""A switch to measure: switchd on two ports in a network namespace, Redis, the controller.

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
address = "unix:{switch}"
trusted_ports = [2]
[detect.request_rate]
threshold = 0
"""


class Lab:
    """Everything but the controller starts with :meth:`open`."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sdnblock-bench-"))
        self.redis_socket = self.directory / "redis.sock"
        self.config = self.directory / "sdnblock.toml"
        self.sdnblock = Path(sys.executable).with_name("sdnblock")
        self._tag = f"sdnbench{os.getpid()}"
        self._processes: list[Process] = []

    def inside(self, role: str) -> tuple[str, str]:
        """The command prefix for a namespace: ``switch`` or ``outside``."""
        return ("nsenter", f"--net=/run/netns/{self._tag}-{role}")

    async def open(self) -> None:
        """Namespaces, Redis, switchd, the configuration. Raises CommandFailed."""
        for role in ("switch", "outside"):
            await run("ip", "netns", "add", f"{self._tag}-{role}")
            await run(*self.inside(role), "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        switch = f"{self._tag}-switch"
        await run("ip", "-n", switch, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        await run("ip", "-n", switch, "link", "set", "br0", "up")
        for port in ("1", "2"):
            await run(
                *("ip", "link", "add", f"p{port}", "netns", switch, "type", "veth"),
                *("peer", "name", f"h{port}", "netns", f"{self._tag}-outside"),
            )
            await run("ip", "-n", switch, "link", "set", f"p{port}", "master", "br0", "up")
            await run("ip", "-n", f"{self._tag}-outside", "link", "set", f"h{port}", "up")
        redis = await self.start(
            "redis",
            ("redis-server", "--port", "0", "--unixsocket", self.redis_socket, "--save", ""),
        )
        await redis.until_logged("eady to accept connections")
        grpc = self.directory / "switch.sock"
        self.config.write_text(CONFIG.format(redis=self.redis_socket, switch=grpc))
        switchd = await self.start(
            "switchd",
            (*self.inside("switch"), self.sdnblock, "switchd", "--interface", "p1,p2",
             "--listen", f"unix:{grpc}", "--device-id", "1"),
        )  # fmt: skip
        await switchd.until_logged("ready")

    async def start(self, name: str, argv: tuple[str | Path, ...]) -> Process:
        """Start a process that :meth:`close` will stop."""
        process = await Process.start(name, argv, self.directory / f"{name}.log")
        self._processes.append(process)
        return process

    async def controller(self) -> Process:
        """Start the controller; wait for ``in sync`` in its log yourself."""
        name = f"controller-{len(self._processes)}"
        return await self.start(name, (self.sdnblock, "run", "--config", self.config))

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
