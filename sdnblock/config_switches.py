"""The ``[[switch]]`` tables of the configuration."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sdnblock.switches.settings import OPENFLOW_ADDRESS, SwitchSettings, TlsFiles
from sdnblock.toml_table import Table

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_DATAPATH: Final = re.compile(r"[0-9a-f]{16}|([0-9a-f]{2}:){7}[0-9a-f]{2}", re.ASCII | re.I)
_P4_PORTS: Final = 511
_OPENFLOW_PORTS: Final = 0xFFFFFF00
"""``OFPP_MAX``: the greatest number of a port (OpenFlow 1.3.5, 7.2.1)."""


def read_switches(top: Table, shared: Mapping[str, Any]) -> tuple[SwitchSettings, ...]:
    """All switches; ``shared`` are settings that all of them have. Raises ConfigError."""
    switches = tuple(_switch(each, shared) for each in top.tables("switch"))
    if name := _repeated([switch.name for switch in switches]):
        raise top.error("switch", f"two switches are named {name!a}")
    listening = [switch for switch in switches if switch.protocol == "openflow"]
    if datapath_id := _repeated([switch.datapath_id for switch in listening]):
        raise top.error("switch", f"two switches have the datapath_id {datapath_id:016x}")
    tls: dict[str, TlsFiles | None] = {}
    for switch in listening:
        if tls.setdefault(switch.address, switch.tls) != switch.tls:
            raise top.error(
                "switch",
                f"switches that connect to {switch.address} need the same tls: else give them"
                " different addresses",
            )
    return switches


def _switch(table: Table, shared: Mapping[str, Any]) -> SwitchSettings:
    name = table.string("name", "")
    if not _NAME.fullmatch(name):
        raise table.error("name", "every switch needs a name of 1-63 letters, digits, _ . -")
    openflow = table.choice("protocol", "p4runtime", ("p4runtime", "openflow")) == "openflow"
    defaults = SwitchSettings(name)
    ports = _OPENFLOW_PORTS if openflow else _P4_PORTS
    settings = SwitchSettings(
        name=name,
        trusted_ports=frozenset(table.integers("trusted_ports", 1, ports)),
        forward=_forward(table, ports),
        standby=table.boolean("standby", defaults.standby),
        rpc_timeout=table.number("rpc_timeout", defaults.rpc_timeout, 0.1, 600.0),
        **(_openflow(table) if openflow else _p4runtime(table)),
        **shared,
    )
    table.finish()
    return settings


def _p4runtime(table: Table) -> dict[str, Any]:
    defaults = SwitchSettings("")
    return {
        "address": table.string("address", defaults.address),
        "device_id": table.integer("device_id", defaults.device_id, 1, 2**63 - 1),
        "flood_ports": frozenset(table.integers("flood_ports", 1, _P4_PORTS)),
        "target": table.choice("target", defaults.target, ("auto", "bmv2", "xdp", "tofino")),
        "cpu_port": table.integer("cpu_port", defaults.cpu_port, 1, _P4_PORTS),
        "p4info": table.path("p4info"),
        "device_config": table.path("device_config"),
        "tls": _tls(table),
    }


def _openflow(table: Table) -> dict[str, Any]:
    address = table.string("address", OPENFLOW_ADDRESS)
    port = address.rpartition(":")[2]
    if not address.startswith("unix:") and not (port.isdecimal() and 0 < int(port) < 65536):
        raise table.error(
            "address", f"{address!a} is not host:port, :port (all addresses) or unix:/path"
        )
    tls = _tls(table)
    if tls is not None and (tls.ca is None or tls.certificate is None):
        raise table.error("tls", "for OpenFlow, ca, certificate and key are all needed")
    if tls is not None and tls.server_name is not None:
        raise table.error("tls.server_name", "an OpenFlow switch is the client: no name is checked")
    return {
        "protocol": "openflow",
        "address": address,
        "datapath_id": _datapath_id(table),
        "tls": tls,
    }


def _datapath_id(table: Table) -> int:
    value = table.number_or_text("datapath_id")
    if isinstance(value, str) and _DATAPATH.fullmatch(value):
        value = int(value.replace(":", ""), 16)
    if not isinstance(value, int) or not 0 < value < 1 << 64:
        raise table.error(
            "datapath_id",
            "every OpenFlow switch needs its id: a number, or 16 hexadecimal digits in quotes",
        )
    return value


def _tls(table: Table) -> TlsFiles | None:
    if not table.has("tls"):
        return None
    each = table.table("tls")
    files = TlsFiles(
        ca=each.path("ca"),
        certificate=each.path("certificate"),
        key=each.path("key"),
        server_name=each.optional_string("server_name"),
    )
    if (files.certificate is None) != (files.key is None):
        raise each.error("certificate", "certificate and key go together")
    each.finish()
    return files


def _forward(table: Table, ports: int) -> dict[bytes, int]:
    import netaddr  # slow to load, and most commands have no use for it

    each = table.table("forward")
    forward: dict[bytes, int] = {}
    for text in each.names():
        try:
            mac = netaddr.EUI(text, version=48).packed
        except (netaddr.AddrFormatError, ValueError):
            raise each.error(text, "is not a MAC address like 02:00:00:00:00:01") from None
        forward[mac] = each.integer(text, 0, 1, ports)
    return forward


def _repeated(values: Sequence[Any]) -> Any:
    """A value that is there twice, None if there is none."""
    return next((value for value, count in Counter(values).items() if count > 1), None)
