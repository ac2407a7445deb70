"""Types and values of a running P4 program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class BitType:
    """``bit<width>`` or ``int<width>``; ``varbit`` has the most it holds."""

    width: int
    signed: bool = False
    variable: bool = False


@dataclass(frozen=True, slots=True)
class BoolType:
    """``bool``"""


@dataclass(eq=False, slots=True)
class RecordType:
    """``header`` or ``struct``"""

    name: str
    is_header: bool
    fields: dict[str, Type]
    nested: tuple[str, ...] = ()
    """Fields that are records or stacks themselves."""
    empty: Any = None
    """What a new variable is a copy of."""

    def __post_init__(self) -> None:
        self.nested = tuple(
            name for name, of in self.fields.items() if isinstance(of, RecordType | StackType)
        )


@dataclass(frozen=True, slots=True)
class StackType:
    """``header[size]``"""

    of: RecordType
    size: int


Type = BitType | BoolType | RecordType | StackType
BOOL: Final = BoolType()


class Bits:
    """A number of ``width`` bits; None: a constant that takes the width of what it meets."""

    __slots__ = ("signed", "value", "width")

    def __init__(self, value: int, width: int | None, signed: bool = False) -> None:
        if width is not None:
            value &= (1 << width) - 1
            if signed and value >> (width - 1):
                value -= 1 << width
        self.value = value
        self.width = width
        self.signed = signed

    def __repr__(self) -> str:
        return f"{self.width}w{self.value:#x}"

    @property
    def raw(self) -> int:
        """The bits, whatever their sign."""
        return self.value if self.width is None else self.value & ((1 << self.width) - 1)


@dataclass(eq=False, slots=True)
class Record:
    """A header or struct."""

    type: RecordType
    fields: dict[str, Any]
    valid: bool = True

    def copy(self) -> Record:
        """One that changes by itself."""
        fields = self.fields.copy()
        for name in self.type.nested:
            fields[name] = fields[name].copy()
        return Record(self.type, fields, self.valid)


@dataclass(eq=False, slots=True)
class Stack:
    """A header stack."""

    items: list[Record]
    next: int = 0

    def copy(self) -> Stack:
        """One that changes by itself."""
        return Stack([each.copy() for each in self.items], self.next)


@dataclass(eq=False, slots=True)
class Cell:
    """A variable that is no record."""

    type: Type
    value: Any


@dataclass(eq=False, slots=True)
class Place:
    """What can be assigned to."""

    get: Callable[[], Any]
    set: Callable[[Any], None]
    type: Type | None = None


@dataclass(eq=False, slots=True)
class Scope:
    """Names, and where else to look for them."""

    names: dict[str, Any] = field(default_factory=dict)
    outer: Scope | None = None

    def find(self, name: str) -> Any:
        """What ``name`` stands for."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        raise NameError(name)

    def knows(self, name: str) -> bool:
        """Whether ``name`` stands for anything."""
        return name in self.names or (self.outer is not None and self.outer.knows(name))


def zero(of: Type) -> Any:
    """The value that a variable has before it is assigned to: BMv2's, and here Tofino's."""
    match of:
        case BitType(variable=True):
            return Bits(0, 0)
        case BitType(width, signed):
            return Bits(0, width, signed)
        case BoolType():
            return False
        case StackType(record, size):
            return Stack([zero(record) for _ in range(size)])
    if of.empty is None:
        fields = {name: zero(each) for name, each in of.fields.items()}
        of.empty = Record(of, fields, not of.is_header)
    return of.empty.copy()


def convert(value: Any, to: Type | None) -> Any:
    """A value as it is kept in a variable of a type."""
    if isinstance(to, BitType) and isinstance(value, Bits):
        if to.variable or (value.width == to.width and value.signed == to.signed):
            return value
        assert value.width is None, f"{value} is not of {to}"
        return Bits(value.value, to.width, to.signed)
    if isinstance(to, RecordType) and isinstance(value, tuple):
        fields = zip(to.fields.items(), value, strict=True)
        return Record(to, {name: convert(each, of) for (name, of), each in fields})
    if isinstance(value, Record | Stack):
        return value.copy()
    return value


def pack(value: Any) -> tuple[int, int]:
    """The bits of a value and their number, as on the wire or in a hash."""
    match value:
        case Bits():
            assert value.width is not None, "a constant without a width has no bits"
            return value.raw, value.width
        case Record():
            return pack(tuple(value.fields.values())) if value.valid else (0, 0)
        case Stack():
            return pack(tuple(value.items))
        case bool():
            return int(value), 1
    bits = width = 0
    for each in value:
        more, count = pack(each)
        bits, width = bits << count | more, width + count
    return bits, width
