"""The rates of ``limit_meter``'s cells."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from finsy.proto import p4r, rpc_code

from sdnblock.errors import SwitchError
from sdnblock.switches.p4runtime.channel import MAX_UPDATES
from sdnblock.switches.p4runtime.configure import meter_entity, same_rates
from sdnblock.switches.p4runtime.errors import failure_text, plain
from sdnblock.switches.p4runtime.pipeline import Pipeline
from sdnblock.switches.p4runtime.session import Refused, Session
from sdnblock.switches.settings import SwitchSettings

_log = logging.getLogger(__name__)


class LimitMeters:
    """Gives every cell in use the rate and burst of the settings."""

    def __init__(
        self, session: Session, pipeline: Pipeline, settings: SwitchSettings, label: str
    ) -> None:
        """``label`` begins every message for people."""
        self._session = session
        self._meter = pipeline.schema.meters["limit_meter"]
        self._rate = max(1, settings.limit_rate)
        self._burst = max(1, settings.limit_burst)
        self._label = label

    async def write(self, cells: Sequence[int]) -> list[str | None]:
        """Write the rates of cells; for each, None or the switch's refusal. Raises SwitchLost."""
        results: list[str | None] = []
        for start in range(0, len(cells), MAX_UPDATES):
            batch = self._session.batch()
            for cell in cells[start : start + MAX_UPDATES]:
                update = batch.updates.add(type=p4r.Update.MODIFY)
                update.entity.CopyFrom(meter_entity(self._meter.id, cell, self._rate, self._burst))
            try:
                errors = await self._session.write(batch)
            except Refused as error:
                results += [plain(str(error))] * len(batch.updates)
                continue
            results += [
                None if error.canonical_code == rpc_code.OK else failure_text(error)
                for error in errors or [p4r.Error()] * len(batch.updates)
            ]
        return results

    async def reconcile(self, cells: set[int]) -> None:
        """Make the rates of ``cells`` what the settings say, leaving those that are right alone.

        Raises SwitchError if the switch refuses, SwitchLost.
        """
        if not cells:
            return
        stale = set(cells)
        wanted = meter_entity(self._meter.id, 0, self._rate, self._burst).meter_entry.config
        query = p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=self._meter.id))
        try:
            async for entities in self._session.read(query, self._meter.size):
                for entity in entities:
                    if same_rates(entity.meter_entry.config, wanted):
                        stale.discard(entity.meter_entry.index.index)
        except Refused as error:
            _log.info("%s; writing all rates", error)
        for text in await self.write(sorted(stale)):
            if text is not None:
                raise SwitchError(f"{self._label} refuses the rate of a limit: {text}")
