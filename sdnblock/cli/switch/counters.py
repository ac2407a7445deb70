"""``sdnblock switch counters``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.live import ask, chosen
from sdnblock.cli.output import Column, output_option, show_rows
from sdnblock.cli.switch.shared import complain, leave, name_argument

if TYPE_CHECKING:
    from sdnblock.switches.reader import Reader

_COLUMNS: Final = (
    Column("switch", "SWITCH"),
    Column("group", "GROUP"),
    Column("name", "NAME"),
    Column("packets", "PACKETS", "number"),
)


@click.command()
@name_argument
@click.option("--all", "everything", is_flag=True, help="Show also what was never counted.")
@output_option
@pass_app
def counters(app: App, name: str | None, everything: bool, output: str) -> None:
    """Show a switch's packet counters: verdicts, SIP ports, SIP messages in and out.

    The verdict group counts every packet from the untrusted side once. message_in counts
    SIP messages that came from there and passed, by method or status class; message_out
    those that we sent. JSON and CSV always have all counters.

    \b
    Example:
      sdnblock switch counters edge1
    """
    answers = run(ask(app, chosen(app.config, name), _read))
    everything = everything or output != "table"
    rows: list[dict[str, Any]] = [
        {"switch": answer.name, "group": group, "name": each, "packets": packets}
        for answer in answers
        for group, counts in (answer.value or {}).items()
        for each, packets in counts.items()
        if packets or everything
    ]
    failed = complain(answers)
    if rows or not failed or output != "table":
        show_rows(_COLUMNS, rows, output, "nothing was counted yet")
    leave(failed)


async def _read(reader: Reader) -> dict[str, dict[str, int]]:
    return await reader.packet_counters()
