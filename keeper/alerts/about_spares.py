"""Alerts about spares: one took over, or one that is declared cannot be had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import HUMAN, names
from keeper.alerts.wording import duration
from keeper.core.decisions import Hold
from keeper.core.model import SlotId, SlotRecord, StreamName, is_spare, stream_of
from keeper.core.moments import elapsed_s
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.text import plain
from keeper.core.world import Snapshot

# So long it is news that a spare has taken over.
_NEWS_S = 1800.0
# Searches in vain before it is told, as for a slot.
_MISSES_MIN = 3
_DETAIL_MAX = 600
# What stands in the way of a spare for hours.
_LASTING = (
    Reason.BUDGET,
    Reason.DARK_SPEND,
    Reason.REPLACEMENTS_SPENT,
    Reason.OUT_OF_CREDIT,
    Reason.UNAUTHORIZED,
)


# Why one that stood still was given up when it was wanted, or was to stand still.
_FAILED = (Reason.SPARE_NOT_STARTED, Reason.SPARE_NOT_STOPPED)


def spare_took_over(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A spare has become a slot's host a while ago: nothing to do, but somebody should know."""
    for slot, record in snapshot.records.items():
        at = record.took_over_at
        if at is None or elapsed_s(at, now) >= _NEWS_S:
            continue
        dark = duration(record.took_over_dark_s)
        yield Alert(
            name="KeeperSpareTookOver",
            key=f"KeeperSpareTookOver:{slot}",
            severity=Severity.INFO,
            slot=slot,
            stream=stream_of(slot),
            summary=f"a spare took over {slot}"
            + (f" after {dark} without a picture" if record.took_over_dark_s else ""),
            why=f"{SENTENCE[record.took_over_for]}",
            did="keeper made a spare its host, and rents another spare when all is well",
            needs_human="",
            since=at,
            labels={"stream": stream_of(slot), "slot": slot},
            reason=record.took_over_for,
            over=f"{slot} has been with its former spare for a while",
        )


def spare_missing(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A spare is declared and cannot be had: the stream is as safe as without one."""
    held = {
        each.slot: each.reason
        for each in snapshot.plan.decisions
        if isinstance(each, Hold) and each.reason in _LASTING and is_spare(each.slot)
    }
    groups: dict[StreamName, list[SlotId]] = defaultdict(list)
    for place, record in snapshot.records.items():
        is_wanted = is_spare(place) and record.tenure is None
        if is_wanted and (
            place in held or record.offer_misses >= _MISSES_MIN or _has_failed(record, now)
        ):
            groups[stream_of(place)].append(place)
    for stream, places in groups.items():
        places.sort()
        record = snapshot.records[places[0]]
        is_searched = record.offer_misses >= _MISSES_MIN or not _has_failed(record, now)
        unheld = Reason.NO_SUITABLE_OFFER if is_searched else record.last_act_reason
        reason = held.get(places[0], unheld)
        yield Alert(
            name="KeeperSpareMissing",
            key=f"KeeperSpareMissing:{stream}",
            severity=Severity.INFO,
            slot=places[0] if len(places) == 1 else None,
            stream=stream,
            summary=f"{stream} is without a spare that it should have",
            why=": ".join(filter(None, (SENTENCE[reason], _detail(record, reason)))),
            did=_did(record, reason).format(names(places)),
            needs_human=_advice(places[0], reason),
            since=record.last_act_at or snapshot.world.started_at or now,
            labels={"stream": stream, "reason": reason},
            reason=reason,
            over=f"{stream} has its spares again",
        )


def _has_failed(record: SlotRecord, now: datetime) -> bool:
    """Whether a place is empty because its spare would not start, or not stand still, a while ago."""
    at = record.last_act_at
    is_of_late = at is not None and elapsed_s(at, now) < _NEWS_S
    return is_of_late and record.last_act == "destroy" and record.last_act_reason in _FAILED


def _did(record: SlotRecord, reason: Reason) -> str:
    if reason is Reason.REPLACEMENTS_SPENT:
        return "keeper rents the next for {} as the allowance comes back, one by one"
    if reason in _FAILED and record.last_act == "destroy":
        return "keeper has ended it, so that it costs no more, and looks for another for {}"
    return "keeper goes on looking, ever more slowly, for {}"


def _advice(place: SlotId, reason: Reason) -> str:
    said = _ADVICE_OF.get(reason) or HUMAN.get(reason, _ADVICE)
    return said.format(slot=place)


_ADVICE = "Relax what it names, or `spares.spread`, or do without: `count: 0`."
_ADVICE_OF = {
    Reason.SPARE_NOT_STARTED: (
        "Nothing, once. If it comes again and again: `spares.kind: warm` keeps the GPU."
    ),
    Reason.SPARE_NOT_STOPPED: (
        "Nothing, once. If it comes again, `keeper events --slot {slot}` shows what the marketplace "
        "answers to a stop: `spares.kind: warm`, or `count: 0`, until it takes them."
    ),
    Reason.REPLACEMENTS_SPENT: (
        "Look at how its spares ended (`keeper events --slot {slot}`) and mend that, raise "
        "`replacements_max`, or do without: `count: 0`."
    ),
}


def _detail(record: SlotRecord, reason: Reason) -> str:
    if reason is Reason.REPLACEMENTS_SPENT and record.last_act == "destroy":
        return f"the last one ended because {SENTENCE[record.last_act_reason]}"
    return plain(record.rent_detail, _DETAIL_MAX) if reason is Reason.NO_SUITABLE_OFFER else ""
