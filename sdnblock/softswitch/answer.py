"""Read answers, collected into ReadResponse messages of bounded size."""

from __future__ import annotations

from typing import Final

from finsy.proto import p4r

_ENTITIES: Final = 1000
"""In one message: some tens of kilobytes, far below any client's limit."""


class Answer:
    """Serialised ``entities`` elements, and the messages made of them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._messages: list[bytes] = []

    def add(self, entity: p4r.Entity) -> None:
        """One entity."""
        self.add_encoded([encode_entity(entity)])

    def add_encoded(self, parts: list[bytes]) -> None:
        """Entities already encoded, each as one ``entities`` element; at most some thousands."""
        self._parts += parts
        if len(self._parts) >= _ENTITIES:
            self._flush()

    def messages(self) -> list[bytes]:
        """All messages."""
        if self._parts:
            self._flush()
        return self._messages

    def _flush(self) -> None:
        self._messages.append(b"".join(self._parts))
        self._parts = []


def encode_entity(entity: p4r.Entity) -> bytes:
    """One entity as an ``entities`` element of a ReadResponse."""
    return p4r.ReadResponse(entities=[entity]).SerializeToString()
