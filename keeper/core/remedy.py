"""Fourth step: what one rental needs. An ordered table of rules; the first that matches wins.

A row is a predicate, what follows from it, and why it exists. The ladder at its end climbs from the
cheapest remedy to the dearest. Nothing here looks at budgets, pauses or other slots: see fuses.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keeper.core.backoff import doubling_s
from keeper.core.health import is_crash_looping
from keeper.core.model import (
    Condition,
    FleetPolicy,
    Instance,
    MarketState,
    Policy,
    Rung,
    SlotRecord,
    Status,
    Stream,
    Subject,
    Tenure,
)
from keeper.core.moments import elapsed_s, is_due, later
from keeper.core.reasons import Reason
from keeper.core.settle import absence_span_s, absent_for
from keeper.core.world import World


class Wish(StrEnum):
    """What a rule asks for, before any fuse has been asked."""

    WAIT = "wait"
    HOLD = "hold"  # a person must look first
    RENT = "rent"
    DEPLOY = "deploy"
    RESTART = "restart"
    REBOOT = "reboot"
    REPLACE = "replace"  # end this rental; what fills the slot next is another decision
    FORGET = "forget"  # it is gone already
    PROMOTE = "promote"  # the incoming rental takes over


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a slot wants to happen, and why."""

    wish: Wish
    reason: Reason
    until: datetime | None = None
    rung: Rung | None = None
    wanted: str = ""  # HOLD: what would be done
    wanted_reason: Reason = Reason.HEALTHY
    is_incoming: bool = False  # about the incoming rental, not the serving one
    is_ordered: bool = False  # an operator asked for exactly this


@dataclass(slots=True, kw_only=True)
class Case:
    """One rental of one slot and everything a rule may know of it."""

    world: World
    now: datetime
    stream: Stream
    policy: Policy
    fleet: FleetPolicy
    record: SlotRecord
    tenure: Tenure
    instance: Instance | None
    reachable: Condition
    running: Condition
    streaming: Condition
    has_gpu: Condition
    has_room: Condition
    is_incoming: bool

    def is_fresh(self, subject: Subject) -> bool:
        """Whether a witness has spoken to this process; a judgement of an earlier one is old."""
        if self.world.started_at is None or self.tenure.instance_id is None:
            return True
        heard_at = self.world.heard_at.get((self.tenure.instance_id, subject))
        return heard_at is not None and heard_at >= self.world.started_at

    @property
    def is_on_air(self) -> bool:
        """Whether the viewer sees the picture."""
        return self.streaming.status is Status.TRUE

    @property
    def is_reachable(self) -> bool:
        """Whether commands can be sent to the host now."""
        return self.reachable.status is Status.TRUE

    @property
    def is_known_unreachable(self) -> bool:
        """Whether the host refuses us, by evidence this process has seen."""
        return self.reachable.status is Status.FALSE and self.is_fresh(Subject.LINK)


def case_of(
    world: World,
    now: datetime,
    stream: Stream,
    fleet: FleetPolicy,
    record: SlotRecord,
    tenure: Tenure,
    instance: Instance | None,
) -> Case:
    """Gather what the rules look at. The tenure has been judged."""
    conditions = tenure.conditions
    return Case(
        world=world,
        now=now,
        stream=stream,
        policy=stream.policy,
        fleet=fleet,
        record=record,
        tenure=tenure,
        instance=instance,
        reachable=conditions[1],
        running=conditions[3],
        streaming=conditions[4],
        has_gpu=conditions[5],
        has_room=conditions[6],
        is_incoming=tenure is record.incoming,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: when it applies, what follows, and the reason that it is here."""

    name: str
    when: Callable[[Case], bool]
    then: Callable[[Case], Proposal]
    why: str


def propose(case: Case) -> Proposal:
    """Return what the first matching rule asks for."""
    rules = INCOMING_RULES if case.is_incoming else TENURE_RULES
    for rule in rules:
        if rule.when(case):
            return rule.then(case)
    return climb(case)


# --- predicates -------------------------------------------------------------------------------------


def _restart_ordered(case: Case) -> bool:
    asked_at = case.record.restart_asked_at
    return asked_at is not None and case.tenure.deployed_at is not None and case.is_reachable


def _shows_other_key(case: Case) -> bool:
    return (
        case.reachable.reason is Reason.HOST_KEY_CHANGED
        and case.reachable.status is Status.FALSE
        and case.tenure.booted_at is not None  # else the boot's own deadline ends it
    )


def _never_appeared(case: Case) -> bool:
    tenure = case.tenure
    rented_at = tenure.rented_at or tenure.requested_at
    return (
        tenure.listed_at is None
        and absent_for(tenure, rented_at) >= case.policy.create_settle_s
        and absence_span_s(tenure) >= case.policy.absence_apart_s
    )


def _is_gone(case: Case) -> bool:
    tenure = case.tenure
    return (
        tenure.listed_at is not None
        and tenure.instance_id is not None
        and absence_span_s(tenure) >= case.policy.absence_apart_s
        and case.world.shown.get(tenure.instance_id, tenure) is None
    )


def _is_overpriced(case: Case) -> bool:
    limit = case.stream.needs.price_max_dollars_per_hour * case.policy.price_drift_max_ratio
    tenure = case.tenure
    return tenure.first_live_at is None and tenure.dollars_per_hour > limit


def _market_patience_s(case: Case) -> float:
    """How long the marketplace must repeat that the host is down before it is believed."""
    is_silent = case.instance is None or (
        case.instance.is_meant_to_run
        and case.instance.state in (MarketState.OFFLINE, MarketState.UNKNOWN)
    )
    if is_silent and case.tenure.first_live_at is not None:
        return case.policy.unreachable_s  # hosts that once were good come back from a short outage
    return case.policy.fatal_state_s


def _reported_down(case: Case) -> bool:
    return case.tenure.dead_since is not None and not case.is_reachable


def _down_for_long(case: Case) -> bool:
    tenure, listing = case.tenure, case.world.listing
    if tenure.dead_since is None or listing is None or case.is_reachable:
        return False
    # Agreement is counted from listing to listing: one old list that is looked at for long proves
    # nothing.
    return elapsed_s(tenure.dead_since, listing.at) >= _market_patience_s(case)


def _boot_ends_at(case: Case) -> datetime:
    """When a boot is given up. A machine that started late gets time to answer, up to a hard stop."""
    tenure, policy = case.tenure, case.policy
    since = tenure.booting_since or tenure.rented_at or tenure.requested_at
    if tenure.first_live_at is not None:
        # A reboot pulls no image: a host that is not back in this time is as good as unreachable.
        return later(since, min(policy.boot_max_s, policy.unreachable_s))
    limit_s = policy.boot_max_s
    if tenure.running_at is not None:
        late_s = elapsed_s(since, tenure.running_at) + policy.unreachable_s
        limit_s = min(max(limit_s, late_s), policy.boot_hard_max_s)
    return later(since, limit_s)


def _is_booting(case: Case) -> bool:
    return case.tenure.booted_at is None


def _equipment_lost(case: Case) -> bool:
    is_lost = case.has_gpu.status is Status.FALSE and case.is_fresh(Subject.GPU)
    is_dark = case.streaming.status is Status.FALSE or case.tenure.first_live_at is None
    return is_lost and is_dark


def _unreachable_for_long(case: Case) -> bool:
    return (
        case.is_known_unreachable
        and elapsed_s(case.reachable.since, case.now) >= case.policy.unreachable_s
    )


def _undeployable(case: Case) -> bool:
    tenure = case.tenure
    if tenure.deployed_at is not None:
        return False
    booted_at = tenure.booted_at or case.now
    return tenure.deploy_failures >= case.policy.deploy_attempts_max or (
        # Failures of the link are no failed attempts, so that time has to end it.
        elapsed_s(booted_at, case.now) >= case.policy.boot_hard_max_s
    )


def _process_is_down(case: Case) -> bool:
    """The host itself says that no process will serve: it is gone for certain, or keeps dying."""
    return (
        case.running.status is Status.FALSE
        and case.running.reason is not Reason.PROCESS_STOPPED_ON_PURPOSE
        and case.is_fresh(Subject.PROCESS)
    )


def warmup_ends_at(case: Case) -> datetime | None:
    """When a freshly deployed workload must show a picture; None once it has."""
    tenure, policy = case.tenure, case.policy
    if tenure.warm_at is not None or tenure.deployed_at is None:
        return None
    grace_s = policy.warmup_grace_s
    if tenure.warmup_s is not None:
        # It has warmed up here before: no need to wait as long as for a host nobody knows.
        grace_s = min(grace_s, max(policy.restart_settle_s, 2.0 * tenure.warmup_s))
    elif case.running.reason is Reason.PROCESS_STARTING:
        grace_s = max(grace_s, policy.warmup_max_s)
    return later(tenure.deployed_at, grace_s)


def _is_warming_up(case: Case) -> bool:
    ends_at = warmup_ends_at(case)
    return ends_at is not None and case.now < ends_at and not _process_is_down(case)


def _nobody_knows(case: Case) -> bool:
    return case.streaming.status is Status.UNKNOWN and not _process_is_down(case)


def _judged_by_an_earlier_process(case: Case) -> bool:
    return not case.is_fresh(Subject.PICTURE) and not _process_is_down(case)


def dark_since(case: Case) -> datetime:
    """Since when this very rental has failed its viewers."""
    if case.record.dark_since is not None and not case.is_incoming:
        since = case.record.dark_since
    elif case.streaming.status is Status.FALSE:
        since = case.streaming.since
    else:
        since = case.running.since
    return max(since, case.tenure.rented_at or case.tenure.requested_at)


def _inner_supervisor_at_work(case: Case) -> bool:
    return (
        case.running.reason in (Reason.MANAGER_RETRYING, Reason.PROCESS_STARTING)
        and case.running.status is not Status.FALSE
        and elapsed_s(dark_since(case), case.now) < case.policy.replace_after_s
    )


def _not_seen_bad_again(case: Case) -> bool:
    return case.streaming.bad_streak < case.policy.failures_to_fail and not _process_is_down(case)


# --- what follows -----------------------------------------------------------------------------------


def _wait(reason: Reason) -> Callable[[Case], Proposal]:
    proposal = Proposal(wish=Wish.WAIT, reason=reason)
    return lambda _: proposal


def _wait_until(
    reason: Reason, until: Callable[[Case], datetime | None]
) -> Callable[[Case], Proposal]:
    return lambda case: Proposal(
        wish=Wish.WAIT, reason=reason, until=until(case), is_incoming=case.is_incoming
    )


def _replace_host(reason: Reason) -> Callable[[Case], Proposal]:
    return lambda case: Proposal(wish=Wish.REPLACE, reason=reason, is_incoming=case.is_incoming)


def _forget(case: Case) -> Proposal:
    return Proposal(wish=Wish.FORGET, reason=Reason.GONE, is_incoming=case.is_incoming)


def _restart_as_ordered(_: Case) -> Proposal:
    return Proposal(
        wish=Wish.RESTART,
        reason=Reason.OPERATOR_ASKED,
        rung=Rung.RESTART_PROCESS,
        is_ordered=True,
    )


def _stay_away(case: Case) -> Proposal:
    """A host that shows another key may be another host: no command goes there (I23)."""
    until = None
    if case.streaming.status is Status.FALSE or case.tenure.deployed_at is None:
        is_dark = case.streaming.status is Status.FALSE
        since = dark_since(case) if is_dark else case.reachable.since
        until = later(since, case.policy.replace_after_s)
        if case.now >= until:
            return Proposal(wish=Wish.REPLACE, reason=Reason.HOST_KEY_CHANGED)
    return Proposal(
        wish=Wish.HOLD, reason=Reason.HOST_KEY_CHANGED, until=until,
        wanted="watch" if case.is_on_air else "repair", wanted_reason=case.streaming.reason,
    )  # fmt: skip


def _replace_dead(case: Case) -> Proposal:
    if case.tenure.booted_at is None and case.tenure.first_live_at is None:
        reason = Reason.BOOT_FAILED
    elif case.instance is not None and not case.instance.is_meant_to_run:
        reason = Reason.MARKET_STOPPED_IT
    else:
        reason = Reason.MARKET_SAYS_DEAD
    return Proposal(wish=Wish.REPLACE, reason=reason, is_incoming=case.is_incoming)


def _replace_ill_equipped(case: Case) -> Proposal:
    return Proposal(wish=Wish.REPLACE, reason=case.has_gpu.reason, is_incoming=case.is_incoming)


def _dead_at(case: Case) -> datetime | None:
    since = case.tenure.dead_since
    return None if since is None else later(since, _market_patience_s(case))


def _deploy(case: Case) -> Proposal:
    tenure, policy = case.tenure, case.policy
    if not case.is_reachable:
        return Proposal(
            wish=Wish.WAIT, reason=Reason.NOT_DEPLOYED, is_incoming=case.is_incoming,
            until=_unreachable_at(case),
        )  # fmt: skip
    if tenure.deploy_failures and tenure.acted_at is not None:
        ready_at = later(tenure.acted_at, policy.restart_backoff_min_s)
        if not is_due(ready_at, case.now, policy.restart_backoff_min_s):
            return Proposal(
                wish=Wish.WAIT, reason=Reason.BACKING_OFF, until=ready_at,
                is_incoming=case.is_incoming,
            )  # fmt: skip
    return Proposal(wish=Wish.DEPLOY, reason=Reason.NOT_DEPLOYED, is_incoming=case.is_incoming)


def _unreachable_at(case: Case) -> datetime | None:
    if not case.is_known_unreachable:
        return None
    return later(case.reachable.since, case.policy.unreachable_s)


def _inner_patience_ends_at(case: Case) -> datetime:
    return later(dark_since(case), case.policy.replace_after_s)


# --- the table --------------------------------------------------------------------------------------

_GONE = (
    Rule(
        name="never appeared",
        when=_never_appeared,
        then=_replace_host(Reason.CREATE_NEVER_APPEARED),
        why="A create was answered with an id that no complete listing ever showed. Destroying it is"
        " harmless if it does not exist and needed if it does.",
    ),
    Rule(
        name="gone",
        when=lambda case: not case.is_on_air and _is_gone(case),
        then=_forget,
        why="Two separated complete listings and the answer by id agree; while viewers see a"
        " picture, all three are wrong.",
    ),
)

_BOOT = (
    Rule(
        name="overpriced",
        when=_is_overpriced,
        then=_replace_host(Reason.PRICE_DRIFT),
        why="The price may change between search and create; before the first picture going back"
        " costs nearly nothing.",
    ),
    Rule(
        name="down for long",
        when=_down_for_long,
        then=_replace_dead,
        why="The marketplace repeats that the host is down and no link contradicts it.",
    ),
    Rule(
        name="boot stuck",
        when=lambda case: _is_booting(case) and case.now >= _boot_ends_at(case),
        then=_replace_host(Reason.BOOT_STUCK),
        why="Some hosts never finish pulling the image; without a limit they bill for ever.",
    ),
    Rule(
        name="missing",
        when=lambda case: (
            case.tenure.missing_since is not None and case.tenure.listed_at is not None
        ),
        then=_wait(Reason.MISSING_FROM_LIST),
        why="Listings skip rows; one absence is a question, not an answer (I9).",
    ),
    Rule(
        name="booting",
        when=_is_booting,
        then=_wait_until(Reason.BOOTING, _boot_ends_at),
        why="Pulling an image takes minutes and looks like nothing.",
    ),
    Rule(
        name="reported down",
        when=_reported_down,
        then=_wait_until(Reason.MARKET_SAYS_DEAD, _dead_at),
        why="A short outage ends by itself, and acts on a dead host only fail.",
    ),
    Rule(
        name="ill equipped",
        when=_equipment_lost,
        then=_replace_ill_equipped,
        why="No restart brings back a GPU or a display.",
    ),
    Rule(
        name="unreachable for long",
        when=_unreachable_for_long,
        then=_replace_host(Reason.UNREACHABLE_TOO_LONG),
        why="Nobody answers and nobody sees a picture: what cannot be reached cannot be repaired.",
    ),
    Rule(
        name="undeployable",
        when=_undeployable,
        then=_replace_host(Reason.DEPLOY_FAILED),
        why="A host on which the workload cannot be put twice will not take it a third time.",
    ),
    Rule(
        name="not deployed",
        when=lambda case: case.tenure.deployed_at is None,
        then=_deploy,
        why="The host is up and empty. After a reboot too: files stay, processes do not.",
    ),
)

TENURE_RULES: tuple[Rule, ...] = (
    Rule(
        name="restart ordered",
        when=_restart_ordered,
        then=_restart_as_ordered,
        why="An operator knows something that keeper does not.",
    ),
    Rule(
        name="other host key",
        when=_shows_other_key,
        then=_stay_away,
        why="It may be another machine; commands and secrets do not go to strangers.",
    ),
    Rule(
        name="on air",
        when=lambda case: case.is_on_air,
        then=_wait(Reason.HEALTHY),
        why="The picture is the truth: whatever the process manager, the link or the marketplace"
        " says, nobody touches a stream that viewers see.",
    ),
    *_GONE,
    *_BOOT,
    Rule(
        name="stopped on purpose",
        when=lambda case: (
            case.running.status is Status.FALSE
            and case.running.reason is Reason.PROCESS_STOPPED_ON_PURPOSE
        ),
        then=_wait(Reason.PROCESS_STOPPED_ON_PURPOSE),
        why="Somebody is at work on the host; keeper does not fight people.",
    ),
    Rule(
        name="warming up",
        when=_is_warming_up,
        then=_wait_until(Reason.WARMING_UP, warmup_ends_at),
        why="First frames take minutes where models compile; a process that is gone is no warm-up.",
    ),
    Rule(
        name="nobody knows",
        when=_nobody_knows,
        then=_wait_until(Reason.UNKNOWN_IS_NOT_UNHEALTHY, _unreachable_at),
        why="Not knowing is no reason to act (I14).",
    ),
    Rule(
        name="judged by an earlier process",
        when=_judged_by_an_earlier_process,
        then=_wait(Reason.STARTING_UP),
        why="What keeper believed before it was restarted may have changed while it was away.",
    ),
    Rule(
        name="inner supervisor at work",
        when=_inner_supervisor_at_work,
        then=_wait_until(Reason.INNER_SUPERVISOR_AT_WORK, _inner_patience_ends_at),
        why="PM2 and supervisord restart by themselves; two supervisors must not fight, but only"
        " for so long.",
    ),
    Rule(
        name="not seen bad again",
        when=_not_seen_bad_again,
        then=_wait(Reason.NOT_ENOUGH_EVIDENCE),
        why="After an act the old evidence is spent: the next rung needs its own.",
    ),
)


def _unproven_for_long(case: Case) -> bool:
    tenure = case.tenure
    return (
        tenure.booted_at is not None
        and elapsed_s(tenure.booted_at, case.now) >= case.policy.handover_max_s
    )


def _is_proven(case: Case) -> bool:
    return case.is_on_air and case.tenure.good_in_a_row >= case.policy.handover_good_probes


def _handover_ends_at(case: Case) -> datetime | None:
    booted_at = case.tenure.booted_at
    return None if booted_at is None else later(booted_at, case.policy.handover_max_s)


INCOMING_RULES: tuple[Rule, ...] = (
    Rule(
        name="proven",
        when=_is_proven,
        then=lambda _: Proposal(wish=Wish.PROMOTE, reason=Reason.SUPERSEDED, is_incoming=True),
        why="The old host goes only when viewers would see the new one (I11).",
    ),
    *_GONE,
    *_BOOT,
    Rule(
        name="unproven for long",
        when=_unproven_for_long,
        then=_replace_host(Reason.NO_PICTURE_EVER),
        why="A replacement that does not come up is no replacement; the old host still serves.",
    ),
    Rule(
        name="proving itself",
        when=lambda _: True,
        then=_wait_until(Reason.HANDOVER, _handover_ends_at),
        why="It has to show its picture for a while before anyone relies on it.",
    ),
)


# --- the ladder -------------------------------------------------------------------------------------


def climb(case: Case) -> Proposal:
    """Choose the cheapest remedy that is left, or the host's replacement."""
    reason = _sickness(case)
    for rung in case.stream.rungs:
        if rung is Rung.REPLACE or _is_pointless(case, rung):
            continue
        if rung is not Rung.REBOOT and not case.is_reachable:
            pending_until = later(case.reachable.since, case.policy.probe_stale_s)
            if case.reachable.status is Status.UNKNOWN and case.now < pending_until:
                # The link was lost a moment ago and is being dialled again.
                return Proposal(
                    wish=Wish.WAIT, reason=Reason.NOT_ENOUGH_EVIDENCE, until=pending_until
                )
            continue
        uses = _uses(case, rung)
        cap, _ = _cap_of(case.policy, rung)
        if len(uses) >= cap:
            continue
        ready_at = _ready_at(case, rung, uses)
        if not is_due(ready_at, case.now, case.policy.restart_backoff_max_s * 2.0):
            return Proposal(wish=Wish.WAIT, reason=Reason.BACKING_OFF, until=ready_at)
        wish = Wish.REBOOT if rung is Rung.REBOOT else Wish.RESTART
        return Proposal(wish=wish, reason=reason, rung=rung)
    replace_at = later(dark_since(case), case.policy.replace_after_s)
    if case.now < replace_at:
        return Proposal(wish=Wish.WAIT, reason=Reason.LADDER_SPENT, until=replace_at)
    return Proposal(wish=Wish.REPLACE, reason=Reason.LADDER_SPENT)


def _sickness(case: Case) -> Reason:
    if _process_is_down(case):
        return case.running.reason
    if case.tenure.warm_at is None:
        return Reason.NO_PICTURE_EVER
    return case.streaming.reason


def _is_pointless(case: Case, rung: Rung) -> bool:
    if rung is not Rung.RESTART_PROCESS:
        return False
    if case.has_room.status is Status.FALSE:
        return True  # the process would find the same full disk
    # A loop that goes on after a restart is not cured by another one.
    return is_crash_looping(case.tenure, case.policy, case.now) and bool(_uses(case, rung))


def _cap_of(policy: Policy, rung: Rung) -> tuple[int, float]:
    if rung is Rung.RESTART_PROCESS:
        return policy.restarts_max, policy.restarts_window_s
    if rung is Rung.RESTART_WORKLOAD:
        return policy.workload_restarts_max, policy.workload_restarts_window_s
    return policy.reboots_max, policy.reboots_window_s


def _uses(case: Case, rung: Rung) -> list[datetime]:
    _, window_s = _cap_of(case.policy, rung)
    return [
        use.at
        for use in case.record.remedies
        if use.rung is rung and elapsed_s(use.at, case.now) < window_s
    ]


def _ready_at(case: Case, rung: Rung, uses: list[datetime]) -> datetime | None:
    """When the rung may be used: after its own back-off, and when the last act has settled."""
    acted_at = case.tenure.acted_at
    ready_at = None if acted_at is None else later(acted_at, case.policy.restart_settle_s)
    if rung is Rung.RESTART_PROCESS and uses:
        delay_s = doubling_s(
            len(uses) - 1,
            case.policy.restart_backoff_min_s,
            case.policy.restart_backoff_max_s,
            case.record.slot,
        )
        backed_off_at = later(max(uses), delay_s)
        ready_at = backed_off_at if ready_at is None else max(ready_at, backed_off_at)
    return ready_at
