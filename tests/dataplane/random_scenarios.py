"""Random tables and random packets that have a good chance of meeting."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from tests.dataplane import packets as p
from tests.dataplane.corpus import BASE, LONG, REQUESTS
from tests.dataplane.packets import Packet
from tests.dataplane.scenario import PORTS, Scenario, TableEntry

PER_SCENARIO = 2000
_RUN = 40

_PORTS = (5060, 5061, 5090, 80, 40000)
_ACTIONS = ("drop", "limit", "watch")


def random_scenarios(seed: int, packets: int) -> Iterator[Scenario]:
    """Scenarios with ``packets`` packets together; the same for the same seed."""
    rng = random.Random(seed)
    for number in range(0, packets, PER_SCENARIO):
        count = min(PER_SCENARIO, packets - number)
        yield _Maker(rng).scenario(f"random {seed}/{number}", count)


class _Maker:
    """One scenario: few addresses, so that entries are hit."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._v4 = [rng.getrandbits(32) or 1 for _ in range(24)]
        self._v4 += [(each & 0xFFFFFF00) | rng.getrandbits(8) for each in self._v4[:12]]
        high = [rng.getrandbits(64) or 1 for _ in range(8)]
        self._v6 = [rng.choice(high) << 64 | rng.getrandbits(64) for _ in range(24)]

    def scenario(self, name: str, count: int) -> Scenario:
        rng = self._rng
        entries = {(each.table, each.key): each for each in BASE}
        for _ in range(60):
            entry = self._entry()
            entries[entry.table, entry.key] = entry
        for _ in range(12):
            action, weight = rng.choice(("fail", "fail", "succeed")), rng.randrange(12)
            key = (rng.randrange(16, 26), rng.randrange(2))
            entries["outcome", key] = TableEntry("outcome", key, action, (weight,))
        return Scenario(
            name,
            list(entries.values()),
            [Packet(number // _RUN % PORTS + 1, self._frame()) for number in range(count)],
            policies={
                "request_window": (rng.choice((0, 1, 2, 5, 20)), LONG),
                "outcome_policy": (
                    rng.choice((0, 1, 5, 20)),
                    LONG,
                    LONG,
                    rng.choice((0, 1, 2, 2, 3)),
                ),
                # One epoch: the clocks of two switches are not the same.
                "first_policy": (rng.choice((0, 1, 3, 1000)), 31),
            },
            sample=rng.random() < 0.5,
        )

    def _entry(self) -> TableEntry:
        rng = self._rng
        six = rng.random() < 0.4
        bits, pool, family = (128, self._v6, "v6") if six else (32, self._v4, "v4")
        address = rng.choice(pool)
        kind = rng.choice(("allow", "flow", "flow", "source", "source", "prefix", "prefix", "mac"))
        action = rng.choice(_ACTIONS)
        params = (rng.randrange(16384),) if action == "limit" else ()
        if kind == "mac":
            mac = int.from_bytes(rng.choice((p.STRANGER, p.SENDER)), "big")
            return TableEntry("l2_forward", (mac,), "forward", (rng.randint(1, PORTS),))
        if kind == "flow":
            key = (
                rng.choice((p.UDP, p.TCP)), address, rng.choice(_PORTS),
                rng.choice(pool), rng.choice(_PORTS),
            )  # fmt: skip
            return TableEntry(f"flow_{family}", key, action, params)
        if kind == "source":
            return TableEntry(f"source_{family}", (address,), action, params)
        length = rng.randint(1, bits)
        prefix = (address >> (bits - length) << (bits - length), length)
        if kind == "allow" and rng.random() < 0.5:
            prefix = (address, bits)
        if kind == "allow":
            return TableEntry(f"allow_{family}", (prefix,), "allow")
        return TableEntry(f"prefix_{family}", (prefix,), action, params)

    def _payload(self) -> bytes:
        rng = self._rng
        choice = rng.random()
        if choice < 0.5:
            return f"{rng.choice(REQUESTS)} sip:x@example.net SIP/2.0\r\n".encode()
        if choice < 0.7:
            return f"SIP/2.0 {rng.randint(90, 720)} Reason\r\n".encode()
        if choice < 0.75:
            return rng.choice((b"\r\n\r\n", bytes(4), b"", b"x"))
        return rng.randbytes(rng.randint(0, 40))

    def _frame(self) -> bytes:
        rng = self._rng
        source, destination = rng.choice(_PORTS), rng.choice(_PORTS)
        if rng.random() < 0.7:
            l4, protocol = p.udp(self._payload(), source, destination), p.UDP
        else:
            options = bytes(4 * rng.choice((0, 0, 1, 3, 10)))
            l4, protocol = p.tcp(self._payload(), source, destination, options=options), p.TCP
        to = rng.choice((p.HOST, p.STRANGER, p.SENDER, b"\xff" * 6))
        vlans = rng.choice(((), (), (), (0x8100,), (0x88A8, 0x8100), (0x8100, 0x9100, 0x8100)))
        if rng.random() < 0.4:
            kind, packet = 0x86DD, self._ip6(l4, protocol)
        else:
            kind, packet = 0x0800, self._ip4(l4, protocol)
        frame = p.ether(packet, kind, vlans=vlans, to=to)
        return self._damage(frame, 20 if vlans else 14)

    def _ip4(self, l4: bytes, protocol: int) -> bytes:
        rng = self._rng
        source, destination = (struct.pack("!I", rng.choice(self._v4)) for _ in range(2))
        packet = bytearray(
            p.ip4(
                l4, protocol, options=bytes(4 * rng.choice((0, 0, 0, 1, 10))),
                fragment=rng.choice((0, 0, 0, 0, 0, 0x2000, 0x4000, 1, 0x1FFF)),
            )
        )  # fmt: skip
        packet[12:16], packet[16:20] = source, destination
        return bytes(packet)

    def _ip6(self, l4: bytes, protocol: int) -> bytes:
        rng = self._rng
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3, 4, 5))):
            kind = rng.choice((0, 43, 60, 51, 44))
            if kind == 44:
                l4 = p.fragment6(l4, protocol, rng.choice((0, 0, 0, 9)))
            elif kind == 51:
                l4 = p.authentication(l4, protocol, rng.choice((0, 4, 7)))
            else:
                l4 = p.extension(l4, protocol, rng.choice((0, 0, 1, 5)))
            protocol = kind
        packet = bytearray(p.ip6(l4, protocol))
        packet[8:24] = rng.choice(self._v6).to_bytes(16, "big")
        packet[24:40] = rng.choice(self._v6).to_bytes(16, "big")
        return bytes(packet)

    def _damage(self, frame: bytes, least: int) -> bytes:
        rng = self._rng
        choice = rng.random()
        if choice < 0.1:
            return frame[: rng.randint(least, len(frame))]
        if choice < 0.2:
            at = rng.randrange(least, len(frame))
            return frame[:at] + bytes((rng.getrandbits(8),)) + frame[at + 1 :]
        if choice < 0.3:
            return p.padded(frame)
        return frame
