"""The SIP server: Kamailio from the distribution, with the configuration beside this file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from demo.network import SERVER, Stage
from demo.phones import SCENARIOS
from demo.processes import Process

_CONFIG = Path(__file__).with_name("kamailio.cfg")
_MODULES = 'loadmodule "xlog.so"'
"""The last of them."""


async def start_server(
    network: Stage, directory: Path, defines: Sequence[str] = (), more: str = ""
) -> Process:
    """Start Kamailio in the server's namespace and wait until it listens.

    ``defines`` turn on parts of its configuration; ``more`` are modules that it loads besides.
    Raises CommandFailed with its last words.
    """
    run_directory = directory / "kamailio"
    run_directory.mkdir()
    config = _CONFIG
    if more:
        config = directory / "kamailio.cfg"
        config.write_text(_CONFIG.read_text().replace(_MODULES, f"{_MODULES}\n{more}", 1))
    process = await network.start(
        *("server", "kamailio", "kamailio", "-DD", "-E", "-f", config),
        *("-l", f"udp:{SERVER}:5060", "-l", f"tcp:{SERVER}:5060"),
        *("-Y", run_directory, "-P", run_directory / "kamailio.pid", "-m", "64", "-M", "8"),
        *(word for name in defines for word in ("-A", name)),
    )
    await process.until_logged("Aliases:")
    return process


async def start_gateway(network: Stage) -> Process:
    """A gateway beside the server, which answers every call abroad."""
    return await network.start(
        *("server", "gateway", "sipp", f"{SERVER}:5060", "-sf", SCENARIOS / "answer.xml"),
        *("-i", SERVER, "-p", "5090", "-nostdin"),
    )
