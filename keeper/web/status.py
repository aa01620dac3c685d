"""A snapshot in plain words and numbers: what the page shows, the API answers and the terminal prints.

Built from a Snapshot and now, with what viewers saw, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from keeper.core.decisions import Decision, Hold, Wait
from keeper.core.labels import parse
from keeper.core.model import (
    Condition,
    Instance,
    InstanceId,
    Mode,
    Reading,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    StreamName,
    Subject,
    Tenure,
    is_spare,
    stream_of,
)
from keeper.core.reasons import SENTENCE, Reason
from keeper.core.slate import SlateShown, SlateWhy, slate_sentence
from keeper.core.spare_state import COMING, MISSING, READY, STARTING, STOPPED, spare_state
from keeper.core.spend import record_dollars_per_hour
from keeper.core.strays import is_confirmed, order_to_adopt, order_to_end, spent_dollars, strays
from keeper.core.text import plain
from keeper.core.under_way import KeptFor
from keeper.core.windows import Window
from keeper.core.world import Pause, Snapshot
from keeper.ports import Looks, Telling
from keeper.web.deploys import deploy_of, deploys_of
from keeper.web.host import host_status
from keeper.web.money import account_of, others_of
from keeper.web.objective import objectives_of
from keeper.web.overall import fleet_tone, sentence
from keeper.web.shapes import (
    ActStatus,
    Because,
    CondemnedStatus,
    ConditionStatus,
    DecisionStatus,
    FleetStatus,
    HostStatus,
    IncidentStatus,
    MarketStatus,
    OrphanStatus,
    PauseStatus,
    PlanStatus,
    ProgressStatus,
    SlotStatus,
    StreamStatus,
    WindowStatus,
)
from keeper.web.telling import alerts_of, channels_of, silences_of
from keeper.web.tone import Tone, decided_because, tell
from keeper.web.view import NOBODY_LOOKS, strip_of_stream, view_status


def status_of(
    snapshot: Snapshot,
    now: datetime,
    looks: Looks = NOBODY_LOOKS,
    telling: Telling | None = None,
    runbooks_url: str = "",
) -> FleetStatus:
    """Describe a snapshot. ``now`` only measures elapsed times, ``looks`` knows what viewers saw.

    ``telling`` knows what people were told; without it nobody knows whether anybody was.
    """
    look = _Look(snapshot, now, looks)
    streams = _streams(look)
    slots = [slot for stream in streams for slot in stream.slots]
    on_air = sum(1 for slot in slots if slot.is_on_air)
    alerts = alerts_of(snapshot, now, telling, runbooks_url)
    condemned = tuple(
        CondemnedStatus(
            instance_id=each.instance_id,
            label=each.label,
            slot=each.slot,
            reason=each.reason,
            because=SENTENCE[each.reason],
            condemned_at=each.condemned_at,
            tries=each.tries,
            dollars_per_hour=each.dollars_per_hour,
            accepted_at=each.accepted_at,
            absent_since=each.absent_since,
            absent_listed_at=each.absent_listed_at,
        )
        for each in snapshot.plan.condemned
    )
    world = snapshot.world
    return FleetStatus(
        at=snapshot.at,
        now=now,
        tick=snapshot.tick,
        tone=fleet_tone(slots, alerts),
        sentence=sentence(slots),
        doing=snapshot.plan.sentence(),
        slots=len(slots),
        on_air=on_air,
        dollars_per_hour=sum(stream.dollars_per_hour for stream in streams)
        + sum(each.dollars_per_hour for each in condemned),
        spend_max_dollars_per_hour=snapshot.desired.fleet.spend_max_dollars_per_hour,
        pause=_pause(world.pause),
        windows=_windows(world.windows),
        fuses=_fuses(snapshot),
        market=MarketStatus(
            is_readable=world.listing is not None and world.unreadable_since is None,
            listed_at=world.listing.at if world.listing is not None else None,
            unreadable_since=world.unreadable_since,
            error=plain(world.unreadable_error, 600),  # with what cures it
        ),
        alerts=alerts,
        streams=streams,
        condemned=condemned,
        orphans=_orphans(look),
        account=account_of(snapshot, now),
        others=others_of(snapshot),
        channels=channels_of(telling),
        silences=silences_of(snapshot, now, alerts),
    )


def slot_status(
    snapshot: Snapshot, slot: SlotId, now: datetime, looks: Looks = NOBODY_LOOKS
) -> SlotStatus | None:
    """Describe one slot; None when there is no such slot."""
    record = snapshot.records.get(slot)
    if record is None:
        return None
    return (_spare if is_spare(slot) else _slot)(_Look(snapshot, now, looks), record)


def plan_of(snapshot: Snapshot) -> PlanStatus:
    """Describe what the snapshot's tick decided."""
    plan = snapshot.plan
    return PlanStatus(
        at=snapshot.at,
        tick=snapshot.tick,
        sentence=plan.sentence(),
        fuses=_fuses(snapshot),
        decisions=tuple(
            _decision(each, snapshot.records.get(each.slot) if each.slot else None)
            for each in plan.decisions
        ),
        next_check_at=plan.next_check_at,
        deploys=deploys_of(snapshot),
    )


class _Look:
    """The lookups that describing one snapshot needs, made once."""

    def __init__(self, snapshot: Snapshot, now: datetime, looks: Looks) -> None:
        self.snapshot = snapshot
        self.now = now
        self.looks = looks
        listing = snapshot.world.listing
        self.listed: Mapping[InstanceId, Instance] = (
            {each.instance_id: each for each in listing.instances} if listing is not None else {}
        )
        self.declared: Mapping[StreamName, Stream] = {
            stream.name: stream for stream in snapshot.desired.streams
        }
        # A slot may have several decisions; what is done says more than what is waited for.
        self.decisions: dict[SlotId, Decision] = {}
        for decision in snapshot.plan.decisions:
            if decision.slot is None:
                continue
            if decision.slot not in self.decisions or not isinstance(decision, Wait):
                self.decisions[decision.slot] = decision


def _streams(look: _Look) -> tuple[StreamStatus, ...]:
    records: dict[StreamName, list[SlotRecord]] = {name: [] for name in look.declared}
    for slot in sorted(look.snapshot.records, key=_natural):
        records.setdefault(stream_of(slot), []).append(look.snapshot.records[slot])
    objectives = objectives_of(look.snapshot, look.now)
    return tuple(
        replace(_stream(look, name, found), objective=objectives.get(name))
        for name, found in records.items()
    )


def _stream(look: _Look, name: StreamName, records: list[SlotRecord]) -> StreamStatus:
    declared = look.declared.get(name)
    slots = tuple(_slot(look, record) for record in records if not is_spare(record.slot))
    spares = tuple(_spare(look, record) for record in records if is_spare(record.slot))
    has_spares = declared is not None and declared.spares.count > 0
    return StreamStatus(
        stream=name,
        mode=declared.mode if declared is not None else Mode.ACT,
        replicas=declared.replicas if declared is not None else 0,
        on_air=sum(1 for slot in slots if slot.is_on_air),
        dollars_per_hour=sum(slot.dollars_per_hour for slot in (*slots, *spares)),
        spend_max_dollars_per_hour=(
            declared.spend_max_dollars_per_hour if declared is not None else 0.0
        ),
        is_declared=declared is not None,
        slots=slots,
        deploy=deploy_of(look.snapshot, declared),
        slate=_slate(look.snapshot.slates.get(name)),
        spares=spares,
        spare_max_dollars_per_hour=declared.spares.max_dollars_per_hour
        if declared is not None and has_spares
        else None,
        strip=strip_of_stream(slots),
    )


def _slate(shown: SlateShown | None) -> str:
    is_idle = shown is None or shown.why in (SlateWhy.ON_AIR, SlateWhy.NOT_YET)
    return "" if shown is None or (is_idle and not shown.is_on) else slate_sentence(shown)


# What a spare is, in the words of a card.
_SPARE: Mapping[str, tuple[str, Tone]] = {
    MISSING: ("No spare", Tone.IDLE),
    COMING: ("Spare on its way", Tone.WORK),
    READY: ("Spare, ready", Tone.GOOD),
    STOPPED: ("Spare, stands still", Tone.GOOD),
    STARTING: ("Spare is starting", Tone.WORK),
}


def _spare(look: _Look, record: SlotRecord) -> SlotStatus:
    """Describe the place of a spare: never on air and never dark, for nobody watches it."""
    state, tone = _SPARE[spare_state(record)]
    told = _slot(look, record)
    is_held = isinstance(look.decisions.get(record.slot), Hold)
    return replace(
        told,
        state=state,
        phase=spare_state(record),
        tone=Tone.WARN if is_held else tone,
        since=record.tenure.ready_at if record.tenure is not None else None,
        is_on_air=False,
        frames_per_s=None,
        verdict=None,
        view=None,
        dollars_per_hour=record_dollars_per_hour(record),
    )


def _slot(look: _Look, record: SlotRecord) -> SlotStatus:
    slot, now = record.slot, look.now
    decision = look.decisions.get(slot)
    pause = look.snapshot.world.slot_pauses.get(slot)
    told = tell(
        record, decision, now, is_paused=pause is not None, picture_at=_picture_at(look, record)
    )
    host, incoming = (
        _host(look, tenure, stream_of(slot)) for tenure in (record.tenure, record.incoming)
    )
    incident = record.incident
    instance_id = None if record.tenure is None else record.tenure.instance_id
    view = view_status(slot, instance_id, look.looks, now, _picture(look, record))
    stream, _, replica = slot.rpartition("/")
    return SlotStatus(
        slot=slot,
        stream=stream,
        replica=int(replica) if replica.isdecimal() else 0,
        phase=told.phase,
        tone=told.tone,
        state=told.state,
        why=told.why,
        since=told.since,
        is_on_air=told.is_on_air,
        dark_since=record.dark_since,
        dark_s=max(0.0, (now - record.dark_since).total_seconds()) if record.dark_since else 0.0,
        frames_per_s=view.numbers.get("unique_frames_per_s"),
        verdict=view.verdict,
        dollars_per_hour=sum(
            each.dollars_per_hour + each.traffic_dollars_per_hour
            for each in (host, incoming)
            if each is not None
        ),
        host=host,
        incoming=incoming,
        conditions=_conditions(record),
        incident=IncidentStatus(
            incident_id=incident.incident_id,
            opened_at=incident.opened_at,
            reason=incident.reason,
            because=SENTENCE[incident.reason],
            acts=incident.acts,
        )
        if incident is not None
        else None,
        decision=_decision(decision, record) if decision is not None else None,
        last_act=ActStatus(
            decision=record.last_act,
            reason=record.last_act_reason,
            because=SENTENCE[record.last_act_reason]
            + (f": {record.last_act_why}" if record.last_act_why else ""),
            at=record.last_act_at,
        )
        if record.last_act
        else None,
        next_check_at=getattr(decision, "until", None) or look.snapshot.plan.next_check_at,
        pause=_pause(pause),
        destroy_asked_at=record.destroy_asked_at,
        offer_asked=record.offer_asked,
        rent_detail=plain(record.rent_detail, 600),
        progress=_progress(look, slot),
        deploy_log=look.snapshot.kept.get(slot, KeptFor()).deploy_log,
        post_mortem=look.snapshot.kept.get(slot, KeptFor()).post_mortem,
        view=view,
        has_given_way=record.swap is not None,
    )


def _progress(look: _Look, slot: SlotId) -> ProgressStatus | None:
    told = look.snapshot.deploys.get(slot)
    if told is None:
        return None
    return ProgressStatus(
        instance_id=told.instance_id,
        began_at=told.began_at,
        number=told.number,
        of=told.of,
        step=plain(told.step, 100),
        since=told.since,
        line=plain(told.line, 200),
        log=told.log,
    )


def _host(look: _Look, tenure: Tenure | None, stream: StreamName) -> HostStatus | None:
    if tenure is None:
        return None
    listed = look.listed.get(tenure.instance_id) if tenure.instance_id is not None else None
    return host_status(tenure, listed, look.declared.get(stream), look.now)


def _picture(look: _Look, record: SlotRecord) -> Reading | None:
    if record.tenure is None or record.tenure.instance_id is None:
        return None
    return look.snapshot.latest.get((record.tenure.instance_id, Subject.PICTURE))


def _picture_at(look: _Look, record: SlotRecord) -> datetime | None:
    reading = _picture(look, record)
    return reading.at if reading is not None and reading.status is Status.TRUE else None


def _conditions(record: SlotRecord) -> tuple[ConditionStatus, ...]:
    return tuple(
        ConditionStatus(
            condition=each.kind,
            status=each.status,
            reason=each.reason,
            because=_because(each),
            since=each.since,
            symptom="" if each.symptom is None else each.symptom.code,
        )
        for each in (record.tenure.conditions if record.tenure is not None else ())
    )


def _because(condition: Condition) -> str:
    """Word a condition; of a workload's symptom its own sentence says more than ours."""
    symptom = condition.symptom
    return SENTENCE[condition.reason] if symptom is None else symptom.sentence


def _decision(decision: Decision, record: SlotRecord | None) -> DecisionStatus:
    return DecisionStatus(
        slot=decision.slot,
        decision=decision.name,
        reason=decision.reason,
        because=decided_because(decision, record),
        wanted=decision.wanted if isinstance(decision, Hold) else "",
        until=decision.until if isinstance(decision, Wait | Hold) else None,
        is_act=not isinstance(decision, Wait | Hold),
        instance_id=getattr(decision, "instance_id", None),
        label=getattr(decision, "label", ""),
        dollars_per_hour=getattr(decision, "dollars_per_hour", 0.0),
    )


def _pause(pause: Pause | None) -> PauseStatus | None:
    if pause is None:
        return None
    return PauseStatus(
        since=pause.since,
        until=pause.until,
        actor=plain(pause.actor, 60),
        reason=plain(pause.reason, 200),
    )


def _windows(windows: tuple[Window, ...]) -> tuple[WindowStatus, ...]:
    return tuple(
        WindowStatus(
            name=each.name,
            stream=each.stream,
            allow=each.allow,
            since=each.since,
            until=each.until,
        )
        for each in windows
    )


def _fuses(snapshot: Snapshot) -> tuple[Because, ...]:
    return tuple(
        Because(reason=reason, because=SENTENCE[Reason(reason)]) for reason in snapshot.plan.fuses
    )


def _orphans(look: _Look) -> tuple[OrphanStatus, ...]:
    return tuple(_orphan(look, instance_id) for instance_id in strays(look.snapshot))


def _orphan(look: _Look, instance_id: InstanceId) -> OrphanStatus:
    listed = look.listed.get(instance_id)
    if listed is None:
        return OrphanStatus(instance_id=instance_id, label="", dollars_per_hour=0.0)
    label = parse(listed.label)
    slot = None if label is None else plain(label.slot, 100)
    is_known = slot in look.snapshot.records and not is_spare(SlotId(slot or ""))
    return OrphanStatus(
        instance_id=instance_id,
        label=plain(listed.label, 100),
        dollars_per_hour=listed.dollars_per_hour,
        started_at=listed.started_at,
        spent_dollars=spent_dollars(listed, look.now),
        gpu_name=plain(listed.gpu_name, 60),
        slot=slot,
        is_confirmed=is_confirmed(look.snapshot.world, instance_id),
        to_end=order_to_end(instance_id),
        to_adopt=order_to_adopt(instance_id, slot if slot is not None and is_known else "SLOT"),
    )


def _natural(slot: SlotId) -> tuple[str, bool, int]:
    stream, _, replica = slot.rpartition("/")
    number = replica.rpartition("-")[2]
    return stream, is_spare(slot), int(number) if number.isdecimal() else 0
