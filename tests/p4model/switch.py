"""What both architectures share: state that a scenario sets, and counts to read back."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from sdnblock.softswitch.dataplane import MeterRates
from tests.dataplane.names import Names
from tests.dataplane.packets import Packet
from tests.dataplane.scenario import DIRECT, INDIRECT, Answer, Scenario, key_text
from tests.p4model import nodes as n
from tests.p4model.grammar import parse
from tests.p4model.interpreter import Interpreter, Running
from tests.p4model.lexer import preprocess, tokens
from tests.p4model.tables import Entry, TableState
from tests.p4model.values import Bits, Scope, pack

P4: Final = Path(__file__).parents[2] / "p4"
ARCHITECTURES: Final = Path(__file__).parent / "architectures"


def load(source: Path, *defines: str) -> list[n.Declaration | n.Variable]:
    """A program as a syntax tree."""
    return parse(tokens(preprocess(source, ARCHITECTURES, *defines)))


@cache
def _names() -> Names:
    return Names()


@dataclass(eq=False)
class Clock:
    """Seconds since the switch started, moved by the scenario."""

    now: float = 1000.0


@dataclass(eq=False)
class CounterCells:
    """An indirect counter."""

    cells: dict[int, list[int]] = field(default_factory=dict)


@dataclass(eq=False)
class Bucket:
    """A meter cell (RFC 2698, colour-blind); it begins full."""

    rates: MeterRates
    committed: float
    peak: float
    at: float

    def colour(self, now: float) -> int:
        """0 green, 1 yellow, 2 red."""
        rates, passed = self.rates, now - self.at
        self.at = now
        self.committed = min(rates.cburst, self.committed + passed * rates.cir)
        self.peak = min(rates.pburst, self.peak + passed * rates.pir)
        if self.peak < 1:
            return 2
        self.peak -= 1
        if self.committed < 1:
            return 1
        self.committed -= 1
        return 0


class Switch:
    """A program under test; subclasses know the architecture."""

    top_level: tuple[str, ...] = ()
    """The controls of the package."""

    def __init__(self, program: list[n.Declaration | n.Variable]) -> None:
        self.names = _names()
        self.clock = Clock()
        self.answer = Answer()
        self.frame_length = 0
        self.counted: list[tuple[str, int]] = []
        """What the last packet counted at, and its bytes there."""
        self.has_session = False
        self.meters: dict[tuple[str, int], Bucket] = {}
        self.interpreter = Interpreter(program, self)
        self.controls: dict[str, Running] = {}

    # What the interpreter asks for

    def extern(self, node: n.Instance, scope: Scope, interpreter: Interpreter) -> Any:
        """The object of an instance."""
        raise NotImplementedError

    def function(self, name: str, call: n.Call, scope: Scope) -> Any:
        """A function of the architecture."""
        raise NotImplementedError

    def applied(self, table: TableState) -> None:
        """A table is about to be looked into."""

    def hit(self, table: TableState, entry: Entry) -> None:
        """An entry was hit."""
        raise NotImplementedError

    # What the scenario says

    def set_up(self, scenario: Scenario) -> None:
        """Tables, policies and meters."""
        for name in self.top_level:
            self.controls[name] = Running(self.interpreter, self.interpreter.globals.find(name))
        self.has_session = scenario.sample
        for each in scenario.entries:
            table = self.interpreter.tables[each.table]
            arguments = tuple(
                Bits(value, param.bitwidth)
                for value, param in zip(
                    each.params, self.names.actions[each.action].params, strict=True
                )
            )
            label = f"{each.table} {key_text(each.key)}"
            entry = Entry(self.action_of(table, each.action), arguments, label)
            table.insert(each.key, self.names.widths(each.table), entry)
        for name, values in scenario.policies.items():
            params = self.names.actions[self.names.policies[name]].params
            self.interpreter.tables[name].default = tuple(
                Bits(value, param.bitwidth) for value, param in zip(values, params, strict=True)
            )
        for cell, rates in scenario.meters.items():
            self.meters[cell] = Bucket(rates, rates.cburst, rates.pburst, self.clock.now)

    @staticmethod
    def action_of(table: TableState, control_name: str) -> str:
        """The name in the program of what P4Runtime calls an action."""
        for name in table.node.actions:
            action = table.owner.find(name)
            if action.control_name == control_name:
                return name
        raise NameError(control_name)

    def run(self, scenario: Scenario) -> Answer:
        """The program's answer to a scenario."""
        self.set_up(scenario)
        for packet in scenario.packets:
            self.send(packet)
        self.count(scenario)
        return self.answer

    def send(self, packet: Packet) -> None:
        """One packet of a scenario."""
        self.clock.now += packet.pause + 0.0001
        self.frame_length = len(packet.frame)
        self.counted.clear()
        self.answer.verdicts.append(self.packet(packet.port, packet.frame))

    def count(self, scenario: Scenario) -> None:
        """What the counters of a scenario's entries, and all others, say now."""
        self.answer.direct, self.answer.indirect = {}, {}
        for each in scenario.entries:
            found = self.entry(self.interpreter.tables[each.table], each.key)
            if each.table in DIRECT and found.packets:
                counts = self.answer.direct.setdefault(each.table, {})
                counts[key_text(each.key)] = [found.packets, found.bytes]
        for name in INDIRECT:
            counter: Any = self.interpreter.externs[name]
            cells = {str(at): [*cell] for at, cell in sorted(counter.cells.cells.items())}
            if cells:
                self.answer.indirect[name] = cells

    def entry(self, table: TableState, key: tuple[int | tuple[int, int], ...]) -> Entry:
        """The entry of a key, as it was written."""
        if table.exact:
            return table.exact[tuple(each for each in key if isinstance(each, int))]
        bits = self.names.widths(table.node.control_name)
        (value, length), width = key[0], bits[0]  # type: ignore[misc]
        mask = ((1 << length) - 1) << (width - length)
        return next(entry for fields, entry in table.masked if fields == ((value, mask),))

    def count_entry(self, entry: Entry, length: int) -> None:
        """A direct counter."""
        entry.packets += 1
        entry.bytes += length
        self.counted.append((entry.label, length))

    def count_cell(self, name: str, counter: CounterCells, index: int, length: int) -> None:
        """An indirect one."""
        cell = counter.cells.setdefault(index, [0, 0])
        cell[0] += 1
        cell[1] += length
        self.counted.append((f"{name} {index}", length))

    def packet(self, port: int, frame: bytes) -> str:
        """A packet comes in; what becomes of it."""
        raise NotImplementedError

    def control(self, name: str, *bound: Any) -> None:
        """Run a control of the top level."""
        self.controls[name].start(bound)

    def colour(self, meter: str, index: int) -> int:
        """What a meter says; one that is not set says green."""
        bucket = self.meters.get((meter, index))
        return 0 if bucket is None else bucket.colour(self.clock.now)


def crc32(value: Any) -> int:
    """CRC-32 (IEEE 802.3) of the bits of a value, which are whole bytes."""
    bits, width = pack(value)
    return zlib.crc32(bits.to_bytes(width // 8, "big"))
