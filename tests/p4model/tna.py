"""Tofino's native architecture, and a scenario on the program for it.

What the real one is held to besides the language: of a register, a meter or a counter, one cell
is asked once by a packet in a pass; a table is applied once; a packet goes through ingress
twice at most. A program that does otherwise is refused here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from tests.dataplane.scenario import PORTS
from tests.p4model import nodes as n
from tests.p4model.interpreter import Interpreter
from tests.p4model.parsing import PacketIn, PacketOut, run_parser
from tests.p4model.switch import P4, CounterCells, Switch, crc32, load
from tests.p4model.tables import Entry, TableState
from tests.p4model.values import (
    Bits,
    BitType,
    Cell,
    Record,
    Scope,
    Type,
    convert,
    pack,
    zero,
)

_PARTIAL_HEADER: Final = 2
_FCS: Final = 4
"""Bytes of a frame that only the hardware sees."""
_RED: Final = 3


class NotOnTofino(Exception):
    """The program asks for what a Tofino cannot do."""


@cache
def _program() -> list[n.Declaration | n.Variable]:
    return load(P4 / "tofino" / "sdnblock_tofino.p4")


def switch() -> Tofino:
    """A new switch with the Tofino program."""
    return Tofino(_program())


@dataclass(eq=False)
class Register:
    """An array of cells, and the actions on it."""

    switch: Tofino
    type: Type
    cells: dict[int, Any] = field(default_factory=dict)


@dataclass(eq=False)
class _RegisterAction:
    switch: Tofino
    interpreter: Interpreter
    register: Register
    method: n.Action
    scope: Scope

    def call(self, method: str, node: n.Call, scope: Scope) -> Any:
        """execute: read, decide, write, at once."""
        assert method == "execute"
        index = self.interpreter.value(node.arguments[0], scope).value
        self.switch.once(self.register)
        return self.execute(index)

    def execute(self, index: int) -> Any:
        """On one cell."""
        of = self.register.type
        value = convert(self.register.cells.get(index, zero(of)), of)
        inner = Scope({}, self.scope)
        names = [each.name for each in self.method.parameters]
        inner.names[names[0]] = value if isinstance(value, Record) else Cell(of, value)
        result = None
        if len(names) > 1:
            result_type = self.interpreter.type(self.method.parameters[1].type, scope=inner)
            result = inner.names[names[1]] = Cell(result_type, zero(result_type))
        self.interpreter.run(self.method.body, inner)
        self.register.cells[index] = inner.names[names[0]]
        if isinstance(self.register.cells[index], Cell):
            self.register.cells[index] = self.register.cells[index].value
        return None if result is None else result.value


@dataclass(eq=False)
class _Object:
    """An extern with one method, which is called once in a pass."""

    switch: Tofino
    interpreter: Interpreter
    do: Callable[..., Any]
    cells: CounterCells = field(default_factory=CounterCells)

    def call(self, method: str, node: n.Call, scope: Scope) -> Any:
        """Its only method."""
        self.switch.once(self)
        return self.do(*(self.interpreter.value(each, scope) for each in node.arguments))


class Tofino(Switch):
    """One pipe."""

    top_level = (
        "SdnblockIngress",
        "SdnblockIngressDeparser",
        "SdnblockEgress",
        "SdnblockEgressDeparser",
    )

    def __init__(self, program: list[n.Declaration | n.Variable]) -> None:
        self.used: set[int] = set()
        self.hit_entry: tuple[str | None, Entry] | None = None
        self.mirrored: bytes | None = None
        self.again: bytes | None = None
        self.passes = 0
        super().__init__(program)

    def once(self, what: Any) -> None:
        """Note that something is used in this pass."""
        if id(what) in self.used:
            raise NotOnTofino(f"{what} is used twice by one packet in one pass")
        self.used.add(id(what))

    def extern(self, node: n.Instance, scope: Scope, interpreter: Interpreter) -> Any:
        """Registers and their actions, counters, meters, and what leaves ingress."""

        def made(do: Callable[..., Any]) -> _Object:
            return _Object(self, interpreter, do)

        def width(at: int = 0) -> int:
            argument = node.type.arguments[at]
            assert isinstance(argument, n.TypeRef)
            of = interpreter.type(argument, scope)
            assert isinstance(of, BitType)
            return of.width

        match node.type.name:
            case "Register":
                argument = node.type.arguments[0]
                assert isinstance(argument, n.TypeRef)
                return Register(self, interpreter.type(argument, scope))
            case "RegisterAction":
                register = interpreter.value(node.arguments[0], scope)
                return _RegisterAction(self, interpreter, register, node.methods["apply"], scope)
            case "Hash":
                return made(lambda data: Bits(crc32(data), width()))
            case "DirectCounter":
                return made(self.direct_counter(node))
            case "Counter":
                return self.counter(node.control_name, interpreter)
            case "Meter":
                return made(lambda at: self.meter(node.control_name, at))
            case "Mirror":
                return made(self.mirror)
            case "Resubmit":
                return made(lambda data: setattr(self, "again", self.header("again_t", data)))
            case "Digest":
                return made(lambda data: self.digest(node.control_name, data))
        return None

    def function(self, name: str, call: n.Call, scope: Scope) -> Any:
        """There is none that the program uses."""
        raise NameError(name)

    def applied(self, table: TableState) -> None:
        """A table is in one place of the pipeline."""
        self.once(table)

    def hit(self, table: TableState, entry: Entry) -> None:
        """The action may count now."""
        self.hit_entry = (table.node.counters, entry)

    def counter(self, name: str, interpreter: Interpreter) -> _Object:
        """An indirect counter."""
        made = _Object(
            self,
            interpreter,
            lambda at, less: self.count_cell(name, made.cells, at.value, self.length(less)),
        )
        return made

    def length(self, less: Bits) -> int:
        """Bytes of the frame, as a counter counts them."""
        return self.frame_length + _FCS - less.value

    def direct_counter(self, node: n.Instance) -> Callable[..., None]:
        """What counts at an entry: packets and bytes, or packets, which takes no argument."""
        (unit,) = node.arguments
        assert isinstance(unit, n.Member)
        if unit.name == "PACKETS":
            return lambda: self.count_hit(node.name, 0)
        return lambda less: self.count_hit(node.name, self.length(less))

    def count_hit(self, counter: str, length: int) -> None:
        """A direct counter: of the entry whose action this is."""
        assert self.hit_entry is not None
        of, entry = self.hit_entry
        if of != counter:
            raise NotOnTofino(f"{counter} counted for an entry of another table")
        self.count_entry(entry, length)

    def meter(self, name: str, index: Bits) -> Bits:
        """The colour, as Tofino numbers it."""
        return Bits((0, 1, _RED)[self.colour(name, index.value)], 8)

    def header(self, name: str, values: tuple[Any, ...]) -> bytes:
        """A header of given values, on the wire."""
        bits, width = pack(convert(values, self.interpreter.globals.find(name)))
        return bits.to_bytes(width // 8, "big")

    def mirror(self, session: Bits, data: tuple[Any, ...]) -> None:
        """A copy of the packet as it came in, with a header before it."""
        assert session.value == 250
        self.mirrored = self.header("copy_t", data)

    def digest(self, name: str, data: tuple[Bits, ...]) -> None:
        """To the controller."""
        remote, count, port = data
        self.answer.digests.append([name, f"{remote.value:032x}", count.value, port.value])

    def packet(self, port: int, frame: bytes) -> str:
        """Ingress, once or twice, then egress for each copy."""
        self.passes = 1
        verdict = self.ingress(port, frame, None)
        if self.again is not None:
            self.passes = 2
            verdict = self.ingress(port, frame, self.again)
        return verdict

    def ingress(self, port: int, frame: bytes, again: bytes | None) -> str:
        """A pass; what becomes of the packet unless it goes through another."""
        find = self.interpreter.globals.find
        self.used.clear()
        self.again = None
        hdr, meta = zero(find("headers_t")), zero(find("ingress_metadata_t"))
        intrinsic, parsed, deparse, tm = (
            zero(find(f"ingress_intrinsic_metadata_{name}"))
            for name in ("t", "from_parser_t", "for_deparser_t", "for_tm_t")
        )
        before = port | (int(again is not None) << 15)
        head = before.to_bytes(2, "big") + bytes(6) + (again or bytes(8))
        packet = PacketIn(self.interpreter, head + frame)
        parsed.fields["global_tstamp"] = Bits(int(self.clock.now * 1e9), 48)
        if not run_parser(
            self.interpreter, "SdnblockIngressParser", (packet, hdr, meta, intrinsic)
        ):
            parsed.fields["parser_err"] = Bits(_PARTIAL_HEADER, 16)
        self.control("SdnblockIngress", hdr, meta, intrinsic, parsed, deparse, tm)
        self.used.clear()
        out = PacketOut(self.interpreter)
        self.control("SdnblockIngressDeparser", out, hdr, meta, deparse)
        out.append(*packet.rest())
        if self.again is not None:
            if again is not None or deparse.fields["drop_ctl"].value:
                raise NotOnTofino("a packet that is dropped or resubmitted cannot come again")
            return "again"
        if deparse.fields["drop_ctl"].value & 1:
            return "drop"
        return self.forward(port, frame, out.frame(), tm)

    def forward(self, port: int, frame: bytes, inside: bytes, tm: Record) -> str:
        """Egress for each copy; every frame that leaves is the one that came in."""
        if tm.fields["mcast_grp_a"].value:
            for each in range(1, PORTS + 1):
                assert self.egress(inside, each) == (None if each == port else frame)
            return "flood"
        out: int = tm.fields["ucast_egress_port"].value
        assert self.egress(inside, out) == frame
        return str(out)

    def egress(self, inside: bytes, port: int) -> bytes | None:
        """The frame that leaves at a port, None if it is dropped; and its copy, if it has one."""
        find = self.interpreter.globals.find
        self.used.clear()
        hdr, meta = zero(find("egress_headers_t")), zero(find("egress_metadata_t"))
        intrinsic, parsed, deparse, oport = (
            zero(find(f"egress_intrinsic_metadata_{name}"))
            for name in ("t", "from_parser_t", "for_deparser_t", "for_output_port_t")
        )
        packet = PacketIn(self.interpreter, port.to_bytes(2, "big") + inside)
        run_parser(self.interpreter, "SdnblockEgressParser", (packet, hdr, meta, intrinsic))
        self.control("SdnblockEgress", hdr, meta, intrinsic, parsed, deparse, oport)
        self.mirrored = None
        out = PacketOut(self.interpreter)
        self.control("SdnblockEgressDeparser", out, hdr, meta, deparse)
        out.append(*packet.rest())
        if self.mirrored is not None:
            self.copy(self.mirrored + out.frame())
        return None if deparse.fields["drop_ctl"].value & 1 else out.frame()

    def copy(self, inside: bytes) -> None:
        """A mirrored packet goes through egress too, at the controller's port."""
        if not self.has_session:
            return
        before = len(self.answer.samples)
        copy = self.egress(inside, 255)
        assert copy is not None
        assert len(self.answer.samples) == before, "a copy of a copy"
        self.answer.samples.append([int.from_bytes(copy[:2], "big"), copy[2], copy[3:].hex()])
