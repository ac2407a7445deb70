"""``sdnblock block remove``."""

from __future__ import annotations

import time

import click

from sdnblock.block import Target
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.store import Store
from sdnblock.cli import params, text
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.reach import controller_note

_BATCH = 5000


@click.command()
@click.argument("targets", metavar="[TARGET]...", nargs=-1, type=params.TARGET)
@click.option(
    "--origin",
    type=params.ORIGIN,
    metavar="NAME",
    help="Take back this origin's claims only.  [default: every origin's]",
)
@click.option(
    "--all", "everything", is_flag=True, help="Everything that the origin given by --origin claims."
)
@params.dry_run_option
@pass_app
def remove(
    app: App,
    targets: tuple[Target, ...],
    origin: str | None,
    everything: bool,
    dry_run: bool,
) -> None:
    """Unblock targets, or all that one origin has blocked.

    Without --origin the claims of every origin on the targets go. A feed or a detector may
    block them again: what must never be blocked belongs on the allowlist (allow add).

    \b
    Examples:
      sdnblock block remove 203.0.113.7
      sdnblock block remove 203.0.113.7 --origin operator
      sdnblock block remove --all --origin honeypot
    """
    if everything and targets:
        raise click.UsageError("give targets or --all, not both")
    if everything and origin is None:
        raise click.UsageError("--all needs --origin: whose blocks shall go?")
    if not everything and not targets:
        raise click.UsageError("which targets? (or --all --origin NAME)")
    if origin is not None and everything:
        found = run(_remove_origin(app, origin, dry_run))
    else:
        found = run(_remove_targets(app, targets, origin, dry_run))
    click.get_current_context().exit(0 if found else 1)


async def _remove_targets(
    app: App, targets: tuple[Target, ...], origin: str | None, dry_run: bool
) -> bool:
    """Whether each of the targets was blocked."""
    async with app.store() as store:
        wanted = list(dict.fromkeys(targets))
        if dry_run:
            removed = [
                claim
                for target in wanted
                for claim in await store.find(target)
                if origin is None or claim.origin == origin
            ]
        else:
            removed = await store.remove(wanted, origin)
        now = time.time()
        live = [claim for claim in removed if claim.expires > now]
        for claim in live:
            click.echo(f"{_verb(dry_run)} {_told(claim, now)}")
        gone = {claim.target for claim in live}
        by = "" if origin is None else f" by {origin}"
        for target in wanted:
            if target not in gone:
                click.echo(f"sdnblock: {target} is not blocked{by}", err=True)
            elif origin is not None:
                await _still(store, target, origin)
        await _note(store, bool(live) and not dry_run)
        return len(gone) == len(wanted)


async def _still(store: Store, target: Target, removed_from: str) -> None:
    others = [c for c in await store.find(target) if c.origin != removed_from]
    if others:
        names = ", ".join(f"{claim.origin} ({claim.action.value})" for claim in others)
        click.echo(f"note: {target} stays blocked by {names}", err=True)


async def _remove_origin(app: App, origin: str, dry_run: bool) -> bool:
    """Whether the origin had any block."""
    async with app.store() as store:
        targets = [c.target async for chunk in store.claims(origin) for c in chunk]
        removed = len(targets)
        if not dry_run:
            removed = 0
            for at in range(0, len(targets), _BATCH):
                part = targets[at : at + _BATCH]
                removed += len(await store.remove(part, origin, thorough=False))
            # What is left was spelled in other ways than ours, or came meanwhile.
            rest = [c.target async for chunk in store.claims(origin) for c in chunk]
            removed += len(await store.remove(rest, origin)) if rest else 0
        if not removed:
            click.echo(f"sdnblock: {origin} blocks nothing", err=True)
            return False
        click.echo(f"{_verb(dry_run)} {text.count(removed, 'block')} of {origin}")
        await _note(store, not dry_run)
        return True


def _verb(dry_run: bool) -> str:
    return "would remove" if dry_run else "removed"


def _told(claim: Claim, now: float) -> str:
    line = (
        f"{claim.target}: {claim.action.value} by {claim.origin} {text.until(claim.expires, now)}"
    )
    return f"{line} ({text.printable(claim.reason)})" if claim.reason else line


async def _note(store: Store, wanted: bool) -> None:
    if wanted and (note := await controller_note(store)):
        click.echo(note, err=True)
