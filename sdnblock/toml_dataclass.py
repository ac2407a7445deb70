"""A frozen dataclass of settings, read from a TOML table by its fields.

A field's default says what is read (of machine code there are no annotations to ask, see
``make native``); its ``metadata`` the rest: ``kind`` where the default is None, or a tuple of
dataclasses, which is an array of tables; ``least`` and ``most`` for numbers, ``duration`` for
seconds written like ``10m``, ``choices`` for words, ``key`` where the key is not the field's
name, ``parse`` for what reads a text (TargetError: it is wrong), of tuples each one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from sdnblock.block import NEVER, Action, parse_action
from sdnblock.toml_table import Table

S = TypeVar("S")


def read_dataclass(table: Table, kind: type[S]) -> S:
    """The settings, with the dataclass' defaults. Raises ConfigError."""
    values: dict[str, Any] = {}
    defaults = kind()
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # a dataclass, all callers
        key = field.metadata.get("key", field.name)
        values[field.name] = _read(table, key, getattr(defaults, field.name), field.metadata)
    table.finish()
    return kind(**values)


def _read(table: Table, key: str, default: Any, metadata: Mapping[str, Any]) -> Any:
    kind = metadata.get("kind", type(default))
    if default is None and not table.has(key):
        return None
    parse = metadata.get("parse")
    if isinstance(default, tuple):
        return _read_tuple(table, key, kind, default, parse)
    if parse is not None:
        return table.parsed_string(key, default, parse)
    if metadata.get("duration"):
        seconds = table.duration(key, default)
        if seconds == NEVER and default != NEVER:
            raise table.error(key, "give a duration, like 10m")
        return seconds
    if kind is bool:
        return table.boolean(key, default)
    if kind is int:
        return table.integer(key, default, metadata.get("least", 0), metadata.get("most", 2**31))
    if kind is float:
        return table.number(key, default, metadata.get("least", 0.0), metadata.get("most", 1e12))
    if kind is Action:
        return table.parsed_string(key, default, parse_action)
    if kind is Path:
        return table.path(key)
    if kind is str and "choices" in metadata:
        return table.choice(key, default, metadata["choices"])
    if kind is str:
        return table.string(key, default)
    raise TypeError(f"settings of type {kind} cannot be read")


def _read_tuple(table: Table, key: str, kind: Any, default: Any, parse: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        rows = table.tables(key)
        return tuple(read_dataclass(row, cast("type[Any]", kind)) for row in rows) or default
    texts = table.strings(key, None)
    if texts is None:
        return default
    return tuple(texts if parse is None else (table.parsed(key, each, parse) for each in texts))
