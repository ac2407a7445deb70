"""What is kept of a request while it waits for its answer, and what detectors ask of it.

The message itself, read when somebody asks: there are many requests, and few that matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.sip import SipMessage
from sdnblock.evidence.sip_values import (
    Address,
    Digest,
    parse_address,
    parse_contacts,
    tag_of,
)

if TYPE_CHECKING:
    from sdnblock.detect.transactions import Outcome

_JOIN: Final = ", "
_SIZE: Final = 512
"""Bytes that one takes beside the texts that can be long."""
_DIGEST: Final = 1500


class Asked:
    """A request of a remote. Texts are as they came; empty where the header is missing."""

    __slots__ = (
        "_about", "answered", "challenged", "digest", "established", "event", "message", "outcome",
        "realms", "remote", "size", "time",
    )  # fmt: skip

    def __init__(self, event: SipSeen, digest: Digest | None, realms: tuple[str, ...]) -> None:
        """``digest`` is that of its credentials that counts, ``realms`` are those of all."""
        self.event = event
        self.message = message = event.message
        self.time = event.time
        self.remote = event.source
        self.established = event.established
        self.digest = digest
        self.realms = realms
        self.size = message.head + _SIZE
        """About how many bytes it takes."""
        if digest is not None:
            self.size += _DIGEST
        self.challenged = False
        """Whether its credential answers a challenge of ours."""
        self.answered = False
        """Whether it answers one that only its source can know."""
        self.outcome: Outcome | None = None
        """What became of it."""
        self._about: str | None = None

    def is_again(self, message: SipMessage) -> bool:
        """Whether ``message`` is this request once more, and not another in its clothes."""
        mine = self.message
        if mine.uri != message.uri or mine.first("to") != message.first("to"):
            return False
        credentials = message.credentials
        return self.digest in credentials if self.digest is not None else not credentials

    @property
    def method(self) -> str:
        """Its method."""
        return self.message.method

    @property
    def remote_port(self) -> int:
        """The port that it came from."""
        return self.event.source_port

    @property
    def local(self) -> bytes:
        """Our address that it went to."""
        return self.event.destination

    @property
    def local_port(self) -> int:
        """Our port that it went to."""
        return self.event.destination_port

    @property
    def protocol(self) -> int:
        """The IP protocol number that it came by."""
        return self.event.protocol

    @property
    def sampled(self) -> bool:
        """Whether its reporter shows only some of the messages that it sees."""
        return self.event.sampled

    @property
    def uri_text(self) -> str:
        """The Request-URI."""
        return self.message.uri

    @property
    def from_text(self) -> str:
        """From."""
        return self.message.first("from")

    @property
    def to_text(self) -> str:
        """To."""
        return self.message.first("to")

    @property
    def call_id(self) -> str:
        """Call-ID."""
        return self.message.call_id

    @property
    def contact_text(self) -> str:
        """All its Contacts."""
        return _JOIN.join(self.message.values("contact"))

    @property
    def expires_text(self) -> str:
        """Expires."""
        return self.message.first("expires")

    @property
    def user_agent(self) -> str:
        """User-Agent."""
        return self.message.first("user-agent")

    @property
    def uri(self) -> Address | None:
        """The Request-URI."""
        return parse_address(self.uri_text)

    @property
    def from_(self) -> Address | None:
        """The From URI."""
        return self.message.from_

    @property
    def from_tag(self) -> str:
        """The From tag."""
        return tag_of(self.from_text)

    @property
    def to(self) -> Address | None:
        """The To URI."""
        return self.message.to

    @property
    def in_dialog(self) -> bool:
        """Whether it belongs to a dialog already (its To has a tag)."""
        return bool(tag_of(self.to_text))

    @property
    def contacts(self) -> list[str]:
        """Its Contact values."""
        return parse_contacts(self.contact_text)

    @property
    def about(self) -> str:
        """The user it is about: the To user of a REGISTER, else the Request-URI's."""
        about = self._about
        if about is None:
            message = self.message
            address = message.to if message.method == "REGISTER" else message.request_uri
            about = self._about = address.user if address is not None else ""
        return about
