"""SIP messages, as far as detection needs them: hostile input, read fast, never trusted.

One regular expression finds the headers that matter; the rest is skipped. What cannot be
understood is None, not an error: a parse failure is never evidence by itself. Bounds: heads
of at most 16 KiB, values of at most 1,024 bytes.

RFC 3261: 7 (messages), 7.3.1 (folding, repeated fields), 7.3.3 (compact forms), 7.5 (leading
CRLFs), 18.3 (Content-Length over streams), 20 (header fields); RFC 8760 and 2617/7616 (digest).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

MAX_HEAD: Final = 16384
MAX_VALUE: Final = 1024
MAX_STREAM: Final = 65536
"""Bytes of a TCP stream that wait for the rest of their message."""

_JUNK: Final = 512
"""Bytes before the first line that are looked through for it."""

_START = re.compile(
    rb"([A-Z][A-Za-z]{1,31}) +([^\s]{1,512}) +SIP/2\.0[ \t]*\r?(?:\n|\Z)"
    rb"|SIP/2\.0 +([1-6][0-9][0-9])(?=[ \r\n]|\Z)[^\r\n]{0,256}\r?(?:\n|\Z)"
)
_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_HEADER = re.compile(
    r"^(call-id|i|cseq|from|f|to|t|user-agent|server|contact|m|expires|content-length|l"
    r"|authorization|proxy-authorization|www-authenticate|proxy-authenticate|via|v"
    r"|session-expires|x)"
    r"[ \t]*:[ \t]*([^\r\n]{0,1024})",
    re.IGNORECASE | re.MULTILINE | re.ASCII,
)
_FULL: Final = {
    "i": "call-id",
    "f": "from",
    "t": "to",
    "m": "contact",
    "l": "content-length",
    "v": "via",
    "x": "session-expires",
}
_USUAL: Final = {
    name: name.lower()
    for name in (
        "Call-ID", "CSeq", "From", "To", "User-Agent", "Server", "Contact", "Expires",
        "Content-Length", "Authorization", "Proxy-Authorization", "WWW-Authenticate",
        "Proxy-Authenticate", "Via", "Session-Expires",
    )
}  # fmt: skip
"""As nearly everybody writes them: saves two calls a header."""

_URI = re.compile(
    r"sips?:(?:([^@>;\s:]{0,256})(?::[^@>;\s]{0,256})?@)?(\[[0-9a-fA-F:.]{2,45}\]|[^:;>?,\s]{1,255})",
    re.IGNORECASE,
)
_BRANCH = re.compile(r";[ \t]*branch[ \t]*=[ \t]*([^;,\s]{1,256})", re.IGNORECASE)
_TAG = re.compile(r";[ \t]*tag[ \t]*=[ \t]*([^;>,\s]{1,256})", re.IGNORECASE)
_EXPIRES = re.compile(r";[ \t]*expires[ \t]*=[ \t]*\"?([0-9]{1,10})", re.IGNORECASE)
_PARAMETER = re.compile(
    r"([A-Za-z0-9_-]{1,32})[ \t]*=[ \t]*(?:\"([^\"]{0,512})\"|([^,\s\"]{1,512}))"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A URI in a header: user and host in lower case where case does not matter."""

    user: str
    host: str


@dataclass(frozen=True, slots=True)
class Digest:
    """An Authorization or a challenge: scheme and parameters by lower-case name."""

    scheme: str
    parameters: dict[str, str]

    def get(self, name: str) -> str:
        """A parameter, empty if it is not there."""
        return self.parameters.get(name, "")


@dataclass(frozen=True)
class SipMessage:
    """One message. ``method`` is empty for a response, ``status`` 0 for a request."""

    method: str
    uri: str
    status: int
    headers: dict[str, list[str]] = field(repr=False)
    junk: int = 0
    """Bytes before the first line, leading line ends not counted."""
    size: int = 0
    """Bytes of the message, head and body."""

    def first(self, name: str) -> str:
        """A header's first value, empty if there is none."""
        values = self.headers.get(name)
        return values[0] if values else ""

    @property
    def is_request(self) -> bool:
        """Whether it is a request."""
        return not self.status

    @property
    def call_id(self) -> str:
        """Call-ID."""
        return self.first("call-id")

    @cached_property
    def cseq(self) -> tuple[int, str]:
        """CSeq number and method; (-1, "") if there is none that can be read."""
        number, _, method = self.first("cseq").partition(" ")
        if not number.isascii() or not number.isdigit() or len(number) > 10:
            return -1, ""
        return int(number), method.strip()

    @property
    def user_agent(self) -> str:
        """User-Agent."""
        return self.first("user-agent")

    @cached_property
    def from_(self) -> Address | None:
        """The From URI."""
        return parse_address(self.first("from"))

    @cached_property
    def to(self) -> Address | None:
        """The To URI."""
        return parse_address(self.first("to"))

    @cached_property
    def request_uri(self) -> Address | None:
        """The Request-URI."""
        return parse_address(self.uri)

    @cached_property
    def contacts(self) -> list[str]:
        """Contact values, split at commas outside of quotes and angle brackets."""
        return [part for value in self.headers.get("contact", ()) for part in parse_contacts(value)]

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
        found = _BRANCH.search(self.first("via"))
        return found[1] if found else ""

    @cached_property
    def authorization(self) -> Digest | None:
        """The credential that a request carries, if any."""
        return parse_digest(self.first("authorization") or self.first("proxy-authorization"))

    @cached_property
    def challenge(self) -> Digest | None:
        """The challenge that a response carries, if any."""
        return parse_digest(self.first("www-authenticate") or self.first("proxy-authenticate"))

    @property
    def session_expires(self) -> int:
        """Seconds after which the session ends unless it is refreshed (RFC 4028); 0: for ever."""
        text = self.first("session-expires").partition(";")[0].strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0

    @cached_property
    def removes_binding(self) -> bool:
        """Whether a REGISTER takes bindings away (RFC 3261, 10.2.2)."""
        if self.method != "REGISTER" or not self.contacts:
            return False
        default = self.first("expires").strip()
        for contact in self.contacts:
            own = _EXPIRES.search(contact)
            if (own[1] if own else default).lstrip("0") == "" and (own or default):
                return True
        return False


def parse_message(data: bytes) -> SipMessage | None:
    """The message in a datagram; None if there is none."""
    found = _parse(data)
    return None if found is None else found[0]


class SipStream:
    """Messages out of a TCP stream: several in a segment, or one in several.

    A Content-Length that is wrong cannot lead it astray for long: where the next message
    does not begin as announced, it looks for the next first line.
    """

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[SipMessage]:
        """Messages that are complete with ``data``."""
        self._buffer += data
        messages = []
        while self._buffer:
            stripped = self._buffer.lstrip(b"\r\n\0")
            end = _END.search(stripped, 0, MAX_HEAD)
            if end is None:
                self._buffer = stripped if len(stripped) < MAX_HEAD else b""
                break
            start = _START.search(stripped, 0, end.end())
            if start is None:  # no message ends here: go on behind it
                self._buffer = stripped[end.end() :]
                continue
            found = _parse(stripped)
            if found is None:
                self._buffer = stripped[end.end() :]
                continue
            message, head = found
            total = head + _content_length(message)
            following = _START.search(stripped, head, total)
            if following is not None and _is_line_start(stripped, following.start()):
                total = following.start()  # it announced more than it had
            if len(stripped) < total <= MAX_STREAM:
                self._buffer = stripped
                break
            messages.append(message)
            self._buffer = stripped[min(total, len(stripped)) :]
        if len(self._buffer) > MAX_STREAM:
            self._buffer = b""
        return messages


def parse_address(value: str) -> Address | None:
    """The first SIP URI in a header value or Request-URI."""
    # A display name can hold anything in quotes; the URI comes after them.
    at = value.rfind("<") if '"' in value else 0
    found = _URI.search(value, max(at, 0))
    return Address(found[1] or "", found[2].lower().rstrip(".")) if found else None


def parse_digest(value: str) -> Digest | None:
    """An Authorization or challenge value (RFC 7616, 3.3 and 3.4); None if it is empty."""
    scheme, _, rest = value.strip().partition(" ")
    if not scheme:
        return None
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(rest):
        parameters.setdefault(name.lower(), quoted or bare)
    return Digest(scheme.lower(), parameters)


def _parse(data: bytes) -> tuple[SipMessage, int] | None:
    """The message and the length of its head."""
    start = _START.match(data) or _START.search(data, 0, _JUNK + 1024)
    if start is None:
        return None
    if start.start() > _JUNK:
        return None
    limit = start.start() + MAX_HEAD
    # The usual end first: a plain search is twenty times as fast as a pattern.
    at = data.find(b"\r\n\r\n", start.end() - 2, limit)
    if at >= 0 and b"\n\n" not in data[start.end() : at]:
        head, head_end = data[start.end() : at + 1], at + 4
    else:
        end = _END.search(data, start.end() - 2, limit)
        head_end = end.end() if end else min(len(data), limit)
        head = data[start.end() : end.start() + 1 if end else head_end]
    if b"\n " in head or b"\n\t" in head:
        head = _FOLD.sub(b" ", head)
    headers: dict[str, list[str]] = {}
    for name, value in _HEADER.findall(head.decode("utf-8", "replace")):
        key = _USUAL.get(name)
        if key is None:
            lower = name.lower()
            key = _FULL.get(lower, lower)
        if key in headers:
            headers[key].append(value.rstrip())
        else:
            headers[key] = [value.rstrip()]
    method, uri, status = start.groups()
    junk = len(data[: start.start()].strip(b"\r\n\0 "))
    message = SipMessage(
        method.decode("ascii") if method else "",
        uri.decode("utf-8", "replace") if uri else "",
        int(status) if status else 0,
        headers,
        junk,
        len(data) - start.start(),
    )
    return message, head_end


def _content_length(message: SipMessage) -> int:
    text = message.first("content-length").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _is_line_start(data: bytes, at: int) -> bool:
    return at > 0 and data[at - 1 : at] == b"\n"


def tag_of(value: str) -> str:
    """The tag of a From or To value, empty if there is none."""
    found = _TAG.search(value, value.find(">") + 1)
    return found[1] if found else ""


def parse_contacts(value: str) -> list[str]:
    """The values of a Contact header, split at commas outside of quotes and angle brackets."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, letter in enumerate(value):
        if letter == '"' and value[at - 1 : at] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif letter == "<":
            depth += 1
        elif letter == ">":
            depth = max(0, depth - 1)
        elif letter == "," and not depth:
            parts.append(value[start:at].strip())
            start = at + 1
    parts.append(value[start:].strip())
    return [part for part in parts if part]
