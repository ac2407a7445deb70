"""What is kept of a request while it waits for its answer, and what detectors ask of it.

Texts only, read when somebody asks: there are many requests, and few that matter.
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
        "answered", "call_id", "challenged", "contact_text", "digest", "established",
        "expires_text", "from_text", "local", "local_port", "method", "outcome", "protocol",
        "realms", "remote", "remote_port", "sampled", "size", "time", "to_text", "uri_text",
        "user_agent",
    )  # fmt: skip

    def __init__(self, event: SipSeen, digest: Digest | None, realms: tuple[str, ...]) -> None:
        """``digest`` is that of its credentials that counts, ``realms`` are those of all."""
        message = event.message
        get = message.fields.get
        self.time = event.time
        self.remote = event.source
        self.remote_port = event.source_port
        self.local = event.destination
        self.local_port = event.destination_port
        self.protocol = event.protocol
        self.established = event.established
        self.sampled = event.sampled
        self.method = message.method
        self.uri_text = message.uri
        self.from_text = get("from", "")
        self.to_text = get("to", "")
        self.call_id = get("call-id", "")
        self.digest = digest
        self.realms = realms
        contact = get("contact", "")
        if message.repeated:
            contact = _JOIN.join(message.values("contact"))
        self.contact_text = contact
        self.expires_text = get("expires", "")
        self.user_agent = get("user-agent", "")
        self.size = len(self.from_text) + len(self.contact_text) + _SIZE
        """About how many bytes it takes."""
        if digest is not None:
            self.size += _DIGEST + sum(map(len, digest.parameters.values()))
        self.challenged = False
        """Whether its credential answers a challenge of ours."""
        self.answered = False
        """Whether it answers one that only its source can know."""
        self.outcome: Outcome | None = None
        """What became of it."""

    def is_again(self, message: SipMessage) -> bool:
        """Whether ``message`` is this request once more, and not another in its clothes."""
        if self.uri_text != message.uri or self.to_text != message.first("to"):
            return False
        credentials = message.credentials
        return self.digest in credentials if self.digest is not None else not credentials

    @property
    def uri(self) -> Address | None:
        """The Request-URI."""
        return parse_address(self.uri_text)

    @property
    def from_(self) -> Address | None:
        """The From URI."""
        return parse_address(self.from_text)

    @property
    def from_tag(self) -> str:
        """The From tag."""
        return tag_of(self.from_text)

    @property
    def to(self) -> Address | None:
        """The To URI."""
        return parse_address(self.to_text)

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
        address = self.to if self.method == "REGISTER" else self.uri
        return address.user if address is not None else ""
