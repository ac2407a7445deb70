"""Who is believed, and what becomes of what they send."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sdnblock.block import TCP, parse_prefix
from sdnblock.errors import SdnblockError
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.hep_intake import HepIntake
from sdnblock.evidence.senders import LOOPBACK, HepSettings
from tests.hep_kit import ATTACKER, SERVER, chunk, hep
from tests.native_build import NATIVE

NOW = 1_700_000_000.5
HERE = bytes((127, 0, 0, 1))
ELSEWHERE = bytes((192, 0, 2, 5))
RESPONSE = b"SIP/2.0 401 Unauthorized\r\nCall-ID: 1\r\n\r\n"


def intake(key: bytes | None = None, **changes: object) -> HepIntake:
    return HepIntake(HepSettings(**changes), key)  # type: ignore[arg-type]


def taken(made: HepIntake, packet: bytes, sender: bytes = HERE, now: float = NOW) -> SipSeen:
    event = made.take(sender, packet, now)
    assert event is not None, made.tally.refused
    return event


def test_a_message() -> None:
    event = taken(intake(), hep(time=NOW - 0.25))
    assert (event.source, event.source_port) == (ATTACKER, 5061)
    assert (event.destination, event.destination_port) == (SERVER, 5060)
    assert event.message.user_agent == "friendly-scanner"
    assert event.time == NOW - 0.25
    assert (event.established, event.inbound, event.sampled, event.whole) == (
        *(False, None, False, True),
    )
    assert event.via == "HEP of 127.0.0.1 (agent 2001)"
    assert taken(intake(), hep(node=b"edge1")).via == "HEP of 127.0.0.1 (edge1)"
    assert taken(intake(), hep(agent=0)).via == "HEP of 127.0.0.1"


@pytest.mark.parametrize(("protocol", "stands"), [(17, False), (6, True), (22, True), (50, True)])
def test_a_server_knows_that_a_connection_stands(protocol: int, stands: bool) -> None:
    event = taken(intake(), hep(protocol=protocol))
    assert (event.established, event.protocol == TCP) == (stands, stands)


def test_who_copies_packets_does_not() -> None:
    """A TCP segment with a forged source is a packet as good as any."""
    sniffing = intake(sniffers=(parse_prefix("127.0.0.0/8"),))
    for made, packet in (
        (sniffing, hep(protocol=TCP)),
        (intake(), hep(protocol=TCP, more=chunk(18, b"\0\0"))),  # heplify
    ):
        event = taken(made, packet)
        assert (event.protocol, event.established) == (TCP, False)


def test_who_copies_only_some() -> None:
    assert taken(intake(partial=LOOPBACK), hep()).sampled


@pytest.mark.parametrize(
    ("ahead", "seen"),
    [(1.9, 1.9), (-9.9, -9.9), (2.1, 0.0), (-10.1, 0.0), (59.0, 0.0), (-59.0, 0.0), (None, 0.0)],
)
def test_times(ahead: float | None, seen: float) -> None:
    """A clock that is a little off is replaced by ours."""
    event = taken(intake(), hep(time=None if ahead is None else NOW + ahead))
    assert event.time == pytest.approx(NOW + seen, abs=1e-5)


REFUSALS = [
    (hep(), ELSEWHERE, "the sender is not on the list"),
    (hep(time=NOW - 61), HERE, "its time is far from ours"),
    (hep(time=NOW + 61), HERE, "its time is far from ours"),
    (hep(time=0), HERE, "its time is far from ours"),
    (hep(protocol=132), HERE, "neither UDP nor TCP"),
    (hep(source=bytes(4)), HERE, "nobody's"),
    (hep(source=bytes((255, 255, 255, 255))), HERE, "nobody's"),  # siptrace's "any"
    (hep(source=bytes((224, 0, 0, 1))), HERE, "nobody's"),
    (hep(source=bytes(16), destination=bytes(16)), HERE, "nobody's"),  # sofia-sip over IPv6
    (hep(RESPONSE, destination=bytes(4)), HERE, "nobody's"),
    (hep(source_port=0), HERE, "nobody's"),
    (hep(destination=bytes(4)), HERE, "listen on single addresses"),
    (hep(destination_port=0), HERE, "listen on single addresses"),
    (hep()[:-1], HERE, "breaks off"),
    (b"\2\x10\2\x11" + bytes(30), HERE, "have the sender send version 3"),
]


@pytest.mark.parametrize(("packet", "sender", "words"), REFUSALS)
def test_what_is_refused_is_counted_and_told(packet: bytes, sender: bytes, words: str) -> None:
    made = intake()
    assert made.take(sender, packet, NOW) is None
    (reason,) = made.tally.refused
    assert words in reason
    taken(made, hep())
    line = made.tally.told()
    assert f"1 refused: 1 because {reason} (last: " in line
    assert "1 judged" in line
    assert not made.tally.refused


def test_a_response_without_our_own_end_is_as_good() -> None:
    """Kamailio's ``sip_trace()`` of a stateless reply."""
    unknown = hep(RESPONSE, source=bytes((255, 255, 255, 255)), source_port=0, destination=ATTACKER)
    assert taken(intake(), unknown).destination == ATTACKER


def test_other_payloads_are_passed_over() -> None:
    made = intake()
    for kind in (5, 100, 61):
        assert made.take(HERE, hep(b"{}", kind=kind), NOW) is None
    for keepalive in (b"\r\n\r\n", b"\0", b"jaK"):
        assert made.take(HERE, hep(keepalive), NOW) is None
    assert not made.tally.refused
    assert made.tally.ignored.total() == 6


def test_the_key() -> None:
    made = intake(b"secret")
    assert made.take(HERE, hep(), NOW) is None
    for wrong in (b"Secret", b"secre", b"secrets", b"secret\0"):
        assert made.take(HERE, hep(key=wrong), NOW) is None
    assert dict(made.tally.refused) == {"it has no key": 1, "its key is wrong": 4}
    taken(made, hep(key=b"secret"))
    taken(intake(), hep(key=b"whatever"))  # none is asked for


def test_who_cannot_send_a_key() -> None:
    made = intake(b"secret", keyless=(parse_prefix("127.0.0.1"),))
    taken(made, hep())
    taken(made, hep(key=b"secret"))
    assert made.take(HERE, hep(key=b"wrong"), NOW) is None
    assert made.take(bytes((127, 0, 0, 2)), hep(), NOW) is None


@pytest.mark.skipif(NATIVE, reason="machine code cannot be patched")
def test_nothing_is_inflated_for_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(packet: object) -> bytes:
        raise AssertionError("inflated")

    monkeypatch.setattr("sdnblock.evidence.hep.HepPacket.content", fail)
    made = intake(b"secret")
    assert made.take(HERE, hep(deflate=True), NOW) is None
    assert made.take(ELSEWHERE, hep(deflate=True, key=b"secret"), NOW) is None
    with pytest.raises(AssertionError, match="inflated"):
        made.take(HERE, hep(deflate=True, key=b"secret"), NOW)


def test_prefixes_of_senders() -> None:
    made = intake(senders=(parse_prefix("192.0.2.0/29"), parse_prefix("2001:db8::/32")))
    for text, known in (
        *(("192.0.2.7", True), ("192.0.2.8", False), ("2001:db8::1", True)),
        *(("2001:db9::1", False), ("127.0.0.1", False)),
    ):
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        assert made.knows(socket.inet_pton(family, text)) is known


def test_names_stay_bounded() -> None:
    made = intake()
    for agent in range(3000):
        taken(made, hep(agent=agent))
    assert len(made._names) <= 1024


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"s\xc3\xa9cret\r\nmore\n")
    assert HepSettings(key_file=path).secret() == "sécret".encode()
    path.write_bytes(b"\nsecret\n")
    with pytest.raises(SdnblockError, match="begins with an empty line"):
        HepSettings(key_file=path).secret()
    with pytest.raises(SdnblockError, match=r"cannot read the HEP key file .*No such file"):
        HepSettings(key_file=tmp_path / "none").secret()
    assert "s3cret" not in repr(HepSettings(key="s3cret"))
