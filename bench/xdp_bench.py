"""The XDP data plane alone: what a packet costs, and how fast a million entries go in.

    python -m bench.xdp_bench

A packet's cost is the program's own time by BPF_PROG_TEST_RUN: no driver, no wire, one
packet over and over (so caches are warm). Beside it, in the same run, a program that does
nothing but drop (where clang is installed), and the kernel's other way to drop a list of
sources: loading an nftables set.
"""

from __future__ import annotations

import platform
import shutil
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from sdnblock.artifacts import XDP_OBJECT, artifact
from sdnblock.softswitch.bpf import Libbpf, load_object
from sdnblock.softswitch.dataplane import Value
from sdnblock.softswitch.xdp import XdpDataplane

_DROP, _SIP = Value(6, 0), Value(4, 0)
_RUNS, _REPEAT = 7, 200_000


def frame(source: bytes, payload: bytes) -> bytes:
    """A UDP packet to port 5060."""
    udp = struct.pack("!HHHH", 5060, 5060, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, bytes(4))
    return bytes(12) + b"\x08\x00" + ip + udp


def key(number: int) -> bytes:
    """The number's source."""
    return (0x0B000000 + number).to_bytes(4, "big")


def packet_cost(dataplane: XdpDataplane, packet: bytes) -> float:
    """Nanoseconds, the median of several runs."""
    return statistics.median(dataplane.measure(packet, _REPEAT) for _ in range(_RUNS))


def bare_drop() -> float | None:
    """Nanoseconds a packet of an empty program; None where there is no clang."""
    if shutil.which("clang") is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        built = Path(directory) / "drop.o"
        headers = f"-I/usr/include/{platform.machine()}-linux-gnu"
        subprocess.run(
            ["clang", "-O2", "-g", "-target", "bpf", headers,
             "-c", Path(__file__).with_name("drop.bpf.c"), "-o", built],
            check=True,
        )  # fmt: skip
        loaded = load_object(Libbpf(), built.read_bytes(), ["drop"])
    run = loaded.programs["drop"].test_run
    found = statistics.median(run(bytes(100), _REPEAT)[2] for _ in range(_RUNS))
    loaded.close()
    return found


def prefixes(dataplane: XdpDataplane, packet: bytes) -> None:
    """A trie is the dearest lookup: how it grows."""
    held = 0
    for count in (100, 10_000, 65_536):
        keys = [
            struct.pack("=I", 24) + (0x0C000000 + (number << 8)).to_bytes(4, "big")
            for number in range(held, count)
        ]
        dataplane.insert("prefix_v4", keys, [_DROP] * len(keys))
        held = count
        print(
            f"{count:>9,} prefixes blocked: a packet dropped costs"
            f" {packet_cost(dataplane, packet):.0f} ns"
        )


def by_hand(dataplane: XdpDataplane, count: int) -> None:
    """Read all, change in place, delete."""
    began = time.monotonic()
    found = sum(len(part) for part in dataplane.scan("source_v4"))
    print(f"{found:,} entries read with counters in {time.monotonic() - began:.2f} s")
    keys = [key(number) for number in range(count)]
    began = time.monotonic()
    dataplane.modify("source_v4", keys, [_DROP] * count)
    changed = time.monotonic()
    dataplane.delete("source_v4", keys)
    print(
        f"{count:,} entries modified in place in {changed - began:.2f} s,"
        f" deleted in {time.monotonic() - changed:.2f} s"
    )


def memory(dataplane: XdpDataplane) -> str:
    """What the kernel says that all maps take."""
    return f"{sum(dataplane.memory().values()) / 1e6:.0f} MB"


def nft_load(count: int) -> float | None:
    """Seconds that ``nft -f`` takes for a set of ``count`` addresses, in a namespace."""
    if shutil.which("nft") is None:
        return None
    elements = ",".join(".".join(map(str, key(number))) for number in range(count))
    with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        file.write(
            "table inet t { set s { type ipv4_addr; elements = { " + elements + " } }\n"
            "chain c { type filter hook input priority 0; ip saddr @s drop\n}\n}\n"
        )
        file.flush()
        began = time.monotonic()
        subprocess.run(["unshare", "--net", "nft", "-f", file.name], check=True)
        return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    if (empty := bare_drop()) is not None:
        print(f"for comparison: a program that drops everything costs {empty:.0f} ns a packet")
    dataplane = XdpDataplane.detached()
    dataplane.load(Path(artifact(XDP_OBJECT)).read_bytes())
    dataplane.set_test_port(1)
    dataplane.insert("sip_port", [struct.pack("!BHx", 17, 5060)], [_SIP])
    options = b"OPTIONS sip:x@example.net SIP/2.0\r\n"
    passing = frame(bytes((192, 0, 2, 1)), options)
    print(f"kernel memory of all maps, empty: {memory(dataplane)}")
    held = 0
    for count in (1, 100_000, 1_000_000):
        keys = [key(number) for number in range(held, count)]
        began = time.monotonic()
        dataplane.insert("source_v4", keys, [_DROP] * len(keys))
        took = time.monotonic() - began
        held = count
        print(
            f"{count:>9,} sources blocked: a packet dropped costs"
            f" {packet_cost(dataplane, frame(key(count // 2), options)):.0f} ns,"
            f" a SIP request passed {packet_cost(dataplane, passing):.0f} ns"
            + (f"; {len(keys):,} entries inserted in {took:.2f} s" if len(keys) > 1 else "")
        )
    print(f"kernel memory of all maps, with these: {memory(dataplane)}")
    by_hand(dataplane, 100_000)
    prefixes(dataplane, frame(bytes((12, 0, 50, 1)), options))
    dataplane.close(keep=False)
    if (seconds := nft_load(1_000_000)) is not None:
        print(f"for comparison: nft -f of a set of 1,000,000 sources takes {seconds:.2f} s")
    else:
        print("for comparison: nft is not installed here")


if __name__ == "__main__":
    main()
