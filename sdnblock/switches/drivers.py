"""A driver for every switch, by its protocol."""

from __future__ import annotations

from sdnblock.switches.driver import Driver
from sdnblock.switches.openflow.driver import OpenFlowDriver
from sdnblock.switches.openflow.listener import Listeners
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.settings import SwitchSettings


class Drivers:
    """Makes drivers; OpenFlow switches that connect to the same address share a listener."""

    def __init__(self) -> None:
        self._listeners = Listeners()

    def make(self, settings: SwitchSettings) -> Driver:
        """The driver of one switch. Call within a running event loop."""
        if settings.protocol == "openflow":
            return OpenFlowDriver(settings, self._listeners.of(settings))
        return P4RuntimeDriver(settings)
