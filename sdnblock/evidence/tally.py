"""How much came in by one way, and what of it was refused."""

from __future__ import annotations

from collections import Counter


class Tally:
    """Counts since it was last told, by a few fixed reasons."""

    def __init__(self) -> None:
        self.judged = 0
        """What became evidence."""
        self.ignored: Counter[str] = Counter()
        """Well-formed, but nothing for us."""
        self.refused: Counter[str] = Counter()
        self._last: dict[str, str] = {}
        """Reason -> who was refused for it last."""

    def refuse(self, reason: str, whose: str, count: int = 1) -> None:
        """Count messages, or connections, of somebody."""
        self.refused[reason] += count
        self._last[reason] = whose

    def told(self) -> str:
        """What was refused, in one line. Begins anew."""
        parts = [
            f"{count} because {reason} (last: {self._last[reason]})"
            for reason, count in self.refused.most_common()
        ]
        ignored = [f"{count} with {what}" for what, count in self.ignored.most_common(8)]
        line = (
            f"{self.refused.total()} refused: {'; '.join(parts)};"
            f" {', '.join((f'{self.judged} judged', *ignored))}"
        )
        self.judged = 0
        self.ignored.clear()
        self.refused.clear()
        self._last.clear()
        return line
