"""A switch brought to what it should hold besides blocks, and what it holds of those."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from sdnblock.errors import SwitchError
from sdnblock.switches.openflow import answers, questions, requests, tables
from sdnblock.switches.openflow.answers import MeterConfig
from sdnblock.switches.openflow.channel import Channel
from sdnblock.switches.openflow.entries import Entries
from sdnblock.switches.openflow.flows import Command, FlowStats, Use, flow_mod
from sdnblock.switches.openflow.found import Found, read_all
from sdnblock.switches.openflow.meters import Meters
from sdnblock.switches.openflow.pipeline import Key, Setting, differences
from sdnblock.switches.openflow.refusals import describe
from sdnblock.switches.openflow.requests import Build
from sdnblock.switches.settings import SwitchSettings

_ORDER: Final = (tables.FORWARD, tables.FILTER, tables.SERVICE)
"""Where packets go on to is there before them."""

_log = logging.getLogger(__name__)


class Settler:
    """Compares and writes settings over one channel; ``wanted`` as ``pipeline`` gives them."""

    def __init__(
        self,
        channel: Channel,
        settings: SwitchSettings,
        meters: Meters,
        entries: Entries,
        wanted: dict[Key, Setting],
    ) -> None:
        self._channel = channel
        self._settings = settings
        self._meters = meters
        self._entries = entries
        self._wanted = wanted
        self._others = 0

    async def settle(self) -> Found:
        """Flows and meters that are not blocks are as wanted; what was found. Raises SwitchError.

        The entries' books begin with what was found. Others may write while the flows are read;
        what they wrote is not in the answer.
        """
        with self._entries.reading() as meanwhile:
            found = await read_all(self._channel.multipart, self._meters.owns)
            async with self._entries.alone:
                self._tell(found)
                self._entries.adopt(found, meanwhile)
                await self._put_right(found)
        return found

    async def _put_right(self, found: Found) -> None:
        channel = self._channel
        other, idle = self._meters.unlike(
            await self._meter_configs(),
            set(found.meters.values()),
            self._settings.limit_rate,
            self._settings.limit_burst,
        )
        await channel.batch([self._rate(meter) for meter in other])
        watched = self._entries.watched()
        await channel.batch(
            [
                self._entries.rewatch(target)
                for target, instructions in found.instructions.items()
                if instructions != watched
            ]
        )
        missing, surplus = differences(self._wanted, found.settings)
        for table in _ORDER:
            await self._write([flow for flow in missing if flow.table == table])
        await channel.batch([_delete(flow) for flow in (*surplus, *found.odd)])
        await channel.batch([partial(requests.delete_meter, meter=meter) for meter in idle])

    async def _write(self, flows: list[Setting]) -> None:
        errors = await self._channel.batch([_add(flow) for flow in flows])
        if errors:
            raise SwitchError(
                f"{self._channel.label}: a flow of our pipeline, in table"
                f" {flows[min(errors)].table}: {describe(errors[min(errors)])}"
            )

    async def _meter_configs(self) -> list[MeterConfig]:
        if not self._meters.count:
            return []
        return [
            meter
            for part in await self._channel.multipart(questions.METERS)
            for meter in answers.parse_meter_configs(part)
        ]

    def _rate(self, meter: int) -> Build:
        return partial(
            requests.modify_meter,
            meter=meter,
            rate=self._settings.limit_rate,
            burst=self._settings.limit_burst,
        )

    def _tell(self, found: Found) -> None:
        label = self._channel.label
        if found.odd:
            _log.warning("%s: %d flows of ours are not as we make them", label, len(found.odd))
        if found.others and found.others != self._others:
            _log.warning(
                "%s: %d flows of somebody else are in tables %d and %d: they may let pass what"
                " is blocked, or drop what is allowed; such flows belong into table %d or later",
                label, found.others, tables.SERVICE, tables.FILTER, tables.FORWARD,
            )  # fmt: skip
        self._others = found.others


def _add(flow: Setting) -> Build:
    return partial(
        flow_mod, Command.ADD, flow.use, flow.table, flow.priority, flow.match, flow.instructions
    )


def _delete(flow: FlowStats) -> Build:
    # Deleting compares all of the cookie but its last byte.
    return partial(
        flow_mod, Command.DELETE_STRICT, Use.SETTING, flow.table, flow.priority, flow.match, b""
    )
