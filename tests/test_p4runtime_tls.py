"""TLS to a switch."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r_grpc

from sdnblock.errors import SwitchError
from sdnblock.switches.p4runtime.driver import P4RuntimeDriver
from sdnblock.switches.settings import SwitchSettings, TlsFiles
from tests import p4runtime_kit as kit
from tests.p4runtime_fake import FakeSwitch


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    pem, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    extension = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*command.split(), *extension, "-out", str(pem), "-keyout", str(key)],
        check=True,
        capture_output=True,
    )
    return pem, key


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """A server that wants our certificate too."""
    pem, key = certificate(tmp_path, "switch")
    ours, _ = certificate(tmp_path, "controller")
    server = grpc.aio.server()
    p4r_grpc.add_P4RuntimeServicer_to_server(FakeSwitch(), server)
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), pem.read_bytes())], ours.read_bytes(), True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


def driver(address: str, folder: Path, tls: TlsFiles | None) -> P4RuntimeDriver:
    config = folder / "device.json"
    config.write_text("{}")
    p4info = kit.artifact("sdnblock.p4info.txtpb")
    return P4RuntimeDriver(
        SwitchSettings("s1", address, p4info=p4info, device_config=config, tls=tls)
    )


async def test_both_sides_prove_themselves(address: str, tmp_path: Path) -> None:
    tls = TlsFiles(
        ca=tmp_path / "switch.pem",
        certificate=tmp_path / "controller.pem",
        key=tmp_path / "controller.key",
        server_name="localhost",
    )
    one = driver(address, tmp_path, tls)
    await one.connect()
    assert one.status.role == "primary"
    await one.close()


async def test_a_switch_that_proves_nothing_is_refused(address: str, tmp_path: Path) -> None:
    certificate(tmp_path, "other")
    for tls in (
        TlsFiles(ca=tmp_path / "other.pem", server_name="localhost"),
        TlsFiles(ca=tmp_path / "switch.pem", server_name="localhost"),
        TlsFiles(ca=tmp_path / "switch.pem"),
        None,
    ):
        with pytest.raises(SwitchError, match="switch s1") as caught:
            await driver(address, tmp_path, tls).connect()
        assert "\n" not in str(caught.value)


async def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(SwitchError, match="absent"):
        await driver("127.0.0.1:1", tmp_path, TlsFiles(ca=tmp_path / "absent")).connect()
    with pytest.raises(SwitchError, match="both the certificate and the key"):
        await driver("127.0.0.1:1", tmp_path, TlsFiles(certificate=tmp_path / "a")).connect()
