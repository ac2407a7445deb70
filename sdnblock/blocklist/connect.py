"""Opening Redis: TCP, TLS, unix sockets, Sentinel; version and rights checked at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError

from sdnblock.blocklist.explain import REDIS_ERRORS, explain
from sdnblock.blocklist.settings import RedisSettings
from sdnblock.blocklist.steady import steadily
from sdnblock.errors import BlockListError

OLDEST: Final = 6
"""The oldest Redis that has CLIENT TRACKING (BCAST) and SCAN TYPE."""

_CONNECTIONS: Final = 16


async def open_redis(settings: RedisSettings) -> Redis:
    """Connect, and check that this is a Redis that will do. The caller closes it (``aclose()``).

    Raises BlockListError, one line that says where and why: nothing there, wrong
    password, TLS, too old, still loading.
    """
    settings.check()
    client = _client(settings)
    try:
        await _check_version(client, settings)
    except REDIS_ERRORS as error:
        await _close(client)
        raise explain(error, settings.place) from error
    except BaseException:
        await _close(client)
        raise
    return client


async def _check_version(client: Redis, settings: RedisSettings) -> None:
    ask: Callable[..., Coroutine[Any, Any, Any]] = client.execute_command
    await steadily(ask("PING"))
    try:
        server = await steadily(ask("INFO", "server"))
    except NoPermissionError:
        return  # an ACL without INFO: what is missing will say so itself
    version = str(server.get("redis_version", ""))
    major = version.partition(".")[0]
    if major.isdigit() and int(major) < OLDEST:
        raise BlockListError(
            f"{settings.place} is version {version}: sdnblock needs Redis {OLDEST} or newer"
        )


async def _close(client: Redis) -> None:
    try:
        await client.aclose()
    except REDIS_ERRORS:
        return  # it never opened, or broke: nothing is left to close


def _client(settings: RedisSettings) -> Redis:
    options: dict[str, Any] = {
        "protocol": 2,  # the tracking channel of the watcher is RESP2's; one protocol for all
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        # One more try covers a pooled connection that a Redis restart has broken.
        "retry": Retry(NoBackoff(), 1),
        "client_name": "sdnblock",
        **_credentials(settings),
    }
    if settings.sentinels:
        return _by_sentinel(settings, options)
    if urlsplit(settings.url).scheme == "rediss":
        options |= _tls(settings)
    # Not Redis.from_url: there the URL would win over the settings' own fields.
    # Whoever asks for many things at once waits for one of a few connections.
    pool = BlockingConnectionPool(
        **{
            "max_connections": _CONNECTIONS,
            "timeout": settings.timeout,
            **parse_url(settings.url),
            **options,
        }
    )
    return Redis.from_pool(pool)


def _by_sentinel(settings: RedisSettings, options: dict[str, Any]) -> Redis:
    parts = urlsplit(settings.url)
    if parts.path.strip("/"):
        options["db"] = int(parts.path.strip("/"))
    if parts.scheme == "rediss":
        options |= {"ssl": True, **_tls(settings)}
    reach = {
        "protocol": 2,
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        "retry": Retry(NoBackoff(), 0),  # there are others to ask
        "username": settings.sentinel_username,
        "password": settings.sentinel_password,
    }
    make: Callable[..., Sentinel] = Sentinel
    sentinel = make(
        [_host_port(text) for text in settings.sentinels], sentinel_kwargs=reach, **options
    )
    master: Redis = sentinel.master_for(
        settings.sentinel_master, redis_class=Redis, connection_pool_class=_MasterPool
    )
    return master


class _MasterPool(SentinelConnectionPool):
    """Connections to the master; closing it closes those to the Sentinels as well."""

    async def aclose(self) -> None:
        await super().aclose()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


def _host_port(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise BlockListError(f"{text!a} is not a Sentinel's host:port")
    return host, port or 26379


def _credentials(settings: RedisSettings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if settings.username is not None:
        found["username"] = settings.username
    if settings.password_file is not None:
        found["password"] = _first_line(settings.password_file)
    elif settings.password is not None:
        found["password"] = settings.password
    return found


def _first_line(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BlockListError(f"cannot read the Redis password file {path}: {error}") from None
    return text.partition("\n")[0].rstrip("\r")


def _tls(settings: RedisSettings) -> dict[str, Any]:
    for path in (settings.tls_ca, settings.tls_certificate, settings.tls_key):
        if path is not None and not path.is_file():
            raise BlockListError(f"the TLS file {path} for Redis is not there")
    return {
        "ssl_ca_certs": _text(settings.tls_ca),
        "ssl_certfile": _text(settings.tls_certificate),
        "ssl_keyfile": _text(settings.tls_key),
        "ssl_check_hostname": settings.tls_check_hostname,
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
