"""The command line: ``sdnblock NOUN VERB``, one module per noun.

Command modules are imported when they are used, so that ``block add`` does not pay for
gRPC. Exit status: 0 done; 1 refused or failed, with one line on stderr; 2 the command line
itself cannot be understood; 130 interrupted. Anything else that is raised is a bug and
keeps its traceback.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from sdnblock import __version__
from sdnblock.cli.app import App
from sdnblock.cli.lazy import LazyGroup
from sdnblock.cli.text import printable
from sdnblock.errors import SdnblockError

_COMMANDS: Final = {
    "block": "Block sources, prefixes and flows; see what is blocked and why.",
    "allow": "The allowlist: what is never dropped or limited, whoever asks.",
    "numbers": "Numbers that convicted sources dialled, for voice routing.",
    "signatures": "Marks of attack tools that get a source blocked by its first packet.",
    "why": "Tell all that is known of a source: what was seen, found, decided, is in force.",
    "switch": "Look into switches: entries, counters, and what differs from the plan.",
    "shell": "Open p4runtime-shell on a switch.",
    "run": "Run the controller: keep the switches in step with the block list.",
    "replay": "Show what the detectors would have blocked in a capture.",
    "switchd": "Make this machine's network interfaces a P4Runtime switch (XDP).",
}
"""Every command and its line in the overview, which must not import them all."""


_CANNOT_WRITE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class _Commands(LazyGroup):
    """The top-level group: lazy, and one line on stderr for every expected failure."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run; with ``standalone_mode`` the process ends with the exit status."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        _prepare_output()
        status = 1
        try:
            result = super().main(args, prog_name, complete_var, False, **extra)
            status = result if isinstance(result, int) else 0
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            status = error.exit_code
            error.show()
        except click.UsageError as error:
            status = error.exit_code
            _complain(_usage(error))
        except click.ClickException as error:
            status = error.exit_code
            _complain(f"sdnblock: {error.format_message()}")
        except SdnblockError as error:
            _complain(f"sdnblock: {error}")
        except (click.Abort, KeyboardInterrupt):
            status = 130
        except BrokenPipeError:
            _abandon_output()  # the reader (head, less) has had enough
        except OSError as error:
            if error.errno not in _CANNOT_WRITE:
                raise
            _abandon_output()
            _complain(f"sdnblock: cannot write the output: {error.strerror}")
        sys.exit(status)


def _prepare_output() -> None:
    """Make output safe to write, whatever encoding the terminal has, or if it was closed."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the life of the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _abandon_output() -> None:
    """Python must not try to write the rest when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else "sdnblock"
    problem = error.format_message().rstrip(".")
    return f"{path}: {problem[:1].lower()}{problem[1:]} (see {path} --help)"


def _complain(line: str) -> None:
    click.echo(printable(line), err=True)


@click.group(
    cls=_Commands,
    modules={name: f"sdnblock.cli.{name}:command" for name in _COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="TARGET is an address, a CIDR prefix, or a flow such as"
    " 'udp:203.0.113.7:5060>198.51.100.9:5060' (in quotes: the shell means something else"
    " by >; IPv6 in brackets).",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file.  [default: $SDNBLOCK_CONFIG, ./sdnblock.toml,"
    " /etc/sdnblock/sdnblock.toml; without any, built-in values]",
)
@click.option(
    "--redis",
    envvar="SDNBLOCK_REDIS",
    metavar="URL",
    help="Redis of the block list, in place of the configuration's: redis://, rediss:// or"
    " unix://. Give passwords by the configuration's password_file, not here: others see"
    " command lines.",
)
@click.version_option(__version__, "-V", "--version", message="sdnblock %(version)s")
@click.pass_context
def main(ctx: click.Context, config: Path | None, redis: str | None) -> None:
    """A network that protects its own SIP service.

    Operators, feeds and detectors block targets in a block list in Redis; the controller
    (sdnblock run) keeps the tables of the switches in step with it. The block and allow
    commands speak to Redis only and work without the controller.

    \b
    Exit status:
      0    done
      1    refused or failed; one line on stderr says why
      2    the command line itself cannot be understood
      130  interrupted
    """
    ctx.obj = App(config, redis)
