"""Scenarios on the XDP program, run packet by packet in the kernel by BPF_PROG_TEST_RUN."""

from __future__ import annotations

import time

from sdnblock.artifacts import XDP_OBJECT, artifact
from sdnblock.softswitch.dataplane import POLICIES, RemoteDigest, SampledPacket, Value
from sdnblock.softswitch.xdp import CLONE_SESSION, Verdict, XdpDataplane
from tests.dataplane.names import Names
from tests.dataplane.scenario import DIRECT, INDIRECT, Answer, Scenario, key_text

_LOW_24 = 0xFFFFFF


class XdpTarget:
    """Runs scenarios, each on empty tables."""

    def __init__(self) -> None:
        self._names = Names()
        self._object = artifact(XDP_OBJECT).read_bytes()
        self._dataplane = XdpDataplane.detached()

    def close(self) -> None:
        """Free the program."""
        self._dataplane.close(keep=False)

    def run(self, scenario: Scenario) -> Answer:
        """The program's answer to a scenario."""
        dataplane, answer = self._dataplane, Answer()
        dataplane.load(self._object)
        forward: dict[bytes, int] = {}
        for entry in scenario.entries:
            action = self._names.actions[entry.action].preamble.id & _LOW_24
            value = Value(action, entry.params[0] if entry.params else 0)
            dataplane.insert(entry.table, [self._names.pack(entry)], [value])
            if entry.table == "l2_forward":
                assert isinstance(entry.key[0], int)
                forward[entry.key[0].to_bytes(6, "big")] = entry.params[0]
        if scenario.meters:
            while time.monotonic_ns() % 1_000_000_000 > 500_000_000:
                time.sleep(0.05)  # no token comes back in the middle of a scenario
        for (meter, index), rates in scenario.meters.items():
            dataplane.set_meter(meter, index, rates)
        for table, count in POLICIES.items():
            dataplane.set_policy(table, scenario.policies.get(table, (0,) * count))
        dataplane.set_clone_session(CLONE_SESSION, 0 if scenario.sample else None)
        for packet in scenario.packets:
            time.sleep(packet.pause)
            verdict, frame = dataplane.test_run(packet.port, packet.frame)
            assert frame == packet.frame, "the program changed a frame"
            match verdict:
                case Verdict.DROP:
                    answer.verdicts.append("drop")
                case Verdict.PASS:
                    answer.verdicts.append("flood")
                case Verdict.REDIRECT:
                    answer.verdicts.append(str(forward[packet.frame[:6]]))
            self._events(answer)
        self._counters(scenario, answer)
        return answer

    def _events(self, answer: Answer) -> None:
        for event in self._dataplane.events():
            match event:
                case RemoteDigest(name, remote, value, port):
                    answer.digests.append([name, remote.hex(), value, port])
                case SampledPacket(port, reason, frame):
                    answer.samples.append([port, reason, frame.hex()])

    def _counters(self, scenario: Scenario, answer: Answer) -> None:
        for entry in scenario.entries:
            if entry.table not in DIRECT:
                continue
            found = self._dataplane.get(entry.table, self._names.pack(entry))
            assert found is not None
            if found.packets:
                counts = answer.direct.setdefault(entry.table, {})
                counts[key_text(entry.key)] = [found.packets, found.bytes]
        for counter in INDIRECT:
            for index, (packets, bytes_) in enumerate(self._dataplane.read_counter(counter)):
                if packets:
                    cells = answer.indirect.setdefault(counter, {})
                    cells[str(index)] = [packets, bytes_]
