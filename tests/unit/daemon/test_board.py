"""The board: what wakes a tick, what a tick takes down, what is bounded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from keeper.core.model import InstanceId, Reading, Remedy, Status, Subject, Symptom
from keeper.core.reasons import Reason
from keeper.daemon.board import Board

NOW = datetime(2026, 1, 5, tzinfo=UTC)
HOST = InstanceId(7)


class _Bell:
    def __init__(self) -> None:
        self.rung = 0

    def __call__(self) -> None:
        self.rung += 1


def _reading(
    status: Status = Status.TRUE,
    reason: Reason = Reason.LIVE,
    *,
    after_s: float = 0.0,
    identity: str = "",
) -> Reading:
    return Reading(
        instance_id=HOST,
        subject=Subject.PICTURE,
        status=status,
        reason=reason,
        at=NOW + timedelta(seconds=after_s),
        identity=identity,
    )


def test_the_same_good_answer_again_wakes_nobody() -> None:
    bell = _Bell()
    board = Board(bell)
    board.pin(_reading())
    board.pin(_reading(after_s=10))
    assert bell.rung == 1


def test_every_bad_answer_wakes_the_tick_because_the_third_one_decides() -> None:
    bell = _Bell()
    board = Board(bell)
    for second in range(3):
        board.pin(_reading(Status.FALSE, Reason.FROZEN, after_s=second))
    assert bell.rung == 3


def test_a_bad_answer_that_counts_no_more_waits_for_the_next_tick() -> None:
    bell = _Bell()
    board = Board(bell, is_news=lambda reading, _: reading.at <= NOW + timedelta(seconds=1))
    for second in range(4):
        board.pin(_reading(Status.FALSE, Reason.FROZEN, after_s=second))
    assert bell.rung == 2
    assert len(board.unseen()) == 4


def test_whether_it_counts_is_told_with_when_its_witness_was_last_heard() -> None:
    heard: list[datetime | None] = []

    def note(_: Reading, heard_at: datetime | None) -> bool:
        heard.append(heard_at)
        return False

    board = Board(_Bell(), is_news=note)
    for second in (0, 3, 5):
        board.pin(_reading(Status.FALSE, Reason.FROZEN, after_s=second))
    assert heard == [None, NOW, NOW + timedelta(seconds=3)]


def test_a_new_incarnation_of_a_process_wakes_the_tick() -> None:
    bell = _Bell()
    board = Board(bell)
    board.pin(_reading(identity="10:1"))
    board.pin(_reading(identity="11:2", after_s=1))
    assert bell.rung == 2


def test_a_rental_that_is_proving_itself_wakes_the_tick_with_every_answer() -> None:
    bell = _Bell()
    board = Board(bell)
    board.restless = frozenset({HOST})
    board.pin(_reading())
    board.pin(_reading(after_s=1))
    assert bell.rung == 2


def test_what_came_while_a_tick_was_being_committed_stays_for_the_next_one() -> None:
    board = Board(_Bell())
    board.pin(_reading())
    taken = board.unseen()
    late = _reading(Status.FALSE, Reason.FROZEN, after_s=1)
    board.pin(late)
    board.taken(taken)
    assert board.unseen() == (late,)


def test_a_tick_that_could_not_be_committed_loses_no_reading() -> None:
    board = Board(_Bell())
    board.pin(_reading())
    assert board.unseen() == board.unseen() != ()


def test_a_flood_of_readings_keeps_the_newest() -> None:
    board = Board(_Bell())
    for second in range(1000):
        board.pin(_reading(after_s=second))
    kept = board.unseen()
    assert len(kept) <= 64
    assert kept[-1].at == NOW + timedelta(seconds=999)


def test_a_witness_that_was_silent_says_its_last_word_again() -> None:
    """A condition that went unknown by silence stayed unknown though heartbeats came again."""
    board = Board(_Bell())
    board.pin(_reading())
    board.taken(board.unseen())
    board.heard(HOST, (Subject.PICTURE,), NOW + timedelta(seconds=10))
    assert not board.unseen()
    board.heard(HOST, (Subject.PICTURE,), NOW + timedelta(seconds=70))
    (again,) = board.unseen()
    assert again.status is Status.TRUE
    assert again.at == NOW + timedelta(seconds=70)


def test_a_forgotten_rental_leaves_nothing_behind() -> None:
    board = Board(_Bell())
    board.pin(_reading())
    board.heard(HOST, (Subject.LINK, Subject.PROCESS), NOW)
    board.frames.add(HOST, b"jpeg", NOW)
    board.host_keys[HOST] = "ssh-ed25519 AAAA"
    board.forget(HOST)
    assert not board.unseen()
    assert not any((board.latest, board.heard_at, board.frames, board.host_keys))


def test_a_witness_that_cannot_look_has_not_been_heard() -> None:
    """Simulated: "no way to the port" every ten seconds kept a dead stream's last picture alive."""
    board = Board(_Bell())
    board.pin(_reading())
    board.pin(_reading(Status.UNKNOWN, Reason.PROBE_FAILED, after_s=600))
    assert board.heard_at[HOST, Subject.PICTURE] == NOW


def test_what_a_host_repeats_of_its_secrets_is_not_pinned() -> None:
    symptom = Symptom(code="c", sentence="key s3cret is refused", remedy=Remedy.PERSON)
    said = replace(
        _reading(Status.FALSE, Reason.SYMPTOM), detail="s3cret", symptom=symptom, keepsake="s3cret"
    )
    board = Board(_Bell(), redact=lambda text: text.replace("s3cret", "…"))
    board.pin(said)
    (pinned,) = board.unseen()
    assert "s3cret" not in repr(pinned)
    assert pinned.symptom is not None
    assert (pinned.symptom.sentence, pinned.keepsake) == ("key … is refused", "")
