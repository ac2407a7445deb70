"""``sdnblock replay``: a capture through the detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from sdnblock.block import Prefix, Source
from sdnblock.cli import params
from sdnblock.cli.app import App, pass_app
from sdnblock.cli.output import Column, output_option, show_rows

_COLUMNS: Final = (
    Column("decided_at", "DECIDED", "time"),
    Column("source", "SOURCE", hidden=True),
    Column("target", "TARGET"),
    Column("action", "ACTION"),
    Column("grade", "GRADE"),
    Column("detector", "DETECTOR"),
    Column("first_seen", "FIRST SEEN", "time", hidden=True),
    Column("packets_before", "PACKETS", "number"),
    Column("reason", "REASON", flexible=True),
)


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--trusted",
    type=params.PREFIX,
    multiple=True,
    metavar="PREFIX",
    help="Our side, where it cannot be guessed. Can be given several times.",
)
@output_option
@pass_app
def command(app: App, file: Path, trusted: tuple[Source | Prefix, ...], output: str) -> None:
    """Show what the detectors would have blocked in a capture, when, why and after how much.

    FILE is pcap or pcapng (Ethernet, Linux cooked, raw IP, VLAN tags). Time is the
    capture's own. Needs no root, no Redis and no switch; thresholds and the allowlist are
    those of the configuration.

    \b
    Example:
      sdnblock replay capture.pcap --trusted 198.51.100.0/24
    """
    from sdnblock.collecting import rare_collections
    from sdnblock.replay import read_events, replay

    config = app.config
    with rare_collections():
        events = list(read_events(file))
        decisions = replay(events, trusted, config.detect, config.allow)
    rows = [decision.row() for decision in decisions]
    nothing = f"nothing would have been blocked ({len(events):,} SIP messages)"
    show_rows(_COLUMNS, rows, output, nothing)
