"""Why the server refuses: one canonical code and one line."""

from __future__ import annotations

from finsy.proto import p4r, rpc_code

OK = rpc_code.OK
UNKNOWN = rpc_code.UNKNOWN
INVALID_ARGUMENT = rpc_code.INVALID_ARGUMENT
NOT_FOUND = rpc_code.NOT_FOUND
ALREADY_EXISTS = rpc_code.ALREADY_EXISTS
PERMISSION_DENIED = rpc_code.PERMISSION_DENIED
RESOURCE_EXHAUSTED = rpc_code.RESOURCE_EXHAUSTED
FAILED_PRECONDITION = rpc_code.FAILED_PRECONDITION
OUT_OF_RANGE = rpc_code.OUT_OF_RANGE
UNIMPLEMENTED = rpc_code.UNIMPLEMENTED
INTERNAL = rpc_code.INTERNAL


class Refusal(Exception):
    """A request, or one update of it, is refused with ``code`` (google.rpc.Code)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def to_error(self) -> p4r.Error:
        """As one ``p4.Error`` of a batch (P4Runtime specification, section 10)."""
        return p4r.Error(canonical_code=self.code, message=self.message)


def invalid(message: str) -> Refusal:
    """INVALID_ARGUMENT."""
    return Refusal(INVALID_ARGUMENT, message)


def unimplemented(message: str) -> Refusal:
    """UNIMPLEMENTED."""
    return Refusal(UNIMPLEMENTED, message)


def denied(message: str) -> Refusal:
    """PERMISSION_DENIED."""
    return Refusal(PERMISSION_DENIED, message)


def missing(message: str) -> Refusal:
    """NOT_FOUND."""
    return Refusal(NOT_FOUND, message)
