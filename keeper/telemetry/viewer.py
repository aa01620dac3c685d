"""What viewers had, in numbers: the verdict of the latest look, what it measured, objectives. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from keeper.core.meter import TOTAL, caught_up, spent
from keeper.core.model import Subject, is_spare, stream_of
from keeper.core.moments import elapsed_s
from keeper.core.objective import budgets_of
from keeper.core.viewing import Verdict, verdict_of
from keeper.core.world import Snapshot
from keeper.telemetry.metrics import Samples

Sample = tuple[tuple[str, ...], float]
_BITS_PER_BYTE = 8.0

# What readings bring along as numbers: by whom, under which name, and how many make one of ours.
_MEASURED = {
    "keeper_stream_frames_per_second": (Subject.PICTURE, "unique_frames_per_s", 1.0),
    "keeper_stream_bytes_per_second": (Subject.PICTURE, "bitrate_bps", _BITS_PER_BYTE),
    "keeper_stream_mean_luma": (Subject.PICTURE, "mean_luma", 1.0),
    "keeper_stream_sound_dbfs": (Subject.PICTURE, "sound_dbfs", 1.0),
    "keeper_stream_keyframe_interval_seconds": (Subject.PICTURE, "keyframe_interval_s", 1.0),
    "keeper_stream_latency_seconds": (Subject.PICTURE, "latency_s", 1.0),
    "keeper_stream_newest_frame_age_seconds": (Subject.PICTURE, "newest_age_s", 1.0),
    "keeper_stream_generated_frames_per_second": (Subject.WORKLOAD, "generated_frames_per_s", 1.0),
    "keeper_stream_generation_seconds": (Subject.WORKLOAD, "generation_s", 1.0),
    "keeper_stream_queue_age_seconds": (Subject.WORKLOAD, "queue_age_s", 1.0),
}


def viewer_gauges(snapshot: Snapshot) -> Samples:
    """Read off a snapshot what viewers see now, and how that compares with what is promised."""
    return {
        **{name: list(_measured(snapshot, *where)) for name, where in _MEASURED.items()},
        "keeper_stream_verdict": list(_verdicts(snapshot)),
        **_times(snapshot),
        **_objectives(snapshot),
    }


def _measured(
    snapshot: Snapshot, subject: Subject, number: str, divisor: float
) -> Iterator[Sample]:
    for slot, record in snapshot.records.items():
        if record.tenure is None or record.tenure.instance_id is None:
            continue
        reading = snapshot.latest.get((record.tenure.instance_id, subject))
        value = None if reading is None else reading.numbers.get(number)
        if value is not None and isfinite(value):
            yield (stream_of(slot), slot), value / divisor


def _verdicts(snapshot: Snapshot) -> Iterator[Sample]:
    """Yield the word of each slot that has a host; a look that is old says nothing of now."""
    stale_s = {each.name: each.policy.probe_stale_s for each in snapshot.desired.streams}
    for slot, record in snapshot.records.items():
        if is_spare(slot) or record.tenure is None or record.tenure.instance_id is None:
            continue
        stream, verdict = stream_of(slot), Verdict.UNKNOWN
        reading = snapshot.latest.get((record.tenure.instance_id, Subject.PICTURE))
        if reading and elapsed_s(reading.at, snapshot.at) < stale_s.get(stream, 0.0):
            verdict = verdict_of(reading)
        yield (stream, slot, verdict.value), 1.0


def _times(snapshot: Snapshot) -> Samples:
    ledger = caught_up(snapshot.plan.meter or snapshot.world.meter, snapshot.at)
    totals = [(each.name, spent(ledger, TOTAL, each.name)) for each in snapshot.desired.streams]
    return {
        "keeper_stream_dark_seconds_total": [((name,), each.dark_s) for name, each in totals],
        "keeper_stream_silent_seconds_total": [((name,), each.silent_s) for name, each in totals],
        "keeper_stream_starting_seconds_total": [
            ((name,), each.starting_s) for name, each in totals
        ],
    }


def _objectives(snapshot: Snapshot) -> Samples:
    ledger = snapshot.plan.meter or snapshot.world.meter
    budgets = budgets_of(ledger, snapshot.desired.streams, snapshot.at)
    return {
        "keeper_stream_objective_ratio": [((name,), each.ratio) for name, each in budgets.items()],
        **{
            metric: [
                ((name,), ratio)
                for name, each in budgets.items()
                if (ratio := getattr(each, field)) is not None
            ]
            for metric, field in (
                ("keeper_stream_availability_ratio", "availability_ratio"),
                ("keeper_stream_error_budget_remaining_ratio", "remaining_ratio"),
                ("keeper_stream_error_budget_burn_ratio", "burn_ratio"),
            )
        },
    }
