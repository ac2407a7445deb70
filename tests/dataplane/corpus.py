"""The corpus: table states and packets that together touch every branch of the pipeline."""

from __future__ import annotations

import socket
import zlib

from sdnblock.softswitch.dataplane import MeterRates
from tests.dataplane import packets as p
from tests.dataplane.packets import Packet
from tests.dataplane.scenario import Scenario, TableEntry

REQUESTS = (
    "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY",
    "PUBLISH", "REFER", "INFO", "MESSAGE", "UPDATE", "PRACK",
)  # fmt: skip
LONG = 1 << 30
"""Ticks that no scenario lasts."""


def n4(text: str) -> int:
    """An IPv4 address as a number."""
    return int.from_bytes(socket.inet_aton(text), "big")


def n6(text: str) -> int:
    """An IPv6 address as a number."""
    return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")


BASE = [
    TableEntry("port_side", (3,), "set_side", (1,)),
    TableEntry("l2_forward", (int.from_bytes(p.HOST, "big"),), "forward", (3,)),
    TableEntry("sip_port", (p.UDP, 5060), "sip"),
    TableEntry("sip_port", (p.TCP, 5060), "sip"),
    TableEntry("sip_port", (p.UDP, 5090), "sip"),
]


def _scenario(name: str, frames: list[bytes], extra: list[TableEntry] | None = None,
              port: int = 1, **more: object) -> Scenario:  # fmt: skip
    packets = [Packet(port, frame) for frame in frames]
    return Scenario(name, BASE + (extra or []), packets, **more)  # type: ignore[arg-type]


def _blocks() -> list[Scenario]:
    flow4 = TableEntry(
        "flow_v4", (p.UDP, n4("203.0.113.7"), 5060, n4("198.51.100.9"), 5060), "drop"
    )
    flow6 = TableEntry(
        "flow_v6", (p.TCP, n6("2001:db8::7"), 5060, n6("2001:db8:5::9"), 5060), "drop"
    )
    both = [
        p.v4(),
        p.v4(source="203.0.113.8"),
        p.v4(destination=5090),
        p.v4(destination=80),
        p.v6(),
    ]
    tcp6 = p.ether(p.ip6(p.tcp(), p.TCP), 0x86DD)
    return [
        _scenario("no entries", [*both, tcp6]),
        _scenario("flow v4", both, [flow4]),
        _scenario("flow v6 over TCP", [tcp6, p.v6()], [flow6]),
        _scenario("flow watch hides source drop", both, [
            TableEntry(flow4.table, flow4.key, "watch"),
            TableEntry("source_v4", (n4("203.0.113.7"),), "drop"),
        ]),
        _scenario("source v4", both, [TableEntry("source_v4", (n4("203.0.113.7"),), "drop")]),
        _scenario("source v6", [p.v6(), p.v6(source="2001:db8::8")],
                  [TableEntry("source_v6", (n6("2001:db8::7"),), "drop")]),
        _scenario("source watch hides prefix drop", both, [
            TableEntry("source_v4", (n4("203.0.113.7"),), "watch"),
            TableEntry("prefix_v4", ((n4("203.0.113.0"), 24),), "drop"),
        ]),
        _scenario("longest prefix wins", [*both, p.v4(source="203.0.113.200")], [
            TableEntry("prefix_v4", ((n4("203.0.112.0"), 20),), "drop"),
            TableEntry("prefix_v4", ((n4("203.0.113.0"), 25),), "watch"),
            TableEntry("prefix_v4", ((n4("203.0.113.8"), 32),), "drop"),
        ]),
        _scenario("prefix v6", [p.v6(), p.v6(source="2001:db8:1::1"), p.v6(source="2002::1")], [
            TableEntry("prefix_v6", ((n6("2001:db8::"), 32),), "drop"),
            TableEntry("prefix_v6", ((n6("2001:db8:1::"), 64),), "watch"),
        ]),
        _scenario("allow wins v4", [p.v4(), p.v4(source="203.0.113.8")], [
            flow4,
            TableEntry("source_v4", (n4("203.0.113.7"),), "drop"),
            TableEntry("prefix_v4", ((n4("203.0.113.0"), 24),), "drop"),
            TableEntry("allow_v4", ((n4("203.0.113.7"), 32),), "allow"),
        ]),
        _scenario("allow wins v6", [p.v6(), p.v6(source="2001:db8:1::1")], [
            TableEntry("prefix_v6", ((n6("2001:db8::"), 32),), "drop"),
            TableEntry("allow_v6", ((n6("2001:db8::"), 64),), "allow"),
        ]),
        _scenario("trusted side is not blocked", [p.v4(), p.v6(), p.v4(source="198.51.100.1")], [
            TableEntry("source_v4", (n4("203.0.113.7"),), "drop"),
            TableEntry("source_v6", (n6("2001:db8::7"),), "drop"),
        ], port=3),
    ]  # fmt: skip


def _limits() -> list[Scenario]:
    # So slow that no token comes back while a scenario runs: the burst passes, no more.
    slow = MeterRates(cir=1, cburst=3, pir=1, pburst=3)
    frames = [p.v4()] * 6
    both = [p.v4(), p.v6()] * 4
    entry = TableEntry("source_v4", (n4("203.0.113.7"),), "limit", (77,))
    return [
        _scenario("limit, meter unset", frames, [entry]),
        _scenario("limit, burst of three", frames, [entry], meters={("limit_meter", 77): slow}),
        _scenario("limit, another cell is set", frames, [entry],
                  meters={("limit_meter", 78): slow}),
        _scenario("one cell, two targets", [p.v4(), p.v6()] * 3, [
            entry, TableEntry("prefix_v6", ((n6("2001:db8::"), 32),), "limit", (77,)),
        ], meters={("limit_meter", 77): slow}),
        _scenario("peak above committed", frames, [entry],
                  meters={("limit_meter", 77): MeterRates(cir=1, cburst=1, pir=1, pburst=4)}),
        _scenario("flow limit, last cell", frames, [
            TableEntry("flow_v4", (p.UDP, n4("203.0.113.7"), 5060, n4("198.51.100.9"), 5060),
                       "limit", (16383,)),
        ], meters={("limit_meter", 16383): slow}),
        _scenario("limit, cells that are not there", both, [
            TableEntry("source_v4", (n4("203.0.113.7"),), "limit", (16384,)),
            TableEntry("source_v6", (n6("2001:db8::7"),), "limit", (65535,)),
        ], meters={("limit_meter", 16383): slow}),
    ]  # fmt: skip


def _parsing() -> list[Scenario]:
    drop4 = TableEntry("source_v4", (n4("203.0.113.7"),), "drop")
    drop6 = TableEntry("source_v6", (n6("2001:db8::7"),), "drop")
    tags = ((), (0x8100,), (0x88A8, 0x8100), (0x9100, 0x88A8), (0x8100, 0x8100, 0x8100))
    tagged = [p.ether(p.ip4(p.udp(), p.UDP), 0x0800, vlans=each) for each in tags]
    tagged += [p.ether(p.ip6(p.udp(), p.UDP), 0x86DD, vlans=each) for each in tags]
    odd4 = [
        p.ip4(p.udp(), p.UDP, options=bytes(4)),
        p.ip4(p.udp(), p.UDP, options=bytes(40)),
        p.ip4(p.udp(), p.UDP, words=15),
        p.ip4(p.udp(), p.UDP, words=4),
        p.ip4(p.udp(), p.UDP, words=0),
        p.ip4(p.udp(), p.UDP, version=6),
        p.ip4(p.udp(), p.UDP, version=5),
        p.ip4(p.udp(), p.UDP, fragment=0x2000),
        p.ip4(p.udp(), p.UDP, fragment=1),
        p.ip4(p.udp(), p.UDP, fragment=0x1FFF),
        p.ip4(p.udp(), p.UDP, fragment=0x4000),
        p.ip4(p.udp(), 1),
        p.ip4(b"", p.UDP),
        p.ip4(p.udp()[:7], p.UDP),
        p.ip4(p.tcp()[:19], p.TCP),
    ]
    one = 0
    chains = [
        p.extension(p.udp(), p.UDP, units)
        for units in (0, 1, 7, 100)
    ]  # fmt: skip
    odd6 = [(each, kind) for each in chains for kind in (0, 43, 60)]
    odd6 += [
        (p.authentication(p.udp(), p.UDP), 51),
        (p.authentication(p.udp(), p.UDP, 0), 51),
        (p.authentication(p.udp(), p.UDP, 254), 51),
        (p.fragment6(p.udp(), p.UDP), 44),
        (p.fragment6(p.udp(), p.UDP, 0, 1), 44),
        (p.fragment6(p.udp(), p.UDP, 1), 44),
        (p.fragment6(p.udp(), p.UDP, 0x1FFF), 44),
        (p.extension(p.fragment6(p.extension(p.udp(), p.UDP), 60), 44), one),
        (p.extension(p.fragment6(p.udp(), p.UDP, 3), 44), 60),
        (p.extension(p.extension(p.extension(p.extension(p.udp(), p.UDP), 60), 43), 60), 0),
        (p.extension(p.extension(p.extension(p.extension(
            p.extension(p.udp(), p.UDP), 60), 60), 43), 60), 0),
        (p.authentication(p.extension(p.tcp(), p.TCP), 60), 51),
        (p.extension(p.udp(), p.UDP, 255), 0),  # longer than the packet
        (p.udp(), 59),
        (p.udp()[:5], p.UDP),
    ]  # fmt: skip
    frames6 = [p.ether(p.ip6(payload, kind), 0x86DD) for payload, kind in odd6]
    long_destination = p.extension(p.udp(), p.UDP, 255)[:300]
    frames6 += [
        p.ether(p.ip6(long_destination, 60), 0x86DD),
        p.ether(p.ip6(p.udp(), p.UDP, version=4), 0x86DD),
        p.ether(p.ip6(p.udp(), p.UDP, version=0), 0x86DD),
    ]
    frames4 = [p.ether(each, 0x0800) for each in odd4]
    others = [
        p.ether(b"\x00\x01\x08\x00\x06\x04\x00\x01" + bytes(20), 0x0806),
        p.ether(bytes(40), 0x0026),
        p.ether(b"", 0x0800),
        p.ether(b"", 0x86DD),
        p.ether(b"\x45", 0x0800),
    ]
    whole = [p.v4(), p.v6(), p.ether(p.ip4(p.tcp(options=bytes(12)), p.TCP), 0x0800),
             p.ether(p.ip4(p.udp(), p.UDP, options=bytes(8)), 0x0800, vlans=(0x8100,)),
             p.ether(p.ip6(p.extension(p.udp(), p.UDP), 0), 0x86DD)]  # fmt: skip
    # Linux itself throws away a frame that ends so soon after its first VLAN tag.
    cut = [frame[:length] for frame in whole for length in range(14, len(frame))
           if length >= 20 or frame[12:14] != b"\x81\x00"]  # fmt: skip
    return [
        _scenario("VLAN tags", tagged),
        _scenario("VLAN tags, dropped", tagged, [drop4, drop6]),
        _scenario("IPv4 oddities", frames4),
        _scenario("IPv4 oddities, dropped", frames4, [drop4]),
        _scenario("IPv6 oddities", frames6),
        _scenario("IPv6 oddities, dropped", frames6, [drop6]),
        _scenario("not IP", others, [drop4]),
        _scenario("cut short", cut, policies=_window(3)),
        _scenario("cut short, flow", cut, [
            TableEntry("flow_v4", (p.UDP, n4("203.0.113.7"), 5060, n4("198.51.100.9"), 5060),
                       "drop"),
            TableEntry("flow_v6", (p.UDP, n6("2001:db8::7"), 5060, n6("2001:db8:5::9"), 5060),
                       "drop"),
        ]),
    ]  # fmt: skip


def _messages() -> list[Scenario]:
    texts = [f"{method} sip:x SIP/2.0\r\n".encode() for method in REQUESTS]
    texts += [f"{method.lower()} sip:x SIP/2.0\r\n".encode() for method in REQUESTS[:3]]
    texts += [f"{method}\tsip:x SIP/2.0\r\n".encode() for method in REQUESTS[:3]]
    texts += [f"SIP/2.0 {code} Reason\r\n".encode() for code in
              (100, 180, 200, 202, 302, 400, 401, 402, 403, 404, 405, 407, 408, 486, 487, 500,
               503, 600, 603, 700, 999)]  # fmt: skip
    texts += [
        b"\r\n\r\n", b"\r\n", b"\r\n\r\n\r\n\r\n\r\n\r\n", bytes(4), bytes(1), bytes(12), b"jaK",
        b"INVITE", b"INVITE ", b"INVITE sip:", b"INVITE sip:x", b"SIP/2.0 40", b"SIP/2.0 401",
        b"SIP/2.0 404 ", b"SIP/2.1 404 ", b"SIP/2.0  404", b"ACK ", b"ACKx", b"BYE", b"BYE x",
        b"INVITES sip:x SIP/2.0", b"GET / HTTP/1.0\r\n", bytes(range(64)), b"\xff" * 20, b"",
    ]  # fmt: skip
    frames = [p.v4(text) for text in texts]
    over_tcp = [p.ether(p.ip4(p.tcp(text), p.TCP), 0x0800) for text in texts]
    lengths = [p.v4(length=value) for value in (0, 7, 8, 9, 11, 12, 19, 20, 21, 0x7FFF, 0x8008,
                                               0xFFFF)]  # fmt: skip
    lengths += [p.ether(p.ip4(p.tcp(), p.TCP, total=value), 0x0800)
                for value in (0, 19, 20, 39, 40, 41, 43, 44, 51, 52, 0x7FFF, 0xFFFF)]  # fmt: skip
    lengths += [p.ether(p.ip4(p.tcp(words=value, options=bytes(8)), p.TCP), 0x0800)
                for value in (0, 4, 5, 6, 7, 8, 15)]  # fmt: skip
    lengths += [p.ether(p.ip6(p.tcp(words=value, options=bytes(8)), p.TCP, length=20), 0x86DD)
                for value in (0, 4, 5, 6, 7, 8, 15)]  # fmt: skip
    six = [p.v6(text) for text in texts]
    six += [p.ether(p.ip6(p.tcp(text), p.TCP), 0x86DD) for text in texts]
    return [
        _scenario("messages in", frames),
        _scenario("messages out", frames, port=3),
        _scenario("messages in, padded", [p.padded(frame) for frame in frames]),
        _scenario("messages over TCP", over_tcp),
        _scenario("messages over TCP, padded", [p.padded(frame) for frame in over_tcp]),
        _scenario("messages over IPv6", six),
        _scenario("lying lengths", lengths),
        _scenario("SIP on another port", [p.v4(destination=5061), p.v4(source="1.2.3.4"),
                                          p.v4(destination=53)]),
        _scenario("ports of the server's side", [
            p.ether(p.ip4(p.udp(b"SIP/2.0 200 OK\r\n", 5060, 40000), p.UDP), 0x0800),
            p.ether(p.ip4(p.udp(b"SIP/2.0 200 OK\r\n", 40000, 5060), p.UDP), 0x0800),
        ], port=3),
    ]  # fmt: skip


def _window(threshold: int, ticks: int = LONG) -> dict[str, tuple[int, ...]]:
    return {"request_window": (threshold, ticks)}


def _windows() -> list[Scenario]:
    first, second = "203.0.113.7", "203.0.113.8"
    mixed = [p.v4(source=source) for source in (first, second, first, first, second, first)]
    colliding = collision(first)
    return [
        _scenario("window of three", mixed, policies=_window(3)),
        _scenario("window of one", mixed, policies=_window(1)),
        _scenario("window off", mixed, policies=_window(0)),
        _scenario("window of no length", mixed, policies=_window(2, 0)),
        _scenario("window, IPv6 counts by /64", [
            p.v6(source=f"2001:db8:0:{n % 2}::{n + 1}") for n in range(8)
        ], policies=_window(3)),
        _scenario("only requests count", [
            p.v4(b"SIP/2.0 200 OK\r\n\r\n"), p.v4(b"\r\n\r\n"), p.v4(b"nonsense nonsense"), p.v4(),
            p.v4(b"REGISTER sip:x SIP/2.0\r\n"),
        ], policies=_window(2)),
        _scenario("dropped requests do not count", [p.v4()] * 4,
                  [TableEntry("source_v4", (n4(first),), "drop")], policies=_window(2)),
        _scenario("allowed requests do not count", [p.v4()] * 4,
                  [TableEntry("allow_v4", ((n4(first), 32),), "allow")], policies=_window(2)),
        _scenario("trusted requests do not count", [p.v4()] * 4, policies=_window(2), port=3),
        Scenario("window passes, the count begins again", BASE, [
            # 200 ticks are 0.205 s. Two in one window, two in the next, three in the last.
            Packet(1, p.v4(), pause) for pause in (0, 0, 0.4, 0, 0.4, 0, 0)
        ], policies=_window(3, 200)),
        Scenario("a passed slot is anybody's", BASE, [
            Packet(1, p.v4(source=source), pause) for source, pause in (
                (first, 0), (first, 0), (colliding, 0.4), (colliding, 0), (first, 0),
                (colliding, 0), (first, 0.4), (first, 0), (first, 0),
            )
        ], policies=_window(3, 200)),
        _scenario("collision convicts nobody", [
            p.v4(source=first), p.v4(source=colliding), p.v4(source=colliding),
            p.v4(source=colliding), p.v4(source=first), p.v4(source=first),
        ], policies=_window(3)),
    ]  # fmt: skip


def collision(address: str) -> str:
    """Another IPv4 address with the same slot of the request window."""

    def slot(number: int) -> int:
        return zlib.crc32(bytes(10) + b"\xff\xff" + number.to_bytes(4, "big")) & 0xFFFF

    wanted, candidate = slot(n4(address)), n4("192.0.2.1")
    while slot(candidate) != wanted or candidate == n4(address):
        candidate += 1
    return socket.inet_ntoa(candidate.to_bytes(4, "big"))


def _samples() -> list[Scenario]:
    watch = [
        TableEntry("source_v4", (n4("203.0.113.7"),), "watch"),
        TableEntry("prefix_v6", ((n6("2001:db8::"), 32),), "watch"),
    ]
    frames = [
        p.v4(), p.v6(), p.v4(source="203.0.113.8"), p.v4(b"x" * 1400),
        p.ether(p.ip4(p.udp(), p.UDP, options=bytes(8)), 0x0800, vlans=(0x8100, 0x8100)),
        p.ether(p.ip6(p.extension(p.fragment6(p.udp(), p.UDP), 44), 0), 0x86DD),
        p.v4()[:30], p.padded(p.v4(b"\r\n\r\n")),
    ]  # fmt: skip
    two = MeterRates(cir=1, cburst=2, pir=1, pburst=2)
    return [
        _scenario("watched packets are sampled", frames, watch, sample=True),
        _scenario("nobody to sample for", frames, watch),
        _scenario("a budget of two", frames, watch, sample=True, meters={("sample_meter", 0): two}),
        _scenario("trusted packets are not sampled", frames, watch, sample=True, port=3),
    ]


def _forwarding() -> list[Scenario]:
    extra = [TableEntry("l2_forward", (int.from_bytes(p.STRANGER, "big"),), "forward", (1,))]
    frames = [p.v4(), p.v4(to=p.STRANGER), p.v4(to=b"\xff" * 6), p.v4(to=bytes(6))]
    return [
        _scenario("forward or flood", frames, extra),
        _scenario("forward or flood, from the second port", frames, extra, port=2),
        _scenario("forward or flood, from the trusted port", frames, extra, port=3),
        Scenario("no tables at all", [], [Packet(port, f) for f in frames for port in (1, 2, 3)]),
    ]


KINDS_404, KINDS_401, KINDS_2XX = 22, 20, 17
WEIGHTS = [
    TableEntry("outcome", (KINDS_404, 0), "fail", (4,)),
    TableEntry("outcome", (KINDS_404, 1), "fail", (4,)),
    TableEntry("outcome", (KINDS_401, 1), "fail", (1,)),
    TableEntry("outcome", (KINDS_2XX, 0), "succeed", (3,)),
    TableEntry("outcome", (KINDS_2XX, 1), "succeed", (3,)),
]


def _answer(status: int, to: str = "203.0.113.7") -> Packet:
    """A response of ours, from the trusted port."""
    text = f"SIP/2.0 {status} Reason\r\n\r\n".encode()
    packet = p.ip4(p.udp(text), p.UDP, "198.51.100.9", to)
    return Packet(3, p.ether(packet, 0x0800, to=p.STRANGER))


def _answer6(status: int, to: str) -> Packet:
    text = f"SIP/2.0 {status} Reason\r\n\r\n".encode()
    packet = p.ip6(p.udp(text), p.UDP, "2001:db8:5::9", to)
    return Packet(3, p.ether(packet, 0x86DD, to=p.STRANGER))


def _walk(name: str, packets: list[Packet], policy: tuple[int, ...] = (12, LONG, LONG, 2),
          extra: list[TableEntry] | None = None, **more: object) -> Scenario:  # fmt: skip
    policies = {"outcome_policy": policy}
    entries = BASE + WEIGHTS + (extra or [])
    return Scenario(name, entries, packets, policies=policies, **more)  # type: ignore[arg-type]


def _walks() -> list[Scenario]:
    guilty, other = Packet(1, p.v4()), Packet(1, p.v4(source="203.0.113.8"))
    not_sip = Packet(1, p.v4(destination=80))
    three = [_answer(404)] * 3
    colliding = collision("203.0.113.7")
    allow = TableEntry("allow_v4", ((n4("203.0.113.0"), 24),), "allow")
    watch = TableEntry("source_v4", (n4("203.0.113.7"),), "watch")
    limiter = zlib.crc32(bytes(10) + b"\xff\xff" + n4("203.0.113.7").to_bytes(4, "big")) & 1023
    two = MeterRates(cir=1, cburst=2, pir=1, pburst=2)
    short = 200  # ticks: 0.205 s
    return [
        _walk("three failures, then nothing gets in", [*three, guilty, other, not_sip, guilty]),
        _walk("two failures are not enough", [*three[:2], guilty]),
        _walk("told only", [*three, guilty], (12, LONG, LONG, 0)),
        _walk("no such response", [*three, guilty], (12, LONG, LONG, 7)),
        _walk("the walk is off", [*three, guilty], (0, LONG, LONG, 2)),
        _walk("held by a limit", [*three, *[guilty] * 4], (12, LONG, LONG, 1),
              meters={("held_meter", limiter): two}),
        _walk("held by a limit that is not set", [*three, *[guilty] * 3], (12, LONG, LONG, 1)),
        _walk("successes lower the score", [
            *three[:2], _answer(200), _answer(404), guilty, _answer(404), guilty,
        ]),
        _walk("never below zero", [_answer(404), *[_answer(200)] * 5, *three, guilty]),
        _walk("a first challenge is nobody's fault", [
            *[_answer(401), _answer(200)] * 10, guilty,
        ]),
        _walk("challenges upon challenges", [_answer(401)] * 15 + [guilty]),
        _walk("407 after 401 has no weight, and is a challenge", [
            _answer(401), _answer(407), _answer(401), _answer(401), _answer(404), _answer(404),
            _answer(401), _answer(401), guilty,
        ], (10, LONG, LONG, 2)),
        _walk("provisional responses do not count", [*three[:2], *[_answer(180)] * 3, guilty]),
        _walk("every status", [_answer(status) for status in
                               (100, 200, 302, 400, 401, 403, 404, 407, 486, 503, 603, 700)],
              (1, LONG, LONG, 2)),
        _walk("it begins again after crossing", [*three, *three, guilty]),
        _walk("one weight above the threshold", [_answer(404), guilty], (3, LONG, LONG, 2)),
        _walk("IPv6 counts by /64", [
            *[_answer6(404, f"2001:db8:0:1::{n}") for n in range(1, 4)],
            Packet(1, p.v6(source="2001:db8:0:1::99")), Packet(1, p.v6(source="2001:db8:0:2::1")),
        ]),
        _walk("a collision convicts nobody", [
            _answer(404), *[_answer(404, colliding)] * 4, guilty,
            Packet(1, p.v4(source=colliding)), *three[:2], guilty,
            Packet(1, p.v4(source=colliding)),
        ]),
        _walk("the allowlisted are not held", [*three, guilty], extra=[allow]),
        _walk("the watched are not held", [*three, guilty], extra=[watch]),
        _walk("from the untrusted side nothing counts", [
            Packet(1, p.v4(b"SIP/2.0 404 Not Found\r\n\r\n"))
        ] * 4 + [guilty]),
        _walk("over TCP, and truncated behind it", [
            Packet(3, p.ether(p.ip4(p.tcp(b"SIP/2.0 404 x\r\n", 5060, 5060), p.TCP), 0x0800))
        ] * 3),
        Scenario("the hold passes", BASE + WEIGHTS, [
            *three, guilty, Packet(1, p.v4(), 0.4), guilty, *three, guilty,
        ], policies={"outcome_policy": (12, LONG, short, 2)}),
        Scenario("the memory passes", BASE + WEIGHTS, [
            *three[:2], Packet(3, three[0].frame, 0.4), guilty, *three[:2], guilty,
        ], policies={"outcome_policy": (12, short, LONG, 2)}),
        Scenario("a passed slot of the walk is anybody's", BASE + WEIGHTS, [
            *three[:2], Packet(3, _answer(404, colliding).frame, 0.4),
            *[_answer(404, colliding)] * 2, *three, guilty, Packet(1, p.v4(source=colliding)),
        ], policies={"outcome_policy": (12, short, LONG, 2)}),
    ]  # fmt: skip


def _first_packets() -> list[Scenario]:
    one, other = Packet(1, p.v4()), Packet(1, p.v4(source="203.0.113.8"))
    six = [Packet(1, p.v6(source=f"2001:db8:0:1::{n}")) for n in range(1, 5)]
    colliding = Packet(1, p.v4(source=collision("203.0.113.7")))
    keepalive, response = Packet(1, p.v4(b"\r\n\r\n")), Packet(1, p.v4(b"SIP/2.0 200 OK\r\n\r\n"))
    network = zlib.crc32(bytes(10) + b"\xff\xff\xcb\x00\x71\x00") & 15
    none, two = MeterRates(1, 0, 1, 0), MeterRates(1, 2, 1, 2)

    def first(name: str, packets: list[Packet], extra: list[TableEntry] | None = None,
              policy: tuple[int, int] = (2, 31), **more: object) -> Scenario:  # fmt: skip
        policies = {"first_policy": policy, "outcome_policy": (12, LONG, LONG, 2)}
        entries = BASE + (extra or [])
        return Scenario(name, entries, packets, policies=policies, sample=True, **more)  # type: ignore[arg-type]

    source = n4("203.0.113.7")
    return [
        first("the first two requests of each", [one, other, one, one, other, other]),
        first("no first packets", [one, other], policy=(0, 31)),
        first("a shift that leaves nothing", [one] * 3, policy=(2, 255)),
        first("IPv6 first packets by /64", six),
        first("only requests are first packets", [keepalive, response, one, one, one]),
        first("a new remote takes the slot", [one, one, one, colliding, one, one, one]),
        first("answers to first requests", [
            _answer(401), one, _answer(401), _answer(180), one, _answer(200), one, _answer(404),
            _answer(404, "203.0.113.8"),
        ]),
        first("dropped, limited, watched and allowed requests are not first", [
            Packet(1, p.v4(source=f"203.0.113.{n}")) for n in (7, 8, 9, 10, 11)
        ], [
            TableEntry("source_v4", (source,), "drop"),
            TableEntry("source_v4", (source + 1,), "limit", (5,)),
            TableEntry("source_v4", (source + 2,), "watch"),
            TableEntry("allow_v4", ((source + 3, 32),), "allow"),
        ]),
        first("a network's budget of first packets", [
            Packet(1, p.v4(source=f"203.0.113.{n}")) for n in range(1, 5)
        ] + [Packet(1, p.v4(source="192.0.2.1"))], meters={("first_meter", network): two}),
        first("no budget for answers", [one, _answer(404), one, _answer(404)],
              meters={("first_meter", 16 + network): none}),
        first("held remotes are not first", [one, *[_answer(404)] * 3, one],
              WEIGHTS, policy=(9, 31)),
    ]  # fmt: skip


def corpus() -> list[Scenario]:
    """All scenarios; their names are unique."""
    scenarios = [
        *_blocks(), *_limits(), *_parsing(), *_messages(), *_windows(), *_samples(),
        *_forwarding(), *_walks(), *_first_packets(),
    ]  # fmt: skip
    assert len({each.name for each in scenarios}) == len(scenarios)
    return scenarios
