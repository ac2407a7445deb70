"""SIP over TCP: messages out of pieces, as a server reads them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.evidence.sip import MAX_HEAD, SipMessage
from sdnblock.evidence.sip_stream import MAX_BODY, SipStream
from tests.test_sip import REGISTER


def fed(data: bytes, size: int) -> list[SipMessage]:
    """What a stream tells of ``data`` in pieces of ``size`` bytes."""
    stream, found = SipStream(), []
    for at in range(0, len(data), size):
        found += stream.feed(data[at : at + size])
        assert stream.kept <= MAX_HEAD
    return found


def with_body(body: bytes, length: int | None = None) -> bytes:
    announced = len(body) if length is None else length
    return REGISTER.replace(b"Length: 0\r\n\r\n", b"Length: %d\r\n\r\n" % announced) + body


SIZES = (1, 2, 3, 7, 100, 1460, 100_000)


@pytest.mark.parametrize("size", SIZES)
def test_several_in_a_piece_and_one_in_several(size: int) -> None:
    whole = REGISTER + b"\r\n\r\n" + with_body(b"hello") + REGISTER + b"\0\r\n" + REGISTER
    assert [message.method for message in fed(whole, size)] == ["REGISTER"] * 4


@pytest.mark.parametrize("size", SIZES)
def test_what_stands_in_a_body_is_no_message(size: int) -> None:
    """A sipfrag (RFC 3420), or the trace of a scanner that somebody sends in a MESSAGE."""
    evil = b"OPTIONS sip:x SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n"
    whole = with_body(b"SIP/2.0 404 Not Found\r\n") + with_body(b"see:\r\n\r\n" + evil) + REGISTER
    found = fed(whole, size)
    assert [message.method for message in found] == ["REGISTER"] * 3
    assert {message.user_agent for message in found} == {"Linksys/SPA941-5.1.8"}


@pytest.mark.parametrize("size", SIZES)
def test_a_length_that_is_too_short_loses_only_the_rest_of_the_body(size: int) -> None:
    found = fed(with_body(b"v=0\r\no=x\r\n\r\n", 2) + REGISTER + REGISTER, size)
    assert len(found) == 3


@pytest.mark.parametrize("length", [b"99999999", b"999999999999", b"-1", b"x", b"", b"5 5"])
@pytest.mark.parametrize("size", SIZES)
def test_a_length_that_cannot_be_makes_nobody_deaf_for_long(length: bytes, size: int) -> None:
    liar = REGISTER.replace(b"Content-Length: 0", b"Content-Length: " + length)
    found = fed(liar + b"\r\n" + REGISTER * (MAX_BODY // len(REGISTER) + 3), size)
    assert 3 <= len(found) <= MAX_BODY // len(REGISTER) + 4


@pytest.mark.parametrize("size", SIZES)
def test_a_head_without_end_is_told_once_and_its_rest_passed_over(size: int) -> None:
    endless = REGISTER.removesuffix(b"\r\n") + b"X: y\r\n" * 20_000
    found = fed(endless + b"\r\n" + REGISTER, size)
    assert [message.call_id for message in found] == ["50f84600@192.0.2.31"] * 2
    assert fed(b"x" * (MAX_HEAD * 2), size) == []


PIECE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [REGISTER, with_body(b"a\r\n\r\nb"), b"\r\n", b"\n", b"\r", b"\n\r\n", REGISTER[:-2],
         b"SIP/2.0 200 OK\r\n", b"x" * MAX_HEAD, b"l: 7\r\n"]
    ),
)  # fmt: skip


@given(st.lists(PIECE, max_size=12), st.lists(st.integers(0, 700), max_size=20))
@settings(max_examples=400, deadline=None)
def test_how_it_is_cut_makes_no_difference(parts: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(parts)
    stream, pieces, at = SipStream(), [], 0
    for cut in cuts:
        pieces += stream.feed(whole[at : at + cut])
        at += cut
    pieces += stream.feed(whole[at:])
    assert pieces == SipStream().feed(whole)
    assert stream.kept <= MAX_HEAD


@pytest.mark.parametrize("text", [b"\n\n", b"a\n\n", b"\r\n\r", b"x", b" ", b"a b SIP/2.0\n\n"])
@pytest.mark.parametrize("size", [1, 65536])
def test_hostile_streams_take_no_time(text: bytes, size: int) -> None:
    data = text * (65536 // len(text))
    began = time.process_time()
    fed(data, size)
    assert time.process_time() - began < 1.5
