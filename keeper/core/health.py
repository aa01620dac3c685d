"""Third step: what to believe of a rental. Readings, the record and the time become conditions.

Three-valued, with hysteresis, and since when. A condition that holds is an unchanged value: streaks
are capped, and nothing here remembers when it looked last. Not knowing never counts as bad (I14).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from keeper.core.conditions import (
    DEPLOYED,
    GONE,
    HAS_GPU,
    HAS_ROOM,
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
from keeper.core.model import (
    Condition,
    ConditionKind,
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
from keeper.core.world import Listing

# Whose silence makes which condition unknown.
_WITNESS = (
    (REACHABLE, Subject.LINK),
    (RUNNING, Subject.PROCESS),
    (STREAMING, Subject.PICTURE),
    (HAS_GPU, Subject.GPU),
    (HAS_ROOM, Subject.DISK),
)
# Incarnations that are remembered; only those within the crash-loop window count.
_CHANGES_MAX = 16
_DEFAULT_FLEET = FleetPolicy()
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
    is_blind: bool = (
        False  # this box's own network is down: what looks bad from here proves nothing
    )


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
        bench.read(reading)
    bench.see_own_stop()
    bench.see_crash_loop()
    bench.see_blindness()
    bench.see_deploy()
    ends_at = bench.see_end()
    return bench.judged(ends_at, bench.see_silence())


def is_moved_by(tenure: Tenure, reading: Reading, policy: Policy, started_at: datetime) -> bool:
    """Whether a reading would change anything that is believed or counted of a tenure by itself.

    What is said again once every streak is full does not: nobody need decide anew for it.
    """
    evidence = Evidence(
        instance=None,
        listing=None,
        readings=(reading,),
        heard_at={},
        host_key="",
        started_at=started_at,
        policy=policy,
        fleet=_DEFAULT_FLEET,
        is_acting=False,
        now=reading.at,
    )
    bench = _Bench(tenure, evidence)
    bench.read(reading)
    return bench.has_moved()


_BELIEVED_AT = {subject: position for position, subject in _WITNESS}


def confirms(tenure: Tenure, reading: Reading, policy: Policy) -> bool:
    """Say whether a reading repeats what is believed already, so that judging it changes nothing."""
    if len(tenure.conditions) != len(KINDS) or reading.status is not Status.TRUE:
        return False
    believed = tenure.conditions[_BELIEVED_AT[reading.subject]]
    if believed.status is not Status.TRUE or believed.reason is not reading.reason:
        return False
    is_full = believed.bad_streak == 0 and believed.good_streak == policy.successes_to_clear
    match reading.subject:
        case Subject.LINK:
            return is_full
        case Subject.PICTURE:
            return is_full and tenure.good_in_a_row >= policy.handover_good_probes
        case Subject.PROCESS:
            known = (tenure.process_identity, tenure.process_restarts)
            is_same = not reading.identity or (reading.identity, reading.restarts) == known
            return is_same and not tenure.is_left_stopped
        case Subject.GPU | Subject.DISK:
            return True
        case _:
            assert_never(reading.subject)


def witnesses_of(tenure: Tenure) -> tuple[tuple[tuple[InstanceId, Subject], datetime], ...]:
    """Name the witnesses whose silence would make something unknown, and since when that holds."""
    assert tenure.instance_id is not None, "only a rental with an id is judged"
    return tuple(
        ((tenure.instance_id, subject), tenure.conditions[position].since)
        for position, subject in _WITNESS
        if tenure.conditions[position].status is not Status.UNKNOWN
    )


class _Bench:
    """One tenure's judgement while it is being made."""

    def __init__(self, tenure: Tenure, evidence: Evidence) -> None:
        self.before = tenure
        self.evidence = evidence
        self.now = evidence.now
        self.conditions = list(complete(tenure, evidence.now))
        self.details: dict[ConditionKind, str] = {}
        self.has_new_host_key = False
        self.good_in_a_row = tenure.good_in_a_row
        self.process_identity = tenure.process_identity
        self.process_restarts = tenure.process_restarts
        self.process_changed_at = tenure.process_changed_at
        self.is_left_stopped = tenure.is_left_stopped

    # --- the marketplace and the record -----------------------------------------------------------

    def see_market(self) -> None:
        status, reason = self._rented()
        self._level(RENTED, status, reason, self.now)
        if self.before.deployed_at is not None:
            self._level(DEPLOYED, Status.TRUE, Reason.DEPLOYED, self.before.deployed_at)
        elif self.before.deploy_failures:
            self._level(DEPLOYED, Status.FALSE, Reason.DEPLOY_FAILED, self.now)
        else:
            self._level(DEPLOYED, Status.FALSE, Reason.NOT_DEPLOYED, self.now)

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

    # --- the witnesses ----------------------------------------------------------------------------

    def read(self, reading: Reading) -> None:
        match reading.subject:
            case Subject.LINK:
                self._read_link(reading)
            case Subject.PROCESS:
                self._read_process(reading)
            case Subject.PICTURE:
                self._read_picture(reading)
            case Subject.GPU:
                self._read_level(HAS_GPU, reading)
            case Subject.DISK:
                self._read_level(HAS_ROOM, reading)
            case _:
                assert_never(reading.subject)

    def _read_link(self, reading: Reading) -> None:
        """One success is proof; refusals must repeat; a loss is only not knowing."""
        before = self.conditions[REACHABLE]
        if reading.status is Status.UNKNOWN:
            if before.status is Status.TRUE:
                self._level(REACHABLE, Status.UNKNOWN, reading.reason, reading.at)
            return
        is_other_key = reading.reason is Reason.HOST_KEY_CHANGED
        self._believe(REACHABLE, reading, clears_after=1, is_certain=is_other_key)
        if is_other_key and before.reason is not Reason.HOST_KEY_CHANGED:
            self.has_new_host_key = True

    def _read_process(self, reading: Reading) -> None:
        """Take the manager's word as it comes: it is said once, on change, and only a hint."""
        before = self.conditions[RUNNING]
        self._note_incarnation(reading)
        if reading.status is Status.TRUE and self._is_after_our_act(reading.at):
            self.is_left_stopped = False
        is_settled = not self._is_our_doing(reading.at)
        if reading.status is Status.FALSE and not reading.is_certain:
            self._level(RUNNING, Status.UNKNOWN, reading.reason, reading.at, reading.detail)
        else:
            self._level(RUNNING, reading.status, reading.reason, reading.at, reading.detail)
        if (
            reading.status is Status.FALSE
            and reading.is_certain
            and reading.reason in GONE
            and before.status is Status.TRUE
            and is_settled
            and self.conditions[STREAMING].status is Status.TRUE
        ):
            # Seen alive, and now seen gone: no picture can come from it, so no third opinion is
            # waited for. A process that was never seen alive here proves nothing: then the picture
            # decides.
            self._level(STREAMING, Status.FALSE, reading.reason, reading.at, reading.detail)
            self.conditions[STREAMING] = replace(
                self.conditions[STREAMING], bad_streak=self.evidence.policy.failures_to_fail
            )

    def _note_incarnation(self, reading: Reading) -> None:
        """Count restarts that keeper did not order, by identity or by the manager's own counter."""
        if not reading.identity:
            return
        is_other = reading.identity != self.process_identity
        climbed = reading.restarts - self.process_restarts if self.process_restarts >= 0 else 0
        changes = max(int(is_other), climbed)
        is_first = not self.process_identity
        if changes > 0 and not is_first and not self._is_our_doing(reading.at):
            added = (reading.at,) * min(changes, self.evidence.policy.crash_loop_changes)
            self.process_changed_at = (*self.process_changed_at, *added)[-_CHANGES_MAX:]
        self.process_identity = reading.identity
        self.process_restarts = reading.restarts

    def _is_after_our_act(self, at: datetime) -> bool:
        acted_at = self.before.acted_at
        return acted_at is None or at > acted_at

    def _is_our_doing(self, at: datetime) -> bool:
        acted_at, started_at = self.before.acted_at, self.evidence.started_at
        if self.evidence.is_acting:
            return True
        if acted_at is not None and started_at is not None:
            acted_at = max(acted_at, started_at)  # a clock that was set hides how long ago it was
        return (
            acted_at is not None and elapsed_s(acted_at, at) < self.evidence.policy.restart_settle_s
        )

    def _read_picture(self, reading: Reading) -> None:
        policy = self.evidence.policy
        if reading.status is Status.UNKNOWN:
            return
        if reading.status is Status.FALSE:
            if self._is_our_doing(reading.at):
                return  # a picture that our own restart has broken is not news
            self.good_in_a_row = 0
        elif self.good_in_a_row < policy.handover_good_probes:
            self.good_in_a_row += 1
        running = self.conditions[RUNNING]
        # A process that is gone and a picture that is bad are two witnesses who agree.
        is_certain = running.status is Status.FALSE and running.reason in GONE
        self._believe(
            STREAMING,
            reading,
            clears_after=policy.successes_to_clear,
            is_certain=is_certain or reading.is_certain,
        )

    def _read_level(self, position: int, reading: Reading) -> None:
        """Take a change-driven reading as it is: it is said once, so a streak would never fill."""
        self._level(position, reading.status, reading.reason, reading.at, reading.detail)

    def _believe(
        self, position: int, reading: Reading, *, clears_after: int, is_certain: bool
    ) -> None:
        """Move a condition by one reading, with hysteresis."""
        policy = self.evidence.policy
        before = self.conditions[position]
        status, reason, since = before.status, before.reason, before.since
        if reading.status is Status.TRUE:
            bad, good = 0, min(before.good_streak + 1, policy.successes_to_clear)
            if status is not Status.TRUE and good >= clears_after:
                status, since = Status.TRUE, min(reading.at, self.now)
            if status is Status.TRUE:
                reason = reading.reason
        else:
            weight = policy.failures_to_fail if is_certain else 1
            bad, good = min(before.bad_streak + weight, policy.failures_to_fail), 0
            if status is not Status.FALSE and bad >= policy.failures_to_fail:
                status, since = Status.FALSE, min(reading.at, self.now)
            if status is Status.FALSE:
                reason = reading.reason
        if (status, reason, bad, good) == (
            before.status, before.reason, before.bad_streak, before.good_streak,
        ):  # fmt: skip
            return
        self.conditions[position] = replace(
            before, status=status, reason=reason, since=since, bad_streak=bad, good_streak=good
        )
        if status is not before.status:
            self.details[before.kind] = reading.detail

    def _level(
        self, position: int, status: Status, reason: Reason, at: datetime, detail: str = ""
    ) -> None:
        """Set a condition outright; ``since`` moves only with the status."""
        before = self.conditions[position]
        if before.status is status and before.reason is reason:
            return
        if before.status is status:
            self.conditions[position] = replace(before, reason=reason)
            return
        self.conditions[position] = Condition(
            kind=before.kind, status=status, reason=reason, since=min(at, self.now)
        )
        self.details[before.kind] = detail

    def has_moved(self) -> bool:
        """Whether what was read has changed anything."""
        before = self.before
        return (
            tuple(self.conditions) != before.conditions
            or self.good_in_a_row != before.good_in_a_row
            or self.process_identity != before.process_identity
            or self.process_restarts != before.process_restarts
            or self.process_changed_at is not before.process_changed_at
            or self.is_left_stopped is not before.is_left_stopped
        )

    # --- time -------------------------------------------------------------------------------------

    def see_crash_loop(self) -> None:
        """A manager that says "up" while the process keeps dying is overruled."""
        running = self.conditions[RUNNING]
        if not self.process_changed_at and running.reason is not Reason.CRASH_LOOP:
            return
        if is_crash_looping(self.process_changed_at, self.evidence.policy, self.now):
            if running.status is not Status.FALSE:
                self._level(RUNNING, Status.FALSE, Reason.CRASH_LOOP, self.now)
        elif running.reason is Reason.CRASH_LOOP:
            self._level(RUNNING, Status.TRUE, Reason.PROCESS_UP, self.now)

    def see_own_stop(self) -> None:
        """Take a process that keeper's own restart has left stopped for one that is gone.

        A restart that broke off between its stop and its start looks like a person at work on the
        host, who would be waited for in vain.
        """
        running = self.conditions[RUNNING]
        if self.is_left_stopped and running.reason is Reason.PROCESS_STOPPED_ON_PURPOSE:
            self._level(RUNNING, running.status, Reason.PROCESS_GONE, running.since)

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
                self._level(position, Status.UNKNOWN, Reason.OWN_NETWORK_DOWN, self.now)
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
            self._level(STREAMING, Status.FALSE, reason, rented.since)
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
            self._level(DEPLOYED, Status.TRUE, Reason.DEPLOYED, self.before.deploy_unsure_at)

    def _has_shown_itself(self) -> bool:
        before = self.before
        return (
            before.deploy_unsure_at is not None
            and before.deployed_at is None
            and self.conditions[STREAMING].status is Status.TRUE
            and not is_what_ran_before(before, self.process_identity)
        )

    def see_silence(self) -> datetime | None:
        """Turn what nobody has confirmed for too long to Unknown; returns when that is next due."""
        evidence = self.evidence
        instance_id = self.before.instance_id
        assert instance_id is not None, "only a rental with an id is judged"
        stale_s = evidence.policy.probe_stale_s
        earliest: datetime | None = None
        is_stopped = self._is_stopped_unseen()
        for position, subject in _WITNESS:
            condition = self.conditions[position]
            if condition.status is Status.UNKNOWN:
                continue
            if position == STREAMING and condition.status is Status.FALSE and is_stopped:
                continue  # not merely unheard of: it cannot be there
            heard_at = _heard_at(
                condition, evidence.heard_at.get((instance_id, subject)), evidence.started_at
            )
            if elapsed_s(heard_at, self.now) >= stale_s:
                self._level(position, Status.UNKNOWN, Reason.SILENT, self.now)
            elif earliest is None or heard_at < earliest:
                earliest = heard_at
        return None if earliest is None else later(earliest, stale_s)

    # --- the answer -------------------------------------------------------------------------------

    def judged(self, next_check_at: datetime | None, silent_at: datetime | None) -> Judged:
        before = self.before
        conditions = before.conditions
        changed: tuple[tuple[Condition, str], ...] = ()
        known = complete(before, self.now)
        if len(conditions) != len(KINDS) or any(
            a is not b for a, b in zip(known, self.conditions, strict=True)
        ):
            conditions = tuple(self.conditions)
            changed = tuple(
                (new, self.details.get(new.kind, ""))
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
            or self.good_in_a_row != before.good_in_a_row
            or self.process_identity != before.process_identity
            or self.process_restarts != before.process_restarts
            or self.process_changed_at is not before.process_changed_at
            or self.is_left_stopped is not before.is_left_stopped
            or host_key != before.host_key
            or has_booted
            or has_shown_itself
            or warm_at is not before.warm_at
        ):
            tenure = replace(
                before,
                conditions=conditions,
                good_in_a_row=self.good_in_a_row,
                process_identity=self.process_identity,
                process_restarts=self.process_restarts,
                process_changed_at=self.process_changed_at,
                is_left_stopped=self.is_left_stopped,
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
            has_new_host_key=self.has_new_host_key,
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


def silent_at(
    tenure: Tenure,
    heard_at: Mapping[tuple[InstanceId, Subject], datetime],
    started_at: datetime,
    stale_s: float,
) -> datetime | None:
    """Return when something of a tenure would be unknown, if its witnesses said no more."""
    if tenure.instance_id is None or len(tenure.conditions) != len(KINDS):
        return None
    known = [
        _heard_at(
            tenure.conditions[position], heard_at.get((tenure.instance_id, subject)), started_at
        )
        for position, subject in _WITNESS
        if tenure.conditions[position].status is not Status.UNKNOWN
    ]
    earliest = min(known, default=None)
    return None if earliest is None else later(earliest, stale_s)


def _heard_at(
    condition: Condition, heard_at: datetime | None, started_at: datetime | None
) -> datetime:
    """Return from when on silence counts against a condition."""
    if heard_at is not None:
        return max(heard_at, condition.since)
    if started_at is not None and started_at > condition.since:
        return started_at
    return condition.since


def _pins(pinned: str, shown: str) -> str:
    """Return the keys to pin: those known, and one for each entrance that was met since.

    A host is met at its own address and through the marketplace's relay, each with its own key; the
    adapter lets none through that differs from its pin, so what comes can only have grown.
    """
    return shown if set(pinned.splitlines()) <= set(shown.splitlines()) else pinned
