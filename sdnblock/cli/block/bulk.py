"""``sdnblock block import``."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import click

from sdnblock.block import Action, Target, parse_action
from sdnblock.blocklist.claims import Claim
from sdnblock.blocklist.store import Store
from sdnblock.cli import params, text
from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.checks import Checks
from sdnblock.cli.lines import parse_line, read_lines
from sdnblock.cli.reach import controller_note
from sdnblock.errors import BlockListError, SdnblockError, TargetError

_BATCH: Final = 10_000
"""Targets written at once."""
_COMPLAINTS: Final = 1000
"""Refused lines that are shown one by one; a file of garbage must not fill the terminal."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is claimed of every target in the file."""

    origin: str
    action: Action
    expires: float
    reason: str
    since: float

    def claim(self, target: Target) -> Claim:
        return Claim(target, self.origin, self.action, self.expires, self.reason, self.since)


@dataclass
class _Tally:
    """How the import goes."""

    blocked: int = 0
    refused: int = 0
    repeated: int = 0
    seen: set[Target] = field(default_factory=set)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@params.origin_option
@params.action_option
@params.for_option
@params.reason_option
@params.force_option
@params.dry_run_option
@pass_app
def import_(
    app: App,
    file: Path,
    origin: str,
    action: str,
    seconds: float,
    reason: str,
    force: bool,
    dry_run: bool,
) -> None:
    """Block the targets in FILE (- is standard input), one a line.

    Empty lines and comments (# or ; to the end of the line) are skipped. A line that is
    refused is told on stderr with its number and the reason; all others are blocked, and
    the exit status is then 1. Targets that the origin has blocked before get the new
    action, reason and expiry; those that are not in FILE stay blocked.

    \b
    Examples:
      sdnblock block import scanners.txt --origin honeypot --for 7d
      curl -s https://lists.example/sip.txt | sdnblock block import - --origin example
    """
    now = time.time()
    wish = _Wish(origin, parse_action(action), now + seconds, reason, now)
    with _open(file) as stream:
        tally = run(
            _import(
                app,
                _Source(stream, "stdin" if str(file) == "-" else str(file)),
                wish,
                force,
                dry_run,
            )
        )
    would = "would be " if dry_run else ""
    line = (
        f"{text.count(tally.blocked, 'target')} {would}blocked by {origin}"
        f" {text.until(wish.expires, now)}"
    )
    if tally.repeated:
        line += f"; {tally.repeated:,} repeated"
    if tally.refused:
        line += f"; {text.count(tally.refused, 'line')} refused"
    click.echo(line)
    click.get_current_context().exit(1 if tally.refused else 0)


@contextlib.contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise SdnblockError(f"cannot read {file}: {error.strerror}") from None
    with stream:
        yield stream


@dataclass(frozen=True, slots=True)
class _Source:
    stream: BinaryIO
    name: str

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        try:
            yield from read_lines(self.stream)
        except OSError as error:
            raise SdnblockError(f"cannot read {self.name}: {error.strerror}") from None


async def _import(app: App, source: _Source, wish: _Wish, force: bool, dry_run: bool) -> _Tally:
    tally = _Tally()
    progress = _Progress()
    async with app.store() as store:
        checks = await Checks.read(app.config, store)
        batch: list[Claim] = []
        for number, line in source.lines():
            try:
                target = _accept(line, tally, checks, wish.origin, force)
            except TargetError as error:
                tally.refused += 1
                progress.clear()
                _complain(tally.refused, f"{source.name}:{number}: {error}")
                continue
            if target is not None:
                batch.append(wish.claim(target))
            if len(batch) >= _BATCH:
                await _write(store, batch, tally, dry_run)
                progress.show(tally)
                batch = []
        await _write(store, batch, tally, dry_run)
        progress.clear()
        if tally.refused > _COMPLAINTS:
            click.echo(f"... and {tally.refused - _COMPLAINTS:,} more lines refused", err=True)
        if tally.blocked and not dry_run and (note := await controller_note(store)):
            click.echo(note, err=True)
    return tally


def _accept(
    line: bytes | None, tally: _Tally, checks: Checks, origin: str, force: bool
) -> Target | None:
    """The target of a line that is to be blocked; None: nothing new. Raises TargetError."""
    target = parse_line(line)
    if target is None:
        return None
    if target in tally.seen:
        tally.repeated += 1
        return None
    refusal = checks.refusal(target, origin, force)
    if refusal is not None:
        raise TargetError(refusal)
    tally.seen.add(target)
    return target


async def _write(store: Store, batch: list[Claim], tally: _Tally, dry_run: bool) -> None:
    if not dry_run:
        try:
            await store.add(batch)
        except BlockListError as error:
            raise BlockListError(
                f"{error} (the first {text.count(tally.blocked, 'target')} of the import"
                " are in the block list)"
            ) from error
    tally.blocked += len(batch)


def _complain(number: int, line: str) -> None:
    if number <= _COMPLAINTS:
        click.echo(text.printable(line), err=True)


class _Progress:
    """A counter on stderr, if somebody watches."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._shown = False

    def show(self, tally: _Tally) -> None:
        """Say how far the import is."""
        if self._on:
            click.echo(f"\r{tally.blocked:,} targets...", nl=False, err=True)
            self._shown = True

    def clear(self) -> None:
        """Make room for a line of text."""
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._shown = False
