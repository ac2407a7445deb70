"""What a switchd leaves in the kernel for the next one: pins, and taking them over.

Every loaded program has a directory of its own, named by its kernel id, under the device's
directory in the BPF file system. It is complete before the program is attached, and removed
after the program was replaced: whenever a switchd is killed, one whole set is left.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sdnblock.softswitch import layout
from sdnblock.softswitch.attach import Interface, attach, detach, foreign
from sdnblock.softswitch.bpf import (
    BpfError,
    Libbpf,
    Loaded,
    Map,
    Program,
    attached_program,
    load_pins,
)

_log = logging.getLogger(__name__)

PROGRAMS: Final = ("pipeline", "control")
MAPS: Final = (
    *layout.TABLES, *layout.COUNTERS, *layout.METERS, *layout.OTHER_MAPS, "rodata",
)  # fmt: skip


def fits(loaded: Loaded) -> bool:
    """Whether a program's maps are laid out as this version of sdnblock expects."""
    raw = loaded.maps["rodata"].lookup(layout.INDEX.pack(0)) or b""
    return raw[: layout.LAYOUT.size] == layout.expected_layout()


def recorded_ports(ports: Map) -> dict[int, int]:
    """Interface index to port number, as a program has them."""
    found, key = {}, ports.next_key(None)
    while key is not None:
        if value := ports.lookup(key):
            found[layout.INDEX.unpack(key)[0]] = layout.INDEX.unpack_from(value)[0]
        key = ports.next_key(key)
    return found


@dataclass(frozen=True)
class _Left:
    """A set of pins: ``whole`` if all of it is there, else only its ``pipeline``."""

    directory: Path
    loaded: Loaded
    whole: bool

    @property
    def pipeline(self) -> Program:
        return self.loaded.programs["pipeline"]


class Pins:
    """The pins of one device in ``root``. Raises BpfError where the file system refuses."""

    def __init__(self, lib: Libbpf, root: Path) -> None:
        self._lib = lib
        self._root = root

    def stage(self, fresh: Loaded) -> Path:
        """Pin everything of a program beside what is in force."""
        directory = self._root / str(fresh.programs["pipeline"].id)
        try:
            directory.mkdir(parents=True)
        except OSError as error:
            raise BpfError(f"cannot make {directory}: {error.strerror}") from None
        try:
            for name in MAPS:
                fresh.maps[name].pin(directory / name)
            for program in fresh.programs.values():
                program.pin(directory / program.name)
        except BaseException:
            _remove(directory)
            raise
        return directory

    def settle(self, current: Path) -> None:
        """Only ``current`` is in force: remove all other sets."""
        for directory in self._directories():
            if directory != current:
                _remove(directory)

    def unstage(self, staged: Path) -> None:
        """Remove a set that did not come into force."""
        _remove(staged)
        with contextlib.suppress(OSError):  # other sets are there
            self._root.rmdir()

    def remove(self) -> None:
        """Remove all sets."""
        _remove(self._root)

    def take_over(self, interfaces: Sequence[Interface]) -> tuple[Loaded, dict[str, str]] | None:
        """The program that runs on ``interfaces``, its tables, and each interface's mode.

        None if there is none, or none that fits this version and these ports: what was
        left is then taken off and removed. A switchd killed while it replaced a program
        leaves two: the older wins, unless the new one runs everywhere, for it has the
        entries. Raises BpfError, with everything left as it was, if an interface runs
        somebody else's program.
        """
        left = [each for path in self._directories() if (each := self._open(path))]
        kept: Loaded | None = None
        try:
            found = self._choose(left, interfaces)
            if found is None:
                if self._directories():
                    self._discard(left, interfaces)
                return None
            modes = self._run_everywhere(found, left, interfaces)
            self.settle(found.directory)
            kept = found.loaded
        finally:
            for each in left:
                if each.loaded is not kept:
                    each.loaded.close()
        _log.info("took over the running program and its tables from %s", self._root)
        return kept, modes

    def _directories(self) -> list[Path]:
        """Oldest first."""
        try:
            found = list(self._root.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BpfError(f"cannot read {self._root}: {error.strerror}") from None
        return sorted(found, key=lambda path: (len(path.name), path.name))

    def _open(self, directory: Path) -> _Left | None:
        try:
            return _Left(directory, load_pins(self._lib, directory, MAPS, PROGRAMS), True)
        except BpfError as error:
            _log.warning("not taken over: %s", error)
        try:
            return _Left(directory, load_pins(self._lib, directory, (), PROGRAMS[:1]), False)
        except BpfError:
            return None  # cut off before it was attached, or after it was replaced

    def _choose(self, left: Sequence[_Left], interfaces: Sequence[Interface]) -> _Left | None:
        ours = {interface.index: interface.port for interface in interfaces}
        here = {index for index, _ in socket.if_nameindex()}
        running = {attached_program(self._lib, index)[0] for index in ours}
        for each in left:
            if not each.whole or each.pipeline.id not in running or not fits(each.loaded):
                continue
            ports = recorded_ports(each.loaded.maps["ports"])
            # An interface that is gone may have come back with a new index.
            if all(ours.get(index) == port for index, port in ports.items() if index in here):
                return each
            _log.warning("the ports are not what they were")
        return None

    def _run_everywhere(
        self, chosen: _Left, left: Sequence[_Left], interfaces: Sequence[Interface]
    ) -> dict[str, str]:
        programs = {each.pipeline.id: each.pipeline for each in left}
        running = {each: attached_program(self._lib, each.index)[0] for each in interfaces}
        for interface, program in running.items():
            if program and program not in programs:
                raise foreign(self._lib, interface)
        set_ports(self._lib, chosen.loaded, interfaces)
        return {
            interface.name: attach(
                self._lib, interface, chosen.pipeline, programs.get(running[interface])
            )
            for interface in interfaces
        }

    def _discard(self, left: Sequence[_Left], interfaces: Sequence[Interface]) -> None:
        names = dict(socket.if_nameindex())
        for each in left:
            indexes = {interface.index for interface in interfaces}
            if each.whole:
                indexes |= recorded_ports(each.loaded.maps["ports"]).keys()
            for index in sorted(indexes & names.keys()):
                detach(self._lib, Interface(0, names[index], index), each.pipeline)
        self.remove()
        _log.warning(
            "took off what an earlier switchd had left in %s (other interfaces, or another"
            " version): nothing is blocked until a pipeline is set",
            self._root,
        )


def set_ports(lib: Libbpf, loaded: Loaded, interfaces: Sequence[Interface]) -> None:
    """Tell a program its ports: these, and no others. Raises BpfError."""
    ports = {interface.index: interface.port for interface in interfaces}
    numbers, devices = loaded.maps["ports"], loaded.maps["devices"]
    for index, port in recorded_ports(numbers).items():
        if ports.get(index) != port:
            numbers.delete_many(layout.INDEX.pack(index))
            devices.delete_many(layout.INDEX.pack(port))
    for interface in interfaces:
        outer, inner = layout.INDEX.pack(interface.index), layout.INDEX.pack(interface.port)
        for each, key, value in ((numbers, outer, inner), (devices, inner, outer)):
            if code := each.update(key, value):
                raise lib.fail(f"make {interface.name} port {interface.port}", code)


def _remove(directory: Path) -> None:
    """Remove pins: files and directories are all there is in a BPF file system."""
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BpfError(f"cannot remove {directory}: {error.strerror}") from None
