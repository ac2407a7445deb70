"""Reading a switch without a say in it: no arbitration, no stream, no write.

P4Runtime lets any client read (specification 5 is about writes only), so the command
line can look into a switch while the controller is its primary. What the entries mean
comes from the P4Info that the switch itself runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
from finsy.proto import p4r

from sdnblock.artifacts import BMV2_JSON, TOFINO_P4INFO, XDP_OBJECT
from sdnblock.block import Action, Target
from sdnblock.errors import SdnblockError, SwitchError
from sdnblock.switches.driver import (
    Capacity,
    Installed,
    Op,
    TableKey,
    TableKind,
    table_of,
)
from sdnblock.switches.p4runtime.channel import open_channel
from sdnblock.switches.p4runtime.codec import ALLOW_TABLES, BLOCK_TABLES, Codec, ForeignEntry
from sdnblock.switches.p4runtime.counters import read_packet_counters
from sdnblock.switches.p4runtime.errors import plain
from sdnblock.switches.p4runtime.pipeline import load_pipeline
from sdnblock.switches.p4runtime.schema import Schema, read_schema
from sdnblock.switches.p4runtime.session import Refused, Session
from sdnblock.switches.reader import Entry, gather_installed
from sdnblock.switches.settings import SwitchSettings

_READ_CONFIG: Final = p4r.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE
_ARTIFACTS: Final = {"xdp": XDP_OBJECT, "bmv2": BMV2_JSON, "tofino": TOFINO_P4INFO}
_NO_SUCH_ENTRY: Final = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN})


class P4RuntimeReader:
    """A look into one switch; implements :class:`sdnblock.switches.reader.Reader`."""

    def __init__(self, session: Session, label: str, schema: Schema, pipeline: str) -> None:
        """Use :func:`open_reader`."""
        self._session = session
        self._label = label
        self._schema = schema
        self._codec = Codec(schema)
        self.description: Final = pipeline
        """What runs there, for people."""
        self.foreign = 0
        """Entries met so far in our tables that sdnblock cannot have written."""
        self.limiters = 0
        """Entries met so far that limit: each takes one of ``capacity.limiters``."""

    @property
    def capacity(self) -> Capacity:
        """Entries that the switch surely holds: the sizes in its P4Info."""
        return self._codec.capacity

    async def entries(self, *, counters: bool = True) -> AsyncIterator[list[Entry]]:
        """Every allow and block entry, table by table, at most a thousand in a list."""
        for key in (*ALLOW_TABLES, *BLOCK_TABLES):
            table = self._codec.tables[key]
            query = p4r.Entity(table_entry=p4r.TableEntry(table_id=table.id))
            if counters:
                query.table_entry.counter_data.SetInParent()
            async for entities in self._session.read(query, table.size):
                found = [
                    self._decode(key, entity.table_entry)
                    for entity in entities
                    if entity.table_entry.table_id == table.id
                ]
                yield [entry for entry in found if entry is not None]

    async def installed(self) -> Installed:
        """Everything of ours that the switch holds."""
        return await gather_installed(self)

    async def entry(self, target: Target) -> Entry | None:
        """The block entry of one target, None if there is none."""
        batch = p4r.WriteRequest()
        self._codec.add_block(batch.updates, Op.DELETE, target, Action.DROP, None)
        query = batch.updates[0].entity
        query.table_entry.counter_data.SetInParent()
        key = table_of(target)
        try:
            async for entities in self._session.read(query, self._codec.tables[key].size):
                for entity in entities:
                    found = self._decode(key, entity.table_entry)
                    if found is not None and found.target == target:
                        return found
        except Refused as error:
            if error.code not in _NO_SUCH_ENTRY:
                raise
        return None

    async def packet_counters(self) -> dict[str, dict[str, int]]:
        """Pipeline-wide packet counters, as ``Driver.read_packet_counters`` says."""
        return await read_packet_counters(self._session, self._schema)

    def _decode(self, key: TableKey, entry: p4r.TableEntry) -> Entry | None:
        action: Action | None = None
        target: Target
        try:
            if key[0] is TableKind.ALLOW:
                target = self._codec.allow(key, entry)
            else:
                target, action, _ = self._codec.block(key, entry)
        except ForeignEntry:
            self.foreign += 1
            return None
        self.limiters += action is Action.LIMIT
        data, table = entry.counter_data, self._codec.tables[key]
        bytes_ = max(0, data.byte_count) if table.counts_bytes else None
        return Entry(table.name, target, action, max(0, data.packet_count), bytes_)


@asynccontextmanager
async def open_reader(settings: SwitchSettings) -> AsyncIterator[P4RuntimeReader]:
    """A reader of one switch, for the time of the context.

    Raises SwitchError: not reached, no pipeline, or one that is not sdnblock's.
    """
    label = f"switch {settings.name} ({settings.address})"
    try:
        channel = open_channel(settings)
    except SwitchError as error:
        raise SwitchError(f"{label}: {error}") from None
    session = Session(channel, settings.device_id, label, settings.rpc_timeout, lambda _: None)
    try:
        version = await _version(session)
        try:
            config = await session.get_config(_READ_CONFIG)
        except Refused as error:
            if error.code is grpc.StatusCode.FAILED_PRECONDITION:
                raise SwitchError(f"{label} runs no pipeline yet: start sdnblock run") from None
            raise
        if not config.HasField("p4info"):
            raise SwitchError(f"{label} runs no pipeline yet: start sdnblock run")
        try:
            schema = read_schema(config.p4info)
        except SwitchError as error:
            raise SwitchError(f"{label}: {error}") from None
        what = _recognise(settings, config.cookie.cookie)
        yield P4RuntimeReader(session, label, schema, f"P4Runtime{version}, {what}")
    finally:
        await session.close()


async def _version(session: Session) -> str:
    try:
        version = plain((await session.capabilities()).p4runtime_api_version)[:20]
    except Refused as error:
        if error.code is not grpc.StatusCode.UNIMPLEMENTED:  # P4Runtime before 1.1
            raise
        version = ""
    return f" {version}" if version else ""


def _recognise(settings: SwitchSettings, cookie: int) -> str:
    """Which pipeline has this cookie, in words."""
    for target, file in _ARTIFACTS.items():
        try:
            if load_pipeline(settings, target).cookie == cookie:
                return f"sdnblock's pipeline ({file})"
        except SdnblockError:
            continue  # that one is not installed here
    return "sdnblock's pipeline of another version"
