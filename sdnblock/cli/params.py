"""Options and arguments in sdnblock's own words.

Their errors are TargetErrors (exit status 1): the command line was understood, what it
asks for was not, or is refused.
"""

from __future__ import annotations

from typing import Any, Final

import click

from sdnblock.block import (
    Action,
    Prefix,
    Source,
    Target,
    parse_duration,
    parse_prefix,
    parse_target,
)
from sdnblock.blocklist.facts import MAX_REASON
from sdnblock.blocklist.keys import check_origin
from sdnblock.errors import TargetError

OPERATOR: Final = "operator"
"""The origin of what people type."""

DEFAULT_FOR: Final = "24h"
"""How long a typed block lasts unless said otherwise: a forgotten one ends by itself."""


class _TargetType(click.ParamType[Target]):
    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Target:
        return read_target(value)


class _PrefixType(click.ParamType[Source | Prefix]):
    name = "prefix"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Source | Prefix:
        return parse_prefix(value) if isinstance(value, str) else value


class _DurationType(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> float:
        return parse_duration(value) if isinstance(value, str) else float(value)


class _OriginType(click.ParamType[str]):
    name = "origin"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> str:
        return check_origin(value)


def read_target(value: Any) -> Target:
    """A target from text; targets pass. Raises TargetError."""
    if not isinstance(value, str):
        assert isinstance(value, Target)
        return value
    if value.startswith(("udp:", "tcp:")) and ">" not in value:
        raise TargetError(f"{value[:60]!a}: a flow must be quoted: the shell takes > for itself")
    return parse_target(value)


TARGET: Final = _TargetType()
PREFIX: Final = _PrefixType()
DURATION: Final = _DurationType()
ORIGIN: Final = _OriginType()
ACTION: Final = click.Choice([action.value for action in reversed(Action)])


def check_reason(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A reason or note that is not too long. Raises TargetError."""
    if len(value) > MAX_REASON:
        raise TargetError(
            f"the {param.name} has {len(value)} letters: at most {MAX_REASON} are kept"
        )
    return value


action_option: Final = click.option(
    "--action",
    type=ACTION,
    default=Action.DROP.value,
    show_default=True,
    help="drop all packets; limit them to the configured rate; or watch: count them and"
    " send some to the controller.",
)
for_option: Final = click.option(
    "--for",
    "seconds",
    metavar="DURATION",
    type=DURATION,
    default=DEFAULT_FOR,
    show_default=True,
    help="30s, 5m, 4h, 1d12h, 2w, or forever.",
)
reason_option: Final = click.option(
    "--reason",
    metavar="TEXT",
    default="",
    callback=check_reason,
    help="Why, for whoever looks later.",
)
origin_option: Final = click.option(
    "--origin",
    type=ORIGIN,
    metavar="NAME",
    default=OPERATOR,
    show_default=True,
    help="On whose behalf: 1-63 of a-z 0-9 _ . -  What has an origin of its own is easy to"
    " take back.",
)
force_option: Final = click.option(
    "--force",
    is_flag=True,
    help="Record also what the allowlist covers. The allowlist still wins: such a block"
    " takes effect when that lets go.",
)
dry_run_option: Final = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
)
