"""Who is told of which outcomes and responses."""

from __future__ import annotations

from sdnblock.detect.detector import Detector, Sort
from sdnblock.detect.told import Caring, Heeding
from sdnblock.detect.transactions import Outcome
from sdnblock.evidence.events import SipSeen
from tests.sip_world import World

PHONE = "192.0.2.10"


class Picky(Detector):
    """Wants refused REGISTERs, and answers to INVITEs."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, int]] = []
        self.responses: list[int] = []
        self.questions: list[Sort] = []

    def cares(self, sort: Sort) -> bool:
        return sort.method == "REGISTER" and not sort.accepted

    def heeds(self, status: int, method: str) -> bool:
        return method == "INVITE" and status > 100

    def outcome(self, outcome: Outcome) -> tuple[()]:
        self.outcomes.append((outcome.method, outcome.status))
        return ()

    def response(self, event: SipSeen) -> tuple[()]:
        self.responses.append(event.message.status)
        return ()


def test_a_detector_is_told_of_what_it_wants_and_of_nothing_else() -> None:
    world, picky = World(), Picky()
    world.engine.add(picky)
    for method, status in (
        ("REGISTER", 401), ("REGISTER", 200), ("OPTIONS", 404), ("REGISTER", 404),
        ("INVITE", 100), ("INVITE", 486),
    ):  # fmt: skip
        world.ask(PHONE, method, "1001", status)
    assert picky.outcomes == [("REGISTER", 401), ("REGISTER", 404)]
    assert picky.responses == [486]


def test_the_same_sort_with_another_credential_is_another() -> None:
    world = World()
    told: list[Sort] = []

    class Proven(Picky):
        def cares(self, sort: Sort) -> bool:
            told.append(sort)
            return sort.challenged

    proven = Proven()
    world.engine.add(proven)
    for _ in range(3):
        world.register(PHONE, "1001", good=True)
    assert proven.outcomes == [("REGISTER", 200)] * 3
    assert [(each.status, each.credential, each.challenged) for each in told] == [
        (401, False, False), (200, True, True),
    ]  # fmt: skip


def test_methods_that_strangers_invent_do_not_fill_memory() -> None:
    heeding, caring = Heeding([Picky()]), Caring([Picky()])
    for number in range(10_000):
        assert not heeding.of(200, f"M{number}")
    assert len(heeding._known) <= 4096
    assert heeding.of(200, "INVITE") and not caring._known
