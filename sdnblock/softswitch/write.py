"""The Write RPC's batch: every update attempted, in order, in slices (specification 12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from finsy.proto import p4r, rpc_status
from google.protobuf.any_pb2 import Any

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.refusal import INTERNAL, UNKNOWN, Refusal
from sdnblock.softswitch.resources import write_resource
from sdnblock.softswitch.state import Pause, State
from sdnblock.softswitch.tablewrite import TableWriter

SLICE: Final = 500
"""Updates between two pauses: a few milliseconds."""


async def write_batch(
    state: State, updates: Sequence[p4r.Update], pause: Pause
) -> list[Refusal | None]:
    """Attempt all updates in order; a Refusal or None for each.

    The caller holds the lock that serialises writes; ``pause`` lets others run.
    """
    results: list[Refusal | None] = [None] * len(updates)
    tables = TableWriter(state, results)
    for at, update in enumerate(updates):
        if update.entity.HasField("table_entry"):
            tables.add(at, update)
        else:
            tables.flush()
            try:
                await write_resource(state, update, pause)
            except Refusal as refusal:
                results[at] = refusal
            except SdnblockError as error:
                results[at] = Refusal(INTERNAL, str(error))
        if at % SLICE == SLICE - 1:
            tables.flush()
            await pause()
    tables.flush()
    return results


def batch_status(results: Sequence[Refusal | None], message: str) -> rpc_status.Status | None:
    """The status of a batch: None if all went well, else one ``p4.Error`` for each (12.3)."""
    if not any(results):
        return None
    fine = Any()
    fine.Pack(p4r.Error())
    status = rpc_status.Status(code=UNKNOWN, message=message)
    packed: dict[tuple[int, str], Any] = {}  # thousands of updates fail for few reasons
    for result in results:
        if result is None:
            status.details.append(fine)
            continue
        reason = (result.code, result.message)
        if reason not in packed:
            packed[reason] = Any()
            packed[reason].Pack(result.to_error())
        status.details.append(packed[reason])
    return status
