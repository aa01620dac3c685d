"""What keeper does about it."""

from __future__ import annotations

from keeper.telemetry.described import (
    GAP_BUCKETS_S,
    REPAIR_BUCKETS_S,
    Described,
    accrued,
    counter,
    histogram,
)

ROWS: tuple[Described, ...] = (
    counter(
        "keeper_decisions_total",
        "Decisions that differ from the slot's decision before.",
        *("decision", "reason"),
    ),
    counter("keeper_incidents_total", "Sicknesses of slots, by cause.", "stream", "reason"),
    counter(
        "keeper_restarts_total", "Remedies below a new host that were ordered.", "stream", "rung"
    ),
    accrued("keeper_replacements_total", "Hosts that were replaced for a sickness.", "stream"),
    counter("keeper_recycles_total", "Hosts that were to be replaced for their age.", "stream"),
    counter(
        "keeper_spare_promotions_total",
        "Spares that took over, by why their slot needed another host.",
        *("stream", "reason"),
    ),
    histogram(
        "keeper_repair_duration_seconds",
        "From the moment at which a loss was believed to that at which the slot was well again: the time to"
        " repair.",
        REPAIR_BUCKETS_S,
        "stream",
    ),
    histogram(
        "keeper_handover_gap_seconds",
        "What viewers missed while one host took another's place: from the last good look to the first."
        " 0 where they overlap.",
        GAP_BUCKETS_S,
        "stream",
    ),
)
