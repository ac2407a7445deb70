"""Runs controls: declarations, statements, actions and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.p4model import nodes as n
from tests.p4model.evaluation import Architecture, Control, Evaluator, Extern
from tests.p4model.tables import Entry, TableState
from tests.p4model.values import (
    Bits,
    Cell,
    Record,
    RecordType,
    Scope,
    Stack,
    convert,
    zero,
)


class Interpreter(Evaluator):
    """A program and its state."""

    def __init__(self, program: Sequence[n.Declaration | n.Variable], arch: Architecture) -> None:
        self.arch = arch
        self.globals = Scope()
        self.tables: dict[str, TableState] = {}
        self.externs: dict[str, Extern] = {}
        self.globals.names["NoAction"] = n.Action("NoAction", "NoAction", (), n.Block(0, ()))
        for each in program:
            self.declare(each, self.globals)

    # Declarations

    def declare(self, node: n.Declaration | n.Variable, scope: Scope) -> None:
        """Make a name known; objects are made at once."""
        match node:
            case n.Variable():
                of = self.type(node.type, scope)
                value = zero(of) if node.value is None else self.value(node.value, scope)
                value = convert(value, of)
                scope.names[node.name] = (
                    value if isinstance(value, Record | Stack) else Cell(of, value)
                )
            case n.TypeName():
                if not self.known(node.type.name, scope):
                    return  # a type of the architecture that only it looks into
                scope.names[node.name] = self.type(node.type, scope)
            case n.Record():
                fields = {name: self.type(of, scope) for name, of in node.fields}
                scope.names[node.name] = RecordType(node.name, node.is_header, fields)
            case n.Table():
                state = TableState(node, scope)
                scope.names[node.name] = self.tables[node.control_name] = state
                for key, action in node.entries:
                    self.const_entry(state, key, action, scope)
            case n.Instance():
                made: Any = self.arch.extern(node, scope, self)
                if made is not None:
                    self.externs[node.control_name] = made
                elif scope.knows(node.type.name):
                    made = Running(self, scope.find(node.type.name))
                scope.names[node.name] = made  # None: a package, which the architecture knows
            case _:
                scope.names[node.name] = node

    def known(self, name: str, scope: Scope) -> bool:
        """Whether a type can be resolved."""
        return name in ("bit", "int", "bool", "varbit") or scope.knows(name)

    def const_entry(
        self, state: TableState, key: n.Expression, action: n.Expression, scope: Scope
    ) -> None:
        """An entry that the program has itself."""
        name, arguments = self.action_call(action, scope)
        parts = key.items if isinstance(key, n.Tuple) else [key]
        fields = []
        for part in parts:
            if isinstance(part, n.Anything):
                fields.append((0, 0))
            elif isinstance(part, n.Binary) and part.operator == "&&&":
                mask = self.value(part.right, scope).value
                fields.append((self.value(part.left, scope).value & mask, mask))
            else:
                value = self.value(part, scope)
                fields.append((int(value) if isinstance(value, bool) else value.value, -1))
        state.masked.append((tuple(fields), Entry(name, arguments)))

    def action_call(self, node: n.Expression, scope: Scope) -> tuple[str, tuple[Any, ...]]:
        """``action(arguments)`` or ``action`` as written in a table."""
        if isinstance(node, n.Name):
            return node.name, ()
        assert isinstance(node, n.Call)
        assert isinstance(node.function, n.Name)
        return node.function.name, tuple(self.value(each, scope) for each in node.arguments)

    # Statements

    def run(self, node: n.Statement, scope: Scope) -> None:
        """Do a statement."""
        match node:
            case n.Assign():
                place = self.place(node.to, scope)
                place.set(convert(self.value(node.value, scope), place.type))
            case n.If():
                if self.value(node.condition, scope):
                    self.run(node.yes, scope)
                elif node.no is not None:
                    self.run(node.no, scope)
            case n.Block():
                inner = Scope({}, scope)
                for each in node.body:
                    self.run(each, inner)
            case n.Do():
                self.value(node.call, scope)
            case n.Variable():
                self.declare(node, scope)
            case _:
                raise TypeError(f"line {node.line}: {node}")

    def run_action(self, action: n.Action, values: Sequence[Any], scope: Scope) -> None:
        """Do an action; its parameters are values."""
        inner = Scope({}, scope)
        for parameter, value in zip(action.parameters, values, strict=True):
            of = self.type(parameter.type, scope)
            inner.names[parameter.name] = Cell(of, convert(value, of))
        self.run(action.body, inner)

    def apply_table(self, table: TableState) -> bool:
        """Look up and act; whether there was an entry."""
        self.arch.applied(table)
        scope: Scope = table.owner
        values = [self.key(each.value, scope) for each in table.node.keys]
        entry = table.look_up(values) if values else None
        if entry is None:
            name, arguments = self.action_call(table.node.default, scope)
            self.run_action(scope.find(name), table.default or arguments, scope)
            return False
        self.arch.hit(table, entry)
        self.run_action(scope.find(entry.action), entry.arguments, scope)
        return True

    def key(self, node: n.Expression, scope: Scope) -> Bits:
        """A field of a key."""
        value = self.value(node, scope)
        return Bits(int(value), 1) if isinstance(value, bool) else value


class Running(Control):
    """An instance of a control."""

    def __init__(self, interpreter: Interpreter, machine: n.Machine) -> None:
        self.interpreter = interpreter
        self.machine = machine
        self.scope = Scope({}, interpreter.globals)
        for each in machine.locals:
            interpreter.declare(each, self.scope)

    def apply(self, arguments: Sequence[n.Expression], scope: Scope) -> None:
        """Run it with arguments of another control."""
        bound: list[Any] = []
        for parameter, argument in zip(self.machine.parameters, arguments, strict=True):
            value = self.interpreter.value(argument, scope)
            if isinstance(value, Record | Stack):
                bound.append(value)
            elif parameter.direction == "in":
                bound.append(Cell(self.interpreter.type(parameter.type, scope), value))
            else:
                bound.append(self.interpreter.place(argument, scope))
        self.start(bound)

    def start(self, bound: Sequence[Any]) -> None:
        """Run it with objects; its variables begin anew."""
        for parameter, value in zip(self.machine.parameters, bound, strict=True):
            self.scope.names[parameter.name] = value
        for each in self.machine.locals:
            if isinstance(each, n.Variable):
                self.interpreter.declare(each, self.scope)
        assert self.machine.body is not None
        self.interpreter.run(self.machine.body, self.scope)
