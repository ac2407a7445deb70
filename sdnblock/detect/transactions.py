"""Requests and what became of them: one outcome for each, retransmissions counted once.

An outcome is proven where it needed a round trip with the remote: over TCP, a credential that
answered our challenge, or the ACK of a final response, which repeats our To tag (RFC 3261,
17.1.1.3).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from sdnblock.block import TCP
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.sip import SipMessage, parse_address

_LIFETIME: Final = 64.0
"""Seconds for which a request waits for its response (64 * T1 = 32 s, and its ACK)."""
_MOST: Final = 200_000
_NONCES: Final = 100_000

Key = tuple[bytes, str, int]
"""(remote address, Call-ID, CSeq number)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The final response that we sent to a request of a remote."""

    time: float
    remote: bytes
    remote_port: int
    local: bytes
    local_port: int
    protocol: int
    method: str
    user: str
    """Whom the request was about: the To user of a REGISTER, else the Request-URI's."""
    status: int
    credential: bool
    """Whether the request answered a challenge of ours."""
    stale: bool
    """Whether we only said that the nonce was too old."""
    proven: bool


@dataclass(slots=True)
class _Request:
    """What is kept of a request: not its message, of which there are many."""

    time: float
    remote: bytes
    remote_port: int
    local: bytes
    local_port: int
    protocol: int
    method: str
    about: str
    credential: bool
    status: int = 0
    to_tag: str = ""
    told_proven: bool = False


@dataclass
class Transactions:
    """Requests under way, oldest first, bounded in number and time."""

    _requests: OrderedDict[Key, _Request] = field(default_factory=OrderedDict)
    _nonces: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def request(self, event: SipSeen) -> Outcome | None:
        """A request of a remote; an ACK can prove an outcome that was told before."""
        message = event.message
        key = (event.source, message.call_id, message.cseq[0])
        if message.method == "ACK":
            return self._acknowledged(event, self._requests.get(key))
        if key not in self._requests:
            digest = message.authorization
            answered = digest is not None and digest.get("nonce") in self._nonces
            about = message.first("to") if message.method == "REGISTER" else message.uri
            self._requests[key] = _Request(
                event.time, event.source, event.source_port, event.destination,
                event.destination_port, event.protocol, message.method, about, answered,
            )  # fmt: skip
            self._forget(event.time)
        return None

    def response(self, event: SipSeen) -> Outcome | None:
        """A response of ours; its outcome if it is final and new."""
        message = event.message
        challenge = message.challenge
        if challenge is not None and challenge.get("nonce"):
            self._nonces[challenge.get("nonce")] = None
            if len(self._nonces) > _NONCES:
                self._nonces.popitem(last=False)
        request = self._requests.get((event.destination, message.call_id, message.cseq[0]))
        if request is None or message.status < 200 or request.status:
            return None
        request.status, request.to_tag = message.status, message.to_tag
        proven = request.protocol == TCP or request.credential
        request.told_proven = proven
        return self._outcome(request, event.time, message, proven)

    def _acknowledged(self, event: SipSeen, request: _Request | None) -> Outcome | None:
        if request is None or request.told_proven or not request.status:
            return None
        if not request.to_tag or event.message.to_tag != request.to_tag:
            return None
        request.told_proven = True
        return self._outcome(request, event.time, None, True)

    @staticmethod
    def _outcome(
        request: _Request, time: float, response: SipMessage | None, proven: bool
    ) -> Outcome:
        about = parse_address(request.about)
        challenge = response.challenge if response is not None else None
        stale = challenge is not None and challenge.get("stale").lower() == "true"
        return Outcome(
            time, request.remote, request.remote_port, request.local, request.local_port,
            request.protocol, request.method, about.user if about else "", request.status,
            request.credential, stale, proven,
        )  # fmt: skip

    def _forget(self, now: float) -> None:
        while self._requests:
            key, oldest = next(iter(self._requests.items()))
            if now - oldest.time <= _LIFETIME and len(self._requests) <= _MOST:
                return
            del self._requests[key]
