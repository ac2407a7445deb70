"""What a reading of all tables has found so far, and what was written meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from finsy.proto import p4r

from sdnblock.block import Target
from sdnblock.switches.driver import Installed, TableKey
from sdnblock.switches.meanwhile import Meanwhile
from sdnblock.switches.p4runtime.codec import ALLOW_TABLES, Codec


class Snapshot:
    """One reading: everything of ours, the meter cells of what is limited, and how many
    entries each table has, those of others included."""

    def __init__(self) -> None:
        self.installed = Installed()
        self.limited: list[tuple[Target, int]] = []
        self.counts: dict[TableKey, int] = {}
        self.written = Meanwhile()
        self._there: dict[tuple[TableKey, Target], bool] = {}

    def keep_block(self, codec: Codec) -> Callable[[TableKey, p4r.TableEntry], None]:
        """Takes in an entry of a table of blocks. It raises ForeignEntry."""

        def keep(key: TableKey, entry: p4r.TableEntry) -> None:
            target, action, cell = codec.block(key, entry)
            self.installed.blocks[target] = action
            if cell is not None:
                self.limited.append((target, cell))

        return keep

    def keep_allow(self, codec: Codec) -> Callable[[TableKey, p4r.TableEntry], None]:
        """Takes in an entry of an allowlist. It raises ForeignEntry."""

        def keep(key: TableKey, entry: p4r.TableEntry) -> None:
            self.installed.allows.add(codec.allow(key, entry))

        return keep

    def done(self, key: TableKey, target: Target, there: bool) -> None:
        """Something was written, and whether it is there now."""
        self._there[key, target] = there

    def forget_written(self) -> None:
        """Leave out what was written meanwhile, but count it as it is now."""
        for (key, target), there in self._there.items():
            blocks, allows = self.installed.blocks, self.installed.allows
            seen = target in allows if key in ALLOW_TABLES else target in blocks
            self.counts[key] += there - seen
        for target in self.written.blocks:
            self.installed.blocks.pop(target, None)
        self.installed.allows -= self.written.allows
        self.limited = [pair for pair in self.limited if pair[0] not in self.written.blocks]
