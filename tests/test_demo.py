"""The demo, as a user runs it: a real Kamailio, real callers, a real scanner; and Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NEEDED = ("kamailio", "sipp", "svmap", "svwar", "redis-server")
ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in NEEDED),
        reason=f"one of {', '.join(NEEDED)} is not installed",
    ),
    pytest.mark.timeout(180),
]


def start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def left_behind(pid: int) -> list[str]:
    """Namespaces of the demo with this process id, and folders of any demo."""
    names = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True)
    return [name for name in names.stdout.split() if name.startswith(f"sdnb{pid}-")]


def test_all_of_it_holds() -> None:
    demo = start()
    out, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, out
    assert "all of it held" in out
    assert "FAILED" not in out
    assert not left_behind(demo.pid)


def test_ctrl_c_leaves_nothing_behind() -> None:
    demo = start()
    time.sleep(4)
    assert left_behind(demo.pid)
    demo.send_signal(signal.SIGINT)
    out, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, out
    assert not left_behind(demo.pid)
