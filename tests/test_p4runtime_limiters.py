"""Meter cells of limited targets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import Source, Target
from sdnblock.switches.p4runtime.limiters import Limiters

few = st.integers(1, 12).map(lambda n: Source(bytes([10, 0, 0, n])))
steps = st.lists(st.tuples(st.sampled_from(["allocate", "free"]), few), max_size=60)


@given(steps, st.integers(1, 8))
def test_a_cell_belongs_to_one_target(steps: list[tuple[str, Source]], size: int) -> None:
    limiters = Limiters(size)
    held: dict[Source, int] = {}
    for what, target in steps:
        if what == "free":
            limiters.free(target)
            held.pop(target, None)
        else:
            cell = limiters.allocate(target)
            if target in held:
                assert cell == held[target]
            elif len(held) == size:
                assert cell is None
            else:
                assert cell is not None
                assert 0 <= cell < size
                assert cell not in held.values()
                held[target] = cell
        assert len(limiters) == len(held)
        assert {t: limiters.cell(t) for t in held} == held
        assert sorted(limiters.cells()) == sorted(held.values())


@given(
    st.lists(st.tuples(few, st.integers(-1, 10)), max_size=12, unique_by=lambda pair: pair[0]),
    st.integers(1, 8),
)
def test_recovery_takes_over_what_the_entries_say(
    entries: list[tuple[Target, int]], size: int
) -> None:
    limiters = Limiters(size)
    limiters.allocate(Source(b"\x7f\0\0\1"))
    unusable = limiters.recover(entries)
    assert limiters.cell(Source(b"\x7f\0\0\1")) is None
    kept = [(target, cell) for target, cell in entries if target not in unusable]
    assert all(limiters.cell(target) == cell for target, cell in kept)
    assert len({cell for _, cell in kept}) == len(kept) == len(limiters)
    assert all(limiters.cell(target) is None for target in unusable)
    others = [Source(bytes([192, 0, 2, n])) for n in range(size - len(kept))]
    cells = {limiters.allocate(target) for target in others}
    assert cells == set(range(size)) - {cell for _, cell in kept}
    assert limiters.allocate(Source(b"\x7f\0\0\2")) is None
