"""From alerts that fire to messages that are due, one incident told once. Pure.

An alert is told when it has held for the group wait. The first of its group opens an incident, in full;
what joins it, turns worse or is over is a short follow-up, no sooner than the group interval after the
last message, or at once when a person is newly needed. One tick makes one message of an incident, with
a line for every alert that there is something to say of (messages.py).

What was told is a plain mapping that the shell commits together with the messages, so a crash between
two ticks neither loses a message nor sends another one. A tick in which nothing changes gives back an
equal mapping.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from keeper.alerts import Alert, Notice, Severity
from keeper.alerts.grouping import group_of
from keeper.alerts.inhibitions import DARK, inhibited
from keeper.alerts.messages import Numbers, composed, elapsed_s, is_further, is_newly_needed, marks
from keeper.alerts.remembered import (
    COUNT,
    Book,
    Incident,
    State,
    Told,
    incident_not_ahead,
    not_ahead,
    read,
    write,
)
from keeper.alerts.silencing import silenced_by
from keeper.core.silences import Silence

__all__ = ["Numbers", "dispatch", "next_due_at"]

_RANK = {severity: rank for rank, severity in enumerate(Severity)}


def dispatch(
    state: State,
    firing: tuple[Alert, ...],
    now: datetime,
    numbers: Numbers,
    silences: tuple[Silence, ...] = (),
    *,
    is_blind: bool = False,
) -> tuple[dict[str, Any], tuple[Notice, ...]]:
    """Return what to remember and which messages are due, the most severe first.

    ``firing`` is everything that holds now. A key that fires again before it was told to be over goes
    on as the same alert. ``silences``: those that are in force.
    """
    if not firing and not state.keys() - {COUNT}:
        return dict(state), ()
    before = read(state)
    fired = {alert.key: alert for alert in firing}
    book = Book(
        alerts=_brought_up(before, firing, now, silences, is_blind=is_blind),
        incidents={k: incident_not_ahead(each, now) for k, each in before.incidents.items()},
        opened=before.opened,
    )
    _adopt(book)
    _assign(book, fired, now, numbers)
    notices = [
        _told(book, row, members, fired, now, numbers)
        for row, members in _opened(book, now, numbers).items()
    ]
    opened = frozenset(notice.incident_id for notice in notices)
    by_row = _members(book)
    for row, incident in tuple(book.incidents.items()):
        members = by_row[row]
        due_at = _follow_up_at(incident, members, fired, numbers)
        if incident.incident_id not in opened and due_at is not None and due_at <= now:
            notices.append(_told(book, row, members, fired, now, numbers))
    _assign(book, fired, now, numbers)  # to what has just been opened, or has taken something in
    notices.sort(key=lambda notice: -_RANK[notice.alert.severity])
    return write(book, state, before), tuple(notices)


def next_due_at(state: State, firing: tuple[Alert, ...], numbers: Numbers) -> datetime | None:
    """Return when the next message is due if nothing changes until then; None: never.

    ``state`` is what ``dispatch`` has just returned for ``firing``. The end of a silence is a change.
    """
    book = read(state)
    fired = {alert.key: alert for alert in firing}
    due = [_first_word_at(told, numbers) for each in _unassigned(book).values() for told in each]
    by_row = _members(book)
    for row, incident in book.incidents.items():
        at = _follow_up_at(incident, by_row[row], fired, numbers)
        if at is not None:
            due.append(at)
    return min(due, default=None)


# --- one alert ----------------------------------------------------------------------------------------


def _brought_up(
    before: Book,
    firing: tuple[Alert, ...],
    now: datetime,
    silences: tuple[Silence, ...],
    *,
    is_blind: bool,
) -> dict[str, Told]:
    """Bring what is remembered of alerts up to what fires now, without saying anything."""
    muted = inhibited(firing) if len(firing) > 1 else {}
    after: dict[str, Told] = {}
    for alert in firing:
        known = before.alerts.get(alert.key)
        after[alert.key] = _fire(
            None if known is None else not_ahead(known, now),
            alert,
            now,
            muted_by=muted.get(alert.key, ""),
            silence=silenced_by(alert, silences) if silences else "",
        )
    for key, told in before.alerts.items():
        if (
            key not in after and told.told_at is not None
        ):  # else it was cured before anybody was told
            quiet = _quieten(not_ahead(told, now), now)
            # What nobody can see is not over: its quiet begins when there is something to see again.
            after[key] = replace(quiet, quiet_since=now) if is_blind else quiet
    return after


def _fire(told: Told | None, alert: Alert, now: datetime, *, muted_by: str, silence: str) -> Told:
    if told is None:
        told = Told(fired_at=now, waiting_since=None, alert=alert)
    # The newest facts, but the severity, stage and case of the last message until a message says otherwise,
    # and the earliest beginning: some alerts have no memory of their own and begin anew with each tick.
    newest, last = alert, told.alert
    if marks(alert) != marks(last) or alert.since > last.since:
        newest = replace(
            alert,
            severity=last.severity,
            stage=last.stage,
            case=last.case,
            since=min(last.since, alert.since),
        )
    after = replace(
        _costing(told, newest, now),
        alert=newest,
        waiting_since=None if muted_by else told.waiting_since or now,
        quiet_since=None,
        muted_by=muted_by or told.muted_by,
        silenced_by=silence,
    )
    return told if after == told else after


def _costing(told: Told, alert: Alert, now: datetime) -> Told:
    """Count what the dark time costs: what was paid by the hour, as long as nobody saw anything."""
    is_dark = alert.name == DARK and alert.dark_since is not None
    if not is_dark:
        return _settled(told, now)
    if told.cost_since is not None and told.alert.dollars != alert.dollars:
        told = _settled(told, now)
        return replace(told, cost_since=now)
    if told.cost_since is None:
        return replace(told, cost_since=min(alert.dark_since or now, now))
    return told


def _settled(told: Told, now: datetime) -> Told:
    if told.cost_since is None:
        return told
    cost = told.cost_dollars + told.alert.dollars * elapsed_s(told.cost_since, now) / 3600
    return replace(told, cost_dollars=round(cost, 6), cost_since=None)


def _quieten(told: Told, now: datetime) -> Told:
    if told.quiet_since is not None:
        return told
    dark_s = told.dark_s + elapsed_s(told.alert.dark_since, now)
    return replace(
        _settled(told, now), quiet_since=now, waiting_since=None, dark_s=dark_s, silenced_by=""
    )


# --- which incident it belongs to -----------------------------------------------------------------------


def _adopt(book: Book) -> None:
    """Take up what was told without an incident: by an older keeper."""
    homeless: dict[str, list[Told]] = defaultdict(list)
    for told in book.alerts.values():
        if told.told_at is not None and told.incident not in book.incidents:
            homeless[group_of(told.alert)].append(told)
    for group, each in homeless.items():
        told_at = max(told.told_at for told in each if told.told_at is not None)
        lead = max(each, key=lambda told: _RANK[told.alert.severity]).alert
        row = _begin(book, group, each, lead=lead, told_at=told_at)
        is_paged = lead.severity is Severity.CRITICAL
        book.incidents[row] = replace(book.incidents[row], told=1, is_paged=is_paged)


def _assign(book: Book, fired: Mapping[str, Alert], now: datetime, numbers: Numbers) -> None:
    """Let what waits to be told join an open incident, if there is one for it.

    What a louder alert muted until now belongs to the story of that one: it began within it. What needs
    a person joins none that paged for somebody who is needed no more: there it would page nobody.
    """
    untold = [told for told in book.alerts.values() if told.told_at is None]
    if not untold:
        return
    takes_in = {row for row, each in book.incidents.items() if _takes_in(each, now, numbers)}
    paged = {row for row, each in book.incidents.items() if each.is_paged}
    served = paged - {told.incident for told in book.alerts.values() if _waits_for_person(told)}
    newest = _newest(book, takes_in)
    newest_for_needed = _newest(book, takes_in - served)
    for told in untold:
        is_needed = fired[told.alert.key].severity is Severity.CRITICAL
        row = told.incident if told.is_speakable and told.incident in book.incidents else ""
        row = "" if is_needed and row in served else row
        if row == "" and told.is_speakable:
            louder = book.alerts.get(told.muted_by)
            above = "" if louder is None else louder.incident
            is_within = above in (takes_in - served if is_needed else takes_in)
            known = newest_for_needed if is_needed else newest
            row = above if is_within else known.get(group_of(told.alert), "")
        if row != told.incident:
            book.alerts[told.alert.key] = replace(told, incident=row)


def _newest(book: Book, rows: Iterable[str]) -> dict[str, str]:
    """Return by group the incident that took something in last."""
    ordered = sorted(rows, key=lambda row: book.incidents[row].joined_at)
    return {book.incidents[row].group: row for row in ordered}


def _waits_for_person(told: Told) -> bool:
    is_told = told.told_at is not None and told.quiet_since is None
    return is_told and told.alert.severity is Severity.CRITICAL


def _takes_in(incident: Incident, now: datetime, numbers: Numbers) -> bool:
    """Whether what begins now is a sequel. Long after the last one it is a story, and a page, of its own.

    Else a stream that somebody leaves dark for days would swallow the page of its next slot.
    """
    return elapsed_s(incident.joined_at, now) < numbers.repeat_s


def _unassigned(book: Book) -> dict[str, list[Told]]:
    """Return by group what waits to be told and opens an incident with that."""
    found: dict[str, list[Told]] = defaultdict(list)
    for told in book.alerts.values():
        if told.incident == "" and told.is_to_be_told:
            found[group_of(told.alert)].append(told)
    return found


def _members(book: Book) -> Mapping[str, list[Told]]:
    found: dict[str, list[Told]] = defaultdict(list)
    for told in book.alerts.values():
        found[told.incident].append(told)
    return found


def _opened(book: Book, now: datetime, numbers: Numbers) -> dict[str, list[Told]]:
    """Open an incident for each group of which something has waited for long enough."""
    found: dict[str, list[Told]] = {}
    for group, each in _unassigned(book).items():
        ready = [told for told in each if _first_word_at(told, numbers) <= now]
        if ready:
            row = _begin(book, group, ready, lead=ready[0].alert, told_at=now)
            found[row] = [book.alerts[told.alert.key] for told in ready]
    return found


def _begin(
    book: Book, group: str, alerts: Iterable[Told], *, lead: Alert, told_at: datetime
) -> str:
    """Begin an incident. Its number makes it another one than all before, also where the clock was set back."""
    book.opened += 1
    row = f"{COUNT}{group}#{book.opened}"
    basis = f"{row}|{min(told.fired_at for told in alerts).isoformat()}"
    book.incidents[row] = Incident(
        incident_id=f"inc_{hashlib.sha256(basis.encode()).hexdigest()[:16]}",
        group=group,
        told_at=told_at,
        joined_at=told_at,
        lead=lead,
    )
    for told in alerts:
        book.alerts[told.alert.key] = replace(told, incident=row)
    return row


# --- when ---------------------------------------------------------------------------------------------


def _first_word_at(told: Told, numbers: Numbers) -> datetime:
    waiting_since = told.waiting_since
    assert waiting_since is not None
    return waiting_since + timedelta(seconds=numbers.group_wait_s)


def _follow_up_at(
    incident: Incident, members: Iterable[Told], fired: Mapping[str, Alert], numbers: Numbers
) -> datetime | None:
    """Return when the next message of an open incident is due; None: not before something changes."""
    return min(_moments(incident, members, fired, numbers), default=None)


def _moments(
    incident: Incident, members: Iterable[Told], fired: Mapping[str, Alert], numbers: Numbers
) -> Iterator[datetime]:
    spaced_at = incident.told_at + timedelta(seconds=numbers.group_interval_s)
    waiting = [each for each in members if each.is_to_be_told]
    told = [each for each in members if each.told_at is not None]
    for each in waiting:
        at = _first_word_at(each, numbers)
        is_needed = fired[each.alert.key].severity is Severity.CRITICAL
        yield at if is_needed else max(at, spaced_at)
    holding = [each for each in told if each.quiet_since is None]
    for each in holding:
        alert = fired[each.alert.key]
        if each.is_speakable and is_further(alert, each.alert):
            yield incident.told_at if is_newly_needed(alert, each.alert) else spaced_at
        if each.is_speakable and not each.alert.is_once:
            yield incident.told_at + timedelta(seconds=numbers.repeat_s)
    ends = [
        each.quiet_since + timedelta(seconds=numbers.resolved_after_s)
        for each in told
        if each.quiet_since is not None
    ]
    if ends and holding:
        yield max(min(ends), spaced_at)
    elif ends:
        # Nothing holds: one message says that all of it is over. What is about to be told waits no
        # longer than this for its own message, so that one which comes and goes cannot put off the end.
        patience_s = numbers.group_wait_s if waiting else 0.0
        yield max(*ends, spaced_at) + timedelta(seconds=patience_s)


# --- what ---------------------------------------------------------------------------------------------


def _told(
    book: Book,
    row: str,
    members: list[Told],
    fired: Mapping[str, Alert],
    now: datetime,
    numbers: Numbers,
) -> Notice:
    """Make the message that is due of an incident, and remember that it was told."""
    said = composed(book.incidents[row], members, fired, now, numbers)
    for told in said.told:
        book.alerts[told.alert.key] = told
    for told in said.over:
        del book.alerts[told.alert.key]
    if said.incident is not None:
        book.incidents[row] = said.incident
        return said.notice
    del book.incidents[row]
    for told in members:
        if told.alert.key in book.alerts:  # not told yet: a story of its own
            book.alerts[told.alert.key] = replace(told, incident="")
    return said.notice
