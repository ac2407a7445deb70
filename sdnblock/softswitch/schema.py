"""What a P4Info says, by id: tables, their fields and actions, and the other objects.

Pure; built once for each pipeline that is set. A P4Info from outside may be
anything: what cannot be understood is refused with INVALID_ARGUMENT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from finsy.proto import p4i

from sdnblock.softswitch.bytestring import decode
from sdnblock.softswitch.refusal import Refusal, invalid

EXACT: Final = "exact"
LPM: Final = "lpm"
TERNARY: Final = "ternary"

_KINDS: Final = {
    p4i.MatchField.EXACT: EXACT,
    p4i.MatchField.LPM: LPM,
    p4i.MatchField.TERNARY: TERNARY,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A match field; ``kind`` is ``exact``, ``lpm`` or ``ternary``."""

    id: int
    name: str
    bits: int
    kind: str

    @property
    def width(self) -> int:
        """Bytes in a data plane key."""
        return (self.bits + 7) // 8


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of an action."""

    id: int
    name: str
    bits: int


@dataclass(frozen=True, slots=True)
class ActionType:
    """An action and its parameters, in order."""

    id: int
    name: str
    params: tuple[Param, ...]


@dataclass(frozen=True, slots=True)
class ActionRef:
    """An action of a table, and whether entries and the default entry may have it."""

    action: ActionType
    in_entries: bool
    as_default: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``default`` is the default entry's action id and arguments at start."""

    id: int
    name: str
    fields: tuple[Field, ...]
    actions: dict[int, ActionRef]
    size: int
    default: tuple[int, tuple[int, ...]]
    const_default: bool
    const: bool
    direct_counter: int

    @property
    def prioritised(self) -> bool:
        """Whether entries need a priority (specification 9.1)."""
        return any(field.kind == TERNARY for field in self.fields)


@dataclass(frozen=True, slots=True)
class Cells:
    """An indirect counter or meter."""

    id: int
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Schema:
    """The objects of one P4Info, by id."""

    tables: dict[int, Table]
    actions: dict[int, ActionType]
    counters: dict[int, Cells]
    meters: dict[int, Cells]
    direct_counters: dict[int, int]
    """Direct counter id to table id."""
    digests: dict[int, str]
    packet_in: dict[str, tuple[int, int]]
    """Name of a ``packet_in`` field to its metadata id and width in bits."""

    def table(self, name: str) -> Table:
        """A table by name. Raises KeyError."""
        for table in self.tables.values():
            if table.name == name:
                return table
        raise KeyError(name)


def read_schema(info: p4i.P4Info) -> Schema:
    """Read a P4Info. Raises Refusal INVALID_ARGUMENT naming the object that is wrong."""
    actions = {
        action.preamble.id: ActionType(
            action.preamble.id,
            action.preamble.name,
            tuple(Param(param.id, param.name, param.bitwidth) for param in action.params),
        )
        for action in info.actions
    }
    return Schema(
        tables={table.preamble.id: _table(table, actions) for table in info.tables},
        actions=actions,
        counters={
            counter.preamble.id: Cells(counter.preamble.id, counter.preamble.name, counter.size)
            for counter in info.counters
        },
        meters={
            meter.preamble.id: Cells(meter.preamble.id, meter.preamble.name, meter.size)
            for meter in info.meters
        },
        direct_counters={
            counter.preamble.id: counter.direct_table_id for counter in info.direct_counters
        },
        digests={digest.preamble.id: digest.preamble.name for digest in info.digests},
        packet_in={
            field.name: (field.id, field.bitwidth)
            for header in info.controller_packet_metadata
            if header.preamble.name == "packet_in"
            for field in header.metadata
        },
    )


def _table(table: p4i.Table, actions: dict[int, ActionType]) -> Table:
    name = table.preamble.name
    refs = {}
    for ref in table.action_refs:
        if ref.id not in actions:
            raise invalid(
                f"P4Info: table {name!r} names action {ref.id:#x}, which it does not have"
            )
        refs[ref.id] = ActionRef(
            actions[ref.id],
            in_entries=ref.scope != p4i.ActionRef.DEFAULT_ONLY,
            as_default=ref.scope != p4i.ActionRef.TABLE_ONLY,
        )
    counters = {counter for counter in table.direct_resource_ids if counter >> 24 == 0x13}
    return Table(
        id=table.preamble.id,
        name=name,
        fields=tuple(_field(name, field) for field in table.match_fields),
        actions=refs,
        size=table.size,
        default=_default(table, actions),
        const_default=bool(table.const_default_action_id),
        const=table.is_const_table,
        direct_counter=min(counters, default=0),
    )


def _field(table: str, field: p4i.MatchField) -> Field:
    kind = _KINDS.get(field.match_type)
    if kind is None or not 0 < field.bitwidth <= 1024:
        raise invalid(
            f"P4Info: field {field.name!r} of table {table!r} is of an unknown kind or width"
        )
    return Field(field.id, field.name, field.bitwidth, kind)


def _default(table: p4i.Table, actions: dict[int, ActionType]) -> tuple[int, tuple[int, ...]]:
    initial = table.initial_default_action
    number = initial.action_id or table.const_default_action_id
    given = {argument.param_id: argument.value for argument in initial.arguments}
    params = actions[number].params if number in actions else ()
    try:
        return number, tuple(
            decode(given.get(param.id, b"\0"), param.bits, param.name) for param in params
        )
    except Refusal as refusal:
        raise invalid(f"P4Info: default action of {table.preamble.name!r}: {refusal}") from None
