"""Who is told, and what is heard from outside."""

from __future__ import annotations

from keeper.telemetry.described import Described, counter, state

ROWS: tuple[Described, ...] = (
    state(
        "keeper_alerts",
        "Alerts that hold now, by name and severity; told of or not. 0: none of that kind holds.",
        *("alert", "severity"),
    ),
    state(
        "keeper_alerts_hidden",
        "Alerts that hold now and of which nobody is told: a louder one says it, or a silence hides it.",
        "by",
    ),
    state("keeper_alert_incidents", "Incidents that are open: stories that people were told of."),
    state("keeper_silences", "Silences that are in force."),
    counter(
        "keeper_notices_total",
        "Deliveries of messages to channels that were tried, by how that went: sent or failed.",
        *("channel", "outcome"),
    ),
    state("keeper_outbox_pending", "Messages that wait for their channel.", "channel"),
    state(
        "keeper_outbox_oldest_timestamp_seconds",
        "When the oldest message that waits for its channel was made; absent: none waits.",
        "channel",
        unit="seconds",
    ),
    state(
        "keeper_channel_off",
        "Whether a channel has said that it wants no more messages, and gets none.",
        "channel",
    ),
    state(
        "keeper_channel_dropped",
        "Messages that were lost for good since a channel that is on took one; a restart forgets them.",
        "channel",
    ),
    state(
        "keeper_channel_last_drop_timestamp_seconds",
        "When the latest message for a channel that is on was lost for good; absent: none since the start.",
        "channel",
        unit="seconds",
    ),
    state(
        "keeper_feed_taking",
        "Whether a place that is shown what holds took the latest showing; 1 before there was one.",
        "channel",
    ),
    state(
        "keeper_heartbeat_heard",
        "Whether the address that is to hear that this box lives heard the latest beat; 1 before there was one,"
        " absent: none is declared.",
    ),
    counter(
        "keeper_hints_taken_total",
        "Hints from outside after which the marketplace was looked at sooner.",
        "source",
    ),
    counter(
        "keeper_hints_refused_total",
        "Hints that were forged, late, malformed or known already; nothing followed from them.",
        *("source", "why"),
    ),
)
