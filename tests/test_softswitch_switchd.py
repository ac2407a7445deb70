"""`sdnblock switchd` on real interfaces: packets dropped and counted, every kind of end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest
from finsy.proto import p4r

from sdnblock.artifacts import XDP_OBJECT, artifact
from sdnblock.cli import main
from sdnblock.softswitch import bpf
from tests.softswitch_kit import INSERT, MODIFY, entry, pipeline_config, table_id, update
from tests.softswitch_process import HOST, MAIN, Lab, is_root

root = [
    pytest.mark.root,
    pytest.mark.skipif(not is_root(), reason="needs root"),
]
HOST_KEY = socket.inet_aton(HOST)
COUNTED = p4r.TableEntry(table_id=table_id("source_v4"), counter_data=p4r.CounterData())


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two namespaces, nothing started."""
    made = Lab(tmp_path)
    try:
        yield made
    finally:
        made.close()


async def _block(lab: Lab) -> None:
    """Become primary, set the pipeline, drop the host."""
    client = lab.client()
    await client.arbitrate()
    assert await client.status() == (0, 1)
    await client.set_pipeline(pipeline_config(artifact(XDP_OBJECT).read_bytes(), cookie=42))
    codes = await client.write(update(INSERT, entry("source_v4", HOST_KEY, action="drop")))
    assert codes == [0]
    await client.channel.close(None)


async def _dropped(lab: Lab) -> int:
    """Packets that the host's entry has dropped, by a client without a session."""
    client = lab.client()
    (found,) = await client.read_tables(COUNTED)
    assert found.match[0].exact.value == HOST_KEY.lstrip(b"\0")
    await client.channel.close(None)
    return found.counter_data.packet_count


async def _cookie(lab: Lab) -> int | None:
    client = lab.client()
    request = p4r.GetForwardingPipelineConfigRequest(device_id=lab.device_id)
    answer = await client.stub.GetForwardingPipelineConfig(request)
    await client.channel.close(None)
    return answer.config.cookie.cookie if answer.HasField("config") else None


class TestProcess:
    """The life of the process."""

    pytestmark = root

    async def test_drops_counts_and_detaches(self, lab: Lab) -> None:
        process = lab.start()
        assert not lab.has_xdp() and lab.pings() == 2
        await _block(lab)
        assert re.search(r"port 1: port1, (native|generic) XDP", lab.said())
        assert lab.has_xdp() and lab.pings(3) == 0
        assert await _dropped(lab) == 3
        assert lab.end(process) == 0
        assert not lab.has_xdp() and lab.pings() == 2
        assert not lab.has_pins()
        process = lab.start()
        assert await _cookie(lab) is None
        assert lab.end(process, signal.SIGINT) == 0

    async def test_keep_leaves_everything_in_force_for_the_next(self, lab: Lab) -> None:
        process = lab.start("--keep")
        await _block(lab)
        assert lab.pings(3) == 0
        assert lab.end(process) == 0
        assert lab.has_xdp() and lab.pings(2) == 0
        process = lab.start()
        assert await _cookie(lab) == 42
        assert await _dropped(lab) == 5
        assert lab.pings(1) == 0
        client = lab.client()
        await client.arbitrate()
        await client.status()
        watch = entry("source_v4", HOST_KEY, action="watch")
        session = p4r.Entity()
        clone = session.packet_replication_engine_entry.clone_session_entry
        clone.session_id = 250
        clone.replicas.add(egress_port=255, instance=1)
        sampling = p4r.Update(type=INSERT, entity=session)
        assert await client.write(update(MODIFY, watch), sampling) == [0, 0]
        assert lab.pings(2) == 2
        assert await _dropped(lab) >= 8
        sample = (await client.next()).packet  # events reach the successor too
        assert sample.payload[26:30] == HOST_KEY
        await client.channel.close(None)
        assert lab.end(process) == 0
        assert not lab.has_xdp()

    async def test_a_killed_one_is_succeeded_without_a_gap(self, lab: Lab) -> None:
        process = lab.start()
        await _block(lab)
        assert lab.pings(3) == 0
        lab.end(process, signal.SIGKILL)
        assert lab.pings(2) == 0
        process = lab.start()
        assert (await _cookie(lab), await _dropped(lab)) == (42, 5)
        assert lab.pings(1) == 0
        assert lab.end(process) == 0
        assert lab.pings() == 2

    async def test_a_lost_config_leaves_drops_in_force_until_a_client_comes(self, lab: Lab) -> None:
        process = lab.start("--keep")
        await _block(lab)
        lab.end(process)
        lab.lose_config()
        process = lab.start()
        assert await _cookie(lab) is None
        assert "not known here" in lab.said()
        assert lab.pings(1) == 0
        await _block(lab)
        assert lab.pings(1) == 0
        assert await _dropped(lab) == 1
        assert lab.end(process) == 0

    async def test_two_of_one_device(self, lab: Lab) -> None:
        first = lab.start()
        second = lab.start(ready=False)
        assert second.wait(20) == 1
        assert f"device {lab.device_id} is run by another switchd already" in lab.said()
        assert lab.end(first) == 0

    async def test_readiness_is_told_to_the_service_manager(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(5)
            monkeypatch.setenv("NOTIFY_SOCKET", str(path))
            process = lab.start()
            assert manager.recv(100) == b"READY=1"
            assert lab.end(process) == 0
            assert manager.recv(100) == b"STOPPING=1"

    async def test_a_warning_where_others_reach_us(self, lab: Lab) -> None:
        process = lab.start("--listen", "0.0.0.0:0")
        assert "whoever reaches 0.0.0.0:" in lab.said()
        assert lab.end(process) == 0

    def test_one_line_and_status_1(self, lab: Lab) -> None:
        def fails(*options: str) -> str:
            done = subprocess.run(
                ["nsenter", f"--net=/run/netns/{lab.switch}", *MAIN, "switchd", *options],
                capture_output=True, text=True, timeout=20, check=False,
            )  # fmt: skip
            assert done.returncode == 1, done
            (line,) = done.stderr.splitlines()
            assert done.stdout == ""
            return line

        device = ("--device-id", str(lab.device_id))
        assert "no interface 'nothere'" in fails("--interface", "nothere", *device)
        port = ("--interface", "port1", *device, "--listen")
        assert "cannot listen on 192.0.2.1:9559" in fails(*port, "192.0.2.1:9559")
        assert "cannot read /nowhere.pem" in fails(
            *port, "[::1]:0", "--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.pem"
        )

    def test_port_in_use(self, lab: Lab) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            address = f"127.0.0.1:{other.getsockname()[1]}"
            done = subprocess.run(
                [*MAIN, "switchd", "--interface", "lo", "--device-id", str(lab.device_id),
                 "--listen", address],
                capture_output=True, text=True, timeout=20, check=False,
            )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr == f"sdnblock: cannot listen on {address}: Address already in use\n"

    def test_without_root(self) -> None:
        result = subprocess.run(
            ["setpriv", "--reuid", "65534", "--clear-groups", *MAIN, "switchd",
             "--interface", "lo"],
            capture_output=True, text=True, timeout=20, check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert result.returncode == 1, result
        assert result.stderr.splitlines() == ["sdnblock: switchd needs root: it loads BPF programs"]

    def test_a_kernel_that_is_too_old(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bpf, "OLDEST_KERNEL", (99, 0))
        result = click.testing.CliRunner().invoke(
            main, ["switchd", "--interface", "lo", "--device-id", str(lab.device_id)]
        )
        assert result.exit_code == 1
        assert "is too old" in result.output


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--interface", ""],
        ["--interface", "lo,"],
        ["--interface", "lo,lo"],
        ["--interface", "lo", "--interface", "lo"],
        ["--interface", "lo", "--listen", "9559"],
        ["--interface", "lo", "--listen", ":9559"],
        ["--interface", "lo", "--listen", "::1:9559"],
        ["--interface", "lo", "--listen", "127.0.0.1:65536"],
        ["--interface", "lo", "--listen", "127.0.0.1:x"],
        ["--interface", "lo", "--listen", "unix:"],
        ["--interface", "lo", "--device-id", "0"],
        ["--interface", "lo", "--device-id", "-1"],
        ["--interface", "lo", "--device-id", "x"],
        ["--interface", "lo", "--tls-cert", "x"],
        ["--interface", "lo", "--tls-client-ca", "x"],
        ["--interface", "lo", "extra"],
    ],
)
def test_usage_errors(options: list[str]) -> None:
    result = click.testing.CliRunner().invoke(main, ["switchd", *options])
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
