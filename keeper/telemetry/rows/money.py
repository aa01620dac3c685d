"""Money, rentals and the marketplace."""

from __future__ import annotations

from keeper.telemetry.described import Described, accrued, state

ROWS: tuple[Described, ...] = (
    state(
        "keeper_spend_dollars_per_hour",
        "What a stream's rentals cost now, condemned ones included until they are confirmed gone.",
        "stream",
        unit="dollars",
    ),
    accrued(
        "keeper_spend_dollars_total",
        "What a stream's rentals have cost since this process started, estimated from their price.",
        "stream",
        unit="dollars",
    ),
    state(
        "keeper_spent_dollars",
        "What keeper counted for a stream in this UTC day, this month and in total; over restarts. The empty"
        " stream: what is of none, or of streams that are gone.",
        *("stream", "period"),
        unit="dollars",
    ),
    state(
        "keeper_good_picture_seconds",
        "For how long slots of a stream showed a good picture in the same periods, added up.",
        *("stream", "period"),
        unit="seconds",
    ),
    state(
        "keeper_spend_cap_dollars",
        "The caps that are set, the fleet's under the empty stream.",
        *("stream", "period"),
        unit="dollars",
    ),
    state(
        "keeper_spend_committed_dollars_per_hour",
        "What a stream's rentals may cost at worst: in doubt, stopped and condemned ones in full.",
        "stream",
        unit="dollars",
    ),
    state(
        "keeper_spend_forecast_dollars",
        "What will have been spent at the end of the day and of the month at the present rate.",
        *("stream", "period"),
        unit="dollars",
    ),
    state(
        "keeper_spend_stopped",
        "Whether a cap has stopped its stream, or the fleet (the empty stream).",
        *("stream", "period"),
    ),
    state("keeper_rentals", "Rentals that are bound to a slot.", "stream"),
    state(
        "keeper_spares",
        "Places of spares: missing, coming (not ready yet), ready, stopped (stands still) or starting.",
        "stream",
        "state",
    ),
    state(
        "keeper_spare_spent_dollars",
        "The part of keeper_spent_dollars that went into spares.",
        *("stream", "period"),
        unit="dollars",
    ),
    state("keeper_condemned_rentals", "Rentals that must end and are not confirmed gone yet."),
    state("keeper_orphans", "Rentals with keeper's label that no journal entry explains."),
    state("keeper_market_readable", "Whether the marketplace gives complete listings."),
    state(
        "keeper_listing_age_seconds",
        "Age of the last complete listing at the last tick; absent before the first listing.",
        unit="seconds",
    ),
    state(
        "keeper_account_credit_dollars",
        "What the marketplace account could spend when last asked; a debt is negative, absent while"
        " nobody knows.",
        unit="dollars",
    ),
    state(
        "keeper_account_runway_seconds",
        "How long the account lasts at what it pays now; +Inf when it pays nothing.",
        unit="seconds",
    ),
)
