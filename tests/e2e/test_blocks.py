"""Every kind of block, on real packets, by every kind of switch."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.sockets import FRAME, FRAME_V6, LISTENER, LISTENER_V6, SPORT
from tests.e2e.world import World

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="session")]


async def test_a_feed_blocks_with_one_redis_command_and_lets_go(it: World) -> None:
    source = "203.0.113.1"
    assert await it.wire.passes(source)
    await it.feed(source)
    await it.wire.until(source, False)
    assert await it.wire.passing("203.0.113.2", 10) == 10
    await it.unfeed(source)
    await it.wire.until(source, True)


async def test_an_operator_blocks_and_unblocks(it: World) -> None:
    source = "203.0.113.3"
    await it.protection.cli("block", "add", source, "--reason", "by hand")
    await it.wire.until(source, False)
    await it.feed(source)
    await it.protection.cli("block", "remove", source, "--origin", "operator")
    await asyncio.sleep(0.3)
    assert not await it.wire.passes(source), "the feed has not let go"
    await it.protection.cli("block", "remove", source)
    await it.wire.until(source, True)


async def test_a_flow_block_spares_the_other_flows_of_its_source(it: World) -> None:
    source = "203.0.113.4"
    flow = f"udp:{source}:{SPORT}>{LISTENER[0]}:{LISTENER[1]}"
    await it.feed(flow)
    await it.wire.until(source, False)
    assert await it.wire.passing(source, 10, sport=SPORT + 1) == 10
    await it.unfeed(flow)
    await it.wire.until(source, True)


async def test_a_prefix_block_ends_at_its_edges(it: World) -> None:
    await it.feed("203.0.113.16/28")
    await it.wire.until("203.0.113.20", False)
    assert [await it.wire.passes(f"203.0.113.{n}") for n in (15, 16, 31, 32)] == [
        *(True, False, False, True)
    ]
    await it.unfeed("203.0.113.16/28")
    await it.wire.until("203.0.113.20", True)


async def test_a_limited_source_gets_little_through(it: World) -> None:
    source = "203.0.113.33"
    await it.feed(source, key="origin:feed:limit")
    deadline = time.monotonic() + 10
    while await it.wire.passing(source, 100) == 100:
        assert time.monotonic() < deadline, "it is not limited"
    await asyncio.sleep(2.1)  # then 200 at once, and 100 a second, as without any settings
    began = time.monotonic()
    passed = await it.wire.passing(source, 600)
    took = time.monotonic() - began
    assert 190 <= passed <= 210 + 100 * took, f"{passed} passed within {took:.1f} s"
    await it.unfeed(source, key="origin:feed:limit")
    await asyncio.sleep(0.3)
    assert await it.wire.passing(source, 100) == 100


async def test_a_watched_source_passes_and_is_counted(it: World) -> None:
    source = "203.0.113.34"
    await it.feed(source, key="origin:feed:watch")
    await asyncio.sleep(1.5)
    assert await it.wire.passing(source, 50) == 50
    assert await it.counted(source, 50) == 50 * FRAME
    await it.unfeed(source, key="origin:feed:watch")


async def test_of_a_watched_source_packets_reach_the_detectors(it: World) -> None:
    source = "203.0.113.38"
    scan = (
        "OPTIONS sip:198.51.100.10 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.38;branch=z9hG4bK1\r\n"
        "From: <sip:a@example.net>;tag=1\r\nTo: <sip:b@example.net>\r\nCall-ID: 1\r\n"
        "CSeq: 1 OPTIONS\r\nUser-Agent: friendly-scanner\r\n\r\n"
    )
    it.wire.send(source, scan.encode())  # not to a SIP port: nobody looks
    await asyncio.sleep(1)
    assert await it.wire.passes(source)
    await it.feed(source, key="origin:feed:watch")
    await asyncio.sleep(1)
    it.wire.send(source, scan.encode())
    await it.wire.until(source, False)
    shown = await it.protection.show(source)
    assert shown is not None
    assert {claim["origin"] for claim in shown["claims"]} == {"feed", "scanner"}
    await it.protection.cli("block", "remove", source)
    await it.wire.until(source, True)


async def test_the_allowlist_wins_over_every_block(it: World) -> None:
    spared = "203.0.113.52"
    await it.feed("203.0.113.48/28")
    await it.feed(spared)
    await it.wire.until(spared, False)
    await it.protection.cli("allow", "add", spared)
    await it.wire.until(spared, True)
    assert not await it.wire.passes("203.0.113.53")
    await it.protection.cli("allow", "remove", spared)
    await it.wire.until(spared, False)
    await it.unfeed("203.0.113.48/28")
    await it.unfeed(spared)
    await it.wire.until(spared, True)


async def test_a_block_expires_by_itself_and_not_before(it: World) -> None:
    source = "203.0.113.35"
    ends = time.time() + 2
    await it.feed(source, seconds=2)
    await it.wire.until(source, False)
    await asyncio.sleep(ends - time.time() - 0.3)
    assert not await it.wire.passes(source)
    await it.wire.until(source, True, seconds=3)
    assert time.time() >= ends - 0.05


async def test_counters_agree_with_what_was_sent_to_the_packet(it: World) -> None:
    source, inner, outer = "203.0.113.36", "203.0.113.67", "203.0.113.64/29"
    flow = f"udp:203.0.113.37:{SPORT}>{LISTENER[0]}:{LISTENER[1]}"
    for target in (source, outer, flow):
        await it.feed(target)
    for sender in (source, inner, "203.0.113.37"):
        await it.wire.until(sender, False)
    sent = {source: (source, 500), outer: (inner, 333), flow: ("203.0.113.37", 77)}
    before = {target: await it.packets(target) for target in sent}
    for sender, count in sent.values():
        assert await it.wire.passing(sender, count) == 0
    for target, (_, count) in sent.items():
        assert await it.counted(target, before[target] + count) == (before[target] + count) * FRAME
    for target in sent:
        await it.unfeed(target)
    await it.wire.until(inner, True)


async def test_ipv6_is_blocked_and_counted_as_ipv4_is(it: World) -> None:
    source, other = "2001:db8:203::a1", "2001:db8:203::a2"
    flow = f"udp:[{other}]:{SPORT}>[{LISTENER_V6[0]}]:{LISTENER_V6[1]}"
    inner, edge, prefix = "2001:db8:203::b7", "2001:db8:203::b8", "2001:db8:203::b0/125"
    for target in (source, flow, prefix):
        await it.feed(target)
    for sender in (source, other, inner):
        await it.wire.until(sender, False)
    assert await it.wire.passes(other, sport=SPORT + 1), "another flow"
    assert await it.wire.passing(edge, 10) == 10
    await it.protection.cli("allow", "add", inner)
    await it.wire.until(inner, True)
    await it.protection.cli("allow", "remove", inner)
    await it.wire.until(inner, False)
    before = await it.packets(source)
    assert await it.wire.passing(source, 123) == 0
    assert await it.counted(source, before + 123) == (before + 123) * FRAME_V6
    for target in (source, flow, prefix):
        await it.unfeed(target)
    for sender in (source, other, inner):
        await it.wire.until(sender, True)
