"""Captures of every kind give the same packets; damaged ones give one clear line."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdnblock.block import TCP, UDP
from sdnblock.evidence.capture import CaptureError, read_capture
from sdnblock.evidence.frames import LINK_TYPES, decode
from tests.captures import write_pcap, write_pcapng
from tests.dataplane import packets as p

PACKETS = [(1700000000.25 + n, p.v4(f"OPTIONS sip:{n}@x SIP/2.0\r\n".encode())) for n in range(5)]


def check(path: Path) -> None:
    found = list(read_capture(path))
    assert [round(time, 4) for time, _ in found] == [time for time, _ in PACKETS]
    for number, (_, segment) in enumerate(found):
        assert segment.protocol == UDP
        assert segment.source == bytes((203, 0, 113, 7))
        assert (segment.source_port, segment.destination_port) == (5060, 5060)
        assert segment.payload == f"OPTIONS sip:{number}@x SIP/2.0\r\n".encode()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap(tmp_path: Path, order: str, nanoseconds: bool) -> None:
    check(write_pcap(tmp_path / "c", PACKETS, order=order, nanoseconds=nanoseconds))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("resolution", [None, 6, 9])
def test_pcapng(tmp_path: Path, order: str, resolution: int | None) -> None:
    check(write_pcapng(tmp_path / "c", PACKETS, order=order, resolution=resolution))


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (101, b""),
        (12, b""),
        (0, struct.pack("<I", 2)),
        (113, bytes(14) + b"\x08\x00"),
        (276, b"\x08\x00" + bytes(18)),
        (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
        (1, bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"),
    ],
)
def test_link_types(tmp_path: Path, link_type: int, head: bytes) -> None:
    packets = [(time, head + frame[14:]) for time, frame in PACKETS]
    check(write_pcap(tmp_path / "c", packets, link_type))


def test_frames() -> None:
    found = decode(1, p.ether(p.ip6(p.extension(p.fragment6(p.tcp(b"x"), 6), 44), 0), 0x86DD))
    assert found is not None
    assert (found.protocol, found.payload, found.sequence) == (TCP, b"x", 1)
    assert decode(1, p.ether(p.ip6(p.fragment6(p.udp(), 17, 1), 44), 0x86DD)) is None
    assert decode(1, p.ether(p.ip4(p.udp(), 17, fragment=1), 0x0800)) is None
    padded = decode(1, p.padded(p.v4(b"ab")))
    assert padded is not None
    assert padded.payload == b"ab"
    assert decode(1, p.ether(p.ip4(p.udp(), 17), 0x0800, vlans=(0x8100,) * 3)) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "neither pcap nor pcapng"),
        (b"PK\x03\x04", "neither pcap nor pcapng"),
        (struct.pack("<IHHiII", 0xA1B2C3D4, 2, 4, 0, 0, 65535), "ends within its header"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 999), "link type 999"),
        (struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 9, 1, 1, 1, 90, 90), "breaks off"),
        (
            struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 9, 1, 1, 1, 1 << 30, 9),
            "a packet of",
        ),
        (b"\x0a\x0d\x0d\x0a" + struct.pack("<II", 4, 0x1A2B3C4D), "a block of 4 bytes"),
    ],
)
def test_damage_is_told(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "c"
    path.write_bytes(data)
    with pytest.raises(CaptureError, match=words):
        list(read_capture(path))
    with pytest.raises(CaptureError, match="cannot read"):
        list(read_capture(tmp_path / "none"))


@given(st.sampled_from(sorted(LINK_TYPES)), st.binary(max_size=120))
@settings(max_examples=800, deadline=None)
def test_hostile_frames_never_raise(link_type: int, frame: bytes) -> None:
    decode(link_type, frame)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 400), st.booleans())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_hostile_captures_raise_nothing_else(
    tmp_path: Path, noise: bytes, at: int, newer: bool
) -> None:
    path = (write_pcapng if newer else write_pcap)(tmp_path / "c", PACKETS)
    data = path.read_bytes()
    path.write_bytes(data[:at] + noise + data[at + len(noise) :])
    try:
        list(read_capture(path))
    except CaptureError as error:
        assert str(path) in str(error)
