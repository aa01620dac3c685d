"""The week in numbers: what the ledger knows, what the journal tells, and whose fault it was."""

from datetime import UTC, datetime, timedelta
from typing import Any

from keeper.core.digest import Digest, Fact, digest, week_before
from keeper.core.meter import Meter, Tally
from keeper.core.model import MachineId, SlotId, StreamName

MONDAY = datetime(2026, 3, 9, 8, tzinfo=UTC)
SINCE, UNTIL = week_before(MONDAY)
DUEL, PAINT = StreamName("duel"), StreamName("paint")
SLOT = SlotId("duel/0")


def _fact(hours: float, event: str, slot: SlotId | None = SLOT, /, **values: Any) -> Fact:
    return Fact(at=SINCE + timedelta(hours=hours), event=event, slot=slot, values=values)


def _host(hours: float, label: str, instance_id: int, machine_id: int) -> tuple[Fact, ...]:
    return (
        _fact(hours, "instance.renting", label=label, machine_id=machine_id, offer_id=1),
        _fact(hours + 0.01, "instance.rented", label=label, instance_id=instance_id),
    )


def _on_air(hours: float, instance_id: int, dark_s: float = 0.0) -> Fact:
    return _fact(hours, "stream.on_air", instance_id=instance_id, duration_s=dark_s)


def _told(*facts: Fact, ledger: Meter | None = None) -> Digest:
    return digest(ledger or Meter(), (DUEL, PAINT), facts, since=SINCE, until=UNTIL)


def test_a_week_is_the_seven_whole_days_before() -> None:
    assert datetime(2026, 3, 2, tzinfo=UTC) == SINCE
    assert datetime(2026, 3, 9, tzinfo=UTC) == UNTIL


def test_time_and_money_are_the_ledgers_and_of_the_week_alone() -> None:
    ledger = Meter(
        tallies={
            "2026-03-01": {DUEL: Tally(dollars=99.0, good_s=99.0)},
            "2026-03-02": {DUEL: Tally(dollars=2.0, good_s=3000.0, dark_s=600.0)},
            "2026-03-08": {DUEL: Tally(dollars=1.0, good_s=600.0, starting_s=30.0)},
            "2026-03-09": {DUEL: Tally(dollars=99.0, dark_s=99.0)},
            "2026-03": {DUEL: Tally(dollars=500.0)},
        }
    )
    told = _told(ledger=ledger)
    duel, paint = told.streams
    assert (duel.dollars, duel.good_s, duel.dark_s, duel.starting_s) == (3.0, 3600.0, 600.0, 30.0)
    assert duel.uptime_ratio == 3600 / 4200
    assert duel.dollars_per_good_hour == 3.0
    assert (paint.uptime_ratio, paint.dollars_per_good_hour) == (None, None)
    assert told.dollars == 3.0


def test_what_happened_is_counted_for_its_stream_and_its_week() -> None:
    told = _told(
        _fact(-1, "incident.opened"),
        _fact(1, "incident.opened"),
        _fact(2, "incident.opened"),
        _fact(3, "incident.opened", SlotId("paint/1")),
        _on_air(-1, 7, dark_s=9000.0),
        _on_air(4, 7, dark_s=40.0),
        _on_air(5, 7, dark_s=90.0),
    )
    assert [each.incidents for each in told.streams] == [2, 1]
    assert [each.longest_dark_s for each in told.streams] == [90.0, 0.0]
    assert told.incidents == 3


def test_the_way_to_the_picture_is_that_of_new_hosts() -> None:
    told = _told(
        *_host(-30, "old", 6, 60),
        _on_air(1, 6, dark_s=5.0),
        *_host(10, "a", 7, 70),
        _on_air(10.5, 7),
        _on_air(11, 7, dark_s=60.0),
        *_host(20, "b", 8, 80),
        _on_air(20.25, 8),
        *_host(30, "c", 9, 90),
        _on_air(31, 9),
    )
    assert told.streams[0].time_to_picture_s == 1800.0


def test_a_machine_answers_for_its_failures_its_darkness_and_what_it_cost() -> None:
    """Two hosts on one machine under two owners' labels are one machine."""
    told = _told(
        *_host(-100, "a", 7, 70),
        _on_air(1, 7),
        _fact(2, "stream.dark", reason="frozen"),
        _fact(2.1, "machine.quarantined", None, machine_id=70, reason="frozen", duration_s=1.0),
        *_host(2.2, "b", 8, 80),
        _on_air(3, 8, dark_s=3600.0),
        _fact(3.1, "instance.ended", label="a", instance_id=7, dollars=12.5),
        *_host(50, "c", 9, 70),
        _fact(51, "machine.quarantined", None, machine_id=70, reason="no_display", duration_s=1.0),
        _fact(52, "instance.ended", label="c", instance_id=9, dollars=0.5),
        _fact(53, "instance.ended", label="b", instance_id=8, dollars=3.0),
    )
    (worst,) = told.worst_machines
    assert (worst.machine_id, worst.failures) == (MachineId(70), 2)
    assert (worst.dark_s, worst.dollars) == (3600.0, 13.0)


def test_a_host_of_weeks_answers_for_the_first_darkness_of_this_one() -> None:
    """It was not on air anew since then, so nothing of the week says who served."""
    told = _told(
        *_host(-300, "a", 7, 70),
        *_host(-200, "b", 8, 80),
        _fact(2, "stream.dark", reason="frozen"),
        _on_air(3, 8, dark_s=3600.0),
    )
    (worst,) = told.worst_machines
    assert (worst.machine_id, worst.dark_s) == (MachineId(80), 3600.0)


def test_only_the_five_worst_machines_are_named() -> None:
    facts = [
        _fact(n, "machine.quarantined", None, machine_id=n, reason="frozen", duration_s=1.0)
        for n in (1, 2, 3, 4, 5, 6, 7, 7, 3)
    ]
    assert [each.machine_id for each in _told(*facts).worst_machines] == [3, 7, 1, 2, 4]


def test_messages_are_counted_once_though_several_channels_got_them() -> None:
    told = _told(
        *(
            _fact(1, "notice.sent", None, channel=channel, kind=kind, is_page=kind == "firing")
            for channel in ("ops", "pager")
            for kind in ("firing", "update", "resolved", "repeat")
        ),
        _fact(2, "notice.sent", None, channel="ops", kind="firing", is_page=False),
    )
    assert (told.messages, told.people_needed) == (3, 1)


def test_a_slot_whose_host_is_not_known_any_more_blames_nobody() -> None:
    told = _told(_fact(1, "stream.dark", reason="frozen"), _on_air(2, 5, dark_s=10.0))
    assert told.worst_machines == ()
    assert told.streams[0].longest_dark_s == 10.0
