"""What sorts of records are remembered (see :mod:`sdnblock.detect.kept`): a table each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True)
class Kind(Generic[K, R]):
    """One sort of records. ``name`` is ``a-z`` and ``-``; ``lifetime`` is in seconds.

    ``pack`` gives plain JSON values, or None where the time says all; ``unpack`` takes the
    time and them, from outside, and raises ValueError for what cannot be. ``firm`` says
    which records a flood of forged packets cannot have made: they are never pushed out by
    others. ``most`` is how many are held, of the firm and of the others.
    """

    name: str
    lifetime: float
    most: int
    key_text: Callable[[K], str]
    parse_key: Callable[[str], K]
    time: Callable[[R], float]
    pack: Callable[[R], Any]
    unpack: Callable[[float, Any], R]
    firm: Callable[[R], bool] = lambda _: True
