"""The Mininet lab, as a user runs it: by the system's Python, with the distribution's Mininet."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.world import missing

ROOT = Path(__file__).parents[1]
LAB = ROOT / "mininet/lab.py"
SYSTEM_PYTHON = "/usr/bin/python3"
PINS = Path("/sys/fs/bpf/sdnblock")
NEEDED = ("kamailio", "sipp", "svmap", "svwar", "svcrack", "redis-server")


def no_mininet() -> bool:
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import mininet.net"], capture_output=True)
    return found.returncode != 0


pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(no_mininet(), reason="the distribution's mininet is not installed"),
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in NEEDED),
        reason=f"one of {', '.join(NEEDED)} is not installed",
    ),
]


def case(kind: str, attack: str) -> object:
    return pytest.param(
        *(kind, attack),
        id=kind,
        marks=[
            pytest.mark.skipif(bool(missing(kind)), reason=missing(kind)),
            *([pytest.mark.bmv2] if kind == "bmv2" else []),
        ],
    )


@pytest.mark.parametrize(
    ("kind", "attack"),
    [case("xdp", "options-scan"), case("ovs", "register-enum"), case("bmv2", "options-scan")],
)
def test_an_attack_is_cut_at_every_edge(kind: str, attack: str) -> None:
    lab = subprocess.run(
        [SYSTEM_PYTHON, LAB, "--switch", kind, "--topology", "leafspine", "--attack", attack,
         "-o", "json"],
        text=True, capture_output=True, timeout=100,
    )  # fmt: skip
    assert lab.returncode == 0, lab.stdout + lab.stderr
    found = json.loads(lab.stdout)
    assert found["broken"] == []
    assert found["heard"]["sent"] > 200
    assert found["heard"]["received"] <= 10
    assert found["calls"]["completed"] >= 10
    assert found["elsewhere"][0] >= 0.9
    assert found["elsewhere"][1] == 0.0
    assert {row["target"] for row in found["blocks"]} == {"203.0.113.66"}


@pytest.mark.skipif(bool(missing("xdp")), reason=missing("xdp"))
def test_the_prompt_and_the_controller_behind_it() -> None:
    words = (
        "pingall\n"
        "attacker timeout 10 svmap 198.51.100.10\n"
        f"sh {ROOT}/.venv/bin/sdnblock --config $(ls -t -d /tmp/sdnblock-lab-*/sdnblock.toml"
        " | head -1) block list\n"
        "exit\n"
    )
    lab = subprocess.run(
        [SYSTEM_PYTHON, LAB, "--switch", "xdp", "--cli"],
        input=words, text=True, capture_output=True, timeout=100,
    )  # fmt: skip
    said = lab.stdout + lab.stderr
    assert lab.returncode == 0, said
    assert "Results: 0% dropped (6/6 received)" in said
    assert re.search(r"203\.0\.113\.66 +drop +scanner", said), said


@pytest.mark.skipif(bool(missing("xdp")), reason=missing("xdp"))
@pytest.mark.parametrize(
    ("number", "when"),
    [(signal.SIGINT, "switchd"), (signal.SIGTERM, "svcrack"), (signal.SIGKILL, "svcrack")],
    ids=["SIGINT while it is built", "SIGTERM in an attack", "SIGKILL in an attack"],
)
def test_whatever_stops_it_nothing_is_left(number: signal.Signals, when: str) -> None:
    lab = subprocess.Popen(
        [SYSTEM_PYTHON, LAB, "--switch", "xdp", "--topology", "edge", "--attack", "crack"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    children = descendants(lab.pid)
    while not any(when in command(pid) for pid in children):
        assert lab.poll() is None and time.monotonic() < deadline, f"no {when} runs"
        time.sleep(0.05)
        children = descendants(lab.pid)
    lab.send_signal(number)
    said, _ = lab.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert lab.returncode == -signal.SIGKILL
    else:
        assert lab.returncode == 128 + number, said
        assert f"stopped by {number.name}; cleaned up" in said
        assert "logs are in" not in said
    deadline = time.monotonic() + 10
    while alive := [pid for pid, began in children.items() if born(pid) == began]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)
    assert not [pin for pin in PINS.glob("*") if pin.name.startswith(f"{lab.pid}0")]


def test_what_is_missing_is_said_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(LAB.parent)
    from checks import problem

    def which(*absent: str) -> Callable[[str], str | None]:
        return lambda name: None if name in absent else f"/usr/bin/{name}"

    def why(switch: str, *absent: str, root: bool = True, program: Path = LAB) -> str | None:
        return problem(switch, root=root, which=which(*absent), program=program)

    for switch in ("xdp", "bmv2", "ovs"):
        assert why(switch) is None
        assert "sudo python3 mininet/lab.py" in (why(switch, root=False) or "")
        assert why(switch, "kamailio", "sipp") == (
            "not installed: kamailio, sipp; run: make packages"
        )
        assert "make .venv/installed" in (why(switch, program=Path("/nowhere")) or "")
    assert why("xdp", "simple_switch_grpc", "ovs-vswitchd") is None
    assert "simple_switch_grpc is not on the PATH" in (why("bmv2", "simple_switch_grpc") or "")
    assert "ovs-vswitchd; run: make packages" in (why("ovs", "ovs-vswitchd") or "")


def test_a_python_without_mininet_says_so() -> None:
    done = subprocess.run(  # no site packages, no Mininet
        [SYSTEM_PYTHON, "-S", LAB, "--switch", "xdp", "--attack", "flood"],
        text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"lab: {SYSTEM_PYTHON} has no Mininet; run: make packages\n"


def test_another_python_hands_over_to_that_with_mininet() -> None:
    done = subprocess.run(
        [sys.executable, LAB, "--switch", "xdp", "--attack", "flood"],
        env={"PATH": "/nowhere"}, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert "make packages" in done.stderr
    assert "no Mininet" not in done.stderr


def descendants(pid: int) -> dict[int, str]:
    """All processes below one, and when each began."""
    found: dict[int, str] = {}
    with suppress(OSError):  # it has just ended
        for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found[int(each)] = born(int(each))
            found |= descendants(int(each))
    return found


def command(pid: int) -> str:
    """A process's command line; empty if there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def born(pid: int) -> str:
    """When a process began, in ticks since boot; empty if there is none (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else str(fields[19])
