"""P4Runtime bytestrings: integers of a given width (specification 8.4, "Bytestrings").

A receiver accepts leading zero bytes and checks only the value against the
width; a sender uses the shortest form. Empty, or too large, is OUT_OF_RANGE.
"""

from __future__ import annotations

from sdnblock.softswitch.refusal import OUT_OF_RANGE, Refusal


def decode(value: bytes, bits: int, what: str) -> int:
    """The unsigned integer in ``value``. Raises Refusal OUT_OF_RANGE naming ``what``."""
    if not value:
        raise Refusal(OUT_OF_RANGE, f"{what} is an empty byte string")
    # Leading zeros first: a hostile megabyte of digits must not become one integer.
    digits = value.lstrip(b"\0")
    if len(digits) * 8 - (8 - digits[0].bit_length() if digits else 0) > bits:
        raise Refusal(OUT_OF_RANGE, f"{what} does not fit into {bits} bits")
    return int.from_bytes(digits, "big")


def encode(number: int) -> bytes:
    """The shortest big-endian form; zero is one byte."""
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big")


def canonical(padded: bytes) -> bytes:
    """The shortest form of big-endian bytes."""
    return padded.lstrip(b"\0") or b"\0"
