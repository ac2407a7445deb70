"""Kamailio's events, read from Redis for ever, to the detectors.

``events`` are judged one by one; ``rate_events`` are counted per source, as switches count
requests. While another controller reads them there is nothing to do but to wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from sdnblock.blocklist.connect import open_redis
from sdnblock.blocklist.kamailio import Batch, Event, KamailioLists
from sdnblock.blocklist.settings import RedisSettings
from sdnblock.controller.backoff import Backoff
from sdnblock.detect.window import RequestWindow
from sdnblock.errors import BlockListError
from sdnblock.evidence.events import Evidence
from sdnblock.evidence.kamailio import (
    FIELDS,
    SOURCE,
    TIMESTAMP,
    EventError,
    event_second,
    event_source,
    read_event,
)
from sdnblock.evidence.tally import Tally

_log = logging.getLogger(__name__)

_POLL: Final = 0.1
_WAIT: Final = 1.0
"""Between two looks whether the controller that reads is still there."""
_TURN: Final = 50
_REPORT: Final = 60.0
"""Seconds between two lines in the log; the first one comes sooner."""
_REPORT_FIRST: Final = 5.0


class KamailioReader:
    """Reads as long as the lease is ours. ``ours`` says whether an address is on our side."""

    def __init__(
        self,
        redis: RedisSettings,
        prefix: str,
        ours: Callable[[bytes], bool],
        window: RequestWindow,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._ours = ours
        self.window = window
        """Counts requests; may be exchanged."""
        self.tally = Tally()
        self._next_report = time.monotonic() + _REPORT_FIRST

    async def run(self, see: Callable[[Evidence], None]) -> None:
        """Read for ever; Redis may come and go."""
        backoff, said = Backoff(0.2, 5.0), ""
        while True:
            try:
                redis = await open_redis(self._redis)
                try:
                    lists = KamailioLists(redis, self._redis.place, self._prefix, FIELDS)
                    await self._read(lists, see, backoff)
                finally:
                    await redis.aclose()
            except BlockListError as error:
                if str(error) != said:
                    said = str(error)
                    _log.error("Kamailio's events: %s; waiting for it", error)
                self._report()
                await asyncio.sleep(backoff.wait())

    async def _read(
        self, lists: KamailioLists, see: Callable[[Evidence], None], backoff: Backoff
    ) -> None:
        reading: bool | None = None
        while True:
            batch = await lists.take()
            backoff.reset()
            if reading is not (batch is not None):
                reading = batch is not None
                _log.info(
                    "Kamailio's events are read %s", "here" if reading else "by another controller"
                )
            if batch is not None:
                await self._judge(batch, see)
            self._report()
            wait = _WAIT if batch is None else 0.0 if batch.full else _POLL
            await asyncio.sleep(wait)

    async def _judge(self, batch: Batch, see: Callable[[Evidence], None]) -> None:
        if batch.lost:
            self.tally.refuse("nobody read them in time", "the oldest", batch.lost)
        judged: set[bytes] = set()
        for number, event in enumerate(batch.rates):
            self._count(event, see)
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        for number, event in enumerate(batch.events):
            # The hash of a Call-ID tells only of the last of its requests.
            if event[0] not in judged:
                judged.add(event[0])
                self._see(event, see)
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)

    def _see(self, event: Event, see: Callable[[Evidence], None]) -> None:
        call_id, values = event
        if not any(values):
            self.tally.ignored["their hash gone already"] += 1
            return
        try:
            seen = read_event(call_id, values, time.time())
        except EventError as error:
            self.tally.refuse(str(error), ascii(call_id[:40]))
            return
        self.tally.judged += 1
        see(seen)

    def _count(self, event: Event, see: Callable[[Evidence], None]) -> None:
        _, values = event
        try:
            source = event_source(values[SOURCE])
            second = event_second(values[TIMESTAMP], time.time())
        except EventError:
            return  # told when it is judged
        if self._ours(source):
            return
        crossed = self.window.count(source, second, "Kamailio")
        if crossed is not None:
            see(crossed)

    def _report(self) -> None:
        if self.tally.refused and time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + _REPORT
            _log.warning("Kamailio's events: %s", self.tally.told())
