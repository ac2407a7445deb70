"""Targets and actions to table entries and back.

Encoding copies a template per (table, operation, action) and fills in the key:
about two microseconds an entry. Decoding trusts nothing: whatever we could not
have written ourselves is a :class:`ForeignEntry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from finsy.proto import p4r

from sdnblock.block import PROTOCOLS, Action, Flow, Prefix, Source, Target
from sdnblock.errors import SwitchError
from sdnblock.switches.driver import Capacity, Op, TableKey, TableKind, allow_table_of, table_of
from sdnblock.switches.p4runtime.schema import Schema, Table
from sdnblock.switches.p4runtime.values import BadValue, encode, number, shortest, widen

UPDATE_TYPES: Final = {
    Op.INSERT: p4r.Update.INSERT,
    Op.MODIFY: p4r.Update.MODIFY,
    Op.DELETE: p4r.Update.DELETE,
}
BLOCK_TABLES: Final[tuple[TableKey, ...]] = tuple(
    (kind, family)
    for kind in (TableKind.FLOW, TableKind.SOURCE, TableKind.PREFIX)
    for family in (4, 6)
)
ALLOW_TABLES: Final[tuple[TableKey, ...]] = ((TableKind.ALLOW, 4), (TableKind.ALLOW, 6))

_MAPPED: Final = bytes(10) + b"\xff\xff"
_PROTOCOLS: Final = frozenset(PROTOCOLS.values())


class ForeignEntry(SwitchError):
    """An entry in one of our tables that sdnblock cannot have written."""


class Updates(Protocol):
    """``WriteRequest.updates``, as far as it is used: appends an empty update."""

    def add(self) -> p4r.Update: ...


class Codec:
    """Entries of the block and allow tables of one P4Info."""

    def __init__(self, schema: Schema) -> None:
        """Prepare the templates."""
        self.tables: Final[dict[TableKey, Table]] = {
            (kind, family): schema.tables[f"{kind.value}_v{family}"]
            for kind, family in (*ALLOW_TABLES, *BLOCK_TABLES)
        }
        self.capacity: Final = Capacity(
            tables={key: table.size for key, table in self.tables.items()},
            limiters=schema.meters["limit_meter"].size,
        )
        self._actions = {schema.actions[action.value].id: action for action in Action}
        self._limit = schema.actions["limit"]
        self._allow = schema.actions["allow"]
        self._templates: dict[tuple[TableKey, Op, Action | None], p4r.Update] = {}
        for key in BLOCK_TABLES:
            for action in Action:
                action_id = schema.actions[action.value].id
                for op in (Op.INSERT, Op.MODIFY):
                    self._templates[key, op, action] = self._template(key, op, action_id)
            self._templates[key, Op.DELETE, None] = self._template(key, Op.DELETE, None)
        for key in ALLOW_TABLES:
            self._templates[key, Op.INSERT, None] = self._template(key, Op.INSERT, self._allow.id)
            self._templates[key, Op.DELETE, None] = self._template(key, Op.DELETE, None)

    def _template(self, key: TableKey, op: Op, action_id: int | None) -> p4r.Update:
        table = self.tables[key]
        update = p4r.Update(type=UPDATE_TYPES[op])
        entry = update.entity.table_entry
        entry.table_id = table.id
        for field in table.fields:
            match = entry.match.add(field_id=field.id)
            if key[0] in (TableKind.ALLOW, TableKind.PREFIX):
                match.lpm.value = b"\0"
            else:
                match.exact.value = b"\0"
        if action_id is not None:
            entry.action.action.action_id = action_id
            if action_id == self._limit.id:
                entry.action.action.params.add(param_id=self._limit.params[0].id, value=b"\0")
        return update

    def add_block(
        self, updates: Updates, op: Op, target: Target, action: Action, cell: int | None
    ) -> None:
        """Append the update for a blocked target; ``cell`` is its meter cell under ``limit``."""
        key = table_of(target)
        update = updates.add()
        update.CopyFrom(self._templates[key, op, None if op is Op.DELETE else action])
        entry = update.entity.table_entry
        match = entry.match
        if isinstance(target, Source):
            match[0].exact.value = shortest(target.address)
        elif isinstance(target, Prefix):
            lpm = match[0].lpm
            lpm.value = shortest(target.address)
            lpm.prefix_len = target.length
        else:
            match[0].exact.value = encode(target.protocol)
            match[1].exact.value = shortest(target.source)
            match[2].exact.value = encode(target.source_port)
            match[3].exact.value = shortest(target.destination)
            match[4].exact.value = encode(target.destination_port)
        if cell is not None and op is not Op.DELETE and action is Action.LIMIT:
            entry.action.action.params[0].value = encode(cell)

    def add_allow(self, updates: Updates, op: Op, prefix: Source | Prefix) -> None:
        """Append the update (INSERT or DELETE) for an allowlist entry."""
        update = updates.add()
        update.CopyFrom(self._templates[allow_table_of(prefix), op, None])
        lpm = update.entity.table_entry.match[0].lpm
        lpm.value = shortest(prefix.address)
        lpm.prefix_len = prefix.length if isinstance(prefix, Prefix) else len(prefix.address) * 8

    def block(self, key: TableKey, entry: p4r.TableEntry) -> tuple[Target, Action, int | None]:
        """An entry of a block table: target, action, and the meter cell under ``limit``.

        Raises ForeignEntry.
        """
        taken = entry.action.action
        action = self._actions.get(taken.action_id)
        if action is None:
            raise ForeignEntry(f"action id {taken.action_id:#x}")
        cell = self._cell(taken) if action is Action.LIMIT else None
        return self.target(key, entry), action, cell

    def target(self, key: TableKey, entry: p4r.TableEntry) -> Target:
        """The target of an entry of a block table. Raises ForeignEntry."""
        kind, family = key
        width = 4 if family == 4 else 16
        match = self._match(key, entry)
        try:
            if kind is TableKind.SOURCE:
                return Source(_host(match[0].exact.value, width))
            if kind is TableKind.FLOW:
                return _flow(match, width)
            prefix = _prefix(match[0].lpm, width)
        except BadValue as error:
            raise ForeignEntry(str(error)) from None
        if isinstance(prefix, Source):
            raise ForeignEntry(f"{prefix} in a prefix table")
        return prefix

    def allow(self, key: TableKey, entry: p4r.TableEntry) -> Source | Prefix:
        """The prefix of an entry of an allow table. Raises ForeignEntry."""
        if entry.action.action.action_id != self._allow.id:
            raise ForeignEntry(f"action id {entry.action.action.action_id:#x}")
        try:
            return _prefix(self._match(key, entry)[0].lpm, 4 if key[1] == 4 else 16)
        except BadValue as error:
            raise ForeignEntry(str(error)) from None

    def _match(self, key: TableKey, entry: p4r.TableEntry) -> Sequence[p4r.FieldMatch]:
        """The match fields in P4Info order, whatever order the switch has them in."""
        fields = self.tables[key].fields
        match = entry.match
        if len(match) != len(fields):  # a missing field is a wildcard: never ours
            raise ForeignEntry(f"{len(match)} match fields of {len(fields)}")
        for found, field in zip(match, fields, strict=True):
            if found.field_id != field.id:
                break
        else:
            return match
        by_id = {found.field_id: found for found in match}
        if len(by_id) != len(fields) or any(field.id not in by_id for field in fields):
            raise ForeignEntry("unknown match fields")
        return [by_id[field.id] for field in fields]

    def _cell(self, action: p4r.Action) -> int:
        if len(action.params) != 1:
            raise ForeignEntry("limit without its parameter")
        try:
            return number(action.params[0].value, self._limit.params[0].bits)
        except BadValue as error:
            raise ForeignEntry(str(error)) from None


def _host(value: bytes, width: int) -> bytes:
    address = widen(value, width)
    if not any(address) or _mapped(address):
        raise ForeignEntry("an address that is nobody's")
    return address


def _mapped(address: bytes) -> bool:
    """Whether IPv6 bytes name an IPv4 host, which we would have written as IPv4."""
    return len(address) == 16 and address.startswith(_MAPPED)


def _prefix(lpm: p4r.FieldMatch.LPM, width: int) -> Source | Prefix:
    address, length = widen(lpm.value, width), lpm.prefix_len
    bits = width * 8
    if not 0 < length <= bits or _mapped(address):
        raise ForeignEntry(f"prefix length {length}")
    if length == bits:
        return Source(_host(address, width))
    if int.from_bytes(address, "big") & ((1 << (bits - length)) - 1):
        raise ForeignEntry("bits beyond the prefix length")
    return Prefix(address, length)


def _flow(match: Sequence[p4r.FieldMatch], width: int) -> Flow:
    protocol = number(match[0].exact.value, 8)
    source_port = number(match[2].exact.value, 16)
    destination_port = number(match[4].exact.value, 16)
    if protocol not in _PROTOCOLS or not source_port or not destination_port:
        raise ForeignEntry(f"protocol {protocol}, ports {source_port} and {destination_port}")
    return Flow(
        protocol,
        _host(match[1].exact.value, width),
        source_port,
        _host(match[3].exact.value, width),
        destination_port,
    )
