"""Tables at work: entries by name, matched as P4Runtime says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.p4model import nodes as n
from tests.p4model.values import Bits


@dataclass(eq=False, slots=True)
class Entry:
    """What one key leads to, and how much of it there was."""

    action: str
    arguments: tuple[Any, ...]
    label: str = ""
    """Table and key, for people."""
    packets: int = 0
    bytes: int = 0


@dataclass(eq=False, slots=True)
class TableState:
    """A table and what it holds. LPM and ternary fields are kept as (value, mask)."""

    node: n.Table
    owner: Any
    exact: dict[tuple[int, ...], Entry] = field(default_factory=dict)
    masked: list[tuple[tuple[tuple[int, int], ...], Entry]] = field(default_factory=list)
    default: tuple[Any, ...] | None = None
    """Arguments of the default action, where a controller set them."""

    def look_up(self, values: list[Bits]) -> Entry | None:
        """The entry for a key; of several the first (const entries) or the longest prefix."""
        key = tuple(value.raw for value in values)
        if self.exact:
            return self.exact.get(key)
        for fields, entry in self.masked:
            if all(
                value & mask == wanted for value, (wanted, mask) in zip(key, fields, strict=True)
            ):
                return entry
        return None

    def insert(self, key: tuple[int | tuple[int, int], ...], bits: list[int], entry: Entry) -> None:
        """An entry as a controller writes it: numbers, or (value, prefix length)."""
        if all(isinstance(each, int) for each in key):
            self.exact[tuple(each for each in key if isinstance(each, int))] = entry
            return
        fields = []
        for each, width in zip(key, bits, strict=True):
            value, length = each if isinstance(each, tuple) else (each, width)
            fields.append((value, ((1 << length) - 1) << (width - length)))
        self.masked.append((tuple(fields), entry))
        self.masked.sort(key=lambda item: -item[0][0][1])
