"""``python -m tests.fuzzing TARGET...``: coverage-guided fuzzing of the parsers, by atheris.

Each target runs in a process of its own for its share of ``--seconds`` or ``--runs``,
whichever ends first. What is found is written to ``build/fuzz/TARGET`` and ends the run with
status 1; copy it to ``tests/corpus/TARGET`` once it is repaired.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

NAMES: Final = ("sip", "sip_stream", "hep", "hep_stream", "event", "frames", "captures")
_ROOT: Final = Path(__file__).parents[2]
_MOST: Final = {"hep_stream": 8192, "sip_stream": 8192, "captures": 4096}


def fuzz(name: str, arguments: list[str]) -> None:
    """Fuzz in this process; does not return. The first argument is where findings go."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["sdnblock.evidence", "sdnblock.block"]):
        target = importlib.import_module("tests.fuzzing.targets").TARGETS[name]
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


def run(name: str, runs: int, seconds: int) -> tuple[int, int]:
    """Fuzz in another process; its exit status, and how many inputs it tried."""
    from tests.fuzzing.seeds import seeds

    work = _ROOT / "build" / "fuzz" / name
    begin = work / "seeds"
    begin.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (begin / f"{number}").write_bytes(seed)
    kept = _ROOT / "tests" / "corpus" / name
    corpus = work / "corpus"
    corpus.mkdir(exist_ok=True)
    log = work / "log"
    with log.open("wb") as output:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzzing", "--inside", name, str(corpus), str(begin)),
                *([str(kept)] if kept.is_dir() else []),
                *(
                    f"-runs={runs}",
                    f"-max_total_time={seconds}",
                    "-timeout=5",
                    "-rss_limit_mb=2048",
                ),
                *(f"-max_len={_MOST.get(name, 2048)}", f"-artifact_prefix={work}/"),
                "-print_final_stats=1",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=_ROOT,
        )
    text = log.read_text(errors="replace")
    tried = [int(each) for each in re.findall(r"^#(\d+)", text, re.MULTILINE)]
    final = re.search(r"number_of_executed_units: (\d+)", text)
    return done.returncode, int(final[1]) if final else max(tried, default=0)


def main() -> int:
    """Every target named (all of them without a name), one after the other."""
    if sys.argv[1:2] == ["--inside"]:
        fuzz(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing")
    parser.add_argument("targets", nargs="*", choices=[*NAMES, []])
    parser.add_argument("--runs", type=int, default=10_000_000, help="inputs in all")
    parser.add_argument("--seconds", type=int, default=3600, help="seconds in all")
    given = parser.parse_args()
    names = given.targets or NAMES
    total, failed = 0, []
    for name in names:
        status, tried = run(name, given.runs // len(names), given.seconds // len(names))
        total += tried
        print(
            f"{name}: {tried:,} inputs, {'nothing found' if not status else 'FAILED'}", flush=True
        )
        if status:
            failed.append(name)
            print((_ROOT / "build" / "fuzz" / name / "log").read_text(errors="replace")[-3000:])
    print(f"{total:,} inputs in all")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
