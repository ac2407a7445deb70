"""Expressions of a running P4 program: their values, and where assignments go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from tests.p4model import nodes as n
from tests.p4model.operators import binary, unary
from tests.p4model.tables import Entry, TableState
from tests.p4model.values import (
    BOOL,
    Bits,
    BitType,
    Cell,
    Place,
    Record,
    RecordType,
    Scope,
    Stack,
    StackType,
    Type,
)


class Extern(Protocol):
    """An object that the architecture provides."""

    def call(self, method: str, node: n.Call, scope: Scope) -> Any:
        """A method of it; the call itself, since some arguments are written to."""


class Architecture(Protocol):
    """What differs between targets: externs, and functions outside any object."""

    def extern(self, node: n.Instance, scope: Scope, interpreter: Any) -> Extern | None:
        """The object of an instance; None if its type is a control or parser."""

    def function(self, name: str, call: n.Call, scope: Scope) -> Any:
        """A function."""

    def applied(self, table: TableState) -> None:
        """A table is about to be looked into."""

    def hit(self, table: TableState, entry: Entry) -> None:
        """An entry was hit, before its action is done."""


class Control:
    """An instance of a control."""

    def apply(self, arguments: Sequence[n.Expression], scope: Scope) -> None:
        """Run it with arguments of another control."""
        raise NotImplementedError


class Evaluator:
    """The values of expressions; subclasses know what is done."""

    arch: Architecture

    def apply_table(self, table: TableState) -> bool:
        """Look up and act; whether there was an entry."""
        raise NotImplementedError

    def run_action(self, action: n.Action, values: Sequence[Any], scope: Scope) -> None:
        """Do an action; its parameters are values."""
        raise NotImplementedError

    def type(self, ref: n.TypeRef, scope: Scope) -> Type:
        """A type as written."""
        if ref.name == "bool":
            return BOOL
        if ref.name in ("bit", "int", "varbit"):
            argument = ref.arguments[0]
            assert isinstance(argument, n.Expression)
            width = self.value(argument, scope).value
            return BitType(width, ref.name == "int", ref.name == "varbit")
        of = scope.find(ref.name)
        if ref.size is not None:
            return StackType(of, self.value(ref.size, scope).value)
        assert isinstance(of, BitType | RecordType | StackType), ref.name
        return of

    # Expressions

    def value(self, node: n.Expression, scope: Scope) -> Any:
        """The value of an expression."""
        return _VALUES[node.__class__](self, node, scope)

    def name(self, node: n.Name, scope: Scope) -> Any:
        """A variable's value, or whatever the name stands for."""
        found = scope.find(node.name)
        if found.__class__ is Cell:
            return found.value
        return found.get() if found.__class__ is Place else found

    def literal(self, node: n.Literal, scope: Scope) -> Any:
        """A number or a boolean."""
        if node.known is None:
            value = bool(node.value) if node.width == 0 else Bits(node.value, node.width)
            node.known = value
        return node.known

    def binary(self, node: n.Binary, scope: Scope) -> Any:
        """An operator between two operands."""
        left = self.value(node.left, scope)
        if node.operator in ("&&", "||") and left is (node.operator == "||"):
            return left
        right = self.value(node.right, scope)
        return right if node.operator in ("&&", "||") else binary(node.operator, left, right)

    def slice(self, node: n.Slice, scope: Scope) -> Bits:
        """``of[high:low]``"""
        high, low = self.value(node.high, scope).value, self.value(node.low, scope).value
        return Bits(self.value(node.of, scope).raw >> low, high - low + 1)

    def cast_to(self, node: n.Cast, scope: Scope) -> Any:
        """``(type)of``"""
        return self.cast(self.type(node.type, scope), self.value(node.of, scope))

    def unary(self, node: n.Unary, scope: Scope) -> Any:
        """An operator before an operand."""
        return unary(node.operator, self.value(node.of, scope))

    def tuple(self, node: n.Tuple, scope: Scope) -> tuple[Any, ...]:
        """A list of values."""
        return tuple([self.value(each, scope) for each in node.items])

    def index(self, node: n.Index, scope: Scope) -> Any:
        """``of[index]``"""
        return self.value(node.of, scope).items[self.value(node.index, scope).value]

    def choice(self, node: n.Choice, scope: Scope) -> Any:
        """``condition ? yes : no``"""
        return self.value(node.yes if self.value(node.condition, scope) else node.no, scope)

    def member(self, node: n.Member, scope: Scope) -> Any:
        """``of.name``"""
        if isinstance(node.of, n.Call) and node.name in ("hit", "miss"):
            return self.value(node.of, scope) is (node.name == "hit")
        try:
            of = self.value(node.of, scope)
        except NameError:
            assert isinstance(node.of, n.Name)
            return f"{node.of.name}.{node.name}"  # of an enum that only the architecture knows
        if isinstance(of, Stack):
            return of.items[of.next - 1] if node.name == "last" else of
        return of.fields[node.name]

    def cast(self, to: Type, value: Any) -> Any:
        """``(to)value``"""
        if isinstance(value, bool):
            return Bits(int(value), 1) if isinstance(to, BitType) else value
        if isinstance(to, BitType):
            return Bits(value.value, to.width, to.signed)
        return value.raw == 1

    def call(self, node: n.Call, scope: Scope) -> Any:
        """Of a table, a header, an object, a control, an action or a function."""
        if isinstance(node.function, n.Member):
            method = node.function.name
            of = self.value(node.function.of, scope)
            match of:
                case TableState():
                    return self.apply_table(of)
                case Record() if method == "isValid":
                    return of.valid
                case Record():
                    assert method in ("setValid", "setInvalid")
                    of.valid = method == "setValid"
                    return None
                case Control():
                    return of.apply(node.arguments, scope)
            return of.call(method, node, scope)
        assert isinstance(node.function, n.Name)
        try:
            action = scope.find(node.function.name)
        except NameError:
            return self.arch.function(node.function.name, node, scope)
        assert isinstance(action, n.Action)
        values = tuple(self.value(each, scope) for each in node.arguments)
        return self.run_action(action, values, scope)

    def place(self, node: n.Expression, scope: Scope) -> Place:
        """Where an assignment goes."""
        match node:
            case n.Name(name=name):
                found = scope.find(name)
                if isinstance(found, Place):
                    return found
                if isinstance(found, Cell):
                    return Place(
                        lambda: found.value,
                        lambda value: setattr(found, "value", value),
                        found.type,
                    )
                return Place(lambda: found, lambda value: _overwrite(found, value), found.type)
            case n.Member(name=name):
                of = self.value(node.of, scope)
                return _field(of, name)
            case n.Index():
                item = self.value(node, scope)
                return Place(lambda: item, lambda value: _overwrite(item, value), item.type)
            case n.Slice():
                of = self.place(node.of, scope)
                high, low = (self.value(each, scope).value for each in (node.high, node.low))
                return _slice(of, high, low)
        raise TypeError(f"line {node.line}: {node} cannot be assigned to")


def _overwrite(record: Record, value: Record) -> None:
    record.fields.update(value.fields)
    record.valid = value.valid


def _field(of: Record, name: str) -> Place:
    return Place(
        lambda: of.fields[name],
        lambda value: of.fields.__setitem__(name, value),
        of.type.fields[name],
    )


def _slice(of: Place, high: int, low: int) -> Place:
    width = high - low + 1
    mask = ((1 << width) - 1) << low

    def put(value: Bits) -> None:
        old = of.get()
        of.set(Bits(old.raw & ~mask | value.raw << low, old.width, old.signed))

    return Place(lambda: Bits(of.get().raw >> low, width), put, BitType(width))


_VALUES: Final[dict[type[n.Expression], Callable[[Evaluator, Any, Scope], Any]]] = {
    n.Name: Evaluator.name,
    n.Member: Evaluator.member,
    n.Literal: Evaluator.literal,
    n.Binary: Evaluator.binary,
    n.Call: Evaluator.call,
    n.Slice: Evaluator.slice,
    n.Cast: Evaluator.cast_to,
    n.Unary: Evaluator.unary,
    n.Tuple: Evaluator.tuple,
    n.Index: Evaluator.index,
    n.Choice: Evaluator.choice,
}
