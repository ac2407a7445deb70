"""``sdnblock run``: the controller."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace
from pathlib import Path

import click

from sdnblock.config import Config, load_config


@click.command("run")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file, as before the command.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.pass_obj
def command(obj: dict[str, object], config: Path | None, dry_run: bool) -> None:
    """Run the controller: keep the switches in step with the block list.

    It stays in the foreground and logs to standard error. SIGHUP reloads the allowlist
    and the detectors' settings; SIGTERM stops it, and everything installed stays in force.
    """
    from sdnblock.daemon import Daemon, show_differences

    file = config or obj["config"]
    assert file is None or isinstance(file, Path)

    def load() -> Config:
        loaded = load_config(file)
        url = obj["redis_url"]
        if isinstance(url, str):
            loaded = replace(loaded, redis=replace(loaded.redis, url=url))
        return loaded

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
