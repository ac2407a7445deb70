"""What a switch's refusals mean: gRPC errors and per-update errors.

P4Runtime specification 12.3: a batch that fails in part ends with status UNKNOWN
and, in ``grpc-status-details-bin``, one ``p4.v1.Error`` per update in request
order, successes included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import grpc
from finsy.proto import p4r, rpc_code, rpc_status
from google.protobuf.message import DecodeError

from sdnblock.switches.driver import FailureKind, Op

_DETAILS: Final = "grpc-status-details-bin"
_ERROR_TYPE: Final = "p4.v1.Error"
_MAX_TEXT: Final = 200

_KINDS: Final[dict[int, FailureKind]] = {
    rpc_code.ALREADY_EXISTS: FailureKind.EXISTS,
    rpc_code.NOT_FOUND: FailureKind.MISSING,
    rpc_code.RESOURCE_EXHAUSTED: FailureKind.FULL,
}
_CODE_NAMES: Final[dict[int, str]] = {number: name for name, number in rpc_code.Code.items()}

LOST_CODES: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.PERMISSION_DENIED,  # primary was lost
        grpc.StatusCode.FAILED_PRECONDITION,  # no pipeline: the switch has restarted empty
    }
)
"""Codes of a whole RPC that end the session, once it is established."""

_UNSAID: Final = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "no answer in time",
    grpc.StatusCode.UNAVAILABLE: "not reachable",
}


_COMMON: Final = (
    ("Connection refused", "connection refused: is the switch running there?"),
    ("No such file or directory", "no such socket: is the switch running there?"),
    ("Domain name not found", "host name not found"),
    ("Misformatted domain name", "not an address"),
    ("Failed parsing HTTP/2", "what answers there does not speak gRPC, or only under TLS"),
    ("Socket closed", "connection closed"),
    ("Broken pipe", "connection closed"),
    ("Connection reset", "connection reset"),
)
"""What gRPC wraps in its own words, in ours."""


def plain(text: str) -> str:
    """A switch's words, cut and made safe for one line on a terminal."""
    cut = text[:_MAX_TEXT] + ("..." if len(text) > _MAX_TEXT else "")
    return "".join(char if char.isprintable() else " " for char in cut).strip()


def describe(error: grpc.aio.AioRpcError) -> str:
    """An RPC's failure in a few words."""
    code = error.code()
    words = plain((error.details() or "").rpartition("last error: ")[2])
    if code is grpc.StatusCode.DEADLINE_EXCEEDED or not words:
        return _UNSAID.get(code, str(code.name))
    if code is grpc.StatusCode.UNAVAILABLE:
        for theirs, ours in _COMMON:
            if theirs in words:
                return ours
    return f"{words} ({code.name})"


def update_errors(error: grpc.aio.AioRpcError, count: int) -> list[p4r.Error] | None:
    """The errors of a batch of ``count`` updates, in order (canonical code 0: done).

    None if the switch did not say: then nothing is known about any update.
    """
    status = rpc_status.Status()
    # The stubs' metadata type cannot be iterated; the real one gives pairs.
    metadata = cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ())
    for key, value in metadata:
        if key == _DETAILS and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:
                return None
    if len(status.details) != count:
        return None
    errors = []
    for detail in status.details:
        if not detail.type_url.endswith(_ERROR_TYPE):
            return None
        try:
            errors.append(p4r.Error.FromString(detail.value))
        except DecodeError:
            return None
    return errors


def failure_kind(error: p4r.Error, op: Op, at_capacity: bool) -> FailureKind:
    """Why an update failed.

    ``at_capacity``: the table holds, by our count, as many entries as its P4Info
    size promises. The specification's code for a full table is
    RESOURCE_EXHAUSTED; BMv2 says UNKNOWN for it and much else, others OUT_OF_RANGE.
    """
    code = error.canonical_code
    kind = _KINDS.get(code)
    if kind is not None:
        return kind
    if op is Op.INSERT:
        text = error.message.lower()
        if code == rpc_code.OUT_OF_RANGE or "full" in text or "no space" in text:
            return FailureKind.FULL
        if at_capacity and code in (rpc_code.UNKNOWN, rpc_code.INTERNAL, rpc_code.UNAVAILABLE):
            return FailureKind.FULL
    return FailureKind.REFUSED


def failure_text(error: p4r.Error) -> str:
    """The switch's words for a failed update."""
    words = plain(error.message)
    code = error.canonical_code
    name = _CODE_NAMES.get(code, f"code {code}")
    return f"{words} ({name})" if words else name
