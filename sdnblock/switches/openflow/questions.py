"""What is read from a switch, as requests to it and as text for whoever asks through us.

Only what is in here can be asked through the controller, and all of it only reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from sdnblock.block import Target, parse_target
from sdnblock.errors import SwitchError, TargetError
from sdnblock.switches.openflow import requests, tables
from sdnblock.switches.openflow.flows import SHARES, block_cookie
from sdnblock.switches.openflow.matches import target_match
from sdnblock.switches.openflow.requests import Build

_LONGEST: Final = 200
_PLAIN: Final[Mapping[str, Build]] = {
    "description": requests.description,
    "table features": requests.table_features,
    "meter features": requests.meter_features,
    "meters": requests.meter_configs,
    "meter counters": requests.meter_stats,
    **{
        f"blocks {n}": partial(requests.flow_stats, table=tables.FILTER, cookie=block_cookie(n))
        for n in range(SHARES)
    },
    **{f"table {n}": partial(requests.flow_stats, table=n) for n in range(tables.COUNT)},
}


def _build(text: str) -> Build:
    plain = _PLAIN.get(text)
    if plain is not None:
        return plain
    what, _, rest = text[:_LONGEST].partition(" ")
    try:
        if what == "target":
            match = target_match(parse_target(rest))
            return partial(requests.flow_stats_of, table=tables.FILTER, match=match)
    except TargetError as error:
        raise SwitchError(f"an unreadable question: {error}") from None
    raise SwitchError(f"an unknown question: {text[:40]!a}")


class Question:
    """A reading request: builds the message with a given xid. Raises SwitchError: unknown."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._build = _build(text)

    def __call__(self, xid: int) -> bytes:
        """The message."""
        return self._build(xid)


Multipart = Callable[[Question], Awaitable[list[bytes]]]
"""Asks a switch; all parts of its answer. Raises Refused, SwitchLost."""

DESCRIPTION: Final = Question("description")
TABLE_FEATURES: Final = Question("table features")
METER_FEATURES: Final = Question("meter features")
METERS: Final = Question("meters")
METER_COUNTERS: Final = Question("meter counters")


def blocks(share: int) -> Question:
    """The flows of one share of the blocks."""
    return Question(f"blocks {share}")


def table(number: int) -> Question:
    """The flows of one of our tables."""
    return Question(f"table {number}")


def target(of: Target) -> Question:
    """The flows within a target, whatever they are for."""
    return Question(f"target {of}")
