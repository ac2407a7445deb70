"""How to reach Redis: plain values, checked by :meth:`RedisSettings.check`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sdnblock.blocklist.keys import DEFAULT_PREFIX, Keys
from sdnblock.errors import BlockListError

DEFAULT_URL = "redis://127.0.0.1:6379/0"

_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where Redis is, who we are to it, and under which prefix the block list is kept."""

    url: str = DEFAULT_URL
    """``redis://host:port/db``, ``rediss://...`` (TLS) or ``unix:///path?db=0``.

    User and password may stand in the URL; the fields below win over it."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    """File whose first line is the password; read at each connect."""
    tls_ca: Path | None = None
    """PEM file that signs the server's certificate; None: the system's authorities."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    """PEM files that prove us to the server: both or neither."""
    tls_check_hostname: bool = True
    prefix: str = DEFAULT_PREFIX
    sentinels: tuple[str, ...] = ()
    """``host:port`` of Redis Sentinels. Host and port of ``url`` are then ignored."""
    sentinel_master: str = ""
    """The name under which the Sentinels know the master."""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    timeout: float = 5.0
    """Seconds that Redis has to accept a connection or answer a command."""

    @property
    def place(self) -> str:
        """Where Redis is, for messages: never shows a password."""
        if self.sentinels:
            return f"Redis master {self.sentinel_master!a} (Sentinel {', '.join(self.sentinels)})"
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return f"Redis at {parts.path}"
        return f"Redis at {parts.netloc.rpartition('@')[2]}"

    def keys(self) -> Keys:
        """The key names under the prefix."""
        return Keys(self.prefix)

    def check(self) -> None:
        """Raise BlockListError for settings that cannot work."""
        try:
            parts = urlsplit(self.url)
            parts.port  # noqa: B018 - parsing it is the check
        except ValueError as error:
            raise BlockListError(f"the Redis URL is malformed: {error}") from None
        if parts.scheme not in _SCHEMES:
            raise BlockListError(
                f"the Redis URL must begin with redis://, rediss:// or unix://,"
                f" not with {parts.scheme!a}"
            )
        database = parts.path.strip("/")
        if parts.scheme != "unix" and database and not database.isdecimal():
            raise BlockListError(f"the Redis URL ends with {database!a}: that must be a number")
        if parts.scheme == "unix" and not parts.path:
            raise BlockListError("the Redis URL names no socket: write unix:///path/to/redis.sock")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise BlockListError(
                "Redis: a TLS certificate needs its key, and a key its certificate"
            )
        if self.sentinels and not self.sentinel_master:
            raise BlockListError("Redis Sentinel: the name of the master is missing")
        self.keys()


@dataclass(frozen=True, slots=True)
class KamailioSettings:
    """``[kamailio]``: where Kamailio puts its events."""

    enabled: bool = False
    redis: RedisSettings | None = None
    """Its Redis; None: that of the block list."""
    prefix: str = ""
    """Stands before the names of all its keys."""

    def problem(self) -> tuple[str, str] | None:
        """The key that is wrong and why; None if all is well."""
        fine = self.prefix.isascii() and self.prefix.isprintable() and " " not in self.prefix
        if not fine or len(self.prefix) > 100:
            return "prefix", "must be printable ASCII without spaces, at most 100 letters"
        return None
