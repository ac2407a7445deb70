"""Property tests are the same in every run of `make test`; `make fuzz` gives them new seeds."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("fuzz", max_examples=5000, deadline=None)
settings.load_profile("fuzz" if os.environ.get("SDNBLOCK_FUZZ") else "same")
