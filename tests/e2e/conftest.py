"""One world for each kind of switch, shared by all tests: each uses addresses of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.world import World, missing, world

KINDS = [
    pytest.param(
        kind,
        marks=[
            pytest.mark.skipif(bool(missing(kind)), reason=missing(kind)),
            *([pytest.mark.bmv2] if kind == "bmv2" else []),
        ],
    )
    for kind in ("xdp", "ovs", "bmv2")
]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=KINDS)
async def it(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A switch under a controller, in step."""
    async with world(request.param) as made:
        yield made
