"""The stage of an end-to-end test: attackers, phones, a SIP server, and one switch between."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from demo.network import SERVER_NET, Host, Network
from demo.processes import run
from demo.protection import Protection, one_switch
from tests.e2e.sockets import LISTENER_V6, Wire

ATTACKER: Final = Host("attacker", "203.0.113.66", 1, "203.0.113.0/24")
HOSTS: Final = (
    ATTACKER,
    Host("phones", "192.0.2.10", 2),
    Host("server", "198.51.100.10", 3, SERVER_NET),
)
OUTSIDE_V6: Final = "2001:db8:203::/64"


class World:
    """One switch of a kind under a controller, and datagrams through it."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.directory = directory
        self.network = Network(directory, HOSTS)
        self.switch = one_switch(self.network, directory, kind)
        self.protection = Protection(self.network, directory, "", (self.switch,))
        self._wire: Wire | None = None

    @property
    def wire(self) -> Wire:
        """From the attacker's network to the server."""
        assert self._wire is not None, "not open yet"
        return self._wire

    async def open(self, stack: AsyncExitStack) -> None:
        """Start everything; ``stack`` gets what takes it down."""
        stack.push_async_callback(self.network.destroy)
        await self.network.create()
        await self._speak_ipv6()
        stack.push_async_callback(self.protection.stop)
        await self.protection.start()
        self._wire = Wire(self.network.namespace("attacker"), self.network.namespace("server"))
        stack.callback(self._wire.close)

    async def _speak_ipv6(self) -> None:
        """Addresses and routes one way, attacker to server, without any chatter of kernels."""
        outside, inside = (self.network.inside(role) for role in ("attacker", "server"))
        for prefix in (outside, inside):
            await run(*prefix, "sysctl", "-qw", "net.ipv6.conf.eth0.addr_gen_mode=1")
            await run(*prefix, "sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1")
            for interface in ("eth0", "lo"):
                await run(*prefix, "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=0")
        mac = json.loads(await run(*inside, "ip", "-j", "link", "show", "eth0"))[0]["address"]
        server = LISTENER_V6[0]
        neighbour = ("neigh", "add", server, "lladdr", mac, "nud", "permanent", "dev", "eth0")
        for prefix, words in (
            (inside, ("route", "add", "local", f"{server}/128", "dev", "lo")),
            (outside, ("route", "add", "local", OUTSIDE_V6, "dev", "lo")),
            (outside, ("route", "add", f"{server}/128", "dev", "eth0")),
            (outside, neighbour),
        ):
            await run(*prefix, "ip", "-6", *words)

    async def feed(self, target: str, seconds: float = 3600, key: str = "origin:feed") -> None:
        """Block a target as a program does that knows only Redis: one ZADD."""
        await self.redis("ZADD", f"sdnblock:{key}", str(time.time() + seconds), target)

    async def unfeed(self, target: str, key: str = "origin:feed") -> None:
        """Take it back."""
        await self.redis("ZREM", f"sdnblock:{key}", target)

    async def redis(self, *words: str) -> str:
        """``redis-cli WORDS``."""
        return (await self.protection.redis(*words)).strip()

    async def packets(self, target: str) -> int:
        """How many packets of a target the controller has counted, once that rests."""
        found = -1
        while True:
            await asyncio.sleep(1.2)  # it reads the counters once a second
            now = int((await self.redis("HGET", "sdnblock:counters", target) or "0").split()[0])
            if now == found:
                return now
            found = now

    async def counted(self, target: str, packets: int) -> int:
        """Wait until the controller has counted so many packets of a target; the bytes."""
        deadline = time.monotonic() + 10
        found = ""
        while time.monotonic() < deadline:
            found = await self.redis("HGET", "sdnblock:counters", target)
            if found.split(" ")[0] == str(packets):
                return int(found.split(" ")[1])
            await asyncio.sleep(0.1)
        raise AssertionError(f"{target}: counted {found!r}, not {packets} packets")


@asynccontextmanager
async def world(kind: str) -> AsyncIterator[World]:
    """A world, taken down at the end whatever happens."""
    directory = Path(tempfile.mkdtemp(prefix="sdnblock-e2e-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        made = World(kind, directory)
        await made.open(stack)
        yield made


def missing(kind: str) -> str:
    """Why worlds of a kind cannot be had here; empty if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    program = {"bmv2": "simple_switch_grpc", "ovs": "ovs-vswitchd"}.get(kind)
    return f"{program} is not on the PATH" if program and not shutil.which(program) else ""
