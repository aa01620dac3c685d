"""The day in numbers: what is counted, for whom, and what a darkness without an end is worth."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from keeper.core.events import StreamReported
from keeper.core.model import SlotId, StreamName
from keeper.core.report import report
from tests.builders import a_record, a_tenure

NOW = datetime(2026, 1, 5, 6, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
SLOT = SlotId("duel/0")


def _day(
    *facts: tuple[str, SlotId | None, dict[str, object]], dark_for_s: float | None = None
) -> StreamReported:
    record = replace(a_record(a_tenure()), slot=SLOT)
    if dark_for_s is not None:
        record = replace(record, dark_since=NOW - timedelta(seconds=dark_for_s))
    (found,) = report(facts, {SLOT: record}, since=SINCE, now=NOW)
    return found


def test_incidents_remedies_rentals_and_darkness_are_summed() -> None:
    told = _day(
        ("incident.opened", SLOT, {}),
        ("workload.restarted", SLOT, {}),
        ("instance.rebooted", SLOT, {}),
        ("instance.rented", SLOT, {}),
        ("stream.on_air", SLOT, {"duration_s": 40.0}),
        ("stream.on_air", SLOT, {"duration_s": 2.0}),
        ("keeper.started", None, {}),
    )
    assert (told.stream, told.slots) == (StreamName("duel"), 1)
    assert (told.incidents, told.remedies, told.rentals) == (1, 2, 1)
    assert told.dark_s == 42.0
    assert told.duration_s == 86_400.0


def test_a_darkness_that_has_not_ended_counts_as_far_as_it_has_come() -> None:
    assert _day(dark_for_s=90.0).dark_s == 90.0
    assert _day(dark_for_s=10 * 86_400.0).dark_s == 86_400.0


def test_what_concerns_a_stream_that_is_gone_is_left_out() -> None:
    assert _day(("incident.opened", SlotId("gone/0"), {})).incidents == 0
