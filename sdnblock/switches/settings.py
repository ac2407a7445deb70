"""What the controller tells a driver about one switch: its address and what it should hold
besides blocks.

Plain values, checked where they come from (the configuration). A driver reads
them at each connect(); changing them means a new driver.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sdnblock.block import TCP, UDP, Action

DeviceTarget = Literal["auto", "bmv2", "xdp", "tofino"]
"""Which device config a switch takes: BMv2's JSON, the BPF object of XDP, or what Stratum
takes for a Tofino (docs/tofino.md).

``auto`` asks the switch (see ``switches/p4runtime/pipeline.py``).
"""

Protocol = Literal["p4runtime", "openflow"]
"""Southbound protocols."""

OPENFLOW_ADDRESS: Final = ":6653"
"""Where we listen for OpenFlow switches by default: port 6653 (IANA's) of all addresses."""

DEFAULT_SIP_PORTS: Final = frozenset(
    (protocol, port) for protocol in (UDP, TCP) for port in range(5060, 5091)
)
"""UDP and TCP 5060-5090, as (IP protocol number, port)."""

DEFAULT_LIMIT_RATE: Final = 100
"""Packets a second under ``limit``: a phone in a call sends 50 of RTP (20 ms each, RFC 3551),
a few of RTCP and SIP, and must still work."""
DEFAULT_LIMIT_BURST: Final = 200


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for TLS to a switch.

    ``ca`` checks the switch (None: the system's authorities); ``certificate``
    and ``key`` prove us to it (both or neither). ``server_name`` is the name
    expected in the switch's certificate where that is not its address.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class WalkSettings:
    """The walk over our servers' answers to each remote (``p4/include/outcome.p4``)."""

    threshold: int = 0
    """The score that convicts, up to 65535; 0: off."""
    memory_seconds: float = 600.0
    """A remote that nothing was answered for so long is forgotten."""
    hold_seconds: float = 60.0
    """For how long the switch itself holds a remote that crossed."""
    response: Action = Action.WATCH
    """What it does with it: ``drop``, ``limit``, or ``watch`` (only tell)."""
    weights: tuple[tuple[str, bool, int], ...] = ()
    """(message kind, after a challenge, weight): a weight above zero fails, below succeeds."""


@dataclass(frozen=True, slots=True)
class FirstSettings:
    """Copies of the first packets of unknown sources (``p4/include/sample.p4``)."""

    packets: int = 0
    """Requests of each remote in an epoch that are copied, and our answers to them; 0: off."""
    epoch_seconds: float = 1200.0
    """About how long a remote is remembered: rounded to 2**n * 1.024 ms."""
    rate: int = 500
    """Packets a second of requests, and as many of answers, over all networks."""
    burst: int = 500


@dataclass(frozen=True, slots=True)
class SwitchSettings:
    """One switch: how to reach it, and its settings that are not blocks."""

    name: str
    """The switch's name in the configuration, in logs and listings."""
    address: str = "127.0.0.1:9559"
    """``host:port`` (IPv6 in brackets) or ``unix:/path``. OpenFlow: where we listen, and
    ``:port`` means on all addresses."""
    device_id: int = 1
    """P4Runtime device id, from 1 to 2**64-1."""
    trusted_ports: frozenset[int] = frozenset()
    """Ports on our side (SIP servers). All others are untrusted: blocks apply there."""
    flood_ports: frozenset[int] = frozenset()
    """Ports of multicast group 1, to which unknown MACs are flooded. Empty: no group."""
    forward: dict[bytes, int] = field(default_factory=dict)
    """Destination MAC (6 bytes) to output port."""
    sip_ports: frozenset[tuple[int, int]] = DEFAULT_SIP_PORTS
    """(IP protocol, server-side port) pairs that carry SIP."""
    limit_rate: int = DEFAULT_LIMIT_RATE
    """Packets a second that a target under ``limit`` still gets through."""
    limit_burst: int = DEFAULT_LIMIT_BURST
    """Packets that such a target may send at once."""
    sample_rate: int = 100
    """Packets a second of all watched targets together that are sent to us; 0: none."""
    sample_burst: int = 100
    """Packets that may be sampled at once."""
    sample_bytes: int = 0
    """Bytes of a sampled frame that are sent; 0: the whole frame."""
    request_threshold: int = 0
    """SIP requests within the window that make a switch report a source; 0: off."""
    request_window_seconds: float = 1.0
    """Length of that window."""
    walk: WalkSettings = WalkSettings()
    """What makes a switch report, and hold, a remote for what our servers answer it."""
    first: FirstSettings = FirstSettings()
    """Copies of first packets."""
    target: DeviceTarget = "auto"
    """Which device config to push."""
    cpu_port: int = 255
    """The port behind which the controller is: copies of packets go there."""
    p4info: Path | None = None
    """P4Info text file; None: the one that comes with sdnblock."""
    device_config: Path | None = None
    """Device config file; None: the one that comes with sdnblock, chosen by ``target``."""
    standby: bool = False
    """Become primary only while no other controller is. Otherwise the controller that was
    started last takes over, and the others wait as backups."""
    tls: TlsFiles | None = None
    """None: no TLS."""
    rpc_timeout: float = 10.0
    """Seconds after which an unanswered request means that the switch is lost."""
    pipeline_timeout: float = 60.0
    """The same for replacing the pipeline, which takes longer."""
    protocol: Protocol = "p4runtime"
    """What is spoken; an OpenFlow switch connects to us at ``address``."""
    datapath_id: int = 0
    """OpenFlow datapath id: which of the switches that connect this one is."""
