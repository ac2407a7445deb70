"""The configuration: one TOML file, read once, checked whole, every value with a default.

``sdnblock.example.toml`` explains every key. Unknown keys are refused with the nearest
known one: a typing error in a security setting must not pass for a default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sdnblock.block import (
    PROTOCOLS,
    Prefix,
    Source,
    parse_prefix,
)
from sdnblock.blocklist.safety import SafetySettings
from sdnblock.blocklist.settings import KamailioSettings, RedisSettings
from sdnblock.config_evidence import read_hep, read_kamailio
from sdnblock.config_switches import read_switches
from sdnblock.detect.numbers import NumberSettings, number_of
from sdnblock.detect.outcome_walk import OutcomeWalkSettings
from sdnblock.detect.proof import ProofSettings
from sdnblock.detect.registry import ENTRIES, DetectSettings
from sdnblock.detect.request_rate import RequestRateSettings
from sdnblock.errors import BlockListError, ConfigError
from sdnblock.evidence.senders import HepSettings
from sdnblock.switches.settings import (
    DEFAULT_LIMIT_BURST,
    DEFAULT_LIMIT_RATE,
    DEFAULT_SIP_PORTS,
    FirstSettings,
    SwitchSettings,
    WalkSettings,
)
from sdnblock.toml_dataclass import read_dataclass
from sdnblock.toml_table import Table

SEARCH: Final = (Path("sdnblock.toml"), Path("/etc/sdnblock/sdnblock.toml"))
"""Where a configuration is looked for, after ``$SDNBLOCK_CONFIG``."""

_MAX_FILE: Final = 1 << 20


@dataclass(frozen=True)
class ControllerSettings:
    """``[controller]``: intervals in seconds."""

    counters_interval: float = 10.0
    """Between two readings of the counters."""
    resync_interval: float = 60.0
    """Between two comparisons of a switch with the plan, when nothing seems wrong."""
    recovered_for: float = 86400.0
    """How long entries found on switches are kept when Redis has lost its data."""
    log_level: str = "info"


@dataclass(frozen=True)
class Config:
    """All of it. ``source`` is the file it came from, None for the defaults."""

    source: Path | None = None
    redis: RedisSettings = field(default_factory=RedisSettings)
    switches: tuple[SwitchSettings, ...] = ()
    allow: tuple[Source | Prefix, ...] = ()
    safety: SafetySettings = field(default_factory=SafetySettings)
    detect: DetectSettings = field(default_factory=DetectSettings)
    controller: ControllerSettings = field(default_factory=ControllerSettings)
    hep: HepSettings = field(default_factory=HepSettings)
    kamailio: KamailioSettings = field(default_factory=KamailioSettings)
    numbers: NumberSettings = field(default_factory=NumberSettings)

    def switch(self, name: str) -> SwitchSettings:
        """A switch by its name. Raises ConfigError that lists the known ones."""
        for switch in self.switches:
            if switch.name == name:
                return switch
        known = ", ".join(switch.name for switch in self.switches) or "none"
        raise ConfigError(f"no switch {name!a} in {self.source or 'the configuration'} ({known})")


def find_config(path: Path | None) -> Path | None:
    """The file to read: ``path``, else $SDNBLOCK_CONFIG, else the first of SEARCH there is."""
    if path is not None:
        return path
    if named := os.environ.get("SDNBLOCK_CONFIG"):
        return Path(named)
    return next((each for each in SEARCH if each.is_file()), None)


def load_config(path: Path | None = None) -> Config:
    """Read and check the configuration; without any file, the defaults.

    Raises ConfigError: unreadable, not TOML, an unknown key, a wrong value.
    """
    file = find_config(path)
    if file is None:
        return parse_config({}, None)
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    if len(raw) > _MAX_FILE:
        raise ConfigError(f"{file} is larger than a megabyte: not a configuration")
    try:
        return parse_config(tomllib.loads(raw.decode()), file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from None


def parse_config(data: Mapping[str, Any], source: Path | None) -> Config:
    """Check a parsed TOML document. Raises ConfigError."""
    top = Table(data, str(source or "defaults"), "")
    redis = _redis(top.table("redis"))
    ports = _sip(top.table("sip"))
    limit = top.table("limit")
    sample = top.table("sample")
    detect = _detect(top.table("detect"))
    request_rate = detect.of(RequestRateSettings)
    shared: dict[str, Any] = {
        "sip_ports": ports,
        "limit_rate": limit.integer("packets_per_second", DEFAULT_LIMIT_RATE, 1, 1_000_000),
        "limit_burst": limit.integer("burst", DEFAULT_LIMIT_BURST, 1, 1_000_000),
        "sample_rate": sample.integer("packets_per_second", 100, 0, 100_000),
        "sample_burst": sample.integer("burst", 100, 1, 100_000),
        "sample_bytes": sample.integer("bytes", 0, 0, 2048),
        "first": _first(sample),
        "walk": _walk(detect.of(OutcomeWalkSettings)),
        "request_threshold": request_rate.threshold if request_rate.enabled else 0,
        "request_window_seconds": request_rate.window,
    }
    limit.finish()
    sample.finish()
    switches = read_switches(top, shared)
    allow = top.table("allow")
    prefixes = allow.strings("prefixes")
    allowed = tuple(allow.parsed("prefixes", text, parse_prefix) for text in prefixes)
    allow.finish()
    safety = _safety(top.table("safety"))
    controller = _controller(top.table("controller"))
    hep, kamailio = read_hep(top, safety), read_kamailio(top, safety, _redis)
    numbers = _numbers(top.table("numbers"))
    top.finish()
    return Config(
        source, redis, switches, allowed, safety, detect, controller, hep, kamailio, numbers
    )


def _redis(table: Table) -> RedisSettings:
    defaults = RedisSettings()
    settings = RedisSettings(
        url=table.string("url", defaults.url),
        username=table.optional_string("username"),
        password=table.optional_string("password"),
        password_file=table.path("password_file"),
        tls_ca=table.path("tls_ca"),
        tls_certificate=table.path("tls_certificate"),
        tls_key=table.path("tls_key"),
        tls_check_hostname=table.boolean("tls_check_hostname", defaults.tls_check_hostname),
        prefix=table.string("prefix", defaults.prefix),
        sentinels=tuple(table.strings("sentinels")),
        sentinel_master=table.string("sentinel_master", defaults.sentinel_master),
        sentinel_username=table.optional_string("sentinel_username"),
        sentinel_password=table.optional_string("sentinel_password"),
        timeout=table.number("timeout", defaults.timeout, 0.1, 600.0),
    )
    table.finish()
    try:
        settings.check()
    except BlockListError as error:
        raise table.error("url", str(error)) from None
    return settings


def _sip(table: Table) -> frozenset[tuple[int, int]]:
    ports: set[tuple[int, int]] = set()
    texts = table.strings("ports", None)
    table.finish()
    if texts is None:
        return DEFAULT_SIP_PORTS
    for text in texts:
        match = re.fullmatch(r"(udp|tcp)/([0-9]{1,5})(?:-([0-9]{1,5}))?", text, re.ASCII)
        first, last = (int(match[2]), int(match[3] or match[2])) if match else (0, 0)
        if not match or not 0 < first <= last < 65536:
            raise table.error("ports", f"{text!a} is not like udp/5060 or tcp/5060-5090")
        ports.update((PROTOCOLS[match[1]], port) for port in range(first, last + 1))
    if len(ports) > 256:
        raise table.error("ports", f"{len(ports)} ports; a switch counts at most 256")
    return frozenset(ports)


def _first(table: Table) -> FirstSettings:
    defaults = FirstSettings()
    rate = table.integer("first_packets_per_second", defaults.rate, 16, 100_000)
    return FirstSettings(
        packets=table.integer("first_packets", 16, 0, 65535),
        epoch_seconds=table.duration("first_epoch", defaults.epoch_seconds),
        rate=rate,
        burst=rate,
    )


def _walk(settings: OutcomeWalkSettings) -> WalkSettings:
    """What switches need of the detector's settings."""
    if not settings.enabled:
        return WalkSettings()
    weights = [("403", settings.forbidden), ("404", settings.not_found), ("2xx", -settings.success)]
    found = [(kind, again, weight) for kind, weight in weights for again in (False, True) if weight]
    if settings.challenged_again:
        found += [(kind, True, settings.challenged_again) for kind in ("401", "407")]
    return WalkSettings(
        threshold=settings.threshold,
        memory_seconds=settings.memory,
        hold_seconds=settings.hold,
        response=settings.response,
        weights=tuple(found),
    )


def _detect(table: Table) -> DetectSettings:
    given = [read_dataclass(table.table(entry.section), entry.settings) for entry in ENTRIES]
    given.append(read_dataclass(table.table("proof"), ProofSettings))
    table.finish()
    return DetectSettings.with_(*given)


def _numbers(table: Table) -> NumberSettings:
    settings = read_dataclass(table, NumberSettings)
    for text in settings.never:
        if number_of(text) != text:
            raise table.error("never", f"{text!a} is not a number as it is dialled: digits, +")
    return settings


def _safety(table: Table) -> SafetySettings:
    defaults = SafetySettings()
    own = tuple(
        table.parsed("own_prefixes", text, parse_prefix) for text in table.strings("own_prefixes")
    )
    settings = SafetySettings(
        shortest_v4=table.integer("shortest_v4", defaults.shortest_v4, 1, 32),
        shortest_v6=table.integer("shortest_v6", defaults.shortest_v6, 1, 128),
        allow_private=table.boolean("allow_private", defaults.allow_private),
        own_prefixes=own,
    )
    table.finish()
    return settings


def _controller(table: Table) -> ControllerSettings:
    defaults = ControllerSettings()
    settings = ControllerSettings(
        counters_interval=table.number("counters_interval", defaults.counters_interval, 0.1, 3600),
        resync_interval=table.number("resync_interval", defaults.resync_interval, 1, 86400),
        recovered_for=table.duration("recovered_for", defaults.recovered_for),
        log_level=table.choice(
            "log_level", defaults.log_level, ("debug", "info", "warning", "error")
        ),
    )
    table.finish()
    return settings
