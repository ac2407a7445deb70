"""``sdnblock switch show``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.live import ask, chosen
from sdnblock.cli.output import Column, output_option, show_rows
from sdnblock.cli.switch.shared import complain, leave, name_argument
from sdnblock.cli.text import printable
from sdnblock.switches.driver import TableKind

if TYPE_CHECKING:
    from sdnblock.switches.reader import Reader

_COLUMNS: Final = (
    Column("switch", "SWITCH"),
    Column("table", "TABLE"),
    Column("entries", "ENTRIES", "number"),
    Column("capacity", "CAPACITY", "number"),
    Column("description", "DESCRIPTION", hidden=True),
)


@dataclass(frozen=True, slots=True)
class _Look:
    description: str
    counts: dict[str, int]
    capacity: dict[str, int]
    foreign: int


@click.command()
@name_argument
@output_option
@pass_app
def show(app: App, name: str | None, output: str) -> None:
    """Say what runs on a switch, and how full its tables are.

    \b
    Example:
      sdnblock switch show edge1
    """
    switches = chosen(app.config, name)
    answers = run(ask(app, switches, _look))
    rows: list[dict[str, Any]] = []
    for answer in answers:
        look = answer.value
        if look is None:
            continue
        rows += [
            {
                "switch": answer.name,
                "table": table,
                "entries": look.counts.get(table, 0),
                "capacity": capacity,
                "description": look.description,
            }
            for table, capacity in look.capacity.items()
        ]
        if output == "table":
            click.echo(f"{answer.name}: {printable(look.description)}")
        if look.foreign:
            click.echo(f"note: {answer.name}: {look.foreign} entries are not sdnblock's", err=True)
    if rows or output != "table":
        show_rows(_COLUMNS, rows, output, "")
    leave(complain(answers))


async def _look(reader: Reader) -> _Look:
    counts: dict[str, int] = {}
    async for entries in reader.entries(counters=False):
        for entry in entries:
            counts[entry.table] = counts.get(entry.table, 0) + 1
    tables = reader.capacity.tables
    capacity = {
        f"{kind.value}_v{family}": tables[kind, family] for kind in TableKind for family in (4, 6)
    }
    counts["limiters"] = reader.limiters
    capacity["limiters"] = reader.capacity.limiters
    return _Look(reader.description, counts, capacity, reader.foreign)
