"""What every command shares: the configuration and the block list, opened when asked for."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from sdnblock.blocklist.store import Store
    from sdnblock.config import Config

T = TypeVar("T")


class App:
    """One invocation: its global options and what they lead to."""

    def __init__(self, config_path: Path | None, redis_url: str | None) -> None:
        self._config_path = config_path
        self._redis_url = redis_url

    @cached_property
    def config(self) -> Config:
        """The configuration as it was when first asked for; see :meth:`load`."""
        return self.load()

    def load(self, path: Path | None = None) -> Config:
        """Read the configuration now, with ``--redis`` worked in. Raises SdnblockError.

        ``path`` goes before the file of the global option.
        """
        from sdnblock.config import load_config

        config = load_config(path or self._config_path)
        url = self._redis_url
        if not url:
            return config
        redis = dataclasses.replace(config.redis, url=url, sentinels=())
        try:
            named = urlsplit(url).username is not None or urlsplit(url).password is not None
        except ValueError:
            named = False  # check() says what is wrong with it
        if named:  # else the configuration's would win over it
            redis = dataclasses.replace(redis, username=None, password=None, password_file=None)
        redis.check()
        return dataclasses.replace(config, redis=redis)

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The block list, open for the time of the context. Raises SdnblockError."""
        from sdnblock.blocklist.connect import open_redis
        from sdnblock.blocklist.store import Store

        settings = self.config.redis
        redis = await open_redis(settings)
        try:
            yield Store(redis, settings.keys())
        finally:
            await redis.aclose()


pass_app = click.make_pass_decorator(App)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end, or to Ctrl-C.

    asyncio's own handling of Ctrl-C waits for the work to reach an await, which work that
    reads standard input may never do.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        return asyncio.run(work)
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
