"""Tokens to a syntax tree: expressions and types."""

from __future__ import annotations

from typing import Final

from tests.p4model import nodes as n
from tests.p4model.lexer import Token

_PRECEDENCE: Final = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, ">": 4, "<=": 4, ">=": 4,
    "|": 5, "^": 6, "&": 7, "<<": 8, ">>": 8, "++": 9, "+": 9, "-": 9, "|+|": 9, "|-|": 9,
    "*": 10, "/": 10, "%": 10,
}  # fmt: skip
_BUILT_IN: Final = ("bit", "int", "varbit", "bool")


class Expressions:
    """A parser by recursive descent, up to expressions."""

    def __init__(self, found: list[Token]) -> None:
        self.found = found
        self.at = 0

    @property
    def text(self) -> str:
        """The text of the next token."""
        return self.found[self.at].text

    @property
    def kind(self) -> str:
        """The kind of the next token."""
        return self.found[self.at].kind

    @property
    def line(self) -> int:
        """The line of the next token."""
        return self.found[self.at].line

    def next(self) -> Token:
        """Take a token."""
        self.at += 1
        return self.found[self.at - 1]

    def take(self, text: str) -> bool:
        """Take a token if it is ``text``."""
        if self.text != text or self.kind == "string":
            return False
        self.at += 1
        return True

    def expect(self, text: str) -> None:
        """Take the token ``text``."""
        if not self.take(text):
            raise SyntaxError(f"line {self.line}: {self.text!r} instead of {text!r}")

    def name(self) -> str:
        """Take a name."""
        if self.kind != "name":
            raise SyntaxError(f"line {self.line}: {self.text!r} is no name")
        return self.next().text

    def type(self) -> n.TypeRef:
        """A type."""
        self.take(".")
        of = n.TypeRef(self.name())
        if self.take("<"):
            arguments: list[n.TypeRef | n.Expression] = []
            while not self.take(">"):
                if of.name in _BUILT_IN:
                    parenthesised = self.text == "("
                    arguments.append(self.expression() if parenthesised else self.primary())
                else:
                    arguments.append(self.type())
                self.take(",")
            of.arguments = arguments
        if self.take("["):
            of.size = self.expression()
            self.expect("]")
        return of

    def expression(self, least: int = 0) -> n.Expression:
        """An expression of operators that bind at least so strongly."""
        left = self.unary()
        while True:
            operator = self.operator()
            strength = _PRECEDENCE.get(operator, 0)
            if not strength or strength <= least:
                break
            line = self.line
            self.at += len(operator) if operator == ">>" else 1
            left = n.Binary(line, operator, left, self.expression(strength))
        if least == 0 and self.take("?"):
            yes = self.expression()
            self.expect(":")
            return n.Choice(left.line, left, yes, self.expression())
        return left

    def operator(self) -> str:
        """The operator that comes next; two ``>`` may be one, or end two types."""
        if self.kind != "symbol":
            return ""
        if self.text == ">" and self.found[self.at + 1].text == ">":
            return ">>"
        return self.text

    def unary(self) -> n.Expression:
        """An operand with what stands before it."""
        line = self.line
        if self.kind == "symbol" and self.text in ("!", "~", "-"):
            operator = self.next().text
            return n.Unary(line, operator, self.unary())
        if self.text == "(" and self.found[self.at + 1].text in _BUILT_IN:
            self.next()
            of = self.type()
            self.expect(")")
            return n.Cast(line, of, self.unary())
        return self.primary()

    def primary(self) -> n.Expression:
        """An operand with what stands behind it."""
        value = self.atom()
        while True:
            line = self.line
            if self.take("."):
                value = n.Member(line, value, self.name())
            elif self.take("["):
                index = self.expression()
                if self.take(":"):
                    value = n.Slice(line, value, index, self.expression())
                else:
                    value = n.Index(line, value, index)
                self.expect("]")
            elif self.text == "(":
                value = n.Call(line, value, (), self.arguments())
            elif self.text == "<" and (types := self.types_of_call()) is not None:
                value = n.Call(line, value, types, self.arguments())
            else:
                return value

    def arguments(self) -> list[n.Expression]:
        """Of a call."""
        self.expect("(")
        found = []
        while not self.take(")"):
            found.append(self.expression())
            self.take(",")
        return found

    def types_of_call(self) -> list[n.TypeRef] | None:
        """``<types>`` if a call follows; else it was less-than."""
        start = self.at
        try:
            self.expect("<")
            types = []
            while not self.take(">"):
                types.append(self.type())
                self.take(",")
            if self.text == "(":
                return types
        except SyntaxError:
            pass
        self.at = start
        return None

    def atom(self) -> n.Expression:
        """What has no parts."""
        line = self.line
        if self.take("("):
            value = self.expression()
            if self.text == ",":
                items = [value]
                while self.take(","):
                    items.append(self.expression())
                value = n.Tuple(line, items)
            self.expect(")")
            return value
        if self.take("{"):
            items = []
            while not self.take("}"):
                items.append(self.expression())
                self.take(",")
            return n.Tuple(line, items)
        if self.kind == "number":
            return _number(self.next())
        if self.take("true"):
            return n.Literal(line, 1, 0)
        if self.take("false"):
            return n.Literal(line, 0, 0)
        self.take(".")
        return n.Name(line, self.name())

    def keyset(self) -> n.Expression:
        """What a select or an entry matches."""
        line = self.line
        if not self.take("("):
            return self.one_key()
        items = [self.one_key()]
        while self.take(","):
            items.append(self.one_key())
        self.expect(")")
        return n.Tuple(line, items)

    def one_key(self) -> n.Expression:
        """One field of it."""
        line = self.line
        if self.take("default") or self.take("_"):
            return n.Anything(line)
        value = self.expression()
        if self.take("&&&"):
            return n.Binary(line, "&&&", value, self.expression())
        return value


def _number(token: Token) -> n.Literal:
    text = token.text.replace("_", "")
    width = None
    for mark in ("w", "s"):
        before, found, after = text.partition(mark)
        if found and before.isdigit():
            width, text = int(before), after
    return n.Literal(token.line, int(text, 0), width)
