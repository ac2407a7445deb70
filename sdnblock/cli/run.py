"""``sdnblock run``: the controller."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import click

from sdnblock.cli.app import App, pass_app
from sdnblock.config import Config


@click.command("run")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file, as before the command.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@pass_app
def command(app: App, config: Path | None, dry_run: bool) -> None:
    """Run the controller: keep the switches in step with the block list.

    It stays in the foreground and logs to standard error. SIGHUP reloads the allowlist
    and the detectors' settings; SIGTERM stops it, and everything installed stays in force.
    """
    from sdnblock.daemon import Daemon, show_differences

    def load() -> Config:
        return app.load(config)

    settings = load()
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.controller.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if dry_run:
        for line in asyncio.run(show_differences(settings)):
            click.echo(line)
        return
    asyncio.run(Daemon(settings, load).run())
