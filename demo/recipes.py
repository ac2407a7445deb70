"""How a switch of each kind is started in a network namespace, as data.

The demo and the tests carry a recipe out with asyncio, the Mininet switches without it.
Controllers reach every kind over unix sockets: no switch needs a management network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_BESIDE: Final = Path(sys.executable).with_name("sdnblock")
SDNBLOCK: Final = _BESIDE if _BESIDE.exists() else Path(__file__).parents[1] / ".venv/bin/sdnblock"
"""Our program, also for a Python that is not the environment's (Mininet's)."""
_OVS_SCHEMA: Final = "/usr/share/openvswitch/vswitch.ovsschema"


@dataclass(frozen=True)
class Place:
    """What differs between two switches of one kind."""

    name: str
    number: int
    """P4Runtime device id or OpenFlow datapath id: unique on the machine."""
    directory: Path
    """For sockets and databases; keep it short: a socket's path has 107 bytes at most."""
    ports: tuple[str, ...]
    """Interfaces in the switch's namespace, port 1 first."""
    trusted: tuple[int, ...]
    """Ports towards our SIP servers."""
    forward: Mapping[str, int] = field(default_factory=dict)
    """MAC address to port. Empty: the switch learns or floods, so there must be no loop."""


@dataclass(frozen=True)
class Command:
    """Run to its end; it must succeed."""

    argv: tuple[str, ...]


@dataclass(frozen=True)
class Daemon:
    """Started, and waited for until its log says ``ready``."""

    name: str
    argv: tuple[str, ...]
    ready: str


@dataclass(frozen=True)
class Recipe:
    """Steps to be carried out in order, in the switch's namespace, and what they make."""

    steps: tuple[Command | Daemon, ...]
    config: str
    """The switch's ``[[switch]]`` in the controller's configuration."""

    @property
    def engine(self) -> Daemon:
        """The daemon that handles packets."""
        return next(step for step in reversed(self.steps) if isinstance(step, Daemon))


def bridge(place: Place) -> Recipe:
    """A Linux bridge: it only forwards, and no controller knows of it."""
    steps = (
        _command("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0"),
        _command("ip", "link", "set", "br0", "up"),
        *(_command("ip", "link", "set", port, "master", "br0") for port in place.ports),
    )
    return Recipe(steps, "")


def xdp(place: Place) -> Recipe:
    """``sdnblock switchd``, with a Linux bridge as the stack behind it where it floods."""
    stack = () if place.forward else bridge(place).steps
    socket = f"unix:{place.directory}/{place.name}.p4rt"
    switchd = Daemon(
        f"{place.name}-switchd",
        (
            *(str(SDNBLOCK), "switchd", "--interface", ",".join(place.ports)),
            *("--device-id", str(place.number), "--listen", socket),
        ),
        "ready:",
    )
    return Recipe((*stack, switchd), _p4runtime(place, socket, "xdp"))


def bmv2(place: Place) -> Recipe:
    """``simple_switch_grpc``, which must be on the PATH."""
    socket = f"unix:{place.directory}/{place.name}.p4rt"
    interfaces = [f"-i{number}@{port}" for number, port in enumerate(place.ports, 1)]
    switch = Daemon(
        f"{place.name}-bmv2",
        (
            *("simple_switch_grpc", "--no-p4", "--device-id", str(place.number), *interfaces),
            *("--", "--grpc-server-addr", socket, "--cpu-port", "255"),
        ),
        f"Adding interface {place.ports[-1]}",
    )
    config = _p4runtime(place, socket, "bmv2")
    if not place.forward:
        config += f"flood_ports = {list(range(1, len(place.ports) + 1))}\n"
    return Recipe((switch,), config + _forward(place))


def ovs(place: Place) -> Recipe:
    """Open vSwitch with the user-space datapath, a database and a bridge of its own."""
    base = place.directory / f"{place.name}-ovs"
    environment = [f"{name}={base}" for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR")]
    database = f"unix:{base}/db.sock"
    socket = f"unix:{base}/openflow.sock"  # it connects to no socket elsewhere

    def vsctl(*words: str) -> Command:
        return _command("env", *environment, "ovs-vsctl", f"--db={database}", *words)

    ports = [
        word
        for number, port in enumerate(place.ports, 1)
        for word in (
            *("--", "add-port", "br0", port),
            *("--", "set", "interface", port, f"ofport_request={number}"),
        )
    ]
    steps = (
        _command("mkdir", "-p", str(base)),
        _command("ovsdb-tool", "create", f"{base}/conf.db", _OVS_SCHEMA),
        Daemon(
            f"{place.name}-ovsdb",
            (
                *("env", *environment, "ovsdb-server", f"{base}/conf.db", "-vconsole:info"),
                *(f"--remote=p{database}", f"--unixctl={base}/ovsdb.ctl"),
            ),
            "ovsdb-server (Open vSwitch)",
        ),
        vsctl("--no-wait", "init"),
        # Everything is written first: the switch finds it when it starts.
        vsctl(
            *("--no-wait", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"),
            *("protocols=OpenFlow13", f"other-config:datapath-id={place.number:016x}"),
            *("fail_mode=secure", "other-config:disable-in-band=true", *ports),
        ),
        vsctl(
            *("--no-wait", "set-controller", "br0", socket),
            *("--", "set", "controller", "br0", "max_backoff=1000"),
        ),
        Daemon(
            f"{place.name}-vswitchd",
            (
                *("env", *environment, "ovs-vswitchd", database, "-vconsole:info"),
                f"--unixctl={base}/vswitchd.ctl",
            ),
            "ovs-vswitchd (Open vSwitch)",
        ),
    )
    config = (
        f'[[switch]]\nname = "{place.name}"\nprotocol = "openflow"\naddress = "{socket}"\n'
        f"datapath_id = {place.number}\ntrusted_ports = {list(place.trusted)}\n"
    )
    return Recipe(steps, config + _forward(place))


KINDS: Final[Mapping[str, Callable[[Place], Recipe]]] = {
    "xdp": xdp,
    "bmv2": bmv2,
    "ovs": ovs,
    "bridge": bridge,
}
"""Every kind of switch by its name on command lines."""


def _command(*argv: str) -> Command:
    return Command(argv)


def _p4runtime(place: Place, socket: str, target: str) -> str:
    text = (
        f'[[switch]]\nname = "{place.name}"\naddress = "{socket}"\ntarget = "{target}"\n'
        f"device_id = {place.number}\ntrusted_ports = {list(place.trusted)}\n"
    )
    return text if target == "bmv2" else text + _forward(place)


def _forward(place: Place) -> str:
    if not place.forward:
        return ""
    lines = [f'"{mac}" = {port}' for mac, port in place.forward.items()]
    return "\n".join(("[switch.forward]", *lines, ""))
