"""``python -m demo``: exit status 0 only if everything shown held."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import click

from demo.processes import CommandFailed
from demo.story import Story

_TOOLS = ("redis-server", "redis-cli", "kamailio", "sipp", "svmap", "svwar", "ip", "ethtool")


async def _main(directory: Path) -> int:
    began = time.monotonic()
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        result = await Story(directory).run()
    except asyncio.CancelledError:
        click.echo("interrupted; cleaned up", err=True)
        return 130
    except CommandFailed as error:
        click.echo(f"demo: {error}", err=True)
        return 1
    click.echo(result.render())
    click.echo(f"\n{'all of it held' if result.held else 'NOT all of it held'}", nl=False)
    click.echo(f" ({time.monotonic() - began:.0f} s)")
    return 0 if result.held else 1


def main() -> int:
    """Check for root and the tools, run, and remove what was written."""
    if os.geteuid() != 0:
        click.echo("demo: needs root, for network namespaces and XDP: sudo make demo", err=True)
        return 1
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        click.echo(f"demo: not installed: {', '.join(missing)}; run: make packages", err=True)
        return 1
    directory = Path(tempfile.mkdtemp(prefix="sdnblock-demo-"))
    status = 1
    try:
        status = asyncio.run(_main(directory))
        return status
    finally:
        if status in (0, 130):
            shutil.rmtree(directory)
        else:
            click.echo(f"logs are in {directory}", err=True)


if __name__ == "__main__":
    sys.exit(main())
