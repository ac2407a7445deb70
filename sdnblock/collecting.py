"""Garbage collection for programs that make very many objects and throw nearly all away."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG: Final = 100_000
"""Objects that are made between two looks; Python's 700 make it look through all that is kept
again and again."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for garbage rarely, and never through what is there already."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_YOUNG, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
