"""A client that is not ours: p4runtime-shell, in an environment of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdnblock.artifacts import P4INFO, XDP_OBJECT, artifact
from tests.softswitch_kit import running
from tests.softswitch_process import Lab, is_root

PYTHON = Path(__file__).parents[1] / ".venv-shell" / "bin" / "python"
SESSION = Path(__file__).with_name("softswitch_shell_session.py")

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no p4runtime-shell: make test puts it into .venv-shell"
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two namespaces, nothing started."""
    made = Lab(tmp_path)
    try:
        yield made
    finally:
        made.close()


async def _shell(address: str, device_id: int) -> None:
    process = await asyncio.create_subprocess_exec(
        PYTHON, SESSION, address, str(device_id), artifact(P4INFO), artifact(XDP_OBJECT),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output.decode()
    assert output.decode().splitlines()[-1] == "done"


async def test_on_a_data_plane_in_memory() -> None:
    async with running() as server:
        await _shell(server.listener.address, 1)


@pytest.mark.root
@pytest.mark.skipif(not is_root(), reason="needs root")
async def test_on_switchd(lab: Lab) -> None:
    process = lab.start()
    await _shell(lab.address, lab.device_id)
    assert lab.has_xdp() and lab.pings() == 2
    assert lab.end(process) == 0
