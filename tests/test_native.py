"""The machine code of ``make native`` reads and concludes what its sources do.

Runs in ``make test-native`` (part of ``make test``), with the tests of what was compiled.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sdnblock.detect.engine
from tests.conclusions import told
from tests.native_build import NATIVE

_ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not NATIVE, reason="of the machine code: make test-native runs it")


def test_it_says_the_same_as_its_sources() -> None:
    sources = subprocess.run(
        [sys.executable, "-c", _OF_THE_SOURCES],
        capture_output=True, text=True, check=True, cwd=_ROOT, timeout=100,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "utf-8"},
    ).stdout.splitlines()  # fmt: skip
    assert len(sources) > 10_000
    for number, (mine, other) in enumerate(itertools.zip_longest(told(), sources)):
        assert mine == other, f"line {number}"


_OF_THE_SOURCES = """
import sdnblock.detect.engine, tests.conclusions
assert sdnblock.detect.engine.__file__.endswith(".py")
tests.conclusions.main()
"""


def test_everything_that_should_be_is_compiled() -> None:
    package = Path(sdnblock.detect.engine.__file__).parent.parent
    pure = {
        str(path.relative_to(package))
        for part in ("evidence", "detect", "replay")
        for path in (package / part).rglob("*.py")
        if not list(path.parent.glob(f"{path.stem}.*.so")) and path.stem != "__init__"
    }
    assert pure == {"detect/fraud/profiles.py", "detect/kind.py", "evidence/kamailio.py"}


def test_its_command_runs_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "sdnblock", "replay", str(tmp_path / "none.pcap")],
        capture_output=True, text=True, check=False, timeout=60, cwd=_ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert "none.pcap" in done.stderr
    assert "Traceback" not in done.stderr
