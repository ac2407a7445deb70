"""One attack on a server behind one means of protection, with honest calls meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.compare.contenders import Contender
from demo.attack import Ear, Heard
from demo.campaigns import ATTACKER, let_run
from demo.network import SERVER_NET, Host, Network, Stage
from demo.phones import Calls, Phones
from demo.processes import Process
from demo.server import start_server

HOSTS: Final = (
    ATTACKER,
    Host("phones", "192.0.2.10", 2),
    Host("server", "198.51.100.10", 3, SERVER_NET),
)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SILENCE: Final = 1.0
"""Seconds of unanswered probes at the end without which an attack was not blocked."""

Attack = Callable[[Stage, Path], Awaitable[list[Process]]]


@dataclass(frozen=True)
class Outcome:
    """What a trial gave."""

    heard: Heard
    """By the attacker."""
    calls: Calls
    cpu_server: float
    """Seconds of the SIP server, user and system."""
    cpu_protection: float
    """Seconds of what else the protection runs."""

    @property
    def extensions(self) -> int:
        """Extensions that the attacker knows to exist: answered 401 rather than 404."""
        return self.heard.statuses.get("401", 0) + self.heard.statuses.get("407", 0)

    @property
    def passwords(self) -> int:
        """Passwords that the attacker knows: answered 200."""
        return self.heard.statuses.get("200", 0)

    @property
    def blocked_after(self) -> float | None:
        """Seconds from the first probe to the last reply; None if replies came to the end."""
        heard = self.heard
        if heard.first_sent is None or heard.last_sent is None:
            return None
        last = heard.last_received or heard.first_sent
        if heard.received and heard.last_sent - last < _SILENCE:
            return None
        return max(0.0, last - heard.first_sent)


async def trial(
    make: Callable[[Network, Path], Contender],
    attack: Attack,
    seconds: float,
    afterwards: float,
) -> Outcome:
    """Run it in namespaces of its own, for ``seconds`` at most. Raises CommandFailed."""
    directory = Path(tempfile.mkdtemp(prefix="sdnblock-cmp-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        network = Network(directory, HOSTS)
        stack.push_async_callback(network.destroy)
        await network.create()
        contender = make(network, directory)
        server = await start_server(network, directory, contender.defines)
        stack.push_async_callback(server.stop, 2)
        stack.push_async_callback(contender.stop)
        await contender.start(server.log)
        phones = Phones(network, directory)
        stack.push_async_callback(phones.stop)
        await phones.start(rate=1)
        ear = Ear(network, ATTACKER, directory)
        stack.push_async_callback(ear.stop)
        await ear.start()
        await asyncio.sleep(1)
        before = _cpu([server]), _cpu(contender.processes())
        await let_run(await attack(network, directory), seconds)
        await asyncio.sleep(afterwards)
        after = _cpu([server]), _cpu(contender.processes())
        calls = await phones.finish()
        return Outcome(ear.heard(), calls, after[0] - before[0], after[1] - before[1])


def _cpu(processes: list[Process]) -> float:
    """Seconds that processes, and all in their sessions, have used: ended children too."""
    sessions = {process.pid for process in processes}
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) in sessions:
                ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS
