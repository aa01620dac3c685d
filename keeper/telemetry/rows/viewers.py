"""What viewers see, and how that compares with what is promised."""

from __future__ import annotations

from keeper.telemetry.described import (
    DETECTION_BUCKETS_S,
    REPAIR_BUCKETS_S,
    Described,
    accrued,
    histogram,
    state,
)

ROWS: tuple[Described, ...] = (
    state(
        "keeper_stream_on_air",
        "Whether the viewer sees the slot's picture, and hears it where sound is expected. A loss shows"
        " once it is believed: policy.failures_to_fail looks.",
        *("stream", "slot"),
    ),
    accrued(
        "keeper_stream_dark_seconds_total",
        "Time that slots were dark for their viewers, from the first bad look to the first good one, added"
        " up per stream; over restarts.",
        "stream",
        unit="seconds",
    ),
    accrued(
        "keeper_stream_silent_seconds_total",
        "The part of that in which there was a picture without the sound that belongs to it.",
        "stream",
        unit="seconds",
    ),
    accrued(
        "keeper_stream_starting_seconds_total",
        "Time before the first picture of slots, as long as a host may take to come up; not dark.",
        "stream",
        unit="seconds",
    ),
    histogram(
        "keeper_stream_dark_duration_seconds",
        "From the first bad look at a slot to the first good one.",
        REPAIR_BUCKETS_S,
        "stream",
    ),
    histogram(
        "keeper_stream_start_duration_seconds",
        "From the declaration of a slot to the first good look at it.",
        REPAIR_BUCKETS_S,
        "stream",
    ),
    histogram(
        "keeper_stream_detection_duration_seconds",
        "From the first bad look at a slot to the moment at which the loss was believed: the time to detect.",
        DETECTION_BUCKETS_S,
        "stream",
    ),
    histogram(
        "keeper_host_start_duration_seconds",
        "From the order of a rental to the first good look at it, for each new host: the time to picture."
        " Hosts that wait as spares are none.",
        REPAIR_BUCKETS_S,
        "stream",
    ),
    state(
        "keeper_stream_objective_ratio",
        "The share of time in which each slot of a stream is to show a good picture.",
        "stream",
    ),
    state(
        "keeper_stream_availability_ratio",
        "The share of the time that somebody knew of, over the objective's window, that was good.",
        "stream",
    ),
    state(
        "keeper_stream_error_budget_remaining_ratio",
        "What is left of the dark time that the objective allows in its window; below 0: more was used.",
        "stream",
    ),
    state(
        "keeper_stream_error_budget_burn_ratio",
        "How fast it was used today and yesterday; at 1 it lasts for just the window.",
        "stream",
    ),
    state(
        "keeper_stream_verdict",
        "What the viewer's latest look at a slot comes to, in one word; always 1, of one word at a time.",
        *("stream", "slot", "verdict"),
    ),
    state(
        "keeper_stream_bytes_per_second",
        "What a stream sends, as the viewer read it last.",
        *("stream", "slot"),
        unit="bytes",
    ),
    state(
        "keeper_stream_mean_luma",
        "Mean brightness of the picture, 0 to 255, as the viewer saw it last.",
        *("stream", "slot"),
    ),
    state(
        "keeper_stream_sound_dbfs",
        "The loudest moment of the sound as the viewer heard it last: 0 is full scale, silence far below.",
        *("stream", "slot"),
    ),
    state(
        "keeper_stream_keyframe_interval_seconds",
        "From one keyframe to the next, where whole groups were seen.",
        *("stream", "slot"),
        unit="seconds",
    ),
    state(
        "keeper_stream_latency_seconds",
        "How far behind live the picture is, where the source itself says it.",
        *("stream", "slot"),
        unit="seconds",
    ),
    state(
        "keeper_stream_newest_frame_age_seconds",
        "How old the newest picture was at the latest look, where that can be told.",
        *("stream", "slot"),
        unit="seconds",
    ),
    state(
        "keeper_slate_on",
        "Whether viewers see keeper's own slate; absent: the stream has none declared.",
        "stream",
    ),
    state(
        "keeper_stream_frames_per_second",
        "Different frames per second, as the viewer saw them last.",
        *("stream", "slot"),
    ),
    state(
        "keeper_stream_generated_frames_per_second",
        "New pictures per second by the generator's own count; where the workload tells (sd-turbo).",
        *("stream", "slot"),
    ),
    state(
        "keeper_stream_generation_seconds",
        "How long one picture takes to draw, smoothed over about ten; where the workload tells.",
        *("stream", "slot"),
        unit="seconds",
    ),
    state(
        "keeper_stream_queue_age_seconds",
        "For how long the newest prompt has waited for its first picture; 0: none waits.",
        *("stream", "slot"),
        unit="seconds",
    ),
    state(
        "keeper_symptom",
        "What a slot's workload says is wrong with it, by the word of its catalogue; absent: nothing.",
        *("stream", "slot", "symptom"),
    ),
    state("keeper_slots", "Slots by the status of each condition.", "condition", "status"),
)
