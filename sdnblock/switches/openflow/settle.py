"""What a switch should hold besides blocks, made so at connect. See ``flows`` for the tables."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from sdnblock.block import Action
from sdnblock.errors import SwitchError
from sdnblock.switches.openflow import answers, requests
from sdnblock.switches.openflow.answers import BadAnswer
from sdnblock.switches.openflow.channel import Channel, Refused
from sdnblock.switches.openflow.entries import Build, Entries, Found, Limits
from sdnblock.switches.openflow.flows import (
    FILTER_TABLE,
    FORWARD_TABLE,
    NORMAL,
    WHOLE_PACKET,
    Command,
    Use,
    flow_mod,
    goto,
    output,
)
from sdnblock.switches.openflow.matches import (
    ETH_DST,
    IN_PORT,
    field,
    target_match,
    target_priority,
)
from sdnblock.switches.openflow.meters import Meters
from sdnblock.switches.openflow.refusals import describe
from sdnblock.switches.settings import SwitchSettings

TRUSTED: Final = 65000
"""Above everything: what comes from our side is never blocked."""
_FORWARD: Final = 1000
_REST: Final = 1
"""Above the lowest, so that nobody's table-miss flow is replaced."""
_METER_EXISTS: Final = (12, 1)

_log = logging.getLogger(__name__)

_Key = tuple[int, int, bytes]


async def read_meters(channel: Channel) -> Meters:
    """What meters there are to allot; none where the switch knows none. Raises SwitchLost."""
    try:
        parts = await channel.multipart(requests.meter_features)
        return Meters(answers.parse_meter_features(b"".join(parts)))
    except Refused:
        return Meters(0)


async def limits_of(channel: Channel, settings: SwitchSettings) -> Limits:
    """Limits by the settings; samples only where the switch bounds them with a meter (5.7.1)."""
    sample: int | None = None
    if settings.sample_rate:
        rate = settings.sample_rate, settings.sample_burst
        for build in (requests.add_meter, requests.modify_meter):
            errors = await channel.batch([partial(_meter, build, rate)])
            if not errors:
                sample = settings.sample_bytes or WHOLE_PACKET
                break
            if (errors[0].type, errors[0].code) != _METER_EXISTS:
                _log.warning(
                    "%s: no meter for packets to the controller, so watched packets are only"
                    " counted: %s",
                    channel.label, describe(errors[0]),
                )  # fmt: skip
                break
    return Limits(settings.limit_rate, settings.limit_burst, sample)


async def settle(
    channel: Channel, settings: SwitchSettings, meters: Meters, entries: Entries, limits: Limits
) -> Found:
    """Flows and meters that are not blocks; what is installed besides. Raises SwitchError."""
    found = await entries.read()
    if found.odd:
        _log.warning("%s: %d flows of ours are not as we make them", channel.label, len(found.odd))
        await channel.batch(
            [
                partial(flow_mod, Command.DELETE_STRICT, Use(s.cookie & 0xFF), s.table,
                        s.priority, s.match, b"")
                for s in found.odd
                if s.cookie & 0xFF in set(Use)
            ]
        )  # fmt: skip
    entries.adopt(found)
    await _settle_meters(channel, meters, found, limits)
    await channel.batch([_again(entries, found, target) for target in found.outdated])
    wanted = _wanted(settings)
    present: dict[_Key, bytes] = {
        (s.table, s.priority, s.match): s.instructions for s in found.settings
    }
    for table in (FORWARD_TABLE, FILTER_TABLE):  # where packets go on to is there first
        keys = [key for key in wanted if key[0] == table and present.get(key) != wanted[key]]
        errors = await channel.batch([_setting(Command.ADD, key, wanted[key]) for key in keys])
        if errors:
            raise SwitchError(f"{channel.label}: our settings: {describe(min_error(errors))}")
    stale = [key for key in present if key not in wanted]
    await channel.batch([_setting(Command.DELETE_STRICT, key, b"") for key in stale])
    return found


def min_error(errors: dict[int, answers.ErrorAnswer]) -> answers.ErrorAnswer:
    """The first of a batch's errors."""
    return errors[min(errors)]


async def _settle_meters(channel: Channel, meters: Meters, found: Found, limits: Limits) -> None:
    """Meters that no flow of ours uses go; the others get the present rate."""
    if not meters.count:
        return
    used = set(found.meters.values())
    builds: list[Build] = []
    try:
        for part in await channel.multipart(requests.meter_configs):
            for meter in answers.parse_meter_configs(part):
                if not meters.owns(meter.meter):
                    continue
                if meter.meter not in used:
                    builds.append(partial(requests.delete_meter, meter=meter.meter))
                elif not meter.plain or (meter.rate, meter.burst) != (limits.rate, limits.burst):
                    builds.append(
                        partial(requests.modify_meter, meter=meter.meter,
                                rate=limits.rate, burst=limits.burst)
                    )  # fmt: skip
    except BadAnswer as error:
        raise SwitchError(f"{channel.label}: {error}") from None
    await channel.batch(builds)


def _again(entries: Entries, found: Found, target: object) -> Build:
    action: Action = found.installed.blocks[target]  # type: ignore[index]
    return partial(
        flow_mod, Command.MODIFY_STRICT, Use.BLOCK, FILTER_TABLE,
        target_priority(target), target_match(target),  # type: ignore[arg-type]
        entries.instructions(target, action),  # type: ignore[arg-type]
    )  # fmt: skip


def _wanted(settings: SwitchSettings) -> dict[_Key, bytes]:
    """Our flows that are not blocks: (table, priority, match) to instructions."""
    wanted: dict[_Key, bytes] = {
        (FORWARD_TABLE, _FORWARD, field(ETH_DST, mac)): output(port)
        for mac, port in settings.forward.items()
    }
    wanted[FORWARD_TABLE, _REST, b""] = output(NORMAL)
    for port in settings.trusted_ports:
        wanted[FILTER_TABLE, TRUSTED, field(IN_PORT, port.to_bytes(4, "big"))] = goto(FORWARD_TABLE)
    wanted[FILTER_TABLE, _REST, b""] = goto(FORWARD_TABLE)
    return wanted


def _setting(command: Command, key: _Key, instructions: bytes) -> Build:
    table, priority, match = key
    return partial(flow_mod, command, Use.SETTING, table, priority, match, instructions)


def _meter(build: object, rate: tuple[int, int], xid: int) -> bytes:
    made: bytes = build(xid, requests.CONTROLLER_METER, *rate)  # type: ignore[operator]
    return made
