"""What a switch says of itself: its software, the size of its tables, its meters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdnblock.switches.driver import Capacity, TableKind
from sdnblock.switches.openflow import answers, pipeline, questions, tables
from sdnblock.switches.openflow.channel import Refused
from sdnblock.switches.openflow.meters import Meters
from sdnblock.switches.openflow.questions import Multipart
from sdnblock.switches.settings import SwitchSettings

_UNKNOWN_SIZE: Final = 1 << 20
"""Entries that a switch is taken to hold which does not say how many."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Of one switch. ``capacity``: entries share one table, so it may fill up before."""

    software: str
    capacity: Capacity
    meters: Meters


async def read_inventory(multipart: Multipart, settings: SwitchSettings) -> Inventory:
    """Ask for everything. Raises BadAnswer, and as ``multipart`` does."""
    software = answers.parse_description(b"".join(await multipart(questions.DESCRIPTION)))
    meters = await _meters(multipart)
    size = max(0, await _table_size(multipart) - pipeline.in_filter(settings))
    kinds = [(kind, family) for kind in TableKind for family in (4, 6)]
    return Inventory(software, Capacity(dict.fromkeys(kinds, size), meters.count), meters)


async def _meters(multipart: Multipart) -> Meters:
    """What meters there are to allot; none where the switch knows none."""
    try:
        parts = await multipart(questions.METER_FEATURES)
    except Refused:
        return Meters(0)
    return Meters(answers.parse_meter_features(b"".join(parts)))


async def _table_size(multipart: Multipart) -> int:
    try:
        parts = await multipart(questions.TABLE_FEATURES)
    except Refused:
        return _UNKNOWN_SIZE
    for part in parts:
        size = answers.parse_table_sizes(part).get(tables.FILTER)
        if size:
            return size
    return _UNKNOWN_SIZE
