"""What a request says that phones say again and again: who has looked at it once, and found
nothing wrong with it, need not look again."""

from __future__ import annotations

from typing import Final

from sdnblock.evidence.events import SipSeen
from sdnblock.evidence.sip_values import without_tag

_LONGEST: Final = 512
"""Characters beyond which nobody should remember them."""
_MOST: Final = 20_000


def words_of(event: SipSeen) -> tuple[bytes | str, ...] | None:
    """Where a request goes, and all that it says of itself and of whom it is about. None where
    it says more than phones do, or is in a dialog: then it is another each time."""
    message = event.message
    if message.repeated:
        return None
    fields, uri = message.fields, message.uri
    to, contact = fields.get("to", ""), fields.get("contact", "")
    sender, agent = without_tag(fields.get("from", "")), fields.get("user-agent", "")
    if len(uri) + len(sender) + len(to) + len(contact) + len(agent) > _LONGEST:
        return None
    if "tag" in to or "tag" in to.lower():
        return None
    return (event.destination, message.method, uri, sender, to, contact, agent)


class Harmless:
    """Words in which somebody found nothing wrong; bounded."""

    def __init__(self) -> None:
        self.words: set[tuple[bytes | str, ...] | None] = set()
        """In which it found nothing wrong."""

    def add(self, words: tuple[bytes | str, ...] | None) -> None:
        """It has."""
        if words is not None:
            if len(self.words) >= _MOST:
                self.words.clear()
            self.words.add(words)
