"""`sdnblock switchd` as a process in a network namespace, with a host on a veth beside it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc

from tests.softswitch_kit import CHANNEL_OPTIONS, Client

MAIN = [sys.executable, "-c", "from sdnblock.cli import main; main()"]
HOST, SWITCH = "10.9.0.2", "10.9.0.1"


def run(*command: str) -> str:
    """Run to the end; the output. Raises CalledProcessError."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Lab:
    """Namespaces `switch` and `host`, joined by a veth pair; the switch listens on a socket."""

    def __init__(self, directory: Path) -> None:
        tag = secrets.token_hex(4)
        self.device_id = secrets.randbelow(2**31) + 2
        self.switch, self.host = f"sw{tag}", f"ho{tag}"
        self.address = f"unix:{directory}/p4rt.sock"
        self.log = directory / "switchd.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in (self.switch, self.host):
            run("ip", "netns", "add", name)
            # Else their neighbour discovery is counted, sooner or later.
            inside = f"--net=/run/netns/{name}"
            run("nsenter", inside, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "port1", "netns", self.switch, "type", "veth",
            "peer", "name", "eth0", "netns", self.host)  # fmt: skip
        for name, link, address in (
            (self.switch, "port1", SWITCH), (self.host, "eth0", HOST),
        ):  # fmt: skip
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", link)
            run("ip", "-n", name, "link", "set", link, "up")

    def start(self, *options: str, ready: bool = True) -> subprocess.Popen[bytes]:
        """Start switchd and wait for its ready line.

        By nsenter, not `ip netns exec`, which gives the process a /sys of its own: the
        pins of its BPF maps would end with it.
        """
        before = self.said().count("ready:")
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.switch}", *MAIN, "switchd",
                 "--interface", "port1", "--listen", self.address,
                 "--device-id", str(self.device_id), *options],
                stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        deadline = time.monotonic() + 20
        while ready and self.said().count("ready:") == before:
            assert process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)
        return process

    def said(self) -> str:
        """What switchd has logged."""
        return self.log.read_text() if self.log.exists() else ""

    def end(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit status."""
        process.send_signal(how)
        return process.wait(20)

    def pings(self, count: int = 2) -> int:
        """How many pings of the host to the switch are answered."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.host, "ping", "-n", "-c", str(count), "-i", "0.05",
             "-W", "1", SWITCH],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.count("bytes from")

    def has_xdp(self) -> bool:
        """Whether an XDP program is on the switch's interface."""
        return "xdp" in run("ip", "-n", self.switch, "link", "show", "port1")

    def has_pins(self) -> bool:
        """Whether anything of this device is left in the BPF file system."""
        return Path(f"/sys/fs/bpf/sdnblock/{self.device_id}").exists()

    def lose_config(self) -> None:
        """Remove the pipeline config that switchd keeps."""
        Path(f"/run/sdnblock/switchd-{self.device_id}/pipeline").unlink()

    def client(self) -> Client:
        """A client of this switch."""
        channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        return Client(channel, 1, device=self.device_id)

    def close(self) -> None:
        """End everything, and leave nothing behind."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for name in (self.switch, self.host):
            subprocess.run(["ip", "netns", "del", name], check=False)
        # What a killed or kept switchd has left goes with its last start and end.
        for directory in (
            Path(f"/sys/fs/bpf/sdnblock/{self.device_id}"),
            Path(f"/run/sdnblock/switchd-{self.device_id}"),
        ):
            subprocess.run(["rm", "-rf", str(directory)], check=False)


def is_root() -> bool:
    """Whether namespaces and BPF can be had."""
    return os.geteuid() == 0
