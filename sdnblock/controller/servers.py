"""What SIP servers tell: HEP, and Kamailio's events in Redis."""

from __future__ import annotations

import asyncio

from sdnblock.config import Config
from sdnblock.controller.hep import HepServer
from sdnblock.controller.judging import Judging
from sdnblock.controller.kamailio import KamailioReader
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.request_rate import RequestRateSettings
from sdnblock.detect.sides import Sides
from sdnblock.detect.window import RequestWindow


class Servers:
    """The ways that the configuration opens, none of them by default."""

    def __init__(self, config: Config, sides: Sides) -> None:
        self.hep = HepServer(config.hep) if config.hep.enabled else None
        self.kamailio: KamailioReader | None = None
        if config.kamailio.enabled:
            redis = config.kamailio.redis or config.redis
            self.kamailio = KamailioReader(
                redis, config.kamailio.prefix, sides.ours, _window(config.detect)
            )

    def open(self) -> None:
        """Listen, where there is something to listen to. Raises SdnblockError."""
        if self.hep is not None:
            self.hep.open()

    def close(self) -> None:
        """Stop listening."""
        if self.hep is not None:
            self.hep.close()

    def configure(self, settings: DetectSettings) -> None:
        """New settings of the detectors."""
        if self.kamailio is not None:
            self.kamailio.window = _window(settings)

    async def run(self, judging: Judging) -> None:
        """Judge what comes for ever."""
        await judging.wait_ready()
        async with asyncio.TaskGroup() as group:
            if self.hep is not None:
                group.create_task(self.hep.run(judging.see), name="HEP")
            if self.kamailio is not None:
                group.create_task(self.kamailio.run(judging.see), name="Kamailio's events")


def _window(settings: DetectSettings) -> RequestWindow:
    rate = settings.of(RequestRateSettings)
    return RequestWindow(rate.threshold if rate.enabled else 0, rate.window)
