"""A switch's errors (OpenFlow 1.3.5, 7.4.4) in words, and as kinds of failure. Pure."""

from __future__ import annotations

from typing import Final

from sdnblock.switches.driver import FailureKind
from sdnblock.switches.openflow.answers import ErrorAnswer

IS_SLAVE: Final = (1, 10)
STALE: Final = (11, 0)
UNSUPPORTED: Final = (11, 1)
METER_EXISTS: Final = (12, 1)
_FULL: Final = {(5, 1), (12, 11)}
_WORDS: Final = {
    (1, 5): "not permitted",
    (1, 9): "a table that it does not have",
    IS_SLAVE: "another controller is its master",
    (2, 4): "an output port that it does not have or support",
    (5, 0): "flow refused",
    (5, 1): "table full",
    (5, 2): "a table that it does not have",
    (5, 3): "overlaps another flow",
    (5, 4): "not permitted",
    STALE: "a newer controller is its master",
    UNSUPPORTED: "roles are not supported",
    METER_EXISTS: "the meter is there already",
    (12, 3): "the meter is not there",
    (12, 11): "out of meters",
}
_TYPES: Final = {
    0: "hello failed",
    1: "bad request",
    2: "bad action",
    3: "bad instruction",
    4: "bad match",
    5: "flow refused",
    11: "role refused",
    12: "meter refused",
}


def describe(error: ErrorAnswer) -> str:
    """An error in a few words, with its type and code."""
    key = (error.type, error.code)
    words = _WORDS.get(key) or _TYPES.get(error.type, "refused")
    return f"{words} (OpenFlow error {error.type}/{error.code})"


def failure_kind(error: ErrorAnswer) -> FailureKind:
    """Why a change was refused, as far as the controller acts on it."""
    return FailureKind.FULL if (error.type, error.code) in _FULL else FailureKind.REFUSED
