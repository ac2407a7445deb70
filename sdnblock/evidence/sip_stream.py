"""SIP messages out of a TCP stream: several in a segment, or one in several.

A message is told as soon as its head is whole; its body is passed over, as long as
Content-Length says (RFC 3261, 18.3), because that is how a server reads it: what stands in a
body is no message, whatever it looks like. A Content-Length that lies makes a server deaf to
what follows, and so us; but for no more than 64 KiB, which no server takes. What is no
message is passed over up to the next empty line.

No byte is searched twice, however small the pieces are, and what is kept between two pieces
is at most one unfinished head.
"""

from __future__ import annotations

import re
from typing import Final

from sdnblock.evidence.sip import MAX_HEAD, SipMessage, parse_message

MAX_BODY: Final = 65536
"""More than this is passed over of no body."""

_BLANK = re.compile(rb"[\r\n\0]*+")
_EMPTY_LINE = re.compile(rb"\n\r?\n")


class SipStream:
    """One direction of a TCP connection. How it is cut into pieces makes no difference."""

    def __init__(self) -> None:
        self._pending = b""
        self._searched = 0
        """Bytes of it in which no empty line ends the head."""
        self._skip = 0
        """Bytes of a body that are still to come."""
        self._overlong: int | None = None
        """Within a head that is too long: bytes of the body behind it."""

    @property
    def kept(self) -> int:
        """Bytes that wait for the rest of their head."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[SipMessage]:
        """Messages whose heads are whole with ``data``."""
        if self._skip >= len(data):
            self._skip -= len(data)
            return []
        messages: list[SipMessage] = []
        if self._pending:
            data = self._pending + data
        at, searched = self._skip, self._searched
        self._skip = 0
        while True:
            if self._overlong is not None:
                end = _EMPTY_LINE.search(data, at)
                if end is None:
                    at, searched = max(at, len(data) - 2), 0
                    break
                following, self._overlong = end.end() + self._overlong, None
            else:
                if not searched:
                    at = _BLANK.match(data, at).end()  # type: ignore[union-attr]  # it can be empty
                end = _EMPTY_LINE.search(data, max(at, at + searched - 2), at + MAX_HEAD)
                if end is None and len(data) - at < MAX_HEAD:
                    searched = len(data) - at
                    break
                message = parse_message(data[at : end.end() if end else at + MAX_HEAD])
                body = 0
                if message is not None:
                    messages.append(message)
                    body = min(message.content_length, MAX_BODY)
                if end is None:
                    self._overlong, at = body, at + MAX_HEAD - 2
                    continue
                following = end.end() + body
            at, searched = following, 0
            if at >= len(data):
                self._skip = at - len(data)
                at = len(data)
                break
        self._pending, self._searched = data[at:], searched
        return messages
