"""What a stateful ALU of a Tofino can do, counted in the program's source.

The compiler says so too, where it is installed. Limits: p4c's backends/tofino, class
IXBar::FindSaluSources and Device::StatefulAluSpec.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from tests.p4model import nodes as n
from tests.p4model.switch import P4, load
from tests.p4model.tna import switch
from tests.p4model.values import BitType, RecordType

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is the preprocessor")


def walk(node: Any) -> Iterator[Any]:
    """A node and all that is in it."""
    yield node
    if isinstance(node, list | tuple):
        for each in node:
            yield from walk(each)
    elif hasattr(node, "__slots__") and not isinstance(node, str):
        for name in node.__dataclass_fields__:
            yield from walk(getattr(node, name))


def text(node: Any) -> str:
    """An expression, to compare it with others."""
    if isinstance(node, n.Member):
        return f"{text(node.of)}.{node.name}"
    if isinstance(node, n.Name):
        return node.name
    if isinstance(node, n.Binary):
        return f"({text(node.left)} {node.operator} {text(node.right)})"
    return str(getattr(node, "value", node))


@pytest.fixture(scope="module")
def registers() -> dict[str, tuple[n.Instance, list[n.Instance]]]:
    """Registers of the program by control and name, each with the actions on it."""
    found: dict[str, tuple[n.Instance, list[n.Instance]]] = {}
    for control in load(P4 / "tofino" / "sdnblock_tofino.p4"):
        if not isinstance(control, n.Machine):
            continue
        instances = [each for each in control.locals if isinstance(each, n.Instance)]
        for each in instances:
            if each.type.name == "Register":
                found[f"{control.name}.{each.name}"] = (each, [])
        for each in instances:
            if each.type.name == "RegisterAction":
                found[f"{control.name}.{text(each.arguments[0])}"][1].append(each)
    return found


def test_all_registers_are_found(registers: dict[str, Any]) -> None:
    assert len(registers) == 9


def test_at_most_four_actions_on_a_register(registers: dict[str, Any]) -> None:
    for name, (_, actions) in registers.items():
        assert 1 <= len(actions) <= 4, name


def test_a_slot_has_at_most_64_bits_in_two_halves(registers: dict[str, Any]) -> None:
    interpreter = switch().interpreter
    for name, (register, _) in registers.items():
        of = interpreter.type(register.type.arguments[0], interpreter.globals)
        parts = list(of.fields.values()) if isinstance(of, RecordType) else [of]
        assert len(parts) <= 2, name
        for part in parts:
            assert isinstance(part, BitType) and part.width in (8, 16, 32), name
        assert len({part.width for part in parts if isinstance(part, BitType)}) == 1, name


def test_the_actions_of_a_register_know_two_fields_of_the_packet(
    registers: dict[str, Any],
) -> None:
    for name, (_, actions) in registers.items():
        fields = {
            text(node)
            for action in actions
            for node in walk(action.methods["apply"].body)
            if isinstance(node, n.Member) and text(node).startswith("meta.tofino.")
        }
        assert len(fields) <= 2, f"{name}: {fields}"


def test_an_action_makes_two_comparisons_at_most(registers: dict[str, Any]) -> None:
    for name, (_, actions) in registers.items():
        for action in actions:
            comparisons = defaultdict(set)
            for node in walk(action.methods["apply"].body):
                if isinstance(node, n.Binary) and node.operator in (
                    "==",
                    "!=",
                    "<",
                    "<=",
                    ">",
                    ">=",
                ):
                    equality = node.operator in ("==", "!=")
                    comparisons[text(node.left), text(node.right)].add(equality)
            assert sum(map(len, comparisons.values())) <= 2, f"{name}: {action.name}"
