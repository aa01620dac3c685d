"""When windows are open: a cron expression, a time zone, and clocks that are changed twice a year."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keeper.core.events import Event, WindowClosed, WindowOpened
from keeper.core.model import StreamName
from keeper.core.windows import Allowance, Window, strictest
from keeper.daemon.cadence import CronOpenings, check_openings
from keeper.daemon.windows import DeclaredWindow, Windows

FRIDAYS = CronOpenings("0 18 * * 5", "Europe/Berlin")
SIX_H = 6 * 3600.0


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def declared(openings: CronOpenings = FRIDAYS, **changes: object) -> DeclaredWindow:
    window = DeclaredWindow(name="friday", openings=openings, for_s=SIX_H, allow=Allowance.REPAIR)
    return replace(window, **changes)  # type: ignore[arg-type]


OPEN = [
    ("it opens on the minute, in summer", "2026-07-31 16:00", True),
    ("not a second before", "2026-07-31 15:59:59", False),
    ("it closes after six hours", "2026-07-31 21:59:59", True),
    ("to the second", "2026-07-31 22:00", False),
    ("in winter an hour later by UTC", "2026-12-04 17:00", True),
    ("and not when it would be in summer", "2026-12-04 16:59:59", False),
    ("5 is Friday, as cron counts, not Saturday", "2026-08-01 17:00", False),
]


@pytest.mark.parametrize(("moment", "is_open"), [r[1:] for r in OPEN], ids=[r[0] for r in OPEN])
def test_a_friday_evening(moment: str, is_open: bool) -> None:
    windows = Windows(lambda: (declared(),), lambda _: None)
    windows.look(at(moment))
    assert bool(windows.open) is is_open


CHANGES = [
    ("02:30 is skipped in spring and comes as the next hour's", "30 2 * * *", "2026-03-28 12:00",
     "2026-03-29 01:30"),
    ("03:30 comes once in spring", "30 3 * * *", "2026-03-28 12:00", "2026-03-29 01:30"),
    ("02:30 comes first by summer time in autumn", "30 2 * * *", "2026-10-24 12:00",
     "2026-10-25 00:30"),
    ("the day after is by winter time", "30 2 * * *", "2026-10-25 12:00", "2026-10-26 01:30"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "now", "expected"), [r[1:] for r in CHANGES], ids=[r[0] for r in CHANGES]
)
def test_when_clocks_are_changed(cron: str, now: str, expected: str) -> None:
    assert CronOpenings(cron, "Europe/Berlin").next(at(now)) == at(expected)


def test_a_window_lasts_as_long_as_it_says_over_a_change_of_clocks() -> None:
    night = declared(CronOpenings("0 1 * * *", "Europe/Berlin"))
    windows = Windows(lambda: (night,), lambda _: None)
    windows.look(at("2026-10-25 01:00"))
    (window,) = windows.open
    assert (window.since, window.until) == (at("2026-10-24 23:00"), at("2026-10-25 05:00"))


@pytest.mark.parametrize(
    ("field", "days"),
    [("0", "6"), ("7", "6"), ("1-5", "01234"), ("sun", "6"), ("5-7", "456"), ("1,3", "02"),
     ("mon-fri/2", "024")],
)  # fmt: skip
def test_weekdays_are_crons(field: str, days: str) -> None:
    openings, now, found = CronOpenings(f"0 0 * * {field}", "UTC"), at("2026-08-02 12:00"), set()
    for _ in range(14):
        coming = openings.next(now)
        assert coming is not None
        now = coming
        found.add(str(now.weekday()))
    assert "".join(sorted(found)) == days


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("0 18 * *", "has 4 fields"),
        ("0 25 * * *", "no cron expression"),
        ("0 18 1 * 5", "write two windows"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 * * 8", "no weekday"),
        ("0 0 * * 5-1", "runs backwards"),
        ("0 0 * * */2", "name the days"),
        ("@daily", "has 1 fields"),
    ],
)
def test_what_is_no_cron_expression_is_said_so(cron: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_openings(cron, "UTC")


def test_opening_and_closing_is_told_once_and_wakes_keeper() -> None:
    told: list[Event] = []
    mine: list[tuple[DeclaredWindow, ...]] = [(declared(),)]
    windows = Windows(lambda: mine[0], told.append)
    windows.look(at("2026-07-31 12:00"))
    assert windows.changes_at == at("2026-07-31 16:00")
    for moment in ("2026-07-31 16:00", "2026-07-31 17:00"):
        windows.look(at(moment))
        assert windows.changes_at == at("2026-07-31 22:00")
    windows.look(at("2026-07-31 22:00"))
    assert windows.changes_at == at("2026-08-07 16:00")
    assert [type(each) for each in told] == [WindowOpened, WindowClosed]
    windows.look(at("2026-07-31 18:00"))  # the clock was stepped back
    assert windows.open
    mine[0] = ()  # a reload
    windows.look(at("2026-07-31 18:00:01"))
    assert windows.open == ()
    assert windows.changes_at is None


def test_what_opens_next_is_known() -> None:
    """Also of one that is open: the next time."""
    mine = (declared(), declared(CronOpenings("0 17 31 7 *", "UTC"), for_s=60.0, name="other"))
    windows = Windows(lambda: mine, lambda _: None)
    windows.look(at("2026-07-31 16:30"))
    assert [(each.name, each.since, each.until) for each in windows.ahead] == [
        ("friday", at("2026-08-07 16:00"), at("2026-08-07 22:00")),
        ("other", at("2026-07-31 17:00"), at("2026-07-31 17:01")),
    ]
    assert windows.changes_at == at("2026-07-31 17:00")
    windows.look(at("2026-07-31 17:00"))
    assert [each.since for each in windows.ahead] == [
        at("2026-08-07 16:00"), at("2027-07-31 17:00"),
    ]  # fmt: skip


def test_two_openings_that_overlap_are_one_that_lasts_longer() -> None:
    hourly = declared(CronOpenings("0 * * * *", "UTC"), for_s=5400.0)
    windows = Windows(lambda: (hourly,), lambda _: None)
    windows.look(at("2026-08-01 12:10"))
    (window,) = windows.open
    assert window.until == at("2026-08-01 13:30")


def test_the_strictest_of_all_that_apply_wins() -> None:
    now = at("2026-08-01 12:00")

    def open_(allow: Allowance, stream: str | None = None, hours: int = 1) -> Window:
        name = None if stream is None else StreamName(stream)
        until = now + timedelta(hours=hours)
        return Window(name=allow, since=now, until=until, allow=allow, stream=name)

    fleet, mine = open_(Allowance.REPLACE), open_(Allowance.REPAIR, "duel")
    others = open_(Allowance.OBSERVE, "paint")
    assert strictest((fleet, mine, others), StreamName("duel"), now) == mine
    assert strictest((fleet, mine, others), StreamName("paint"), now) == others
    assert strictest((fleet, mine, others), StreamName("sd"), now) == fleet
    longer = open_(Allowance.REPAIR, hours=2)
    assert strictest((mine, longer), StreamName("duel"), now) == longer
    assert strictest((mine,), StreamName("duel"), mine.until) is None
