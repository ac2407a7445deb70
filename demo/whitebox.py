"""A switch of any kind, running in a network namespace."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Protocol

from demo.network import Stage
from demo.processes import Process, run
from demo.recipes import KINDS, Command, Daemon, Place


class Switch(Protocol):
    """A switch under a controller, whoever starts it."""

    @property
    def name(self) -> str:
        """Its name in the controller's configuration."""

    @property
    def config(self) -> str:
        """Its ``[[switch]]`` in the controller's configuration."""

    @property
    def processes(self) -> Sequence[Process]:
        """What runs of it, as far as we have started it."""

    def said(self) -> str:
        """What the daemon that handles the packets has logged."""

    async def start(self) -> None:
        """Start it, and return once it is ready for a controller. Raises CommandFailed."""

    async def stop(self) -> None:
        """Stop what was started."""


class WhiteBox:
    """Carries out the recipe of ``kind`` (see ``recipes.KINDS``) in the namespace of ``role``."""

    def __init__(self, stage: Stage, role: str, kind: str, place: Place) -> None:
        self.kind = kind
        self.place = place
        self.role = role
        self._stage = stage
        self._recipe = KINDS[kind](place)
        self.processes: list[Process] = []
        """What runs, in the order of its start; the last one handles the packets."""

    @property
    def name(self) -> str:
        """Its name in the controller's configuration."""
        return self.place.name

    @property
    def config(self) -> str:
        """Its ``[[switch]]`` in the controller's configuration."""
        return self._recipe.config

    def said(self) -> str:
        """What the daemon that handles the packets has logged."""
        return self.processes[-1].said() if self.processes else ""

    async def start(self) -> None:
        """Start it, and return once it is ready for a controller. Raises CommandFailed."""
        for step in self._recipe.steps:
            match step:
                case Command(argv):
                    await run(*self._stage.inside(self.role), *argv)
                case Daemon():
                    await self._begin(step)

    async def kill(self) -> None:
        """SIGKILL to the daemon that handles the packets."""
        engine = self.processes.pop()
        engine.signal(signal.SIGKILL)
        await engine.wait(5)

    async def revive(self) -> None:
        """Start the daemon again that :meth:`kill` has ended."""
        await self._begin(self._recipe.engine)

    async def stop(self) -> None:
        """Stop what was started."""
        for process in reversed(self.processes):
            await process.stop()
        self.processes.clear()

    async def _begin(self, daemon: Daemon) -> None:
        process = await self._stage.start(self.role, daemon.name, *daemon.argv)
        self.processes.append(process)
        await process.until_logged(daemon.ready)
