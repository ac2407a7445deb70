"""``sdnblock switch diff``: the plan against what a switch holds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from sdnblock.block import Target
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.block.listing import target_order
from sdnblock.cli.live import Answer, ask, chosen
from sdnblock.cli.output import Column, output_option, show_rows
from sdnblock.cli.switch.shared import complain, leave, name_argument
from sdnblock.switches.settings import SwitchSettings

if TYPE_CHECKING:
    from sdnblock.controller.hub import Hub
    from sdnblock.switches.reader import Reader

_COLUMNS: Final = (
    Column("switch", "SWITCH"),
    Column("difference", "DIFFERENCE"),
    Column("target", "TARGET"),
    Column("wanted", "WANTED"),
    Column("installed", "INSTALLED"),
)
_SETTLING: Final = 0.7
"""Seconds after which a difference that a controller is just removing must be gone."""


@dataclass(frozen=True, slots=True)
class _Difference:
    """One entry that is not as it should be; None: no entry."""

    target: str
    wanted: str | None
    installed: str | None

    @property
    def word(self) -> str:
        if self.installed is None:
            return "missing"
        return "surplus" if self.wanted is None else "different"


@dataclass(frozen=True, slots=True)
class _Comparison:
    differences: list[_Difference]
    unplaced: int


@click.command()
@name_argument
@output_option
@pass_app
def diff(app: App, name: str | None, output: str) -> None:
    """Compare what a switch holds with what it should hold.

    What it should hold is computed here, from the block list and the allowlist, in the
    same way as the controller does it. What a switch has no room for is no difference,
    and told on stderr. The exit status is 0 if there is no difference, else 1.

    \b
    Example:
      sdnblock switch diff edge1
    """
    answers = run(_compare_settled(app, chosen(app.config, name)))
    rows: list[dict[str, Any]] = []
    for answer in answers:
        if answer.value is None:
            continue
        rows += [
            {
                "switch": answer.name,
                "difference": each.word,
                "target": each.target,
                "wanted": each.wanted,
                "installed": each.installed,
            }
            for each in answer.value.differences
        ]
        if answer.value.unplaced:
            click.echo(
                f"note: {answer.name}: {answer.value.unplaced:,} entries do not fit", err=True
            )
    failed = complain(answers)
    if rows or not failed or output != "table":
        show_rows(_COLUMNS, rows, output, "no difference")
    leave(failed or bool(rows))


async def _compare_settled(
    app: App, switches: Sequence[SwitchSettings]
) -> list[Answer[_Comparison]]:
    """Differences, without those that a controller at work removes meanwhile."""
    answers = await _compare(app, switches)
    different = {a.name for a in answers if a.value is not None and a.value.differences}
    async with app.store() as store:
        status = await store.switch_status()
    if not any(status.get(name, {}).get("role") == "primary" for name in different):
        return answers
    await asyncio.sleep(_SETTLING)
    before = {answer.name: answer.value for answer in answers}
    settled = []
    for answer in await _compare(app, switches):
        now, first = answer.value, before[answer.name]
        if now is not None and first is not None:
            known = set(first.differences)
            lasting = [each for each in now.differences if each in known]
            answer = Answer(answer.name, _Comparison(lasting, now.unplaced), None)
        settled.append(answer)
    return settled


async def _compare(app: App, switches: Sequence[SwitchSettings]) -> list[Answer[_Comparison]]:
    hub = await _read_hub(app)

    async def question(reader: Reader) -> _Comparison:
        return await _difference(hub, reader)

    return await ask(app, switches, question)


async def _read_hub(app: App) -> Hub:
    """The controller's own view of the block list."""
    from sdnblock.blocklist.safety import Safety
    from sdnblock.controller.hub import Hub
    from sdnblock.daemon import load_once
    from sdnblock.detect.registry import NAMES

    # What the safety rules refuse is the business of `block list --refused`.
    logging.getLogger("sdnblock").addHandler(logging.NullHandler())
    hub = Hub(Safety(app.config.safety), app.config.allow, NAMES, time.time)
    async with app.store() as store:
        await load_once(hub, store)
    return hub


async def _difference(hub: Hub, reader: Reader) -> _Comparison:
    from sdnblock.reconcile import Ledger
    from sdnblock.switches.driver import AllowChange, Op

    installed = await reader.installed()
    ledger = Ledger(hub.plan.action, hub.rank, hub.allows)
    ledger.reset(installed, reader.capacity)
    everything = set(installed.blocks) | set(hub.plan.targets())
    allows: list[_Difference] = []
    blocks: dict[Target, _Difference] = {}
    for stage in ledger.propose(everything, with_allows=True).stages:
        for change in stage:
            if isinstance(change, AllowChange):
                surplus = change.op is Op.DELETE
                allows.append(
                    _Difference(
                        str(change.prefix),
                        None if surplus else "allow",
                        "allow" if surplus else None,
                    )
                )
            else:
                have = installed.blocks.get(change.target)
                blocks[change.target] = _Difference(
                    str(change.target),
                    None if change.op is Op.DELETE else change.action.value,
                    None if have is None else have.value,
                )
    in_order = [blocks[target] for target in sorted(blocks, key=target_order)]
    return _Comparison([*allows, *in_order], ledger.unplaced_count())
