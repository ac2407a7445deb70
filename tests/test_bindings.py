"""What is remembered of registrations: a phone that says the same again is read only once, and
the outcome is as if it had been read each time."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from sdnblock.block import parse_prefix
from sdnblock.detect.bindings import Bindings
from sdnblock.detect.detector import Detector
from sdnblock.detect.engine import Engine
from sdnblock.detect.finding import Finding
from sdnblock.detect.registry import DetectSettings
from sdnblock.detect.sides import Sides
from sdnblock.detect.site import site_of
from sdnblock.detect.transactions import Outcome
from tests.sip_world import World, source

AOR = ("1001", "example.net")
PHONE, ELSEWHERE = "192.0.2.10", "192.0.2.11"


class Collects(Detector):
    name = "collects"

    def __init__(self) -> None:
        self.seen: list[Outcome] = []

    def outcome(self, outcome: Outcome) -> Iterable[Finding]:
        self.seen.append(outcome)
        return ()


def registrations(*said: tuple[str, str, str]) -> list[Outcome]:
    """Accepted REGISTERs of one user, a minute apart: (source, agent, headers)."""
    collects = Collects()
    engine = Engine(DetectSettings(), Sides([parse_prefix("198.51.100.0/24")]))
    engine.add(collects)
    world = World(engine)
    for address, agent, headers in said:
        call, _ = world.request(address, "REGISTER", "1001", agent=agent, headers=headers)
        world.response(address, 200, call, 1, "REGISTER")
        world.now += 60
    assert len(collects.seen) == len(said)
    return collects.seen


def contact(host: str, expires: str) -> str:
    return f"Contact: <sip:1001@{host}>\r\nExpires: {expires}\r\n"


def test_the_same_again_lasts_longer() -> None:
    same = (PHONE, "Phone/1.0", contact(PHONE, "600"))
    first, again = registrations(same, same)
    bindings = Bindings()
    bindings.note(first)
    bindings.note(again)
    site = source(PHONE).address
    assert bindings.of(AOR, again.time + 599, linger=0.0)
    assert bindings.of(AOR, again.time + 601, linger=0.0) is None
    known = bindings.of(AOR, again.time)
    assert known is not None
    assert known[site].until == again.time + 600


def test_the_end_is_the_end_and_the_same_as_before_begins_again() -> None:
    same = (PHONE, "Phone/1.0", contact(PHONE, "600"))
    outcomes = registrations(same, (PHONE, "Phone/1.0", contact(PHONE, "0")), same)
    bindings = Bindings()
    bindings.note(outcomes[0])
    bindings.note(outcomes[1])
    assert bindings.of(AOR, outcomes[1].time + 1, linger=0.0) is None
    bindings.note(outcomes[2])
    assert bindings.of(AOR, outcomes[2].time + 599, linger=0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((PHONE, ELSEWHERE, "2001:db8:5:6::7", "2001:db8:5:6::8")),
            st.sampled_from(("Phone/1.0", "Phone/1.1")),
            st.sampled_from(
                (
                    contact(PHONE, "600"), contact(PHONE, "60"), contact(ELSEWHERE, "600"),
                    contact(PHONE, "0"), "Contact: *\r\nExpires: 0\r\n", "",
                    contact("x" * 600, "9"),
                )
            ),
        ),
        min_size=1,
        max_size=12,
    )
)  # fmt: skip
def test_each_is_known_as_if_it_were_the_first(said: list[tuple[str, str, str]]) -> None:
    bindings = Bindings()
    for outcome in registrations(*said):
        bindings.note(outcome)
        alone = Bindings()
        alone.note(outcome)
        wanted = alone.of(AOR, outcome.time)
        if wanted is None:
            continue  # it ended something, or only asked
        known = bindings.of(AOR, outcome.time)
        assert known is not None
        site = site_of(outcome.remote)
        assert known[site] == wanted[site]
        assert list(known)[-1] == site, "the latest is at the end"
