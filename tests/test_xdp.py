"""The XDP data plane in the kernel: exact outcomes, counters that are never lost, meters."""

from __future__ import annotations

import errno
import gc
import ipaddress
import os
import random
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from sdnblock.artifacts import XDP_OBJECT, artifact
from sdnblock.softswitch.bpf import BpfError
from sdnblock.softswitch.dataplane import (
    DeviceConfigError,
    MeterRates,
    Outcome,
    SampledPacket,
    Value,
)
from sdnblock.softswitch.xdp import CLONE_SESSION, Verdict, XdpDataplane
from tests.dataplane import packets as p

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="BPF needs root"),
]

DROP, LIMIT, WATCH, SIP, FORWARD = Value(6, 0), Value(7, 5), Value(8, 0), Value(4, 0), Value(2, 3)
SMALL = {"source_v4": 8, "prefix_v4": 4, "flow_v6": 2, "source_v6": 3}


def host(number: int) -> bytes:
    return (0xCB007100 + number).to_bytes(4, "big")


def lpm(number: int, length: int) -> bytes:
    return struct.pack("=I", length) + number.to_bytes(4, "big")


@pytest.fixture
def xdp() -> Iterator[XdpDataplane]:
    dataplane = XdpDataplane.detached()
    dataplane.load(artifact(XDP_OBJECT).read_bytes())
    yield dataplane
    dataplane.close(keep=False)


@pytest.fixture
def small() -> Iterator[XdpDataplane]:
    dataplane = XdpDataplane.detached(sizes=SMALL)
    dataplane.load(artifact(XDP_OBJECT).read_bytes())
    yield dataplane
    dataplane.close(keep=False)


def test_outcomes_are_exact(xdp: XdpDataplane) -> None:
    keys = [host(1), host(2), host(1)]
    assert xdp.insert("source_v4", keys, [DROP] * 3) == [Outcome.OK, Outcome.OK, Outcome.EXISTS]
    assert xdp.modify("source_v4", [host(1), host(3)], [WATCH] * 2) == [
        Outcome.OK,
        Outcome.MISSING,
    ]
    assert xdp.delete("source_v4", [host(2), host(2)]) == [Outcome.OK, Outcome.MISSING]
    found = xdp.get("source_v4", host(1))
    assert found is not None and found.value == WATCH
    assert xdp.get("source_v4", host(2)) is None


@pytest.mark.parametrize("table", ["source_v4", "prefix_v4", "flow_v6", "source_v6"])
def test_full_is_full(small: XdpDataplane, table: str) -> None:
    size = SMALL[table]
    assert small.table_size(table) == size
    makers: dict[str, Callable[[int], bytes]] = {
        "source_v4": host,
        "prefix_v4": lambda n: lpm(0x0A000000 + (n << 16), 16),
        "flow_v6": lambda n: bytes(36) + n.to_bytes(4, "big"),
        "source_v6": lambda n: bytes(12) + host(n),
    }
    make = makers[table]
    keys = [make(number) for number in range(size + 2)]
    got = small.insert(table, keys, [DROP] * len(keys))
    assert got == [Outcome.OK] * size + [Outcome.FULL] * 2
    assert small.insert(table, keys[:1], [DROP]) == [Outcome.EXISTS]
    small.delete(table, keys[:1])
    assert small.insert(table, keys[-1:], [DROP]) == [Outcome.OK]
    assert {key for part in small.scan(table) for key, _ in part} == {*keys[1:size], keys[-1]}


def test_an_lpm_entry_is_not_the_one_around_it(xdp: XdpDataplane) -> None:
    wide, narrow = lpm(0x0A000000, 8), lpm(0x0A010000, 16)
    xdp.insert("prefix_v4", [wide], [DROP])
    assert xdp.get("prefix_v4", narrow) is None
    assert xdp.modify("prefix_v4", [narrow], [WATCH]) == [Outcome.MISSING]
    assert xdp.set_direct_counter("prefix_v4", narrow, 1, 1) is Outcome.MISSING
    assert xdp.delete("prefix_v4", [narrow]) == [Outcome.MISSING]
    found = xdp.get("prefix_v4", wide)
    assert found is not None and (found.value, found.packets) == (DROP, 0)


def test_modify_loses_no_count_while_packets_flow(xdp: XdpDataplane) -> None:
    frame = p.v4(source="203.0.113.1")
    xdp.insert("source_v4", [host(1)], [DROP])
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            xdp.modify("source_v4", [host(1)], [(DROP, WATCH)[number % 2]])

    changing = threading.Thread(target=change)
    changing.start()
    xdp.set_test_port(1)
    for _ in range(20):
        xdp.measure(frame, 10_000)
    stop.set()
    changing.join()
    found = xdp.get("source_v4", host(1))
    assert found is not None
    assert found.packets == 200_000
    assert found.bytes == 200_000 * len(frame)


def test_counters_can_be_set(xdp: XdpDataplane) -> None:
    xdp.insert("source_v4", [host(1)], [DROP])
    assert xdp.set_direct_counter("source_v4", host(1), 7, 700) is Outcome.OK
    xdp.test_run(1, p.v4(b"x" * 58, source="203.0.113.1"))
    found = xdp.get("source_v4", host(1))
    assert found is not None and (found.packets, found.bytes) == (8, 800)
    xdp.set_counter("verdict", 3, 5, 50)
    assert xdp.read_counter("verdict")[3] == (5, 50)


def test_a_meter_refills_at_its_rate(xdp: XdpDataplane) -> None:
    xdp.insert("source_v4", [host(1)], [LIMIT])
    rates = MeterRates(cir=1000, cburst=50, pir=1000, pburst=50)
    xdp.set_meter("limit_meter", 5, rates)
    assert xdp.get_meter("limit_meter", 5) == rates
    frame, passed, rounds = p.v4(source="203.0.113.1"), 0, 0
    began = threading.Event()
    threading.Timer(1.0, began.set).start()
    while not began.is_set():
        passed += xdp.test_run(1, frame)[0] is Verdict.PASS
        rounds += 1
    assert rounds > 2000, "the machine is too slow for this test to mean anything"
    assert 900 <= passed <= 1250  # a second's tokens and the burst
    xdp.set_meter("limit_meter", 5, None)
    assert xdp.get_meter("limit_meter", 5) is None
    assert xdp.test_run(1, frame)[0] is Verdict.PASS


def test_the_event_buffer_is_bounded_and_what_is_lost_is_counted(xdp: XdpDataplane) -> None:
    xdp.insert("source_v4", [host(1)], [WATCH])
    xdp.set_clone_session(CLONE_SESSION, 64)
    xdp.set_test_port(1)
    xdp.measure(p.v4(source="203.0.113.1"), 2000)
    events = xdp.events()
    assert 100 < len(events) < 1000
    assert xdp.events_lost() == 2000 - len(events)
    assert all(isinstance(each, SampledPacket) and len(each.frame) == 64 for each in events)
    xdp.measure(p.v4(source="203.0.113.1"), 1)
    assert len(xdp.events()) == 1


def test_hostile_frames_are_never_dropped_and_never_crash(xdp: XdpDataplane) -> None:
    rng = random.Random(7)
    xdp.set_policy("request_window", (5, 1 << 20))
    xdp.insert("sip_port", [struct.pack("!BHx", 17, 5060)], [SIP])
    base = [p.v4(), p.v6(), p.ether(p.ip6(p.extension(p.udp(), 17), 0), 0x86DD)]
    for _ in range(20_000):
        frame = bytearray(rng.choice(base)) if rng.random() < 0.7 else bytearray(rng.randbytes(90))
        for _ in range(rng.randint(0, 4)):
            frame[rng.randrange(len(frame))] = rng.getrandbits(8)
        cut = bytes(frame[: rng.randint(14, len(frame))])
        assert xdp.test_run(1, cut) == (Verdict.PASS, cut)


def test_a_new_program_starts_empty_and_a_bad_one_changes_nothing(xdp: XdpDataplane) -> None:
    xdp.insert("source_v4", [host(1)], [DROP])
    with pytest.raises(DeviceConfigError, match="not a BPF object"):
        xdp.load(b"{}")
    assert xdp.get("source_v4", host(1)) is not None
    xdp.load(artifact(XDP_OBJECT).read_bytes())
    assert xdp.get("source_v4", host(1)) is None


def test_another_bpf_object_is_refused(xdp: XdpDataplane) -> None:
    elf = artifact(XDP_OBJECT).read_bytes().replace(b"prefix_v4", b"prefix_v5")
    with pytest.raises(DeviceConfigError, match=r"not sdnblock's|another version|does not take"):
        xdp.load(elf)
    assert xdp.loaded


def test_interfaces_that_cannot_be() -> None:
    with pytest.raises(BpfError, match="there is no interface 'nosuch0'"):
        XdpDataplane(["nosuch0"])
    with pytest.raises(BpfError, match="named twice"):
        XdpDataplane(["lo", "lo"])


def test_the_verifier_is_far_from_its_limits(xdp: XdpDataplane) -> None:
    """Linux 5.15 prunes less than newer kernels do: a fifth of its million must do."""
    verified = [each.verified for each in xdp._in_force().programs.values()]
    assert max(verified) < 200_000, verified


@pytest.mark.parametrize("table", ["allow_v4", "allow_v6", "prefix_v4", "prefix_v6"])
def test_entries_of_tries_are_aligned(xdp: XdpDataplane, table: str) -> None:
    """The kernel puts an entry right behind its key's bytes; its counters are atomic."""
    trie = xdp._map(table)
    assert (trie.key_size - 4) % 8 == 0
    assert trie.value_size % 8 == 0


@pytest.mark.parametrize("family", [4, 6])
def test_the_longest_prefix_wins(xdp: XdpDataplane, family: int) -> None:
    """Against a naive model, over random nested prefixes and sources near them."""
    rng = random.Random(family)
    bits, table = (32, "prefix_v4") if family == 4 else (128, "prefix_v6")
    root = rng.getrandbits(bits)
    model: dict[tuple[int, int], Value] = {}
    for _ in range(300):
        length = rng.randint(1, bits)
        near = root ^ (rng.getrandbits(3) << rng.randrange(bits - 2))
        model[length, near >> (bits - length) << (bits - length)] = rng.choice((DROP, WATCH))

    def packed(length: int, number: int) -> bytes:
        return struct.pack("=I", length) + number.to_bytes(bits // 8, "big")

    keys = [packed(*each) for each in model]
    assert xdp.insert(table, keys, list(model.values())) == [Outcome.OK] * len(keys)
    scanned = {key: entry.value for part in xdp.scan(table) for key, entry in part}
    assert scanned == dict(zip(keys, model.values(), strict=True))
    for _ in range(2000):
        length, number = rng.choice(list(model))
        source = number ^ (1 << rng.randrange(bits)) if rng.random() < 0.5 else number
        matching = [
            each for each in model if source >> (bits - each[0]) << (bits - each[0]) == each[1]
        ]
        drop = bool(matching) and model[max(matching)] == DROP
        text = str(ipaddress.ip_address(source.to_bytes(bits // 8, "big")))
        frame = p.v4(source=text) if family == 4 else p.v6(source=text)
        assert xdp.test_run(1, frame)[0] is (Verdict.DROP if drop else Verdict.PASS), text
    assert xdp.delete(table, keys) == [Outcome.OK] * len(keys)
    assert list(xdp.scan(table)) == []


def test_an_object_outlives_another_ones_log(xdp: XdpDataplane) -> None:
    """libbpf has one print function a process: its owner's end must not be ours."""
    XdpDataplane.detached().close(keep=False)
    gc.collect()
    for _ in range(3):
        with pytest.raises(DeviceConfigError, match="not a BPF object"):
            xdp.verify(b"no ELF")


def test_a_read_of_events_is_bounded(xdp: XdpDataplane) -> None:
    xdp.set_policy("request_window", (1, 0))  # every request is a new window, and a digest
    xdp.insert("sip_port", [struct.pack("!BHx", 17, 5060)], [SIP])
    xdp.set_test_port(1)
    xdp.measure(p.v4(b"OPTIONS sip:a@b SIP/2.0\r\n"), 3000)
    parts = []
    while found := xdp.events():
        parts.append(len(found))
    assert sum(parts) == 3000 and max(parts) <= 1024
    assert xdp.events_lost() == 0


@pytest.mark.parametrize(("failures", "outcome"), [(2, Outcome.OK), (99, Outcome.FULL)])
def test_memory_that_comes_in_a_moment_is_waited_for(
    xdp: XdpDataplane, monkeypatch: pytest.MonkeyPatch, failures: int, outcome: Outcome
) -> None:
    table = xdp._map("source_v4")
    real = table._lib.c.bpf_map_update_elem
    calls = 0

    def update(*arguments: object) -> int:
        nonlocal calls
        calls += 1
        return -errno.ENOMEM if 1 < calls <= 1 + failures else int(real(*arguments))

    library = SimpleNamespace(c=SimpleNamespace(bpf_map_update_elem=update))
    monkeypatch.setattr(table, "_lib", library)
    got = xdp.insert("source_v4", [host(1), host(2)], [DROP] * 2)
    assert got == [Outcome.OK, outcome]
    monkeypatch.undo()
    assert (xdp.get("source_v4", host(2)) is not None) == (outcome is Outcome.OK)


def test_who_was_held_once_is_not_held_again_weeks_later(xdp: XdpDataplane) -> None:
    """The clock of 32 bits comes round: until when it was held lies ahead again."""
    xdp.insert("port_side", [b"\0\3\0\0"], [Value(1, 1)])
    xdp.insert("sip_port", [b"\x11\x13\xc4\0"], [SIP])
    xdp.insert("outcome", [b"\x16\0\0\0"], [Value(11, 4)])
    xdp.set_policy("outcome_policy", (4, 1 << 20, 60_000, 2))
    text = b"SIP/2.0 404 Not Found\r\n\r\n"
    reply = p.ether(p.ip4(p.udp(text), p.UDP, "198.51.100.9", "203.0.113.7"), 0x0800)
    xdp.test_run(3, reply)
    assert xdp.test_run(1, p.v4())[0] is Verdict.DROP
    walks, slot = xdp._map("walks"), zlib.crc32(b"\0" * 10 + b"\xff\xff\xcb\x00\x71\x07") & 0xFFFF
    key = slot.to_bytes(4, "little")
    value = bytearray(walks.lookup(key) or b"")
    (until,) = struct.unpack_from("=I", value, 24)  # struct walk of p4/xdp/maps.h
    struct.pack_into("=I", value, 24, until - 30 * 86400 * 1000 & 0xFFFFFFFF)
    xdp._must(walks, key, bytes(value))
    assert xdp.test_run(1, p.v4())[0] is not Verdict.DROP
