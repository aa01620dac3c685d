"""The ledger in numbers: what was spent, the caps, what is committed and where it leads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from math import fsum

from keeper.core.caps import every_cap, is_stopped
from keeper.core.meter import TOTAL, Tally, caught_up, day_ends_at, day_of, month_ends_at, month_of
from keeper.core.model import StreamName, stream_of
from keeper.core.moments import elapsed_s
from keeper.core.spend import committed_by_stream
from keeper.core.world import Snapshot
from keeper.telemetry.metrics import Samples

_HOUR_S = 3600.0


def money_gauges(snapshot: Snapshot) -> Samples:
    """Read the ledger as of the snapshot."""
    now = snapshot.at
    ledger = caught_up(snapshot.plan.meter or snapshot.world.meter, now)
    samples: Samples = {
        "keeper_spent_dollars": [],
        "keeper_good_picture_seconds": [],
        "keeper_spare_spent_dollars": [],
        "keeper_spend_forecast_dollars": [],
    }
    # A stream that is gone is part of what the fleet spent, and has no series of its own.
    known = {each.name for each in snapshot.desired.streams}
    known |= {stream_of(slot) for slot in snapshot.records}
    periods = (
        ("day", day_of(now), day_ends_at(now)),
        ("month", month_of(now), month_ends_at(now)),
        ("total", TOTAL, None),
    )
    for period, key, end in periods:
        for stream, tally in sorted(_of_known(ledger.tallies.get(key, {}), known).items()):
            labels = (stream, period)
            samples["keeper_spent_dollars"].append((labels, tally.dollars))
            samples["keeper_good_picture_seconds"].append((labels, tally.good_s))
            samples["keeper_spare_spent_dollars"].append((labels, tally.spare_dollars))
            if end is not None:
                rate = ledger.rates.get(stream)
                more = 0.0 if rate is None else rate.dollars_per_hour * elapsed_s(now, end)
                forecast = tally.dollars + more / _HOUR_S
                samples["keeper_spend_forecast_dollars"].append((labels, forecast))
    committed = committed_by_stream(snapshot.records.values(), snapshot.plan.condemned)
    samples["keeper_spend_committed_dollars_per_hour"] = sorted(
        ((stream or "",), dollars) for stream, dollars in committed.items()
    )
    caps = tuple(every_cap(snapshot.desired.fleet, snapshot.desired.streams))
    samples["keeper_spend_cap_dollars"] = [
        ((cap.stream or "", cap.span.value), cap.dollars) for cap in caps
    ]
    samples["keeper_spend_stopped"] = [
        ((cap.stream or "", cap.span.value), float(is_stopped(ledger, cap, now))) for cap in caps
    ]
    return samples


def _of_known(
    tallies: Mapping[StreamName, Tally], known: AbstractSet[StreamName]
) -> Mapping[StreamName, Tally]:
    """Add up, under the empty name, what belongs to no stream that there is."""
    gone = tallies.keys() - known
    if not gone:
        return tallies
    rest = {stream: tally for stream, tally in tallies.items() if stream in known}
    return {
        **rest,
        StreamName(""): Tally(
            dollars=fsum(tallies[each].dollars for each in gone),
            good_s=fsum(tallies[each].good_s for each in gone),
            spare_dollars=fsum(tallies[each].spare_dollars for each in gone),
        ),
    }
