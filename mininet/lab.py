"""Attacks against a SIP server behind sdnblock's switches, in Mininet.

    sudo python3 mininet/lab.py --switch xdp --attack register-enum
    sudo python3 mininet/lab.py --switch ovs --topology leafspine --cli
    sudo python3 mininet/lab.py --switch all --topology all --attack all

Run by the system's Python, which has the distribution's Mininet; sdnblock itself comes from
the repository's .venv (``make test`` or ``make demo`` makes it). See docs/lab.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checks import SYSTEM_PYTHON, problem
from confine import confined

from demo.campaigns import CAMPAIGNS, for_emulator

SWITCHES = ("bmv2", "ovs", "xdp")
TOPOLOGIES = ("edge", "leafspine")
_CLEAN = frozenset({0, 129, 130, 143})
"""Exit statuses after which nobody wants to read logs: held, or interrupted."""


def arguments() -> argparse.Namespace:
    """The command line."""
    names = "\n".join(f"  {each.name:<18}{each.says}" for each in CAMPAIGNS.values())
    parser = argparse.ArgumentParser(
        description="Attack a SIP server behind sdnblock's switches, in Mininet."
        " Exit status 0: all that is promised of the attack held.",
        epilog=f"attacks:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--switch", choices=(*SWITCHES, "all"), required=True)
    parser.add_argument("--topology", choices=(*TOPOLOGIES, "all"), default="edge")
    parser.add_argument(
        "--attack", choices=(*CAMPAIGNS, "all"), metavar="NAME", help="one of those below, or all"
    )
    parser.add_argument("--cli", action="store_true", help="then Mininet's prompt")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    found = parser.parse_args()
    if not found.attack and not found.cli:
        parser.error("say --attack NAME, or --cli, or both")
    if found.cli and "all" in (found.switch, found.topology, found.attack):
        parser.error("--cli is for one lab: name its switch, topology and attack")
    return found


def one(options: argparse.Namespace) -> int:
    """One lab: check, build, attack, clean up; the exit status."""
    if why := problem(options.switch):
        print(f"lab: {why}", file=sys.stderr)
        return 1
    from session import Play, perform  # needs Mininet

    campaign = CAMPAIGNS[options.attack] if options.attack else None
    if campaign is not None and options.switch == "bmv2":
        campaign = for_emulator(campaign)
    directory = Path(tempfile.mkdtemp(prefix="sdnblock-lab-"))
    play = Play(options.switch, options.topology, campaign, options.cli, options.output, directory)
    status = 1
    try:
        # In its namespace every lab has process 1: our number tells its switches from others.
        status = confined(partial(perform, play, os.getpid()))
        return status
    except OSError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    finally:
        if status in _CLEAN:
            shutil.rmtree(directory)
        else:
            print(f"lab: logs are in {directory}", file=sys.stderr)


def main() -> int:
    """One lab, or one after the other."""
    options = arguments()
    if importlib.util.find_spec("mininet.net") is None:
        if Path(sys.executable) != SYSTEM_PYTHON:
            os.execv(SYSTEM_PYTHON, (str(SYSTEM_PYTHON), *sys.argv))
        print(f"lab: {SYSTEM_PYTHON} has no Mininet; run: make packages", file=sys.stderr)
        return 1
    if "all" not in (options.switch, options.topology, options.attack):
        return one(options)
    from matrix import matrix

    return matrix(
        SWITCHES if options.switch == "all" else (options.switch,),
        TOPOLOGIES if options.topology == "all" else (options.topology,),
        tuple(CAMPAIGNS) if options.attack == "all" else (options.attack,),
    )


if __name__ == "__main__":
    sys.exit(main())
