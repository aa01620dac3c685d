"""One sickness of a slot, told once: when the viewer lost the picture, and when it came back.

Only what was on air can go dark, and only evidence makes it so: a slot about which nothing is known
keeps the story it had.
"""

from __future__ import annotations

from datetime import datetime

from keeper.core import mute, suspects
from keeper.core.conditions import (
    condition_of,
    is_silent,
    symptom_behind,
    symptom_of,
    to_be_seen_again,
)
from keeper.core.copying import replace
from keeper.core.cures import cap_of
from keeper.core.darkness import first_look_at
from keeper.core.draft import Draft
from keeper.core.events import IncidentClosed, IncidentOpened, StreamDark, StreamOnAir
from keeper.core.flow import is_on_air
from keeper.core.meter import seen_since
from keeper.core.model import (
    Condition,
    ConditionKind,
    Incident,
    InstanceId,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    Tenure,
    stream_of,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason

_FORGIVEN_MAX = 16  # more than the alert on their rate looks for


def follow(draft: Draft, slot: SlotId) -> None:
    """Open or close a slot's incident by what the viewer sees now."""
    record = draft.records[slot]
    if record.dark_since is not None and record.dark_since > draft.now:
        # The clock was stepped back; the darkness must not wait for it to catch up.
        record = draft.records[slot] = replace(record, dark_since=draft.now)
    tenure = record.tenure
    streaming = condition_of(tenure, ConditionKind.STREAMING)
    if tenure is None or streaming is None or streaming.status is Status.UNKNOWN:
        return
    if streaming.status is Status.TRUE:
        is_back = record.dark_since is not None or not record.ever_on_air
        if is_back or (record.healthy_since is None and streaming.good_streak):
            _on_air(draft, record, tenure)
        elif record.healthy_since and record.remedies and not streaming.bad_streak:
            _forgive(draft, record, record.healthy_since)  # in doubt nothing is forgiven
        _watch_pace(draft, slot, streaming)
        suspects.prove(draft, slot)
        return
    record = draft.records[slot] = mute.noted(record, draft.now)
    if record.ever_on_air and record.dark_since is None:
        go_dark(draft, slot, streaming.reason)
        suspects.remember(draft, slot, tenure, streaming.reason)
    elif record.healthy_since is not None:
        draft.records[slot] = replace(record, healthy_since=None)


def _watch_pace(draft: Draft, slot: SlotId, streaming: Condition) -> None:
    """Look again when a picture that stutters has done so for long enough to be told."""
    if streaming.reason is Reason.STUTTERING:
        told_at = later(
            streaming.reason_since or streaming.since, draft.policy(slot).stuttering_alert_s
        )
        if told_at > draft.now:
            draft.wake(told_at)


def go_dark(draft: Draft, slot: SlotId, reason: Reason) -> None:
    """Note that a slot that was on air no longer is."""
    record = draft.records[slot]
    if not record.ever_on_air or record.dark_since is not None:
        return
    streaming = condition_of(record.tenure, ConditionKind.STREAMING)
    dark_since = draft.now
    if streaming is not None and streaming.status is Status.FALSE:
        dark_since = min(streaming.since, first_look_at(streaming, draft.now))
    _count_unseen(draft, record, dark_since)
    draft.tell(StreamDark(slot=slot, reason=reason))
    incident = record.incident
    if incident is None:
        # The moment makes it unique, the slot makes it readable.
        incident_id = f"{slot}@{draft.now:%Y%m%dT%H%M%SZ}"
        incident = Incident(
            incident_id=incident_id, opened_at=draft.now, reason=reason, dark_since=dark_since
        )
        draft.tell(IncidentOpened(slot=slot, incident_id=incident_id, reason=reason))
    draft.records[slot] = replace(
        record, dark_since=dark_since, incident=incident, healthy_since=None
    )


def interrupt(draft: Draft, slot: SlotId, instance_id: InstanceId | None) -> None:
    """Note that an act has interrupted a good picture: whoever saw it dark or not, the next look counts."""
    record = draft.records[slot]
    tenure = record.tenure
    if tenure is None or tenure.instance_id != instance_id or record.healthy_since is None:
        return
    tenure = to_be_seen_again(tenure, draft.now)
    draft.records[slot] = replace(record, tenure=tenure, healthy_since=None)


def close(draft: Draft, slot: SlotId) -> None:
    """End a slot's incident without a picture: nobody expects one any more."""
    record = draft.records[slot]
    if record.incident is not None:
        draft.tell(
            IncidentClosed(
                slot=slot,
                incident_id=record.incident.incident_id,
                duration_s=elapsed_s(record.incident.opened_at, draft.now),
                acts=record.incident.acts,
            )
        )
    draft.records[slot] = replace(
        record, incident=None, dark_since=None, healthy_since=None, ever_on_air=False,
        wanted_since=None,
    )  # fmt: skip


def is_as_ordered(record: SlotRecord, tenure: Tenure) -> bool:
    """Whether a rental is the other host that a person ordered; by its number, for clocks step."""
    asked = record.replace_asked_attempt
    return record.replace_asked_at is not None and asked is not None and tenure.attempt > asked


def note_act(draft: Draft, slot: SlotId, name: str, reason: Reason) -> None:
    """Remember a slot's latest act, and count it towards the open incident."""
    record = draft.records[slot]
    is_said = symptom_behind(reason, record.tenure) != ""
    said = symptom_of(record.tenure) if is_said else None
    record = replace(
        record,
        last_act=name,
        last_act_reason=reason,
        last_act_at=draft.now,
        last_act_why="" if said is None else said.sentence,
    )
    if record.incident is not None:
        record = replace(record, incident=replace(record.incident, acts=record.incident.acts + 1))
    draft.records[slot] = record


def _count_unseen(draft: Draft, record: SlotRecord, since: datetime) -> None:
    """Count as dark what was seen so before it was believed, and counted as good."""
    if record.slot in draft.slots and since < draft.now:
        streaming = condition_of(record.tenure, ConditionKind.STREAMING)
        draft.note(
            seen_since(
                draft.ledger, stream_of(record.slot), since, draft.now,
                good=-int(is_on_air(record)), dark=1, silent=int(is_silent(streaming)),
            )
        )  # fmt: skip


def _seen_good_at(draft: Draft, record: SlotRecord, tenure: Tenure) -> datetime:
    """Return the first look that saw the picture again: of the host that serves by now."""
    streaming = condition_of(tenure, ConditionKind.STREAMING)
    at = draft.now if streaming is None else first_look_at(streaming, draft.now)
    is_older = record.dark_since is not None and at < record.dark_since
    return draft.now if is_older else at  # one that was good before took over, now


def _on_air(draft: Draft, record: SlotRecord, tenure: Tenure) -> None:
    now = draft.now
    assert tenure.instance_id is not None
    if record.dark_since is not None or not record.ever_on_air:
        good_at = _seen_good_at(draft, record, tenure)
        since = record.wanted_since
        draft.tell(
            StreamOnAir(
                slot=record.slot,
                instance_id=tenure.instance_id,
                duration_s=elapsed_s(record.dark_since or good_at, good_at),
                started_s=elapsed_s(since, good_at) if since and not record.ever_on_air else None,
            )
        )
    if record.incident is not None:
        draft.tell(
            IncidentClosed(
                slot=record.slot,
                incident_id=record.incident.incident_id,
                duration_s=elapsed_s(record.incident.opened_at, now),
                acts=record.incident.acts,
            )
        )
    draft.records[record.slot] = replace(
        record, ever_on_air=True, healthy_since=now, dark_since=None, incident=None,
        replace_asked_at=None if is_as_ordered(record, tenure) else record.replace_asked_at,
    )  # fmt: skip


def _forgive(draft: Draft, record: SlotRecord, since: datetime) -> None:
    """After a good while, earlier restarts of the process no longer count.

    The dearer rungs do until they leave their windows: a workload that has to be put back every
    quarter of an hour belongs on another host.
    """
    now, policy = draft.now, draft.policy(record.slot)
    if since > now:
        draft.records[record.slot] = replace(record, healthy_since=now)
        return
    # A process may have been started again before any viewer could look.
    since = max(since, *(min(use.at, now) for use in record.remedies))
    if elapsed_s(since, now) < policy.restarts_forgiven_s:
        draft.wake(later(since, policy.restarts_forgiven_s))
    else:
        kept = tuple(
            use
            for use in record.remedies
            if use.rung is not Rung.RESTART_PROCESS
            and elapsed_s(use.at, now) < cap_of(policy, use.rung)[1]
        )
        if kept != record.remedies:
            gone = (use.at for use in record.remedies if use not in kept)
            draft.records[record.slot] = replace(
                record,
                remedies=kept,
                forgiven_at=(*record.forgiven_at, *gone)[-_FORGIVEN_MAX:],
            )
