"""Byte strings of P4Runtime (specification 8.4, "Bytestrings").

A value travels as the shortest big-endian string; zero is one zero byte.
"""

from __future__ import annotations

from sdnblock.errors import SwitchError


class BadValue(SwitchError):
    """A byte string from a switch that does not fit its field."""


def shortest(value: bytes) -> bytes:
    """The canonical form of a big-endian value."""
    return value.lstrip(b"\0") or b"\0"


def encode(number: int) -> bytes:
    """The canonical form of a number (not negative)."""
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def widen(value: bytes, width: int) -> bytes:
    """A switch's value in exactly ``width`` bytes; padded forms are taken too.

    Raises BadValue if it is empty or does not fit.
    """
    if len(value) > width:
        value = shortest(value)
    if not 0 < len(value) <= width:
        raise BadValue(f"a value of {len(value)} bytes in a field of {width}")
    return value.rjust(width, b"\0")


def number(value: bytes, bits: int) -> int:
    """A switch's value as a number below ``2**bits``. Raises BadValue if it does not fit."""
    result = int.from_bytes(widen(value, (bits + 7) // 8), "big")
    if result >> bits:
        raise BadValue(f"{result} in a field of {bits} bits")
    return result
