"""What a switch holds besides blocks and allow entries: sides, SIP ports, copies, forwarding.

Pure. Table SERVICE tells sides and SIP: what comes from a trusted port goes on to FORWARD,
everything else to FILTER. There, below all blocks, is the SIP that no entry hits; it is
copied to us. A switch without the means to copy has the same flows without the copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sdnblock.switches.openflow import tables
from sdnblock.switches.openflow.answers import FlowRemoved
from sdnblock.switches.openflow.flows import NORMAL, FlowStats, Use, goto, output
from sdnblock.switches.openflow.matches import (
    ETH_DST,
    BadMatch,
    field,
    parse_fields,
    port_match,
    sip_match,
)
from sdnblock.switches.settings import SwitchSettings

_TRUSTED_SIP: Final = 300
_TRUSTED: Final = 200
_SIP: Final = 100
_MAC: Final = 100
_REST: Final = 1
"""Above the lowest, so that nobody's table-miss flow is replaced."""

Key = tuple[int, int, object]
"""What names a flow: its table, its priority, and its match in any order of fields."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Instructions that copy a packet to us, by the reason for it; empty: none is copied."""

    watched: bytes = b""
    first: bytes = b""
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Setting:
    """One flow that is wanted."""

    use: Use
    table: int
    priority: int
    match: bytes
    instructions: bytes


def wanted(settings: SwitchSettings, copies: Copies) -> dict[Key, Setting]:
    """The flows; those of later tables first, so that where packets go on to is there."""
    flows = [*_forward(settings), *_filter(settings, copies), *_service(settings, copies)]
    return {key(flow): flow for flow in flows}


def in_filter(settings: SwitchSettings) -> int:
    """How many of the flows are in the table of the blocks."""
    return sum(1 for _ in _filter(settings, Copies()))


def key(flow: Setting | FlowStats | FlowRemoved) -> Key:
    """What names a flow, however a switch has ordered the fields of its match."""
    try:
        return flow.table, flow.priority, frozenset(parse_fields(flow.match).items())
    except BadMatch:
        return flow.table, flow.priority, flow.match


def differences(
    want: Mapping[Key, Setting], held: Iterable[FlowStats]
) -> tuple[list[Setting], list[FlowStats]]:
    """Flows to be written, and flows that we hold and do not want (any more)."""
    missing = dict(want)
    surplus = []
    for stats in held:
        name = key(stats)
        flow = want.get(name)
        if flow is None:
            surplus.append(stats)
        elif (flow.use.cookie, flow.instructions) == (stats.cookie, stats.instructions):
            missing.pop(name, None)
    return list(missing.values()), surplus


def _forward(settings: SwitchSettings) -> Iterable[Setting]:
    for mac, port in settings.forward.items():
        match = field(ETH_DST, mac)
        yield Setting(Use.SETTING, tables.FORWARD, _MAC, match, output(port))
    yield Setting(Use.SETTING, tables.FORWARD, _REST, b"", output(NORMAL))


def _filter(settings: SwitchSettings, copies: Copies) -> Iterable[Setting]:
    onward = goto(tables.FORWARD)
    for protocol, port in settings.sip_ports:
        for family in (4, 6):
            match = sip_match(family, protocol, destination=port)
            yield Setting(Use.FIRST, tables.FILTER, _SIP, match, copies.first + onward)
    yield Setting(Use.SETTING, tables.FILTER, _REST, b"", onward)


def _service(settings: SwitchSettings, copies: Copies) -> Iterable[Setting]:
    for trusted in settings.trusted_ports:
        onward, ours = goto(tables.FORWARD), port_match(trusted)
        for protocol, port in settings.sip_ports:
            for family in (4, 6):
                yield Setting(
                    Use.SIP_OUT, tables.SERVICE, _TRUSTED_SIP,
                    ours + sip_match(family, protocol, source=port), copies.answer + onward,
                )  # fmt: skip
        yield Setting(Use.SETTING, tables.SERVICE, _TRUSTED, ours, onward)
    filtered = goto(tables.FILTER)
    for protocol, port in settings.sip_ports:
        for family in (4, 6):
            match = sip_match(family, protocol, destination=port)
            yield Setting(Use.SIP_IN, tables.SERVICE, _SIP, match, filtered)
    yield Setting(Use.SETTING, tables.SERVICE, _REST, b"", filtered)
