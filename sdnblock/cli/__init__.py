"""The command line. One module per noun, imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from sdnblock import __version__
from sdnblock.errors import SdnblockError

# Command -> (module, one line of help): the line is here so that `--help` imports nothing.
_COMMANDS: Final = {
    "allow": ("allow", "Show and change the allowlist: what is never dropped or limited."),
    "block": ("block", "Show and change the block list."),
    "run": ("run", "Run the controller."),
    "shell": ("shell", "Open p4runtime-shell on a switch."),
    "switch": ("switch", "Look at the switches and what they hold."),
    "switchd": ("switchd", "Make this machine's interfaces a switch that speaks P4Runtime."),
}


class _Lazy(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"sdnblock.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in sorted(_COMMANDS.items())])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file [default: $SDNBLOCK_CONFIG, ./sdnblock.toml,"
    " /etc/sdnblock/sdnblock.toml].",
)
@click.option("--redis", "redis_url", help="Redis URL, in place of the configuration's.")
@click.version_option(__version__, prog_name="sdnblock")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, redis_url: str | None) -> None:
    """A network that protects its own SIP service.

    Exit status: 0 done, 1 refused or failed, 2 wrong usage.
    """
    ctx.obj = {"config": config, "redis_url": redis_url}


def main(arguments: list[str] | None = None) -> Any:
    """The entry point: expected failures are one line on standard error and status 1."""
    try:
        status = cli.main(args=arguments, prog_name="sdnblock", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SdnblockError as error:
        print(f"sdnblock: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Who read our output has gone: leave quietly, also when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)
