"""What a person reads about spares: beside the slots, never among them, with their own line of money."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from keeper.cli.declared import slot_named
from keeper.cli.endings import losses_of
from keeper.cli.fleet import shown_fleet
from keeper.cli.spend import shown
from keeper.core.flow import Rate
from keeper.core.meter import TOTAL, Meter, Tally, day_of, month_of
from keeper.core.model import Desired, SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.core.report import report
from keeper.core.spare import Spares
from keeper.core.world import Snapshot
from keeper.web.explain import explain
from keeper.web.spending import spending_of
from keeper.web.status import slot_status, status_of
from keeper.web.tone import Tone
from tests.snapshots import NOW, ago, hold, record, snapshot, stream, tenure, waiting

PLACE = SlotId("duel/spare-0")
DUEL = StreamName("duel")


def spared(**given: object) -> Snapshot:
    """A slot on air, and a place of a spare that is as told."""
    place = record(
        PLACE, ever_on_air=False, healthy_since=None, last_reason=Reason.SPARE_READY,
        **{"tenure": tenure(8, ready_at=ago(hours=1)), **given},
    )  # fmt: skip
    seen = snapshot(
        record(), place, decisions=[waiting("duel/0"), waiting(PLACE, Reason.SPARE_READY)]
    )
    declared = stream(spares=Spares(count=1, max_dollars_per_hour=0.9))
    return replace(seen, desired=Desired(streams=(declared,), fleet=seen.desired.fleet))


def text_of(*parts: object) -> str:
    out = StringIO()
    console = Console(file=out, width=80, color_system=None)
    for part in parts:
        console.print(part)
    return out.getvalue()


def test_a_spare_stands_beside_the_slots_and_is_not_counted_among_them() -> None:
    fleet = status_of(spared(), NOW)
    (duel,) = fleet.streams
    assert (fleet.slots, fleet.on_air, fleet.sentence) == (1, 1, "The stream is on air.")
    assert [slot.slot for slot in duel.slots] == ["duel/0"]
    (spare,) = duel.spares
    assert (spare.slot, spare.state, spare.tone, spare.is_on_air) == (
        PLACE, "Spare, ready", Tone.GOOD, False,
    )  # fmt: skip
    assert duel.dollars_per_hour > duel.slots[0].dollars_per_hour
    assert duel.spare_max_dollars_per_hour == 0.9


def test_a_place_without_its_spare_makes_no_fleet_sick() -> None:
    fleet = status_of(spared(tenure=None), NOW)
    assert fleet.tone is Tone.GOOD
    (spare,) = fleet.streams[0].spares
    assert (spare.state, spare.tone) == ("No spare", Tone.IDLE)


def test_one_that_may_not_be_rented_says_why() -> None:
    seen = spared(tenure=None)
    plan = replace(seen.plan, decisions=(hold(PLACE, Reason.BUDGET),))
    spare = slot_status(replace(seen, plan=plan), PLACE, NOW)
    assert spare is not None
    assert (spare.tone, spare.why) == (Tone.WARN, "would rent, but it would cross a spending limit")


def test_one_that_stands_still_says_so_and_costs_its_disk() -> None:
    still = tenure(
        8, ready_at=ago(hours=1), stop_asked_at=ago(hours=1), stopped_at=ago(hours=1),
        disk_dollars_per_hour=0.02,
    )  # fmt: skip
    spare = slot_status(spared(tenure=still), PLACE, NOW)
    assert spare is not None
    assert (spare.state, spare.phase, spare.tone) == ("Spare, stands still", "stopped", Tone.GOOD)
    assert spare.dollars_per_hour == 0.02
    started = replace(still, start_asked_at=ago(seconds=9))
    spare = slot_status(spared(tenure=started), PLACE, NOW)
    assert spare is not None
    assert (spare.state, spare.phase) == ("Spare is starting", "starting")
    assert spare.dollars_per_hour > 0.02


def test_a_slot_that_waits_for_a_spare_says_so() -> None:
    dark = record(tenure=None, dark_since=ago(minutes=1), healthy_since=None)
    seen = snapshot(dark, decisions=[waiting("duel/0", Reason.SPARE_STARTING)])
    slot = slot_status(seen, SlotId("duel/0"), NOW)
    assert slot is not None
    assert (slot.state, slot.tone) == ("Dark, starting a spare", Tone.BAD)
    assert slot.why == "a spare that stood still is being started"


def test_one_that_is_not_ready_is_on_its_way() -> None:
    spare = slot_status(spared(tenure=tenure(8)), PLACE, NOW)
    assert spare is not None
    assert spare.state == "Spare on its way"


def test_the_terminal_shows_it_below_the_slots() -> None:
    text = text_of(*shown_fleet(status_of(spared(), NOW), width=80))
    assert text.index("duel/0") < text.index("duel/spare-0")
    assert "spare ready" in text
    assert "The stream is on air." in text


def test_its_end_can_be_ordered_by_its_name_and_a_streams_name_means_the_slot() -> None:
    losses = losses_of(status_of(spared(), NOW), is_live=True)
    (loss,) = [each for each in losses if each.slot == PLACE]
    assert loss.instance_ids == (8,) or loss.instance_ids
    assert "nobody watches it: spare, ready" in loss.what
    names = ["duel/0", "duel/spare-0"]
    assert slot_named(names, "duel") == "duel/0"
    assert slot_named(names, "duel/spare-0") == PLACE


def test_what_is_explained_of_a_spare_names_no_remedy() -> None:
    seen = explain(spared(), PLACE, NOW)
    assert seen is not None
    names = [each.name for each in seen.allowances]
    assert names[0] == "replacements of the stream's spares"
    assert "reboot" not in names


def test_keeper_spend_has_a_line_for_spares_and_one_for_their_cap() -> None:
    tally = {DUEL: Tally(dollars=4.0, good_s=3600.0, spare_dollars=1.5)}
    meter = Meter(
        metered_at=NOW,
        rates={DUEL: Rate(dollars_per_hour=0.9, on_air=1, spare_dollars_per_hour=0.45)},
        tallies={day_of(NOW): tally, month_of(NOW): tally, TOTAL: tally},
    )
    seen = spared()
    spending = spending_of(replace(seen, world=replace(seen.world, meter=meter)), NOW)
    (duel,) = spending.streams
    assert duel.spares is not None
    assert (duel.spares.today_dollars, duel.spares.dollars_per_hour) == (1.5, 0.45)
    assert duel.spares.max_dollars_per_hour == 0.9
    lines = text_of(*shown(spending, spending.streams, None)).splitlines()
    (own,) = [line for line in lines if "of it spares" in line and "0.450" in line][:1]
    assert "1.50" in own
    assert any("spares per hour" in line and "0.90" in line and "50%" in line for line in lines)


def test_a_fleet_without_spares_has_no_such_line() -> None:
    spending = spending_of(snapshot(record()), NOW)
    assert all(each.spares is None for each in spending.streams)
    assert "spares" not in text_of(*shown(spending, spending.streams, None))


def test_the_daily_report_counts_slots_and_no_spares() -> None:
    seen = spared()
    (told,) = report((), seen.records, since=ago(hours=24), now=NOW)
    assert (told.slots, told.on_air) == (1, 1)
