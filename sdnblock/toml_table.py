"""Reading one TOML table key by key, with errors that say file, place and problem."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sdnblock.block import MAX_DURATION, parse_duration
from sdnblock.errors import ConfigError, TargetError

T = TypeVar("T")


class Table:
    """One TOML table, read key by key; what nobody asked for is refused by finish()."""

    def __init__(self, data: Mapping[str, Any], file: str, path: str) -> None:
        self._data = data
        self._file = file
        self._path = path
        self._known: set[str] = set()

    def error(self, key: str, problem: str) -> ConfigError:
        """The error for ``key``: file, place, problem."""
        where = f"{self._path}.{key}" if self._path else key
        return ConfigError(f"{self._file}: {where}: {problem}")

    def has(self, key: str) -> bool:
        """Whether ``key`` is there."""
        return key in self._data

    def names(self) -> list[str]:
        """All keys, for a table whose keys are data."""
        return list(self._data)

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self._data:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                hint = (
                    f"did you mean {near[0]}?"
                    if near
                    else (f"known are {', '.join(sorted(self._known))}")
                )
                raise self.error(key, f"unknown key; {hint}")

    def _get(self, key: str, kinds: tuple[type, ...], what: str) -> Any:
        self._known.add(key)
        value = self._data.get(key)
        wrong_bool = isinstance(value, bool) and bool not in kinds
        if value is not None and (wrong_bool or not isinstance(value, kinds)):
            raise self.error(key, f"must be {what}")
        return value

    def table(self, key: str) -> Table:
        """A sub-table, empty if it is not there."""
        data = self._get(key, (dict,), "a table")
        return Table(data or {}, self._file, f"{self._path}.{key}" if self._path else key)

    def tables(self, key: str) -> list[Table]:
        """An array of tables."""
        data = self._get(key, (list,), f"tables, written [[{key}]]") or []
        if not all(isinstance(each, dict) for each in data):
            raise self.error(key, f"must be tables, written [[{key}]]")
        return [Table(each, self._file, f"{key}[{number}]") for number, each in enumerate(data, 1)]

    def string(self, key: str, default: str) -> str:
        """A text."""
        value = self._get(key, (str,), "a text")
        return default if value is None else str(value)

    def optional_string(self, key: str) -> str | None:
        """A text or None."""
        value = self._get(key, (str,), "a text")
        return None if value is None else str(value)

    def path(self, key: str) -> Path | None:
        """The path of a file, from the configuration's own folder, or None."""
        value = self.optional_string(key)
        return None if value is None else Path(self._file).parent / value

    def strings(self, key: str, default: Any = ()) -> Any:
        """A list of texts."""
        value = self._get(key, (list,), "a list of texts")
        if value is None:
            return default
        if not all(isinstance(each, str) for each in value):
            raise self.error(key, "must be a list of texts")
        return value

    def integers(self, key: str, least: int, most: int) -> list[int]:
        """A list of whole numbers."""
        value = self._get(key, (list,), "a list of numbers") or []
        for each in value:
            if not isinstance(each, int) or isinstance(each, bool) or not least <= each <= most:
                raise self.error(key, f"must be a list of numbers from {least} to {most}")
        return list(value)

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number."""
        value = self._get(key, (int,), "a whole number")
        value = default if value is None else int(value)
        if value != default and not least <= value <= most:
            raise self.error(key, f"must be from {least} to {most}")
        return int(value)

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """A number."""
        value = self._get(key, (int, float), "a number")
        value = default if value is None else float(value)
        if not least <= value <= most:
            raise self.error(key, f"must be from {least:g} to {most:g}")
        return value

    def number_or_text(self, key: str) -> int | str | None:
        """A whole number or a text, None if it is not there."""
        value: int | str | None = self._get(key, (int, str), "a whole number or a text")
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._get(key, (bool,), "true or false")
        return default if value is None else bool(value)

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        """One of some words."""
        value = self.string(key, default)
        if value not in allowed:
            raise self.error(key, f"must be one of {', '.join(allowed)}")
        return value

    def duration(self, key: str, default: float) -> float:
        """A duration like ``10m``, or a number of seconds."""
        value = self._get(key, (int, float, str), "a duration like 10m")
        if value is None:
            return default
        if isinstance(value, str):
            return self.parsed(key, value, parse_duration)
        if not 0 < value <= MAX_DURATION:
            raise self.error(key, "must be more than zero and at most ten years")
        return float(value)

    def parsed(self, key: str, text: str, parse: Callable[[str], T]) -> T:
        """``parse(text)``, its TargetError told as an error of ``key``."""
        try:
            return parse(text)
        except TargetError as error:
            raise self.error(key, str(error)) from None

    def parsed_string(self, key: str, default: T, parse: Callable[[str], T]) -> T:
        """A text, parsed."""
        value = self.optional_string(key)
        return default if value is None else self.parsed(key, value, parse)
