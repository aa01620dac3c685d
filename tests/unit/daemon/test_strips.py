"""Whose viewers saw a picture: a slot's strip outlives its hosts, and hosts to come have their own."""

from datetime import UTC, datetime, timedelta

from keeper.core.model import InstanceId, Reading, SlotId, Status, Subject
from keeper.core.reasons import Reason
from keeper.core.strip import NOTHING_SEEN, SPAN, shown
from keeper.daemon.board import Board
from keeper.daemon.strips import Place, Strips

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
A, B = InstanceId(7), InstanceId(8)
SLOT = SlotId("duel/0")


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def look(second: float, host: InstanceId = A, reason: Reason = Reason.LIVE) -> Reading:
    return Reading(
        instance_id=host,
        subject=Subject.PICTURE,
        status=Status.TRUE,
        reason=reason,
        at=at(second),
    )


class Stage:
    """One slot, and who serves it."""

    def __init__(self) -> None:
        self.serves = A
        self.strips = Strips(self.place_of)

    def place_of(self, instance_id: InstanceId) -> Place:
        return Place(slot=SLOT if instance_id == self.serves else None, stale_s=45.0)

    def told(self, now_s: float) -> list[tuple[str | None, float]]:
        runs = shown(self.strips.of_slot(SLOT), self.serves, at(now_s))
        return [(run.verdict, (run.since - NOW).total_seconds()) for run in runs]


def test_a_host_that_proves_itself_shows_its_picture_to_nobody() -> None:
    stage = Stage()
    stage.strips.look(look(0))
    stage.strips.look(look(5, B, Reason.BLACK))
    stage.strips.look(look(10))
    assert stage.told(11) == [("live", 0)]
    assert [run.verdict for run in stage.strips.of_rental(B).runs] == ["black"]
    assert stage.strips.of_rental(A) is stage.strips.of_slot(SLOT)


def test_a_slots_strip_goes_on_when_its_host_changes() -> None:
    stage = Stage()
    stage.strips.look(look(0, reason=Reason.FROZEN))
    stage.strips.look(look(5, B))
    stage.serves = B
    stage.strips.look(look(15, B))
    stage.strips.forget(A)
    assert stage.told(16) == [("frozen", 0), ("live", 15)]
    assert stage.strips.of_rental(B) is stage.strips.of_slot(SLOT)
    stage.strips.forget(B)
    assert stage.strips.of_rental(B) is NOTHING_SEEN
    assert stage.told(16) == [("frozen", 0), ("live", 15)]


def test_what_a_host_to_come_showed_is_forgotten_with_it() -> None:
    stage = Stage()
    stage.strips.look(look(5, B))
    stage.strips.forget(B)
    assert stage.strips.of_rental(B) is NOTHING_SEEN


def test_a_promise_that_the_picture_stays_counts_as_looks_until_it_ends() -> None:
    stage = Stage()
    stage.strips.look(look(0))
    stage.strips.stands(A, at(10_000_000))
    assert stage.told(5000) == [("live", 0)]
    stage.strips.stands(A, at(5000))
    stage.strips.stands(B, at(9999))
    assert stage.told(5050) == [("live", 0), ("unknown", 5045)]


def test_slots_that_are_no_more_are_forgotten_after_half_an_hour() -> None:
    stage = Stage()
    stage.strips.look(look(0))
    other = look(60 + SPAN.total_seconds(), B)
    stage.strips.look(other)
    assert stage.strips.of_slot(SLOT) is NOTHING_SEEN


def test_the_board_passes_every_look_on_and_nothing_else() -> None:
    """The raw look counts, whether or not it is news for a decision."""
    stage = Stage()
    board = Board(lambda: None, is_news=lambda *_: False, place_of=stage.place_of)
    stage.strips = board.strips
    board.pin(look(0))
    board.pin(look(10, reason=Reason.FROZEN))
    process = Reading(
        instance_id=A,
        subject=Subject.PROCESS,
        status=Status.FALSE,
        reason=Reason.PROCESS_GONE,
        at=at(11),
    )
    board.pin(process)
    board.pin(look(20))
    assert stage.told(21) == [("live", 0), ("frozen", 10), ("live", 20)]
    board.vouch(A, (Subject.PICTURE,), at(21))
    assert stage.told(4000)[-1] == ("live", 20)
    board.unvouch(A, (Subject.PICTURE,), at(30))
    assert stage.told(80)[-1] == ("unknown", 75)
    board.clock_stepped(3600.0, at(3630))
    assert stage.told(3630) == [("live", 3600), ("frozen", 3610), ("live", 3620)]
    board.forget(A)
    assert stage.told(3630)[0] == ("live", 3600)
