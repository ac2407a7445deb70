"""The P4 objects that the driver uses, found in a P4Info by name.

Ids are the P4Info's business: nothing here knows one. A P4Info that lacks an
object, or has it in another shape, is refused with one line that names it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from finsy.proto import p4i

from sdnblock.errors import SwitchError

EXACT: Final = p4i.MatchField.EXACT
LPM: Final = p4i.MatchField.LPM

MAX_SIZE: Final = 1 << 31
"""No table, counter or meter is larger; a P4Info that says so is wrong."""


class SchemaError(SwitchError):
    """A P4Info that does not describe sdnblock's pipeline."""


@dataclass(frozen=True, slots=True)
class Field:
    """A match field, an action parameter or a metadata field: its id and width in bits."""

    id: int
    bits: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table: match fields in P4Info order, and the entries that it surely holds."""

    name: str
    id: int
    fields: tuple[Field, ...]
    size: int
    counts_bytes: bool = True
    """Whether an entry's counter has bytes besides packets."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action and its parameters in order."""

    name: str
    id: int
    params: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """An indirect counter or meter and its number of cells."""

    name: str
    id: int
    size: int


@dataclass(frozen=True, slots=True)
class Schema:
    """Every object of the pipeline that the driver touches, by its P4 name."""

    tables: dict[str, Table]
    actions: dict[str, Action]
    counters: dict[str, Array]
    meters: dict[str, Array]
    digests: dict[str, int]
    """Digests' ids."""
    packet_in: dict[str, Field]
    """Metadata fields of the ``packet_in`` header."""


_Shape = tuple[tuple[str, int, int], ...]


def _address(name: str, match: int) -> tuple[_Shape, _Shape]:
    return ((name, 32, match),), ((name, 128, match),)


def _flow(bits: int) -> _Shape:
    return (
        ("protocol", 8, EXACT),
        ("source", bits, EXACT),
        ("source_port", 16, EXACT),
        ("destination", bits, EXACT),
        ("destination_port", 16, EXACT),
    )


_TABLES: Final[dict[str, _Shape]] = {
    "port_side": (("ingress_port", 9, EXACT),),
    "l2_forward": (("dst_mac", 48, EXACT),),
    "sip_port": (("protocol", 8, EXACT), ("port", 16, EXACT)),
    "allow_v4": _address("source", LPM)[0],
    "allow_v6": _address("source", LPM)[1],
    "flow_v4": _flow(32),
    "flow_v6": _flow(128),
    "source_v4": _address("source", EXACT)[0],
    "source_v6": _address("source", EXACT)[1],
    "prefix_v4": _address("source", LPM)[0],
    "prefix_v6": _address("source", LPM)[1],
    "request_window": (),
    "outcome": (("kind", 8, EXACT), ("again", 1, EXACT)),
    "outcome_policy": (),
    "first_policy": (),
}
_ACTIONS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "set_side": (("trusted", 1),),
    "forward": (("port", 9),),
    "sip": (),
    "allow": (),
    "drop": (),
    "limit": (("meter", 16),),
    "watch": (),
    "request_policy": (("threshold", 16), ("window", 32)),
    "fail": (("weight", 16),),
    "succeed": (("weight", 16),),
    "set_outcome_policy": (("threshold", 16), ("memory", 32), ("hold", 32), ("response", 8)),
    "set_first_policy": (("packets", 16), ("shift", 8)),
}
_COUNTERS: Final = ("message_in", "message_out", "verdict")
_METERS: Final = ("limit_meter", "sample_meter", "held_meter", "first_meter")
REQUEST_RATE: Final = "request_rate_t"
OUTCOME: Final = "outcome_t"
_DIGESTS: Final = {
    REQUEST_RATE: ("remote", "requests", "port"),
    OUTCOME: ("remote", "score", "port"),
}
_PACKET_IN: Final = (("ingress_port", 16), ("reason", 8))


class _Named(Protocol):
    @property
    def preamble(self) -> p4i.Preamble: ...


_T = TypeVar("_T", bound=_Named)


def read_schema(p4info: p4i.P4Info) -> Schema:
    """Find every object by name and check its shape.

    Raises SchemaError naming the first object that is missing or different.
    """
    tables = _by_name(p4info.tables)
    actions = _by_name(p4info.actions)
    counters = _by_name(p4info.counters)
    meters = _by_name(p4info.meters)
    no_bytes = {
        each.direct_table_id
        for each in p4info.direct_counters
        if each.spec.unit == p4i.CounterSpec.PACKETS
    }
    return Schema(
        tables={
            name: _table(name, _find(tables, "table", name), _TABLES[name], no_bytes)
            for name in _TABLES
        },
        actions={
            name: _action(name, _find(actions, "action", name), _ACTIONS[name]) for name in _ACTIONS
        },
        counters={
            name: _array("counter", name, _find(counters, "counter", name)) for name in _COUNTERS
        },
        meters={name: _array("meter", name, _find(meters, "meter", name)) for name in _METERS},
        digests={name: _digest(p4info, name) for name in _DIGESTS},
        packet_in=_packet_in(p4info),
    )


def _by_name(objects: Iterable[_T]) -> dict[str, _T]:
    found: dict[str, _T] = {}
    for item in objects:
        found.setdefault(item.preamble.alias, item)
    for item in objects:
        found[item.preamble.name] = item
    return found


def _find(objects: dict[str, _T], kind: str, name: str) -> _T:
    found = objects.get(name)
    if found is None:
        raise SchemaError(f"the P4Info has no {kind} {name}: it is not sdnblock's pipeline")
    return found


def _table(name: str, table: p4i.Table, shape: _Shape, no_bytes: Container[int]) -> Table:
    found = tuple((f.name, f.bitwidth, f.match_type) for f in table.match_fields)
    if found != shape:
        raise SchemaError(
            f"the P4Info's table {name} has another key than sdnblock's"
            f" ({', '.join(f'{field} {bits} bits' for field, bits, _ in shape)})"
        )
    if not 0 <= table.size < MAX_SIZE:
        raise SchemaError(f"the P4Info's table {name} has the impossible size {table.size}")
    fields = tuple(Field(f.id, f.bitwidth) for f in table.match_fields)
    found_id = table.preamble.id
    return Table(name, found_id, fields, table.size, counts_bytes=found_id not in no_bytes)


def _action(name: str, action: p4i.Action, shape: tuple[tuple[str, int], ...]) -> Action:
    if tuple((p.name, p.bitwidth) for p in action.params) != shape:
        raise SchemaError(f"the P4Info's action {name} has other parameters than sdnblock's")
    return Action(name, action.preamble.id, tuple(Field(p.id, p.bitwidth) for p in action.params))


def _array(kind: str, name: str, array: p4i.Counter | p4i.Meter) -> Array:
    if not 0 < array.size < MAX_SIZE:
        raise SchemaError(f"the P4Info's {kind} {name} has the impossible size {array.size}")
    return Array(name, array.preamble.id, array.size)


def _digest(p4info: p4i.P4Info, name: str) -> int:
    members = _DIGESTS[name]
    digest = _find(_by_name(p4info.digests), "digest", name)
    struct = p4info.type_info.structs.get(digest.type_spec.struct.name)
    if struct is None or tuple(member.name for member in struct.members) != members:
        raise SchemaError(f"the P4Info's digest {name} is not a struct of {', '.join(members)}")
    return digest.preamble.id


def _packet_in(p4info: p4i.P4Info) -> dict[str, Field]:
    header = _find(_by_name(p4info.controller_packet_metadata), "controller header", "packet_in")
    found = {m.name: Field(m.id, m.bitwidth) for m in header.metadata}
    for name, bits in _PACKET_IN:
        if name not in found or found[name].bits != bits:
            raise SchemaError(f"the P4Info's packet_in header has no {name} of {bits} bits")
    return {name: found[name] for name, _ in _PACKET_IN}
