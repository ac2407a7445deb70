"""A frozen dataclass of settings, read from a TOML table by its fields.

A field's type says what is read; its ``metadata`` the bounds: ``least`` and ``most`` for
numbers, ``duration`` for seconds written like ``10m``, ``choices`` for words, ``key`` where
the key is not the field's name, ``parse`` for what reads a text (TargetError: it is wrong), of
tuples each one. A tuple of dataclasses is an array of tables.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from sdnblock.block import NEVER, Action, parse_action, parse_prefix
from sdnblock.toml_table import Table

S = TypeVar("S")


def read_dataclass(table: Table, kind: type[S]) -> S:
    """The settings, with the dataclass' defaults. Raises ConfigError."""
    values: dict[str, Any] = {}
    defaults, hints = kind(), typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # a dataclass, all callers
        key = field.metadata.get("key", field.name)
        default = getattr(defaults, field.name)
        values[field.name] = _read(table, key, hints[field.name], default, field.metadata)
    table.finish()
    return kind(**values)


def _read(
    table: Table, key: str, kind: Any, default: Any, metadata: typing.Mapping[str, Any]
) -> Any:
    if typing.get_origin(kind) is types.UnionType:  # X | None
        if not table.has(key):
            return default
        (kind,) = (each for each in typing.get_args(kind) if each is not type(None))
    parse = metadata.get("parse")
    if typing.get_origin(kind) is tuple:
        return _read_tuple(table, key, typing.get_args(kind)[0], default, parse)
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
        path = table.path(key)
        return default if path is None else path
    if kind is str and "choices" in metadata:
        return table.choice(key, default, metadata["choices"])
    if kind is str:
        return table.string(key, default)
    raise TypeError(f"settings of type {kind} cannot be read")


def _read_tuple(table: Table, key: str, kind: Any, default: Any, parse: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        rows = table.tables(key)
        return tuple(read_dataclass(row, typing.cast("type[Any]", kind)) for row in rows) or default
    texts = table.strings(key, None)
    if texts is None:
        return default
    if parse is not None:
        return tuple(table.parsed(key, text, parse) for text in texts)
    if kind is str:
        return tuple(texts)
    return tuple(table.parsed(key, text, parse_prefix) for text in texts)
