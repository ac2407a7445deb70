"""``sdnblock why``: all that is known of a source."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import click

from sdnblock.block import Flow, Source, covers, source_of
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.store import Store
from sdnblock.cli import params, text
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.block.listing import claim_row, strongest, target_order
from sdnblock.cli.block.show import Question, switch_line, switch_object
from sdnblock.cli.checks import Checks
from sdnblock.cli.live import Answer, ask
from sdnblock.cli.output import show_object
from sdnblock.controller.hub import OPERATOR, RECOVERED
from sdnblock.detect import credit, past, story, tenants
from sdnblock.detect.kind import Kind
from sdnblock.detect.registry import NAMES
from sdnblock.detect.site import site_target, site_text
from sdnblock.errors import TargetError

_PATIENCE: Final = 2.0
"""Seconds that a running controller has to write what it knows."""
_TARGETS: Final = 16
"""Targets that switches are asked about."""


@dataclass(frozen=True)
class _Known:
    """Everything, from Redis and from the switches."""

    source: Source
    claims: list[Claim]
    """Live claims that match packets of it, or of its flows."""
    unenforced: dict[int, str]
    """Why a claim (by its place) has no effect."""
    effective: str | None
    allowed_by: list[str]
    feeds: list[str]
    counted: tuple[int, int]
    credit: float | None
    past: past.Past | None
    users: int
    story: story.Story | None
    switches: list[Answer[Any]]

    @property
    def nothing(self) -> bool:
        """Whether nothing at all is known."""
        known = self.claims or self.allowed_by or self.credit or self.past or self.users
        return not known and self.story is None


@click.command("why")
@click.argument("address", type=params.PREFIX)
@click.option(
    "--switches/--no-switches",
    default=True,
    show_default=True,
    help="Ask every configured switch what it holds and has counted.",
)
@click.option(
    "-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True
)
@pass_app
def command(app: App, address: Any, switches: bool, output: str) -> None:
    """Tell the story of a source: what was seen of it, what was found, decided, and is in force.

    Works without the controller, from what it has written into Redis; a running one is asked
    to write what it knows first. Of an IPv6 address the /64 counts, as in verdicts. The exit
    status is 1 if nothing is known of it.

    \b
    Examples:
      sdnblock why 203.0.113.7
      sdnblock why 203.0.113.7 -o json | jq .decisions
    """
    if not isinstance(address, Source):
        raise TargetError(f"{address} is a prefix: ask about one address")
    known = run(_find(app, address, switches))
    if output == "json":
        show_object(_as_object(known))
    elif not known.nothing:
        for line in _lines(known, time.time()):
            click.echo(text.printable(line))
    if known.nothing:
        raise TargetError(f"nothing is known of {address}")


async def _find(app: App, source: Source, switches: bool) -> _Known:
    async with app.store() as store:
        site = site_text(source.address)
        told = await _story(store, site)
        checks = await Checks.read(app.config, store)
        claims = await _claims(store, source)
        why = {n: checks.unenforced(claim.target, claim.origin) for n, claim in enumerate(claims)}
        unenforced = {number: reason for number, reason in why.items() if reason is not None}
        enforced = [
            claim
            for number, claim in enumerate(claims)
            if number not in unenforced and not isinstance(claim.target, Flow)
        ]
        allowed = checks.covering(source)
        action = None if allowed else strongest(enforced)
        targets = list(dict.fromkeys(claim.target for claim in claims))
        counted = (await store.counters(targets)).values()
        named = {c.origin for c in claims} - NAMES - {OPERATOR, RECOVERED}
        users = await _kept(store, tenants.KIND, site)
        answers: list[Answer[Any]] = []
        for target in targets[:_TARGETS] if switches else ():
            answers += await ask(app, app.config.switches, Question(target))
        return _Known(
            source, claims, unenforced, None if action is None else action.value,
            [checks.describe(prefix) for prefix in allowed], sorted(named),
            (sum(packets for packets, _ in counted), sum(size for _, size in counted)),
            await _kept(store, credit.KIND, site), await _kept(store, past.KIND, site),
            0 if users is None else len(users), told, answers,
        )  # fmt: skip


async def _kept(store: Store, kind: Kind[Any, Any], key: str) -> Any:
    """A record of detection's memory; None if there is none that can be read."""
    row = await store.memory.find(kind.name, key)
    if row is None or time.time() - row.time > kind.lifetime:
        return None
    try:
        return kind.unpack(row.time, json.loads(row.data) if row.data else None)
    except (ValueError, RecursionError):
        return None


async def _story(store: Store, site: str) -> story.Story | None:
    """The story, from a running controller if there is one."""
    before = await store.memory.find(story.KIND.name, site)
    await store.asked.ask(site)
    deadline = time.monotonic() + _PATIENCE
    while await store.asked.alive() and time.monotonic() < deadline:
        if await store.memory.find(story.KIND.name, site) != before:
            break
        await asyncio.sleep(0.1)
    found: story.Story | None = await _kept(store, story.KIND, site)
    return found


async def _claims(store: Store, source: Source) -> list[Claim]:
    """Live claims on the source, on its /64, on what covers them, and on its flows."""
    inner, site = source_of(source), source_of(site_target(source.address))
    found = [
        claim
        async for chunk in store.claims()
        for claim in chunk
        if covers(source_of(claim.target), inner) or covers(site, source_of(claim.target))
    ]
    return sorted(found, key=lambda claim: (*target_order(claim.target), claim.origin))


def _as_object(known: _Known) -> dict[str, Any]:
    now = time.time()
    told = known.story.as_row() if known.story is not None else {}
    return {
        "address": str(known.source),
        "source": str(site_target(known.source.address)),
        "effective": known.effective,
        "claims": [
            {**_claim(claim), "unenforced": known.unenforced.get(number)}
            for number, claim in enumerate(known.claims)
        ],
        "allowed_by": known.allowed_by,
        "feeds": known.feeds,
        "packets": known.counted[0],
        "bytes": known.counted[1],
        "credit": known.credit is not None and now - known.credit <= credit.LIFETIME,
        "credit_earned": known.credit,
        "users_known": known.users,
        "past": _past(known.past),
        "first_seen": told.get("first_seen"),
        "last_seen": told.get("last_seen"),
        "messages": told.get("messages", 0),
        **{key: told.get(key, {}) for key in ("requests", "answers", "users", "user_agents")},
        "findings": told.get("findings", []),
        "decisions": told.get("decisions", []),
        "switches": [switch_object(answer) for answer in known.switches],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    row = claim_row(claim, None)
    return {key: row[key] for key in row if key not in ("packets", "bytes")}


def _past(found: past.Past | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "convictions": found.convictions, "proven": found.proven, "flows": found.flows,
        "spoofable": found.spoofable, "last": found.time, "detectors": found.detectors,
        "reasons": [[each.time, each.detector, each.reason] for each in found.reasons],
    }  # fmt: skip


def _lines(known: _Known, now: float) -> Iterable[str]:
    yield f"{known.source}: {known.effective or 'not blocked'}"
    for number, claim in enumerate(known.claims):
        yield (
            f"  {claim.action.value} {claim.target} by {claim.origin}"
            f" {text.until(claim.expires, now)}"
        )
        if claim.reason:
            yield f"    reason  {claim.reason}"
        if number in known.unenforced:
            yield f"    not enforced: {known.unenforced[number]}"
    yield from (f"  excepted by the allowlist: {entry}" for entry in known.allowed_by)
    if known.feeds:
        yield f"  named by {', '.join(known.feeds)}"
    if known.claims:
        yield f"  counted: {text.count(known.counted[0], 'packet')}, {text.size(known.counted[1])}"
    yield from (f"  {switch_line(answer)}" for answer in known.switches)
    if known.credit is None:
        yield "  credit  none"
    else:
        lasts = now - known.credit <= credit.LIFETIME
        earned = f"earned {text.moment(known.credit, now)}"
        yield f"  credit  {earned}" if lasts else f"  credit  none; {earned}"
    if known.users:
        yield f"  users   {text.count(known.users, 'user')} known at the address"
    if known.past is not None:
        yield from _past_lines(known.past, now)
    if known.story is not None:
        yield from _story_lines(known.story, now)
    else:
        yield "  no controller has told what it saw of it"


def _past_lines(found: past.Past, now: float) -> Iterable[str]:
    yield (
        f"  past    convicted {text.count(found.convictions, 'time')}: proven {found.proven},"
        f" flows {found.flows}, spoofable {found.spoofable}; last {text.moment(found.time, now)}"
    )
    yield "          " + ", ".join(f"{name} {times}" for name, times in found.detectors.items())


def _story_lines(told: story.Story, now: float) -> Iterable[str]:
    yield f"  seen    first {text.moment(told.first, now)}"
    yield f"          last  {text.moment(told.last, now)}; {text.count(told.messages, 'message')}"
    for name, counts in (("requests", told.methods), ("answers", told.answers),
                         ("users", told.users), ("agents", told.agents)):  # fmt: skip
        if counts:
            yield f"  {name}  " + ", ".join(f"{key} {number}" for key, number in counts.items())
    for each in told.findings:
        times = f" ({each['times']} times)" if each["times"] > 1 else ""
        yield f"  found   {text.moment(each['time'], now)}{times}"
        yield f"          {each['detector']} {each['grade']}, {each['result']}: {each['reason']}"
    for each in told.decisions:
        yield f"  decided {text.moment(each['decided_at'], now)}, {text.until(each['until'], now)}"
        yield (
            f"          {each['action']} {each['target']} by {each['detector']}, {each['grade']},"
            f" after {text.count(each['packets_before'], 'message')}"
        )
