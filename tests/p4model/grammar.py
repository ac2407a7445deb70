"""Tokens to a syntax tree: declarations and statements. Expressions are in expressions.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.p4model import nodes as n
from tests.p4model.expressions import Expressions
from tests.p4model.lexer import Token

T = TypeVar("T")
_Local = n.Declaration | n.Variable


def parse(found: list[Token]) -> list[_Local]:
    """The declarations of a program, in order."""
    return _Program(found).program()


class _Program(Expressions):
    """A parser by recursive descent."""

    def program(self) -> list[_Local]:
        declarations: list[_Local] = []
        while self.kind != "end":
            if not self.take(";"):
                declarations += self.declaration()
        return declarations

    def annotations(self) -> str | None:
        """Skip annotations; the name that one of them gives."""
        name = None
        while self.take("@"):
            which = self.name()
            if self.take("("):
                start, depth = self.at, 1
                while depth:
                    depth += {"(": 1, ")": -1}.get(self.next().text, 0)
                if which == "name":
                    name = self.found[start].text.strip('"')
        return name

    def declaration(self) -> list[_Local]:
        given = self.annotations()
        match self.text:
            case "const":
                self.next()
                return [self.variable()]
            case "typedef":
                self.next()
                of = self.type()
                name = self.name()
                self.expect(";")
                return [n.TypeName(name, name, of)]
            case "header" | "struct":
                return [self.record()]
            case "enum" | "match_kind" | "error" | "extern" | "package":
                raise SyntaxError(f"line {self.line}: no {self.text} here")
            case "action":
                return [self.action(given)]
            case "control" | "parser":
                return [self.machine()]
            case "table":
                return [self.table(given)]
        return [self.instance_or_variable(given)]

    def record(self) -> n.Record:
        is_header = self.next().text == "header"
        name = self.name()
        self.expect("{")
        fields = []
        while not self.take("}"):
            self.annotations()
            of = self.type()
            fields.append((self.name(), of))
            self.expect(";")
        return n.Record(name, name, is_header, fields)

    def parameters(self) -> list[n.Parameter]:
        self.expect("(")
        return self.until(")", self.parameter)

    def parameter(self) -> n.Parameter:
        given = self.annotations()
        direction = self.next().text if self.text in ("in", "out", "inout") else ""
        of = self.type()
        name = self.name()
        return n.Parameter(direction, of, name, given or name)

    def until(self, end: str, item: Callable[[], T]) -> list[T]:
        """Items with commas between, up to and with ``end``."""
        items: list[T] = []
        while not self.take(end):
            items.append(item())
            self.take(",")
        return items

    def action(self, given: str | None) -> n.Action:
        self.expect("action")
        name = self.name()
        return n.Action(name, _control_name(given, name), self.parameters(), self.block())

    def machine(self) -> n.Machine:
        is_parser = self.next().text == "parser"
        name = self.name()
        machine = n.Machine(name, name, self.parameters(), [])
        self.expect("{")
        local: list[_Local] = []
        while not self.take("}"):
            self.annotations_before("state")
            if is_parser and self.take("state"):
                state = self.name()
                machine.states[state] = self.block()
            elif not is_parser and self.take("apply"):
                machine.body = self.block()
            else:
                local += self.declaration()
        machine.locals = local
        return machine

    def annotations_before(self, word: str) -> None:
        """Skip annotations if ``word`` follows them."""
        start = self.at
        self.annotations()
        if self.text != word:
            self.at = start

    def instance_or_variable(self, given: str | None) -> _Local:
        of = self.type()
        if self.take("("):
            arguments = self.until(")", self.expression)
            name = self.name()
            methods = {}
            if self.take("="):
                self.expect("{")
                while not self.take("}"):
                    method = self.method()
                    methods[method.name] = method
            self.expect(";")
            return n.Instance(name, _control_name(given, name), of, arguments, methods)
        return self.variable(of)

    def method(self) -> n.Action:
        self.type()
        name = self.name()
        return n.Action(name, name, self.parameters(), self.block())

    def variable(self, of: n.TypeRef | None = None) -> n.Variable:
        line = self.line
        of = of or self.type()
        name = self.name()
        value = self.expression() if self.take("=") else None
        self.expect(";")
        return n.Variable(line, of, name, value)

    def table(self, given: str | None) -> n.Table:
        self.expect("table")
        name = self.name()
        nothing = n.Call(self.line, n.Name(self.line, "NoAction"), (), ())
        table = n.Table(name, _control_name(given, name), (), (), nothing, (), None)
        self.expect("{")
        while not self.take("}"):
            self.take("const")
            what = self.name()
            self.expect("=")
            if what == "key":
                table.keys = self.in_braces(self.key)
            elif what == "actions":
                table.actions = self.in_braces(self.action_of_table)
            elif what == "entries":
                table.entries = self.in_braces(self.entry)
            else:
                value = self.expression()
                self.expect(";")
                if what == "default_action":
                    table.default = value
                elif what == "counters":
                    assert isinstance(value, n.Name)
                    table.counters = value.name
        return table

    def in_braces(self, item: Callable[[], T]) -> list[T]:
        self.expect("{")
        items: list[T] = []
        while not self.take("}"):
            items.append(item())
            self.take(";")
        return items

    def key(self) -> n.Key:
        value = self.expression()
        self.expect(":")
        kind = self.name()
        self.annotations()
        return n.Key(value, kind)

    def action_of_table(self) -> str:
        self.annotations()
        return self.name()

    def entry(self) -> tuple[n.Expression, n.Expression]:
        keys = self.keyset()
        self.expect(":")
        return keys, self.expression()

    def block(self) -> n.Block:
        line = self.line
        self.expect("{")
        body = []
        while not self.take("}"):
            body.append(self.statement())
        return n.Block(line, body)

    def statement(self) -> n.Statement:
        line = self.line
        self.annotations()
        match self.text:
            case "{":
                return self.block()
            case "if":
                self.next()
                self.expect("(")
                condition = self.expression()
                self.expect(")")
                yes = self.statement()
                return n.If(line, condition, yes, self.statement() if self.take("else") else None)
            case "transition":
                self.next()
                return self.transition(line)
            case "const":
                self.next()
                return self.variable()
        if self.is_type_and_name():
            return self.variable()
        target = self.expression()
        if self.take("="):
            value = self.expression()
            self.expect(";")
            return n.Assign(line, target, value)
        self.expect(";")
        return n.Do(line, target)

    def is_type_and_name(self) -> bool:
        """Whether a declaration of a variable begins here."""
        start = self.at
        try:
            self.type()
            return self.kind == "name" and self.found[self.at + 1].text in ("=", ";")
        except SyntaxError:
            return False
        finally:
            self.at = start

    def transition(self, line: int) -> n.Transition:
        state = self.name()
        if state != "select":
            self.expect(";")
            return n.Transition(line, state)
        self.expect("(")
        on = self.until(")", self.expression)
        self.expect("{")
        cases = []
        while not self.take("}"):
            keys = self.keyset()
            self.expect(":")
            cases.append((keys, self.name()))
            self.expect(";")
        return n.Transition(line, "", on, cases)


def _control_name(given: str | None, name: str) -> str:
    return (given or name).removeprefix(".")
