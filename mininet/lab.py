"""Attacks against a SIP server behind sdnblock's switches, in Mininet.

    sudo python3 mininet/lab.py --switch xdp --attack register-enum
    sudo python3 mininet/lab.py --switch ovs --topology leafspine --cli

Run by the system's Python, which has the distribution's Mininet; sdnblock itself comes from
the repository's .venv (``make test`` or ``make demo`` makes it).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mininet.cli import CLI
from mininet.log import setLogLevel
from mininet.net import Mininet
from run_attack import report, run_attack
from stage import MininetStage, Running
from switches import SWITCHES
from topologies import TOPOLOGIES

from demo.campaigns import CAMPAIGNS
from demo.phones import Phones
from demo.processes import CommandFailed, Process
from demo.protection import Protection
from demo.recipes import SDNBLOCK
from demo.server import start_gateway, start_server

_SETTINGS = """\
[safety]
own_prefixes = ["198.51.100.0/24"]
"""


def arguments() -> argparse.Namespace:
    """The command line."""
    names = "\n".join(f"  {each.name:<18}{each.says}" for each in CAMPAIGNS.values())
    parser = argparse.ArgumentParser(
        description="Attack a SIP server behind sdnblock's switches, in Mininet.",
        epilog=f"attacks:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--switch", choices=sorted(SWITCHES), required=True)
    parser.add_argument("--topology", choices=sorted(TOPOLOGIES), default="edge")
    parser.add_argument("--attack", choices=list(CAMPAIGNS), metavar="NAME")
    parser.add_argument("--cli", action="store_true", help="then Mininet's prompt")
    found = parser.parse_args()
    if not found.attack and not found.cli:
        parser.error("say --attack NAME, or --cli, or both")
    return found


async def lab(options: argparse.Namespace, net: Mininet, directory: Path) -> int:
    """Everything around the network, which runs; the exit status. Raises CommandFailed."""
    stage = MininetStage(net, directory)
    switches = [Running(node) for node in net.switches]
    protection = Protection(stage, directory, _SETTINGS, switches)
    phones = Phones(stage, directory)
    others: list[Process] = []
    try:
        await stage.address(static=options.topology == "leafspine")
        others += [await start_server(stage, directory), await start_gateway(stage)]
        await protection.start()
        await phones.start(rate=1)
        status = 0
        if options.attack:
            campaign, accesses = CAMPAIGNS[options.attack], net.topo.accesses
            print(f"{campaign.name} ({campaign.says}), {options.topology}, {options.switch}:")
            result = await run_attack(campaign, stage, protection, phones, directory, accesses)
            print(report(result))
            status = 0 if result.calls.completed and not result.calls.failed else 1
        if options.cli:
            print(f"\nthe controller's commands:  {SDNBLOCK} --config {protection.config} ...")
            CLI(net)
        return status
    finally:
        await phones.stop()
        for process in others:
            await process.stop(2)
        await protection.stop()


def main() -> int:
    """Check, build, run, clean up."""
    options = arguments()
    if os.geteuid() != 0:
        print("needs root: sudo python3 mininet/lab.py ...", file=sys.stderr)
        return 1
    if not SDNBLOCK.exists():
        print("there is no .venv yet: make demo makes it", file=sys.stderr)
        return 1
    setLogLevel("output")
    directory = Path(tempfile.mkdtemp(prefix="sdnblock-lab-"))
    topology = TOPOLOGIES[options.topology](SWITCHES[options.switch], directory)
    net = Mininet(topo=topology, controller=None)
    try:
        net.start()
        status = asyncio.run(lab(options, net, directory))
    except KeyboardInterrupt:
        status = 130
    except (CommandFailed, RuntimeError) as error:
        print(f"lab: {error}\nlogs are in {directory}", file=sys.stderr)
        return 1
    finally:
        net.stop()
    shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main())
