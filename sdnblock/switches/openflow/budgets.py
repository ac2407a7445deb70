"""How packets are copied to us within budgets, by what a switch can do.

OpenFlow 1.3's meters drop what exceeds them, the packet itself and not its copy, and its
one meter for copies (OFPM_CONTROLLER, 7.3.4.4) is shared by all of them. Open vSwitch has an
action with a meter of its own: there watched packets, first requests and our answers
each have a budget, so that a flood of one starves no other. Elsewhere all share one. Where
that does not exist either, nothing is copied: no flood may reach us.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from sdnblock.switches.openflow import requests, tables
from sdnblock.switches.openflow.answers import ErrorAnswer
from sdnblock.switches.openflow.channel import Channel
from sdnblock.switches.openflow.flows import (
    CONTROLLER,
    WHOLE_PACKET,
    Command,
    Use,
    flow_mod,
    metered_copy,
    output,
)
from sdnblock.switches.openflow.matches import ETH_TYPE, field, port_match
from sdnblock.switches.openflow.pipeline import Copies
from sdnblock.switches.openflow.refusals import METER_EXISTS, describe
from sdnblock.switches.settings import SwitchSettings

_NOTHING: Final = port_match(0xFE00) + field(ETH_TYPE, b"\x88\xb5")
"""A match of no packet: from a port that there is not, of a type for experiments."""

_log = logging.getLogger(__name__)

_Rate = tuple[int, int]
"""Packets a second, and at once."""


async def copies_of(channel: Channel, settings: SwitchSettings, meters: Sequence[int]) -> Copies:
    """Meters for the budgets, made so, and what copies through them. Raises SwitchLost.

    ``meters``: ids for watched packets, first requests and answers.
    """
    first = settings.first
    watched = (settings.sample_rate, settings.sample_burst)
    rates: list[_Rate | None] = [
        watched if settings.sample_rate else None,
        *([(first.rate, first.burst) if first.packets else None] * 2),
    ]
    if not any(rates):
        return Copies()
    longest = settings.sample_bytes or WHOLE_PACKET
    wanted = dict(zip(meters, rates, strict=False))
    if len(meters) == len(rates) and await _metered(channel, wanted, longest):
        return Copies(
            *(metered_copy(meter, longest) if rate else b"" for meter, rate in wanted.items())
        )
    given = [rate for rate in rates if rate]
    shared = sum(rate for rate, _ in given), sum(burst for _, burst in given)
    error = await _meter(channel, requests.CONTROLLER_METER, shared)
    if error is not None:
        _log.warning(
            "%s: it cannot meter packets to the controller, so none are copied to us,"
            " and detectors see nothing of it: %s",
            channel.label, describe(error),
        )  # fmt: skip
        return Copies()
    _log.info("%s: all packets copied to us share one budget", channel.label)
    return Copies(*(output(CONTROLLER, longest) if rate else b"" for rate in rates))


async def _metered(channel: Channel, wanted: dict[int, _Rate | None], longest: int) -> bool:
    """Whether the switch takes copies that have meters of their own; the meters are there then."""
    for meter, rate in wanted.items():
        if rate is not None and await _meter(channel, meter, rate) is not None:
            return False
    meter = next(meter for meter, rate in wanted.items() if rate is not None)
    trial = (Use.SETTING, tables.FORWARD, 1, _NOTHING)
    errors = await channel.batch(
        [
            partial(flow_mod, Command.ADD, *trial, metered_copy(meter, longest)),
            partial(flow_mod, Command.DELETE_STRICT, *trial, b""),
        ]
    )
    return 0 not in errors


async def _meter(channel: Channel, meter: int, rate: _Rate) -> ErrorAnswer | None:
    """A meter, added or changed; the error if it cannot be."""
    errors = await channel.batch([partial(_mod, requests.add_meter, meter, rate)])
    if 0 in errors and (errors[0].type, errors[0].code) == METER_EXISTS:
        errors = await channel.batch([partial(_mod, requests.modify_meter, meter, rate)])
    return errors.get(0)


def _mod(build: requests.MeterMod, meter: int, rate: _Rate, xid: int) -> bytes:
    return build(xid, meter, *rate)
