"""What viewers had, in numbers: one word a slot, what was measured, and what is left of the objective."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import inf, nan

import pytest

from keeper.core.flow import Rate
from keeper.core.meter import Meter, Tally, day_of
from keeper.core.model import Objective, Reading, Status, StreamName
from keeper.core.reasons import Reason
from keeper.core.world import Snapshot
from keeper.telemetry.metrics import Samples
from keeper.telemetry.viewer import viewer_gauges
from tests.snapshots import NOW, picture, record, snapshot, tenure

DUEL = StreamName("duel")
DUEL_0 = ("duel", "duel/0")


def seen(reading: Reading | None, **more: object) -> Samples:
    latest = {} if reading is None else {(reading.instance_id, reading.subject): reading}
    shown = snapshot(record("duel/0"), latest=latest)
    return viewer_gauges(replace(shown, **more))  # type: ignore[arg-type]


VERDICTS = [
    (picture(1), "live"),
    (replace(picture(1), status=Status.FALSE, reason=Reason.NO_SOUND), "silent"),
    (replace(picture(1), reason=Reason.STUTTERING), "stuttering"),
    (replace(picture(1), status=Status.UNKNOWN, reason=Reason.PROBE_FAILED), "unknown"),
    (replace(picture(1), at=NOW - timedelta(seconds=45)), "unknown"),
    (replace(picture(1), at=NOW - timedelta(seconds=44)), "live"),
    (None, "unknown"),
]


@pytest.mark.parametrize(("reading", "word"), VERDICTS)
def test_each_slot_has_one_word_and_an_old_look_says_nothing_of_now(
    reading: Reading | None, word: str
) -> None:
    assert seen(reading)["keeper_stream_verdict"] == [((*DUEL_0, word), 1.0)]


def test_a_slot_without_a_host_and_a_spare_have_no_word() -> None:
    records = (
        record("duel/0", tenure=None),
        record("duel/1", tenure=replace(tenure(2), instance_id=None)),
        record("duel/spare-0", tenure=tenure(3)),
    )
    found = viewer_gauges(snapshot(*records))
    assert found["keeper_stream_verdict"] == []
    assert found["keeper_stream_mean_luma"] == []


def test_what_was_measured_is_shown_in_base_units_and_nothing_that_is_no_number() -> None:
    numbers = {"bitrate_bps": 8000.0, "mean_luma": nan, "latency_s": inf, "sound_dbfs": -91.0}
    found = seen(replace(picture(1), numbers=numbers))
    assert found["keeper_stream_bytes_per_second"] == [(DUEL_0, 1000.0)]
    assert found["keeper_stream_sound_dbfs"] == [(DUEL_0, -91.0)]
    empty = (
        "mean_luma",
        "latency_seconds",
        "keyframe_interval_seconds",
        "newest_frame_age_seconds",
    )
    assert [found[f"keeper_stream_{name}"] for name in empty] == [[], [], [], []]


def promised(meter: Meter, ratio: float = 0.9) -> Snapshot:
    shown = snapshot(record("duel/0"))
    streams = tuple(
        replace(each, replicas=1, objective=Objective(ratio=ratio, window_days=1))
        for each in shown.desired.streams
        if each.name == DUEL
    )
    return replace(
        shown,
        desired=replace(shown.desired, streams=streams),
        world=replace(shown.world, meter=meter),
    )


def test_dark_time_and_the_budget_are_the_ledger_s_and_outlive_the_process() -> None:
    tally = {DUEL: Tally(good_s=840.0, dark_s=4260.0, silent_s=40.0, starting_s=7.0)}
    meter = Meter(
        metered_at=NOW - timedelta(seconds=60),
        rates={DUEL: Rate(dark=1)},
        tallies={day_of(NOW): tally, "total": tally},
    )
    found = viewer_gauges(promised(meter))
    of_it = {name: values for name, values in found.items() if name.startswith("keeper_stream_")}
    assert of_it["keeper_stream_dark_seconds_total"] == [(("duel",), 4320.0)]
    assert of_it["keeper_stream_silent_seconds_total"] == [(("duel",), 40.0)]
    assert of_it["keeper_stream_starting_seconds_total"] == [(("duel",), 7.0)]
    assert of_it["keeper_stream_objective_ratio"] == [(("duel",), 0.9)]
    ((_, left),) = of_it["keeper_stream_error_budget_remaining_ratio"]
    assert left == pytest.approx(0.5)
    ((_, good),) = of_it["keeper_stream_availability_ratio"]
    assert good == pytest.approx(840 / 5160)
    ((_, burns),) = of_it["keeper_stream_error_budget_burn_ratio"]
    assert burns == pytest.approx(4320 / 5160 / 0.1)


def test_what_is_not_known_is_not_shown() -> None:
    found = viewer_gauges(promised(Meter()))
    assert found["keeper_stream_availability_ratio"] == []
    assert found["keeper_stream_error_budget_burn_ratio"] == []
    assert found["keeper_stream_error_budget_remaining_ratio"] == [(("duel",), 1.0)]
    assert found["keeper_stream_dark_seconds_total"] == [(("duel",), 0.0)]
