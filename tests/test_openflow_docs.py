"""docs/openflow.md, as it is written: its configuration and its commands on a real Open vSwitch."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.processes import run
from tests.cli_kit import Cli
from tests.dataplane import packets
from tests.e2e.sockets import made_in
from tests.openflow_switch import Vswitch
from tests.redis_server import RedisServer

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(shutil.which("ovs-vswitchd") is None, reason="no Open vSwitch"),
]

PAGE = (Path(__file__).parents[1] / "docs/openflow.md").read_text()
SOURCE = "203.0.113.7"


def fenced(language: str) -> list[str]:
    """The page's blocks of code."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def spoken(command: str) -> str:
    """A command in the running text."""
    found = re.search(rf"`({re.escape(command)}[^`]*)`", " ".join(PAGE.split()))
    assert found is not None, f"the page has no {command}"
    return found.group(1)


@pytest.fixture
async def switch() -> AsyncIterator[Vswitch]:
    made = Vswitch()
    try:
        await made.open()
        # The page's controller is at 192.0.2.5, here as on any other host.
        await run("ip", "-n", f"{made.tag}-switch", "address", "add", "192.0.2.5/32", "dev", "lo")
        yield made
    finally:
        await made.close()


async def shell(switch: Vswitch, script: str) -> str:
    """Run it where the switch's own tools find it without further words."""
    where = [f"{name}={switch.directory}" for name in ("OVS_RUNDIR", "OVS_DBDIR")]
    return await run(*switch.inside(), "env", *where, "sh", "-ec", script)


@contextmanager
def configured(tmp_path: Path) -> Iterator[Cli]:
    """The command line with the page's configuration."""
    with RedisServer(tmp_path) as server:
        cli = Cli(server, tmp_path)
        (text,) = fenced("toml")
        cli.configure(text)
        yield cli


async def test_the_page_s_commands_make_a_protected_switch(switch: Vswitch, tmp_path: Path) -> None:
    setup, *qinq = fenced("sh")
    with configured(tmp_path) as cli:
        program = (sys.executable, "-m", "sdnblock", "--config", str(cli.config))
        controller = await switch.start("controller", (*program, "run"))
        await shell(switch, setup)
        await controller.until_logged("switch ovs1 is in sync", 30)

        async def sdnblock(words: str) -> str:
            return await run(*switch.inside(), *program, *words.split())

        await sdnblock(f"block add {SOURCE}")
        assert "ovs1" in await sdnblock("switch list")
        for word in spoken("sdnblock switch list|").split()[-1].split("|"):
            name = "" if word == "list" else " ovs1"
            await sdnblock(f"switch {word}{name}")
        assert SOURCE in await sdnblock("switch entries ovs1")
        assert f"nw_src={SOURCE}" in await shell(switch, spoken("ovs-ofctl -O OpenFlow13 dump"))

        # Frames of that source, without a tag, with one, and with two.
        assert await crossed(switch, [plain(), tagged(plain())]) == 0
        assert await crossed(switch, [tagged(tagged(plain()), 0x88A8)]) == 1
        await shell(switch, "\n".join(qinq))
        await controller.until_logged("switch ovs1 is in sync", 30)
        assert await crossed(switch, [plain(), tagged(plain())]) == 0
        assert await crossed(switch, [tagged(tagged(plain()), 0x88A8)]) == 0
        other = plain("203.0.113.8")
        assert await crossed(switch, [other, tagged(other), tagged(tagged(other), 0x88A8)]) == 3


def plain(source: str = SOURCE) -> bytes:
    """A SIP request in a frame."""
    datagram = packets.udp(packets.OPTIONS, 5062, 5060)
    return packets.ether(packets.ip4(datagram, packets.UDP, source), 0x0800, to=b"\xff" * 6)


def tagged(frame: bytes, ethertype: int = 0x8100) -> bytes:
    """The frame in VLAN 7."""
    return frame[:12] + ethertype.to_bytes(2, "big") + b"\0\7" + frame[12:]


async def crossed(switch: Vswitch, frames: list[bytes]) -> int:
    """How many of the frames, sent into h1, come out of h2."""

    def make() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.bind(("h2", 0))
        sock.setblocking(False)
        return sock

    heard = 0
    with made_in(f"{switch.tag}-outside", make) as sock:
        switch.send("h1", frames)
        await asyncio.sleep(0.5)
        while True:
            try:
                frame, address = sock.recvfrom(4096)
            except BlockingIOError:
                return heard
            if address[2] != socket.PACKET_OUTGOING and packets.OPTIONS in frame:
                heard += 1
