"""What a scenario is, and what a data plane answers to it. Plain data, kept as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sdnblock.softswitch.dataplane import MeterRates
from tests.dataplane.packets import Packet

PORTS = 3
"""Ports of the switch under test; 3 is trusted where a scenario does not say otherwise."""

DIRECT = (
    "sip_port", "allow_v4", "allow_v6", "flow_v4", "flow_v6",
    "source_v4", "source_v6", "prefix_v4", "prefix_v6",
)  # fmt: skip
"""Tables with a direct counter."""

INDIRECT = ("message_in", "message_out", "verdict")


@dataclass(frozen=True)
class TableEntry:
    """An entry by name: ``key`` in the order of P4Info; LPM fields as (value, length)."""

    table: str
    key: tuple[int | tuple[int, int], ...]
    action: str
    params: tuple[int, ...] = ()


@dataclass
class Scenario:
    """A state of all tables, and packets sent one after the other."""

    name: str
    entries: list[TableEntry] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    policies: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Table without a key -> the arguments of its default entry; all zero if it is not there."""
    meters: dict[tuple[str, int], MeterRates] = field(default_factory=dict)
    """(Meter, cell) -> its rates."""
    sample: bool = False
    """Whether clone session 250 exists."""


@dataclass
class Answer:
    """What a data plane did."""

    verdicts: list[str] = field(default_factory=list)
    """``drop``, ``flood`` (the stack, for XDP), or the output port, for each packet."""
    direct: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """Table -> key -> [packets, bytes], entries that counted something."""
    indirect: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """Counter -> index -> [packets, bytes], cells that counted something."""
    digests: list[list[Any]] = field(default_factory=list)
    """[name, remote as hex, requests or score, port], in order for each name."""
    samples: list[list[Any]] = field(default_factory=list)
    """[port, reason, frame as hex], in order."""

    def to_json(self) -> dict[str, Any]:
        """For the recording."""
        return {**vars(self), "digests": sorted(self.digests, key=lambda digest: digest[0])}


def key_text(key: tuple[int | tuple[int, int], ...]) -> str:
    """A key as a name in JSON."""
    return ",".join(f"{k[0]:x}/{k[1]}" if isinstance(k, tuple) else f"{k:x}" for k in key)
