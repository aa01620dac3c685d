"""What is believed of a rental: how its conditions are kept, read and reset.

The judging itself is in health.py; this is the vocabulary that judging, binding and deciding share.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keeper.core.model import (
    Condition,
    ConditionKind,
    Instance,
    MarketState,
    Policy,
    Status,
    Symptom,
    Tenure,
)
from keeper.core.moments import elapsed_s
from keeper.core.reasons import Reason

_HOUR_S = 3600.0

KINDS = tuple(ConditionKind)
RENTED, REACHABLE, DEPLOYED, RUNNING, STREAMING, HAS_GPU, HAS_ROOM, WORKING = range(len(KINDS))
_AT = {kind: position for position, kind in enumerate(KINDS)}
_DEAD = (MarketState.STOPPED, MarketState.OFFLINE, MarketState.UNKNOWN)
# What only the host itself, or a viewer of it, can tell.
_ASKED_THERE = (REACHABLE, RUNNING, STREAMING, HAS_GPU, HAS_ROOM, WORKING)
# A process manager's words that mean: there is no process, and there will be none by itself.
GONE = (Reason.PROCESS_GONE, Reason.MANAGER_GAVE_UP, Reason.PROCESS_STOPPED_ON_PURPOSE)


def condition_of(tenure: Tenure | None, kind: ConditionKind) -> Condition | None:
    """Return one judged condition; None before the first judgement."""
    if tenure is None:
        return None
    conditions = tenure.conditions
    position = _AT[kind]
    if len(conditions) == len(KINDS) and conditions[position].kind is kind:
        return conditions[position]
    return next((each for each in conditions if each.kind is kind), None)


def status_of(tenure: Tenure | None, kind: ConditionKind) -> Status:
    """Return a condition's status; Unknown before the first judgement."""
    condition = condition_of(tenure, kind)
    return Status.UNKNOWN if condition is None else condition.status


def symptom_of(tenure: Tenure | None) -> Symptom | None:
    """Return what a host's workload says is wrong with it; None: nothing is, or nobody knows."""
    working = condition_of(tenure, ConditionKind.WORKING)
    return None if working is None else working.symptom


def symptom_behind(reason: Reason, tenure: Tenure | None) -> str:
    """Return the code of the symptom that a reason speaks of; "": it speaks of none."""
    symptom = symptom_of(tenure)
    is_about_it = reason in (Reason.SYMPTOM, Reason.WRONG_PICTURE, Reason.NEEDS_PERSON)
    return symptom.code if symptom is not None and is_about_it else ""


def is_silent(condition: Condition | None) -> bool:
    """Whether a picture is there, and the sound that belongs to it is not."""
    return (
        condition is not None
        and condition.status is Status.FALSE
        and condition.reason is Reason.NO_SOUND
    )


def has_just_gone_silent(tenure: Tenure) -> bool:
    """Say whether a host that served is lost to the link, or to the viewer's first looks.

    Ports move while a container lives; then nobody is at the old address, and nothing is wrong.
    """
    if tenure.first_live_at is None or tenure.stop_asked_at is not None:
        return False
    reachable = condition_of(tenure, ConditionKind.REACHABLE)
    streaming = condition_of(tenure, ConditionKind.STREAMING)
    return (reachable is not None and reachable.reason is Reason.LINK_LOST) or (
        streaming is not None and streaming.bad_streak > 0 and streaming.status is Status.TRUE
    )


def is_fatal(instance: Instance) -> bool:
    """Say whether the marketplace reports a state that does not heal by waiting a little."""
    return (
        instance.state in _DEAD
        or not instance.is_meant_to_run
        or (instance.has_daemon_error and instance.state is not MarketState.RUNNING)
    )


def is_as_ordered(tenure: Tenure, instance: Instance) -> bool:
    """Say whether a rental is down, or about to be, because keeper has stopped it.

    Also while it is to come up from that. A host of which nothing is heard is another matter.
    """
    is_silent = instance.state in (MarketState.OFFLINE, MarketState.UNKNOWN)
    return tenure.stop_asked_at is not None and not is_silent


def stands_still(tenure: Tenure) -> bool:
    """Say whether a rental stands still because keeper has stopped it, and is not being started."""
    return tenure.stopped_at is not None and tenure.start_asked_at is None


def is_starting(tenure: Tenure) -> bool:
    """Say whether a spare that stood still was told to start and is not up yet."""
    if tenure.start_asked_at is not None:
        return True
    is_back = tenure.ready_at is not None and tenure.booted_at is None
    return is_back and tenure.stop_asked_at is None


def is_crash_looping(changes: tuple[datetime, ...], policy: Policy, now: datetime) -> bool:
    """Say whether a process was restarted too often; ``changes`` are those keeper did not order."""
    if len(changes) < policy.crash_loop_changes:
        return False
    # The latest N changes lie within the window exactly when the N-th latest does.
    return elapsed_s(changes[-policy.crash_loop_changes], now) < policy.crash_loop_window_s


def after_reboot(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is once its container was rebooted: files stay, processes do not."""
    conditions = list(complete(tenure, at))
    for position in (RUNNING, WORKING):
        conditions[position] = _unjudged(KINDS[position], at)
    return replace(
        tenure,
        booting_since=at,
        running_at=None,
        gpu_spent_dollars=tenure.gpu_spent_dollars + _run_dollars(tenure, at),
        booted_at=None,
        deployed_at=None,
        deploy_unsure_at=None,
        warm_at=None,
        dead_since=None,
        acted_at=at,
        audition=None if tenure.audition is None else replace(tenure.audition, meaning=None),
        process_before="",
        process_identity="",
        process_restarts=-1,
        process_changed_at=(),
        conditions=tuple(conditions),
    )


def at_rest(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is once its container is told to stop: nobody is asked there any more."""
    conditions = tuple(
        _unjudged(each.kind, at) if position in _ASKED_THERE else each
        for position, each in enumerate(complete(tenure, at))
    )
    return replace(tenure, acted_at=at, good_in_a_row=0, conditions=conditions)


def after_redeploy(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is once another workload is on it: what was seen was of the other one."""
    conditions = list(complete(tenure, at))
    for position in (RUNNING, STREAMING, WORKING):
        conditions[position] = _unjudged(KINDS[position], at)
    return replace(
        tenure,
        revision=tenure.putting,
        putting="",
        warmup_s=None,
        process_identity="",
        process_restarts=-1,
        process_changed_at=(),
        conditions=tuple(conditions),
    )


def unstarted(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is when all is on its host and nothing of it is known to run."""
    conditions = list(complete(tenure, at))
    for position in (RUNNING, STREAMING, WORKING):
        conditions[position] = _unjudged(KINDS[position], at)
    return replace(
        tenure,
        prepared_at=tenure.prepared_at or at,
        deployed_at=None,
        deploy_unsure_at=None,
        deploy_failures=0,
        warm_at=None,
        good_in_a_row=0,
        process_identity="",
        process_restarts=-1,
        process_changed_at=(),
        is_left_stopped=False,
        lull=None,
        conditions=tuple(conditions),
    )


def is_what_ran_before(tenure: Tenure, identity: str) -> bool:
    """Say whether a process is the one that the latest deploy found: then it has started none."""
    return bool(identity) and identity == tenure.process_before


def after_doubt(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is once a first deploy broke off: it may have started the process.

    The viewer says whether it did, by what is seen from now on.
    """
    conditions = list(complete(tenure, at))
    if conditions[STREAMING].status is Status.TRUE:
        conditions[STREAMING] = Condition(
            kind=ConditionKind.STREAMING, status=Status.UNKNOWN, reason=Reason.NOT_ASKED, since=at
        )
    return replace(tenure, deploy_unsure_at=at, conditions=tuple(conditions))


def _run_dollars(tenure: Tenure, at: datetime) -> float:
    """Estimate what the GPU has cost since it began to run."""
    if tenure.running_at is None:
        return 0.0
    run_s = elapsed_s(tenure.running_at, min(tenure.outbid_since or tenure.stopped_at or at, at))
    gpu = max(0.0, tenure.dollars_per_hour - tenure.disk_dollars_per_hour)
    return gpu * run_s / _HOUR_S


def spent_by_runs(tenure: Tenure, at: datetime) -> float | None:
    """Estimate what a rental has cost by then that did not run all the time; None: it did."""
    if tenure.rented_at is None or not (tenure.gpu_spent_dollars or tenure.stopped_at):
        return None
    disk = tenure.disk_dollars_per_hour * elapsed_s(tenure.rented_at, at) / _HOUR_S
    return disk + tenure.gpu_spent_dollars + _run_dollars(tenure, at)


def after_act(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is once keeper acts on it: what was bad must be seen bad again."""
    seen = to_be_seen_again(tenure, at)
    return replace(seen, acted_at=at, process_changed_at=(), good_in_a_row=0, lull=None)


def to_be_seen_again(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is when no look at its picture counts any more: what is believed stands."""
    conditions = list(complete(tenure, at))
    conditions[STREAMING] = replace(
        conditions[STREAMING], bad_streak=0, good_streak=0, other_streak=0
    )
    return replace(tenure, conditions=tuple(conditions))


def complete(tenure: Tenure, now: datetime) -> tuple[Condition, ...]:
    """Return all conditions in their fixed order; what was never judged is Unknown."""
    if len(tenure.conditions) == len(KINDS):
        return tenure.conditions
    known = {condition.kind: condition for condition in tenure.conditions}
    return tuple(known.get(kind) or _unjudged(kind, now) for kind in KINDS)


def _unjudged(kind: ConditionKind, now: datetime) -> Condition:
    if kind is ConditionKind.DEPLOYED:  # the one thing keeper knows by itself
        return Condition(kind=kind, status=Status.FALSE, reason=Reason.NOT_DEPLOYED, since=now)
    return Condition(kind=kind, status=Status.UNKNOWN, reason=Reason.NOT_ASKED, since=now)


def in_the_past(tenure: Tenure, now: datetime) -> Tenure:
    """Let what lies in the future begin now, so that no deadline waits for the clock to catch up.

    The same tenure when the clock was not stepped back behind anything it remembers.
    """
    acted_at, booting_since = tenure.acted_at, tenure.booting_since
    remembered = (
        tenure.requested_at, acted_at, booting_since,
        tenure.dear_since, tenure.ending_since, tenure.outbid_since, tenure.unlisted_since,
        tenure.stop_asked_at, tenure.stopped_at, tenure.start_asked_at, tenure.start_queued_at,
        tenure.deploy_unsure_at, None if tenure.lull is None else tenure.lull.since,
    )  # fmt: skip
    moments = [at for at in remembered if at is not None]
    moments += [condition.since for condition in tenure.conditions]
    if max(moments) <= now:
        return tenure

    def bounded(at: datetime | None) -> datetime | None:
        return None if at is None else min(at, now)

    return replace(
        tenure,
        requested_at=min(tenure.requested_at, now),
        rented_at=bounded(tenure.rented_at),
        running_at=bounded(tenure.running_at),
        deployed_at=bounded(tenure.deployed_at),
        deploy_unsure_at=bounded(tenure.deploy_unsure_at),
        booting_since=bounded(booting_since),
        booted_at=bounded(tenure.booted_at),
        acted_at=bounded(acted_at),
        dead_since=bounded(tenure.dead_since),
        missing_since=bounded(tenure.missing_since),
        missing_listed_at=bounded(tenure.missing_listed_at),
        absent_by_id_at=bounded(tenure.absent_by_id_at),
        dear_since=bounded(tenure.dear_since),
        ending_since=bounded(tenure.ending_since),
        outbid_since=bounded(tenure.outbid_since),
        unlisted_since=bounded(tenure.unlisted_since),
        stop_asked_at=bounded(tenure.stop_asked_at),
        stopped_at=bounded(tenure.stopped_at),
        start_asked_at=bounded(tenure.start_asked_at),
        start_queued_at=bounded(tenure.start_queued_at),
        conditions=tuple(replace(c, since=min(c.since, now)) for c in tenure.conditions),
        lull=None
        if tenure.lull is None
        else replace(
            tenure.lull,
            since=min(tenure.lull.since, now),
            over_at=bounded(tenure.lull.over_at),
        ),
    )
