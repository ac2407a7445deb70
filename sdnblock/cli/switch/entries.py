"""``sdnblock switch entries``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from sdnblock.block import Action, Prefix, Source, covers, source_of
from sdnblock.cli import params
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.block.listing import target_order
from sdnblock.cli.live import ask, chosen
from sdnblock.cli.output import Column, output_option, show_rows
from sdnblock.cli.switch.shared import complain, leave, name_argument

if TYPE_CHECKING:
    from sdnblock.switches.reader import Entry, Reader

ALLOW: Final = "allow"

_COLUMNS: Final = (
    Column("switch", "SWITCH"),
    Column("table", "TABLE"),
    Column("target", "TARGET"),
    Column("action", "ACTION"),
    Column("packets", "PACKETS", "number"),
    Column("bytes", "BYTES", "size"),
)


@click.command()
@name_argument
@click.option(
    "--action",
    type=click.Choice([ALLOW, *(action.value for action in reversed(Action))]),
    help="Only this action.",
)
@click.option(
    "--contains",
    type=params.PREFIX,
    metavar="ADDRESS",
    help="Only entries that match packets from this address (or all of this prefix).",
)
@output_option
@pass_app
def entries(
    app: App, name: str | None, action: str | None, contains: Source | Prefix | None, output: str
) -> None:
    """List the allow and block entries that a switch holds, with their own counts.

    Packets and bytes are the switch's, since the entry was inserted there. No bytes: the switch
    counts only packets at such entries.

    \b
    Examples:
      sdnblock switch entries edge1
      sdnblock switch entries --contains 203.0.113.7
    """
    inner = None if contains is None else source_of(contains)

    async def read(reader: Reader) -> list[Entry]:
        found: list[Entry] = []
        async for part in reader.entries():
            found += [
                entry
                for entry in part
                if (inner is None or covers(source_of(entry.target), inner))
                and (action is None or action == _word(entry))
            ]
        return sorted(found, key=lambda entry: (entry.table, target_order(entry.target)))

    answers = run(ask(app, chosen(app.config, name), read))
    rows: list[dict[str, Any]] = [
        {
            "switch": answer.name,
            "table": entry.table,
            "target": str(entry.target),
            "action": _word(entry),
            "packets": entry.packets,
            "bytes": entry.bytes,
        }
        for answer in answers
        for entry in answer.value or ()
    ]
    failed = complain(answers)
    if rows or not failed or output != "table":
        show_rows(_COLUMNS, rows, output, "no entries")
    leave(failed)


def _word(entry: Entry) -> str:
    return ALLOW if entry.action is None else entry.action.value
