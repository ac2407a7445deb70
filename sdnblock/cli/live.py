"""Asking the configured switches, all at once; one that fails delays and spoils no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sdnblock.errors import SwitchError
from sdnblock.switches.settings import SwitchSettings

if TYPE_CHECKING:
    from sdnblock.switches.p4runtime.reader import Reader

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds a switch has to answer; a person is waiting."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What one switch said: a value, or the error in place of it."""

    name: str
    value: T | None
    error: str | None


async def ask(
    switches: Sequence[SwitchSettings], question: Callable[[Reader], Awaitable[T]]
) -> list[Answer[T]]:
    """``question`` put to each switch; the answers in the same order."""
    return await asyncio.gather(*(_ask_one(settings, question) for settings in switches))


async def _ask_one(
    settings: SwitchSettings, question: Callable[[Reader], Awaitable[T]]
) -> Answer[T]:
    from sdnblock.switches.p4runtime.reader import open_reader

    settings = replace(settings, rpc_timeout=min(settings.rpc_timeout, _PATIENCE))
    try:
        async with open_reader(settings) as reader:
            return Answer(settings.name, await question(reader), None)
    except SwitchError as error:
        return Answer(settings.name, None, str(error))
