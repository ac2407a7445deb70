"""What the lab needs of this machine, and what to do where it is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from demo.recipes import SDNBLOCK

SYSTEM_PYTHON: Final = Path("/usr/bin/python3")
"""For which a distribution packages Mininet."""
_TOOLS: Final = (
    *("mnexec", "ip", "ethtool", "nsenter", "ping", "redis-server"),
    *("kamailio", "sipp", "svmap", "svwar", "svcrack"),
)
_OF_SWITCH: Final[Mapping[str, tuple[str, ...]]] = {
    "xdp": (),
    "bmv2": ("simple_switch_grpc",),
    "ovs": ("ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl"),
}


def problem(
    switch: str,
    *,
    root: bool | None = None,
    which: Callable[[str], str | None] = shutil.which,
    program: Path = SDNBLOCK,
) -> str | None:
    """Why a lab with this kind of switch cannot be built here; None if it can."""
    if not (os.geteuid() == 0 if root is None else root):
        return "needs root, for network namespaces: sudo python3 mininet/lab.py ..."
    if missing := [tool for tool in _TOOLS if which(tool) is None]:
        return f"not installed: {', '.join(missing)}; run: make packages"
    if missing := [tool for tool in _OF_SWITCH[switch] if which(tool) is None]:
        if switch != "bmv2":
            return f"not installed: {', '.join(missing)}; run: make packages"
        return (
            "simple_switch_grpc is not on the PATH. Debian has no BMv2: build p4lang's"
            " behavioral-model with PI, and keep your PATH: sudo env PATH=$PATH python3 ..."
        )
    if not program.exists():
        return f"{program} is missing; make it with: make .venv/installed"
    return None
