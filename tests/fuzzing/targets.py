"""What must hold for any bytes: one function for each parser. They raise AssertionError.

Coverage-guided fuzzing (``make fuzz-parsers``) looks for bytes for which it does not hold;
what it has found is kept in ``tests/corpus`` and tried in every ``make test``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sdnblock.block import Flow, parse_target
from sdnblock.evidence.capture import CaptureError, read_frames
from sdnblock.evidence.frames import LINK_TYPES, decode
from sdnblock.evidence.hep import MAX_INFLATED, MAX_PACKET, HepError, HepStream, parse_hep
from sdnblock.evidence.hep_intake import HepIntake
from sdnblock.evidence.kamailio import FIELDS, EventError, read_event
from sdnblock.evidence.senders import HepSettings
from sdnblock.evidence.sip import MAX_HEAD, MAX_VALUE, SipMessage, parse_message
from sdnblock.evidence.sip_stream import SipStream
from tests.hep_kit import again

_HERE: Final = bytes((127, 0, 0, 1))
_TRUTH: Final = b"From: <sip:evil@x>\r\nCall-ID: evil\r\n\r\n"


def sip(data: bytes) -> None:
    """A datagram: bounded, the same when written again, deaf to what follows its head."""
    message = parse_message(data)
    if message is None:
        return
    _bounded(message, len(data))
    # Nothing in a value reaches beyond its line.
    first = f"SIP/2.0 {message.status} x" if message.status else ""
    first = first or f"{message.method} {message.uri} SIP/2.0"
    lines = [f"{name}: {value}" for name, values in message.headers.items() for value in values]
    text = "\r\n".join((first, *lines, "", "")).encode("utf-8", "surrogateescape")
    if len(text) <= MAX_HEAD:
        again = parse_message(text)
        assert again is not None
        assert (again.method, again.status) == (message.method, message.status)
        assert again.uri == message.uri or len(message.uri.encode()) > MAX_VALUE
        assert again.headers == message.headers
    if data[: message.head].endswith((b"\n\n", b"\n\r\n")):
        longer = parse_message(data[: message.head] + _TRUTH)
        assert longer is not None
        assert longer.headers == message.headers


def sip_stream(data: bytes) -> None:
    """A stream: the same messages however it is cut, little kept, and no more than it held."""
    cuts, whole = data[:8], data[8:]
    stream, found = SipStream(), []
    for piece in _pieces(cuts, whole):
        found += stream.feed(piece)
        assert stream.kept <= MAX_HEAD
    assert found == SipStream().feed(whole)
    assert sum(message.head for message in found) <= len(whole)
    for message in found:
        _bounded(message, MAX_HEAD)


def hep(data: bytes) -> None:
    """A datagram: bounded, and the same when written again."""
    try:
        packet = parse_hep(data)
    except HepError:
        return
    assert len(packet.source) == len(packet.destination)
    assert len(packet.source) in (4, 16)
    assert len(packet.payload) + len(packet.key) + len(packet.node) <= len(data)
    assert packet.protocol in (0, 6, 17)
    made = again(packet)
    if len(made) <= MAX_PACKET:
        assert parse_hep(made) == packet
    try:
        content = packet.content()
    except HepError:
        return
    assert len(content) <= MAX_INFLATED
    sip(content)
    intake = HepIntake(HepSettings(), None)
    seen = intake.take(_HERE, data, packet.time or 0.0)
    counted = intake.tally.refused.total() + intake.tally.ignored.total()
    assert (seen is None) == (counted == 1) != (intake.tally.judged == 1)
    if seen is not None and seen.message.is_request:
        flow = Flow(
            seen.protocol, seen.source, seen.source_port, seen.destination, seen.destination_port
        )
        assert parse_target(str(flow)) == flow


def hep_stream(data: bytes) -> None:
    """A stream: the same packets however it is cut, and little kept."""
    cuts, whole = data[:8], data[8:]
    stream, broken = HepStream(), False
    found: list[bytes] = []
    for piece in _pieces(cuts, whole):
        try:
            found += stream.feed(piece)
        except HepError:
            broken = True
        assert stream.kept < MAX_PACKET
    expected, stream = [], HepStream()
    try:
        for packet in stream.feed(whole):
            expected.append(packet)
    except HepError:
        assert broken
    else:
        assert not broken
    assert found[: len(expected)] == expected
    assert sum(map(len, expected)) <= len(whole)


def frames(data: bytes) -> None:
    """A frame of any link type: what is found is in it."""
    for link_type in LINK_TYPES:
        segment = decode(link_type, data)
        if segment is None:
            continue
        assert len(segment.source) == len(segment.destination)
        assert len(segment.source) in (4, 16)
        assert segment.payload in data
        assert segment.protocol in (6, 17)
        assert max(segment.source_port, segment.destination_port) < 65536


def captures(data: bytes) -> None:
    """A capture: an error of ours or frames, no more than the file held."""
    size = 0
    try:
        for time, link_type, frame in read_frames(io.BytesIO(data), Path("x.pcap")):
            size += len(frame) + 4
            assert 0 <= time < 2**95
            assert link_type in LINK_TYPES
    except CaptureError as error:
        assert str(error).startswith("x.pcap")
        assert "\n" not in str(error)
    assert size <= len(data)


def event(data: bytes) -> None:
    """One of Kamailio's events, a field a line: bounded, of one family, in one line each."""
    call_id, *values = data.split(b"\n", len(FIELDS))
    padded: list[bytes | None] = [value or None for value in values]
    padded += [None] * (len(FIELDS) - len(padded))
    try:
        seen = read_event(call_id, padded, 1_700_000_000.5)
    except EventError as error:
        assert str(error).isascii()
        return
    assert len(seen.source) == len(seen.destination)
    assert len(seen.source) in (4, 16)
    assert any(seen.source)
    assert abs(seen.time - 1_700_000_000.5) <= 61
    assert (seen.whole, seen.established, seen.inbound) == (False, False, None)
    assert len(seen.via) <= 80
    texts = [text for each in seen.message.headers.values() for text in each]
    texts += [seen.message.uri, seen.via, seen.message.method]
    assert all(len(text) <= MAX_VALUE + 2 for text in texts)
    assert not any(ord(letter) < 32 for text in texts for letter in text)
    _bounded(seen.message, len(data) + 64)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each for each in (sip, sip_stream, hep, hep_stream, event, frames, captures)
}


def _bounded(message: SipMessage, size: int) -> None:
    """Looks at everything that a detector may ask for."""
    assert 0 <= message.junk <= message.head <= min(size, MAX_HEAD + 2048)
    assert bool(message.method) != bool(message.status)
    values = [value for each in message.headers.values() for value in each]
    assert all(len(value) <= MAX_VALUE + 2 for value in values)
    assert not any("\r" in value or "\n" in value for value in values)
    assert sum(map(len, values)) <= size
    texts = [message.call_id, message.user_agent, message.from_tag, message.to_tag, message.branch]
    texts += [text for each in (message.from_, message.to, message.request_uri) if each
              for text in (each.user, each.host)]  # fmt: skip
    for digest in (*message.credentials, message.authorization):
        texts += [] if digest is None else [digest.scheme, *digest.parameters.values()]
    assert all(len(text) <= MAX_VALUE + 2 for text in texts)
    assert -1 <= message.cseq[0] < 10**10
    assert 0 <= message.content_length < 10**10
    assert message.session_expires >= 0
    assert sum(map(len, message.contacts)) <= sum(map(len, values))


def _pieces(cuts: bytes, whole: bytes) -> Iterator[bytes]:
    """``whole`` in pieces whose sizes ``cuts`` says, the last of them again and again."""
    at, number = 0, 0
    while at < len(whole):
        cut = cuts[min(number, len(cuts) - 1)] if cuts else 1
        size = cut + 1 if cut < 128 else (cut - 127) * 64
        yield whole[at : at + size]
        at, number = at + size, number + 1
