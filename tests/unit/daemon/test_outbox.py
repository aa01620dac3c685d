"""What waits for a channel: in which order it goes out, what a newer message stands for, what has to go."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from keeper.alerts import Alert, Line, LineStatus, Notice, Severity
from keeper.alerts.payloads import to_payload
from keeper.daemon.outbox import WAITING_MAX, Tray, rows_of
from keeper.ports import NoticeKind, OutboxRow
from tests.sim.listeners import Mad, Thread

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FIRING, UPDATE, REPEAT, RESOLVED = (
    NoticeKind.FIRING, NoticeKind.UPDATE, NoticeKind.REPEAT, NoticeKind.RESOLVED,
)  # fmt: skip
Says = dict[str, LineStatus]


def alert(key: str) -> Alert:
    return Alert(
        name="KeeperStreamDark", key=key, severity=Severity.CRITICAL, slot=None, stream=None,
        summary="dark", why="why", did="did", needs_human="", since=NOW,
    )  # fmt: skip


def notice(
    number: int, kind: NoticeKind, incident: str, says: Says, is_page: bool = False
) -> Notice:
    lines = tuple(Line(alert=alert(key), status=status) for key, status in says.items())
    first = next(iter(says), "a")
    return Notice(
        notice_id=f"n{number:04}", kind=kind, alert=alert(first), at=NOW, incident_id=incident,
        lines=lines, is_page=is_page,
    )  # fmt: skip


def row(
    number: int, kind: NoticeKind = FIRING, incident: str = "i", says: Says | None = None,
    is_page: bool = False,
) -> OutboxRow:  # fmt: skip
    told = notice(number, kind, incident, says or {"a": LineStatus.HOLDS}, is_page=is_page)
    (made,) = rows_of((told,), (Thread("ops"),), NOW + timedelta(seconds=number))
    return made


def tray(rows: Iterable[OutboxRow]) -> Tray:
    held = Tray("ops")
    for each in rows:
        held.put(each)
    return held


def whose_turn(held: Tray, now: datetime = NOW) -> tuple[str, float]:
    found = held.next(now, 0.0)
    assert found is not None
    return found[0].notice_id, found[1]


def test_only_channels_that_want_a_message_get_a_row() -> None:
    class Picky(Thread):
        @override
        def wants(self, notice: Notice) -> bool:
            return notice.kind is FIRING

    channels = (Picky("picky"), Thread("all"))
    told = (notice(1, FIRING, "i", {}), notice(2, REPEAT, "i", {}))
    made = rows_of(told, channels, NOW)
    assert [(each.notice_id, each.channel) for each in made] == [
        ("n0001", "picky"), ("n0001", "all"), ("n0002", "all"),
    ]  # fmt: skip


def test_a_channel_that_fails_to_say_what_it_wants_gets_everything() -> None:
    """Its bug would have cost the tick, and with it every repair."""
    assert len(rows_of((notice(1, FIRING, "i", {}),), (Mad(),), NOW)) == 1


def test_the_oldest_goes_first_and_holds_up_the_others() -> None:
    held = tray([row(2), row(1), row(3, incident="other")])
    assert whose_turn(held) == ("n0001", 0.0)
    held.put(replace(row(1), next_try_at=NOW + timedelta(seconds=60)))
    assert whose_turn(held) == ("n0001", 60.0)


def test_a_message_that_nobody_can_digest_lets_other_incidents_pass() -> None:
    later = NOW + timedelta(seconds=900)
    other = row(4, incident="other", says={"b": LineStatus.NEW})
    held = tray([replace(row(1), next_try_at=later), row(2), row(3, incident="third"), other])
    held.reached["n0001"] = 4
    assert whose_turn(held) == ("n0001", 900.0)
    held.reached["n0001"] = 5
    assert whose_turn(held) == ("n0004", 0.0)
    held.remove("n0004")
    # What is said of one alert keeps its order, in whichever incident.
    assert whose_turn(held) == ("n0001", 900.0)


def test_a_channel_that_asked_for_patience_is_left_alone() -> None:
    held = tray([row(1)])
    held.free_at_s = 30.0
    assert held.next(NOW, 10.0) == (row(1), 20.0)


def test_the_newest_reminder_stands_for_those_before_it() -> None:
    both = {"a": LineStatus.HOLDS, "b": LineStatus.WORSE}
    first, second, third = row(1, REPEAT), row(2, UPDATE, says=both), row(3, REPEAT, says=both)
    held = tray([first, second, third])
    assert held.superseded_by(first) == third
    assert held.superseded_by(second) == third
    assert held.superseded_by(third) is None


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(row(1, FIRING), id="a beginning"),
        pytest.param(row(1, UPDATE, says={"a": LineStatus.NEW}), id="what is new"),
        pytest.param(row(1, UPDATE, says={"a": LineStatus.OVER}), id="what is over"),
        pytest.param(row(1, REPEAT, says={"b": LineStatus.HOLDS}), id="what the later one leaves out"),
        pytest.param(row(1, REPEAT, incident="other"), id="another incident"),
        pytest.param(row(1, REPEAT, incident=""), id="of before there were incidents"),
        pytest.param(row(1, UPDATE, is_page=True), id="a page"),
    ],
)  # fmt: skip
def test_nothing_stands_for(told: OutboxRow) -> None:
    assert tray([told, row(2, REPEAT)]).superseded_by(told) is None


def test_that_something_is_over_stands_for_no_reminder_that_it_holds() -> None:
    told = row(1, REPEAT)
    assert tray([told, row(2, RESOLVED, says={"a": LineStatus.OVER})]).superseded_by(told) is None


def test_what_a_dead_channel_keeps_waiting_is_bounded_and_the_least_missed_goes_first() -> None:
    firing = [row(n, FIRING, f"i{n}", {"a": LineStatus.NEW}) for n in range(WAITING_MAX)]
    over = row(WAITING_MAX, RESOLVED, "i7", {"a": LineStatus.OVER})
    held = tray([*firing, over])
    assert [each.notice_id for each in held.shed()] == ["n0007"]
    stale = row(WAITING_MAX + 1, REPEAT, "i3")
    held.put(stale)
    held.put(row(WAITING_MAX + 2, REPEAT, "i3"))
    assert held.shed()[0] == stale
    assert len(held.shed()) == 3
    held.in_flight = "n0007"
    assert "n0007" not in {each.notice_id for each in held.shed()}
    assert tray(firing).shed() == ()


def test_the_payload_is_the_notice() -> None:
    assert row(1).payload == to_payload(notice(1, FIRING, "i", {"a": LineStatus.HOLDS}))
