"""Fourth step: what one rental needs. An ordered table of rules; the first that matches wins.

A row is a predicate, what follows from it, and why it exists. The ladder at its end climbs from the
cheapest remedy to the dearest (ladder.py). Nothing here looks at budgets, pauses or other slots: that
is for fuses.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from keeper.core.case import Case, Proposal, Wish, dark_since
from keeper.core.conditions import is_silent
from keeper.core.ladder import climb
from keeper.core.model import (
    Rung,
    Status,
)
from keeper.core.moments import is_due, later
from keeper.core.reasons import Reason
from keeper.core.signs import (
    asks_for_planned_restart,
    asks_for_reboot,
    audition_again_at,
    audition_needs_person,
    audition_waits,
    boot_ends_at,
    deploy_settles_at,
    deploy_unsettled,
    disowned_for_what_is_over,
    down_at,
    down_for_long,
    equipment_lost,
    fails_audition,
    handover_ends_at,
    has_grown_dear,
    has_stopped_itself,
    incurable_here,
    inner_supervisor_at_work,
    is_booting,
    is_ending,
    is_gone,
    is_outbid,
    is_overpriced,
    is_proven,
    is_warming_up,
    judged_by_an_earlier_process,
    needs_person,
    never_appeared,
    next_bid,
    nobody_knows,
    not_seen_bad_again,
    own_recovery_at_work,
    own_recovery_ends_at,
    patient_since,
    reported_down,
    restart_ordered,
    shows_other_key,
    stands_ready,
    undeployable,
    unproven_for_long,
    unreachable_at,
    unreachable_for_long,
    warmup_ends_at,
)
from keeper.core.whereabouts import lists_are_new_at, may_be_elsewhere, may_have_moved


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


# --- what follows -----------------------------------------------------------------------------------


def _wait(reason: Reason) -> Callable[[Case], Proposal]:
    proposal = Proposal(wish=Wish.WAIT, reason=reason)
    return lambda _: proposal


def _wait_until(
    reason: Reason, until: Callable[[Case], datetime | None]
) -> Callable[[Case], Proposal]:
    return lambda case: Proposal(wish=Wish.WAIT, reason=reason, until=until(case))


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


def _restart_as_planned(case: Case) -> Proposal:
    assert case.symptom is not None
    return Proposal(
        wish=Wish.RESTART,
        reason=Reason.SYMPTOM,
        rung=Rung.RESTART_PROCESS,
        symptom=case.symptom.code,
        is_planned=True,
    )


def _stay_away(case: Case) -> Proposal:
    """A host that shows another key may be another host: no command goes there (I23)."""
    until = None
    is_dark = case.streaming.status is Status.FALSE
    if is_dark or (case.tenure.deployed_at is None and not case.is_on_air):
        since = dark_since(case) if is_dark else case.reachable.since
        until = later(since, case.policy.replace_after_s)
        if case.now >= until:
            if not may_be_elsewhere(case):
                return Proposal(wish=Wish.REPLACE, reason=Reason.HOST_KEY_CHANGED)
            until = later(case.now, case.policy.probe_interval_s)
    return Proposal(
        wish=Wish.HOLD, reason=Reason.HOST_KEY_CHANGED, until=until,
        wanted="watch" if case.is_on_air else "repair", wanted_reason=case.streaming.reason,
    )  # fmt: skip


def _replace_dead(case: Case) -> Proposal:
    if is_outbid(case):
        bid = next_bid(case)
        return Proposal(
            wish=Wish.REPLACE if bid is None else Wish.REBID,
            reason=Reason.OUTBID,
            is_incoming=case.is_incoming,
            bid_dollars_per_hour=bid or 0.0,
        )
    if case.tenure.booted_at is None and case.tenure.first_live_at is None:
        reason = Reason.BOOT_FAILED
    elif case.instance is not None and not case.instance.is_meant_to_run:
        reason = Reason.DEAD_MAN_STOPPED if has_stopped_itself(case) else Reason.MARKET_STOPPED_IT
    else:
        reason = Reason.MARKET_SAYS_DEAD
    return Proposal(wish=Wish.REPLACE, reason=reason, is_incoming=case.is_incoming)


def _wait_for_the_market(case: Case) -> Proposal:
    reason = Reason.OUTBID if is_outbid(case) else Reason.MARKET_SAYS_DEAD
    return Proposal(wish=Wish.WAIT, reason=reason, until=_dead_at(case))


def _hand_over(reason: Reason) -> Callable[[Case], Proposal]:
    proposal = Proposal(wish=Wish.RENT, reason=reason, is_incoming=True)
    return lambda _: proposal


def _replace_ill_equipped(case: Case) -> Proposal:
    return Proposal(wish=Wish.REPLACE, reason=case.has_gpu.reason, is_incoming=case.is_incoming)


def _dead_at(case: Case) -> datetime | None:
    """When the marketplace is believed; None once only a newer listing can say more."""
    until = down_at(case)
    return None if until is None or until <= case.now else until


def _deploy(case: Case) -> Proposal:
    tenure, policy = case.tenure, case.policy
    if not case.has_link:
        return Proposal(wish=Wish.WAIT, reason=Reason.NOT_DEPLOYED, until=_unreachable_at(case))
    if tenure.deploy_failures and tenure.acted_at is not None:
        ready_at = later(tenure.acted_at, policy.restart_backoff_min_s)
        if not is_due(ready_at, case.now, policy.restart_backoff_min_s):
            return Proposal(wish=Wish.WAIT, reason=Reason.BACKING_OFF, until=ready_at)
    # Where the ingest takes one publisher, a replacement is not started beside the host that serves.
    is_beside = case.is_incoming and case.stream.takes_one_publisher
    return Proposal(
        wish=Wish.PREPARE if is_beside else Wish.DEPLOY,
        reason=Reason.NOT_DEPLOYED,
        is_incoming=case.is_incoming,
    )


def _unreachable_at(case: Case) -> datetime | None:
    return unreachable_at(case) if case.is_known_unreachable else None


def _place_known_at(case: Case) -> datetime | None:
    """When lists are believed that say where a host is; None once only a newer one, or a look, says more."""
    until = lists_are_new_at(case)
    return until if case.now < until else None


def _inner_patience_ends_at(case: Case) -> datetime:
    return later(dark_since(case), case.policy.replace_after_s)


def _patience_ends_at(case: Case) -> datetime:
    return later(patient_since(case), case.policy.replace_after_s)


# --- the table --------------------------------------------------------------------------------------

GONE_RULES: tuple[Rule, ...] = (
    Rule(
        name="never appeared",
        when=never_appeared,
        then=_replace_host(Reason.CREATE_NEVER_APPEARED),
        why="A create was answered with an id that no complete listing ever showed. Destroying it is"
        " harmless if it does not exist and needed if it does.",
    ),
    Rule(
        name="gone",
        when=lambda case: not case.has_picture and is_gone(case),
        then=_forget,
        why="Two separated complete listings and the answer by id agree; while viewers see a"
        " picture, all three are wrong.",
    ),
)

BOOT_RULES: tuple[Rule, ...] = (
    Rule(
        name="overpriced",
        when=is_overpriced,
        then=_replace_host(Reason.PRICE_DRIFT),
        why="The price may change between search and create; before the first picture going back"
        " costs nearly nothing.",
    ),
    Rule(
        name="down for long",
        when=down_for_long,
        then=_replace_dead,
        why="The marketplace repeats that the host is down and no link contradicts it. An outbid one"
        " is bid for again, up to the limit, before it is given up.",
    ),
    Rule(
        name="boot stuck",
        when=lambda case: is_booting(case) and case.now >= boot_ends_at(case),
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
        when=is_booting,
        then=_wait_until(Reason.BOOTING, boot_ends_at),
        why="Pulling an image takes minutes and looks like nothing.",
    ),
    Rule(
        name="reported down",
        when=reported_down,
        then=_wait_for_the_market,
        why="A short outage ends by itself, and acts on a dead host only fail.",
    ),
    Rule(
        name="ill equipped",
        when=equipment_lost,
        then=_replace_ill_equipped,
        why="No restart brings back a GPU or a display.",
    ),
    Rule(
        name="unreachable for long",
        when=unreachable_for_long,
        then=_replace_host(Reason.UNREACHABLE_TOO_LONG),
        why="Nobody answers and nobody sees a picture: what cannot be reached cannot be repaired.",
    ),
    Rule(
        name="deploy unsettled",
        when=deploy_unsettled,
        then=_wait_until(Reason.DEPLOY_UNSETTLED, deploy_settles_at),
        why="A deploy whose answer was lost may have worked: what it has started is given its warm-up"
        " before it is stopped by another one (I14). A good picture was lost so.",
    ),
    Rule(
        name="fails its audition",
        when=fails_audition,
        then=_replace_host(Reason.AUDITION_FAILED),
        why="A host that cannot do what the workload needs shows it in seconds; the workload would"
        " take a quarter of an hour to.",
    ),
    Rule(
        name="audition asks for a reboot",
        when=asks_for_reboot,
        then=lambda _: Proposal(wish=Wish.REBOOT, reason=Reason.AUDITION_FAILED, rung=Rung.REBOOT),
        why="Some drivers and displays come up with a second start; one try is cheaper than"
        " another host.",
    ),
    Rule(
        name="audition needs a person",
        when=audition_needs_person,
        then=lambda case: Proposal(
            wish=Wish.HOLD,
            reason=Reason.NEEDS_PERSON,
            wanted="deploy",
            wanted_reason=Reason.AUDITION_FAILED,
            until=audition_again_at(case),
        ),
        why="What every host would fail costs the price of every host. Whether a person has put it right,"
        " the next look says.",
    ),
    Rule(
        name="audition waits",
        when=audition_waits,
        then=_wait_until(Reason.AUDITION_WAITS, audition_again_at),
        why="A driver, a name server or a clock may need a minute after the boot.",
    ),
    Rule(
        name="undeployable",
        when=undeployable,
        then=_replace_host(Reason.DEPLOY_FAILED),
        why="A host on which the workload cannot be put twice will not take it a third time.",
    ),
    Rule(
        name="not deployed",
        when=lambda case: case.tenure.deployed_at is None and not stands_ready(case),
        then=_deploy,
        why="The host is up and empty. After a reboot too: files stay, processes do not.",
    ),
)

TENURE_RULES: tuple[Rule, ...] = (
    Rule(
        name="restart ordered",
        when=restart_ordered,
        then=_restart_as_ordered,
        why="An operator knows something that keeper does not.",
    ),
    Rule(
        name="contract ending",
        when=lambda case: case.has_picture and case.is_alone and is_ending(case),
        then=_hand_over(Reason.CONTRACT_ENDING),
        why="The owner takes the machine back at a known moment; the next host is on air before.",
    ),
    Rule(
        name="grown dear",
        when=lambda case: case.has_picture and case.is_alone and has_grown_dear(case),
        then=_hand_over(Reason.PRICE_DRIFT),
        why="An owner may raise the price of a running contract; above the stream's own limit"
        " another host takes over.",
    ),
    Rule(
        name="other host key",
        when=shows_other_key,
        then=_stay_away,
        why="It may be another machine; commands and secrets do not go to strangers.",
    ),
    Rule(
        name="planned restart",
        when=asks_for_planned_restart,
        then=_restart_as_planned,
        why="Some ends come at a known moment: a process that outgrows its memory, a broadcast that the"
        " platform cuts. Between two acts viewers lose seconds, in the middle of one the end of it.",
    ),
    Rule(
        name="on air",
        when=lambda case: case.is_on_air,
        then=_wait(Reason.HEALTHY),
        why="The picture is the truth: whatever the process manager, the link or the marketplace"
        " says, nobody touches a stream that viewers see.",
    ),
    *GONE_RULES,
    *BOOT_RULES,
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
        name="needs a person",
        when=needs_person,
        then=lambda _: Proposal(
            wish=Wish.HOLD,
            reason=Reason.NEEDS_PERSON,
            wanted="repair",
            wanted_reason=Reason.SYMPTOM,
        ),
        why="A refused key or a missing model comes along to every host: restarts are noise, and"
        " other hosts are money.",
    ),
    Rule(
        name="own recovery at work",
        when=own_recovery_at_work,
        then=_wait_until(Reason.OWN_RECOVERY_AT_WORK, own_recovery_ends_at),
        why="A workload that is mending itself is not restarted on top of that, but only for so"
        " long.",
    ),
    Rule(
        name="disowned for what is over",
        when=disowned_for_what_is_over,
        then=_wait(Reason.NOT_ENOUGH_EVIDENCE),
        why="The picture was bad for a symptom that has ended; the next look, seconds away, says what is"
        " seen now. A stream that a person had mended was restarted for it, and so was one that had"
        " recovered by itself.",
    ),
    Rule(
        name="incurable here",
        when=incurable_here,
        then=_replace_host(Reason.SYMPTOM),
        why="The workload names what no restart brings back: a device, a driver, a network.",
    ),
    Rule(
        name="warming up",
        when=is_warming_up,
        then=_wait_until(Reason.WARMING_UP, warmup_ends_at),
        why="First frames take minutes where models compile; a process that is gone is no warm-up.",
    ),
    Rule(
        name="nobody knows",
        when=nobody_knows,
        then=_wait_until(Reason.UNKNOWN_IS_NOT_UNHEALTHY, _unreachable_at),
        why="Not knowing is no reason to act (I14).",
    ),
    Rule(
        name="judged by an earlier process",
        when=judged_by_an_earlier_process,
        then=_wait(Reason.STARTING_UP),
        why="What keeper believed before it was restarted may have changed while it was away.",
    ),
    Rule(
        name="may have moved",
        when=may_have_moved,
        then=_wait_until(Reason.UNKNOWN_IS_NOT_UNHEALTHY, _place_known_at),
        why="Nobody answers where it was before its connections were cut; the next list that is no old"
        " one says where it is. A good process was restarted, and rebooted, for an address that had"
        " changed.",
    ),
    Rule(
        name="inner supervisor at work",
        when=inner_supervisor_at_work,
        then=_wait_until(Reason.INNER_SUPERVISOR_AT_WORK, _inner_patience_ends_at),
        why="PM2 and supervisord restart by themselves; two supervisors must not fight, but only"
        " for so long.",
    ),
    Rule(
        name="not seen bad again",
        when=not_seen_bad_again,
        then=_wait_until(Reason.NOT_ENOUGH_EVIDENCE, _patience_ends_at),
        why="After an act the old evidence is spent: the next rung needs its own.",
    ),
)


INCOMING_RULES: tuple[Rule, ...] = (
    Rule(
        name="proven",
        when=is_proven,
        then=lambda _: Proposal(wish=Wish.PROMOTE, reason=Reason.SUPERSEDED, is_incoming=True),
        why="The old host goes only when viewers would see the new one (I11).",
    ),
    *GONE_RULES,
    *BOOT_RULES,
    Rule(
        name="ready to publish",
        when=stands_ready,
        then=lambda _: Proposal(wish=Wish.SWAP, reason=Reason.HANDOVER, is_incoming=True),
        why="The ingest takes one publisher: the old host ends before this one starts, and is kept until"
        " this one has proven itself.",
    ),
    Rule(
        name="incurable here",
        when=incurable_here,
        then=_replace_host(Reason.SYMPTOM),
        why="A replacement that says it cannot work will prove nothing.",
    ),
    Rule(
        name="silent for long",
        when=lambda case: is_silent(case.streaming) and unproven_for_long(case),
        then=_replace_host(Reason.NO_SOUND),
        why="It has a picture and no sound, and the old host serves with at least as much.",
    ),
    Rule(
        name="unproven for long",
        when=unproven_for_long,
        then=_replace_host(Reason.NO_PICTURE_EVER),
        why="A replacement that does not come up is no replacement; the old host still serves.",
    ),
    Rule(
        name="proving itself",
        when=lambda _: True,
        then=_wait_until(Reason.HANDOVER, handover_ends_at),
        why="It has to show its picture for a while before anyone relies on it.",
    ),
)
