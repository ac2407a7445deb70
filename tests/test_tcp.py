"""TCP segments as captures have them: repeated, overlapping, missing, around the corner."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sdnblock.evidence.sip_stream import SipStream
from sdnblock.evidence.tcp import TcpDirection
from tests.test_sip import REGISTER

WHOLE = REGISTER * 4


def test_what_is_sent_again_is_read_once() -> None:
    made = TcpDirection()
    assert len(made.feed(100, REGISTER)) == 1
    assert made.feed(100, REGISTER) == []
    assert made.in_step
    # Again, with something new behind it.
    assert len(made.feed(100, REGISTER + REGISTER)) == 1
    assert made.feed(100, REGISTER[:50]) == []


def test_what_is_missing_loses_its_own_message_only() -> None:
    made = TcpDirection()
    half = len(REGISTER) // 2
    assert made.feed(0, REGISTER[:half]) == []
    assert len(made.feed(5000, REGISTER[half:] + REGISTER)) == 1
    assert not made.in_step
    assert len(made.feed(5000 + len(REGISTER[half:]) + len(REGISTER), REGISTER)) == 1
    assert made.in_step


@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40))))
@settings(max_examples=200, deadline=None)
def test_repetitions_change_nothing(start: int, cuts: list[tuple[int, int]]) -> None:
    made, found, at = TcpDirection(), [], 0
    for size, back in [*cuts, (len(WHOLE), 0)]:
        begin = max(0, at - back)
        found += made.feed((start + begin) % 2**32, WHOLE[begin : at + size])
        at = min(at + size, len(WHOLE))
        if at == len(WHOLE):
            break
    assert found == SipStream().feed(WHOLE)
