"""What an attack's figures are counted by: it hears from the moment that it says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from demo.attack import Ear
from demo.network import QUIET, SERVER, Network
from demo.processes import run


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
async def test_nothing_is_missed_at_the_beginning(tmp_path: Path) -> None:
    network = Network(tmp_path)
    try:
        await network.create()
        link = ("lladdr", "02:00:00:00:00:01", "dev", "eth0")
        await run(*network.inside(QUIET.role), "ip", "neigh", "replace", SERVER, *link)
        ear = Ear(network, QUIET, tmp_path)
        await ear.start()
        await run(*network.inside(QUIET.role), "bash", "-c", f"echo > /dev/udp/{SERVER}/5060")
        assert (await ear.settled()).sent == 1
        await ear.stop()
    finally:
        await network.destroy()
