"""Keeper itself: what runs, its ticks, its calls, its configuration, what holds it back."""

from __future__ import annotations

from keeper.telemetry.described import (
    CALL_BUCKETS_S,
    TICK_BUCKETS_S,
    Described,
    counter,
    gauge,
    histogram,
    state,
)

ROWS: tuple[Described, ...] = (
    gauge(
        "keeper_build_info",
        "Always 1; the labels say what runs.",
        *("version", "revision", "python"),
    ),
    gauge(
        "keeper_last_tick_timestamp_seconds",
        "When the last tick finished; 0 before the first.",
        unit="seconds",
    ),
    counter("keeper_ticks_total", "Ticks that finished."),
    histogram("keeper_tick_duration_seconds", "How long ticks took.", TICK_BUCKETS_S),
    counter("keeper_events_total", "Facts stated, by name.", "event"),
    histogram(
        "keeper_port_call_duration_seconds",
        "Calls to the outside; outcome is ok, the class of the error, or own_fault: a look that this box could not take.",
        CALL_BUCKETS_S,
        *("port", "method", "outcome"),
    ),
    gauge(
        "keeper_config_last_reload_successful",
        "Whether the last reading of the configuration succeeded; 0: the old one is in force.",
    ),
    gauge(
        "keeper_config_last_reload_success_timestamp_seconds",
        "When the configuration in force was read; 0 before the start is complete.",
        unit="seconds",
    ),
    state(
        "keeper_config_hash",
        "A number that stands for the configuration in force, values of secrets apart: equal numbers, equal"
        " configurations.",
    ),
    state("keeper_paused", "Whether an operator has paused the fleet."),
    state("keeper_paused_slots", "Slots and spares that an operator has paused."),
    state(
        "keeper_pause_end_timestamp_seconds",
        "When a pause ends by itself; +Inf: never. The slot is empty for a pause of the fleet.",
        "slot",
        unit="seconds",
    ),
    state("keeper_open_windows", "Maintenance windows that are open, by what they allow.", "allow"),
    state("keeper_fuse_tripped", "Whether a fleet-wide fuse says no, by its reason.", "reason"),
    state(
        "keeper_common_cause_hosts",
        "Failed hosts that a suspected common cause explains, by what they share; 0: none suspected.",
        "trait",
    ),
    state(
        "keeper_deploy_bad",
        "Whether what is declared for a stream was found to be bad and taken back.",
        "stream",
    ),
    state(
        "keeper_deploy_hosts",
        "Hosts by what they run: what is declared, or something else that is to go.",
        *("stream", "runs"),
    ),
)
