"""What the tests of the command line share: running it, in this process and as its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from sdnblock.cli import main
from sdnblock.softswitch.memory import MemoryDataplane
from tests.redis_server import RedisServer
from tests.softswitch_kit import Running, running

NO_CONTROLLER = (
    "note: no controller reports: it is recorded, and switches will have it"
    " once sdnblock run is running\n"
)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed, line by line."""
        return self.out.splitlines()

    @property
    def error(self) -> str:
        """Its single line on stderr; that there is one only is checked."""
        assert self.err.endswith("\n") and self.err.count("\n") == 1, self.err
        return self.err[:-1]


class Cli:
    """The command line on a Redis of its own, and a configuration if it is given one."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.config: Path | None = None

    def configure(self, text: str) -> None:
        """Use this configuration from now on; ``[redis]`` is added."""
        self.config = self.folder / "sdnblock.toml"
        self.config.write_text(f'{text}\n[redis]\nurl = "{self.server.url}"\n')

    def __call__(self, *words: str, stdin: bytes | str | None = None, ok: bool = True) -> Done:
        """Run in this process; with ``ok`` the exit status must be 0."""
        runner = CliRunner(env=self.environment())
        result = runner.invoke(main, list(words), input=stdin, prog_name="sdnblock")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        done = Done(result.exit_code, result.stdout, result.stderr)
        assert done.status == 0 or not ok, done
        return done

    def fails(self, *words: str, stdin: bytes | str | None = None, status: int = 1) -> Done:
        """Run in this process; it must end with ``status``."""
        done = self(*words, stdin=stdin, ok=False)
        assert done.status == status, done
        return done

    def json(self, *words: str) -> Any:
        """Run with ``-o json``; what is printed, parsed."""
        return json.loads(self(*words, "-o", "json").out)

    def environment(self) -> dict[str, str]:
        """Variables that lead to this Redis and this configuration, and to nothing else."""
        config = self.config or Path("/dev/null")
        return {
            "SDNBLOCK_REDIS": self.server.url,
            "SDNBLOCK_CONFIG": str(config),
            "COLUMNS": "100",
            "TZ": "UTC",
        }

    def process(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start it as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "sdnblock", *words],
            env={**os.environ, **self.environment(), **options.pop("env", {})},
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    def spawn(
        self,
        *words: str,
        stdin: str | None = None,
        seconds: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run it as a process of its own, to its end."""
        process = self.process(
            *words,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            env=dict(env or {}),
        )
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        finally:
            process.kill()
        return Done(process.returncode, out, err)


class SwitchThread:
    """A P4Runtime switch in memory, in a thread: commands can be run beside it."""

    def __init__(self, running_switch: Running, loop: asyncio.AbstractEventLoop) -> None:
        self._running = running_switch
        self._loop = loop
        self.address = running_switch.listener.address

    @property
    def dataplane(self) -> MemoryDataplane:
        """What it has instead of packets."""
        return self._running.dataplane

    def do(self, work: Callable[[Running], Any]) -> Any:
        """Run a coroutine function on it, in its own loop."""
        return asyncio.run_coroutine_threadsafe(work(self._running), self._loop).result(30)


@contextmanager
def switch_thread() -> Iterator[SwitchThread]:
    """A switch for the time of the context."""
    ready: list[SwitchThread] = []
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running() as switch:
            ready.append(SwitchThread(switch, asyncio.get_running_loop()))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(20)
        yield ready[0]
    finally:
        if ready:
            ready[0]._loop.call_soon_threadsafe(stop.set)
        thread.join(20)
