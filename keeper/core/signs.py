"""What the rules look for: signs that can be read off one rental. Each answers one question.

They only look; what follows from a sign is in the table of remedy.py.
"""

from __future__ import annotations

from datetime import datetime

from keeper.core.bids import bid_dollars_per_hour
from keeper.core.case import Case, dark_since, process_is_down
from keeper.core.conditions import is_what_ran_before
from keeper.core.creates import absence_span_s, absent_for, is_absent_by_id
from keeper.core.model import Audition, MarketState, Meaning, Remedy, Rung, Status, Subject
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.terms import is_confirmed
from keeper.core.whereabouts import unreached_since

# A host that stopped itself was last heard about so long before, as a share of dead_man_after_s.
_FED_SHARE = 0.7
_HOUR_S = 3600.0
# So many times rarer than for what comes right by itself: people take hours.
_PERSON_LOOKS = 10


def restart_ordered(case: Case) -> bool:
    """Whether an operator asked for a restart that can be carried out now."""
    asked_at = case.record.restart_asked_at
    return asked_at is not None and case.tenure.deployed_at is not None and case.has_link


def shows_other_key(case: Case) -> bool:
    """Whether a host that once was up now shows another key than at first contact."""
    return (
        case.reachable.reason is Reason.HOST_KEY_CHANGED
        and case.reachable.status is Status.FALSE
        and case.tenure.booted_at is not None  # else the boot's own deadline ends it
    )


def never_appeared(case: Case) -> bool:
    """Whether complete listings over the settle time never showed the rental."""
    tenure = case.tenure
    since = tenure.rented_at or tenure.requested_at
    if case.world.started_at is not None:
        since = max(since, case.world.started_at)
    return (
        tenure.listed_at is None
        and absent_for(tenure, since) >= case.policy.create_settle_s
        and absence_span_s(tenure) >= case.policy.absence_apart_s
    )


def is_gone(case: Case) -> bool:
    """Whether two separated complete listings and the answer by id agree that it does not exist."""
    tenure = case.tenure
    return (
        tenure.listed_at is not None
        and tenure.instance_id is not None
        and absence_span_s(tenure) >= case.policy.absence_apart_s
        and is_absent_by_id(tenure)
    )


def is_overpriced(case: Case) -> bool:
    """Whether listings agree that the contract costs much more than the offer, before it was of use."""
    return case.tenure.first_live_at is None and _is_agreed(case, case.tenure.dear_since)


def has_grown_dear(case: Case) -> bool:
    """Whether listings agree that a serving host costs more than the stream may pay for one."""
    limit = case.stream.needs.price_max_dollars_per_hour
    return case.tenure.dollars_per_hour > limit and _is_agreed(case, case.tenure.dear_since)


def is_ending(case: Case) -> bool:
    """Whether listings agree that the contract ends soon."""
    return _is_agreed(case, case.tenure.ending_since)


def is_outbid(case: Case) -> bool:
    """Whether the marketplace stopped the rental because somebody bids more."""
    return case.tenure.outbid_since is not None


def _is_agreed(case: Case, since: datetime | None) -> bool:
    listing = case.world.listing
    return is_confirmed(since, None if listing is None else listing.at, case.policy)


def next_bid(case: Case) -> float | None:
    """Return what to bid for an outbid host; None when a higher bid is no way out.

    The floor must be told and lie above our own bid, else the bid is not what stopped it. A bid that
    may never have arrived is sent again.
    """
    tenure, instance = case.tenure, case.instance
    if not is_outbid(case) or instance is None or tenure.rebids >= case.policy.rebids_max:
        return None
    is_beaten = instance.min_bid_dollars_per_hour > tenure.bid_dollars_per_hour
    if not is_beaten and not tenure.is_bid_unsure:
        return None
    beside = instance.disk_dollars_per_hour + tenure.traffic_dollars_per_hour
    bid = bid_dollars_per_hour(instance.min_bid_dollars_per_hour, beside, case.stream.needs)
    if not is_beaten:
        same = tenure.bid_dollars_per_hour
        limit = case.stream.needs.price_max_dollars_per_hour
        return same if bid is not None and round(same + beside, 9) <= limit else None
    return bid if bid is not None and bid > tenure.bid_dollars_per_hour else None


def has_stopped_itself(case: Case) -> bool:
    """Whether a stopped rental was stopped by its own dead man: it had one, and heard no keeper.

    Nobody else can tell: the marketplace shows a stop by the instance's own key like any other.
    """
    tenure, after_s = case.tenure, case.policy.dead_man_after_s
    if not tenure.is_guarded or tenure.instance_id is None or tenure.dead_since is None:
        return False
    # Of a link, refused dials are heard, too; a process is heard only through one that is up.
    heard_at = case.heard_at(Subject.PROCESS)
    if heard_at is None:  # not by this keeper: it was stopped while there was none
        return case.world.started_at is not None
    # It counts from its last feed, which may be a little older than its last word.
    return after_s is not None and elapsed_s(heard_at, tenure.dead_since) >= after_s * _FED_SHARE


def market_patience_s(case: Case) -> float:
    """How long the marketplace must repeat that the host is down before it is believed."""
    is_silent = case.instance is None or (
        case.instance.is_meant_to_run
        and case.instance.state in (MarketState.OFFLINE, MarketState.UNKNOWN)
    )
    if is_silent and case.tenure.first_live_at is not None:
        return case.policy.unreachable_s  # hosts that once were good come back from a short outage
    if case.tenure.outbid_since is not None and case.tenure.rebids:
        return case.policy.create_settle_s  # a higher bid takes a moment to start the container
    return case.policy.fatal_state_s


def reported_down(case: Case) -> bool:
    """Whether the marketplace reports the host as down and no link contradicts it."""
    return case.tenure.dead_since is not None and not case.is_reachable


def down_at(case: Case) -> datetime | None:
    """When the marketplace is believed that the host is down, if it goes on to say so.

    Whoever has just begun, or was frozen, first looks for as long as a single word must stand: in that moment
    nobody else has said anything. (A host on air was given up 0.2 s after keeper woke.)
    """
    if case.tenure.dead_since is None:
        return None
    down = later(case.tenure.dead_since, market_patience_s(case))
    started_at = case.world.started_at
    return down if started_at is None else max(down, later(started_at, case.policy.fatal_state_s))


def down_for_long(case: Case) -> bool:
    """Whether the marketplace has repeated that for as long as its word needs."""
    until, listing = down_at(case), case.world.listing
    # Agreement is counted from listing to listing: one old list that is looked at for long proves
    # nothing.
    return (
        until is not None and listing is not None and not case.is_reachable and listing.at >= until
    )


def boot_ends_at(case: Case) -> datetime:
    """When a boot is given up. A machine that started late gets time to answer, up to a hard stop."""
    tenure, policy = case.tenure, case.policy
    since = tenure.booting_since or tenure.rented_at or tenure.requested_at
    limit_s = policy.boot_max_s
    if tenure.first_live_at is not None:
        # A reboot pulls no image: a host that is not back in this time is as good as unreachable.
        limit_s = min(limit_s, policy.unreachable_s)
    elif tenure.running_at is not None:
        late_s = elapsed_s(since, tenure.running_at) + policy.unreachable_s
        limit_s = min(max(limit_s, late_s), policy.boot_hard_max_s)
    ends_at = later(since, limit_s)
    if case.world.started_at is None:
        return ends_at
    # A boot that ended well while keeper was away must have the time to show it.
    return max(ends_at, later(case.world.started_at, policy.unreachable_s))


def is_booting(case: Case) -> bool:
    """Whether the host has not come up since it was rented or rebooted."""
    return case.tenure.booted_at is None


def equipment_lost(case: Case) -> bool:
    """Whether the GPU or its display is gone and no viewer says otherwise."""
    is_lost = case.has_gpu.status is Status.FALSE and case.is_fresh(Subject.GPU)
    is_dark = case.streaming.status is Status.FALSE or case.tenure.first_live_at is None
    return is_lost and is_dark


def unreachable_for_long(case: Case) -> bool:
    """Whether the host has refused us for longer than outages last."""
    return case.is_known_unreachable and case.now >= unreachable_at(case)


def unreachable_at(case: Case) -> datetime:
    """When a host that refuses us has done so for too long; a new process dials some times first."""
    until = later(unreached_since(case), case.policy.unreachable_s)
    if case.world.started_at is None:
        return until
    return max(until, later(case.world.started_at, case.policy.probe_stale_s))


def undeployable(case: Case) -> bool:
    """Whether the workload will not go on this host."""
    tenure = case.tenure
    return tenure.deployed_at is None and tenure.deploy_failures >= case.policy.deploy_attempts_max


def _failed_audition(case: Case) -> Audition | None:
    """Return the audition that keeps the workload off the host; None: nothing does."""
    audition = case.tenure.audition
    is_passed = audition is None or audition.meaning is None
    return None if is_passed or case.tenure.deployed_at is not None else audition


def fails_audition(case: Case) -> bool:
    """Whether the host's audition will come to nothing, or may cost no more."""
    audition = _failed_audition(case)
    if audition is None or audition.meaning is Meaning.PERSON:
        return False
    if audition.meaning is Meaning.REPLACE:
        return True
    if audition.meaning is Meaning.REBOOT and not may_reboot_for_audition(case):
        return True
    tenure, policy = case.tenure, case.policy
    since = tenure.rented_at or tenure.requested_at
    cost = tenure.dollars_per_hour * elapsed_s(since, case.now) / _HOUR_S
    is_late = elapsed_s(audition.since, case.now) >= policy.audition_max_s
    return is_late or cost >= policy.audition_max_dollars


def asks_for_reboot(case: Case) -> bool:
    """Whether the host may pass its audition after a reboot."""
    audition = _failed_audition(case)
    return audition is not None and audition.meaning is Meaning.REBOOT


def may_reboot_for_audition(case: Case) -> bool:
    """Whether a reboot is left: the workload's own ladder has it, and it was not used on this host."""
    uses = [use for use in case.record.remedies if use.rung is Rung.REBOOT]
    return Rung.REBOOT in case.stream.rungs and not uses and not case.is_incoming


def audition_needs_person(case: Case) -> bool:
    """Whether no host would pass as things are, as far as was seen a while ago.

    Who puts right what is elsewhere has nothing to tell keeper, so it goes on looking.
    """
    audition = _failed_audition(case)
    is_left = audition is not None and audition.meaning is Meaning.PERSON
    return is_left and audition is not None and case.now < _audition_again_at(audition, case)


def audition_waits(case: Case) -> bool:
    """Whether the host was looked at a moment ago, and is given time to come right."""
    audition = _failed_audition(case)
    return audition is not None and case.now < _audition_again_at(audition, case)


def audition_again_at(case: Case) -> datetime | None:
    """When the host is looked at again."""
    audition = _failed_audition(case)
    return None if audition is None else _audition_again_at(audition, case)


def _audition_again_at(audition: Audition, case: Case) -> datetime:
    looks = _PERSON_LOOKS if audition.meaning is Meaning.PERSON else 1
    return later(audition.at, case.policy.audition_retry_s * looks)


def deploy_unsettled(case: Case) -> bool:
    """Whether a deploy whose answer was lost may show its picture yet: something may be running."""
    at = case.tenure.deploy_unsure_at
    if at is None or case.tenure.deployed_at is not None:
        return False
    return case.now < _warm_by(case, at) and not _nothing_was_started(case, at)


def deploy_settles_at(case: Case) -> datetime | None:
    """When to look again whether a deploy in doubt has started anything."""
    at = case.tenure.deploy_unsure_at
    if at is None:
        return None
    heard_by = later(at, case.policy.restart_settle_s)
    return heard_by if case.now < heard_by else _warm_by(case, at)


def _nothing_was_started(case: Case, since: datetime) -> bool:
    """Whether the host has said since then that no process runs, or the one that ran before."""
    tenure, running = case.tenure, case.running
    heard_at = case.heard_at(Subject.PROCESS)
    if not case.has_link or heard_at is None or heard_at <= since:
        return False
    if running.status is Status.FALSE or running.reason is Reason.MANAGER_DOWN:
        return True
    return running.status is Status.TRUE and is_what_ran_before(tenure, tenure.process_identity)


def warmup_ends_at(case: Case) -> datetime | None:
    """When a freshly deployed workload must show a picture; None once it has."""
    tenure = case.tenure
    if tenure.warm_at is not None or tenure.deployed_at is None:
        return None
    return _warm_by(case, tenure.deployed_at)


def _warm_by(case: Case, since: datetime) -> datetime:
    """When a workload that was started at a moment must show a picture."""
    tenure, policy = case.tenure, case.policy
    grace_s = policy.warmup_grace_s
    if tenure.warmup_s is not None:
        # It has warmed up here before: no need to wait as long as for a host nobody knows.
        grace_s = min(grace_s, max(policy.restart_settle_s, 2.0 * tenure.warmup_s))
    elif case.running.reason is Reason.PROCESS_STARTING:
        grace_s = max(grace_s, policy.warmup_max_s)
    ends_at = later(since, grace_s)
    if case.world.started_at is None or case.world.started_at < since:
        return ends_at
    # Nobody watched it warm up before this process began, or before the clock was set.
    return max(ends_at, later(case.world.started_at, min(grace_s, policy.unreachable_s)))


def is_warming_up(case: Case) -> bool:
    """Whether a fresh deployment is within its grace and its process may still come."""
    ends_at = warmup_ends_at(case)
    is_hopeless = process_is_down(case) or asks_for_cure(case)
    return ends_at is not None and case.now < ends_at and not is_hopeless


def asks_for_cure(case: Case) -> bool:
    """Whether the workload says what is wrong, and that it will not come right by itself."""
    return case.symptom is not None and case.symptom.remedy is not Remedy.NOTHING


def needs_person(case: Case) -> bool:
    """Whether the workload says that nothing keeper can do would help."""
    return case.symptom is not None and case.symptom.remedy is Remedy.PERSON


def own_recovery_at_work(case: Case) -> bool:
    """Whether the workload may still get over its symptom by itself."""
    return case.symptom is not None and case.now < own_recovery_ends_at(case)


def own_recovery_ends_at(case: Case) -> datetime:
    """When the workload's own recovery has had its turn."""
    wait_s = 0.0 if case.symptom is None else case.symptom.wait_s
    return later(case.working.since, wait_s)


def disowned_for_what_is_over(case: Case) -> bool:
    """Whether what spoilt the picture may be over, for the workload is well since: nobody looked again."""
    is_well = case.working.status is Status.TRUE and case.is_fresh(Subject.WORKLOAD)
    if not is_well or process_is_down(case):
        return False
    return case.streaming.reason is Reason.WRONG_PICTURE or _is_to_be_seen_again(case)


def _is_to_be_seen_again(case: Case) -> bool:
    """Whether a picture was seen bad before its workload was well, and not since; or good once by now."""
    seen_at = case.heard_at(Subject.PICTURE)
    if seen_at is None or case.streaming.status is not Status.FALSE:
        return False
    return seen_at <= case.working.since or case.streaming.good_streak > 0


def asks_for_planned_restart(case: Case) -> bool:
    """Whether the workload asks to be restarted while viewers watch, and was not touched for long.

    A symptom that a restart does not end must not interrupt viewers again and again.
    """
    symptom, acted_at = case.symptom, case.tenure.acted_at
    if symptom is None or not symptom.is_planned or not case.is_on_air:
        return False
    apart_s = case.policy.workload_restarts_window_s
    is_rested = acted_at is None or elapsed_s(acted_at, case.now) >= apart_s
    is_asked = symptom.remedy is Remedy.RESTART_PROCESS and case.now >= own_recovery_ends_at(case)
    return is_asked and is_rested and case.is_alone and case.has_link


def incurable_here(case: Case) -> bool:
    """Whether the workload says that only another host helps, and no viewer says otherwise."""
    is_asked = case.symptom is not None and case.symptom.remedy is Remedy.REPLACE
    is_dark = case.streaming.status is Status.FALSE or case.tenure.first_live_at is None
    return is_asked and is_dark and case.now >= own_recovery_ends_at(case)


def nobody_knows(case: Case) -> bool:
    """Whether there is no evidence of the picture, and none from the process either."""
    return case.streaming.status is Status.UNKNOWN and not process_is_down(case)


def judged_by_an_earlier_process(case: Case) -> bool:
    """Whether what is believed of the picture is older than this process."""
    return not case.is_fresh(Subject.PICTURE) and not process_is_down(case)


def inner_supervisor_at_work(case: Case) -> bool:
    """Whether the host's own process manager is bringing the process back."""
    return (
        case.running.reason in (Reason.MANAGER_RETRYING, Reason.PROCESS_STARTING)
        and case.running.status is not Status.FALSE
        and elapsed_s(dark_since(case), case.now) < case.policy.replace_after_s
    )


def not_seen_bad_again(case: Case) -> bool:
    """Whether the latest act deserves more patience: what came after it is not bad enough yet."""
    if process_is_down(case) or case.streaming.bad_streak >= case.policy.failures_to_fail:
        return False
    # A picture that comes and goes never fills a streak, and is no picture either.
    return elapsed_s(patient_since(case), case.now) < case.policy.replace_after_s


def patient_since(case: Case) -> datetime:
    """Return since when the latest act is waited for. A clock that was set makes no time pass."""
    since = max(dark_since(case), case.tenure.acted_at or case.tenure.requested_at)
    return since if case.world.started_at is None else max(since, case.world.started_at)


def is_proven(case: Case) -> bool:
    """Whether a replacement has shown its picture often enough in a row, and is still there.

    A list may miss it, or its link be lost, between two looks of the viewer.
    """
    tenure = case.tenure
    is_doubted = (
        tenure.missing_since is not None
        or tenure.dead_since is not None
        or case.reachable.reason is Reason.LINK_LOST
    )
    is_seen = case.is_on_air and tenure.good_in_a_row >= case.policy.handover_good_probes
    return is_seen and not is_doubted and not stands_ready(case)


def stands_ready(case: Case) -> bool:
    """Whether a replacement has everything and publishes nothing, for the old host still does.

    What is seen where viewers look is then the old host's picture.
    """
    tenure = case.tenure
    is_prepared = tenure.prepared_at is not None and tenure.deployed_at is None
    return case.is_incoming and case.stream.takes_one_publisher and is_prepared


def handover_ends_at(case: Case) -> datetime:
    """Return when a replacement must have proven itself."""
    since = case.tenure.booted_at
    assert since is not None, "a booting host is waited for by an earlier rule"
    if case.world.started_at is not None:
        since = max(since, case.world.started_at)
    return later(since, case.policy.handover_max_s)


def unproven_for_long(case: Case) -> bool:
    """Whether a replacement has had its time to show a picture."""
    return case.now >= handover_ends_at(case)
