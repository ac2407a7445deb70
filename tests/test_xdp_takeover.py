"""XDP on real interfaces: native and generic, kept, killed at every bad moment, taken over."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="BPF needs root"),
]

SENDER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(5):
    s.sendto(b"OPTIONS sip:a@b SIP/2.0\\r\\n\\r\\n", ("10.9.0.1", 5060))
"""


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Switch:
    """A namespace with port1 and port2, whose other ends are eth1 and eth2 in another."""

    def __init__(self) -> None:
        tag = secrets.token_hex(4)
        self.device = secrets.randbelow(2**31) + 2
        self.name, self.host = f"xdp{tag}", f"xho{tag}"
        self.pins = Path(f"/sys/fs/bpf/sdnblock/{self.device}")
        for name in (self.name, self.host):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for number in (1, 2):
            self.add(number)

    def add(self, number: int) -> None:
        run("ip", "link", "add", f"port{number}", "netns", self.name, "type", "veth",
            "peer", "name", f"eth{number}", "netns", self.host)  # fmt: skip
        for name, link, last in (
            (self.name, f"port{number}", 1), (self.host, f"eth{number}", 2),
        ):  # fmt: skip
            run("ip", "-n", name, "addr", "add", f"10.{8 + number}.0.{last}/24", "dev", link)
            run("ip", "-n", name, "link", "set", link, "up")

    def ip(self, *words: str) -> str:
        return run("ip", "-n", self.name, *words)

    def command(self, step: str, *interfaces: str) -> list[str]:
        return [
            "nsenter", f"--net=/run/netns/{self.name}", sys.executable, "-m", "tests.xdp_inside",
            step, str(self.device), *(interfaces or ("port1", "port2")),
        ]  # fmt: skip

    def step(self, step: str, *interfaces: str, status: int = 0) -> str:
        done = subprocess.run(
            self.command(step, *interfaces), capture_output=True, text=True, check=False,
            cwd=Path(__file__).parents[1], timeout=60,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kill_step(self, step: str) -> None:
        self.step(step, status=-signal.SIGKILL)

    def pings(self, count: int = 2) -> int:
        done = subprocess.run(
            ["ip", "netns", "exec", self.host, "ping", "-n", "-c", str(count), "-i", "0.05",
             "-W", "1", "10.9.0.1"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.count("bytes from")

    def programs(self) -> list[str]:
        """The id of each port's program, or an empty string."""
        shown = [self.ip("-d", "link", "show", f"port{number}") for number in (1, 2)]
        return [text.partition("prog/xdp id ")[2].partition(" ")[0] for text in shown]

    def close(self) -> None:
        for name in (self.name, self.host):
            subprocess.run(["ip", "netns", "del", name], check=False)
        subprocess.run(["rm", "-rf", str(self.pins)], check=False)


@pytest.fixture
def switch() -> Iterator[Switch]:
    found = Switch()
    yield found
    found.close()


def test_everything_kept_is_taken_over(switch: Switch) -> None:
    assert switch.pings() == 2
    assert "['native', 'native']" in switch.step("load")
    kept = switch.programs()
    assert kept[0] == kept[1] != ""
    assert switch.pings() == 0
    switch.step("adopted")
    assert switch.programs() == ["", ""] and switch.pings() == 2
    assert not switch.pins.exists()


def test_killed_and_taken_over(switch: Switch) -> None:
    switch.kill_step("killed")
    assert switch.pings() == 0
    before = switch.programs()
    switch.step("blocks")
    assert switch.programs() == before and switch.pings() == 0
    switch.step("off")
    assert switch.programs() == ["", ""]


@pytest.mark.parametrize("how", ["killed_in_swap", "killed_in_staging"])
def test_killed_while_a_program_is_replaced_nothing_is_unblocked(switch: Switch, how: str) -> None:
    switch.kill_step(how)
    assert len(list(switch.pins.iterdir())) == 2
    switch.step("blocks")
    one, other = switch.programs()
    assert one == other != ""
    assert [path.name for path in switch.pins.iterdir()] == [one]
    assert switch.pings() == 0


def test_killed_after_a_program_was_replaced(switch: Switch) -> None:
    switch.kill_step("killed_after_swap")
    switch.step("empty")
    assert switch.programs() == ["", ""] and not switch.pins.exists()


def test_a_refused_replacement_changes_nothing(switch: Switch) -> None:
    switch.step("swap_fails")
    one, other = switch.programs()
    assert one == other and [path.name for path in switch.pins.iterdir()] == [one]
    assert switch.pings() == 0


def test_other_ports_start_clean(switch: Switch) -> None:
    switch.step("load")
    assert "other interfaces" in switch.step("clean", "port2", "port1")
    assert switch.programs() == ["", ""] and not switch.pins.exists() and switch.pings() == 2
    switch.step("load")
    switch.step("clean", "port1")  # port2 is not left behind with half a switch
    assert switch.programs() == ["", ""]


def test_one_port_more_is_no_other_switch(switch: Switch) -> None:
    switch.step("load", "port1")
    switch.step("blocks", "port1", "port2")
    assert "" not in switch.programs() and switch.pings() == 0


def test_an_interface_that_came_back_gets_the_program_again(switch: Switch) -> None:
    switch.step("load")
    switch.ip("link", "del", "port2")
    switch.add(2)
    switch.step("blocks")
    one, other = switch.programs()
    assert one == other != ""
    assert switch.pings() == 0


def test_damaged_pins_are_cleared_away(switch: Switch) -> None:
    switch.step("load")
    next(switch.pins.glob("*/verdict")).unlink()
    assert "verdict" in switch.step("clean")
    assert switch.programs() == ["", ""] and not switch.pins.exists()


def test_somebody_elses_program_is_not_touched(switch: Switch) -> None:
    switch.step("foreign", "port1", "port2")
    before = switch.programs()
    assert before[0] == "" and before[1] != ""
    assert "port2 already has another XDP program" in switch.step("refused")
    assert switch.programs() == before and not switch.pins.exists()


def test_generic_where_the_driver_cannot(switch: Switch) -> None:
    switch.add(3)
    run("ip", "-n", switch.host, "link", "set", "eth3", "mtu", "9000")  # veth then has none
    switch.ip("link", "set", "port3", "down")
    said = switch.step("load", "port1", "port3")
    assert "['generic', 'native']" in said
    assert "interface port3: no native XDP" in said and "interface port3 is down" in said
    assert "xdpgeneric" in switch.ip("link", "show", "port3")
    switch.step("blocks", "port1", "port3")
    switch.step("off", "port1", "port3")
    assert "xdp" not in switch.ip("link", "show", "port3")


def test_an_interface_that_goes(switch: Switch) -> None:
    switch.step("gone")
    assert "xdp" not in switch.ip("link", "show", "port1") and not switch.pins.exists()


def test_events_of_real_packets(switch: Switch) -> None:
    process = subprocess.Popen(
        switch.command("events"), stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    run("ip", "netns", "exec", switch.host, sys.executable, "-c", SENDER)
    assert process.wait(30) == 0
    process.stdout.close()


FORWARDED = """
import socket
out, into = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for _ in range(2))
out.bind(("eth1", 0))
into.bind(("eth2", 0))
into.settimeout(5)
frame = bytes([2, 4, 6, 8, 10, 12]) + bytes(6) + b"\\x88\\xb5" + b"forwarded" * 8
for _ in range(3):
    out.send(frame)
    while into.recv(2000) != frame:
        pass
"""


@pytest.mark.skipif(shutil.which("ethtool") is None, reason="ethtool is not installed")
def test_a_known_address_is_forwarded_without_the_stack(switch: Switch) -> None:
    """The far end of a veth takes redirected frames only with GRO (or XDP) on."""
    run("ip", "netns", "exec", switch.host, "ethtool", "-K", "eth2", "gro", "on")
    with subprocess.Popen(
        switch.command("forward"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        try:
            run("ip", "netns", "exec", switch.host, sys.executable, "-c", FORWARDED)
        finally:
            process.communicate(b"\n", timeout=20)
    assert process.returncode == 0
