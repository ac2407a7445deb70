"""A write that is under way, while the next one is made ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from sdnblock.block import Target
from sdnblock.switches.driver import Change, Failure, target_of


class Flight:
    """One stage on its way to the switch; ``task`` gives what failed. Begins at the loop's
    next turn."""

    def __init__(
        self,
        stage: list[Change],
        write: Callable[[list[Change]], Coroutine[Any, Any, list[Failure]]],
    ) -> None:
        self.stage = stage
        self.task = asyncio.create_task(write(stage))
        self._targets = set(map(target_of, stage))

    def touches(self, targets: Iterable[Target]) -> bool:
        """Whether it is about one of these."""
        return not self._targets.isdisjoint(targets)
