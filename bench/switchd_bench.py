"""How fast the switch takes, gives back and forgets entries over gRPC.

``python -m bench.switchd_bench [--memory] [--entries N] [--rounds N]``: a server process on
the XDP program (no interfaces; needs root) or on tables in memory, and a client process.
Requests are built beforehand, as a controller that knows what it wants would.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import grpc
from finsy.proto import p4i, p4r, p4r_grpc
from google.protobuf import text_format

from bench.__main__ import machine
from sdnblock.artifacts import P4INFO, XDP_OBJECT, artifact
from sdnblock.softswitch.dataplane import Dataplane
from sdnblock.softswitch.device import Device
from sdnblock.softswitch.listen import listen
from sdnblock.softswitch.memory import MemoryDataplane
from sdnblock.softswitch.xdp import XdpDataplane

ELECTION = p4r.Uint128(low=1)
OPTIONS = (("grpc.max_metadata_size", 1 << 20), ("grpc.max_receive_message_length", 64 << 20))
SOURCE_V4, SOURCE_V6, FLOW_V4, PREFIX_V4 = 0x02000008, 0x02000009, 0x02000006, 0x0200000A
DROP = 0x01000006

Fill = Callable[[p4r.TableEntry, int], None]


def _source_v4(entry: p4r.TableEntry, number: int) -> None:
    entry.table_id = SOURCE_V4
    entry.match.add(field_id=1).exact.value = (0x0B000000 + number).to_bytes(4, "big")


def _source_v6(entry: p4r.TableEntry, number: int) -> None:
    entry.table_id = SOURCE_V6
    entry.match.add(field_id=1).exact.value = (0x20010DB8 << 96 | number).to_bytes(16, "big")


def _flow_v4(entry: p4r.TableEntry, number: int) -> None:
    entry.table_id = FLOW_V4
    values = (b"\x11", (0x0B000000 + number).to_bytes(4, "big"), b"\x13\xc4", b"\x0a\0\0\1",
              b"\x13\xc4")  # fmt: skip
    for field, value in enumerate(values, start=1):
        entry.match.add(field_id=field).exact.value = value


def _prefix_v4(entry: p4r.TableEntry, number: int) -> None:
    entry.table_id = PREFIX_V4
    lpm = entry.match.add(field_id=1).lpm
    lpm.value, lpm.prefix_len = ((0x0B0000 + number) << 8).to_bytes(4, "big"), 24


def requests(
    fill: Fill, kind: p4r.Update.Type.ValueType, count: int, batch: int
) -> list[p4r.WriteRequest]:
    """Writes of ``count`` drops in batches."""
    made = []
    for start in range(0, count, batch):
        request = p4r.WriteRequest(device_id=1, election_id=ELECTION)
        for number in range(start, min(start + batch, count)):
            entry = request.updates.add(type=kind).entity.table_entry
            fill(entry, number)
            if kind != p4r.Update.DELETE:
                entry.action.action.action_id = DROP
        made.append(request)
    return made


async def serve(address: str, memory: bool) -> None:
    """The server process."""
    plane: Dataplane = MemoryDataplane() if memory else XdpDataplane.detached()
    listener = await listen(Device(plane), address)
    print("ready", flush=True)
    try:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        await listener.stop()
        plane.close(keep=False)


async def _writes(stub: Any, made: list[p4r.WriteRequest]) -> float:
    began = time.perf_counter()
    for request in made:
        await stub.Write(request)
    return time.perf_counter() - began


async def _read_all(stub: Any) -> tuple[int, float]:
    request = p4r.ReadRequest(device_id=1)
    request.entities.add().table_entry.counter_data.SetInParent()
    count, began = 0, time.perf_counter()
    async for answer in stub.Read(request):
        count += len(answer.entities)
    return count, time.perf_counter() - began


async def measure(address: str, entries: int, rounds: int) -> None:
    """The client."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = cast(Any, p4r_grpc.P4RuntimeStub(channel))
        stream = stub.StreamChannel()
        update = p4r.MasterArbitrationUpdate(device_id=1, election_id=ELECTION)
        await stream.write(p4r.StreamMessageRequest(arbitration=update))
        await stream.read()
        config = p4r.ForwardingPipelineConfig(
            p4info=text_format.Parse(artifact(P4INFO).read_text(), p4i.P4Info()),
            p4_device_config=artifact(XDP_OBJECT).read_bytes(),
        )
        began = time.perf_counter()
        await stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=1,
                election_id=ELECTION,
                config=config,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            )
        )
        print(f"pipeline set in {time.perf_counter() - began:.2f} s")
        for name, fill, most in (
            ("source_v4", _source_v4, entries),
            ("source_v6", _source_v6, entries),
            ("flow_v4", _flow_v4, entries),
            ("prefix_v4", _prefix_v4, min(entries, 60_000)),
        ):
            for batch in (100, 1000, 5000):
                await _table(stub, name, fill, min(most, batch * 200), batch, rounds)
        await _reads(stub, entries, rounds)


async def _table(stub: Any, name: str, fill: Fill, count: int, batch: int, rounds: int) -> None:
    inserts = requests(fill, p4r.Update.INSERT, count, batch)
    deletes = requests(fill, p4r.Update.DELETE, count, batch)
    rates: dict[str, list[float]] = {"inserts": [], "deletes": []}
    for _ in range(rounds):
        rates["inserts"].append(count / await _writes(stub, inserts))
        rates["deletes"].append(count / await _writes(stub, deletes))
    said = ", ".join(f"{statistics.median(v):,.0f} {what}/s" for what, v in rates.items())
    print(f"{name}, batches of {batch}: {said}")


async def _reads(stub: Any, entries: int, rounds: int) -> None:
    await _writes(stub, requests(_source_v4, p4r.Update.INSERT, entries, 5000))
    took = []
    for _ in range(rounds):
        count, seconds = await _read_all(stub)
        took.append(seconds)
    print(f"read of {count:,} entries with counters: {statistics.median(took):.2f} s")
    one = requests(lambda entry, _: _source_v4(entry, entries), p4r.Update.INSERT, 1, 1)
    gone = requests(lambda entry, _: _source_v4(entry, entries), p4r.Update.DELETE, 1, 1)
    for busy in (False, True):
        waits = []
        for _ in range(rounds * (5 if busy else 100)):
            reading = asyncio.ensure_future(_read_all(stub)) if busy else None
            await asyncio.sleep(0.02 if busy else 0)
            waits.append(await _writes(stub, one))
            await _writes(stub, gone)
            if reading:
                await reading
        worst, middle = max(waits) * 1000, statistics.median(waits) * 1000
        when = "during such a read" if busy else "alone"
        print(f"one insert {when}: median {middle:.1f} ms, worst {worst:.1f} ms")


def main() -> None:
    """Start the server process, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", action="store_true", help="tables in memory instead of XDP")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", metavar="ADDRESS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.memory))
        return
    if not options.memory and os.geteuid() != 0:
        sys.exit("the XDP data plane needs root; or use --memory")
    print(machine())
    print(f"data plane: {'memory' if options.memory else 'XDP'}; medians of {options.rounds}")
    with tempfile.TemporaryDirectory() as directory:
        address = f"unix:{Path(directory) / 'p4rt'}"
        command = [sys.executable, "-m", "bench.switchd_bench", "--serve", address]
        server = subprocess.Popen(
            [*command, *(["--memory"] if options.memory else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            server.stdout.readline()
            asyncio.run(measure(address, options.entries, options.rounds))
        finally:
            server.communicate(timeout=20)


if __name__ == "__main__":
    main()
