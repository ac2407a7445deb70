"""Meters: which one limits which target, and which ones are budgets. Pure.

OpenFlow 1.3.5, 5.7: a meter belongs to the flows that send packets through it. Ours are
the ids of the upper half of what the switch has: first the budgets of copies, then one for
every limited target.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sdnblock.block import Target
from sdnblock.switches.openflow.answers import MeterConfig

_BUDGETS: Final = 3
_LIMITERS: Final = 65536


class Meters:
    """Meter ids, allotted to targets. ``most``: the greatest number the switch can hold."""

    def __init__(self, most: int) -> None:
        self.budgets = range(most // 2 + 1, most // 2 + 1 + min(_BUDGETS, most - most // 2))
        """Ids that are not for targets: as many as there are reasons for copies, or fewer."""
        self.first = self.budgets.stop
        self.count = min(most + 1 - self.first, _LIMITERS)
        """How many targets can have one."""
        self._used: dict[Target, int] = {}
        self._free: list[int] = []
        self._next = self.first

    def owns(self, meter: int) -> bool:
        """Whether this id is one that we allot to targets."""
        return self.first <= meter < self.first + self.count

    def of(self, target: Target) -> int | None:
        """The meter of a target, if it has one."""
        return self._used.get(target)

    def recover(self, used: dict[Target, int]) -> None:
        """Begin again with what the switch's flows refer to."""
        self._used = dict(used)
        taken = set(used.values())
        self._next = max(taken, default=self.first - 1) + 1
        self._free = [meter for meter in range(self.first, self._next) if meter not in taken]

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

    def unlike(
        self, held: Iterable[MeterConfig], used: set[int], rate: int, burst: int
    ) -> tuple[list[int], list[int]]:
        """Of the meters for targets that a switch holds: those of another rate, and idle ones."""
        other, idle = [], []
        for meter in held:
            if not self.owns(meter.meter):
                continue
            if meter.meter not in used:
                idle.append(meter.meter)
            elif not meter.plain or (meter.rate, meter.burst) != (rate, burst):
                other.append(meter.meter)
        return other, idle
