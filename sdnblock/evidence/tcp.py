"""SIP out of the TCP segments of a capture: what was sent again is not read again, and what is
missing does not put the rest out of step (RFC 9293, 3.4: sequence numbers)."""

from __future__ import annotations

from typing import Final

from sdnblock.evidence.sip import SipMessage
from sdnblock.evidence.sip_stream import SipStream

_SPACE: Final = 1 << 32


class TcpDirection:
    """One direction of a connection."""

    def __init__(self) -> None:
        self._stream = SipStream()
        self._next: int | None = None
        self.in_step = True
        """Whether the last segment that was new followed on the one before."""

    def feed(self, sequence: int, payload: bytes) -> list[SipMessage]:
        """Messages whose heads are whole with a segment."""
        expected = sequence if self._next is None else self._next
        ahead = (sequence - expected) % _SPACE
        if ahead >= _SPACE // 2:  # it begins with what we have
            payload = payload[_SPACE - ahead :]
            if not payload:
                return []
            sequence, ahead = expected, 0
        self.in_step = not ahead
        if ahead:
            self._stream = SipStream()
        self._next = (sequence + len(payload)) % _SPACE
        return self._stream.feed(payload)
