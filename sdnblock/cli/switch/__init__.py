"""``sdnblock switch``: looking into switches, one module per verb."""

from __future__ import annotations

from typing import Final

import click

from sdnblock.cli.lazy import LazyGroup

_VERBS: Final = {
    "list": "sdnblock.cli.switch.listing:list_",
    "show": "sdnblock.cli.switch.show:show",
    "entries": "sdnblock.cli.switch.entries:entries",
    "counters": "sdnblock.cli.switch.counters:counters",
    "diff": "sdnblock.cli.switch.diff:diff",
}


@click.group("switch", cls=LazyGroup, modules=_VERBS)
def command() -> None:
    """Look into switches: what they hold, count, and how that differs from the plan.

    list tells what the controller says of its switches. The others read the switches
    themselves, and need no controller; they never write, and take nothing from a
    controller that is at work. (An OpenFlow switch is read through the controller that it
    is connected to; while none runs, this command listens for it, ten seconds at most.)
    Switches are those of the configuration; without a NAME all of them are asked. One that
    does not answer gets a line on stderr, and the exit status is 1.
    """
