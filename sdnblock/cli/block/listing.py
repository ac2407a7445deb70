"""``sdnblock block list``."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import click

from sdnblock.block import Action, Flow, Prefix, Source, Target, covers, parse_action, source_of
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.store import Store
from sdnblock.cli import params
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.checks import Checks
from sdnblock.cli.output import Column, output_option, show_rows

_Keep = Callable[[Claim], bool]

CLAIM_COLUMNS: Final = (
    Column("target", "TARGET"),
    Column("action", "ACTION"),
    Column("origin", "ORIGIN"),
    Column("expires", "EXPIRES", "time"),
    Column("since", "SINCE", "time", hidden=True),
    Column("packets", "PACKETS", "number"),
    Column("bytes", "BYTES", "size"),
    Column("reason", "REASON", flexible=True),
)
_REFUSED_COLUMNS: Final = (
    Column("where", "WHERE"),
    Column("member", "MEMBER"),
    Column("why", "WHY", flexible=True),
)


@click.command("list")
@click.option(
    "--origin", type=params.ORIGIN, metavar="NAME", help="Only what this origin asks for."
)
@click.option("--action", type=params.ACTION, help="Only this action.")
@click.option(
    "--contains",
    type=params.PREFIX,
    metavar="ADDRESS",
    help="Only targets that match packets from this address (or all of this prefix).",
)
@click.option(
    "--expiring-within",
    type=params.DURATION,
    metavar="DURATION",
    help="Only what ends within this time.",
)
@click.option(
    "--refused",
    is_flag=True,
    help="Show instead what stands in the block list and is not enforced: what is not"
    " understood, what the safety rules refuse, what the allowlist covers.",
)
@output_option
@pass_app
def list_(
    app: App,
    origin: str | None,
    action: str | None,
    contains: Source | Prefix | None,
    expiring_within: float | None,
    refused: bool,
    output: str,
) -> None:
    """List the block list: a line for every origin's claim on a target.

    Packets and bytes are what the controller has counted at the target on all switches
    since it was blocked.

    \b
    Examples:
      sdnblock block list --contains 203.0.113.7
      sdnblock block list --origin operator --expiring-within 1h
      sdnblock block list -o json | jq -r '.[].target'
    """
    wanted = None if action is None else parse_action(action)
    horizon = math.inf if expiring_within is None else time.time() + expiring_within
    finite = expiring_within is not None and expiring_within < math.inf

    def keep(claim: Claim) -> bool:
        return (
            (wanted is None or claim.action is wanted)
            and (contains is None or covers(source_of(claim.target), source_of(contains)))
            and (claim.expires <= horizon if finite else True)
        )

    if refused:
        rows = run(_refused(app, origin, keep))
        show_rows(_REFUSED_COLUMNS, rows, output, "nothing is refused")
        return
    rows = run(_claims(app, origin, keep))
    filtered = origin or action or contains or finite
    show_rows(CLAIM_COLUMNS, rows, output, "no block matches" if filtered else "nothing is blocked")


async def _claims(app: App, origin: str | None, keep: _Keep) -> list[dict[str, Any]]:
    async with app.store() as store:
        claims = [claim async for claim in _matching(store, origin, keep)]
        claims.sort(key=_order)
        counts = await store.counters([claim.target for claim in claims])
        return [claim_row(claim, counts.get(claim.target)) for claim in claims]


async def _matching(store: Store, origin: str | None, keep: _Keep) -> AsyncIterator[Claim]:
    async for chunk in store.claims(origin):
        for claim in chunk:
            if keep(claim):
                yield claim


async def _refused(app: App, origin: str | None, keep: _Keep) -> list[dict[str, Any]]:
    async with app.store() as store:
        rows: list[dict[str, Any]] = []
        async for chunk in store.refused():
            rows += [
                {"where": each.key, "member": each.member, "why": each.reason} for each in chunk
            ]
        keys = app.config.redis.keys()
        checks = await Checks.read(app.config, store)
        async for claim in _matching(store, origin, keep):
            if (why := checks.unenforced(claim.target, claim.origin)) is not None:
                rows.append(
                    {"where": keys.claims(claim.key), "member": str(claim.target), "why": why}
                )
        return rows


def claim_row(claim: Claim, counted: tuple[int, int] | None) -> dict[str, Any]:
    """A claim as a row of ``CLAIM_COLUMNS``."""
    packets, size = counted or (0, 0)
    return {
        "target": str(claim.target),
        "action": claim.action.value,
        "origin": claim.origin,
        "expires": claim.expires,
        "since": claim.since,
        "packets": packets,
        "bytes": size,
        "reason": claim.reason,
    }


def _order(claim: Claim) -> tuple[Any, ...]:
    return (*target_order(claim.target), claim.origin)


def target_order(target: Target) -> tuple[Any, ...]:
    """IPv4 first, then by address, the widest first, a source before its flows."""
    address, length = source_of(target)
    return (target.family, address, length, isinstance(target, Flow), str(target))


def strongest(claims: list[Claim]) -> Action | None:
    """The action that counts."""
    return max((c.action for c in claims), key=lambda action: action.strength, default=None)
