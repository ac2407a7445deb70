"""Scenarios on a real BMv2, in the network namespace that this process runs in.

After each packet goes a sentinel, in at the same port, flooded to the others: BMv2 keeps the
order of what goes from one port to another, so everything seen at a port between two
sentinels was caused by the packet between them. That tells a drop from a delay, without
waiting. What comes back out of the ingress port itself is told apart by a last sentinel,
from a port of its own, after each run of packets from one port.
"""

from __future__ import annotations

import itertools
import select
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.dataplane.bmv2_client import Bmv2Client
from tests.dataplane.packets import Packet
from tests.dataplane.scenario import PORTS, Answer, Scenario

SENTINEL_PORT = PORTS + 1
_SENTINEL = b"\xff\xff\xff\xff\xff\xfe\x02\x00\x00\x00\x00\x55\x88\xb5"
_IN_FLIGHT = 16
"""Packets under way at once: BMv2's egress queues hold 64."""

_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_AUXDATA = struct.Struct("=IIIHHHH")
_VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6


class Bmv2Target:
    """A simple_switch_grpc on veth pairs, and the sockets at their other ends."""

    def __init__(self, directory: Path, grpc_port: int = 9559) -> None:
        binary = shutil.which("simple_switch_grpc")
        assert binary, "simple_switch_grpc is not on the PATH"
        for port in range(1, SENTINEL_PORT + 1):
            _veth(port)
        self._log = (directory / "bmv2.log").open("wb")
        interfaces = [f"-i{port}@b{port}" for port in range(1, SENTINEL_PORT + 1)]
        self._process = subprocess.Popen(
            # It dies with us, even if the test's timeout kills us.
            ["setpriv", "--pdeathsig", "KILL",
             binary, "--no-p4", "--device-id", "1", *interfaces, "--",
             "--grpc-server-addr", f"127.0.0.1:{grpc_port}", "--cpu-port", "255"],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self._sockets = {port: _capture(f"h{port}") for port in range(1, SENTINEL_PORT + 1)}
        self._client = Bmv2Client(f"127.0.0.1:{grpc_port}")

    def close(self) -> None:
        """Stop BMv2."""
        self._client.close()
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
        for each in self._sockets.values():
            each.close()

    def run(self, scenario: Scenario) -> Answer:
        """BMv2's answer to a scenario."""
        self._client.prepare(scenario, PORTS)
        for each in self._sockets.values():
            while _receive(each) is not None:
                pass
        answer = Answer()
        outputs = self._send(scenario)
        for packet, ports in zip(scenario.packets, outputs, strict=True):
            answer.verdicts.append(_verdict(packet.port, ports))
        self._client.collect(scenario, answer)
        self._forget_sentinels(scenario, answer)
        return answer

    def _send(self, scenario: Scenario) -> list[list[int]]:
        """Send everything; for each packet the ports that its frame came out of."""
        outputs: list[list[int]] = [[] for _ in scenario.packets]
        self._sentinels = dict.fromkeys(range(1, SENTINEL_PORT + 1), 0)
        start = 0
        for port, group in itertools.groupby(scenario.packets, lambda packet: packet.port):
            run = list(group)
            self._send_run(port, run, outputs[start : start + len(run)], scenario.name)
            start += len(run)
        return outputs

    def _send_run(self, ingress: int, run: list[Packet], out: list[list[int]], name: str) -> None:
        frames = [packet.frame for packet in run]
        others = [port for port in range(1, PORTS + 1) if port != ingress]
        seen = dict.fromkeys(others, 0)
        returned: list[bytes] = []
        deadline = time.monotonic() + 30 + len(frames) / 100
        sent = 0
        while min(seen.values()) < len(frames):
            while sent < len(frames) and sent - min(seen.values()) < _IN_FLIGHT:
                time.sleep(run[sent].pause)
                self._sockets[ingress].send(frames[sent])
                self._sentinel(ingress, sent)
                sent += 1
            for port, frame in self._arrivals(deadline, name):
                if port == ingress:
                    returned.append(frame)
                    continue
                at = seen[port]
                if frame.startswith(_SENTINEL):
                    (number,) = struct.unpack_from("!I", frame, len(_SENTINEL))
                    assert number == at, f"{name}: sentinel {number} instead of {at}"
                    seen[port] += 1
                    continue
                assert frame == frames[at], f"{name}: {at}: {frame.hex()} came out"
                out[at].append(port)
        self._sentinel(SENTINEL_PORT, sent)
        waiting = set(range(1, PORTS + 1))
        while waiting:
            for port, frame in self._arrivals(deadline, name):
                if frame.startswith(_SENTINEL):
                    waiting.discard(port)
                else:
                    assert port == ingress, f"{name}: {frame.hex()} came late"
                    returned.append(frame)
        for frame in returned:
            at = next(i for i, each in enumerate(frames) if each == frame and not out[i])
            out[at].append(ingress)

    def _sentinel(self, port: int, number: int) -> None:
        self._sockets[port].send(_SENTINEL + struct.pack("!I", number))
        self._sentinels[port] += 1

    def _arrivals(self, deadline: float, name: str) -> Iterator[tuple[int, bytes]]:
        assert time.monotonic() < deadline, f"{name}: BMv2 does not answer"
        listened = {self._sockets[port]: port for port in range(1, PORTS + 1)}
        ready, _, _ = select.select(list(listened), [], [], 0.2)
        for each in ready:
            while (frame := _receive(each)) is not None:
                yield listened[each], frame

    def _forget_sentinels(self, scenario: Scenario, answer: Answer) -> None:
        """BMv2 counted a verdict ("passed") for each that came in at an untrusted port."""
        trusted = {
            entry.key[0]
            for entry in scenario.entries
            if entry.table == "port_side" and entry.params == (1,)
        }
        count = sum(n for port, n in self._sentinels.items() if port not in trusted)
        cells = answer.indirect["verdict"]
        cells["0"][0] -= count
        cells["0"][1] -= count * (len(_SENTINEL) + 4)
        if cells["0"] == [0, 0]:
            del cells["0"]
        if not cells:
            del answer.indirect["verdict"]


def _verdict(ingress: int, ports: list[int]) -> str:
    others = [port for port in range(1, PORTS + 1) if port != ingress]
    if not ports:
        return "drop"
    if sorted(ports) == others:
        return "flood"
    assert len(ports) == 1, f"out of ports {ports}, in at {ingress}"
    return str(ports[0])


def _veth(port: int) -> None:
    subprocess.run(
        ["ip", "link", "add", f"h{port}", "type", "veth", "peer", "name", f"b{port}"], check=True
    )
    for name in (f"h{port}", f"b{port}"):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
        subprocess.run(["ip", "link", "set", name, "up", "mtu", "9000"], check=True)


def _capture(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    sock.bind((name, 3))
    sock.setblocking(False)
    return sock


def _receive(sock: socket.socket) -> bytes | None:
    """A frame that came in, with the VLAN tag that Linux had taken off; None: no more."""
    while True:
        try:
            frame, extra, _, address = sock.recvmsg(16384, 256)
        except BlockingIOError:
            return None
        if address[2] == socket.PACKET_OUTGOING:
            continue
        for level, kind, data in extra:
            if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(data)
                if status & _VLAN_VALID:
                    tpid = tpid if status & _TPID_VALID else 0x8100
                    return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        return frame
