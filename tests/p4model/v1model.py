"""The architecture v1model as BMv2 has it, and a scenario on the program for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from tests.dataplane.scenario import PORTS
from tests.p4model import nodes as n
from tests.p4model.interpreter import Interpreter
from tests.p4model.parsing import PacketIn, PacketOut, run_parser
from tests.p4model.switch import P4, CounterCells, Switch, crc32, load
from tests.p4model.tables import Entry, TableState
from tests.p4model.values import Bits, Record, Scope, Type, convert, zero

_DROP_PORT: Final = 511
_CLONE: Final = 1
_REPLICA: Final = 5


@cache
def _program() -> list[n.Declaration | n.Variable]:
    return load(P4 / "sdnblock.p4")


def switch() -> V1Switch:
    """A new switch with the v1model program."""
    return V1Switch(_program())


@dataclass(eq=False)
class _Register:
    interpreter: Interpreter
    type: Type
    cells: dict[int, Any] = field(default_factory=dict)

    def call(self, method: str, node: n.Call, scope: Scope) -> None:
        interpreter = self.interpreter
        if method == "read":
            index = interpreter.value(node.arguments[1], scope).value
            value = self.cells.get(index, zero(self.type))
            interpreter.place(node.arguments[0], scope).set(value)
        else:
            index, value = (interpreter.value(each, scope) for each in node.arguments)
            self.cells[index.value] = convert(value, self.type)


@dataclass(eq=False)
class _Counter:
    switch: Switch
    name: str
    cells: CounterCells = field(default_factory=CounterCells)

    def call(self, method: str, node: n.Call, scope: Scope) -> None:
        index = self.switch.interpreter.value(node.arguments[0], scope).value
        self.switch.count_cell(self.name, self.cells, index, self.switch.frame_length)


@dataclass(eq=False)
class _Meter:
    switch: Switch
    name: str

    def call(self, method: str, node: n.Call, scope: Scope) -> None:
        interpreter = self.switch.interpreter
        index = interpreter.value(node.arguments[0], scope).value
        interpreter.place(node.arguments[1], scope).set(
            Bits(self.switch.colour(self.name, index), 2)
        )


class V1Switch(Switch):
    """BMv2's simple_switch, as far as the program needs it."""

    meta: Record
    clone: tuple[Bits, Bits] | None = None
    top_level = ("SdnblockIngress", "SdnblockEgress", "SdnblockDeparser")

    def extern(self, node: n.Instance, scope: Scope, interpreter: Interpreter) -> Any:
        """Registers, counters and meters."""
        match node.type.name:
            case "register":
                argument = node.type.arguments[0]
                assert isinstance(argument, n.TypeRef)
                return _Register(interpreter, interpreter.type(argument, scope))
            case "counter":
                return _Counter(self, node.control_name)
            case "meter":
                return _Meter(self, node.control_name)
            case "direct_counter":
                return node
        return None

    def hit(self, table: TableState, entry: Entry) -> None:
        """The table's counter counts."""
        if table.node.counters is not None:
            self.count_entry(entry, self.frame_length)

    def function(self, name: str, call: n.Call, scope: Scope) -> Any:
        """v1model's functions."""
        value = self.interpreter.value
        match name:
            case "hash":
                data, most = (value(call.arguments[at], scope) for at in (3, 4))
                place = self.interpreter.place(call.arguments[0], scope)
                place.set(Bits(crc32(data) % most.value, 32))
            case "digest":
                remote, count, port = value(call.arguments[1], scope)
                self.answer.digests.append(
                    [call.types[0].name, f"{remote.value:032x}", count.value, port.value]
                )
            case "mark_to_drop":
                metadata = value(call.arguments[0], scope)
                metadata.fields["egress_spec"] = Bits(_DROP_PORT, 9)
                metadata.fields["mcast_grp"] = Bits(0, 16)
            case "clone_preserving_field_list":
                meta = self.meta.fields
                self.clone = (meta["sample_port"], meta["sample_reason"])
            case _:
                raise NameError(name)
        return None

    def packet(self, port: int, frame: bytes) -> str:
        """Parser, ingress, and egress for each copy."""
        find = self.interpreter.globals.find
        hdr, self.meta = zero(find("headers_t")), zero(find("metadata_t"))
        standard: Record = zero(find("standard_metadata_t"))
        standard.fields["ingress_port"] = Bits(port, 9)
        standard.fields["ingress_global_timestamp"] = Bits(int(self.clock.now * 1e6), 48)
        packet = PacketIn(self.interpreter, frame)
        self.clone = None
        run_parser(self.interpreter, "SdnblockParser", (packet, hdr, self.meta, standard))
        self.control("SdnblockIngress", hdr, self.meta, standard)
        if self.clone is not None and self.has_session:
            copy = self.leave(hdr, packet, standard, self.clone, 255, _CLONE)
            assert copy is not None
            self.answer.samples.append([int.from_bytes(copy[:2], "big"), copy[2], copy[3:].hex()])
        if standard.fields["mcast_grp"].value:
            assert all(
                self.leave(hdr, packet, standard, None, out, _REPLICA)
                == (None if out == port else frame)
                for out in range(1, PORTS + 1)
            )
            return "flood"
        out = standard.fields["egress_spec"].value
        if out == _DROP_PORT:
            return "drop"
        assert self.leave(hdr, packet, standard, None, out, 0) == frame
        return str(out)

    def leave(
        self, hdr: Record, packet: PacketIn, standard: Record,
        clone: tuple[Bits, Bits] | None, port: int, instance: int,
    ) -> bytes | None:  # fmt: skip
        """Egress and deparser for one copy; the frame that leaves, None if it is dropped."""
        find = self.interpreter.globals.find
        hdr, meta, standard = hdr.copy(), zero(find("metadata_t")), standard.copy()
        if clone is not None:
            meta.fields["sample_port"], meta.fields["sample_reason"] = clone
            hdr = zero(find("headers_t"))  # parsed anew: nothing was changed
            packet = PacketIn(self.interpreter, _frame(packet))
            run_parser(self.interpreter, "SdnblockParser", (packet, hdr, meta, standard))
        standard.fields["egress_spec"] = Bits(port, 9)
        standard.fields["egress_port"] = Bits(port, 9)
        standard.fields["instance_type"] = Bits(instance, 32)
        self.control("SdnblockEgress", hdr, meta, standard)
        if standard.fields["egress_spec"].value == _DROP_PORT:
            return None
        out = PacketOut(self.interpreter)
        self.control("SdnblockDeparser", out, hdr)
        out.append(*packet.rest())
        return out.frame()


def _frame(packet: PacketIn) -> bytes:
    return packet.bits.to_bytes(packet.length // 8, "big")
