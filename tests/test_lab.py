"""The Mininet lab, as a user runs it: by the system's Python, with the distribution's Mininet."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.world import missing

ROOT = Path(__file__).parents[1]
SYSTEM_PYTHON = "/usr/bin/python3"


def no_mininet() -> bool:
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import mininet.net"], capture_output=True)
    return found.returncode != 0


def case(kind: str, topology: str, attack: str) -> object:
    return pytest.param(
        *(kind, topology, attack),
        marks=[
            pytest.mark.skipif(bool(missing(kind)), reason=missing(kind)),
            *([pytest.mark.bmv2] if kind == "bmv2" else []),
        ],
        id=f"{kind}-{topology}",
    )


@pytest.mark.root
@pytest.mark.skipif(no_mininet(), reason="the distribution's mininet is not installed")
@pytest.mark.parametrize(
    ("kind", "topology", "attack"),
    [case("xdp", "leafspine", "register-enum"), case("bmv2", "leafspine", "options-scan")],
)
def test_an_attack_is_cut_at_every_edge(kind: str, topology: str, attack: str) -> None:
    lab = subprocess.run(
        [SYSTEM_PYTHON, "mininet/lab.py", "--switch", kind, "--topology", topology,
         "--attack", attack],
        cwd=ROOT, text=True, capture_output=True, timeout=100,
    )  # fmt: skip
    said = lab.stdout + lab.stderr
    assert lab.returncode == 0, said
    assert int(found(r"probes sent +(\d+)", said)) > 200
    assert int(found(r"replies leaked +(\d+)", said)) <= 10
    assert "not cut" not in said
    assert "drop 203.0.113.66 by" in said
    assert int(found(r"honest calls completed, failed +(\d+), 0\b", said)) >= 3
    if topology == "leafspine":
        assert found(r"before and after +(.*)", said) == "5, 0"


def found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    assert match, said
    return match[1]
