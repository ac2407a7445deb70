"""What the verbs of ``sdnblock switch`` share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import click

from sdnblock.cli.app import App
from sdnblock.cli.live import Answer
from sdnblock.cli.text import printable

FAMILIES: Final = {4: "IPv4", 6: "IPv6"}


class _NameType(click.ParamType[str]):
    """A switch's name, completed from the configuration."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        from sdnblock.errors import SdnblockError

        app = ctx.find_object(App) or App(ctx.find_root().params.get("config"), None)
        try:
            names = [switch.name for switch in app.config.switches]
        except SdnblockError:
            return []  # not the moment to complain
        found = [name for name in names if name.startswith(incomplete)]
        return [click.shell_completion.CompletionItem(name) for name in found]


NAME: Final = _NameType()

name_argument: Final = click.argument("name", required=False, type=NAME)


def complain(answers: Iterable[Answer[Any]]) -> bool:
    """A line for every switch that did not answer; whether there was one."""
    failed = [answer.error for answer in answers if answer.error is not None]
    for error in failed:
        click.echo(f"sdnblock: {printable(error)}", err=True)
    return bool(failed)


def leave(failed: bool) -> None:
    """End with exit status 1 if something failed, else 0."""
    click.get_current_context().exit(1 if failed else 0)
