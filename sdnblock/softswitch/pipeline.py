"""The forwarding pipeline config of a device (P4Runtime specification 14 and 15).

A config that is saved and not yet committed gets tables in memory: reads and
writes refer to it, and COMMIT replays them into the data plane (14, "COMMIT").
RECONCILE_AND_COMMIT keeps all entries, and is possible while the device config
stays the same.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from finsy.proto import p4i, p4r
from google.protobuf import text_format

from sdnblock.artifacts import P4INFO, artifact
from sdnblock.softswitch.dataplane import POLICIES, Dataplane, DeviceConfigError
from sdnblock.softswitch.fit import check_fit
from sdnblock.softswitch.memory import MemoryDataplane
from sdnblock.softswitch.refusal import Refusal, invalid, missing, unimplemented
from sdnblock.softswitch.schema import Schema, read_schema
from sdnblock.softswitch.state import Pause, Pipeline, State
from sdnblock.softswitch.store import ConfigStore

Action = p4r.SetForwardingPipelineConfigRequest

_log = logging.getLogger(__name__)


def compiled_schema() -> Schema:
    """The objects of the program that this version of sdnblock runs. Raises SdnblockError."""
    return read_schema(text_format.Parse(artifact(P4INFO).read_text(), p4i.P4Info()))


class Pipelines:
    """What is committed, and what is saved."""

    def __init__(
        self, dataplane: Dataplane, schema: Schema, store: ConfigStore | None = None
    ) -> None:
        """``schema``: what the data plane can run. Takes over what runs already."""
        self._dataplane = dataplane
        self._schema = schema
        self._store = store
        self._saved: State | None = None
        self.committed: State | None = None
        if dataplane.loaded and store is not None:
            self._take_over(store)

    @property
    def current(self) -> State | None:
        """What reads and writes refer to: the saved config if there is one."""
        return self._saved or self.committed

    async def set(
        self, action: int, config: p4r.ForwardingPipelineConfig | None, pause: Pause
    ) -> None:
        """Carry out SetForwardingPipelineConfig. Raises Refusal; then nothing has changed."""
        if action == Action.COMMIT:
            if config is not None:
                raise invalid("COMMIT takes no config: it commits the one saved before")
            await self._commit_saved(pause)
            return
        if action not in Action.Action.values() or action == Action.UNSPECIFIED:
            raise invalid("the action is not one of SetForwardingPipelineConfig")
        if config is None:
            raise invalid("a config is needed")
        pipeline = Pipeline.of(config)
        check_fit(pipeline.schema, self._schema)
        if action in (Action.VERIFY, Action.VERIFY_AND_SAVE):  # others see when they load it
            self._verify(config.p4_device_config)
        if action == Action.VERIFY_AND_SAVE:
            shadow = MemoryDataplane(
                self._dataplane.ports,
                {table.name: table.size for table in pipeline.schema.tables.values()},
            )
            self._saved = State(pipeline, shadow)
        elif action == Action.VERIFY_AND_COMMIT:
            self._load(pipeline)
        elif action == Action.RECONCILE_AND_COMMIT:
            self._reconcile(pipeline)

    def _verify(self, device_config: bytes) -> None:
        try:
            self._dataplane.verify(device_config)
        except DeviceConfigError as error:
            raise invalid(f"the device config cannot be loaded: {error}") from None

    def _load(self, pipeline: Pipeline) -> State:
        try:
            self._dataplane.load(pipeline.config.p4_device_config)
        except DeviceConfigError as error:
            raise invalid(f"the device config cannot be loaded: {error}") from None
        return self._commit(State(pipeline, self._dataplane))

    def _commit(self, state: State) -> State:
        self.committed, self._saved = state, None
        if self._store is not None:
            self._store.save(self._dataplane.identity, state.pipeline.config)
        return state

    def _reconcile(self, pipeline: Pipeline) -> None:
        old = self.committed
        if old is None and not self._dataplane.loaded:
            self._load(pipeline)
            return
        if old is None or old.pipeline.config.p4_device_config != pipeline.config.p4_device_config:
            raise unimplemented(
                "entries cannot be carried over to another device config: VERIFY_AND_COMMIT"
                " replaces it and clears them"
            )
        self._commit(replace(old, pipeline=pipeline))

    async def _commit_saved(self, pause: Pause) -> None:
        saved = self._saved
        if saved is None:
            raise missing("no config has been saved that is not committed yet")
        state = self._load(saved.pipeline)
        await _replay(saved, state, pause)

    def _take_over(self, store: ConfigStore) -> None:
        config = store.load(self._dataplane.identity)
        if config is None:
            _log.warning(
                "a program is in force whose pipeline config is not known here: it stays so"
                " until a client sets one"
            )
            return
        try:
            pipeline = Pipeline.of(config)
            check_fit(pipeline.schema, self._schema)
        except Refusal as refusal:
            _log.warning("the pipeline config that was kept is of no use: %s", refusal)
            return
        self.committed = State(pipeline, self._dataplane)


async def _replay(saved: State, state: State, pause: Pause) -> None:
    """Bring what was written since VERIFY_AND_SAVE into the data plane."""
    source, target = saved.dataplane, state.dataplane
    schema = saved.pipeline.schema
    for packer in saved.pipeline.packers.values():
        if not packer.plain:
            continue
        name = packer.table.name
        for chunk in source.scan(name):
            target.insert(name, [key for key, _ in chunk], [entry.value for _, entry in chunk])
            for key, entry in chunk:
                if entry.packets or entry.bytes:
                    target.set_direct_counter(name, key, entry.packets, entry.bytes)
            await pause()
    for counter in schema.counters.values():
        for index, (packets, bytes_) in enumerate(source.read_counter(counter.name)):
            if packets or bytes_:
                target.set_counter(counter.name, index, packets, bytes_)
    for meter in schema.meters.values():
        for index in range(source.meter_size(meter.name)):
            rates = source.get_meter(meter.name, index)
            if rates is not None:
                target.set_meter(meter.name, index, rates)
        await pause()
    for table in POLICIES:
        target.set_policy(table, source.policy(table))
    for session, truncate in source.clone_sessions().items():
        target.set_clone_session(session, truncate)
    state.notes, state.digests, state.sessions = saved.notes, saved.digests, saved.sessions
    state.list_ids = saved.list_ids
