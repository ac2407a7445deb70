"""What protects the server: nothing, Kamailio's own means, fail2ban, sdnblock.

Each is set up as its own documentation has it; see the README's section about them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from demo.network import Network
from demo.processes import Process
from demo.protection import Protection
from demo.recipes import Place
from demo.whitebox import WhiteBox

_ETC: Final = Path("/etc/fail2ban")

_FILTER: Final = """\
[Definition]
# filter for kamailio messages
failregex = Blocking traffic from <HOST>
"""

_JAIL: Final = """\
[kamailio]
enabled = true
filter = kamailio
backend = auto
logpath = {log}
findtime = 600
maxretry = 10
bantime = 1800
action = nftables-allports[name=KAMAILIO, protocol="tcp,udp"]
"""

_SETTINGS: Final = """\
[safety]
own_prefixes = ["198.51.100.0/24"]
"""


class Contender(Protocol):
    """A means of protection, for one trial."""

    defines: Sequence[str]
    """Parts of ``demo/kamailio.cfg`` that it needs."""

    async def start(self, log: Path) -> None:
        """Start it beside a server that logs to ``log``. Raises CommandFailed."""

    def processes(self) -> list[Process]:
        """What it runs besides the server."""

    async def stop(self) -> None:
        """Stop it."""


class Builtin:
    """Nothing but the server itself, with parts of its configuration, behind a bridge."""

    def __init__(self, network: Network, directory: Path, defines: Sequence[str] = ()) -> None:
        self.defines = defines
        self._network = network
        self._directory = directory
        place = Place("bridge", 1, directory, network.ports(), ())
        self._bridge = WhiteBox(network, "switch", "bridge", place)

    async def start(self, log: Path) -> None:
        """The bridge; the server protects itself."""
        await self._bridge.start()

    def processes(self) -> list[Process]:
        """None."""
        return []

    async def stop(self) -> None:
        """Nothing runs."""


class Fail2ban(Builtin):
    """fail2ban beside the server, with nftables in the server's namespace.

    Filter and jail are those of Kamailio's wiki, with the nftables action instead of
    iptables; the server logs the line for every unknown user and rejected credential.
    """

    def __init__(self, network: Network, directory: Path) -> None:
        super().__init__(network, directory, ("WITH_FAIL2BAN",))
        self._server: Process | None = None

    async def start(self, log: Path) -> None:
        """Bridge and fail2ban, with a configuration of its own."""
        await super().start(log)
        etc = self._directory / "fail2ban"
        (etc / "filter.d").mkdir(parents=True)
        (etc / "filter.d/kamailio.conf").write_text(_FILTER)
        (etc / "action.d").symlink_to(_ETC / "action.d")
        (etc / "fail2ban.conf").symlink_to(_ETC / "fail2ban.conf")
        (etc / "fail2ban.local").write_text("[DEFAULT]\ndbfile = None\n")
        (etc / "jail.conf").write_text(_JAIL.format(log=log))
        run = self._directory / "fail2ban-run"
        run.mkdir()
        self._server = await self._network.start(
            *("server", "fail2ban", "fail2ban-server", "-f", "-c", etc, "-s", run / "sock"),
            *("-p", run / "pid", "--logtarget", "stdout", "start"),
        )
        await self._server.until_logged("Jail 'kamailio' started")

    def processes(self) -> list[Process]:
        """The one daemon; the nft commands that it runs are its children."""
        return [self._server] if self._server else []

    async def stop(self) -> None:
        """Stop the daemon."""
        if self._server is not None:
            await self._server.stop()


class Sdnblock:
    """Redis, switchd and the controller, with the defaults."""

    defines: Sequence[str] = ()

    def __init__(self, network: Network, directory: Path) -> None:
        ports = network.ports()
        place = Place("edge1", os.getpid(), directory, ports, (len(ports),))
        self._switch = WhiteBox(network, "switch", "xdp", place)
        self._protection = Protection(network, directory, _SETTINGS, (self._switch,))

    async def start(self, log: Path) -> None:
        """All three."""
        await self._protection.start()

    def processes(self) -> list[Process]:
        """All three."""
        return self._protection.processes()

    async def stop(self) -> None:
        """Stop all three."""
        await self._protection.stop()
