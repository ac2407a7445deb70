"""HEP packets: what servers send, what attackers send, and what nobody should."""

from __future__ import annotations

import gzip
import time
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.block import TCP
from sdnblock.evidence.hep import MAX_INFLATED, MAX_PACKET, HepError, HepStream, parse_hep
from tests.hep_kit import ATTACKER, OPTIONS, SERVER, TRANSPORTS, again, chunk, hep, packet

V6 = bytes.fromhex("20010db8000000000000000000000007")
MAPPED = bytes(10) + b"\xff\xff"


def test_a_packet() -> None:
    found = parse_hep(hep(node=b"edge\x001\xff", key=b"secret"))
    assert (found.source, found.source_port) == (ATTACKER, 5061)
    assert (found.destination, found.destination_port) == (SERVER, 5060)
    assert (found.protocol, found.kind, found.agent) == (17, 1, 2001)
    assert found.time == 1_700_000_000.25
    assert (found.node, found.key) == ("edge?1?", b"secret")
    assert found.content() == OPTIONS
    assert not found.sniffed
    assert "secret" not in repr(found)


def test_ipv6_and_mapped_ipv4() -> None:
    assert parse_hep(hep(source=V6, destination=V6)).source == V6
    found = parse_hep(hep(source=MAPPED + ATTACKER, destination=MAPPED + SERVER))
    assert (found.source, found.destination) == (ATTACKER, SERVER)
    found = parse_hep(hep(source=MAPPED + ATTACKER, destination=bytes(16)))
    assert (found.source, found.destination) == (ATTACKER, bytes(4))
    with pytest.raises(HepError):
        parse_hep(hep(source=MAPPED + ATTACKER, destination=V6))


@pytest.mark.parametrize(("written", "meant"), TRANSPORTS.items())
def test_transports_as_each_sender_writes_them(written: int, meant: int) -> None:
    assert parse_hep(hep(protocol=written)).protocol == meant


def test_what_is_unknown_is_passed_over() -> None:
    more = chunk(3, b"\1\2", vendor=4) + chunk(0x7777, b"x" * 300) + chunk(17, b"", vendor=0xFFFF)
    assert parse_hep(hep(more=more) + b"behind it") == parse_hep(hep())


def test_a_sender_that_looks_at_packets() -> None:
    for kind in (18, 23, 24):
        assert parse_hep(hep(protocol=TCP, more=chunk(kind, b"\0\0"))).sniffed


@pytest.mark.parametrize("deflated", [zlib.compress(OPTIONS), gzip.compress(OPTIONS)])
def test_a_deflated_payload(deflated: bytes) -> None:
    whole = hep(b"")
    made = packet(whole[6 : -len(chunk(15, b""))], chunk(16, deflated))
    assert parse_hep(made).content() == OPTIONS


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", zlib.compress(OPTIONS)[:-1], zlib.compress(bytes(MAX_INFLATED + 1)),
     zlib.compress(bytes(10_000_000)), gzip.compress(bytes(10_000_000))],
)  # fmt: skip
def test_what_inflates_to_nothing_or_to_too_much(payload: bytes) -> None:
    whole = hep(b"")
    found = parse_hep(packet(whole[6 : -len(chunk(15, b""))], chunk(16, payload)))
    with pytest.raises(HepError, match="inflated"):
        found.content()


ADDRESSES = (chunk(3, ATTACKER), chunk(4, SERVER), chunk(2, b"\x11"), chunk(11, b"\1"))
PAYLOAD = chunk(15, OPTIONS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "too short"),
        (b"HEP3\0", "too short"),
        (b"HEP3\0\5", "length cannot be"),
        (b"HEP2\0\x06", "not HEP version 3"),
        (b"\1\x10\2\x11" + bytes(30), "have the sender send version 3"),
        (b"\2\x10\2\x11" + bytes(30), "have the sender send version 3"),
        (OPTIONS, "not HEP version 3"),
        (hep()[:-1], "breaks off"),
        (packet(b"\0"), "chunk breaks off"),
        (packet(chunk(1, b"\2"), b"\0\0\0\2\0\5"), "chunk breaks off"),
        (packet(chunk(1, b"\2"), b"\0\0\0\2\0\x08\x11"), "chunk breaks off"),
        (packet(chunk(1, b"\2\2")), "chunk cannot be"),
        (packet(*ADDRESSES, PAYLOAD, chunk(2, b"\x11")), "chunk cannot be"),
        (packet(*ADDRESSES), "no payload"),
        (packet(*ADDRESSES, PAYLOAD, chunk(16, b"x")), "or two"),
        (packet(*ADDRESSES[:3], PAYLOAD), "what it carries"),
        (packet(ADDRESSES[0], *ADDRESSES[2:], PAYLOAD), "two addresses"),
        (packet(*ADDRESSES, chunk(5, V6), chunk(6, V6), PAYLOAD), "two addresses"),
        (packet(*ADDRESSES, chunk(1, b"\x0a"), PAYLOAD), "two addresses"),
        (packet(chunk(1, b"\7"), chunk(5, V6), chunk(6, V6), *ADDRESSES[2:], PAYLOAD), "addresses"),
        (packet(*ADDRESSES, PAYLOAD, chunk(10, b"\0\x0f\x42\x40")), "time cannot be"),
    ],
)
def test_what_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(HepError, match=words):
        parse_hep(data)


@pytest.mark.parametrize("size", [1, 5, 7, 300, 100_000])
def test_a_stream(size: int) -> None:
    packets = [hep(agent=number, payload=OPTIONS * (number % 3)) for number in range(20)]
    whole = b"".join(packets)
    stream = HepStream()
    found: list[bytes] = []
    for at in range(0, len(whole), size):
        found += stream.feed(whole[at : at + size])
        assert stream.kept < MAX_PACKET
    assert found == packets


def test_a_stream_out_of_step_tells_what_came_before_and_stays_broken() -> None:
    stream, found = HepStream(), []
    with pytest.raises(HepError, match="not HEP"):
        for each in stream.feed(hep() + hep(agent=2) + b"GET / HTTP/1.1\r\n\r\n" * 1000):
            found.append(each)
    assert found == [hep(), hep(agent=2)]
    with pytest.raises(HepError):
        list(stream.feed(hep()))
    assert stream.kept < 400
    with pytest.raises(HepError):
        list(HepStream().feed(b"HEX"))


def test_a_slow_stream_takes_no_time() -> None:
    large = hep(b"x" * 60_000)
    stream, began, found = HepStream(), time.process_time(), 0
    for at in range(len(large)):
        found += len(list(stream.feed(large[at : at + 1])))
    assert found == 1
    assert time.process_time() - began < 1.0


@given(
    st.builds(
        hep,
        st.binary(max_size=200),
        source_port=st.integers(0, 65535),
        destination_port=st.integers(0, 65535),
        time=st.one_of(st.none(), st.integers(0, 2**34 - 1).map(lambda quarter: quarter / 4)),
        protocol=st.integers(0, 255),
        kind=st.integers(0, 255),
        agent=st.integers(0, 2**32 - 1),
        node=st.binary(max_size=70),
        key=st.binary(max_size=30),
        deflate=st.booleans(),
    )
)
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read(made: bytes) -> None:
    found = parse_hep(made)
    assert parse_hep(again(found)) == found
    six = replace(found, source=V6, destination=V6)
    assert parse_hep(again(six)) == six


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 40))
@settings(max_examples=1000, deadline=None)
def test_hostile_bytes_raise_nothing_else(noise: bytes, at: int, cut: int) -> None:
    whole = hep(deflate=bool(cut % 2))
    for data in (noise, b"HEP3" + noise, whole[:at] + noise + whole[at + cut :]):
        try:
            parse_hep(data).content()
        except HepError as error:
            assert str(error).isascii()
