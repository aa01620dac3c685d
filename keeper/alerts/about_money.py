"""Alerts about what is spent: a cap nearly used or reached, dollars without a picture, drift."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from keeper.alerts import Alert, Severity
from keeper.alerts.advice import HUMAN, names
from keeper.core.caps import Cap, Span, every_cap, free_again, is_stopped, key_of
from keeper.core.curb import warned_key
from keeper.core.dark import dark_dollars
from keeper.core.meter import Meter, Warned
from keeper.core.model import SlotId, StreamName, stream_of
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.world import Snapshot

_SETTING = {
    Span.DAY: "spend_max_dollars_per_day",
    Span.MONTH: "spend_max_dollars_per_month",
    Span.TOTAL: "spend_max_dollars_total",
}


def budget_used(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """So much of a cap is used that somebody wanted to know; over with the period."""
    ledger, fleet = ledger_of(snapshot), snapshot.desired.fleet
    if not ledger.warned:
        return
    for cap in every_cap(fleet, snapshot.desired.streams):
        warned = ledger.warned.get(warned_key(cap, now))
        if warned is None or is_stopped(ledger, cap, now):
            continue
        severity = _severity(warned, fleet.spend_warn_ratios)
        reached = (
            "at this rate the period ends first"
            if warned.reached_at is None
            else f"at this rate all of it is by {warned.reached_at:%Y-%m-%d %H:%M} UTC"
        )
        yield Alert(
            name="KeeperBudgetUsed",
            key=f"KeeperBudgetUsed:{_key(cap)}",
            severity=severity,
            slot=None,
            stream=cap.stream,
            summary=f"{cap.whose} has used {warned.ratio:.0%} of its {cap.words}",
            why=f"${warned.dollars:.2f} were spent at {warned.at:%H:%M} UTC; {reached}",
            did=f"keeper goes on; {fleet.spend_end_s / 60:g} min before the cap is reached it ends"
            " hosts, the least useful first",
            needs_human=f"Raise `{_SETTING[cap.span]}`, or end something: `keeper spend` shows what"
            " costs what."
            if severity is not Severity.INFO
            else "",
            since=warned.at,
            dollars=warned.dollars,
            labels={"period": cap.span.value},
            reason=Reason.BUDGET,
            over=f"a new period has begun for {cap.whose}, or its cap was raised",
            is_once=True,
            stage=round(warned.ratio * 100),
        )


def _severity(warned: Warned, ratios: tuple[float, ...]) -> Severity:
    """Be louder with each share, so that each is told; wake somebody when the cap will be reached."""
    if warned.ratio <= min(ratios, default=0.0) and len(ratios) > 1:
        return Severity.INFO
    is_last = warned.ratio >= max(ratios, default=1.0)
    will_be_reached = is_last and warned.reached_at is not None
    return Severity.CRITICAL if will_be_reached else Severity.WARNING


def budget_stop(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A cap was about to be crossed: hosts are ended for it, and nothing is rented again."""
    ledger = ledger_of(snapshot)
    if not ledger.stops:
        return
    for cap in every_cap(snapshot.desired.fleet, snapshot.desired.streams):
        if not is_stopped(ledger, cap, now):
            continue
        rented = sorted(_rented(snapshot, cap.stream))
        yield Alert(
            name="KeeperBudgetStop",
            key=f"KeeperBudgetStop:{_key(cap)}",
            severity=Severity.CRITICAL,
            slot=None,
            stream=cap.stream,
            summary=f"{cap.whose} is stopped: its {cap.words} is nearly used up",
            why=f"what is left of it would soon not pay for the end of its hosts; {free_again(cap, now)}",
            did=f"keeper rents nothing for {cap.whose}; "
            + (
                f"still rented: {names(rented)} (what may not be ended, or still fits)"
                if rented
                else "all its hosts are ended"
            ),
            needs_human=f"Raise `{_SETTING[cap.span]}` and reload, or wait. Where keeper is paused or"
            " only watches it ends nothing: then `keeper destroy SLOT`.",
            since=ledger.stops[key_of(cap, now)].at,
            labels={"period": cap.span.value},
            reason=Reason.BUDGET,
            over=f"{cap.whose} may spend again",
        )


def dark_spend(snapshot: Snapshot, now: datetime) -> Iterator[Alert]:
    """A stream has cost too much without a picture, so it gets no more hosts.

    Also while something else keeps its slots from renting, too: a list that failed for a moment would
    end the message, and begin another one.
    """
    ledger = ledger_of(snapshot)
    limits = {s.name: s.policy.dark_spend_max_dollars for s in snapshot.desired.streams}
    held: dict[StreamName, list[SlotId]] = {}
    for slot, record in snapshot.ailing.items():
        stream = stream_of(slot)
        is_over = stream in limits and dark_dollars(ledger, stream) > limits[stream]
        if record.last_reason is Reason.DARK_SPEND or (record.tenure is None and is_over):
            held.setdefault(stream, []).append(slot)
    for stream, slots in held.items():
        since = [r.dark_since for s in slots if (r := snapshot.records[s]).dark_since is not None]
        yield Alert(
            name="KeeperDarkSpend",
            key=f"KeeperDarkSpend:{stream}",
            severity=Severity.CRITICAL,
            slot=slots[0] if len(slots) == 1 else None,
            stream=stream,
            summary=f"{stream} cost more than ${limits.get(stream, 0.0):.2f} without a picture",
            why=SENTENCE[Reason.DARK_SPEND],
            did=f"keeper rents no more hosts for {names(sorted(slots))}",
            needs_human=HUMAN[Reason.DARK_SPEND].format(slot=slots[0]),
            since=min(since, default=now),
            labels={"stream": stream},
            reason=Reason.DARK_SPEND,
            over=f"{stream} may rent hosts again",
        )


def spend_drift(snapshot: Snapshot, _now: datetime) -> Iterator[Alert]:
    """The account's credit fell by something else than what its rentals are said to cost."""
    drift = ledger_of(snapshot).drift
    if drift is None:
        return
    compared = drift.compared
    is_more = compared.fell_dollars > compared.most_dollars
    said = (
        f"${compared.least_dollars:.2f}"
        if f"{compared.least_dollars:.2f}" == f"{compared.most_dollars:.2f}"
        else f"${compared.least_dollars:.2f} to ${compared.most_dollars:.2f}"
    )
    yield Alert(
        name="KeeperSpendDrift",
        key="KeeperSpendDrift",
        severity=Severity.WARNING,
        slot=None,
        stream=None,
        summary="the account pays more than its rentals are said to cost"
        if is_more
        else "the account pays less than its rentals are said to cost",
        why=f"its credit fell by ${compared.fell_dollars:.2f} in {compared.over_s / 60:.0f} min, and"
        f" its rentals are said to have cost {said}, an hour's cost of ${compared.step_dollars:.2f}"
        " more or less",
        did="keeper goes on counting by the listed prices; its caps are as good as these are",
        needs_human="Compare the account's billing page with `keeper spend`. Caps are in keeper's"
        " dollars: lower them by what is missing.",
        since=drift.since,
        dollars=compared.fell_dollars,
        over="the account pays what its rentals are said to cost",
    )


def ledger_of(snapshot: Snapshot) -> Meter:
    """Return the ledger after the plan, as it was last written."""
    return snapshot.plan.meter or snapshot.world.meter


def _key(cap: Cap) -> str:
    return f"{cap.stream or 'fleet'}:{cap.span.value}"


def _rented(snapshot: Snapshot, stream: StreamName | None) -> Iterator[SlotId]:
    for slot, record in snapshot.records.items():
        is_meant = stream is None or stream_of(slot) == stream
        if is_meant and (record.tenure is not None or record.incoming is not None):
            yield slot
