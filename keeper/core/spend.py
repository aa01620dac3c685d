"""What keeper has committed to pay per hour. Pure sums, for the budget, the page and the metrics.

A rental counts from the intent to rent until its end is confirmed: a condemned one still bills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keeper.core.model import Condemned, SlotId, SlotRecord, StreamName, stream_of


def record_dollars_per_hour(record: SlotRecord) -> float:
    """Return what a slot's rentals cost, asked for or running, with the viewers' traffic."""
    return sum(
        tenure.dollars_per_hour + tenure.traffic_dollars_per_hour
        for tenure in (record.tenure, record.incoming)
        if tenure is not None
    )


def committed_by_stream(
    records: Iterable[SlotRecord], condemned: Iterable[Condemned]
) -> dict[StreamName | None, float]:
    """Return dollars per hour by stream; None collects condemned rentals of no known slot."""
    totals: dict[StreamName | None, float] = {}
    for record in records:
        stream = stream_of(record.slot)
        totals[stream] = totals.get(stream, 0.0) + record_dollars_per_hour(record)
    for each in condemned:
        owner = None if each.slot is None else stream_of(each.slot)
        totals[owner] = totals.get(owner, 0.0) + each.dollars_per_hour
    return totals


def committed_dollars_per_hour(
    records: Mapping[SlotId, SlotRecord],
    condemned: Iterable[Condemned],
    stream: StreamName | None = None,
) -> float:
    """Return dollars per hour of one stream, or of the whole fleet when none is named."""
    totals = committed_by_stream(records.values(), condemned)
    return sum(totals.values()) if stream is None else totals.get(stream, 0.0)
