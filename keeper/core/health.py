"""Third step: what to believe of a rental. Readings, the record and the time become conditions.

What a reading changes, belief.py says; whose silence makes what unknown, silence.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from keeper.core.belief import Belief
from keeper.core.conditions import (
    DEPLOYED,
    KINDS,
    REACHABLE,
    RENTED,
    RUNNING,
    STREAMING,
    complete,
    in_the_past,
    is_crash_looping,
    is_fatal,
    is_what_ran_before,
)
from keeper.core.copying import replace
from keeper.core.model import (
    Condition,
    FleetPolicy,
    Instance,
    InstanceId,
    MarketState,
    Policy,
    Reading,
    Status,
    Subject,
    Tenure,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.silence import WITNESS, silent_since
from keeper.core.world import Listing

# A rebooted container keeps its link for some seconds; an older link proves nothing before this.
_REBOOT_SETTLE_S = 60.0


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What one tick has to go by for one tenure."""

    instance: Instance | None
    listing: Listing | None
    readings: Sequence[Reading]
    heard_at: Mapping[tuple[InstanceId, Subject], datetime]
    host_key: str
    started_at: datetime | None
    policy: Policy
    fleet: FleetPolicy
    is_acting: bool  # an act for the slot is under way: its side effects are ours
    now: datetime
    # This box's own network is down: what looks bad from here proves nothing.
    is_blind: bool = False


@dataclass(slots=True, kw_only=True)
class Judged:
    """A tenure with its conditions brought up to date."""

    tenure: Tenure
    changed: tuple[tuple[Condition, str], ...]  # new statuses, with a bounded detail for humans
    has_new_host_key: bool  # the host began to show another key than the pinned one
    has_booted: bool
    next_check_at: datetime | None  # when time alone would change something
    silent_at: datetime | None  # when silence would make something unknown


def judge(tenure: Tenure, evidence: Evidence) -> Judged:
    """Bring a tenure's conditions up to date; the same tenure object when nothing is new."""
    now = evidence.now
    tenure = in_the_past(tenure, now)
    bench = _Bench(tenure, evidence)
    bench.see_market()
    for reading in evidence.readings:
        bench.belief.read(reading)
    bench.see_own_stop()
    bench.see_crash_loop()
    bench.see_blindness()
    bench.see_deploy()
    ends_at = bench.see_end()
    return bench.judged(ends_at, bench.see_silence())


class _Bench:
    """One tenure's judgement while it is being made."""

    def __init__(self, tenure: Tenure, evidence: Evidence) -> None:
        self.before = tenure
        self.evidence = evidence
        self.now = evidence.now
        self.belief = Belief(
            tenure,
            evidence.policy,
            evidence.now,
            evidence.started_at,
            is_acting=evidence.is_acting,
        )
        self.conditions = self.belief.conditions

    # --- the marketplace and the record -----------------------------------------------------------

    def see_market(self) -> None:
        status, reason = self._rented()
        self.belief.level(RENTED, status, reason, self.now)
        if self.before.deployed_at is not None:
            self.belief.level(DEPLOYED, Status.TRUE, Reason.DEPLOYED, self.before.deployed_at)
        elif self.before.deploy_failures:
            self.belief.level(DEPLOYED, Status.FALSE, Reason.DEPLOY_FAILED, self.now)
        else:
            self.belief.level(DEPLOYED, Status.FALSE, Reason.NOT_DEPLOYED, self.now)

    def _rented(self) -> tuple[Status, Reason]:
        instance, listing = self.evidence.instance, self.evidence.listing
        if self.before.missing_since is not None:
            return Status.UNKNOWN, Reason.MISSING_FROM_LIST
        if instance is None:
            return Status.UNKNOWN, Reason.PENDING
        if listing is None or elapsed_s(listing.at, self.now) > self.evidence.fleet.listing_stale_s:
            return Status.UNKNOWN, Reason.SILENT
        if self.before.stop_asked_at is not None and (
            instance.state is MarketState.STOPPED or not instance.is_meant_to_run
        ):
            # By keeper's own order, and neither good nor bad.
            is_to_run = self.before.start_asked_at is not None
            return Status.UNKNOWN, Reason.PENDING if is_to_run else Reason.SPARE_STANDS
        if not instance.is_meant_to_run:
            return Status.FALSE, Reason.MARKET_STOPPED_IT
        if is_fatal(instance):
            return Status.FALSE, (
                Reason.BOOT_FAILED if instance.has_daemon_error else Reason.MARKET_SAYS_DEAD
            )
        if instance.state is MarketState.RUNNING:
            return Status.TRUE, Reason.RUNNING
        return Status.UNKNOWN, Reason.PENDING

    # --- time -------------------------------------------------------------------------------------

    def see_crash_loop(self) -> None:
        """A manager that says "up" while the process keeps dying is overruled."""
        running = self.conditions[RUNNING]
        if not self.belief.process_changed_at and running.reason is not Reason.CRASH_LOOP:
            return
        if is_crash_looping(self.belief.process_changed_at, self.evidence.policy, self.now):
            if running.status is not Status.FALSE:
                self.belief.level(RUNNING, Status.FALSE, Reason.CRASH_LOOP, self.now)
        elif running.reason is Reason.CRASH_LOOP:
            self.belief.level(RUNNING, Status.TRUE, Reason.PROCESS_UP, self.now)

    def see_own_stop(self) -> None:
        """Take a process that keeper's own restart has left stopped for one that is gone.

        A restart that broke off between its stop and its start looks like a person at work on the
        host, who would be waited for in vain.
        """
        running = self.conditions[RUNNING]
        if self.belief.is_left_stopped and running.reason is Reason.PROCESS_STOPPED_ON_PURPOSE:
            self.belief.level(RUNNING, running.status, Reason.PROCESS_GONE, running.since)

    def see_blindness(self) -> None:
        """Take back what was seen from outside as bad while this box itself could not see.

        Otherwise the first tick after the network is back would act on a failure of minutes that
        never was (simulated: a good host was replaced in the second in which the canary recovered).
        """
        if not self.evidence.is_blind:
            return
        for position in (REACHABLE, STREAMING):
            condition = self.conditions[position]
            if condition.status is Status.FALSE:
                self.belief.level(position, Status.UNKNOWN, Reason.OWN_NETWORK_DOWN, self.now)
            elif condition.bad_streak:
                self.conditions[position] = replace(condition, bad_streak=0)

    def see_end(self) -> datetime | None:
        """Know that there is no picture where the marketplace has stopped the rental.

        Its word and the silence of link and viewer are witnesses enough for the story: what follows
        from it, the rules for hosts that are down say. Returns when that would be next, if it is near.
        """
        if not self._is_stopped_unseen():
            return None
        rented, streaming = self.conditions[RENTED], self.conditions[STREAMING]
        policy = self.evidence.policy
        believed_at = later(rented.since, policy.failures_to_fail * policy.probe_interval_s)
        if believed_at > self.now:
            return believed_at
        if streaming.status is not Status.FALSE:
            reason = rented.reason if self.before.outbid_since is None else Reason.OUTBID
            self.belief.level(STREAMING, Status.FALSE, reason, rented.since)
        return None

    def _is_stopped_unseen(self) -> bool:
        instance, rented = self.evidence.instance, self.conditions[RENTED]
        if instance is None or rented.status is not Status.FALSE or self.evidence.is_blind:
            return False
        seen_at = self.evidence.heard_at.get((instance.instance_id, Subject.PICTURE))
        return (
            (instance.state is MarketState.STOPPED or not instance.is_meant_to_run)
            and self.conditions[REACHABLE].status is not Status.TRUE
            and (seen_at is None or seen_at < rented.since)
        )

    def see_deploy(self) -> None:
        """Take a deploy in doubt for done once viewers see its picture."""
        if self._has_shown_itself():
            assert self.before.deploy_unsure_at is not None
            self.belief.level(DEPLOYED, Status.TRUE, Reason.DEPLOYED, self.before.deploy_unsure_at)

    def _has_shown_itself(self) -> bool:
        before = self.before
        return (
            before.deploy_unsure_at is not None
            and before.deployed_at is None
            and self.conditions[STREAMING].status is Status.TRUE
            and not is_what_ran_before(before, self.belief.process_identity)
        )

    def see_silence(self) -> datetime | None:
        """Turn what nobody has confirmed for too long to Unknown; returns when that is next due."""
        evidence = self.evidence
        instance_id = self.before.instance_id
        assert instance_id is not None, "only a rental with an id is judged"
        stale_s = evidence.policy.probe_stale_s
        earliest: datetime | None = None
        is_stopped = self._is_stopped_unseen()
        for position, subject in WITNESS:
            condition = self.conditions[position]
            if condition.status is Status.UNKNOWN:
                continue
            if position == STREAMING and condition.status is Status.FALSE and is_stopped:
                continue  # not merely unheard of: it cannot be there
            since = silent_since(
                condition, evidence.heard_at.get((instance_id, subject)), evidence.started_at
            )
            if elapsed_s(since, self.now) >= stale_s:
                self.belief.level(position, Status.UNKNOWN, Reason.SILENT, self.now)
            elif earliest is None or since < earliest:
                earliest = since
        return None if earliest is None else later(earliest, stale_s)

    # --- the answer -------------------------------------------------------------------------------

    def judged(self, next_check_at: datetime | None, silent_at: datetime | None) -> Judged:
        before, belief = self.before, self.belief
        conditions = before.conditions
        changed: tuple[tuple[Condition, str], ...] = ()
        known = complete(before, self.now)
        if len(conditions) != len(KINDS) or any(
            a is not b for a, b in zip(known, self.conditions, strict=True)
        ):
            conditions = tuple(self.conditions)
            changed = tuple(
                (new, belief.details.get(new.kind, ""))
                for old, new in zip(known, self.conditions, strict=True)
                if old.status is not new.status
            )
        has_booted = before.booted_at is None and self._is_up()
        host_key = _pins(before.host_key, self.evidence.host_key)
        warm_at, first_live_at, warmup_s = self._first_picture()
        has_shown_itself = self._has_shown_itself()
        tenure = before
        if (
            conditions is not before.conditions
            or belief.has_counted()
            or host_key != before.host_key
            or has_booted
            or has_shown_itself
            or warm_at is not before.warm_at
        ):
            tenure = replace(
                before,
                conditions=conditions,
                good_in_a_row=belief.good_in_a_row,
                process_identity=belief.process_identity,
                process_restarts=belief.process_restarts,
                process_changed_at=belief.process_changed_at,
                is_left_stopped=belief.is_left_stopped,
                keepsake=belief.keepsake,
                is_left_to_person=belief.is_left_to_person,
                acted_at=belief.acted_at,
                host_key=host_key,
                booted_at=self.now if has_booted else before.booted_at,
                warm_at=warm_at,
                first_live_at=first_live_at,
                warmup_s=warmup_s,
            )
        if has_shown_itself:
            at = before.deploy_unsure_at
            tenure = replace(tenure, deployed_at=at, deploy_unsure_at=None, deploy_failures=0)
        return Judged(
            tenure=tenure,
            changed=changed,
            has_new_host_key=belief.has_new_host_key,
            has_booted=has_booted,
            next_check_at=next_check_at,
            silent_at=silent_at,
        )

    def _is_up(self) -> bool:
        """Whether the marketplace says running and a link exists that this boot has made."""
        before, since = self.before, self.before.booting_since
        reachable = self.conditions[REACHABLE]
        return (
            before.running_at is not None
            and self.conditions[RENTED].status is Status.TRUE
            and reachable.status is Status.TRUE
            and (
                since is None
                or reachable.since > since
                or elapsed_s(since, self.now) >= _REBOOT_SETTLE_S
            )
        )

    def _first_picture(self) -> tuple[datetime | None, datetime | None, float | None]:
        before, streaming = self.before, self.conditions[STREAMING]
        if before.warm_at is not None or streaming.status is not Status.TRUE:
            return before.warm_at, before.first_live_at, before.warmup_s
        warmup_s, begun_at = before.warmup_s, before.deployed_at or before.deploy_unsure_at
        if warmup_s is None and begun_at is not None:
            warmup_s = elapsed_s(begun_at, self.now)
        return self.now, before.first_live_at or self.now, warmup_s


def _pins(pinned: str, shown: str) -> str:
    """Return the keys to pin: those known, and one for each entrance that was met since.

    A host is met at its own address and through the marketplace's relay, each with its own key; the
    adapter lets none through that differs from its pin, so what comes can only have grown.
    """
    return shown if set(pinned.splitlines()) <= set(shown.splitlines()) else pinned
