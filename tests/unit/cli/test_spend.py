"""What `keeper spend` says, on the width that a terminal has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from keeper.cli.spend import shown
from keeper.core.drift import Compared, Drifted
from keeper.core.flow import Rate
from keeper.core.meter import TOTAL, Dark, Meter, Stop, Tally, day_of, month_of
from keeper.core.model import SlotId, Stream, StreamName
from keeper.core.world import AccountSeen, Snapshot
from keeper.web.spending import SpendStatus, spending_of
from tests.snapshots import NOW, ago, record, snapshot

DUEL, TURBO = StreamName("duel"), StreamName("sd-turbo-background")
HOUR = 3600.0


def a_ledger(**more: Any) -> Meter:
    today = {DUEL: Tally(dollars=4.1, good_s=10 * HOUR), TURBO: Tally(dollars=1.0)}
    month = {DUEL: Tally(dollars=4.1, good_s=10 * HOUR), TURBO: Tally(dollars=61.25)}
    total = {
        DUEL: Tally(dollars=1204.1, good_s=3000 * HOUR),
        TURBO: Tally(dollars=61.25),
        StreamName("old"): Tally(dollars=7.0, good_s=HOUR),
    }
    return Meter(
        metered_at=NOW,
        rates={DUEL: Rate(dollars_per_hour=0.45, on_air=1)},
        tallies={day_of(NOW): today, month_of(NOW): month, TOTAL: total},
        **more,
    )


def a_snapshot(ledger: Meter, **changes: Any) -> Snapshot:
    seen = snapshot(
        record(),
        account=AccountSeen(spendable_dollars=90.0, at=ago(seconds=20), **changes),
    )
    (duel,) = seen.desired.streams
    streams: tuple[Stream, ...] = (
        replace(duel, spend_max_dollars_per_day=5.0, spend_max_dollars_total=2000.0),
        replace(duel, name=TURBO),
    )
    fleet = replace(seen.desired.fleet, spend_max_dollars_per_month=100.0)
    return replace(
        seen,
        desired=replace(seen.desired, streams=streams, fleet=fleet),
        world=replace(seen.world, meter=ledger),
    )


def said(spending: SpendStatus, name: str | None = None, width: int = 80) -> list[str]:
    chosen = tuple(s for s in spending.streams if name in {None, s.stream})
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        for part in shown(spending, chosen, name):
            console.print(part)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_shows_what_was_spent_where_it_leads_and_what_a_good_hour_costs() -> None:
    spending = spending_of(a_snapshot(a_ledger()), NOW)
    assert said(spending) == SHOWN
    committed = [each.committed_dollars_per_hour for each in (spending.fleet, *spending.streams)]
    assert committed == pytest.approx([0.42, 0.42, 0.0, 0.0])


SHOWN: list[str] = [
    "STREAM           TODAY  MONTH     TOTAL    $/H  DAY'S END  MONTH'S END  $/GOOD H",
    "duel              4.10   4.10  1,204.10  0.450       9.50       333.50     0.401",
    "sd-turbo-backgr   1.00  61.25     61.25  0.000       1.00        61.25         -",
    "ound",
    "old (gone)        0.00   0.00      7.00  0.000       0.00         0.00     7.000",
    "all               5.10  65.35  1,272.35  0.450      10.50       394.75     0.424",
    "",
    "CAP                             USED $      OF $  USED  USED UP",
    "duel per hour                    0.420      5.00    8%  (committed)",
    "duel per day                      4.10      5.00   82%  14:08 UTC",
    "duel in all                   1,204.10  2,000.00   60%  2026-05-19 11:00",
    "sd-turbo-background per hour     0.000      5.00    0%  (committed)",
    "all per hour                     0.420     10.00    4%  (committed)",
    "all per month                    65.35    100.00   65%  2026-03-04 22:30",
    "",
    "account: $90.00, for 200 h at $0.450/h of all",
]


def test_counts_on_to_now_between_two_writes() -> None:
    spending = spending_of(a_snapshot(replace(a_ledger(), metered_at=ago(hours=1))), NOW)
    assert spending.fleet.today.dollars == pytest.approx(5.55)
    assert spending.streams[0].today.good_hours == pytest.approx(11.0)


def test_a_stop_says_when_it_is_free_again() -> None:
    stops = {f"duel/day@{day_of(NOW)}": Stop(at=NOW, cap_dollars=5.0)}
    lines = said(spending_of(a_snapshot(a_ledger(stops=stops)), NOW), "duel")
    (line,) = [each for each in lines if each.startswith("duel per day")]
    assert line.endswith("stopped until 2026-03-02 00:00")


def test_dollars_without_a_picture_are_shown_from_half_of_their_limit_on() -> None:
    for dollars, expected in (
        (2.4, []),
        (2.5, ["duel: $2.50 without a picture, of at most $5.00"]),
        (
            5.5,
            ["duel: $5.50 without a picture, of at most $5.00; no more hosts"],
        ),
    ):
        ledger = a_ledger(dark={SlotId("duel/0"): Dark(dollars=dollars)})
        lines = said(spending_of(a_snapshot(ledger), NOW), "duel")
        assert [line for line in lines if "without a picture" in line] == expected


def test_an_account_that_drifts_says_so() -> None:
    drift = Compared(fell_dollars=9.0, least_dollars=1.0, most_dollars=1.0, over_s=3600.0)
    drifted = Drifted(compared=drift, since=NOW, at=NOW)
    lines = said(spending_of(a_snapshot(a_ledger(drift=drifted)), NOW))
    assert any("its credit falls by something else" in line for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_fits_the_terminal(width: int) -> None:
    for line in said(spending_of(a_snapshot(a_ledger()), NOW), width=width):
        assert "…" not in line
