"""What fuzzing has found, and the seeds that it begins with: every one of them, every time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzzing.seeds import seeds
from tests.fuzzing.targets import TARGETS

_CORPUS = Path(__file__).with_name("corpus")
_FILES = sorted(_CORPUS.glob("*/*"))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_was_found(file: Path) -> None:
    began = time.process_time()
    TARGETS[file.parent.name](file.read_bytes())
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_and_what_is_near_them(name: str) -> None:
    for seed in seeds(name):
        for cut in range(0, len(seed), max(1, len(seed) // 40)):
            TARGETS[name](seed[:cut])
            TARGETS[name](seed[cut:])
            TARGETS[name](seed[:cut] + b"\n" + seed[cut:])
        TARGETS[name](seed)


def test_there_is_a_folder_for_known_targets_only() -> None:
    assert {each.name for each in _CORPUS.iterdir() if each.is_dir()} <= set(TARGETS)
