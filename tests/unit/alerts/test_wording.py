"""The words that all channels share, one by one."""

import pytest

from keeper.alerts import LineStatus, Severity
from keeper.alerts.wording import (
    costs,
    duration,
    headline,
    left_out,
    loudest,
    orders,
    page,
    runbook,
)
from keeper.core.model import SlotId
from keeper.ports import NoticeKind
from tests.unit.alerts.channels.notices import alert, line, notice


@pytest.mark.parametrize(
    ("base", "slot", "stream", "expected"),
    [
        ("https://k.example/", "duel/0", "duel", "https://k.example/#duel/0"),
        ("https://k.example", None, "duel", "https://k.example#duel"),
        ("https://k.example/", None, None, "https://k.example/"),
        ("https://k.example/", "<b>/0", "duel", "https://k.example/"),
        ("https://k.example/#top", "duel/0", "duel", "https://k.example/#top"),
        ("", "duel/0", "duel", ""),
    ],
)
def test_the_page_is_opened_where_the_alert_is_shown(
    base: str, slot: str | None, stream: str | None, expected: str
) -> None:
    assert page(base, alert(slot=slot and SlotId(slot), stream=stream)) == expected


def test_money_by_the_hour_is_told_from_money_that_is_spent() -> None:
    assert costs(alert(dollars=0.42)) == "$0.42/h"
    assert costs(alert("KeeperBudgetUsed", "fleet:day", dollars=7.5)) == "$7.50"
    assert costs(alert(dollars=0.0)) == ""


def test_what_is_left_out_is_counted_by_what_became_of_it() -> None:
    lines = [line(LineStatus.HOLDS), line(LineStatus.OVER), line(LineStatus.HOLDS)]
    assert left_out(lines) == "and 3 more: 2 still so, 1 over"
    assert left_out([]) == ""


def test_each_order_is_given_once_and_none_for_what_is_over() -> None:
    lines = [
        line(LineStatus.NEW, needs_human="a"),
        line(LineStatus.HOLDS, needs_human="b"),
        line(LineStatus.HOLDS, needs_human="a"),
        line(LineStatus.OVER, needs_human="c"),
    ]
    assert orders(lines) == ("a", "b")


def test_what_has_only_begun_is_not_said_to_last() -> None:
    begun = notice(NoticeKind.FIRING, line(LineStatus.NEW, since=notice().at))
    assert headline(begun) == "🟠 duel/0 is dark"


def test_a_runbook_without_an_address_is_a_file() -> None:
    assert runbook("", "KeeperPaused") == "docs/runbooks/KeeperPaused.md"
    assert (
        runbook("https://g.example/rb/", "KeeperPaused") == "https://g.example/rb/KeeperPaused.md"
    )


def test_the_loudest_of_nothing_is_nothing() -> None:
    assert loudest([]) is None
    assert loudest([line(LineStatus.NEW, severity=Severity.INFO)]) is Severity.INFO


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (-5, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said
