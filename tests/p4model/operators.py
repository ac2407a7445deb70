"""What P4's operators do (P4-16 specification, 8.5 to 8.10)."""

from __future__ import annotations

from typing import Any

from tests.p4model.values import Bits


def unary(operator: str, value: Any) -> Any:
    """One operand."""
    if operator == "!":
        assert isinstance(value, bool)
        return not value
    result = -value.value if operator == "-" else ~value.value
    return Bits(result, value.width, value.signed)


def binary(operator: str, left: Any, right: Any) -> Any:
    """Two operands, other than ``&&`` and ``||``."""
    if isinstance(left, bool) or not isinstance(left, Bits):
        return _equality(operator, left, right)
    a, b = left.value, right.value
    match operator:
        case "<<":
            return Bits(a << b, left.width, left.signed)
        case ">>":
            return Bits(a >> b, left.width, left.signed)
        case "++":
            assert left.width is not None
            assert right.width is not None
            return Bits(left.raw << right.width | right.raw, left.width + right.width)
    if left.width is not None and right.width is not None:
        assert (left.width, left.signed) == (right.width, right.signed), (operator, left, right)
    known = right if left.width is None else left
    if known.width is not None and not known.signed:
        a, b = a & ((1 << known.width) - 1), b & ((1 << known.width) - 1)
    compared = _compare(operator, a, b)
    if compared is not None:
        return compared
    return Bits(_arithmetic(operator, a, b, known), known.width, known.signed)


def _equality(operator: str, left: Any, right: Any) -> bool:
    same: bool = left.fields == right.fields if hasattr(left, "fields") else left == right
    return same if operator == "==" else not same


def _compare(operator: str, a: int, b: int) -> bool | None:
    match operator:
        case "==":
            return a == b
        case "!=":
            return a != b
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case ">=":
            return a >= b
    return None


def _arithmetic(operator: str, a: int, b: int, known: Bits) -> int:
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "&":
            return a & b
        case "|":
            return a | b
        case "^":
            return a ^ b
    assert known.width is not None
    assert not known.signed
    if operator == "|+|":
        return min(a + b, (1 << known.width) - 1)
    assert operator == "|-|", operator
    return max(a - b, 0)
