"""Cancellation that arrives.

redis-py looks at a connection under ``asyncio.timeout(0)`` before it uses it. A
task that is cancelled at that moment has its CancelledError turned into a
timeout, which redis-py takes for "nothing to read": the task goes on as if
nobody had asked it to stop (redis-py 8.1, Python 3.11; about one in ten here).
``asyncio.wait_for``, which it sends under, can lose one as well (Python < 3.12).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def steadily(work: Coroutine[Any, Any, T]) -> T:
    """Await ``work`` in a task of its own, so that our own cancellation cannot get lost in it."""
    inner = asyncio.ensure_future(work)
    try:
        await asyncio.wait({inner})
    except asyncio.CancelledError:
        inner.cancel()
        inner.add_done_callback(_let_go)
        raise
    return inner.result()


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel ``task`` until it has ended; what it raises is nobody's concern any more."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
    _let_go(task)


def _let_go(task: asyncio.Future[Any]) -> None:
    """Look at the outcome, so that asyncio does not complain that nobody did."""
    if not task.cancelled():
        task.exception()
