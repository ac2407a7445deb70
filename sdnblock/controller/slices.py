"""How many changes to give a switch at once. Pure.

A switch works things off in order, so what is urgent waits for what was given before it:
that has to be little. But each write costs a round trip, so it must not be too little.
"""

from __future__ import annotations

from typing import Final

_SECONDS: Final = 0.008
"""What a write may take."""
_LEAST: Final = 32
_MOST: Final = 2000
_FIRST: Final = 100
_NEW: Final = 0.3
"""How much the latest write counts against those before it."""


class Slices:
    """Learns from how long writes took; ``size`` is for the next one."""

    def __init__(self) -> None:
        self._each = _SECONDS / _FIRST

    @property
    def size(self) -> int:
        """How many changes."""
        return max(_LEAST, min(_MOST, int(_SECONDS / self._each)))

    def took(self, changes: int, seconds: float) -> None:
        """A write of so many changes took so long; what is few says little and is passed over."""
        if changes < _LEAST:
            return
        # One that was held up by something else must not count for many.
        each = min(seconds / changes, 4 * self._each)
        self._each += _NEW * (each - self._each)
