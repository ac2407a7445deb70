"""Running commands and long-lived processes, and making sure that none outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path


class CommandFailed(Exception):
    """A command ended with another status than 0; the text holds its last words."""


async def run(*argv: str | Path, ok: Sequence[int] = (0,), seconds: float = 30.0) -> str:
    """Run a command to its end and return its standard output. Raises CommandFailed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except (TimeoutError, asyncio.CancelledError):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode not in ok:
        words = (err or out).decode(errors="replace").strip().splitlines()
        raise CommandFailed(
            f"{' '.join(map(str, argv))}: status {process.returncode}: {' '.join(words[-3:])}"
        )
    return out.decode(errors="replace")


class Process:
    """A process in the background, its output in a log file, killed as a group."""

    def __init__(
        self, process: asyncio.subprocess.Process, name: str, log: Path, begin: int
    ) -> None:
        """``begin``: where in its log this process began to write."""
        self._process = process
        self._begin = begin
        self.name = name
        self.log = log

    @classmethod
    async def start(cls, name: str, argv: Sequence[str | Path], log: Path) -> Process:
        """Start ``argv``; both output streams go to ``log``."""
        with log.open("ab") as output:
            begin = output.tell()
            process = await asyncio.create_subprocess_exec(
                *map(str, argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(process, name, log, begin)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def said(self) -> str:
        """Its log since it was started."""
        return self.log.read_bytes()[self._begin :].decode(errors="replace")

    def words(self, lines: int = 5) -> str:
        """The last lines of its log."""
        return "\n".join(self.said().splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def wait(self, seconds: float) -> int:
        """Wait for its end. Raises TimeoutError."""
        return await asyncio.wait_for(self._process.wait(), seconds)

    async def stop(self, seconds: float = 5.0) -> int:
        """SIGTERM, then SIGKILL for the whole group; returns the exit status."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return await self._process.wait()

    async def until_logged(self, text: str, seconds: float = 15.0) -> None:
        """Wait until ``text`` stands in the log. Raises CommandFailed if it ends before."""
        deadline = asyncio.get_running_loop().time() + seconds
        while text not in self.said():
            if not self.running:
                raise CommandFailed(f"{self.name} ended: {self.words()}")
            if asyncio.get_running_loop().time() > deadline:
                raise CommandFailed(f"{self.name} is not ready after {seconds:g} s: {self.words()}")
            await asyncio.sleep(0.05)
