"""Looking into the configured switches, for people: directly, or through the controller.

A P4Runtime switch answers any client. An OpenFlow switch has connected to the controller:
while one reports, it is asked; while none does, we listen in its place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from sdnblock.blocklist.questions import SwitchRefused
from sdnblock.errors import BlockListError, SwitchError
from sdnblock.switches.reader import Reader
from sdnblock.switches.settings import SwitchSettings

if TYPE_CHECKING:
    from sdnblock.blocklist.store import Store
    from sdnblock.switches.openflow.listener import Listeners

OpenStore = Callable[[], AbstractAsyncContextManager["Store"]]


class Readers:
    """Opens readers; ``open_store`` the block list that the controller reports to."""

    def __init__(self, open_store: OpenStore) -> None:
        self._open_store = open_store
        self._listeners: Listeners | None = None

    @asynccontextmanager
    async def open(self, settings: SwitchSettings) -> AsyncIterator[Reader]:
        """A reader of one switch, for the time of the context. Raises SwitchError."""
        if settings.protocol == "openflow":
            try:
                async with self._openflow(settings) as reader:
                    yield reader
            except BlockListError as error:
                raise SwitchError(
                    f"switch {settings.name}: no way to its controller: {error}"
                ) from None
            return
        from sdnblock.switches.p4runtime.reader import open_reader

        async with open_reader(settings) as reader:
            yield reader

    @asynccontextmanager
    async def _openflow(self, settings: SwitchSettings) -> AsyncIterator[Reader]:
        from sdnblock.switches.openflow import reader
        from sdnblock.switches.openflow.listener import Listeners

        name = settings.name
        async with self._open_store() as store:
            status = await store.status_of(name)
            if status is None:
                self._listeners = self._listeners or Listeners()
                async with reader.directly(settings, self._listeners.of(settings)) as found:
                    yield found
                return
            if status.get("role") == "disconnected":
                why = status.get("last_error")
                raise SwitchError(
                    why
                    if isinstance(why, str)
                    else f"switch {name}: not connected to its controller"
                )

            async def relay(question: str) -> list[bytes]:
                try:
                    return await store.questions.ask(name, question)
                except SwitchRefused as error:
                    raise reader.refused(error, error.details) from None

            yield await reader.through_controller(settings, relay)
