"""What was written while a switch was being read: of that the reading may be old news."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sdnblock.block import Prefix, Source, Target
from sdnblock.switches.driver import AllowChange, Change


@dataclass(slots=True)
class Meanwhile:
    """Everything that somebody began to write since a reading began.

    A switch's answer shows such an entry as it was before or after, or twice: whoever wrote
    it knows better.
    """

    blocks: set[Target] = field(default_factory=set)
    allows: set[Source | Prefix] = field(default_factory=set)

    def note(self, changes: Iterable[Change]) -> None:
        """These are about to be written."""
        for change in changes:
            if isinstance(change, AllowChange):
                self.allows.add(change.prefix)
            else:
                self.blocks.add(change.target)
