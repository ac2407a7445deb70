"""Which meter limits which target. Pure.

OpenFlow 1.3.5, 5.7: a meter belongs to the flows that send packets through it. Ours are
the ids of the upper half of what the switch has; one such meter for every limited target.
"""

from __future__ import annotations

from typing import Final

from sdnblock.block import Target

_LIMITERS: Final = 65536


class Meters:
    """Meter ids, allotted to targets. ``most``: the greatest number the switch can hold."""

    def __init__(self, most: int) -> None:
        self.first = most // 2 + 1
        self.count = min(most - most // 2, _LIMITERS) if most else 0
        self._used: dict[Target, int] = {}
        self._free: list[int] = []
        self._next = self.first

    def owns(self, meter: int) -> bool:
        """Whether this id is one that we allot."""
        return self.first <= meter < self.first + self.count

    def of(self, target: Target) -> int | None:
        """The meter of a target, if it has one."""
        return self._used.get(target)

    def recover(self, used: dict[Target, int]) -> None:
        """Begin again with what the switch's flows refer to."""
        self._used = dict(used)
        taken = set(used.values())
        self._next = self.first
        self._free = [
            meter for meter in range(self.first, max(taken, default=0)) if meter not in taken
        ]
        if taken:
            self._next = max(self.first, max(taken) + 1)

    def take(self, target: Target) -> int | None:
        """A meter for a target; None if there is none left."""
        if self._free:
            meter = self._free.pop()
        elif self._next < self.first + self.count:
            meter = self._next
            self._next += 1
        else:
            return None
        self._used[target] = meter
        return meter

    def give_back(self, target: Target) -> int | None:
        """The target's meter, free from now on."""
        meter = self._used.pop(target, None)
        if meter is not None:
            self._free.append(meter)
        return meter
