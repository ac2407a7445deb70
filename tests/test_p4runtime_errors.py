"""What refusals mean."""

from __future__ import annotations

import grpc
import pytest
from finsy.proto import p4r, rpc_code, rpc_status
from hypothesis import given
from hypothesis import strategies as st

from sdnblock.switches.driver import FailureKind, Op
from sdnblock.switches.p4runtime import errors
from tests.p4runtime_fake import error_details


def failed(
    trailing: tuple[tuple[str, bytes | str], ...] = (),
    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
    details: str = "",
) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata(*trailing)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details, None)


def test_details_come_in_request_order_successes_included() -> None:
    said = [
        p4r.Error(canonical_code=rpc_code.OK),
        p4r.Error(canonical_code=rpc_code.ALREADY_EXISTS, message="there"),
        p4r.Error(canonical_code=rpc_code.OK),
    ]
    assert errors.update_errors(failed(error_details(said)), 3) == said


def test_details_of_another_number_say_nothing() -> None:
    said = [p4r.Error(canonical_code=rpc_code.OK)] * 3
    assert errors.update_errors(failed(error_details(said)), 2) is None


@given(st.binary(max_size=60), st.integers(0, 3))
def test_garbage_details_say_nothing(garbage: bytes, count: int) -> None:
    found = errors.update_errors(failed((("grpc-status-details-bin", garbage),)), count + 1)
    assert found is None or len(found) == count + 1


def test_details_of_another_type_say_nothing() -> None:
    status = rpc_status.Status()
    status.details.add(type_url="type.googleapis.com/p4.v1.Update", value=b"")
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    assert errors.update_errors(failed(trailing), 1) is None


def test_no_details_say_nothing() -> None:
    assert errors.update_errors(failed(), 1) is None
    assert errors.update_errors(failed((("other", "text"),)), 1) is None


@pytest.mark.parametrize(
    ("code", "text", "op", "at_capacity", "kind"),
    [
        (rpc_code.ALREADY_EXISTS, "", Op.INSERT, False, FailureKind.EXISTS),
        (rpc_code.NOT_FOUND, "", Op.DELETE, False, FailureKind.MISSING),
        (rpc_code.NOT_FOUND, "", Op.MODIFY, True, FailureKind.MISSING),
        (rpc_code.RESOURCE_EXHAUSTED, "", Op.INSERT, False, FailureKind.FULL),
        (rpc_code.OUT_OF_RANGE, "", Op.INSERT, False, FailureKind.FULL),
        (rpc_code.OUT_OF_RANGE, "", Op.MODIFY, False, FailureKind.REFUSED),
        (rpc_code.UNKNOWN, "Error when adding entry", Op.INSERT, True, FailureKind.FULL),
        (rpc_code.UNKNOWN, "Error when adding entry", Op.INSERT, False, FailureKind.REFUSED),
        (rpc_code.UNKNOWN, "Table is full", Op.INSERT, False, FailureKind.FULL),
        (rpc_code.INVALID_ARGUMENT, "bad", Op.INSERT, True, FailureKind.REFUSED),
        (12345, "", Op.INSERT, False, FailureKind.REFUSED),
    ],
)
def test_kinds(code: int, text: str, op: Op, at_capacity: bool, kind: FailureKind) -> None:
    error = p4r.Error(canonical_code=code, message=text)
    assert errors.failure_kind(error, op, at_capacity) is kind


def test_texts_are_one_safe_line() -> None:
    error = p4r.Error(canonical_code=rpc_code.UNKNOWN, message="a\nb\x1b[31m" + "x" * 1000)
    text = errors.failure_text(error)
    assert text.isprintable()
    assert len(text) < 250
    assert errors.failure_text(p4r.Error(canonical_code=999)) == "code 999"
    assert errors.failure_text(p4r.Error(canonical_code=5)) == "NOT_FOUND"


def test_a_refused_connection_is_told_without_the_wrapping() -> None:
    text = errors.describe(
        failed(
            code=grpc.StatusCode.UNAVAILABLE,
            details="failed to connect to all addresses; last error: UNKNOWN: "
            "ipv4:127.0.0.1:9: connect: Connection refused (111)",
        )
    )
    assert text == "connection refused: is the switch running there?"
    assert errors.describe(failed(code=grpc.StatusCode.DEADLINE_EXCEEDED, details="Deadline")) == (
        "no answer in time"
    )
