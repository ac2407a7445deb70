"""SIP messages, as far as detection needs them: hostile input, read fast, never trusted.

A message is read line by line, and lines that were read before are known again: phones say
nearly the same in each of their messages. What cannot be understood is None, not an error: a
parse failure is never evidence by itself. Bounds: heads of at most 16 KiB, values of at most
1,024 characters, and what is remembered of lines. Where a message can be read in two ways, it is
read as SIP servers do: a header is only what stands at the beginning of a line of the head,
which ends with the first empty line.

RFC 3261: 7 (messages), 7.3.1 (folding, repeated fields), 7.3.3 (compact forms), 7.5 (leading
CRLFs), 20 (header fields).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from sdnblock.evidence.sip_values import (
    Address,
    Digest,
    branch_of,
    parse_address,
    parse_contacts,
    parse_digest,
    tag_of,
    without_tag,
)

MAX_HEAD: Final = 16384
MAX_VALUE: Final = 1024

_JUNK: Final = 512
"""Bytes before the first line that are looked through for it."""
_REPEATED: Final = 64
"""Repeated headers that are kept; the first of each name always is."""
_CHALLENGES: Final = 8
_FIRST: Final = 10_240
"""More than a first line has."""

_REST: Final = (
    rb"[ \t]++([^ \t\r\n]{1,8192}+)[ \t]++[Ss][Ii][Pp]/2\.0[ \t]*+\r?(?:\n|\Z)"
    rb"|[Ss][Ii][Pp]/2\.0[ \t]++([1-6][0-9][0-9])(?=[ \t\r\n]|\Z)[^\n]{0,1024}+(?:\n|\Z)"
)
_START = re.compile(rb"[\r\n\0 \t]*+(([A-Za-z0-9.!%%*_+`'~-]{1,32}+)%b)" % _REST)
"""All of it, method, URI, status. Methods in small letters are taken too, as Kamailio does."""
_AFTER_JUNK = re.compile(rb"(([A-Z][A-Za-z]{1,31}+)%b)" % _REST)
_LINE_AFTER_JUNK = re.compile(rb"\n%b" % _AFTER_JUNK.pattern)
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]++")
_USUAL: Final = (
    "Call-ID", "CSeq", "From", "To", "User-Agent", "Server", "Contact", "Expires",
    "Content-Length", "Authorization", "Proxy-Authorization", "WWW-Authenticate",
    "Proxy-Authenticate", "Via", "Session-Expires",
)  # fmt: skip
"""The headers that matter, as nearly everybody writes them."""
_COMPACT: Final = {
    "i": "call-id",
    "f": "from",
    "t": "to",
    "m": "contact",
    "l": "content-length",
    "v": "via",
    "x": "session-expires",
}
_KEYS: Final = {name.lower(): name.lower() for name in _USUAL} | _COMPACT
"""Their names in small letters."""
_NAMES: Final = _KEYS | {name: name.lower() for name in _USUAL}
"""The same, and as they are written most often."""
_SINGULAR: Final = frozenset(
    {"call-id", "via", "from", "authorization", "proxy-authorization", "www-authenticate",
     "proxy-authenticate"}
)  # fmt: skip
"""What is another in nearly every message, so that there is no use in remembering it."""

Line = tuple[str, str]
"""Name and value of a header; the name is empty for a line that does not matter."""
_KNOWN: Final = 8192
"""Lines that are remembered, and first lines."""
_KNOWN_LENGTH: Final = 256
_NOTHING: Final = ("", "")
_lines: Final[dict[str, Line]] = {}
_first_lines: Final[dict[bytes, tuple[str, str, int]]] = {}
"""Method, URI and status."""


@dataclass(slots=True, init=False)  # one of every packet: its __init__ is written out
class SipMessage:
    """One message. ``method`` is empty for a response, ``status`` 0 for a request."""

    method: str
    uri: str
    status: int
    fields: dict[str, str] = field(repr=False)
    """The first value of each header, by its full name in small letters."""
    repeated: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Name and value of those that came again."""
    junk: int = 0
    """Bytes before the first line, leading line ends not counted."""
    head: int = 0
    """Bytes of all before the body."""
    _credentials: list[Digest] | None = field(default=None, init=False, repr=False, compare=False)
    _challenges: list[Digest] | None = field(default=None, init=False, repr=False, compare=False)
    """Both once they were asked for."""

    def __init__(
        self, method: str, uri: str, status: int, fields: dict[str, str],
        repeated: tuple[tuple[str, str], ...] = (), junk: int = 0, head: int = 0,
    ) -> None:  # fmt: skip
        self.method = method
        self.uri = uri
        self.status = status
        self.fields = fields
        self.repeated = repeated
        self.junk = junk
        self.head = head
        self._credentials = None
        self._challenges = None

    def first(self, name: str) -> str:
        """A header's first value, empty if there is none."""
        return self.fields.get(name, "")

    def values(self, name: str) -> Sequence[str]:
        """A header's values, line by line."""
        value = self.fields.get(name)
        if value is None:
            return ()
        if not self.repeated:
            return (value,)
        return (value, *(again for key, again in self.repeated if key == name))

    @property
    def headers(self) -> dict[str, list[str]]:
        """All of them."""
        return {name: list(self.values(name)) for name in self.fields}

    @property
    def is_request(self) -> bool:
        """Whether it is a request."""
        return not self.status

    @property
    def call_id(self) -> str:
        """Call-ID."""
        return self.fields.get("call-id", "")

    @property
    def cseq(self) -> tuple[int, str]:
        """CSeq number and method; (-1, "") if there is none that can be read."""
        return _parse_cseq(self.fields.get("cseq", ""))

    @property
    def user_agent(self) -> str:
        """User-Agent."""
        return self.first("user-agent")

    @property
    def from_(self) -> Address | None:
        """The From URI."""
        return parse_address(_without_parameters(self.first("from")))

    @property
    def to(self) -> Address | None:
        """The To URI."""
        return parse_address(_without_parameters(self.first("to")))

    @property
    def request_uri(self) -> Address | None:
        """The Request-URI."""
        return parse_address(self.uri)

    @property
    def contacts(self) -> list[str]:
        """Contact values, split at commas outside of quotes and angle brackets."""
        return [part for value in self.values("contact") for part in parse_contacts(value)]

    @property
    def from_tag(self) -> str:
        """The From tag, empty if there is none."""
        return tag_of(self.first("from"))

    @property
    def to_tag(self) -> str:
        """The To tag: empty outside of a dialog."""
        return tag_of(self.first("to"))

    @property
    def branch(self) -> str:
        """The branch of the topmost Via, which a response repeats; empty if there is none."""
        return branch_of(self.first("via"))

    @property
    def transaction(self) -> tuple[str, tuple[int, str], str]:
        """Call-ID, CSeq and branch, by which a response is known to belong to its request."""
        fields = self.fields
        return (
            fields.get("call-id", ""),
            _parse_cseq(fields.get("cseq", "")),
            branch_of(fields.get("via", "")),
        )

    @property
    def content_length(self) -> int:
        """Bytes of the body, as announced; 0 if that cannot be read."""
        text = self.first("content-length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

    @property
    def has_credentials(self) -> bool:
        """Whether a request carries any, that can be read or not."""
        return "authorization" in self.fields or "proxy-authorization" in self.fields

    @property
    def authorization(self) -> Digest | None:
        """The first credential that a request carries, if any."""
        credentials = self.credentials
        return credentials[0] if credentials else None

    @property
    def credentials(self) -> list[Digest]:
        """Every credential that a request carries: one for each realm that asked."""
        found = self._credentials
        if found is None:
            found = self._credentials = self._read_credentials()
        return found

    @property
    def challenges(self) -> list[Digest]:
        """The first eight challenges of a response in WWW-Authenticate, and in
        Proxy-Authenticate: one for each realm or algorithm."""
        found = self._challenges
        if found is None:
            found = self._challenges = [
                digest
                for name in ("www-authenticate", "proxy-authenticate")
                if name in self.fields
                for value in self.values(name)[:_CHALLENGES]
                if (digest := parse_digest(value)) is not None
            ]
        return found

    def _read_credentials(self) -> list[Digest]:
        if not self.has_credentials:
            return []
        get = self.fields.get
        values: Sequence[str | None] = (get("authorization"), get("proxy-authorization"))
        if self.repeated:
            values = (*self.values("authorization"), *self.values("proxy-authorization"))
        return [digest for value in values if value and (digest := parse_digest(value)) is not None]

    @property
    def session_expires(self) -> int:
        """Seconds after which the session ends unless it is refreshed (RFC 4028); 0: for ever."""
        text = self.first("session-expires").partition(";")[0].strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


@lru_cache(maxsize=4096)
def _parse_cseq(value: str) -> tuple[int, str]:
    number, _, method = value.replace("\t", " ").partition(" ")
    if not number.isascii() or not number.isdigit() or len(number) > 10:
        return -1, ""
    return int(number), method.strip()


def _without_parameters(value: str) -> str:
    """A From or To without its tag: so it is the same in all requests of a phone."""
    if '"' in value:
        return without_tag(value)
    head, found, _ = value.partition(">")
    return head + found if found else value


def parse_message(data: bytes) -> SipMessage | None:
    """The message in a datagram; None if there is none."""
    begin = data.find(b"\n") + 1
    line = data[:begin]
    start = _first_lines.get(line)
    first = 0
    if start is None:
        found = _START.match(data) or _find_start(data)
        if found is None:
            return None
        first, begin = found.span(1)
        start = _read_start(found)
        if begin == len(line) <= _KNOWN_LENGTH and not first:
            if len(_first_lines) >= _KNOWN:
                _first_lines.clear()
            _first_lines[line] = start
    # The first empty line ends the head. Plain searches are twenty times as fast as patterns.
    limit = first + MAX_HEAD
    end = data.find(b"\n\r\n", begin - 1, limit)
    lf = data.find(b"\n\n", begin - 1, end + 1 if end >= 0 else limit)
    if lf >= 0:
        end, head_end = lf, lf + 2
    elif end >= 0:
        head_end = end + 3
    else:
        end = head_end = min(len(data), limit)
    fields: dict[str, str] = {}
    # (A slice must not end before it begins: mypyc 2.4 raises SystemError then.)
    repeated = _read_head(data[begin : max(begin, end)].decode("utf-8", "replace"), fields)
    junk = len(data[:first].strip(b"\r\n\0 \t")) if first else 0
    method, uri, status = start
    return SipMessage(method, uri, status, fields, repeated, junk, head_end)


def _read_start(found: re.Match[bytes]) -> tuple[str, str, int]:
    _, method, uri, status = found.groups()
    return (
        method.decode("ascii").upper() if method else "",
        uri[:MAX_VALUE].decode("utf-8", "replace") if uri else "",
        int(status) if status else 0,
    )


def _read_head(
    head: str, fields: dict[str, str], folded: bool = True
) -> tuple[tuple[str, str], ...]:
    """Reads headers into ``fields``; those that came again are returned. ``folded``: lines may
    continue on the next one."""
    repeated: tuple[tuple[str, str], ...] = ()
    for text in head.split("\n"):
        line = _lines.get(text)
        if line is None:
            name, colon, rest = text.partition(":")
            key = _NAMES.get(name)
            if key is None or not colon:
                if name.startswith((" ", "\t")):
                    if folded and "\n" + name in head:
                        fields.clear()
                        return _read_head(_FOLD.sub(" ", head), fields, folded=False)
                    continue
                small = name.rstrip(" \t")
                key = _KEYS.get(small.lower()) if colon and small.isascii() else None
                if key is None:
                    _remember(text, _NOTHING)
                    continue
            value = rest.lstrip(" \t").rstrip()
            if len(value) > MAX_VALUE or "\r" in value:
                value = value.partition("\r")[0][:MAX_VALUE].rstrip()
            # (A To with a tag is another in each dialog.)
            if key not in _SINGULAR and (key != "to" or ";tag=" not in value):
                _remember(text, (key, value))
        else:
            key, value = line
            if not key:
                continue
        if key not in fields:
            fields[key] = value
        elif len(repeated) < _REPEATED:
            repeated += ((key, value),)
    return repeated


def _remember(text: str, line: Line) -> None:
    if len(text) <= _KNOWN_LENGTH:
        if len(_lines) >= _KNOWN:
            _lines.clear()
        _lines[text] = line


def _find_start(data: bytes) -> re.Match[bytes] | None:
    """A first line behind junk: on the line that begins with the junk, or on one of the next,
    but behind no empty line."""
    at = len(data) - len(data.lstrip(b"\r\n\0 \t"))
    stop = at + _JUNK + _FIRST
    empty = _EMPTY_LINE.search(data, at, at + _JUNK)
    if empty is not None:
        stop = empty.start() + 1
    line_end = data.find(b"\n", at, stop)
    found = _AFTER_JUNK.search(data, at, line_end + 1 if line_end >= 0 else stop)
    if found is None:
        found = _LINE_AFTER_JUNK.search(data, at, stop)
    return found if found is not None and found.start() - at <= _JUNK else None
