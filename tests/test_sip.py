"""The SIP parser: what phones send, what attackers send, and what nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.evidence.sip import (
    MAX_HEAD,
    MAX_STREAM,
    Address,
    SipMessage,
    SipStream,
    parse_address,
    parse_message,
)

REGISTER = (
    b"REGISTER sip:opensips.org SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.31:5078;branch=z9hG4bK-7773eef8\r\n"
    b'From: "Liviu" <sip:liviu@opensips.org>;tag=5002f55b\r\n'
    b'To: "Bogdan" <sip:bogdan@OpenSIPS.org>\r\n'
    b"Call-ID: 50f84600@192.0.2.31\r\n"
    b"CSeq: 28479 REGISTER\r\n"
    b'Authorization: Digest username="liviu",realm="opensips.org",nonce="a,b", nc=00000001\r\n'
    b'Contact: "Liviu" <sip:liviu@192.0.2.31:5078>;expires=3600\r\n'
    b"User-Agent: Linksys/SPA941-5.1.8\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def parsed(data: bytes) -> SipMessage:
    message = parse_message(data)
    assert message is not None
    return message


def test_a_register() -> None:
    message = parsed(REGISTER)
    assert (message.method, message.uri, message.status) == ("REGISTER", "sip:opensips.org", 0)
    assert message.from_ == Address("liviu", "opensips.org")
    assert message.to == Address("bogdan", "opensips.org")
    assert message.from_tag == "5002f55b"
    assert message.to_tag == ""
    assert message.cseq == (28479, "REGISTER")
    assert message.call_id == "50f84600@192.0.2.31"
    assert message.user_agent == "Linksys/SPA941-5.1.8"
    digest = message.authorization
    assert digest is not None
    assert digest.scheme == "digest"
    assert (digest.get("username"), digest.get("nonce"), digest.get("nc")) == (
        "liviu",
        "a,b",
        "00000001",
    )
    assert not message.removes_binding
    assert message.junk == 0


def test_a_challenge() -> None:
    message = parsed(
        b"SIP/2.0 401 Unauthorized\r\nTo: <sip:a@b>;tag=x\r\n"
        b'WWW-Authenticate: Digest realm="r", nonce="n", stale=true, qop="auth"\r\n\r\n'
    )
    assert (message.status, message.is_request, message.to_tag) == (401, False, "x")
    assert message.challenge is not None
    assert message.challenge.get("stale") == "true"


def test_compact_forms_and_folded_headers() -> None:
    message = parsed(
        b"INVITE sip:+4412345@example.net;user=phone SIP/2.0\r\n"
        b"v: SIP/2.0/UDP 192.0.2.1\r\nf: <sip:100@example.net>\r\n ;tag=abc\r\n"
        b"t:<sip:+4412345@example.net>\r\ni : abc\r\nm: <sip:100@192.0.2.1>,\r\n\t<sip:x@y>\r\n"
        b"l: 0\r\n\r\n"
    )
    assert message.from_tag == "abc"
    assert message.call_id == "abc"
    assert message.contacts == ["<sip:100@192.0.2.1>", "<sip:x@y>"]
    assert message.request_uri == Address("+4412345", "example.net")


@pytest.mark.parametrize("before", [b"\r\n\r\n", b"\0\0", b"junk junk ", b"\xff" * 200 + b"\n"])
def test_junk_before_the_request(before: bytes) -> None:
    message = parsed(before + REGISTER)
    assert message.method == "REGISTER"
    assert bool(message.junk) == bool(before.strip(b"\r\n\0 "))


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"REGISTER", b"REGISTER sip:x HTTP/1.1\r\n",
     b"SIP/2.0 20 OK\r\n", b"SIP/2.0 900 No\r\n", b"x" * 2000 + REGISTER],
)  # fmt: skip
def test_what_is_not_sip(data: bytes) -> None:
    assert parse_message(data) is None


def test_a_head_without_its_end_is_still_read() -> None:
    message = parsed(REGISTER[:-60])
    assert message.from_ == Address("liviu", "opensips.org")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("sip:100@example.net", Address("100", "example.net")),
        ("<sips:a@[2001:db8::1]:5061>", Address("a", "[2001:db8::1]")),
        ('"<sip:evil@x>" <sip:good@y>', Address("good", "y")),
        ("sip:user:password@host", Address("user", "host")),
        ("sip:host.only;transport=tcp", Address("", "host.only")),
        ("tel:+4412345", None),
        ("", None),
    ],
)
def test_addresses(value: str, address: Address | None) -> None:
    assert parse_address(value) == address


@pytest.mark.parametrize(
    ("headers", "removes"),
    [
        (b"Contact: *\r\nExpires: 0\r\n", True),
        (b"Contact: <sip:a@b>;expires=0\r\n", True),
        (b"Contact: <sip:a@b>;expires=60\r\nExpires: 0\r\n", False),
        (b"Contact: <sip:a@b>;expires=3600, <sip:c@d>;expires=0\r\n", True),
        (b"Contact: <sip:a@b>\r\nExpires: 00\r\n", True),
        (b"Contact: <sip:a@b>\r\n", False),
        (b"Expires: 0\r\n", False),
    ],
)
def test_a_register_that_removes_a_binding(headers: bytes, removes: bool) -> None:
    message = parsed(b"REGISTER sip:x SIP/2.0\r\n" + headers + b"\r\n")
    assert message.removes_binding is removes


def test_streams() -> None:
    body = REGISTER.replace(b"Content-Length: 0\r\n\r\n", b"Content-Length: 5\r\n\r\nhello")
    whole = REGISTER + b"\r\n\r\n" + body + REGISTER
    for size in (1, 7, 100, 5000):
        stream, found = SipStream(), []
        for at in range(0, len(whole), size):
            found += stream.feed(whole[at : at + size])
        assert [message.method for message in found] == ["REGISTER"] * 3


def test_a_stream_with_a_lying_length_finds_the_next_message() -> None:
    liar = REGISTER.replace(b"Content-Length: 0", b"Content-Length: 9999")
    stream = SipStream()
    found = stream.feed(liar + b"\r\n" + REGISTER + REGISTER)
    assert len(found) == 3
    huge = REGISTER.replace(b"Content-Length: 0", b"Content-Length: 99999999")
    assert SipStream().feed(huge)


@given(st.binary(max_size=400), st.integers(0, len(REGISTER)), st.integers(0, 50))
@settings(max_examples=1500, deadline=None)
def test_hostile_bytes_never_raise(noise: bytes, at: int, cut: int) -> None:
    for data in (noise, REGISTER[:at] + noise + REGISTER[at + cut :], noise + REGISTER):
        message = parse_message(data)
        if message is None:
            continue
        for name in ("from_", "to", "request_uri", "contacts", "authorization", "challenge",
                     "cseq", "removes_binding", "from_tag", "to_tag", "call_id"):  # fmt: skip
            getattr(message, name)


@given(st.lists(st.one_of(st.binary(max_size=200), st.just(REGISTER)), max_size=30))
@settings(max_examples=300, deadline=None)
def test_hostile_streams_stay_bounded(parts: list[bytes]) -> None:
    stream = SipStream()
    for part in parts:
        stream.feed(part)
        assert len(stream._buffer) <= MAX_STREAM
    assert SipStream().feed(b"x" * (MAX_HEAD * 2)) == []
