"""Detector ``weak-digest``: passwords that our own challenges give away. Reports, never blocks.

Sees: challenges of ours that ask for Basic (the password in clear, RFC 7616, 4.1), and digest
challenges without ``qop``, of which the answers can be looked up in a table made beforehand
(RFC 7616, 3.4.1 and 5.8); and remotes that send Basic credentials unasked. Cannot see: who
reads them on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sdnblock.detect.detector import Detector, Shared
from sdnblock.detect.finding import Finding
from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.grade import Grade
from sdnblock.evidence.sip_values import Digest

NAME: Final = "weak-digest"

_CHALLENGES: Final = frozenset({401, 407})
_MOST: Final = 8
"""Challenges of one response that are looked at."""


@dataclass(frozen=True, slots=True)
class WeakDigestSettings:
    """``[detect.weak_digest]``: nothing but on or off."""

    enabled: bool = True


class WeakDigest(Detector):
    """Looks at challenges; remembers nothing."""

    name = NAME
    begun_credential = True

    def __init__(self, settings: WeakDigestSettings, shared: Shared) -> None:
        pass

    def heeds(self, status: int, method: str) -> bool:
        """Challenges."""
        return status in _CHALLENGES

    def response(self, event: SipSeen) -> Iterable[Finding]:
        """A report about our server, if its challenge is weak."""
        return [
            Finding(
                NAME, event.source, Grade.PROVEN,
                f"our server's challenge in realm {challenge.get('realm')[:60]!a} {weakness}",
                report_only=True,
            )
            for challenge in event.message.challenges[:_MOST]
            if (weakness := _weakness(challenge))
        ]  # fmt: skip

    def begun(self, event: SipSeen) -> Iterable[Finding]:
        """A report about a remote that sends its password in clear."""
        message = event.message
        if any(credential.scheme == "basic" for credential in message.credentials[:_MOST]):
            reason = f"{message.method} with a Basic credential: the password in clear"
            return (Finding(NAME, event.source, Grade.SPOOFABLE, reason, report_only=True),)
        return ()


def _weakness(challenge: Digest) -> str:
    if challenge.scheme == "basic":
        return "asks for Basic: phones send the password in clear; let the server ask for Digest"
    if challenge.scheme == "digest" and not challenge.get("qop"):
        return (
            "has no qop: answers can be looked up in tables made beforehand;"
            " let the server send qop=auth"
        )
    return ""
