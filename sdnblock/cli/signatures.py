"""``sdnblock signatures``: the marks of attack tools."""

from __future__ import annotations

from typing import Any, Final

import click

from sdnblock.blocklist.marks import Mark
from sdnblock.cli import params
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.output import Column, output_option, show_rows
from sdnblock.cli.text import count, printable
from sdnblock.detect.scanner import ScannerSettings
from sdnblock.detect.signatures import Signature, objection, parse_signature
from sdnblock.errors import SdnblockError, TargetError
from sdnblock.signature_file import read_signatures

_COLUMNS: Final = (
    Column("signature", "SIGNATURE"),
    Column("kept_in", "KEPT IN"),
    Column("since", "SINCE", "time"),
    Column("forced", "FORCED", hidden=True),
    Column("refused", "REFUSED", flexible=True),
    Column("note", "NOTE", flexible=True),
)


class _SignatureType(click.ParamType[Signature]):
    name = "signature"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Signature:
        return parse_signature(value) if isinstance(value, str) else value


_SIGNATURES: Final = click.argument(
    "signatures", metavar="SIGNATURE...", nargs=-1, required=True, type=_SignatureType()
)


@click.group("signatures")
def command() -> None:
    """Beginnings of User-Agents (or, as 'From: ...', of From values) that convict.

    A request that begins with one of them gets its source blocked, by the first packet. Case
    does not matter. What is added here is in force within seconds, on every controller.
    """


@command.command("list")
@output_option
@pass_app
def list_(app: App, output: str) -> None:
    """List all signatures: those in the configuration, in its file, and in Redis.

    REFUSED says why one is not in force.

    \b
    Example:
      sdnblock signatures list -o csv
    """
    show_rows(_COLUMNS, run(_rows(app)), output, "there are no signatures")


async def _rows(app: App) -> list[dict[str, Any]]:
    settings = app.config.detect.of(ScannerSettings)
    configured = [Signature("user-agent", text) for text in settings.user_agents]
    configured += [Signature("from", text) for text in settings.froms]
    rows = [_row(str(each), "configuration") for each in configured]
    if settings.file is not None:
        found, refused = read_signatures(settings.file)
        rows += [_row(str(each), str(settings.file)) for each in found]
        rows += [_row("", str(settings.file), refused=why) for why in refused]
    async with app.store() as store:
        marks = await store.signatures.all()
    return rows + [
        _row(mark.text, "redis", mark.since, _refusal(mark), mark.note, mark.forced)
        for mark in marks
    ]


def _row(
    signature: str,
    kept_in: str,
    since: float | None = None,
    refused: str | None = None,
    note: str = "",
    forced: bool = False,
) -> dict[str, Any]:
    return {
        "signature": signature, "kept_in": kept_in, "since": since, "forced": forced,
        "refused": refused, "note": note,
    }  # fmt: skip


def _refusal(mark: Mark) -> str | None:
    try:
        signature = parse_signature(mark.text)
    except TargetError as error:
        return str(error)
    return None if mark.forced else objection(signature)


@command.command()
@_SIGNATURES
@click.option(
    "--note", metavar="TEXT", default="", callback=params.check_reason, help="Where it is from."
)
@click.option(
    "--force",
    is_flag=True,
    help="Add also what is so short, or so like the name of honest phones, that it may block"
    " customers.",
)
@params.dry_run_option
@pass_app
def add(app: App, signatures: tuple[Signature, ...], note: str, force: bool, dry_run: bool) -> None:
    """Add signatures; all of them, or none if one is refused.

    \b
    Examples:
      sdnblock signatures add 'QuickScan 2' --note 'seen by the honeypot'
      sdnblock signatures add 'From: "evil"'
    """
    wanted = list(dict.fromkeys(signatures))
    for signature in wanted:
        why = objection(signature)
        if why is not None and not force:
            raise TargetError(f"{signature}: {why}; --force adds it all the same")
    run(_add(app, wanted, note, force, dry_run))
    said = "would be in force" if dry_run else "in force within seconds"
    click.echo(f"{count(len(wanted), 'signature')} {said}")


async def _add(
    app: App, signatures: list[Signature], note: str, force: bool, dry_run: bool
) -> None:
    async with app.store() as store:
        if not dry_run:
            marks = [Mark(str(each), note, forced=force) for each in signatures]
            await store.signatures.add(marks)


@command.command()
@_SIGNATURES
@params.dry_run_option
@pass_app
def remove(app: App, signatures: tuple[Signature, ...], dry_run: bool) -> None:
    """Remove signatures that were added, however their letters are written.

    Blocks that they led to stay until they end. The exit status is 1 if one was not there.
    """
    complete = run(_remove(app, list(dict.fromkeys(signatures)), dry_run))
    click.get_current_context().exit(0 if complete else 1)


async def _remove(app: App, signatures: list[Signature], dry_run: bool) -> bool:
    async with app.store() as store:
        kept: dict[str, list[str]] = {}
        for mark in await store.signatures.all():
            kept.setdefault(_folded(mark.text), []).append(mark.text)
        missing = 0
        for signature in signatures:
            texts = kept.get(_folded(str(signature)), [])
            for text in texts:
                if not dry_run:
                    await store.signatures.remove(text)
                click.echo(f"{'would remove' if dry_run else 'removed'} {printable(text)}")
            if not texts:
                missing += 1
                click.echo(f"sdnblock: {_absent(signature, app)}", err=True)
        return not missing


def _folded(text: str) -> str:
    """A signature's text as it is compared; what is none as it is."""
    try:
        return str(parse_signature(text)).lower()
    except TargetError:
        return text


def _absent(signature: Signature, app: App) -> str:
    settings = app.config.detect.of(ScannerSettings)
    configured = settings.user_agents if signature.header == "user-agent" else settings.froms
    if signature.text.lower() in (text.lower() for text in configured):
        return f"{signature} is in the configuration: set [detect.scanner] there"
    try:
        in_file = settings.file is not None and signature in read_signatures(settings.file)[0]
    except SdnblockError:
        in_file = False
    if in_file:
        return f"{signature} is in {settings.file}: remove it there"
    return f"{signature} is no signature that was added"
