"""A driver for every switch, by its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdnblock.switches.driver import Driver
from sdnblock.switches.settings import SwitchSettings

if TYPE_CHECKING:
    from sdnblock.switches.openflow.listener import Listeners


class Drivers:
    """Makes drivers; a protocol is loaded when a switch speaks it."""

    def __init__(self) -> None:
        self._listeners: Listeners | None = None

    def make(self, settings: SwitchSettings) -> Driver:
        """The driver of one switch. Call within a running event loop."""
        if settings.protocol == "openflow":
            return self._openflow(settings)
        from sdnblock.switches.p4runtime.driver import P4RuntimeDriver

        return P4RuntimeDriver(settings)

    def _openflow(self, settings: SwitchSettings) -> Driver:
        from sdnblock.switches.openflow.driver import OpenFlowDriver
        from sdnblock.switches.openflow.listener import Listeners

        # Switches that connect to the same address share a listener.
        self._listeners = self._listeners or Listeners()
        return OpenFlowDriver(settings, self._listeners.of(settings))
