"""``sdnblock allow``: the allowlist."""

from __future__ import annotations

import math
import time
from typing import Any, Final

import click

from sdnblock.block import Prefix, Source, Target, covers, source_of
from sdnblock.blocklist.claims import Allowed
from sdnblock.blocklist.store import Store
from sdnblock.cli import params, text
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.output import Column, output_option, show_rows
from sdnblock.cli.reach import controller_note
from sdnblock.config import Config

_COLUMNS: Final = (
    Column("prefix", "PREFIX"),
    Column("expires", "EXPIRES", "time"),
    Column("since", "SINCE", "time", hidden=True),
    Column("source", "KEPT IN"),
    Column("note", "NOTE", flexible=True),
)
_IN_REDIS: Final = "redis"
_IN_CONFIG: Final = "configuration"


@click.group("allow")
def command() -> None:
    """The allowlist: sources that are never dropped or limited, whoever asks.

    It wins over every block, also over those that were there before. Entries that shall
    hold even if Redis loses its data belong into the configuration ([allow] prefixes).
    """


@command.command()
@click.argument("prefixes", metavar="PREFIX...", nargs=-1, required=True, type=params.PREFIX)
@click.option(
    "--for",
    "seconds",
    metavar="DURATION",
    type=params.DURATION,
    default="forever",
    show_default=True,
    help="30s, 5m, 4h, 1d12h, 2w, or forever.",
)
@click.option(
    "--note",
    metavar="TEXT",
    default="",
    callback=params.check_reason,
    help="Who that is, for whoever looks later.",
)
@params.dry_run_option
@pass_app
def add(
    app: App, prefixes: tuple[Source | Prefix, ...], seconds: float, note: str, dry_run: bool
) -> None:
    """Put addresses or prefixes on the allowlist.

    That works backwards too: blocks that they cover are lifted at once, and come back
    when the entry is removed or expires. Says how many blocks that are.

    \b
    Examples:
      sdnblock allow add 198.51.100.0/24 --note 'our trunk'
      sdnblock allow add 2001:db8:77::9 --for 2h --note 'test phone'
    """
    run(_add(app, list(dict.fromkeys(prefixes)), time.time() + seconds, note, dry_run))


async def _add(
    app: App, prefixes: list[Source | Prefix], expires: float, note: str, dry_run: bool
) -> None:
    async with app.store() as store:
        lifted = await _covered_blocks(store, prefixes)
        now = time.time()
        for prefix in prefixes:
            if not dry_run:
                await store.allow_add(prefix, expires, note)
            freed = text.count(len(lifted[prefix]), "live block")
            click.echo(
                f"{prefix}: {'would be ' if dry_run else ''}allowed {text.until(expires, now)};"
                f" {'would lift' if dry_run else 'lifts'} {freed}"
            )
        await _note(store, not dry_run)


async def _covered_blocks(
    store: Store, prefixes: list[Source | Prefix]
) -> dict[Source | Prefix, set[Target]]:
    """The blocked targets that each of the prefixes covers whole."""
    found: dict[Source | Prefix, set[Target]] = {prefix: set() for prefix in prefixes}
    outer = [(source_of(prefix), found[prefix]) for prefix in prefixes]
    async for chunk in store.claims():
        for claim in chunk:
            inner = source_of(claim.target)
            for each, targets in outer:
                if covers(each, inner):
                    targets.add(claim.target)
    return found


@command.command("list")
@output_option
@pass_app
def list_(app: App, output: str) -> None:
    """List the allowlist: what is in Redis, and what is in the configuration.

    \b
    Example:
      sdnblock allow list -o csv
    """
    rows = [_row(entry, kept) for entry, kept in run(_entries(app))]
    show_rows(_COLUMNS, rows, output, "the allowlist is empty")


async def _entries(app: App) -> list[tuple[Allowed, str]]:
    async with app.store() as store:
        found = [(entry, _IN_REDIS) for entry in await store.allowed()]
    found += [(Allowed(prefix, math.inf), _IN_CONFIG) for prefix in app.config.allow]
    return sorted(found, key=lambda pair: (pair[0].prefix.family, *source_of(pair[0].prefix)))


def _row(entry: Allowed, kept: str) -> dict[str, Any]:
    return {
        "prefix": str(entry.prefix),
        "expires": entry.expires,
        "since": entry.since,
        "source": kept,
        "note": entry.note,
    }


@command.command()
@click.argument("prefixes", metavar="PREFIX...", nargs=-1, required=True, type=params.PREFIX)
@params.dry_run_option
@pass_app
def remove(app: App, prefixes: tuple[Source | Prefix, ...], dry_run: bool) -> None:
    """Take addresses or prefixes off the allowlist.

    Blocks that they had lifted are in force again at once; says how many. Each PREFIX is
    an entry as allow list shows it. The exit status is 1 if one of them was not there.

    \b
    Example:
      sdnblock allow remove 198.51.100.0/24
    """
    complete = run(_remove(app, list(dict.fromkeys(prefixes)), dry_run))
    click.get_current_context().exit(0 if complete else 1)


async def _remove(app: App, prefixes: list[Source | Prefix], dry_run: bool) -> bool:
    async with app.store() as store:
        blocks = await _covered_blocks(store, prefixes)
        present = {entry.prefix for entry in await store.allowed()}
        removed = [prefix for prefix in prefixes if prefix in present]
        for prefix in removed:
            if not dry_run:
                await store.allow_remove(prefix)
            click.echo(
                f"{'would remove' if dry_run else 'removed'} {prefix};"
                f" {text.count(len(blocks[prefix]), 'live block')} had been lifted by it"
            )
        for prefix in prefixes:
            if prefix not in present:
                click.echo(f"sdnblock: {_absent(prefix, app.config)}", err=True)
        await _note(store, bool(removed) and not dry_run)
        return len(removed) == len(prefixes)


def _absent(prefix: Source | Prefix, config: Config) -> str:
    if prefix in config.allow:
        return f"{prefix} is kept in {config.source}: remove it there and reload the controller"
    return f"{prefix} is not an entry of the allowlist"


@command.command()
@click.argument("address", type=params.PREFIX)
@output_option
@pass_app
def check(app: App, address: Source | Prefix, output: str) -> None:
    """Say which entries of the allowlist cover ADDRESS (or a whole prefix).

    The exit status is 0 if one does, else 1.

    \b
    Example:
      sdnblock allow check 198.51.100.20
    """
    inner = source_of(address)
    entries = run(_entries(app))
    found = [pair for pair in entries if covers(source_of(pair[0].prefix), inner)]
    partly = [
        pair[0].prefix
        for pair in entries
        if pair not in found and covers(inner, source_of(pair[0].prefix))
    ]
    nothing = f"{address} is not on the allowlist"
    if partly:
        nothing += f"; {text.count(len(partly), 'entry', 'entries')} within it: {partly[0]}"
        nothing += ", ..." if len(partly) > 1 else ""
    show_rows(_COLUMNS, [_row(*pair) for pair in found], output, nothing)
    click.get_current_context().exit(0 if found else 1)


async def _note(store: Store, wanted: bool) -> None:
    if wanted and (note := await controller_note(store)):
        click.echo(note, err=True)
