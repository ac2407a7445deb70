"""Open vSwitch over TCP and TLS, several bridges at one address, and one that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sdnblock.block import Action, parse_target
from sdnblock.errors import SwitchError
from sdnblock.switches.driver import BlockChange, Op, SwitchLost
from sdnblock.switches.openflow import listener
from sdnblock.switches.openflow.driver import OpenFlowDriver
from sdnblock.switches.openflow.listener import Listeners
from sdnblock.switches.settings import SwitchSettings, TlsFiles
from tests.certificates import Authority, Signed
from tests.e2e.sockets import made_in
from tests.openflow_switch import DATAPATH_ID, Vswitch

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(shutil.which("ovs-vswitchd") is None, reason="no Open vSwitch"),
]

ADDRESS = "127.0.0.1:6653"
SETTINGS = SwitchSettings(
    "br0", ADDRESS, protocol="openflow", datapath_id=DATAPATH_ID, rpc_timeout=3.0
)
OTHER = replace(SETTINGS, name="br1", datapath_id=DATAPATH_ID + 1)
CHANGE = BlockChange(Op.INSERT, parse_target("192.0.2.1"), Action.DROP)


@pytest.fixture
async def switch(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Vswitch]:
    """Open vSwitch; what listens, listens on the loopback of its namespace."""
    made = Vswitch()

    async def listen(address: str) -> list[socket.socket]:
        host, _, port = address.rpartition(":")

        def make() -> socket.socket:
            sock = socket.create_server((host, int(port)))
            sock.setblocking(False)
            return sock

        return [made_in(f"{made.tag}-switch", make)]

    monkeypatch.setattr(listener, "listen", listen)
    try:
        await made.open()
        yield made
    finally:
        await made.close()


async def until(check: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it does not happen"
        await asyncio.sleep(0.02)


async def test_bridges_share_an_address_and_none_takes_the_place_of_another(
    switch: Vswitch, caplog: pytest.LogCaptureFixture
) -> None:
    await switch.add_bridge("br1", OTHER.datapath_id)
    await switch.add_bridge("br2", OTHER.datapath_id)  # by mistake
    listeners = Listeners()
    drivers = [OpenFlowDriver(each, listeners.of(each)) for each in (SETTINGS, OTHER)]
    try:
        connecting = asyncio.gather(*(driver.connect() for driver in drivers))
        for bridge in ("br0", "br1"):
            await switch.controller(f"tcp:{ADDRESS}", bridge=bridge)
        await connecting
        for driver in drivers:
            assert "at 127.0.0.1:" in driver.status.description
            assert await driver.write([CHANGE]) == []
        await switch.controller(f"tcp:{ADDRESS}", bridge="br2")
        await until(lambda: "a second one with the same datapath_id" in caplog.text)
        assert (await drivers[1].read_installed()).blocks == {CHANGE.target: Action.DROP}
        assert await switch.flows("br2") == []
    finally:
        for driver in drivers:
            await driver.close()


async def test_a_switch_that_hangs_is_lost_in_time_and_found_again(switch: Vswitch) -> None:
    settings = replace(SETTINGS, rpc_timeout=1.0)
    driver = OpenFlowDriver(settings, Listeners().of(settings))
    try:
        connecting = asyncio.create_task(driver.connect())
        await asyncio.sleep(0.05)
        await switch.controller(f"tcp:{ADDRESS}")
        await connecting
        assert await driver.write([CHANGE]) == []
        assert switch.vswitchd is not None
        switch.vswitchd.signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(SwitchLost, match=r"silent for|no answer within"):
            while True:
                await driver.write(())
                await asyncio.sleep(0.05)
        assert time.monotonic() - began < 5
        switch.vswitchd.signal(signal.SIGCONT)
        await asyncio.wait_for(driver.connect(), 15)
        assert (await driver.read_installed()).blocks == {CHANGE.target: Action.DROP}
    finally:
        await driver.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_tls_wants_both_sides_to_prove_themselves(
    switch: Vswitch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority, strange = Authority(tmp_path, "ca"), Authority(tmp_path, "strange")
    ours = authority.sign("controller")
    settings = replace(SETTINGS, tls=TlsFiles(ours.ca, ours.certificate, ours.key), rpc_timeout=3.0)
    driver = OpenFlowDriver(settings, Listeners().of(settings))

    async def proves(signed: Signed) -> None:
        await switch.vsctl("set-ssl", *map(str, (signed.key, signed.certificate, signed.ca)))

    try:
        # A switch that another authority has signed, and one without TLS.
        impostor = strange.sign("switch")
        await proves(Signed(impostor.certificate, impostor.key, authority.certificate))
        await switch.controller(f"ssl:{ADDRESS}")
        with pytest.raises(SwitchError, match=f"has not connected to {ADDRESS}"):
            await driver.connect()
        assert "OpenFlow switch at 127.0.0.1:" in caplog.text
        assert "no TLS with it: CERTIFICATE_VERIFY_FAILED" in caplog.text
        await switch.controller(f"tcp:{ADDRESS}")
        await until(lambda: "no TLS with it: WRONG_VERSION_NUMBER" in caplog.text)
        assert "no TLS with it: \n" not in caplog.text
        # The right one.
        connecting = asyncio.create_task(driver.connect())
        await proves(authority.sign("switch"))
        await switch.controller(f"ssl:{ADDRESS}")
        await asyncio.wait_for(connecting, 15)
        assert await driver.write([CHANGE]) == []
        assert (await driver.read_installed()).blocks == {CHANGE.target: Action.DROP}
    finally:
        await driver.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_who_hangs_up_within_the_tls_handshake_is_told_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = Authority(tmp_path, "ca").sign("controller")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    files = TlsFiles(ours.ca, ours.certificate, ours.key)
    settings = replace(SETTINGS, address=f"127.0.0.1:{port}", tls=files)
    driver = OpenFlowDriver(settings, Listeners().of(settings))
    connecting = asyncio.create_task(driver.connect())
    try:
        while not caplog.text:
            with contextlib.suppress(OSError):  # it does not listen yet
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
            await asyncio.sleep(0.05)
        assert "no TLS with it: it hung up" in caplog.text
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await driver.close()


async def test_tls_files_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    files = TlsFiles(tmp_path / "ca", tmp_path / "certificate", tmp_path / "key")
    settings = replace(SETTINGS, tls=files)
    driver = OpenFlowDriver(settings, Listeners().of(settings))
    with pytest.raises(SwitchError, match=f"cannot listen .* on {ADDRESS}: no such file"):
        await driver.connect()
    await driver.close()
