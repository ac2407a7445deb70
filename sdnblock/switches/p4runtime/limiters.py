"""Which cell of ``limit_meter`` each limited target uses.

Pure. A cell belongs to one target for as long as its entry says ``limit``; the
entry's action parameter is the only record of it, so after a reconnect the
allocation is recovered from the entries that the switch holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sdnblock.block import Target


class Limiters:
    """Cells ``0 .. size-1``, each free or held by one target."""

    def __init__(self, size: int) -> None:
        """All cells free."""
        self._size = size
        self._cells: dict[Target, int] = {}
        self._freed: list[int] = []
        self._fresh = 0  # every cell from here on was never used

    @property
    def size(self) -> int:
        """The number of cells."""
        return self._size

    def __len__(self) -> int:
        """The number of cells in use."""
        return len(self._cells)

    def cell(self, target: Target) -> int | None:
        """The cell that ``target`` holds, None if it holds none."""
        return self._cells.get(target)

    def cells(self) -> Iterator[int]:
        """Cells in use, in no order."""
        return iter(self._cells.values())

    def allocate(self, target: Target) -> int | None:
        """A cell for ``target`` (the one it holds already, if any); None when all are in use."""
        held = self._cells.get(target)
        if held is not None:
            return held
        if self._freed:
            cell = self._freed.pop()
        elif self._fresh < self._size:
            cell = self._fresh
            self._fresh += 1
        else:
            return None
        self._cells[target] = cell
        return cell

    def free(self, target: Target) -> None:
        """Let go of the cell of ``target``; nothing happens if it holds none."""
        cell = self._cells.pop(target, None)
        if cell is not None:
            self._freed.append(cell)

    def recover(self, entries: Iterable[tuple[Target, int]]) -> list[Target]:
        """Forget everything and take over the cells that a switch's entries name.

        Returns the targets whose cell cannot be theirs: it does not exist, or
        another target came first with it. They hold none afterwards, and their
        entries need a cell of their own written.
        """
        self._cells = {}
        taken: set[int] = set()
        unusable: list[Target] = []
        for target, cell in entries:
            if not 0 <= cell < self._size or cell in taken:
                unusable.append(target)
                continue
            taken.add(cell)
            self._cells[target] = cell
        self._fresh = max(taken, default=-1) + 1
        self._freed = [cell for cell in range(self._fresh) if cell not in taken]
        return unusable
