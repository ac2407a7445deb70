"""What tests/test_xdp_takeover.py runs inside a network namespace, as a process of its own.

``python -m tests.xdp_inside STEP DEVICE_ID INTERFACE...``; a failed assertion is its status.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final
from unittest import mock

from sdnblock.artifacts import XDP_OBJECT, artifact
from sdnblock.softswitch import bpf, layout, takeover, xdp
from sdnblock.softswitch.attach import attach, find_interfaces
from sdnblock.softswitch.bpf import BpfError, Libbpf, RingBuffer
from sdnblock.softswitch.dataplane import (
    MeterRates,
    Outcome,
    RemoteDigest,
    SampledPacket,
    Value,
)
from sdnblock.softswitch.xdp import CLONE_SESSION, XdpDataplane

DROP, WATCH = Value(6, 0), Value(8, 0)
HOST: Final = bytes([10, 9, 0, 2])
OTHER: Final = bytes([192, 0, 2, 1])
ELF: Final = artifact(XDP_OBJECT).read_bytes()


def _open(device: int, interfaces: list[str]) -> XdpDataplane:
    return XdpDataplane(interfaces, device)


def _block(dataplane: XdpDataplane) -> None:
    dataplane.load(ELF)
    print(sorted(dataplane.modes.values()))
    assert dataplane.insert("source_v4", [HOST], [DROP]) == [Outcome.OK]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def load(device: int, interfaces: list[str]) -> None:
    """Block the host with everything set, and leave it so."""
    dataplane = _open(device, interfaces)
    assert not dataplane.loaded
    _block(dataplane)
    dataplane.insert("source_v4", [OTHER], [WATCH])
    dataplane.insert("prefix_v4", [layout.INDEX.pack(8) + bytes([172, 0, 0, 0])], [DROP])
    dataplane.set_direct_counter("source_v4", OTHER, 7, 700)
    dataplane.set_counter("verdict", 5, 9, 90)
    dataplane.set_meter("limit_meter", 3, MeterRates(1, 2, 3, 4))
    dataplane.set_policy("request_window", (12, 34))
    dataplane.set_clone_session(CLONE_SESSION, 99)
    dataplane.close(keep=True)


def killed(device: int, interfaces: list[str]) -> None:
    """Block the host, and die of it."""
    _block(_open(device, interfaces))
    _die()


def adopted(device: int, interfaces: list[str]) -> None:
    """Everything that ``load`` had set is there; then take it off."""
    dataplane = _open(device, interfaces)
    assert dataplane.loaded and set(dataplane.modes) == set(interfaces)
    host, other = dataplane.get("source_v4", HOST), dataplane.get("source_v4", OTHER)
    assert host and host.value == DROP and host.packets >= 2
    assert other and (other.value, other.packets, other.bytes) == (WATCH, 7, 700)
    (prefix,) = [key for part in dataplane.scan("prefix_v4") for key, _ in part]
    assert prefix == layout.INDEX.pack(8) + bytes([172, 0, 0, 0])
    assert dataplane.read_counter("verdict")[5] == (9, 90)
    assert dataplane.get_meter("limit_meter", 3) == MeterRates(1, 2, 3, 4)
    assert dataplane.policy("request_window") == (12, 34)
    assert dataplane.clone_sessions() == {CLONE_SESSION: 99}
    assert dataplane.event_fd is not None and dataplane.events() == []
    assert dataplane.modify("source_v4", [OTHER], [DROP]) == [Outcome.OK]
    before = dataplane.identity
    dataplane.load(ELF)
    assert dataplane.identity != before
    dataplane.close(keep=False)


def blocks(device: int, interfaces: list[str]) -> None:
    """The host is blocked by what was left; leave it so."""
    dataplane = _open(device, interfaces)
    assert dataplane.loaded
    assert dataplane.get("source_v4", HOST) is not None
    dataplane.close(keep=True)


def clean(device: int, interfaces: list[str]) -> None:
    """What was left does not fit: it is gone."""
    dataplane = _open(device, interfaces)
    assert not dataplane.loaded and not dataplane.modes
    dataplane.close(keep=True)


def off(device: int, interfaces: list[str]) -> None:
    """Take everything off."""
    _open(device, interfaces).close(keep=False)


def killed_in_swap(device: int, interfaces: list[str]) -> None:
    """Die when the second program is on the first interface only."""
    dataplane = _open(device, interfaces)
    _block(dataplane)
    calls = 0

    def dying(*arguments: object) -> str:
        nonlocal calls
        calls += 1
        if calls == 2:
            _die()
        return attach(*arguments)  # type: ignore[arg-type]

    with mock.patch.object(xdp, "attach", dying):
        dataplane.load(ELF)


def killed_after_swap(device: int, interfaces: list[str]) -> None:
    """Die when the second program is everywhere, and the first still pinned."""
    dataplane = _open(device, interfaces)
    _block(dataplane)
    with mock.patch.object(takeover.Pins, "settle", lambda *_: _die()):
        dataplane.load(ELF)


def killed_in_staging(device: int, interfaces: list[str]) -> None:
    """Die when the second program is half pinned."""
    dataplane = _open(device, interfaces)
    _block(dataplane)
    pin = bpf.Map.pin

    def dying(each: bpf.Map, path: object) -> None:
        if each.name == "flow_v6":
            _die()
        pin(each, path)  # type: ignore[arg-type]

    with mock.patch.object(bpf.Map, "pin", dying):
        dataplane.load(ELF)


def empty(device: int, interfaces: list[str]) -> None:
    """The newer program was everywhere: it is taken over, with its empty tables."""
    dataplane = _open(device, interfaces)
    assert dataplane.loaded and dataplane.get("source_v4", HOST) is None
    dataplane.close(keep=False)


def swap_fails(device: int, interfaces: list[str]) -> None:
    """The second interface refuses the new program: the old one and its entries stay."""
    dataplane = _open(device, interfaces)
    _block(dataplane)
    before, calls = dataplane.identity, 0

    def refusing(*arguments: object) -> str:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise BpfError("no")
        return attach(*arguments)  # type: ignore[arg-type]

    with mock.patch.object(xdp, "attach", refusing):
        try:
            dataplane.load(ELF)
        except BpfError as error:
            assert str(error) == "no"
        else:
            raise AssertionError("loaded")
    assert dataplane.identity == before
    assert dataplane.get("source_v4", HOST) is not None
    dataplane.close(keep=True)


def refused(device: int, interfaces: list[str]) -> None:
    """Somebody else's program is on an interface: one clear line, nothing touched."""
    try:
        _open(device, interfaces).load(ELF)
    except BpfError as error:
        print(error)
    else:
        raise AssertionError("loaded")


def gone(device: int, interfaces: list[str]) -> None:
    """An interface goes between start and load."""
    dataplane = _open(device, interfaces)
    subprocess.run(["ip", "link", "del", interfaces[-1]], check=True)
    try:
        dataplane.load(ELF)
    except BpfError as error:
        assert "is gone" in str(error), error
    else:
        raise AssertionError("loaded")
    assert not dataplane.loaded
    dataplane.close(keep=False)


def events(device: int, interfaces: list[str]) -> None:
    """Samples and digests of real packets, until there were both."""
    dataplane = _open(device, interfaces)
    dataplane.load(ELF)
    dataplane.insert("source_v4", [HOST], [WATCH])
    dataplane.insert("sip_port", [bytes([17, 0x13, 0xC4, 0])], [Value(4, 0)])
    dataplane.set_clone_session(CLONE_SESSION, 0)
    dataplane.set_policy("request_window", (3, 60_000))
    print("ready", flush=True)
    kinds: set[type] = set()
    deadline = time.monotonic() + 20
    while kinds != {RemoteDigest, SampledPacket}:
        assert time.monotonic() < deadline, kinds
        time.sleep(0.02)
        for event in dataplane.events():
            kinds.add(type(event))
            if isinstance(event, RemoteDigest):
                remote = bytes(10) + b"\xff\xff" + HOST
                assert (event.remote, event.value, event.port) == (remote, 3, 1)
    dataplane.close(keep=False)


def forward(device: int, interfaces: list[str]) -> None:
    """Frames for one MAC go to port 2; what it takes is counted until the other end is done."""
    dataplane = _open(device, interfaces)
    dataplane.load(ELF)
    assert dataplane.insert("l2_forward", [bytes(range(2, 14, 2)) + bytes(2)], [Value(2, 2)])
    print("ready", flush=True)
    sys.stdin.readline()
    dataplane.close(keep=False)


def foreign(device: int, interfaces: list[str]) -> None:
    """Put a program of nobody we know on the last interface."""
    other = XdpDataplane.detached()
    other.load(ELF)
    found = find_interfaces(interfaces)[-1]
    loaded = other._loaded
    assert loaded is not None and isinstance(other._ring, RingBuffer)
    attach(Libbpf(), found, loaded.programs["pipeline"], None)


STEPS: Final[dict[str, Callable[[int, list[str]], None]]] = {
    each.__name__: each
    for each in (
        load, killed, adopted, blocks, clean, off, killed_in_swap, killed_after_swap,
        killed_in_staging, empty, swap_fails, refused, gone, events, forward, foreign,
    )
}  # fmt: skip

if __name__ == "__main__":
    STEPS[sys.argv[1]](int(sys.argv[2]), sys.argv[3:])
