"""The syntax tree of a P4 program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Expression:
    """Anything with a value; ``line`` is that of the preprocessed text."""

    line: int


@dataclass(slots=True, eq=False)
class Literal(Expression):
    """A number (``width`` None: of any width), or a boolean (``width`` 0)."""

    value: int
    width: int | None
    known: Any = None
    """Its value, once it was asked for."""


@dataclass(slots=True, eq=False)
class Name(Expression):
    """A name, without the dot that begins a global one."""

    name: str


@dataclass(slots=True, eq=False)
class Member(Expression):
    """``of.name``"""

    of: Expression
    name: str


@dataclass(slots=True, eq=False)
class Index(Expression):
    """``of[index]``"""

    of: Expression
    index: Expression


@dataclass(slots=True, eq=False)
class Slice(Expression):
    """``of[high:low]``"""

    of: Expression
    high: Expression
    low: Expression


@dataclass(slots=True, eq=False)
class Unary(Expression):
    """``!``, ``~``, ``-``"""

    operator: str
    of: Expression


@dataclass(slots=True, eq=False)
class Binary(Expression):
    """Two operands; ``&&&`` and ``..`` make sets."""

    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Choice(Expression):
    """``condition ? yes : no``"""

    condition: Expression
    yes: Expression
    no: Expression


@dataclass(slots=True, eq=False)
class Cast(Expression):
    """``(type)of``"""

    type: TypeRef
    of: Expression


@dataclass(slots=True, eq=False)
class Call(Expression):
    """``function<types>(arguments)``"""

    function: Expression
    types: Sequence[TypeRef]
    arguments: Sequence[Expression]


@dataclass(slots=True, eq=False)
class Tuple(Expression):
    """``{ a, b }`` or ``(a, b)`` of keys."""

    items: Sequence[Expression]


@dataclass(slots=True, eq=False)
class Anything(Expression):
    """``default`` or ``_``"""


@dataclass(slots=True, eq=False)
class TypeRef:
    """A type as written: ``name<arguments>[size]``; widths of ``bit<>`` are expressions."""

    name: str
    arguments: Sequence[TypeRef | Expression] = ()
    size: Expression | None = None


@dataclass(slots=True, eq=False)
class Statement:
    """Anything that is done."""

    line: int


@dataclass(slots=True, eq=False)
class Assign(Statement):
    """``to = value``"""

    to: Expression
    value: Expression


@dataclass(slots=True, eq=False)
class Do(Statement):
    """A call for what it does."""

    call: Expression


@dataclass(slots=True, eq=False)
class If(Statement):
    """``if (condition) yes else no``"""

    condition: Expression
    yes: Statement
    no: Statement | None


@dataclass(slots=True, eq=False)
class Block(Statement):
    """``{ ... }``"""

    body: Sequence[Statement]


@dataclass(slots=True, eq=False)
class Variable(Statement):
    """``type name = value``; also a constant."""

    type: TypeRef
    name: str
    value: Expression | None


@dataclass(slots=True, eq=False)
class Transition(Statement):
    """To a state, or by ``select``."""

    state: str
    on: Sequence[Expression] = ()
    cases: Sequence[tuple[Expression, str]] = ()


@dataclass(slots=True, eq=False)
class Parameter:
    """Of a control, parser, action or method."""

    direction: str
    type: TypeRef
    name: str
    control_name: str


@dataclass(slots=True, eq=False)
class Declaration:
    """Anything with a name; ``control_name`` is the one that P4Runtime knows."""

    name: str
    control_name: str


@dataclass(slots=True, eq=False)
class TypeName(Declaration):
    """``typedef``"""

    type: TypeRef


@dataclass(slots=True, eq=False)
class Record(Declaration):
    """``header`` or ``struct``"""

    is_header: bool
    fields: Sequence[tuple[str, TypeRef]]


@dataclass(slots=True, eq=False)
class Action(Declaration):
    """An action, or the method that an instance implements."""

    parameters: Sequence[Parameter]
    body: Block


@dataclass(slots=True, eq=False)
class Key:
    """A field of a table's key."""

    value: Expression
    kind: str


@dataclass(slots=True, eq=False)
class Table(Declaration):
    """A table as written."""

    keys: Sequence[Key]
    actions: Sequence[str]
    default: Expression
    entries: Sequence[tuple[Expression, Expression]]
    counters: str | None


@dataclass(slots=True, eq=False)
class Instance(Declaration):
    """Of a control, parser or extern, with the methods that it implements."""

    type: TypeRef
    arguments: Sequence[Expression]
    methods: dict[str, Action]


@dataclass(slots=True, eq=False)
class Machine(Declaration):
    """A control (``apply``) or a parser (``states``)."""

    parameters: Sequence[Parameter]
    locals: Sequence[Declaration | Variable]
    body: Block | None = None
    states: dict[str, Block] = field(default_factory=dict)
