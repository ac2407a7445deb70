"""What one pipeline holds beside its entries: packers, opaque metadata, digest queues."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from finsy.proto import p4r

from sdnblock.softswitch.dataplane import Dataplane, Entry
from sdnblock.softswitch.digests import DigestQueue
from sdnblock.softswitch.packing import Packer
from sdnblock.softswitch.schema import Schema, read_schema

Pause = Callable[[], Awaitable[None]]
"""Lets the event loop serve others."""

Note = tuple[int, bytes]
"""``controller_metadata`` and ``metadata`` of an entry: opaque to us, given back on reads."""

Changed = dict[bytes, tuple[Entry, Note] | None]
"""By key, an entry as it was before a write changed it; None: it was not there."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A ForwardingPipelineConfig that fits, and what was made of its P4Info."""

    config: p4r.ForwardingPipelineConfig
    schema: Schema
    packers: dict[int, Packer]

    @classmethod
    def of(cls, config: p4r.ForwardingPipelineConfig) -> Pipeline:
        """Read the P4Info of ``config``. Raises Refusal INVALID_ARGUMENT."""
        schema = read_schema(config.p4info)
        return cls(config, schema, {id_: Packer(table) for id_, table in schema.tables.items()})


@dataclass(slots=True)
class State:
    """A pipeline and the data plane that its reads and writes go to."""

    pipeline: Pipeline
    dataplane: Dataplane
    notes: dict[str, dict[bytes, Note]] = field(default_factory=dict)
    """By table name and key. The key of a default entry is :data:`DEFAULT_ENTRY`."""
    digests: dict[int, DigestQueue] = field(default_factory=dict)
    sessions: dict[int, p4r.CloneSessionEntry] = field(default_factory=dict)
    """Clone sessions as they were written."""
    watchers: dict[str, list[Changed]] = field(default_factory=dict)
    """By table, the reads under way that want to know what writes change (snapshot.py)."""
    list_ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def before_change(self, table: str, keys: Sequence[bytes]) -> None:
        """Before a write changes entries: let the reads under way keep what they were."""
        for changed in self.watchers.get(table, ()):
            for key in keys:
                if key not in changed:
                    entry = self.dataplane.get(table, key)
                    note = self.notes.get(table, {}).get(key, NO_NOTE)
                    changed[key] = None if entry is None else (entry, note)

    def note(self, table: str, key: bytes, note: Note) -> None:
        """Remember (or, if empty, forget) an entry's metadata."""
        if note != NO_NOTE:
            self.notes.setdefault(table, {})[key] = note
        elif table in self.notes:
            self.notes[table].pop(key, None)


NO_NOTE: Note = (0, b"")
DEFAULT_ENTRY = b"default"
MAX_METADATA = 256
"""Bytes of ``metadata`` kept for an entry."""
