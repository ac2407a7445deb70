"""Looking into an OpenFlow switch: through the controller that it is connected to.

Where no controller runs, the reader listens in its place, and reads with no role of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from sdnblock.block import Target
from sdnblock.errors import SwitchError
from sdnblock.switches.driver import Capacity, Installed
from sdnblock.switches.openflow import questions, tables
from sdnblock.switches.openflow.answers import ErrorAnswer
from sdnblock.switches.openflow.channel import Refused
from sdnblock.switches.openflow.counters import read_packet_counters
from sdnblock.switches.openflow.flows import BadAnswer, FlowStats
from sdnblock.switches.openflow.found import Held, is_ours, read_flows, read_held
from sdnblock.switches.openflow.inventory import Inventory, read_inventory
from sdnblock.switches.openflow.listener import Listener
from sdnblock.switches.openflow.matches import BadMatch
from sdnblock.switches.openflow.questions import Multipart, Question
from sdnblock.switches.reader import Entry, gather_installed
from sdnblock.switches.settings import SwitchSettings

_CHUNK: Final = 1000
_PATIENCE: Final = 10.0
"""Seconds that a switch has to connect: Open vSwitch tries every eight."""

RelayTo = Callable[[str], Awaitable[list[bytes]]]
"""``Relay.relay`` of the controller's driver, from afar."""


class OpenFlowReader:
    """One switch; implements :class:`sdnblock.switches.reader.Reader`."""

    def __init__(self, multipart: Multipart, inventory: Inventory, label: str, way: str) -> None:
        """Use :func:`through_controller` or :func:`directly`."""
        self._multipart = multipart
        self._inventory = inventory
        self._label = label
        self._way = way
        self._foreign = 0
        self._limiters = 0

    @property
    def description(self) -> str:
        """What the switch is, and how it is read."""
        return f"OpenFlow 1.3, {self._inventory.software}, {self._way}"

    @property
    def capacity(self) -> Capacity:
        """Entries by the switch's own word; they share one table."""
        return self._inventory.capacity

    @property
    def foreign(self) -> int:
        """Flows met so far that are not ours, in our table."""
        return self._foreign

    @property
    def limiters(self) -> int:
        """Limited targets met so far."""
        return self._limiters

    async def entries(self, *, counters: bool = True) -> AsyncIterator[list[Entry]]:
        """Every allow and block entry, at most a thousand in a list."""
        found: list[Entry] = []
        with _plain(self._label):
            async for stats in read_flows(self._multipart, questions.table(tables.FILTER)):
                held = self._held(stats)
                if held is None:
                    continue
                self._limiters += bool(held.meter)
                found.append(_entry(held))
                if len(found) >= _CHUNK:
                    yield found
                    found = []
        yield found

    async def installed(self) -> Installed:
        """Everything of ours that the switch holds."""
        return await gather_installed(self)

    async def entry(self, target: Target) -> Entry | None:
        """The block entry of one target, None if there is none."""
        with _plain(self._label):
            async for stats in read_flows(self._multipart, questions.target(target)):
                held = self._held(stats)
                if held is not None and held.action is not None and held.target == target:
                    return _entry(held)
        return None

    async def packet_counters(self) -> dict[str, dict[str, int]]:
        """Packet counters; see ``counters``."""
        with _plain(self._label):
            return await read_packet_counters(self._multipart, self._inventory.meters)

    def _held(self, stats: FlowStats) -> Held | None:
        if not is_ours(stats.cookie):
            self._foreign += stats.priority > 0
            return None
        try:
            return read_held(stats, self._inventory.meters.owns)
        except BadMatch:
            return None  # of the pipeline


async def through_controller(settings: SwitchSettings, relay: RelayTo) -> OpenFlowReader:
    """A reader that asks by way of the controller. Raises SwitchError."""

    async def multipart(question: Question) -> list[bytes]:
        return await relay(question.text)

    return await _reader(multipart, settings, "read through the controller")


def refused(error: SwitchError, details: Sequence[int]) -> SwitchError:
    """What a switch told the controller, as if it had told us."""
    if len(details) != 2 or not all(isinstance(each, int) for each in details):
        return error
    label, _, _ = str(error).rpartition(":")
    return Refused(label, ErrorAnswer(*details))


@asynccontextmanager
async def directly(settings: SwitchSettings, listener: Listener) -> AsyncIterator[OpenFlowReader]:
    """A reader that the switch itself connects to, for the time of the context.

    Raises SwitchError.
    """
    await listener.register(settings.datapath_id, settings.rpc_timeout)
    try:
        channel = await listener.next(settings.datapath_id, _PATIENCE)
        if channel is None:
            raise SwitchError(
                f"{_label(settings)}: no controller reports, and within {_PATIENCE:g} s it has not"
                f" connected to {settings.address} for being read"
            )
        channel.label = _label(settings)
        yield await _reader(channel.multipart, settings, "read directly")
    finally:
        await listener.unregister(settings.datapath_id)


async def _reader(multipart: Multipart, settings: SwitchSettings, way: str) -> OpenFlowReader:
    label = _label(settings)
    with _plain(label):
        inventory = await read_inventory(multipart, settings)
    return OpenFlowReader(multipart, inventory, label, way)


def _label(settings: SwitchSettings) -> str:
    return f"switch {settings.name} ({settings.datapath_id:016x})"


def _entry(held: Held) -> Entry:
    kind = "allow" if held.action is None else type(held.target).__name__.lower()
    table = f"{kind}_v{held.target.family}"
    return Entry(table, held.target, held.action, held.stats.packets, held.stats.bytes)


@contextmanager
def _plain(label: str) -> Iterator[None]:
    try:
        yield
    except BadAnswer as error:
        raise SwitchError(f"{label}: {error}") from None
