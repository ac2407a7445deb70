"""A real BMv2 in a network namespace of its own, spoken to over a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

_CLONE_NEWNET = 0x40000000


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Bmv2:
    """``simple_switch_grpc`` without a pipeline, ports 1 and 2 on ``h1`` and ``h2``."""

    def __init__(self, folder: Path) -> None:
        """Make the namespace and its links; :meth:`start` starts the switch."""
        self.namespace = f"sdnb{secrets.token_hex(4)}"
        self.address = f"unix:{folder}/bmv2"
        self._log = folder / "bmv2.log"
        self._socket = folder / "bmv2"
        self._process: subprocess.Popen[bytes] | None = None
        _ip("netns", "add", self.namespace)
        for port in (1, 2):
            inside = ["-n", self.namespace, "link"]
            _ip(*inside, "add", f"s{port}", "type", "veth", "peer", "name", f"h{port}")
            _ip(*inside, "set", f"s{port}", "up")
            _ip(*inside, "set", f"h{port}", "up")

    async def start(self) -> None:
        """Start it with nothing loaded, and wait until it listens."""
        self._socket.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = self._spawn(log)
        async with asyncio.timeout(20):
            while not self._socket.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = f"ip netns exec {self.namespace} simple_switch_grpc --no-p4 --device-id 1"
        ports = "-i 1@s1 -i 2@s2 -- --cpu-port 255 --grpc-server-addr"
        return subprocess.Popen(
            [*command.split(), *ports.split(), self.address], stdout=log, stderr=log
        )

    def stop(self) -> None:
        """Kill it: everything in it is gone."""
        if self._process is not None:
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


def running(folder: Path) -> Iterator[Bmv2]:
    """A BMv2 for a fixture; skips where there is none."""
    if shutil.which("simple_switch_grpc") is None:
        pytest.skip("simple_switch_grpc is not on the PATH")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    switch = Bmv2(folder)
    try:
        yield switch
    finally:
        switch.close()
