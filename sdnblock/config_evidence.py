"""``[hep]`` and ``[kamailio]``: evidence that SIP servers send."""

from __future__ import annotations

from collections.abc import Callable

from sdnblock.blocklist.safety import SafetySettings
from sdnblock.blocklist.settings import KamailioSettings, RedisSettings
from sdnblock.evidence.senders import HepSettings
from sdnblock.toml_dataclass import read_dataclass
from sdnblock.toml_table import Table

ReadRedis = Callable[[Table], RedisSettings]


def read_hep(top: Table, safety: SafetySettings) -> HepSettings:
    """The settings of HEP. Raises ConfigError."""
    table = top.table("hep")
    settings = read_dataclass(table, HepSettings)
    if found := settings.problem():
        raise table.error(*found)
    if settings.enabled:
        _check_sides(table, safety)
    return settings


def read_kamailio(top: Table, safety: SafetySettings, read_redis: ReadRedis) -> KamailioSettings:
    """The settings of Kamailio's events. Raises ConfigError."""
    table = top.table("kamailio")
    settings = KamailioSettings(
        enabled=table.boolean("enabled", False),
        redis=read_redis(table.table("redis")) if table.has("redis") else None,
        prefix=table.string("prefix", ""),
    )
    table.finish()
    if found := settings.problem():
        raise table.error(*found)
    if settings.enabled:
        _check_sides(table, safety)
    return settings


def _check_sides(table: Table, safety: SafetySettings) -> None:
    """A SIP server reports what it sends as well as what it receives."""
    if not safety.own_prefixes:
        raise table.error(
            "enabled",
            "needs safety.own_prefixes, the addresses of our SIP servers: without them,"
            " what they send cannot be told from what is sent to them",
        )
