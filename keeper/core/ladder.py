"""The last rule of the table: the ladder of remedies, climbed from the cheapest to the dearest.

A rung is left out when it is not the workload's, is spent, or cannot help; the host is replaced when
none is left and the viewers have waited long enough. Against what no other host would cure, a person
is asked for instead (cures.py).
"""

from __future__ import annotations

from datetime import datetime

from keeper.core.backoff import doubling_s
from keeper.core.case import Case, Proposal, Wish, dark_since, process_is_down
from keeper.core.conditions import is_crash_looping, is_silent
from keeper.core.cures import cap_of, is_bounded, is_free_again_at, is_too_dear, uses_of
from keeper.core.model import Remedy, Rung, Status
from keeper.core.moments import is_due, later
from keeper.core.reasons import Reason
from keeper.core.whereabouts import NOBODY_THERE, may_be_cut_off, unreached_since

# The viewer finds nobody, and SSH neither, or the host is silent: for so long it may be this box's own
# network, whose canary is believed after two misses, half a minute apart (39 s, and a good host was rebooted).
_CUT_OFF_S = 90.0
# The rungs that cannot help against a symptom, by the first that can.
_TOO_MILD: dict[Remedy, tuple[Rung, ...]] = {
    Remedy.RESTART_WORKLOAD: (Rung.RESTART_PROCESS,),
    Remedy.REBOOT: (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD),
    Remedy.REPLACE: (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT),
}


def climb(case: Case) -> Proposal:
    """Choose the cheapest remedy that is left, or the host's replacement."""
    reason = _sickness(case)
    found_out_at = later(case.streaming.since, _CUT_OFF_S)
    if case.now < found_out_at and may_be_cut_off(case):
        return Proposal(wish=Wish.WAIT, reason=Reason.NOT_ENOUGH_EVIDENCE, until=found_out_at)
    for rung in case.stream.rungs:
        if rung is Rung.REPLACE or _is_pointless(case, rung) or is_too_dear(case, rung):
            continue
        if rung is not Rung.REBOOT and not case.is_reachable:
            pending_until = later(case.reachable.since, case.policy.probe_stale_s)
            if case.reachable.status is Status.UNKNOWN and case.now < pending_until:
                # The link was lost a moment ago and is being dialled again.
                return Proposal(
                    wish=Wish.WAIT, reason=Reason.NOT_ENOUGH_EVIDENCE, until=pending_until
                )
            if is_bounded(case):
                # Nothing was tried; and what it says is forgotten soon, if nobody gets there.
                return Proposal(wish=Wish.WAIT, reason=Reason.NOT_ENOUGH_EVIDENCE)
            continue
        cut_off_at = later(unreached_since(case), _CUT_OFF_S)
        if (
            case.streaming.reason in NOBODY_THERE
            and not case.is_reachable
            and case.now < cut_off_at
        ):
            return Proposal(wish=Wish.WAIT, reason=Reason.NOT_ENOUGH_EVIDENCE, until=cut_off_at)
        uses = [use.at for use in uses_of(case, rung)]
        cap, _ = cap_of(case.policy, rung)
        if len(uses) >= cap:
            continue
        ready_at = _ready_at(case, rung, uses)
        if not is_due(ready_at, case.now, case.policy.restart_backoff_max_s * 2.0):
            return Proposal(wish=Wish.WAIT, reason=Reason.BACKING_OFF, until=ready_at)
        wish = Wish.REBOOT if rung is Rung.REBOOT else Wish.RESTART
        code = "" if case.symptom is None else case.symptom.code
        return Proposal(wish=wish, reason=reason, rung=rung, symptom=code)
    if is_bounded(case):
        return _leave_to_person(case)
    replace_at = later(dark_since(case), case.policy.replace_after_s)
    if case.now < replace_at:
        return Proposal(wish=Wish.WAIT, reason=Reason.LADDER_SPENT, until=replace_at)
    return Proposal(wish=Wish.REPLACE, reason=Reason.LADDER_SPENT)


def _leave_to_person(case: Case) -> Proposal:
    """Hold: all that may be tried was, or is spent on other troubles for a while."""
    changes, policy = case.tenure.process_changed_at, case.policy
    rungs = [rung for rung in case.stream.rungs if not is_too_dear(case, rung)]
    free = [at for rung in rungs if (at := is_free_again_at(case, rung)) is not None]
    if is_crash_looping(changes, policy, case.now):
        free.append(later(changes[-policy.crash_loop_changes], policy.crash_loop_window_s))
    return Proposal(
        wish=Wish.HOLD,
        reason=Reason.NEEDS_PERSON,
        until=min(free, default=None),
        wanted="repair",
        wanted_reason=Reason.SYMPTOM,
    )


def _sickness(case: Case) -> Reason:
    if case.symptom is not None and case.symptom.remedy is not Remedy.NOTHING:
        return Reason.SYMPTOM
    if process_is_down(case):
        return case.running.reason
    if case.tenure.warm_at is None and not is_silent(case.streaming):
        return Reason.NO_PICTURE_EVER
    return case.streaming.reason


def _is_pointless(case: Case, rung: Rung) -> bool:
    if case.symptom is not None and rung in _TOO_MILD.get(case.symptom.remedy, ()):
        return True
    if is_silent(case.streaming) and _is_too_much_for_a_sound(case, rung):
        return True
    if rung is not Rung.RESTART_PROCESS:
        return False
    if case.has_room.status is Status.FALSE:
        return True  # the process would find the same full disk
    # A loop that goes on after a restart is not cured by another one.
    return is_crash_looping(case.tenure.process_changed_at, case.policy, case.now) and bool(
        uses_of(case, rung)
    )


def _is_too_much_for_a_sound(case: Case, rung: Rung) -> bool:
    """Whether a rung would cost viewers more of their picture than the sound is worth.

    Each restart is tried once, for it takes the picture away for seconds; a reboot takes it for minutes,
    and another host, which comes next, takes nothing.
    """
    asked = None if case.symptom is None else case.symptom.remedy
    return bool(uses_of(case, rung)) or (rung is Rung.REBOOT and asked is not Remedy.REBOOT)


def _ready_at(case: Case, rung: Rung, uses: list[datetime]) -> datetime | None:
    """When the rung may be used: after its own back-off, and when the last act has settled."""
    acted_at, started_at = case.tenure.acted_at, case.world.started_at
    if acted_at is not None and started_at is not None:
        acted_at = max(acted_at, started_at)  # a clock that was set makes no time to settle in
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
