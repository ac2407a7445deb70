"""``sdnblock shell``: p4runtime-shell on a switch, from an environment of its own.

p4runtime-shell pins versions of protobuf and IPython that nothing else can live with, so
it is installed, on first use, into a virtual environment that only it uses: ``.venv-shell``
in a checkout of sdnblock, else the user's cache directory.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click

from sdnblock.cli.app import App, pass_app, run
from sdnblock.cli.live import ask
from sdnblock.cli.switch.shared import NAME
from sdnblock.errors import SdnblockError, SwitchError
from sdnblock.switches.settings import SwitchSettings, TlsFiles

SHELL_VERSION: Final = "0.0.6"
REQUIREMENTS: Final = (f"p4runtime-shell=={SHELL_VERSION}", "setuptools<81")
"""setuptools: generated protobuf code of that age needs pkg_resources, which 81 removes."""

_PIP: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
_MARKER: Final = "installed"
"""Written when an environment is complete; ``make test`` does the same."""


@click.command("shell")
@click.option(
    "--primary",
    is_flag=True,
    help="Take the right to write from the controller. It gets it back when the shell ends.",
)
@click.argument("switch", type=NAME)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_app
def command(app: App, primary: bool, switch: str, arguments: tuple[str, ...]) -> None:
    """Open p4runtime-shell on SWITCH, a name from the configuration.

    It connects as a backup: it reads, and the controller remains in charge. With --primary
    it may write; the controller cannot, and blocks nothing new on this switch, until the
    shell ends. What it has changed by then, the controller puts right.

    p4runtime-shell needs old versions of libraries, so it is installed into an environment
    of its own when it is first used (from the Python registry; about a minute). ARGUMENTS
    are handed to it; those that begin with a dash go behind a --.

    \b
    Examples:
      sdnblock shell edge1
      sdnblock shell edge1 -- --verbose
    And in it:
      P4Runtime sh >>> for e in table_entry['source_v4'].read(): print(e)
    """
    settings = app.config.switch(switch)
    if settings.protocol != "p4runtime":
        raise SwitchError(f"{switch} is an OpenFlow switch: p4runtime-shell cannot speak to it")
    python = prepare()
    (answer,) = run(ask(app, [settings], _nothing))
    if answer.error is not None:
        raise SwitchError(answer.error)
    if primary:
        click.echo(
            f"{settings.name}: the controller cannot write to it until this shell ends", err=True
        )
    words = [str(python), "-I", "-m", "p4runtime_sh", *_options(settings, primary), *arguments]
    sys.stdout.flush()
    os.execv(words[0], words)


async def _nothing(_: object) -> None:
    """That the switch answers is all there is to know."""


def prepare() -> Path:
    """The Python that has p4runtime-shell; installs both if need be. Raises SdnblockError."""
    place = environment()
    python = place / "bin" / "python"
    if (place / _MARKER).exists() and python.exists():
        return python
    click.echo(f"installing p4runtime-shell {SHELL_VERSION} into {place} (only once)", err=True)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SdnblockError(f"cannot create {place.parent}: {error.strerror}") from None
    _run([sys.executable, "-m", "venv", str(place)], "python3-venv may be missing")
    _run(
        [str(python), *_PIP, *REQUIREMENTS],
        "it needs the Python registry (or a mirror that pip is configured for)",
    )
    (place / _MARKER).touch()
    return python


def environment() -> Path:
    """Where p4runtime-shell is, or is to be, installed."""
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file() and os.access(checkout, os.W_OK):
        return checkout / ".venv-shell"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return base / "sdnblock" / f"p4runtime-shell-{SHELL_VERSION}"


def _run(words: list[str], hint: str) -> None:
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise SdnblockError(f"cannot run {words[0]}: {error.strerror}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise SdnblockError(f"cannot install p4runtime-shell: {said} ({hint})")


def _options(settings: SwitchSettings, primary: bool) -> list[str]:
    """p4runtime-shell's own options for a switch."""
    # The controller's election id has its start time in the upper half: a later one
    # outbids it, and zero never does. The lower half keeps two shells apart.
    high = time.time_ns() if primary else 0
    options = [
        f"--grpc-addr={settings.address}",
        f"--device-id={settings.device_id}",
        f"--election-id={high},{random.randint(1, 2**32)}",
    ]
    return options if settings.tls is None else options + _tls_options(settings.tls)


def _tls_options(tls: TlsFiles) -> list[str]:
    if tls.server_name is not None:
        raise SwitchError(
            "p4runtime-shell cannot check for another server name than the switch's address"
            " (tls.server_name)"
        )
    files = (("--cacert", tls.ca), ("--cert", tls.certificate), ("--private-key", tls.key))
    return ["--ssl", *(f"{option}={file}" for option, file in files if file is not None)]
