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
    root = str(Path(__file__).resolve().parent.parent)
    sys.path[0:1] = []  # this folder
    file = importlib.import_module("sdnblock.detect.engine").__file__ or ""
    if not file.endswith(".so"):
        sys.exit(f"{file} is no machine code: run it with .venv-native/bin/python (make native)")
    sys.path.append(root)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
