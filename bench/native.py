"""Run a module on the machine code of ``make native``.

    .venv-native/bin/python bench/native.py bench.replay_bench
    .venv-native/bin/python bench/native.py pytest tests/test_sip.py

Without this, Python would find the sources in the working directory first.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path


def main() -> None:
    """The module named first, with the other arguments."""
    if len(sys.argv) < 2:
        sys.exit(f"which module? As in: {sys.executable} {sys.argv[0]} bench.replay_bench")
    here = Path(__file__).resolve().parent
    sys.path[:] = [each for each in sys.path if each != str(here)]
    file = importlib.import_module("sdnblock.detect.engine").__file__ or ""
    if not file.endswith(".so"):
        sys.exit(f"{file} is no machine code: run it with .venv-native/bin/python (make native)")
    sys.path.append(str(here.parent))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
