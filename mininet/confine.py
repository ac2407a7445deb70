"""Runs something so that nothing of it outlives us, not even if we are killed.

It gets a PID namespace of its own: when its first process ends, for whatever reason, the
kernel ends all others, and with the last process in it goes each of Mininet's network
namespaces, with its interfaces. BPF objects are pinned in a file system of its own, too.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

STOPS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals that ask us to stop."""
_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWPID: Final = 0x20000000
_PR_SET_PDEATHSIG: Final = 1
_SI_KERNEL: Final = 0x80
_PINS: Final = Path("/sys/fs/bpf")
_libc: Final = ctypes.CDLL(None, use_errno=True)


def confined(work: Callable[[], int]) -> int:
    """Run ``work`` in a child that is the first process of a PID namespace; its exit status.

    Signals of :data:`STOPS` reach it. Once in a process: with that child the namespace ends,
    and children of ours would be in it. Raises OSError where the kernel refuses namespaces.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPS, signal.SIGCHLD})
    try:
        _unshare(_CLONE_NEWPID)
        child = os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _be_first(work)
        return _watch(child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_first(work: Callable[[], int]) -> NoReturn:
    """The child: it dies with its parent, and sees this namespace's processes in /proc."""
    status = 1
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _unshare(_CLONE_NEWNS)
        subprocess.run(("mount", "--make-rprivate", "/"), check=True)
        subprocess.run(("mount", "-t", "proc", "proc", "/proc"), check=True)
        if _PINS.is_dir():
            subprocess.run(("mount", "-t", "bpf", "bpf", _PINS), check=True)
        status = work()
    finally:
        error = sys.exception()
        if error is not None:
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # not by way of the parent's own clean-up


def _watch(child: int) -> int:
    while True:
        info = signal.sigwaitinfo({*STOPS, signal.SIGCHLD})
        if info.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        elif info.si_code != _SI_KERNEL:  # the terminal's own have reached the child already
            os.kill(child, info.si_signo)


def _unshare(flag: int) -> None:
    if _libc.unshare(flag):
        number = ctypes.get_errno()
        raise OSError(number, f"no namespace of our own: {os.strerror(number)}")
