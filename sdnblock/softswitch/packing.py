"""Table entries to data plane keys and values, and back to what is compared.

One :class:`Packer` a table. The checks are those of the P4Runtime
specification, 9.1.1 "Match Format" and 9.1.2 "Action Specification": what is
malformed is INVALID_ARGUMENT, a number too large for its field OUT_OF_RANGE
(8.4). The fast paths at the top of :meth:`Packer.key` and :meth:`Packer.value`
take the common well-formed entry and leave everything else to the careful ones.
"""

from __future__ import annotations

import struct
from typing import Final

from finsy.proto import p4r

from sdnblock.softswitch.bytestring import decode
from sdnblock.softswitch.dataplane import Value
from sdnblock.softswitch.refusal import denied, invalid
from sdnblock.softswitch.schema import EXACT, LPM, ActionType, Field, Table

ACTION_MASK: Final = 0xFFFFFF
"""The data plane knows an action by the low 24 bits of its id."""

_PREFIX: Final = struct.Struct("=I")
_CACHED_VALUES: Final = 4096

Match = tuple[tuple[int, int], ...]
"""Per field, in order: (value, 0) exact; (value, prefix length); (value, mask)."""


class Packer:
    """Packs entries of one table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._by_id = {field.id: (at, field) for at, field in enumerate(table.fields)}
        width = sum(field.width for field in table.fields)
        self._padding = bytes(-width % 4)
        self._lpm = len(table.fields) == 1 and table.fields[0].kind == LPM
        self._only = table.fields[0] if len(table.fields) == 1 else None
        # Fields of whole bytes need no look at their top bits.
        self._fast_exact = (
            tuple((field.id, field.width) for field in table.fields)
            if all(field.kind == EXACT and field.bits % 8 == 0 for field in table.fields)
            else ()
        )
        self._fast_one = self._fast_exact[0] if len(self._fast_exact) == 1 else None
        self.plain = bool(table.fields) and not table.const
        """Whether clients insert and delete ordinary entries here."""
        self._values: dict[tuple[int, int, bytes], Value] = {}

    def key(self, entry: p4r.TableEntry) -> bytes:
        """The data plane key of an entry. Raises Refusal."""
        matches = entry.match
        if self._fast_one is not None:
            if len(matches) == 1:
                match = matches[0]
                value = match.exact.value
                field_id, width = self._fast_one
                if match.field_id == field_id and 0 < len(value) <= width:
                    return value.rjust(width, b"\0") + self._padding
        elif self._fast_exact and len(matches) == len(self._fast_exact):
            parts = []
            for match, (field_id, width) in zip(matches, self._fast_exact, strict=True):
                value = match.exact.value
                if match.field_id != field_id or not 0 < len(value) <= width:
                    break
                parts.append(value.rjust(width, b"\0"))
            else:
                return b"".join(parts) + self._padding
        return self.pack(self.match(entry))

    def match(self, entry: p4r.TableEntry) -> Match:
        """The match fields, checked and in order. Raises Refusal."""
        table = self.table
        found: list[tuple[int, int] | None] = [None] * len(table.fields)
        for match in entry.match:
            at, field = self._by_id.get(match.field_id, (0, None))
            if field is None:
                raise invalid(f"table {table.name} has no match field {match.field_id}")
            if found[at] is not None:
                raise invalid(f"{table.name}.{field.name} is given twice")
            found[at] = self._field(match, field)
        complete = []
        for field, pair in zip(table.fields, found, strict=True):
            if pair is None and field.kind == EXACT:
                raise invalid(f"{table.name}.{field.name} is an exact match: it must be given")
            complete.append(pair or (0, 0))
        return tuple(complete)

    def _field(self, match: p4r.FieldMatch, field: Field) -> tuple[int, int]:
        what = f"{self.table.name}.{field.name}"
        kind = match.WhichOneof("field_match_type")
        if kind != field.kind:
            raise invalid(f"{what} is matched {field.kind}, not {kind or 'left unset'}")
        if kind == EXACT:
            return decode(match.exact.value, field.bits, what), 0
        if kind == LPM:
            length = match.lpm.prefix_len
            value = decode(match.lpm.value, field.bits, what)
            if not 0 <= length <= field.bits:
                raise invalid(f"{what}: prefix length {length} is not in 1-{field.bits}")
            if length == 0:
                raise invalid(f"{what}: a prefix length of 0 is written by leaving the field out")
            if value & ((1 << (field.bits - length)) - 1):
                raise invalid(f"{what}: bits beyond the prefix length {length} must be 0")
            return value, length
        value = decode(match.ternary.value, field.bits, what)
        mask = decode(match.ternary.mask, field.bits, f"mask of {what}")
        if mask == 0:
            raise invalid(f"{what}: a mask of 0 is written by leaving the field out")
        if value & ~mask:
            raise invalid(f"{what}: bits outside the mask must be 0")
        return value, mask

    def pack(self, match: Match) -> bytes:
        """A checked match as a data plane key."""
        if self._lpm and self._only is not None:
            ((value, length),) = match
            return _PREFIX.pack(length) + value.to_bytes(self._only.width, "big") + self._padding
        fields = zip(self.table.fields, match, strict=True)
        return b"".join(v.to_bytes(field.width, "big") for field, (v, _) in fields) + self._padding

    def unpack(self, key: bytes) -> Match:
        """The match of a data plane key: the inverse of :meth:`pack`."""
        if self._lpm and self._only is not None:
            (length,) = _PREFIX.unpack_from(key)
            return ((int.from_bytes(key[4 : 4 + self._only.width], "big"), length),)
        at, parts = 0, []
        for field in self.table.fields:
            parts.append((int.from_bytes(key[at : at + field.width], "big"), 0))
            at += field.width
        return tuple(parts)

    def value(self, action: p4r.TableAction) -> Value:
        """The action of an ordinary entry. Raises Refusal."""
        direct = action.action
        params = direct.params
        if len(params) > 1:
            return self._value(action)
        one = params[0] if params else None
        name = (direct.action_id, one.param_id, one.value) if one else (direct.action_id, 0, b"")
        value = self._values.get(name)
        if value is None:
            value = self._value(action)
            if len(self._values) >= _CACHED_VALUES:
                self._values.clear()
            if len(name[2]) <= 16:
                self._values[name] = value
        return value

    def _value(self, action: p4r.TableAction) -> Value:
        kind, arguments = self.action(action, default=False)
        return Value(kind.id & ACTION_MASK, arguments[0] if arguments else 0)

    def action(self, action: p4r.TableAction, default: bool) -> tuple[ActionType, tuple[int, ...]]:
        """An action and its arguments in order, checked. Raises Refusal."""
        name = self.table.name
        kind = action.WhichOneof("type")
        if kind != "action":
            raise invalid(f"table {name} has no action profile: give an action")
        ref = self.table.actions.get(action.action.action_id)
        if ref is None:
            raise invalid(f"table {name} has no action {action.action.action_id:#x}")
        if default and not ref.as_default:
            raise denied(f"{ref.action.name} cannot be the default action of {name}")
        if not default and not ref.in_entries:
            raise denied(f"{ref.action.name} can only be the default action of {name}")
        given: dict[int, bytes] = {}
        for param in action.action.params:
            if param.param_id in given:
                raise invalid(f"parameter {param.param_id} of {ref.action.name} is given twice")
            given[param.param_id] = param.value
        arguments = []
        for wanted in ref.action.params:
            if wanted.id not in given:
                raise invalid(f"{ref.action.name} needs its parameter {wanted.name}")
            what = f"{ref.action.name}.{wanted.name}"
            arguments.append(decode(given.pop(wanted.id), wanted.bits, what))
        if given:
            raise invalid(f"{ref.action.name} has no parameter {min(given)}")
        return ref.action, tuple(arguments)
