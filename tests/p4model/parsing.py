"""Runs parsers on frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.p4model import nodes as n
from tests.p4model.interpreter import Interpreter
from tests.p4model.values import (
    Bits,
    BitType,
    Record,
    RecordType,
    Scope,
    Stack,
    Type,
    convert,
    pack,
)


class ParserStops(Exception):
    """The packet ends too early, or a header stack is full."""


class PacketIn:
    """``packet_in``: bits, and how many of them were taken."""

    def __init__(self, interpreter: Interpreter, frame: bytes) -> None:
        self.interpreter = interpreter
        self.bits = int.from_bytes(frame, "big")
        self.length = len(frame) * 8
        self.at = 0

    def call(self, method: str, node: n.Call, scope: Scope) -> Any:
        """extract, lookahead and advance."""
        if method == "extract":
            self.extract(node, scope)
            return None
        if method == "lookahead":
            at = self.at
            value = self.read(self.interpreter.type(node.types[0], scope), 0)
            self.at = at
            return value
        assert method == "advance"
        self.take(self.interpreter.value(node.arguments[0], scope).value)
        return None

    def extract(self, node: n.Call, scope: Scope) -> None:
        """Into a header or the next of a stack."""
        target = node.arguments[0]
        variable = 0
        if len(node.arguments) == 2:
            variable = self.interpreter.value(node.arguments[1], scope).value
        header: Record
        stack = None
        if isinstance(target, n.Member) and target.name == "next":
            stack = self.interpreter.value(target.of, scope)
            assert isinstance(stack, Stack)
            if stack.next == len(stack.items):
                raise ParserStops
            header = stack.items[stack.next]
        else:
            header = self.interpreter.value(target, scope)
        found = self.read(header.type, variable)
        header.fields.update(found.fields)
        header.valid = True
        if stack is not None:
            stack.next += 1

    def read(self, of: Type, variable: int) -> Any:
        """A value of a type; ``variable`` bits for what has no width of its own."""
        if isinstance(of, BitType):
            width = variable if of.variable else of.width
            assert width <= of.width
            return Bits(self.take(width), width, of.signed)
        assert isinstance(of, RecordType)
        total = sum(
            variable if of.variable else of.width
            for of in of.fields.values()
            if isinstance(of, BitType)
        )
        if self.at + total > self.length:
            raise ParserStops
        return Record(of, {name: self.read(each, variable) for name, each in of.fields.items()})

    def take(self, width: int) -> int:
        """The next bits."""
        if self.at + width > self.length:
            raise ParserStops
        self.at += width
        return self.bits >> (self.length - self.at) & ((1 << width) - 1)

    def rest(self) -> tuple[int, int]:
        """What no state took: bits and their number."""
        width = self.length - self.at
        return self.bits & ((1 << width) - 1), width


class PacketOut:
    """``packet_out``"""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.bits = self.width = 0

    def call(self, method: str, node: n.Call, scope: Scope) -> None:
        """emit"""
        assert method == "emit"
        self.append(*pack(self.interpreter.value(node.arguments[0], scope)))

    def append(self, bits: int, width: int) -> None:
        """More bits."""
        self.bits, self.width = self.bits << width | bits, self.width + width

    def frame(self) -> bytes:
        """What was emitted."""
        return self.bits.to_bytes(self.width // 8, "big")


def run_parser(interpreter: Interpreter, name: str, bound: Sequence[Any]) -> bool:
    """Run a parser with objects for its parameters; False if it had to stop."""
    machine = interpreter.globals.find(name)
    assert isinstance(machine, n.Machine)
    scope = Scope({}, interpreter.globals)
    for parameter, value in zip(machine.parameters, bound, strict=True):
        scope.names[parameter.name] = value
    state = "start"
    try:
        while state not in ("accept", "reject"):
            state = _state(interpreter, machine.states[state], Scope({}, scope))
    except ParserStops:
        return False
    return True


def _state(interpreter: Interpreter, block: n.Block, scope: Scope) -> str:
    for statement in block.body:
        if isinstance(statement, n.Transition):
            return _next(interpreter, statement, scope)
        interpreter.run(statement, scope)
    return "reject"


def _next(interpreter: Interpreter, node: n.Transition, scope: Scope) -> str:
    if node.state:
        return node.state
    values = [interpreter.value(each, scope) for each in node.on]
    for keys, state in node.cases:
        parts = keys.items if isinstance(keys, n.Tuple) else [keys]
        if isinstance(keys, n.Anything) or all(
            _matches(interpreter, value, part, scope)
            for value, part in zip(values, parts, strict=True)
        ):
            return state
    return "reject"


def _matches(interpreter: Interpreter, value: Bits, key: n.Expression, scope: Scope) -> bool:
    if isinstance(key, n.Anything):
        return True
    if isinstance(key, n.Binary) and key.operator == "&&&":
        mask: int = interpreter.value(key.right, scope).value
        wanted: int = interpreter.value(key.left, scope).value & mask
        return (value.raw & mask) == wanted
    same: bool = convert(interpreter.value(key, scope), BitType(value.width or 0)).raw == value.raw
    return same
