"""What the controller needs of a switch: the one protocol every driver implements.

A driver is the client of one southbound protocol (P4Runtime, OpenFlow). It
knows its protocol and nothing of origins, reasons or expiry. The controller
calls it from one task per switch, never concurrently, except
:meth:`Driver.read_counters` and :meth:`Driver.read_installed`, which may run while
writes go on, and :meth:`Driver.close`, which may come at any time.

Life of a session::

    await driver.connect()      # returns once we may write (primary / master)
    state = await driver.read_installed()
    failures = await driver.write([...])    # as often as wanted
    ... until SwitchLost is raised, or close() is called; then connect() again

Priority is the driver's to guarantee: allow above flow above source above
prefix (longest first), whatever order entries arrive in.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, runtime_checkable

from sdnblock.block import Action, Flow, Prefix, Source, Target
from sdnblock.errors import SwitchError
from sdnblock.evidence.events import SwitchEvidence


class SwitchLost(SwitchError):
    """The session ended: connection lost, primary lost, or the switch restarted.

    Everything in flight is in doubt; connect() again and read what is installed.
    """


class TableKind(enum.Enum):
    """The tables that have a capacity of their own, per address family."""

    ALLOW = "allow"
    FLOW = "flow"
    SOURCE = "source"
    PREFIX = "prefix"

    __hash__ = object.__hash__  # as for Action


TableKey = tuple[TableKind, int]
"""A table: its kind, and the address family 4 or 6."""

_TABLES: Final[dict[type[Target], dict[int, TableKey]]] = {
    type_: {4: (kind, 4), 16: (kind, 6)}
    for type_, kind in (
        (Source, TableKind.SOURCE), (Prefix, TableKind.PREFIX), (Flow, TableKind.FLOW),
    )
}  # fmt: skip
"""By type and length of address."""


def table_of(target: Target) -> TableKey:
    """The table that holds the entry of a blocked target."""
    address = target.source if isinstance(target, Flow) else target.address
    return _TABLES[type(target)][len(address)]


def allow_table_of(prefix: Source | Prefix) -> TableKey:
    """The table that holds an allowlist entry."""
    return TableKind.ALLOW, prefix.family


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many entries a switch can hold: by (table kind, family 4 or 6), and limiters.

    ``limiters`` is the number of targets that can be under ``limit`` at once
    (P4 meter cells, OpenFlow meters), over all tables.
    """

    tables: dict[TableKey, int]
    limiters: int


class Op(enum.Enum):
    """What a change does to one entry."""

    INSERT = "insert"
    MODIFY = "modify"
    DELETE = "delete"


class BlockChange(NamedTuple):
    """Insert, modify or delete the entry of a blocked target.

    ``action`` is the wanted action; for DELETE it is ignored.
    """

    op: Op
    target: Target
    action: Action


class AllowChange(NamedTuple):
    """Insert or delete an allowlist entry (MODIFY is not used)."""

    op: Op
    prefix: Source | Prefix


Change = BlockChange | AllowChange


def target_of(change: Change) -> Target:
    """What a change's entry is about."""
    return change.prefix if isinstance(change, AllowChange) else change.target


class FailureKind(enum.Enum):
    """Why one change was refused, told apart as far as the controller acts on it."""

    EXISTS = "already there"
    MISSING = "not there"
    FULL = "table full"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Failure:
    """One change that the switch refused, and its words."""

    change: Change
    kind: FailureKind
    message: str


@dataclass(slots=True)
class Installed:
    """What a switch holds of ours."""

    blocks: dict[Target, Action] = field(default_factory=dict)
    allows: set[Source | Prefix] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Count:
    """Packets and bytes that hit one entry since it was inserted (frames without FCS).

    No bytes where the switch counts only packets.
    """

    target: Target
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """A switch, as shown to people: what it is and how it is doing."""

    description: str
    role: str
    """``primary``, ``backup`` or ``disconnected``."""
    capacity: Capacity | None


class Driver(Protocol):
    """One switch, spoken to in one protocol."""

    @property
    def name(self) -> str:
        """The switch's name from the configuration."""

    @property
    def status(self) -> Status:
        """The present state; never blocks, never raises."""

    @property
    def capacity(self) -> Capacity:
        """Entries the connected switch can hold. Raises SwitchLost if never connected."""

    async def connect(self) -> None:
        """Connect, win the right to write, make the pipeline and its settings ours.

        One attempt: the caller backs off and tries again. While another
        controller is primary this waits as a backup (``status.role`` says so)
        and returns once we are primary. Settings of the switch that are not
        blocks (port sides, forwarding, SIP ports, meters, sampling, thresholds)
        are reconciled here, without a moment in which an installed entry is
        missing, unless the switch's pipeline has to be replaced.

        Raises SwitchError with a line for people when the switch cannot be
        reached or does not fit.
        """

    def on_disturbed(self, call: Callable[[], None]) -> None:
        """Call ``call``, from now on, when the switch tells that entries of ours have gone
        (or changed) without our doing: somebody else removed them, or the switch made room.

        The controller then reads what is installed and compares, soon. Protocols that tell
        nothing of the kind never call it. ``call`` only sets a flag.
        """

    async def read_installed(self) -> Installed:
        """Everything of ours that the switch holds. Raises SwitchLost.

        What is written while this runs may be in the answer as it was before, or after:
        the caller knows better. The driver's own books must not suffer from it.
        """

    async def write(self, changes: Sequence[Change]) -> list[Failure]:
        """Apply changes; the ones that failed come back, each with its reason.

        Order within one call is not guaranteed: dependent changes go in
        separate calls. A change not named in the result is in force in the
        switch when this returns. Raises SwitchLost if the outcome is unknown.
        """

    def read_counters(self) -> AsyncIterator[list[Count]]:
        """Counters of every installed block entry, in bounded lists. Raises SwitchLost."""

    async def read_packet_counters(self) -> dict[str, dict[str, int]]:
        """Pipeline-wide packet counters for people: group -> name -> packets.

        Groups: ``sip_port`` (``udp/5060``), ``message_in``, ``message_out``
        (kind names), ``verdict``. Raises SwitchLost.
        """

    def evidence(self) -> AsyncIterator[SwitchEvidence]:
        """Evidence as it arrives, over all sessions of this driver, until close().

        Bounded: what the consumer is too slow for is dropped and counted.
        """

    async def close(self) -> None:
        """End the session and free everything. Entries stay in the switch."""


@runtime_checkable
class Relay(Protocol):
    """What a driver also is whose switch only the controller can reach, because it connects
    to us: the command line then reads the switch through the controller.
    """

    async def relay(self, question: str) -> list[bytes]:
        """The switch's answer to a question that only reads, in parts.

        Question and parts are the protocol's own business; its reader knows them. May run
        while writes go on. Raises SwitchError: not connected, refused, or not a question.
        """
