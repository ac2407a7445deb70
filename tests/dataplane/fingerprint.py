"""What a recording was made of, so that it can be told when that has moved on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from sdnblock.artifacts import BMV2_JSON, artifact
from tests.dataplane.scenario import Scenario


def program() -> str:
    """A hash of the compiled P4 program, less where in the source each part of it stands.

    A comment in the source moves lines, but needs no new recording.
    """

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(each) for key, each in value.items() if key != "source_info"}
        return [bare(each) for each in value] if isinstance(value, list) else value

    compiled = bare(json.loads(artifact(BMV2_JSON).read_text()))
    return _hash(json.dumps(compiled, sort_keys=True))


def packets_and_tables(scenarios: Iterable[Scenario]) -> str:
    """A hash of scenarios: of their names, tables and packets."""
    return _hash("\n".join(map(repr, scenarios)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
