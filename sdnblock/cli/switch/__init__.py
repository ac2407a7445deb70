"""``sdnblock switch``: looking into switches, one module per verb."""

from __future__ import annotations

import click

from sdnblock.cli.switch.counters import counters
from sdnblock.cli.switch.diff import diff
from sdnblock.cli.switch.entries import entries
from sdnblock.cli.switch.listing import list_
from sdnblock.cli.switch.show import show


@click.group("switch")
def command() -> None:
    """Look into switches: what they hold, count, and how that differs from the plan.

    list tells what the controller says of its switches. The others read the switches
    themselves, and need no controller; they never write, and take nothing from a
    controller that is at work. Switches are those of the configuration; without a NAME
    all of them are asked. One that does not answer gets a line on stderr, and the exit
    status is 1.
    """


for _verb in (list_, show, entries, counters, diff):
    command.add_command(_verb)
