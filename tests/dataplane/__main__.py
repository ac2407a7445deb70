"""Runs scenarios on BMv2: ``python -m tests.dataplane record FILE`` or ``... live FILE``.

To be run in a network namespace of its own, as root. ``record`` writes BMv2's answers to
the corpus; ``live FILE SEED PACKETS`` writes its answers to random scenarios.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.dataplane.bmv2_target import Bmv2Target
from tests.dataplane.corpus import corpus
from tests.dataplane.fingerprint import packets_and_tables, program
from tests.dataplane.random_scenarios import random_scenarios


def main(mode: str, file: Path, *rest: str) -> None:
    """Run and write."""
    live = [int(each) for each in rest]
    scenarios = corpus() if mode == "record" else list(random_scenarios(live[0], live[1]))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    version = subprocess.run(
        ["simple_switch_grpc", "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as directory:
        target = Bmv2Target(Path(directory))
        try:
            answers = {each.name: target.run(each).to_json() for each in scenarios}
        finally:
            target.close()
    lines = [f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items()]
    joined = ",\n".join(lines)
    made_of = {"bmv2": version, "program": program(), "scenarios": packets_and_tables(scenarios)}
    file.write_text(f'{json.dumps(made_of)[:-1]}, "answers": {{\n{joined}\n}}}}\n')


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
