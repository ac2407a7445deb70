"""What is kept of a request while it waits for its answer, and what detectors ask of it.

Texts only, read when somebody asks: there are many requests, and few that matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.sip import SipMessage
from sdnblock.evidence.sip_values import (
    Address,
    Digest,
    parse_address,
    parse_contacts,
    parse_digest,
    tag_of,
)

_JOIN: Final = ", "


@dataclass(slots=True)
class Asked:
    """A request of a remote. Texts are as they came; empty where the header is missing."""

    time: float
    remote: bytes
    remote_port: int
    local: bytes
    local_port: int
    protocol: int
    established: bool
    method: str
    uri_text: str
    from_text: str
    to_text: str
    call_id: str
    credential_text: str
    contact_text: str
    expires_text: str
    user_agent: str
    via_text: str = field(repr=False)
    """Only to know the request again."""

    @classmethod
    def of(cls, event: SipSeen) -> Asked:
        """What is kept of ``event``, a request."""
        message = event.message
        contacts = message.headers.get("contact", ())
        return cls(
            event.time, event.source, event.source_port, event.destination,
            event.destination_port, event.protocol, event.established, message.method,
            message.uri, message.first("from"), message.first("to"), message.call_id,
            credential_of(message), contacts[0] if len(contacts) == 1 else _JOIN.join(contacts),
            message.first("expires"), message.user_agent, message.first("via"),
        )  # fmt: skip

    def is_again(self, message: SipMessage) -> bool:
        """Whether ``message`` is this request once more, and not another in its clothes."""
        return (
            self.uri_text == message.uri
            and self.to_text == message.first("to")
            and self.credential_text == credential_of(message)
            and self.via_text == message.first("via")
        )

    @property
    def length(self) -> int:
        """Characters kept."""
        return (
            len(self.uri_text) + len(self.from_text) + len(self.to_text) + len(self.call_id)
            + len(self.credential_text) + len(self.contact_text) + len(self.user_agent)
            + len(self.via_text)
        )  # fmt: skip

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
    def digest(self) -> Digest | None:
        """The credential it carried."""
        return parse_digest(self.credential_text)

    @property
    def contacts(self) -> list[str]:
        """Its Contact values."""
        return parse_contacts(self.contact_text)

    @property
    def about(self) -> str:
        """The user it is about: the To user of a REGISTER, else the Request-URI's."""
        address = self.to if self.method == "REGISTER" else self.uri
        return address.user if address is not None else ""


def credential_of(message: SipMessage) -> str:
    """The Authorization or Proxy-Authorization value, empty if there is none."""
    return message.first("authorization") or message.first("proxy-authorization")
