"""Redis' errors as one line for people: what, where, what to do."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError

from sdnblock.errors import BlockListError

REDIS_ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError, TimeoutError)
"""Everything that a Redis client raises when Redis or the way to it fails."""

_MAX = 200


class Loading(BlockListError):
    """Redis is up but still reads its data from disk: try again soon."""


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn whatever Redis raises inside into BlockListError. ``place`` says where Redis is."""
    try:
        yield
    except REDIS_ERRORS as error:
        raise explain(error, place) from error


def explain(error: BaseException, place: str) -> BlockListError:
    """The line for one error."""
    text = str(error)
    word = text.split(" ", 1)[0].upper()
    if isinstance(error, exceptions.BusyLoadingError) or "LOADING" in text[:12]:
        return Loading(f"{place} is loading its data: try again in a moment")
    if isinstance(error, MasterNotFoundError):
        return BlockListError(f"{place}: no Sentinel names a master that answers")
    if isinstance(error, exceptions.ExecAbortError) and error.__cause__ is not None:
        return explain(error.__cause__, place)
    if text.startswith("WRONGTYPE ") and " is no " in text:  # our own scripts name the key
        return BlockListError(f"{place}: {_short(text[10:])}: delete or rename that key")
    for kind, words, line in _KNOWN:
        if isinstance(error, kind) or any(marker in text for marker in words):
            return BlockListError(f"{place} {line}")
    if isinstance(error, (exceptions.TimeoutError, asyncio.TimeoutError)):
        return BlockListError(f"{place} does not answer in time: is it overloaded or cut off?")
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            why = _short(getattr(cause, "verify_message", "") or cause.reason or str(cause))
            return BlockListError(f"{place}: TLS fails ({why}): check CA, host name, certificate")
    if isinstance(error, (exceptions.ConnectionError, OSError)):
        return BlockListError(f"cannot reach {place}: {_short(_root(error))}: is it running?")
    if word == "NOPERM" or isinstance(error, exceptions.NoPermissionError):
        return BlockListError(f"{place} does not let us: {_short(text)}: see docs/redis.md, ACL")
    return BlockListError(f"{place} refuses: {_short(text)}")


_KNOWN: tuple[
    tuple[type[BaseException] | tuple[type[BaseException], ...], tuple[str, ...], str], ...
] = (
    (
        exceptions.OutOfMemoryError,
        ("OOM command not allowed",),
        "is full (maxmemory): nothing was written; give it more memory or remove blocks",
    ),
    (
        exceptions.ReadOnlyError,
        ("READONLY ",),
        "is a read-only replica: give the master's address, or name the Sentinels",
    ),
    (
        exceptions.AuthenticationWrongNumberOfArgsError,
        ("WRONGPASS", "invalid password", "invalid username-password"),
        "refuses our user name or password: check both",
    ),
    ((), ("NOAUTH", "Authentication required"), "wants a password: none is configured"),
    (
        (),
        ("AUTH <password> called without any password",),
        "has no password set, but one is configured: remove it or set requirepass",
    ),
    (
        (),
        ("MISCONF",),
        "cannot save to disk and refuses writes: see its log (disk full? permissions?)",
    ),
    ((), ("NOREPLICAS",), "has too few replicas in reach and refuses writes"),
    ((), ("MASTERDOWN",), "is a replica that has lost its master"),
    (
        (exceptions.MovedError, exceptions.ClusterCrossSlotError),
        ("CROSSSLOT",),
        "is a Redis Cluster that keeps our keys elsewhere: use a prefix such as {sdnblock}:"
        " and a node that holds its slot",
    ),
    (
        exceptions.ClusterDownError,
        ("CLUSTERDOWN",),
        "is a Redis Cluster that is down (slots not covered)",
    ),
    (
        (),
        ("WRONGTYPE",),
        "holds a key of ours with a wrong type: see `block list --refused` or docs/redis.md",
    ),
    (exceptions.MaxConnectionsError, ("max number of clients",), "has no connection left for us"),
)


def _root(error: BaseException) -> str:
    """The operating system's own words, without the client library's wrapping."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            # asyncio's own strerror is wordy; resolver errors have negative numbers.
            number = cause.errno or 0
            return os.strerror(number) if number > 0 else cause.strerror
    return str(error).rstrip(".") or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _short(text: str) -> str:
    line = " ".join(text.split())
    line = line if line.isascii() and line.isprintable() else ascii(line)[1:-1]
    return line if len(line) <= _MAX else f"{line[:_MAX]}..."
