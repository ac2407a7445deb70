"""Kamailio's events: what its configuration writes into Redis of each request that it sees.

One event is a hash ``event:<Call-ID>`` with ``@timestamp sourceip toip method from to dialled
ua short_ua node``, each as Kamailio prints it, quotes escaped with a backslash
(``{s.escape.common}``), ``<null>`` for what is not there, and ``dialled`` in apostrophes. It
says less than the request did, and nothing that cannot be forged: a request whose words hold
spaces can set any field of its own event, the source too.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Final

from sdnblock.block import UDP
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.sip import MAX_VALUE, SipMessage

FIELDS: Final = (
    "@timestamp", "sourceip", "toip", "method", "from", "to", "dialled", "ua", "short_ua", "node",
)  # fmt: skip
"""In the order in which :func:`read_event` takes them."""
TIMESTAMP: Final = 0
SOURCE: Final = 1

_LATE: Final = 60.0
_PRESENT: Final = 2.0
"""An event that is younger happened now."""
_ESCAPED = re.compile(r"\\(['\"\\0])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_METHOD = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,32}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?", re.ASCII)
_MAPPED: Final = bytes(10) + b"\xff\xff"


class EventError(Exception):
    """An event that cannot be used; the text is one of a few reasons."""


def read_event(call_id: bytes, values: Sequence[bytes | None], now: float) -> SipSeen:
    """The request that an event tells of; ``values`` as FIELDS. Raises EventError.

    It is not ``whole``: Via, CSeq, tags, ports and transport are not known.
    """
    texts = [_text(value) for value in values]
    _, _, to_text, method, from_, to, dialled, agent, short, node = texts
    source = event_source(values[SOURCE])
    second = event_second(values[TIMESTAMP], now)
    destination = _address(to_text) or b""
    if not _METHOD.fullmatch(method):
        raise EventError("it has no method")
    headers = {"call-id": _text(call_id)}
    for name, value in (("from", _uri(from_)), ("to", _uri(to)), ("user-agent", agent or short)):
        if value:
            headers[name] = value
    uri = to or (f"sip:{dialled.strip(_QUOTE)}" if dialled.strip(_QUOTE) else "")
    return SipSeen(
        now if now - second <= _PRESENT else second, UDP, source, 0,
        destination if len(destination) == len(source) else bytes(len(source)), 0,
        SipMessage(method.upper(), uri, 0, headers), f"Kamailio {node or 'events'}"[:80],
        sampled=True, whole=False,
    )  # fmt: skip


def event_source(value: bytes | None) -> bytes:
    """Who sent the request, packed. Raises EventError."""
    source = _address(_text(value))
    if source is None:
        raise EventError("it has no source address")
    unicast = 0 < source[0] < 224 if len(source) == 4 else any(source) and source[0] != 0xFF
    if not unicast:
        raise EventError("its address is nobody's")
    return source


def event_second(value: bytes | None, now: float) -> float:
    """When it happened, in Unix seconds, most often whole ones ($TS); ``now`` if it does not
    say. Raises EventError for a time that is far off."""
    stamp = _text(value)
    if not _SECONDS.fullmatch(stamp):
        return now
    if abs(now - float(stamp)) > _LATE:
        raise EventError("its time is far from ours: set the clocks")
    return float(stamp)


_QUOTE: Final = "'"


def _text(value: bytes | None) -> str:
    """A value in one line, unescaped; empty if it is not there."""
    if value is None or value == b"<null>":
        return ""
    text = value[:MAX_VALUE].decode("utf-8", "replace")
    if "\\" in text:
        text = _ESCAPED.sub(lambda found: "" if found[1] == "0" else found[1], text)
    return _CONTROL.sub(" ", text).strip()


def _uri(text: str) -> str:
    """A URI as a From or To has it."""
    return f"<{text}>" if text and ">" not in text and "<" not in text else text


def _address(text: str) -> bytes | None:
    text = text.removeprefix("[").removesuffix("]")
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed
