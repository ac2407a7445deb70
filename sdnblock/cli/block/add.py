"""``sdnblock block add``."""

from __future__ import annotations

import time

import click

from sdnblock.block import Target, parse_action
from sdnblock.blocklist.claims import Claim
from sdnblock.cli import params, text
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.checks import Checks
from sdnblock.cli.reach import controller_note
from sdnblock.errors import TargetError


@click.command()
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True, type=params.TARGET)
@params.action_option
@params.for_option
@params.reason_option
@params.origin_option
@params.force_option
@params.dry_run_option
@pass_app
def add(
    app: App,
    targets: tuple[Target, ...],
    action: str,
    seconds: float,
    reason: str,
    origin: str,
    force: bool,
    dry_run: bool,
) -> None:
    """Block one or more targets.

    Either all of the targets are blocked or, if one is refused, none. What the same
    origin said of a target before is replaced: action, reason and expiry.

    A block ends after 24 hours unless --for says otherwise, so that a forgotten one does
    no harm for long; what shall stay, say so with --for forever.

    \b
    Examples:
      sdnblock block add 203.0.113.7 --reason 'scans extensions'
      sdnblock block add 203.0.113.0/24 2001:db8:bad::/48 --action limit --for 4h
      sdnblock block add 'udp:203.0.113.7:5060>198.51.100.9:5060' --for forever
    """
    now = time.time()
    claims = [
        Claim(target, origin, parse_action(action), now + seconds, reason, now)
        for target in dict.fromkeys(targets)
    ]
    run(_add(app, claims, force, dry_run))


async def _add(app: App, claims: list[Claim], force: bool, dry_run: bool) -> None:
    async with app.store() as store:
        checks = await Checks.read(app.config, store)
        refusals = [
            refusal
            for claim in claims
            if (refusal := checks.refusal(claim.target, claim.origin, force)) is not None
        ]
        if refusals:
            _refuse(refusals, len(claims))
        before = await store.held(claims[0].origin, [claim.target for claim in claims])
        if not dry_run:
            await store.add(claims)
        for claim in claims:
            told = _told(claim, before.get(claim.target))
            click.echo(f"would be: {told}" if dry_run else told)
            _warn(checks, claim)
        if not dry_run and (note := await controller_note(store)):
            click.echo(note, err=True)


def _refuse(refusals: list[str], total: int) -> None:
    """Raise with the last refusal; the ones before it get a line each."""
    for refusal in refusals[:-1]:
        click.echo(f"sdnblock: {text.printable(refusal)}", err=True)
    nothing = "" if total == 1 else "; none of the targets was blocked"
    raise TargetError(f"{refusals[-1]}{nothing}")


def _told(claim: Claim, old: Claim | None) -> str:
    now = time.time()
    line = (
        f"{claim.target}: {claim.action.value} by {claim.origin} {text.until(claim.expires, now)}"
    )
    if old is None:
        return line
    return f"{line}; replaces {old.action.value} {text.until(old.expires, now)}"


def _warn(checks: Checks, claim: Claim) -> None:
    """What people should know about a block that was not refused."""
    if covering := checks.covering(claim.target):
        entry = checks.describe(covering[0])
        click.echo(f"note: no effect while the allowlist has {text.printable(entry)}", err=True)
    elif parts := checks.exceptions(claim.target):
        shown = ", ".join(str(prefix) for prefix in parts[:5])
        more = f" and {len(parts) - 5} more" if len(parts) > 5 else ""
        click.echo(f"note: the allowlist excepts {shown}{more}", err=True)
