"""Requests forged in the names of registered peers cost these nothing: twenty-five thousand, from a
hundred; ``make framing`` does the same with a million, from a thousand."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bench.framing.__main__ import frame
from bench.framing.stage import stage

_TOOLS = ("redis-server", "kamailio", "sipp")


@pytest.mark.root
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in _TOOLS), reason=f"needs {', '.join(_TOOLS)}"
)
async def test_peers_in_whose_names_requests_are_forged_lose_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path, 100) as made:
        assert await frame(made, 25_000, 1000, 4.0) == []
        assert made.alarms()
