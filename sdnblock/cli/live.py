"""Asking the configured switches, all at once; one that fails delays and spoils no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sdnblock.cli.app import App
from sdnblock.config import Config
from sdnblock.errors import ConfigError, SwitchError
from sdnblock.switches.settings import SwitchSettings

if TYPE_CHECKING:
    from sdnblock.reading import Readers
    from sdnblock.switches.reader import Reader

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds that a switch has for an answer: a person is waiting."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What one switch said: a value, or the error in place of it."""

    name: str
    value: T | None
    error: str | None


def chosen(config: Config, name: str | None) -> tuple[SwitchSettings, ...]:
    """The switch of that name, or all there are. Raises ConfigError if there is none."""
    if name is not None:
        return (config.switch(name),)
    if not config.switches:
        where = f"in {config.source}" if config.source else "(there is no configuration file)"
        raise ConfigError(f"no switch is configured {where}: add a [[switch]] or give --config")
    return config.switches


async def ask(
    app: App, switches: Sequence[SwitchSettings], question: Callable[[Reader], Awaitable[T]]
) -> list[Answer[T]]:
    """``question`` put to each switch; the answers in the same order."""
    from sdnblock.reading import Readers

    readers = Readers(app.store)
    return await asyncio.gather(*(_ask_one(readers, each, question) for each in switches))


async def _ask_one(
    readers: Readers, settings: SwitchSettings, question: Callable[[Reader], Awaitable[T]]
) -> Answer[T]:
    settings = replace(settings, rpc_timeout=min(settings.rpc_timeout, _PATIENCE))
    try:
        async with readers.open(settings) as reader:
            return Answer(settings.name, await question(reader), None)
    except SwitchError as error:
        return Answer(settings.name, None, str(error))
