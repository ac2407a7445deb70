"""The SIP parser: what phones send, what attackers send, and what nobody should."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.block import UDP
from sdnblock.detect import unregister
from sdnblock.detect.asked import Asked
from sdnblock.evidence import sip, sip_values
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.sip import SipMessage, parse_message
from sdnblock.evidence.sip_values import (
    Address,
    parse_address,
    parse_contacts,
    parse_digest,
    tag_of,
)
from tests.sip_reference import read_head

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
    assert message.junk == 0


def test_a_challenge() -> None:
    message = parsed(
        b"SIP/2.0 401 Unauthorized\r\nTo: <sip:a@b>;tag=x\r\n"
        b'WWW-Authenticate: Digest realm="r", nonce="n", stale=true, qop="auth"\r\n\r\n'
    )
    assert (message.status, message.is_request, message.to_tag) == (401, False, "x")
    challenge = parse_digest(message.first("www-authenticate"))
    assert challenge is not None
    assert challenge.get("stale") == "true"


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


@pytest.mark.parametrize(
    "before",
    [b"\r\n\r\n", b"\0\0", b" \t", b"junk junk ", b"\xff" * 200 + b"\n", b"a: b\r\nc: d\r\n"],
)
def test_junk_before_the_request(before: bytes) -> None:
    message = parsed(before + REGISTER)
    assert message.method == "REGISTER"
    assert message.junk == len(before.strip(b"\r\n\0 \t") and before.rstrip(b"\r\n\0 \t"))
    assert message.headers == parsed(REGISTER).headers


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"REGISTER", b"REGISTER sip:x HTTP/1.1\r\n",
     b"SIP/2.0 20 OK\r\n", b"SIP/2.0 900 No\r\n", b"x" * 2000 + REGISTER,
     b"junk\r\n\r\n" + REGISTER, b"REGISTER sip:a b SIP/2.0\r\nX: SIP/2.0 200 OK\r\n\r\n",
     b"NOTIFY sip:a b SIP/2.0\r\nFrom: <sip:a@b>\r\n\r\nSIP/2.0 404 Not Found\r\n"],
)  # fmt: skip
def test_what_is_not_sip(data: bytes) -> None:
    assert parse_message(data) is None


@pytest.mark.parametrize(
    ("line", "method", "uri", "status"),
    [
        (b"register sip:x sip/2.0\r\n", "REGISTER", "sip:x", 0),  # Kamailio takes it
        (b"REGISTER\tsip:x \t SIP/2.0 \r\n", "REGISTER", "sip:x", 0),
        (b"X-ODD.1 sip:x SIP/2.0\n", "X-ODD.1", "sip:x", 0),
        (b"INVITE sip:" + b"9" * 5000 + b"@x SIP/2.0\r\n", "INVITE", "sip:" + "9" * 1020, 0),
        (b"sip/2.0 200 OK\r\n", "", "", 200),
        (b"SIP/2.0 404\r\n", "", "", 404),
        (b"SIP/2.0 486 Busy\rHere " + b"x" * 900 + b"\r\n", "", "", 486),
    ],
)
def test_first_lines_that_servers_take(line: bytes, method: str, uri: str, status: int) -> None:
    message = parsed(line + b"User-Agent: sipcli\r\n\r\n")
    assert (message.method, message.uri, message.status) == (method, uri, status)
    assert message.user_agent == "sipcli"


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize("line", [b"\r\n", b"\n"])
def test_what_stands_in_the_body_is_no_header(line: bytes, end: bytes) -> None:
    head = b"MESSAGE sip:a@b SIP/2.0" + line + b"From: <sip:good@x>"
    body = b"User-Agent: friendly-scanner\r\nFrom: <sip:evil@x>\r\n\r\nCall-ID: x\r\n\r\n"
    message = parsed(head + end + body)
    assert message.headers == {"from": ["<sip:good@x>"]}
    assert message.head == len(head + end)


def test_a_head_of_nothing_has_no_headers() -> None:
    assert parsed(b"OPTIONS sip:x SIP/2.0\r\n\r\nUser-Agent: sipcli\r\n\r\n").headers == {}


def test_a_bare_carriage_return_begins_no_header() -> None:
    message = parsed(b"OPTIONS sip:x SIP/2.0\r\nSubject: a\rUser-Agent: sipcli\r\nTo: x\ry\r\n\r\n")
    assert message.headers == {"to": ["x"]}


def test_a_header_in_a_folded_line_is_none() -> None:
    message = parsed(
        b"OPTIONS sip:x SIP/2.0\r\nSubject: a\r\n User-Agent: sipcli\r\n\tTo: x\r\n\r\n"
    )
    assert message.headers == {}
    blank = parsed(b"OPTIONS sip:x SIP/2.0\r\nSubject: a\r\n \r\nUser-Agent: sipcli\r\n\r\n")
    assert blank.user_agent == "sipcli"


def test_every_credential() -> None:
    message = parsed(
        b'INVITE sip:x SIP/2.0\r\nProxy-Authorization: Digest nonce="a"\r\nAuthorization: \r\n'
        b'Proxy-Authorization: Digest\tnonce="b"\r\nCSeq: 7\tINVITE\r\n\r\n'
    )
    assert [each.get("nonce") for each in message.credentials] == ["a", "b"]
    assert message.authorization == message.credentials[0]
    assert message.cseq == (7, "INVITE")


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
        ("tel:+44;phone-context=sip:evil@x", None),
        ("<sip:+44;phone-context=x@host;user=phone>", Address("+44", "host")),
        ("Bob <sip:good@y>;p=<sip:evil@x>", Address("good", "y")),
        ('<sip:good@y>;p="<sip:evil@x>"', Address("good", "y")),
        ('"a\\" <sip:evil@x>" <sip:good@y>', Address("good", "y")),
        ('"a" b "<sip:evil@x>" <sip:good@y>', Address("good", "y")),
        ('"never closed <sip:evil@x>', None),
        ("sip:good@y;p=<sip:evil@x>", Address("good", "y")),
        ("sip:" + "u" * 300 + "@y", Address("u" * 300, "y")),
        ("sip:a@b@c", None),
        ("", None),
    ],
)
def test_addresses(value: str, address: Address | None) -> None:
    assert parse_address(value) == address


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("<sip:a@b>;tag=x", "x"),
        ("sip:a@b ; tag = x;y=z", "x"),
        ("<sip:a@b;tag=evil>", ""),
        ('"a>;tag=evil" <sip:a@b>;p=";tag=evil";tag=x', "x"),
        ("<sip:a@b>;xtag=evil;TAG=x", "x"),
    ],
)
def test_tags(value: str, tag: str) -> None:
    assert tag_of(value) == tag


def test_contacts_are_split_outside_of_quotes_and_brackets() -> None:
    value = '"a, \\"b" <sip:a@b?x=1,2>;q=1, <sip:c@d> ,*, "open, <sip:e@f>'
    assert parse_contacts(value) == [
        *('"a, \\"b" <sip:a@b?x=1,2>;q=1', "<sip:c@d>", "*", '"open, <sip:e@f>')
    ]


@pytest.mark.parametrize(
    ("value", "nonce"),
    [
        ('Digest username="a", nonce="good", nonce="evil"', "good"),
        ('Digest username="a\\", nonce=\\"evil", nonce="good"', "good"),
        ('Digest username="never closed, nonce="evil"', ""),
        ("Digest ,, nonce = good ,x", "good"),
        ("Digest x, nonce=evil", ""),
    ],
)
def test_what_stands_in_quotes_is_no_parameter(value: str, nonce: str) -> None:
    digest = parse_digest(value)
    assert digest is not None
    assert digest.get("nonce") == nonce


_PIECES = (
    'nonce="a b,c"', "qop=auth", "nc=00000001", 'realm=""', "stale=", "uri=a", 'x="y"', "NONCE=b",
    ", ", ",", " ", "\t", "=", '"', "\\", '\\"', "ü", "opaque", "=MD5", "-sess", "\x1f",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_usual_parameters_are_read_as_the_pattern_reads_them(text: str) -> None:
    usual = sip_values._usual_parameters(text)
    found: dict[str, str] = {}
    for name, quoted, plain in sip_values._CREDENTIALS.findall(text):
        if name:
            found.setdefault(name.lower(), quoted or plain)
    assert usual is None or usual == found


def test_what_phones_send_is_usual() -> None:
    for text in ('realm="a", nonce="b", qop="auth"', 'nonce="b",nc=00000001,uri="sip:x=y"', ""):
        assert sip_values._usual_parameters(text) is not None


@pytest.mark.parametrize(
    "piece", ['"', '\\"', '"\\', ",", ";", "<", ";a=", 'a="', "sip:;@", "(", "\t", "=", ": "]
)
def test_hostile_values_take_no_time(piece: str) -> None:
    """Sixteen thousand characters in all, as a head may hold."""
    value = (piece * 1024)[:1024]
    began = time.process_time()
    for _ in range(16):
        parse_address(value)
        parse_contacts(value)
        parse_digest("Digest " + value)
        tag_of(value)
        parse_message(value.encode() * 16)
        parse_message(b"OPTIONS " + value.encode() * 16)
        parse_message(b"OPTIONS sip:x SIP/2.0\r\nf" + value.encode() * 16)
    assert time.process_time() - began < 1.0


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
        (b"Contact: <sip:a@b;expires=0>\r\n", False),
        (b'Contact: "x;expires=0" <sip:a@b>;expires="60"\r\n', False),
    ],
)
def test_a_register_that_removes_a_binding(headers: bytes, removes: bool) -> None:
    message = parsed(b"REGISTER sip:x SIP/2.0\r\n" + headers + b"\r\n")
    event = SipSeen(0.0, UDP, bytes(4), 5060, bytes(4), 5060, message, "test")
    assert unregister.removes(Asked(event, None, ())) is removes


@given(st.binary(max_size=400), st.integers(0, len(REGISTER)), st.integers(0, 50))
@settings(max_examples=1500, deadline=None)
def test_hostile_bytes_never_raise(noise: bytes, at: int, cut: int) -> None:
    for data in (noise, REGISTER[:at] + noise + REGISTER[at + cut :], noise + REGISTER):
        message = parse_message(data)
        if message is None:
            continue
        for name in ("from_", "to", "request_uri", "contacts", "authorization",
                     "credentials", "cseq", "from_tag", "to_tag", "call_id",
                     "branch", "content_length"):  # fmt: skip
            getattr(message, name)


_ODD = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b" ", b"\t", b":", b"\xe2\x82", b"\xff", b"\0",
     b"\xc2\xa0", b"\x0b", b"\x85", b"\xc4\xb0", b"\xe2\x80\xa8", b"Via", b"\nVia:", b"\nvia :",
     b"\n Via: x", b"\n\tTo: y", b"CALL-ID: ", b"i:", b"\nT:", b"x" * 1030, b" " * 1030,
     b"\nAllow: INVITE\r", b"\r\nContact : <sip:a@b>\r\n ;expires=0", b"\r\nTo: <sip:x@y>;tag=1"]
)  # fmt: skip
_LINES = st.sampled_from(REGISTER.splitlines(keepends=True)[1:-1])
_HEADS = st.lists(st.one_of(_LINES, _LINES, _ODD, st.binary(max_size=8)), max_size=24).map(b"".join)


@given(_HEADS, st.integers(1, 24))
@settings(max_examples=1500, deadline=None)
def test_a_head_is_read_as_by_the_plainest_reader(head: bytes, times: int) -> None:
    """Whatever was read before, and however long it is."""
    head *= times
    line = b"OPTIONS sip:x SIP/2.0\r\n"
    for _ in range(2):
        message = parsed(line + head)
        fields, repeated, size = read_head(line + head, len(line))
        assert list(message.fields.items()) == list(fields.items())
        assert message.repeated == repeated
        assert message.head == size


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=40))
@settings(max_examples=50, deadline=None)
def test_what_is_remembered_of_lines_is_bounded(lines: list[bytes]) -> None:
    for number, line in enumerate(lines):
        for again in range(300):
            parse_message(
                b"OPTIONS sip:%d SIP/2.0\r\nTo: %b%d%d\r\n%b\r\n\r\n"
                % (again, line, number, again, line)
            )
    assert max(len(sip._lines), len(sip._first_lines)) <= 8192
