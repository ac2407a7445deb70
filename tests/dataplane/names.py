"""The pipeline's objects by name, from the committed P4Info."""

from __future__ import annotations

from finsy.proto import p4i
from google.protobuf import text_format

from sdnblock.artifacts import P4INFO, artifact
from tests.dataplane.scenario import TableEntry


class Names:
    """Tables, actions, counters, meters and digests by name."""

    def __init__(self) -> None:
        self.p4info = p4i.P4Info()
        text_format.Parse(artifact(P4INFO).read_text(), self.p4info)
        self.tables = {each.preamble.name: each for each in self.p4info.tables}
        self.actions = {each.preamble.name: each for each in self.p4info.actions}
        self.counters = {each.preamble.name: each.preamble.id for each in self.p4info.counters}
        self.meters = {each.preamble.name: each.preamble.id for each in self.p4info.meters}
        self.digests = {each.preamble.name: each.preamble.id for each in self.p4info.digests}
        names = {each.preamble.id: each.preamble.name for each in self.p4info.actions}
        self.policies = {
            each.preamble.name: names[each.action_refs[0].id]
            for each in self.p4info.tables
            if not each.match_fields
        }
        """Tables without a key, and their only action."""

    def widths(self, table: str) -> list[int]:
        """Bits of a table's fields, in order."""
        return [field.bitwidth for field in self.tables[table].match_fields]

    def pack(self, entry: TableEntry) -> bytes:
        """An entry's key as data planes take it (``softswitch/dataplane.py``)."""
        packed = b""
        for value, bits in zip(entry.key, self.widths(entry.table), strict=True):
            size = (bits + 7) // 8
            if isinstance(value, tuple):
                return value[1].to_bytes(4, "little") + value[0].to_bytes(size, "big")
            packed += value.to_bytes(size, "big")
        return packed + bytes(-len(packed) % 4)
