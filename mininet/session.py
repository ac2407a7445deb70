"""One lab: a network with everything around it, an attack, Mininet's prompt; then nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Final, Literal, NoReturn

from confine import STOPS
from mininet.cli import CLI
from mininet.log import setLogLevel
from mininet.net import Mininet
from run_attack import run_attack
from stage import MininetStage, Running
from switches import SWITCHES
from topologies import TOPOLOGIES

from demo.aftermath import Aftermath
from demo.campaigns import Campaign
from demo.phones import Phones
from demo.processes import CommandFailed
from demo.protection import Protection
from demo.recipes import SDNBLOCK
from demo.server import start_gateway, start_server

_SETTINGS: Final = """\
[safety]
own_prefixes = ["198.51.100.0/24"]
"""
_CALLS_PER_SECOND: Final = 2.0


class Stopped(BaseException):
    """A signal has asked us to stop. No Exception: nobody else shall catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@dataclass(frozen=True)
class Play:
    """What a lab is to do."""

    switch: str
    topology: str
    campaign: Campaign | None
    prompt: bool
    output: Literal["text", "json"]
    directory: Path
    """For sockets and logs."""


def perform(play: Play, number: int) -> int:
    """Build it, attack, show the prompt; the exit status. Nothing runs afterwards.

    ``number`` is what device ids begin with.
    """
    setLogLevel("output")
    for each in STOPS:
        signal.signal(each, _raise)
    kind, topology = SWITCHES[play.switch], TOPOLOGIES[play.topology]
    net = Mininet(
        topo=topology(kind, play.directory, number * 10),
        controller=None,
        build=False,  # so that it can be stopped when it is interrupted half-built
    )
    try:
        net.build()
        net.start()
        return asyncio.run(_perform(play, net))
    except Stopped as stopped:
        print(f"lab: {stopped}; cleaned up", file=sys.stderr)
        return 128 + stopped.number
    except (CommandFailed, RuntimeError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    finally:
        for each in STOPS:
            signal.signal(each, signal.SIG_IGN)
        net.stop()


async def _perform(play: Play, net: Mininet) -> int:
    """Raises CommandFailed, and Stopped once the clean-up is done."""
    task, stopped = asyncio.current_task(), list[int]()
    assert task is not None
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if not stopped:  # another one does not disturb the clean-up
            stopped.append(number)
            task.cancel()

    for each in STOPS:
        loop.add_signal_handler(each, stop, each)
    try:
        return await _play(play, net)
    except asyncio.CancelledError:
        raise Stopped(stopped[0]) from None


async def _play(play: Play, net: Mininet) -> int:
    stage = MininetStage(net, play.directory)
    switches = [Running(node) for node in net.switches]
    hep = play.campaign is not None and play.campaign.hep
    protection = Protection(
        *(stage, play.directory, _SETTINGS + (play.campaign.settings if play.campaign else "")),
        *(switches, "server" if hep else ""),
    )
    phones = Phones(stage, play.directory)
    async with AsyncExitStack() as stack:
        await stage.address(static=play.topology == "leafspine")
        server = await start_server(stage, play.directory, ("WITH_HEP",) if hep else ())
        stack.push_async_callback(server.stop, 2)
        gateway = await start_gateway(stage)
        stack.push_async_callback(gateway.stop, 2)
        stack.push_async_callback(protection.stop)
        await protection.start()
        stack.push_async_callback(phones.stop)
        await phones.start(rate=_CALLS_PER_SECOND)
        status = 0
        if play.campaign is not None:
            result = await run_attack(
                play.campaign, stage, protection, phones, play.directory, net.topo.accesses
            )
            print(_render(play, result), flush=True)
            status = 1 if result.broken() else 0
        if play.prompt:
            print(f"\nthe controller's command line:  sh {SDNBLOCK} --config {protection.config}")
            _prompt(net)
        return status


def _render(play: Play, found: Aftermath) -> str:
    campaign = found.campaign
    if play.output == "text":
        title = f"{campaign.name} ({campaign.says}), {play.topology}, {play.switch}:"
        return f"{title}\n{found.report()}"
    return json.dumps(
        {
            "attack": campaign.name,
            "switch": play.switch,
            "topology": play.topology,
            "heard": asdict(found.heard),
            "calls": asdict(found.calls),
            "blocks": found.blocks,
            "elsewhere": found.elsewhere,
            "blocked_after": found.blocked_after,
            "silent_after": found.silent_after,
            "origins": found.origins,
            "alarms": found.alarms,
            "broken": found.broken(),
        }
    )


def _prompt(net: Mininet) -> None:
    """Mininet's prompt, which blocks our loop: what runs beside it are processes."""
    loop = asyncio.get_running_loop()
    for each in STOPS:
        loop.remove_signal_handler(each)
        # Ctrl-C interrupts a command, and the prompt goes on.
        signal.signal(each, signal.default_int_handler if each == signal.SIGINT else _raise)
    CLI(net)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    raise Stopped(number)
