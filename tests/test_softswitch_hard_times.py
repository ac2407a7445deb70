"""Slow clients, floods of events, TLS: the server stays up and bounded."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r

from sdnblock.errors import SdnblockError
from sdnblock.softswitch import server as server_module
from sdnblock.softswitch.dataplane import SampledPacket
from sdnblock.softswitch.device import Device, Stream
from sdnblock.softswitch.listen import Tls, listen
from sdnblock.softswitch.memory import MemoryDataplane
from sdnblock.softswitch.refusal import OK
from tests.softswitch_kit import INSERT, Client, running, update
from tests.softswitch_kit import drop as drop_entry


def test_a_stream_that_is_not_read_is_bounded() -> None:
    stream = Stream()
    for _ in range(10000):
        stream.send(p4r.StreamMessageResponse(), droppable=True)
    kept = 10000 - stream.lost
    assert not stream.stuck
    for _ in range(10000):
        stream.send(p4r.StreamMessageResponse())
    assert stream.stuck and 20000 - stream.lost <= 2 * kept


async def test_a_flood_of_samples_holds_nobody_up() -> None:
    async with running() as server:
        client, plane = await server.primary(), server.dataplane
        session = p4r.Entity()
        clone = session.packet_replication_engine_entry.clone_session_entry
        clone.session_id = 250
        clone.replicas.add(egress_port=255, instance=1)
        assert await client.write(p4r.Update(type=INSERT, entity=session)) == [OK]
        for number in range(30000):
            plane.inject_event(SampledPacket(1, 1, number.to_bytes(4, "big") + bytes(100)))
        codes = await asyncio.wait_for(client.write(update(INSERT, drop_entry(1))), 2)
        assert codes == [OK]
        first = (await client.next()).packet.payload
        assert first[:4] == bytes(4)
        # Afterwards it works as before.
        await asyncio.sleep(1)
        for _ in range(30000):
            try:
                await client.next(0.3)
            except TimeoutError:
                break


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _certificate(directory: Path, name: str) -> None:
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.pem",
             "-days", "2", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")  # fmt: skip


async def _capabilities(address: str, credentials: grpc.ChannelCredentials) -> bool:
    channel = grpc.aio.secure_channel(address, credentials)
    client = Client(channel, 1)
    try:
        await client.stub.Capabilities(p4r.CapabilitiesRequest(), timeout=3)
    except grpc.aio.AioRpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        return False
    finally:
        await channel.close(None)
    return True


async def test_tls_with_and_without_client_certificates(tmp_path: Path) -> None:
    for name in ("switch", "controller"):
        _certificate(tmp_path, name)

    def read(name: str) -> bytes:
        return (tmp_path / name).read_bytes()

    anonymous = grpc.ssl_channel_credentials(read("switch.pem"))
    known = grpc.ssl_channel_credentials(
        read("switch.pem"), read("controller.key"), read("controller.pem")
    )
    for ca, allowed in ((None, True), (tmp_path / "controller.pem", False)):
        tls = Tls(tmp_path / "switch.pem", tmp_path / "switch.key", ca)
        listener = await listen(Device(MemoryDataplane()), "127.0.0.1:0", tls)
        assert await _capabilities(listener.address, known)
        assert await _capabilities(listener.address, anonymous) is allowed
        await listener.stop()


async def test_tls_files_that_do_not_fit(tmp_path: Path) -> None:
    _certificate(tmp_path, "switch")
    for tls, says in (
        (Tls(tmp_path / "no", tmp_path / "no"), "cannot read"),
        (Tls(tmp_path / "switch.pem", tmp_path / "switch.pem"), "TLS"),
    ):
        with pytest.raises(SdnblockError) as caught:
            await listen(Device(MemoryDataplane()), "127.0.0.1:0", tls)
        assert says in str(caught.value) and "\n" not in str(caught.value)


async def test_readers_that_do_not_read_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_PATIENCE", 0.5)
    monkeypatch.setattr(server_module, "_ANSWERS", 6)
    async with running() as server:
        client = await server.primary()
        for start in range(0, 40000, 5000):
            await client.write(*(update(INSERT, drop_entry(start + n)) for n in range(5000)))
        asked = p4r.ReadRequest(device_id=1)
        asked.entities.add().table_entry.SetInParent()
        idle = [server.client(None).stub.Read(asked) for _ in range(6)]
        for call in idle:
            await call.read()  # the first message, and no more
        for _ in range(100):
            try:
                found = await client.read_tables(p4r.TableEntry())
            except grpc.aio.AioRpcError as error:
                assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                await asyncio.sleep(0.1)
                continue
            assert len(found) == 40026
            break
        else:
            raise AssertionError("readers that do not read keep all others out")
