"""Listings in three formats: a table for people, JSON and CSV for programs.

Rows hold plain values. In JSON and CSV times are Unix seconds, with null or an empty cell
for never; in tables they are local time and how far away that is. No format lets control
characters of outside text through to a terminal.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import click

from sdnblock.cli import text

Row = Mapping[str, Any]
Format = Literal["table", "json", "csv"]
FORMATS: Final = ("table", "json", "csv")

_SHORTEST: Final = 12
"""Columns that a flexible column keeps, however narrow the terminal is."""

output_option = click.option(
    "-o",
    "--output",
    "output",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Format of the listing.",
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the key in rows, the table's heading, and what its values are.

    ``flexible`` columns are shortened on terminals that are too narrow. ``hidden`` ones
    are in JSON and CSV only.
    """

    key: str
    title: str
    kind: Literal["text", "time", "number", "size"] = "text"
    flexible: bool = False
    hidden: bool = False


def show_rows(columns: Sequence[Column], rows: Iterable[Row], output: str, empty: str) -> None:
    """Print a listing. ``empty`` is what a table says on stderr when there are no rows."""
    if output == "json":
        _json_rows(columns, rows)
    elif output == "csv":
        _csv_rows(columns, rows)
    else:
        _table(columns, list(rows), empty)


def show_object(value: Row) -> None:
    """Print one JSON object."""
    click.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def _json_rows(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """An array with an object a line: as good for grep as for a parser."""
    write = sys.stdout.write
    write("[")
    before = "\n "
    for row in rows:
        found = {column.key: _plain(row.get(column.key)) for column in columns}
        write(before + json.dumps(found, allow_nan=False))
        before = ",\n "
    write("]\n" if before == "\n " else "\n]\n")


def _csv_rows(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    for row in rows:
        writer.writerow([_cell(_plain(row.get(column.key))) for column in columns])


def _plain(value: Any) -> Any:
    """A value as JSON has it; infinity, which is never, becomes null."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else round(value, 3)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    return text.printable(value) if isinstance(value, str) else value


def _table(columns: Sequence[Column], rows: list[Row], empty: str) -> None:
    if not rows:
        click.echo(empty, err=True)
        return
    now = time.time()
    shown = [column for column in columns if not column.hidden]
    cells = [[_shown(column, row.get(column.key), now) for column in shown] for row in rows]
    widths = [
        max(len(column.title), max(text.width(line[i]) for line in cells))
        for i, column in enumerate(shown)
    ]
    _fit(shown, widths)
    lines = [[column.title for column in shown], *cells]
    for line in lines:
        sys.stdout.write(_line(shown, widths, line) + "\n")


def _shown(column: Column, value: Any, now: float) -> str:
    if value is None:
        return "-"
    if column.kind == "time":
        return text.moment(value, now)
    if column.kind == "number":
        return f"{value:,}"
    if column.kind == "size":
        return text.size(value)
    return text.printable(str(value))


def _fit(columns: Sequence[Column], widths: list[int]) -> None:
    """Narrow the flexible columns to the terminal; into a pipe everything goes whole."""
    if not sys.stdout.isatty():
        return
    room = shutil.get_terminal_size().columns
    excess = sum(widths) + 2 * (len(widths) - 1) - room
    for i in sorted(range(len(columns)), key=lambda i: -widths[i]):
        if excess > 0 and columns[i].flexible:
            narrowed = max(_SHORTEST, widths[i] - excess)
            excess -= max(0, widths[i] - narrowed)
            widths[i] = min(widths[i], narrowed)


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    parts = []
    for column, room, cell in zip(columns, widths, cells, strict=True):
        shown = text.cut(cell, room)
        padding = " " * (room - text.width(shown))
        right = column.kind in ("number", "size")
        parts.append(padding + shown if right else shown + padding)
    return "  ".join(parts).rstrip()
