"""Detector ``replay``: a credential that was used before, from somewhere else.

With qop (RFC 7616, 3.4.1) every request has a client nonce and a count of its own, so the same
response never comes twice, unless somebody recorded it; and the count of a nonce does not go
back when it comes from somewhere else. Retransmissions and other attempts to deliver the same
request (a phone that changes its network, a proxy that tries another way) keep Call-ID and
CSeq, and come soon: they are left out. Without qop a phone that moved gives the same response
again quite honestly: that is reported only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade
from sdnblock.evidence.sip_values import Digest

NAME: Final = "replay"

_MOST: Final = 100_000
_DELIVERY: Final = 64.0
"""Seconds for which a request may be on its way (64 * T1 = 32 s, RFC 3261, 17.1.1.2; twice)."""


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """``[detect.replay]``: for how many seconds a credential is remembered."""

    enabled: bool = True
    memory: float = field(default=86400.0, metadata={"duration": True})


@dataclass(slots=True)
class _Used:
    """A response, or the highest count of a nonce."""

    time: float
    site: bytes
    request: int
    """Hash of the Call-ID and CSeq."""
    count: int = 0


class Replay(Detector):
    """Credentials by where they came from first."""

    name = NAME
    begun_credential = True

    def __init__(self, settings: ReplaySettings, shared: Shared) -> None:
        self._memory = settings.memory
        self._responses: OrderedDict[int, _Used] = OrderedDict()
        self._counts: OrderedDict[int, _Used] = OrderedDict()

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A new request."""
        findings = []
        for digest in event.message.credentials[:8]:
            found = self._look(event, digest)
            if found is not None:
                findings.append(found)
        return findings

    def _look(self, event: SipSeen, digest: Digest) -> Finding | None:
        shown = digest.parameters
        nonce, response = shown.get("nonce", ""), shown.get("response", "")
        if digest.scheme != "digest" or not nonce or not response or len(nonce) > 256:
            return None
        site, message = event.site, event.message
        request = hash((message.call_id, message.cseq))
        key = hash((shown.get("username", ""), nonce, response, shown.get("nc", ""),
                    shown.get("cnonce", ""), shown.get("uri", "")))  # fmt: skip
        before = self._responses.get(key)
        if before is None or event.time - before.time > self._memory:
            self._responses[key] = _Used(event.time, site, request)
            if len(self._responses) > _MOST:
                self._responses.popitem(last=False)
            return self._count(event, digest, nonce, site, request)
        if before.site == site:
            before.time = event.time
            return None
        if before.request == request and event.time - before.time <= _DELIVERY:
            return None
        age = event.time - before.time
        qop = bool(digest.get("qop"))
        reason = (
            f"the credential of user {digest.get('username')[:40]!a} came {age:.0f} s ago from"
            f" another address, to the letter"
            f"{'' if qop else '; without qop a phone that moved does that too'}"
        )
        return _finding(event, reason, not qop)

    def _count(
        self, event: SipSeen, digest: Digest, nonce: str, site: bytes, request: int
    ) -> Finding | None:
        """Whether the count of a nonce goes back, from somewhere else."""
        text = digest.get("nc")
        if not digest.get("qop") or len(text) != 8:
            return None
        try:
            count = int(text, 16)
        except ValueError:
            return None
        # Each user counts for himself: a server may give several the same nonce (Kamailio does
        # to all who ask within a second).
        key = hash((nonce, digest.get("username")))
        before = self._counts.get(key)
        if before is None or event.time - before.time > self._memory:
            self._counts[key] = _Used(event.time, site, request, count)
            if len(self._counts) > _MOST:
                self._counts.popitem(last=False)
            return None
        if before.site == site or count > before.count:
            if count >= before.count:
                before.time, before.site = event.time, site
                before.request, before.count = request, count
            return None
        late = event.time - before.time > _DELIVERY
        if count == before.count or before.request == request or not late:
            # Phones that never count have 1 always; and packets overtake each other.
            return None
        reason = (
            f"nonce count {count} of user {digest.get('username')[:40]!a}, when another address"
            f" had used {before.count} of the same nonce {event.time - before.time:.0f} s before"
        )
        return _finding(event, reason, False)


def _finding(event: SipSeen, reason: str, report_only: bool) -> Finding:
    grade = Grade.PROVEN if event.established else Grade.SPOOFABLE
    return Finding(NAME, event.source, grade, reason, report_only=report_only)
