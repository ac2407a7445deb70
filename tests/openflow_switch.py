"""A real Open vSwitch of the test's own: user-space datapath, in network namespaces.

outside: h1 --- p1 [ br0 ] p2 --- h2        (OpenFlow ports 1 and 2)
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from demo.processes import CommandFailed, Process, run
from tests.e2e.sockets import made_in

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
DATAPATH_ID = 0x5D
_numbers = itertools.count()


class Vswitch:
    """Open vSwitch in a namespace, with two ports to another one."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sdnblock-ovs-"))
        self.tag = f"sdnovs{os.getpid()}x{next(_numbers)}"
        self.processes: list[Process] = []
        self.vswitchd: Process | None = None
        self._environment = tuple(
            f"{name}={self.directory}" for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR")
        )

    def inside(self, role: str = "switch") -> tuple[str, str]:
        """The command prefix for a namespace: ``switch`` or ``outside``."""
        return ("nsenter", f"--net=/run/netns/{self.tag}-{role}")

    async def open(self) -> None:
        """Namespaces, database, switch and bridge; no controller yet. Raises CommandFailed."""
        for role in ("switch", "outside"):
            await run("ip", "netns", "add", f"{self.tag}-{role}")
            await run(*self.inside(role), "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        await run("ip", "-n", f"{self.tag}-switch", "link", "set", "lo", "up")
        for port in ("1", "2"):
            await run(
                *("ip", "link", "add", f"p{port}", "netns", f"{self.tag}-switch", "type", "veth"),
                *("peer", "name", f"h{port}", "netns", f"{self.tag}-outside"),
            )
            await run("ip", "-n", f"{self.tag}-switch", "link", "set", f"p{port}", "up")
            await run("ip", "-n", f"{self.tag}-outside", "link", "set", f"h{port}", "up")
        database = self.directory / "conf.db"
        await run("ovsdb-tool", "create", database, SCHEMA)
        server = await self.start(
            "ovsdb",
            (
                *("ovsdb-server", database, f"--remote=punix:{self.socket}", "-vconsole:info"),
                f"--unixctl={self.directory}/ovsdb.ctl",
            ),
        )
        await server.until_logged("ovsdb-server (Open vSwitch)")
        await self.vsctl("--no-wait", "init")
        await self.start_switch()
        await self.vsctl(
            *("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"),
            *("protocols=OpenFlow13", f"other-config:datapath-id={DATAPATH_ID:016x}"),
            *("fail_mode=secure", "other-config:disable-in-band=true"),
            *("--", "add-port", "br0", "p1", "--", "set", "interface", "p1", "ofport_request=1"),
            *("--", "add-port", "br0", "p2", "--", "set", "interface", "p2", "ofport_request=2"),
        )

    @property
    def socket(self) -> Path:
        """The database's socket."""
        return self.directory / "db.sock"

    async def start_switch(self) -> None:
        """Start ovs-vswitchd."""
        self.vswitchd = await self.start(
            f"vswitchd-{len(self.processes)}",
            (
                *("ovs-vswitchd", f"unix:{self.socket}", "-vconsole:info"),
                f"--unixctl={self.directory}/vswitchd.ctl",
            ),
        )
        await self.vswitchd.until_logged("ovs-vswitchd (Open vSwitch)")

    async def restart(self) -> None:
        """Kill ovs-vswitchd and start it again, empty."""
        assert self.vswitchd is not None
        self.vswitchd.signal(9)  # type: ignore[arg-type]
        await self.vswitchd.wait(5)
        await self.start_switch()

    async def add_bridge(self, name: str, datapath_id: int) -> None:
        """Another bridge, without ports."""
        await self.vsctl(
            *("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev"),
            *("protocols=OpenFlow13", f"other-config:datapath-id={datapath_id:016x}"),
            "fail_mode=secure",
        )

    async def controller(self, *addresses: str, bridge: str = "br0") -> None:
        """Connect to controllers, and again within a second whenever that ends."""
        await self.vsctl(
            *("set-controller", bridge, *addresses, "--", "set", "bridge", bridge),
            "other-config:disable-in-band=true",
        )
        for each in (await self.vsctl("--bare", "--columns=_uuid", "list", "controller")).split():
            await self.vsctl("set", "controller", each, "max_backoff=1000")

    async def vsctl(self, *words: str) -> str:
        """``ovs-vsctl WORDS``."""
        return await run("ovs-vsctl", f"--db=unix:{self.socket}", *words)

    async def ofctl(self, command: str, *words: str, bridge: str = "br0") -> str:
        """``ovs-ofctl COMMAND BRIDGE WORDS``."""
        socket = f"unix:{self.directory}/{bridge}.mgmt"
        return await run("ovs-ofctl", "-O", "OpenFlow13", command, socket, *words)

    async def flows(self, bridge: str = "br0") -> list[str]:
        """A bridge's flows, without what changes by itself."""
        lines = (await self.ofctl("dump-flows", bridge=bridge)).splitlines()
        drop = re.compile(
            r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^, ]*, ?|reset_counts ?"
        )
        return [drop.sub("", line).strip() for line in lines if "cookie=" in line]

    def send(self, interface: str, frames: Iterable[bytes]) -> None:
        """Send frames into h1 or h2, no faster than a busy switch takes them."""

        def make() -> socket.socket:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.bind((interface, 0))
            return sock

        with made_in(f"{self.tag}-outside", make) as sock:
            for number, frame in enumerate(frames):
                sock.send(frame)
                if number % 20 == 19:
                    time.sleep(0.002)

    async def start(self, name: str, argv: tuple[str | Path, ...]) -> Process:
        """Start a process in the switch's namespace that :meth:`close` will stop."""
        process = await Process.start(
            name,
            (*self.inside(), "env", *self._environment, *argv),
            self.directory / f"{name}.log",
        )
        self.processes.append(process)
        return process

    async def close(self) -> None:
        """Stop and remove everything."""
        for process in reversed(self.processes):
            await process.stop()
        for role in ("switch", "outside"):
            with contextlib.suppress(CommandFailed):
                await run("ip", "netns", "del", f"{self.tag}-{role}")
        shutil.rmtree(self.directory)
