"""Bring a switch's settings that are not blocks to what the configuration wants."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import grpc
from finsy.proto import p4r, rpc_code

from sdnblock.errors import SwitchError
from sdnblock.switches.p4runtime import configure
from sdnblock.switches.p4runtime.channel import MAX_UPDATES
from sdnblock.switches.p4runtime.errors import failure_text
from sdnblock.switches.p4runtime.pipeline import Pipeline
from sdnblock.switches.p4runtime.session import Refused, Session
from sdnblock.switches.settings import SwitchSettings

_log = logging.getLogger(__name__)


class Settler:
    """Reads, compares and writes one switch's settings."""

    def __init__(
        self, session: Session, pipeline: Pipeline, settings: SwitchSettings, label: str
    ) -> None:
        """``label`` begins every message for people."""
        self._session = session
        self._schema = pipeline.schema
        self._target = pipeline.target
        self._settings = settings
        self._label = label

    async def settle(self) -> None:
        """Reconcile everything. Raises SwitchError naming what the switch refuses."""
        schema, settings = self._schema, self._settings
        wanted = configure.wanted_entries(schema, settings)
        for table in configure.SETTING_TABLES:
            await self._table(table, wanted[table])
        for name, digest in schema.digests.items():
            await self._entity(configure.digest_entry(digest), f"the digest {name}")
        for policy in configure.policies(schema, settings):
            await self._policy(policy)
        for meter, rates in configure.budgets(schema, settings).items():
            await self._meter(meter, rates)
        await self._replication(
            configure.clone_session(settings, self._target),
            _sample_session(),
            "the clone session of samples",
        )
        await self._flood()

    async def _table(self, table: str, wanted: dict[configure.Key, configure.Data]) -> None:
        key = p4r.Entity(table_entry=p4r.TableEntry(table_id=self._schema.tables[table].id))
        held: dict[configure.Key, configure.Data] = {}
        async for entities in self._session.read(key, self._schema.tables[table].size):
            for entity in entities:
                entry_key, data = configure.held_entry(entity.table_entry)
                if len(entry_key) == len(self._schema.tables[table].fields):
                    held[entry_key] = data
        for updates in configure.table_updates(self._schema, table, wanted, held):
            await self._write(updates, f"an entry of {table}")

    async def _policy(self, wanted: p4r.TableEntry) -> None:
        key = p4r.TableEntry(table_id=wanted.table_id, is_default_action=True)
        held = await self._read_one(p4r.Entity(table_entry=key))
        if held is None or _policy(held.table_entry) != _policy(wanted):
            update = p4r.Update(type=p4r.Update.MODIFY, entity=p4r.Entity(table_entry=wanted))
            table = self._table_name(wanted.table_id)
            await self._write([update], f"the default entry of {table}")

    async def _meter(self, name: str, wanted: Sequence[tuple[int, int]]) -> None:
        meter = self._schema.meters[name]
        held: dict[int, p4r.MeterConfig] = {}
        key = p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=meter.id))
        async for entities in self._session.read(key, meter.size):
            for entity in entities:
                held[entity.meter_entry.index.index] = entity.meter_entry.config
        updates = []
        for index, (rate, burst) in enumerate(wanted):
            entity = configure.meter_entity(meter.id, index, rate, burst)
            config = held.get(index)
            if config is None or not configure.same_rates(config, entity.meter_entry.config):
                updates.append(p4r.Update(type=p4r.Update.MODIFY, entity=entity))
        await self._write(updates, f"a rate of {name}")

    def _table_name(self, table_id: int) -> str:
        return next(t.name for t in self._schema.tables.values() if t.id == table_id)

    async def _entity(self, wanted: p4r.Entity, what: str) -> None:
        """Insert an entity, or modify the one that is there, if it differs."""
        key = p4r.Entity()
        key.digest_entry.digest_id = wanted.digest_entry.digest_id
        held = await self._read_one(key)
        if held is None or held.digest_entry.config != wanted.digest_entry.config:
            await self._upsert(wanted, what)

    async def _replication(self, wanted: p4r.Entity | None, key: p4r.Entity, what: str) -> None:
        held = await self._read_one(key)
        if wanted is not None:
            if held is None or not configure.same_replication(wanted, held):
                await self._upsert(wanted, what)
        elif held is not None:
            await self._write([p4r.Update(type=p4r.Update.DELETE, entity=key)], what)

    async def _flood(self) -> None:
        wanted = configure.flood_group(self._settings)
        if self._target == "xdp":  # what XDP does not forward, the Linux stack does
            if wanted is not None:
                _log.warning(
                    "%s: flood_ports has no effect on XDP, which hands unknown destinations"
                    " to the Linux stack",
                    self._label,
                )
            return
        await self._replication(wanted, _flood_group(), "the multicast group of flood_ports")

    async def _read_one(self, key: p4r.Entity) -> p4r.Entity | None:
        """One entity; None if it is not there or the switch cannot read it."""
        try:
            async for entities in self._session.read(key, 1):
                for entity in entities:
                    if entity.WhichOneof("entity") == key.WhichOneof("entity"):
                        return entity
        except Refused as error:
            if error.code not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED):
                _log.info("%s", error)
        return None

    async def _upsert(self, entity: p4r.Entity, what: str) -> None:
        errors = await self._try([p4r.Update(type=p4r.Update.INSERT, entity=entity)])
        if errors and errors[0].canonical_code == rpc_code.ALREADY_EXISTS:
            await self._write([p4r.Update(type=p4r.Update.MODIFY, entity=entity)], what)
        else:
            self._check(errors, what)

    async def _write(self, updates: Sequence[p4r.Update], what: str) -> None:
        for start in range(0, len(updates), MAX_UPDATES):
            self._check(await self._try(updates[start : start + MAX_UPDATES]), what)

    async def _try(self, updates: Sequence[p4r.Update]) -> list[p4r.Error] | None:
        batch = self._session.batch()
        batch.updates.extend(updates)
        return await self._session.write(batch)

    def _check(self, errors: list[p4r.Error] | None, what: str) -> None:
        for error in errors or ():
            if error.canonical_code != rpc_code.OK:
                raise SwitchError(f"{self._label} refuses {what}: {failure_text(error)}")


def _policy(entry: p4r.TableEntry) -> configure.Data:
    return configure.held_entry(entry)[1]


def _sample_session() -> p4r.Entity:
    key = p4r.Entity()
    entry = key.packet_replication_engine_entry.clone_session_entry
    entry.session_id = configure.SAMPLE_SESSION
    return key


def _flood_group() -> p4r.Entity:
    key = p4r.Entity()
    entry = key.packet_replication_engine_entry.multicast_group_entry
    entry.multicast_group_id = configure.FLOOD_GROUP
    return key
