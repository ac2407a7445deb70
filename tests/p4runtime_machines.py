"""Real switches, each in a network namespace of its own, spoken to over a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Machine:
    """A switch with nothing in it; its ports 1 and 2 are on ``h1`` and ``h2``."""

    def __init__(self, folder: Path) -> None:
        """Make the namespace and its links; :meth:`start` starts the switch."""
        self.namespace = f"sdnb{secrets.token_hex(4)}"
        self.address = f"unix:{folder}/switch"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        _ip("netns", "add", self.namespace)
        for port in (1, 2):
            inside = ["-n", self.namespace, "link"]
            _ip(*inside, "add", f"s{port}", "type", "veth", "peer", "name", f"h{port}")
            _ip(*inside, "set", f"s{port}", "up")
            _ip(*inside, "set", f"h{port}", "up")

    def command(self) -> list[str]:
        """What starts the switch."""
        raise NotImplementedError

    async def start(self) -> None:
        """Start it with nothing loaded, and wait until it listens."""
        path = self._folder / "switch"
        path.unlink(missing_ok=True)
        self._process = self._spawn()
        async with asyncio.timeout(20):
            while not path.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *self.command()], stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End it: everything in it is gone."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop it and remove the namespace."""
        self.stop()
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.namespace)

    def wire(self, port: int) -> socket.socket:
        """A raw socket on the far end of a port."""
        made: list[socket.socket] = []

        def inside() -> None:  # a thread has a network namespace of its own
            libc = ctypes.CDLL(None, use_errno=True)
            with Path(f"/run/netns/{self.namespace}").open("rb") as handle:
                if libc.setns(handle.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            raw.bind((f"h{port}", 0))
            made.append(raw)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        return made[0]


class Bmv2(Machine):
    """``simple_switch_grpc``."""

    def command(self) -> list[str]:
        """As little as possible."""
        ports = "-i 1@s1 -i 2@s2 -- --cpu-port 255 --grpc-server-addr"
        command = f"simple_switch_grpc --no-p4 --device-id 1 {ports}"
        return [*command.split(), self.address]


class Xdp(Machine):
    """``sdnblock switchd``."""

    def command(self) -> list[str]:
        """The process without the command line around it."""
        program = (
            "import asyncio, logging, pathlib;"
            "from sdnblock.softswitch.switchd import SwitchdSettings, run_switchd;"
            "logging.basicConfig(level=logging.INFO);"
            f"asyncio.run(run_switchd(SwitchdSettings(('s1', 's2'), {self.address!r},"
            f" run_directory=pathlib.Path({str(self._folder)!r}))))"
        )
        return [sys.executable, "-c", program]


async def send(wire: socket.socket, frame: bytes, count: int) -> None:
    """Send a frame several times, slowly enough for BMv2."""
    for _ in range(count):
        wire.send(frame)
        await asyncio.sleep(0.003)


def options_from(source: bytes, port: int = 5060) -> bytes:
    """A SIP OPTIONS from an IPv4 address, as an Ethernet frame to 02:00:00:00:00:02."""
    payload = b"OPTIONS sip:a@example.net SIP/2.0\r\n\r\n"
    udp = port.to_bytes(2, "big") + b"\x13\xc4" + (8 + len(payload)).to_bytes(2, "big") + b"\0\0"
    total = (28 + len(payload)).to_bytes(2, "big")
    ip = b"\x45\0" + total + bytes(4) + b"\x40\x11\0\0" + source + b"\xc6\x33\x64\x09"
    return b"\2\0\0\0\0\2" + b"\2\0\0\0\0\1" + b"\x08\x00" + ip + udp + payload


def running(kind: str, folder: Path) -> Iterator[Machine]:
    """A ``bmv2`` or an ``xdp`` for a fixture; skips where there can be none."""
    if kind == "bmv2" and shutil.which("simple_switch_grpc") is None:
        pytest.skip("simple_switch_grpc is not on the PATH")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    switch = Bmv2(folder) if kind == "bmv2" else Xdp(folder)
    try:
        yield switch
    finally:
        switch.close()
