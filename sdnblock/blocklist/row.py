"""One record of what detection remembers, as it is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """Key, when it last changed, and the rest as JSON."""

    key: str
    time: float
    """Unix seconds."""
    data: str = ""
    """Empty where the time says all."""
    gone: bool = False
    """It is to be forgotten."""
