"""Requests and what became of them: one outcome for each, retransmissions counted once.

A request is known again by its source, Call-ID, CSeq and branch (RFC 3261, 17.2.3), so that
what several reporters saw counts once; and by whom it asks for and its credential, so that a
tool that never changes those does not pass for a phone that repeats itself.

An outcome is proven where it needed a round trip with the remote: a TCP connection that
stands, or on which our server answered; a credential with a nonce that only the remote was
sent; or the ACK of a final response, which repeats our To tag (RFC 3261, 17.1.1.3).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from sdnblock.block import TCP
from sdnblock.detect.asked import Asked
from sdnblock.detect.proof import Nonces, ProofSettings, Tags
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.sip import SipMessage

_LIFETIME: Final = 64.0
"""Seconds for which a request waits for its response (64 * T1 = 32 s, and its ACK)."""
_MOST: Final = 100_000
_MOST_SIZE: Final = 64_000_000
"""Bytes that all of them may take, about."""

_CREDENTIALS: Final = 8
"""So many of a message are looked at: one for each realm or algorithm."""
_LOOK: Final = 1.0
"""Seconds between two looks for what is too old."""
_CHALLENGES: Final = frozenset({401, 407})

Key = tuple[bytes, str, tuple[int, str], str]
"""(remote address, Call-ID, CSeq, branch)."""
AckKey = tuple[bytes, str, str]
"""(remote address, Call-ID, our To tag)."""


@dataclass(slots=True, init=False)  # very many are made: its __init__ is written out
class Outcome:
    """The final response that we sent to a request of a remote."""

    time: float
    remote: bytes
    method: str
    status: int
    credential: bool
    """Whether the request carried a credential."""
    challenged: bool
    """Whether that answered a challenge of ours, whoever was sent it."""
    rejected: bool
    """Whether we refused its credential: not for its age, and in the realm it was for. What a
    403 is about, nobody can say: it is told as rejected."""
    proven: bool
    """Whether it needed a round trip with the remote."""
    asked: Asked
    """The request."""
    accepted: bool
    """Whether we answered 2xx."""
    to_tag: str = ""
    """Ours, of an INVITE."""

    def __init__(
        self, time: float, remote: bytes, method: str, status: int, credential: bool,
        challenged: bool, rejected: bool, proven: bool, asked: Asked, accepted: bool,
        to_tag: str = "",
    ) -> None:  # fmt: skip
        self.time = time
        self.remote = remote
        self.method = method
        self.status = status
        self.credential = credential
        self.challenged = challenged
        self.rejected = rejected
        self.proven = proven
        self.asked = asked
        self.accepted = accepted
        self.to_tag = to_tag

    @property
    def user(self) -> str:
        """Whom the request was about: the To user of a REGISTER, else the Request-URI's."""
        return self.asked.about

    @property
    def remote_port(self) -> int:
        """The port that it came from."""
        return self.asked.event.source_port

    @property
    def local(self) -> bytes:
        """Our address that it went to."""
        return self.asked.event.destination

    @property
    def local_port(self) -> int:
        """Our port that it went to."""
        return self.asked.event.destination_port

    @property
    def protocol(self) -> int:
        """The IP protocol number that it came by."""
        return self.asked.event.protocol


class Transactions:
    """Requests under way, oldest first, bounded in number, size and time."""

    def __init__(self) -> None:
        self._pending: OrderedDict[Key, Asked] = OrderedDict()
        self._acks: dict[AckKey, Asked] = {}
        self._size = 0
        self._looked = 0.0
        self._nonces = Nonces()
        self._tags = Tags()
        self.proof = ProofSettings()

    def request(self, event: SipSeen) -> bool:
        """A request of a remote other than ACK; whether it is a new one."""
        message, now = event.message, event.time
        call_id, cseq, branch = message.transaction
        key = (event.source, call_id, cseq, branch)
        pending = self._pending
        known = pending.get(key)
        if known is not None:
            if known.is_again(message):
                known.established |= event.established
                return False
            self._drop(key, known)
        asked = pending[key] = self._asked(event)
        self._size += asked.size
        full = self._size > _MOST_SIZE or len(pending) > _MOST
        if full or not 0 <= now - self._looked < _LOOK:
            self._looked = now
            self._forget(now)
        return True

    def response(self, event: SipSeen) -> Outcome | None:
        """A response of ours; its outcome if it is final and new."""
        message, now = event.message, event.time
        status = message.status
        if status < 200:
            return None
        if status in _CHALLENGES:
            self._challenged(event)
        call_id, cseq, branch = message.transaction
        asked = self._pending.get((event.destination, call_id, cseq, branch))
        if asked is None or asked.outcome is not None or now - asked.time > _LIFETIME:
            return None
        method, digest = asked.message.method, asked.digest
        outcome = asked.outcome = Outcome(
            now, asked.remote, method, status, digest is not None, asked.challenged,
            digest is not None and _rejects(message, asked),
            asked.answered or (asked.protocol == TCP and _on_same_connection(asked, event)),
            asked, 200 <= status < 300,
        )  # fmt: skip
        if method == "INVITE" and (tag := message.to_tag):
            outcome.to_tag = tag
            self._tags.sent(tag)
            self._acks[(asked.remote, asked.call_id, tag)] = asked
        return outcome

    def acknowledged(self, event: SipSeen) -> Outcome | None:
        """The outcome that an ACK of a remote proves, if it was not proven before."""
        message = event.message
        tag = message.to_tag
        asked = self._acks.pop((event.source, message.call_id, tag), None)
        if asked is None or asked.outcome is None or asked.outcome.proven:
            return None
        if not self._tags.proves(tag, self.proof.tags):
            return None
        asked.outcome = replace(asked.outcome, time=event.time, proven=True)
        return asked.outcome

    def _challenged(self, event: SipSeen) -> None:
        for digest in event.message.challenges:
            self._nonces.sent(
                digest.get("nonce"), event.source, event.destination, event.time,
                sampled=event.sampled,
            )  # fmt: skip

    def _asked(self, event: SipSeen) -> Asked:
        """A request. Of several credentials, one with a nonce of ours counts."""
        found = event.message.credentials
        if not found:
            return Asked(event, None, ())
        known, digest = self._nonces.known, found[0]
        realms: tuple[str, ...] = (digest.get("realm"),)
        if len(found) > 1:
            found = found[:_CREDENTIALS]
            digest = next((each for each in found if known(each.get("nonce"))), digest)
            realms = tuple(each.get("realm") for each in found)
        asked = Asked(event, digest, realms)
        nonce = digest.get("nonce")
        asked.challenged = known(nonce)
        asked.answered = self._nonces.proves(nonce, event.source, event.time, self.proof.nonces)
        return asked

    def _forget(self, now: float) -> None:
        while self._pending:
            key, oldest = next(iter(self._pending.items()))
            young = now - oldest.time <= _LIFETIME
            if young and len(self._pending) <= _MOST and self._size <= _MOST_SIZE:
                return
            self._drop(key, oldest)

    def _drop(self, key: Key, asked: Asked) -> None:
        del self._pending[key]
        self._size -= asked.size
        outcome, asked.outcome = asked.outcome, None  # they refer to each other
        if outcome is not None and outcome.to_tag:
            self._acks.pop((asked.remote, asked.call_id, outcome.to_tag), None)


def _rejects(message: SipMessage, asked: Asked) -> bool:
    """Whether a response refuses the credential that its request has."""
    if message.status not in _CHALLENGES:
        return message.status == 403
    challenges = message.challenges
    if any(each.get("stale").lower() == "true" for each in challenges):
        return False
    realms = {each.get("realm") for each in challenges}
    return not realms or any(realm in realms for realm in asked.realms)


def _on_same_connection(asked: Asked, response: SipSeen) -> bool:
    """Whether the TCP connection of a request stands: known, or our server answers on it."""
    return asked.established or (
        response.protocol == TCP
        and response.destination_port == asked.remote_port
        and response.source == asked.local
        and response.source_port == asked.local_port
    )
