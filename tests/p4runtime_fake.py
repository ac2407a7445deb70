"""A P4Runtime server for what a real one cannot be made to do on demand.

It answers late, wrong, with garbage or not at all, demotes its client, drops
the stream, restarts empty, and imitates quirks of servers that are not ours.
It stores whatever it is given and checks next to nothing: what a real server
accepts is tested against real servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from finsy.proto import p4r, p4r_grpc, rpc_code, rpc_status

Hook = Callable[[Any, Any], Awaitable[bool]]
"""Called with (request, context) first; True if it dealt with the request itself."""


def error_details(errors: list[p4r.Error]) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata that carries one error per update."""
    status = rpc_status.Status(code=rpc_code.UNKNOWN, message="write failed")
    for error in errors:
        status.details.add().Pack(error)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def entity_key(entity: p4r.Entity) -> bytes:
    """What identifies an entity, for the store."""
    key = p4r.Entity()
    kind = entity.WhichOneof("entity")
    if kind == "table_entry":
        entry = entity.table_entry
        key.table_entry.table_id = entry.table_id
        key.table_entry.match.extend(entry.match)
        key.table_entry.is_default_action = entry.is_default_action
    elif kind == "meter_entry":
        key.meter_entry.meter_id = entity.meter_entry.meter_id
        key.meter_entry.index.CopyFrom(entity.meter_entry.index)
    elif kind == "digest_entry":
        key.digest_entry.digest_id = entity.digest_entry.digest_id
    elif kind == "packet_replication_engine_entry":
        pre = entity.packet_replication_engine_entry
        if pre.HasField("clone_session_entry"):
            key.packet_replication_engine_entry.clone_session_entry.session_id = (
                pre.clone_session_entry.session_id
            )
        else:
            key.packet_replication_engine_entry.multicast_group_entry.multicast_group_id = (
                pre.multicast_group_entry.multicast_group_id
            )
    return key.SerializeToString(deterministic=True)


class FakeSwitch(p4r_grpc.P4RuntimeServicer):
    """One device; see the module."""

    def __init__(self) -> None:
        """No pipeline, no entries, no faults."""
        self.store: dict[bytes, p4r.Entity] = {}
        self.config: p4r.ForwardingPipelineConfig | None = None
        self.capabilities = p4r.CapabilitiesResponse(p4runtime_api_version="1.3.0")
        self.streams: dict[int, asyncio.Queue[p4r.StreamMessageResponse | None]] = {}
        self.pushes: list[p4r.SetForwardingPipelineConfigRequest] = []
        self.writes: list[p4r.WriteRequest] = []
        self.acks: list[p4r.DigestListAck] = []
        self.highest = 0
        self.promotes = True
        """A leaving primary's place is given to the next backup with OK, as BMv2 does;
        otherwise the backups are told NOT_FOUND, as the specification has it."""
        self.refuses: tuple[grpc.StatusCode, str] | None = None
        """How every stream ends at its first arbitration."""
        self.hooks: dict[str, Hook] = {}
        """By RPC name."""
        self.address = ""
        """Where it is served, for tests that keep it here."""

    def primary(self) -> int | None:
        """The primary's election id."""
        best = max(self.streams, default=None)
        return best if best is not None and (self.promotes or best >= self.highest) else None

    def push(self, message: p4r.StreamMessageResponse) -> None:
        """Send a message to the primary."""
        primary = self.primary()
        assert primary is not None
        self.streams[primary].put_nowait(message)

    def drop_streams(self) -> None:
        """End every stream, as a crash would."""
        for queue in self.streams.values():
            queue.put_nowait(None)

    def restart_empty(self) -> None:
        """Lose everything."""
        self.store.clear()
        self.config = None
        self.drop_streams()

    def arbitrate(self, election_id: int, code: int) -> None:
        """Tell one client its standing."""
        update = p4r.MasterArbitrationUpdate(device_id=1)
        update.status.code = code
        highest = self.primary() or self.highest
        update.election_id.high, update.election_id.low = highest >> 64, highest & (1 << 64) - 1
        self.streams[election_id].put_nowait(p4r.StreamMessageResponse(arbitration=update))

    def arbitrate_all(self) -> None:
        """Tell every client its standing."""
        primary = self.primary()
        for election_id in self.streams:
            if election_id == primary:
                code = rpc_code.OK
            else:
                code = rpc_code.NOT_FOUND if primary is None else rpc_code.ALREADY_EXISTS
            self.arbitrate(election_id, code)

    async def StreamChannel(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[p4r.StreamMessageResponse]:
        """Arbitration, then whatever is pushed."""
        queue: asyncio.Queue[p4r.StreamMessageResponse | None] = asyncio.Queue()
        mine: list[int] = []

        async def listen() -> None:
            async for request in request_iterator:
                if request.HasField("digest_ack"):
                    self.acks.append(request.digest_ack)
                if not request.HasField("arbitration"):
                    continue
                hook = self.hooks.get("arbitration")
                if hook is not None and await hook(request, context):
                    continue
                if self.refuses is not None:
                    queue.put_nowait(None)
                    continue
                asked = request.arbitration.election_id
                election_id = asked.high << 64 | asked.low
                for old in mine:
                    self.streams.pop(old, None)
                mine[:] = [election_id]
                self.streams[election_id] = queue
                self.highest = max(self.highest, election_id)
                self.arbitrate_all()

        listener = asyncio.create_task(listen())
        try:
            while (message := await queue.get()) is not None:
                yield message
            if self.refuses is not None:
                await context.abort(*self.refuses)
        finally:
            listener.cancel()
            for old in mine:
                self.streams.pop(old, None)
            self.arbitrate_all()

    async def Capabilities(self, request: Any, context: Any) -> p4r.CapabilitiesResponse:
        """As set."""
        await self._hooked("Capabilities", request, context)
        return self.capabilities

    async def GetForwardingPipelineConfig(
        self, request: Any, context: Any
    ) -> p4r.GetForwardingPipelineConfigResponse:
        """The cookie, and the P4Info if it was asked for."""
        await self._hooked("GetForwardingPipelineConfig", request, context)
        if self.config is None:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no pipeline set")
            raise AssertionError
        answer = p4r.GetForwardingPipelineConfigResponse()
        answer.config.cookie.CopyFrom(self.config.cookie)
        if request.response_type == request.P4INFO_AND_COOKIE and self.config.HasField("p4info"):
            answer.config.p4info.CopyFrom(self.config.p4info)
        return answer

    async def SetForwardingPipelineConfig(
        self, request: Any, context: Any
    ) -> p4r.SetForwardingPipelineConfigResponse:
        """Take it and wipe everything."""
        self.pushes.append(request)
        if not await self._hooked("SetForwardingPipelineConfig", request, context):
            self.config = request.config
            self.store.clear()
        return p4r.SetForwardingPipelineConfigResponse()

    async def Write(self, request: Any, context: Any) -> p4r.WriteResponse:
        """Apply update by update."""
        self.writes.append(request)
        if await self._hooked("Write", request, context):
            return p4r.WriteResponse()
        asked = request.election_id
        if (asked.high << 64 | asked.low) != self.primary():
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not primary")
        errors = [self.apply(update) for update in request.updates]
        if any(error.canonical_code for error in errors):
            context.set_trailing_metadata(error_details(errors))
            await context.abort(grpc.StatusCode.UNKNOWN, "write failed")
        return p4r.WriteResponse()

    def apply(self, update: p4r.Update) -> p4r.Error:
        """One update."""
        key = entity_key(update.entity)
        there = key in self.store
        entry = update.entity.WhichOneof("entity") == "table_entry"
        keyed = entry and not update.entity.table_entry.is_default_action
        keyed = keyed or update.entity.WhichOneof("entity") in (
            "packet_replication_engine_entry",
            "digest_entry",
        )
        if update.type == p4r.Update.INSERT and there:
            return p4r.Error(canonical_code=rpc_code.ALREADY_EXISTS, message="exists")
        if update.type != p4r.Update.INSERT and keyed and not there:
            return p4r.Error(canonical_code=rpc_code.NOT_FOUND, message="no such entry")
        if update.type == p4r.Update.DELETE:
            del self.store[key]
        else:
            self.store[key] = update.entity
        return p4r.Error(canonical_code=rpc_code.OK)

    async def Read(self, request: Any, context: Any) -> AsyncIterator[p4r.ReadResponse]:
        """All entities of the kind and object asked for, in answers of at most a thousand."""
        if await self._hooked("Read", request, context):
            return
        for asked in request.entities:
            found = [entity for entity in self.store.values() if _matches(asked, entity)]
            for start in range(0, len(found), 1000):
                yield p4r.ReadResponse(entities=found[start : start + 1000])

    async def _hooked(self, name: str, request: Any, context: Any) -> bool:
        hook = self.hooks.get(name)
        return hook is not None and await hook(request, context)


def _matches(asked: p4r.Entity, entity: p4r.Entity) -> bool:
    kind = asked.WhichOneof("entity")
    if kind != entity.WhichOneof("entity"):
        return False
    if kind == "table_entry":
        one, other = asked.table_entry, entity.table_entry
        return one.table_id == other.table_id and one.is_default_action == other.is_default_action
    if kind == "meter_entry":
        meter = asked.meter_entry
        return meter.meter_id == entity.meter_entry.meter_id and (
            not meter.HasField("index") or meter.index == entity.meter_entry.index
        )
    return entity_key(asked) == entity_key(entity)


async def serve(switch: FakeSwitch, path: Path) -> tuple[grpc.aio.Server, str]:
    """Serve it on a Unix socket; returns the server and the address for clients."""
    server = grpc.aio.server()
    p4r_grpc.add_P4RuntimeServicer_to_server(switch, server)
    address = f"unix:{path}"
    server.add_insecure_port(address)
    await server.start()
    return server, address
