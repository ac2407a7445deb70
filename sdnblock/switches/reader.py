"""A look into one switch, whatever it speaks: nothing is written, no say in it is claimed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sdnblock.block import Action, Prefix, Source, Target
from sdnblock.switches.driver import Capacity, Installed


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry that a switch holds; ``action`` None: of the allowlist.

    ``packets`` and ``bytes`` since it was inserted; ``bytes`` None: the switch counts only
    packets there. ``table`` is its kind and family, as ``source_v4``.
    """

    table: str
    target: Target
    action: Action | None
    packets: int
    bytes: int | None


class Reader(Protocol):
    """Methods raise SwitchError."""

    @property
    def description(self) -> str:
        """What runs there, and how it is read, for people."""

    @property
    def capacity(self) -> Capacity:
        """Entries that the switch can hold, as ``Driver.capacity`` says."""

    @property
    def foreign(self) -> int:
        """Entries met so far in our tables that sdnblock cannot have written."""

    @property
    def limiters(self) -> int:
        """Entries met so far that limit: each takes one of ``capacity.limiters``."""

    def entries(self, *, counters: bool = True) -> AsyncIterator[list[Entry]]:
        """Every allow and block entry, in bounded lists."""

    async def installed(self) -> Installed:
        """Everything of ours that the switch holds."""

    async def entry(self, target: Target) -> Entry | None:
        """The block entry of one target, None if there is none."""

    async def packet_counters(self) -> dict[str, dict[str, int]]:
        """Pipeline-wide packet counters, as ``Driver.read_packet_counters`` says."""


async def gather_installed(reader: Reader) -> Installed:
    """:meth:`Reader.installed`, from what :meth:`Reader.entries` gives."""
    installed = Installed()
    async for entries in reader.entries(counters=False):
        for entry in entries:
            if entry.action is not None:
                installed.blocks[entry.target] = entry.action
            elif isinstance(entry.target, (Source, Prefix)):
                installed.allows.add(entry.target)
    return installed
