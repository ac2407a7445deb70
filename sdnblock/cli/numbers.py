"""``sdnblock numbers``: the test numbers that convicted sources dialled."""

from __future__ import annotations

from typing import Any, Final

import click

from sdnblock.blocklist.numbers import TestNumber
from sdnblock.cli import params
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.output import Column, output_option, show_rows
from sdnblock.detect.numbers import number_of
from sdnblock.errors import TargetError

_COLUMNS: Final = (
    Column("number", "NUMBER"),
    Column("seen", "LAST DIALLED", "time"),
    Column("since", "SINCE", "time"),
    Column("reason", "REASON", flexible=True),
)


class _NumberType(click.ParamType[str]):
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> str:
        number = number_of(str(value))
        if number is None:
            raise TargetError(f"{str(value)[:40]!a} is not a number: digits, with + before if any")
        return number


@click.group("numbers")
def command() -> None:
    """Numbers that convicted sources dialled, for voice routing to refuse.

    They are kept as they were dialled: digits, with a + before them if there was one. Kamailio
    and OpenSIPS ask for them with one command: see docs/numbers.md.
    """


@command.command("list")
@output_option
@pass_app
def list_(app: App, output: str) -> None:
    """List all test numbers, those dialled last first.

    \b
    Example:
      sdnblock numbers list -o csv
    """
    rows = [_row(number) for number in run(_all(app))]
    show_rows(_COLUMNS, rows, output, "there are no test numbers")


async def _all(app: App) -> list[TestNumber]:
    async with app.store() as store:
        found = {each.number: each async for window in store.numbers.all() for each in window}
    return sorted(found.values(), key=lambda each: (-each.seen, each.number))


def _row(number: TestNumber) -> dict[str, Any]:
    return {
        "number": number.number,
        "seen": number.seen,
        "since": number.since,
        "reason": number.reason,
    }


@command.command()
@click.argument("number", type=_NumberType())
@output_option
@pass_app
def check(app: App, number: str, output: str) -> None:
    """Say whether NUMBER, as it is dialled, is a test number, and since when and why.

    The exit status is 0 if it is one, else 1.

    \b
    Example:
      sdnblock numbers check 900442079460000
    """
    found = run(_find(app, number))
    rows = [] if found is None else [_row(found)]
    show_rows(_COLUMNS, rows, output, f"{number} is not a test number")
    click.get_current_context().exit(0 if found is not None else 1)


async def _find(app: App, number: str) -> TestNumber | None:
    async with app.store() as store:
        return await store.numbers.find(number)


@command.command()
@click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True, type=_NumberType())
@params.dry_run_option
@pass_app
def remove(app: App, numbers: tuple[str, ...], dry_run: bool) -> None:
    """Take numbers off the list.

    The next convicted source that dials one puts it there again: what must never be listed
    belongs into the configuration ([numbers] never). The exit status is 1 if one was not there.
    """
    wanted = list(dict.fromkeys(numbers))
    removed = run(_remove(app, wanted, dry_run))
    for number in wanted:
        if number in removed:
            click.echo(f"{'would remove' if dry_run else 'removed'} {number}")
        else:
            click.echo(f"sdnblock: {number} is not a test number", err=True)
    click.get_current_context().exit(0 if len(removed) == len(wanted) else 1)


async def _remove(app: App, numbers: list[str], dry_run: bool) -> list[str]:
    async with app.store() as store:
        if dry_run:
            return [each for each in numbers if await store.numbers.find(each) is not None]
        return await store.numbers.remove(numbers)
