"""``sdnblock block show``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from sdnblock.block import Action, Flow, Target, covers, source_of
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.store import Store
from sdnblock.cli import params, text
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.block.listing import CLAIM_COLUMNS, claim_row, strongest, target_order
from sdnblock.cli.checks import Checks
from sdnblock.cli.live import Answer, ask
from sdnblock.cli.output import output_option, show_object, show_rows
from sdnblock.errors import TargetError

if TYPE_CHECKING:
    from sdnblock.switches.reader import Entry, Reader


@dataclass(frozen=True)
class _Findings:
    """All there is to know about one target."""

    target: Target
    claims: list[Claim]
    wider: list[Claim]
    """Claims on other targets that match all of this one's packets."""
    effective: Action | None
    """What happens to the target's packets, if the switches hold the plan."""
    allowed_by: list[str]
    unenforced: str | None
    counted: tuple[int, int] | None
    switches: list[Answer[Entry | None]]


@click.command()
@click.argument("target", type=params.TARGET)
@click.option(
    "--switches/--no-switches",
    default=True,
    show_default=True,
    help="Ask every configured switch whether it holds the block.",
)
@output_option
@pass_app
def show(app: App, target: Target, switches: bool, output: str) -> None:
    """Say all about one target: who blocks it, why, since when and how long.

    Also which wider blocks match it, whether the allowlist excepts it, which action that
    makes in the end, what the controller has counted, and what each switch holds, read
    from the switch itself.
    The exit status is 1 if neither the target nor a wider one is blocked.

    \b
    Example:
      sdnblock block show 203.0.113.7
    """
    found = run(_find(app, target, switches))
    if output == "json":
        show_object(_as_object(found))
    elif output == "csv":
        rows = [claim_row(claim, found.counted) for claim in found.claims]
        show_rows(CLAIM_COLUMNS, rows, output, "")
    elif found.claims or found.wider:
        for line in _lines(found, asked=switches, now=time.time()):
            click.echo(text.printable(line))
    if not found.claims and not found.wider:
        raise TargetError(f"{target} is not blocked")


async def _find(app: App, target: Target, switches: bool) -> _Findings:
    async with app.store() as store:
        claims = await store.find(target)
        checks = await Checks.read(app.config, store)
        wider = await _wider(store, target)
        unenforced = [checks.unenforced(target, claim.origin) for claim in claims]
        enforced = [c for c in claims + wider if checks.unenforced(c.target, c.origin) is None]
        allowed = checks.covering(target)
        return _Findings(
            target,
            sorted(claims, key=lambda claim: (-claim.action.strength, claim.origin)),
            wider,
            None if allowed else strongest(enforced),
            [checks.describe(prefix) for prefix in allowed],
            next(iter(unenforced)) if unenforced and all(unenforced) else None,
            (await store.counters([target])).get(target),
            await ask(app, app.config.switches, Question(target)) if switches else [],
        )


class Question:
    """What a switch holds for one target."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def __call__(self, reader: Reader) -> Entry | None:
        """Ask."""
        return await reader.entry(self._target)


async def _wider(store: Store, target: Target) -> list[Claim]:
    """Live claims on other targets that match every packet of ``target``."""
    inner = source_of(target)
    found = [
        claim
        async for chunk in store.claims()
        for claim in chunk
        if claim.target != target
        and covers(source_of(claim.target), inner)
        and not isinstance(claim.target, Flow)
    ]
    return sorted(found, key=lambda claim: (target_order(claim.target), claim.origin))


def _as_object(found: _Findings) -> dict[str, Any]:
    action = strongest(found.claims)
    packets, size = found.counted or (0, 0)
    return {
        "target": str(found.target),
        "action": None if action is None else action.value,
        "effective": None if found.effective is None else found.effective.value,
        "claims": [_claim_object(claim) for claim in found.claims],
        "covered_by": [_claim_object(claim) for claim in found.wider],
        "allowed_by": found.allowed_by,
        "packets": packets,
        "bytes": size,
        "switches": [switch_object(answer) for answer in found.switches],
    }


def _claim_object(claim: Claim) -> dict[str, Any]:
    row = claim_row(claim, None)
    return {key: row[key] for key in row if key not in ("packets", "bytes")}


def switch_object(answer: Answer[Entry | None]) -> dict[str, Any]:
    """A switch's answer as plain values."""
    entry = answer.value
    return {
        "name": answer.name,
        "action": entry.action.value if entry is not None and entry.action else None,
        "packets": entry.packets if entry is not None else None,
        "bytes": entry.bytes if entry is not None else None,
        "error": answer.error,
    }


def _lines(found: _Findings, asked: bool, now: float) -> list[str]:
    lines = [f"{found.target}: {found.effective.value if found.effective else 'not enforced'}"]
    for claim in found.claims:
        lines.append(f"  {claim.action.value} by {claim.origin} {text.until(claim.expires, now)}")
        if claim.reason:
            lines.append(f"    reason  {claim.reason}")
        if claim.since is not None:
            lines.append(f"    since   {text.moment(claim.since, now)}")
    if not found.claims:
        lines.append("  not blocked itself")
    lines += [
        f"  covered by {claim.target}: {claim.action.value} by {claim.origin}"
        f" {text.until(claim.expires, now)}"
        for claim in found.wider
    ]
    lines += [f"  excepted by the allowlist: {entry}" for entry in found.allowed_by]
    if found.unenforced and not found.allowed_by:
        lines.append(f"  not enforced: {found.unenforced}")
    if found.claims:
        packets, size = found.counted or (0, 0)
        lines.append(f"  counted by the controller: {_amount(packets, size)}")
    lines += [f"  {switch_line(answer)}" for answer in found.switches]
    if asked and not found.switches:
        lines.append("  no switch is configured here to be asked: give --config")
    return lines


def switch_line(answer: Answer[Entry | None]) -> str:
    """A switch's answer as a line."""
    if answer.error is not None:
        return f"not known: {answer.error}"
    entry = answer.value
    if entry is None or entry.action is None:
        return f"switch {answer.name}: no entry"
    return f"switch {answer.name}: {entry.action.value}, {_amount(entry.packets, entry.bytes)}"


def _amount(packets: int, size: int | None) -> str:
    counted = text.count(packets, "packet")
    return counted if size is None else f"{counted}, {text.size(size)}"
