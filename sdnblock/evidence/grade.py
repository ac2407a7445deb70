"""How much a piece of evidence proves."""

from __future__ import annotations

import enum


class Grade(enum.Enum):
    """``PROVEN`` needed a round trip; ``SPOOFABLE`` is anything one forged packet can cause."""

    SPOOFABLE = "spoofable"
    PROVEN = "proven"
