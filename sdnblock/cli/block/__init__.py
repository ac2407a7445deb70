"""``sdnblock block``: the block list, one module per verb."""

from __future__ import annotations

from typing import Final

import click

from sdnblock.cli.lazy import LazyGroup

_VERBS: Final = {
    "add": "sdnblock.cli.block.add:add",
    "list": "sdnblock.cli.block.listing:list_",
    "show": "sdnblock.cli.block.show:show",
    "remove": "sdnblock.cli.block.remove:remove",
    "import": "sdnblock.cli.block.bulk:import_",
}


@click.group("block", cls=LazyGroup, modules=_VERBS)
def command() -> None:
    """Block sources, prefixes and flows; see what is blocked and why.

    TARGET is an address (203.0.113.7, 2001:db8::7), a CIDR prefix (203.0.113.0/24), or a
    flow 'udp:203.0.113.7:5060>198.51.100.9:5060' (in quotes: the shell takes > for itself;
    IPv6 addresses in brackets). A flow is written as its packets reach us: source first.

    Every origin's claims stand alone: a target stays blocked until the last origin lets go
    of it or its claim expires. The strongest action counts: drop, then limit, then watch.
    """
