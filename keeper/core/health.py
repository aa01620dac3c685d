"""Third step: what to believe of a rental. Readings, the record and the time become conditions.

Three-valued, with hysteresis, and since when. A condition that holds is an unchanged value: streaks
are capped, and nothing here remembers when it looked last. Not knowing never counts as bad (I14).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

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

_KINDS = tuple(ConditionKind)
_AT = {kind: position for position, kind in enumerate(_KINDS)}
_RENTED, _REACHABLE, _DEPLOYED, _RUNNING, _STREAMING, _HAS_GPU, _HAS_ROOM = range(len(_KINDS))
# Whose silence makes which condition unknown.
_WITNESS = (
    (_REACHABLE, Subject.LINK),
    (_RUNNING, Subject.PROCESS),
    (_STREAMING, Subject.PICTURE),
    (_HAS_GPU, Subject.GPU),
    (_HAS_ROOM, Subject.DISK),
)
_DEAD = (MarketState.STOPPED, MarketState.OFFLINE, MarketState.UNKNOWN)
# A process manager's words that mean: there is no process, and there will be none by itself.
GONE = (Reason.PROCESS_GONE, Reason.MANAGER_GAVE_UP, Reason.PROCESS_STOPPED_ON_PURPOSE)
# Incarnations that are remembered; only those within the crash-loop window count.
_CHANGES_MAX = 16
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


@dataclass(slots=True, kw_only=True)
class Judged:
    """A tenure with its conditions brought up to date."""

    tenure: Tenure
    changed: tuple[tuple[Condition, str], ...]  # new statuses, with a bounded detail for humans
    has_new_host_key: bool  # the host began to show another key than the pinned one
    has_booted: bool
    next_check_at: datetime | None  # when silence would make something unknown


def condition_of(tenure: Tenure | None, kind: ConditionKind) -> Condition | None:
    """Return one judged condition; None before the first judgement."""
    if tenure is None:
        return None
    conditions = tenure.conditions
    position = _AT[kind]
    if len(conditions) == len(_KINDS) and conditions[position].kind is kind:
        return conditions[position]
    return next((each for each in conditions if each.kind is kind), None)


def status_of(tenure: Tenure | None, kind: ConditionKind) -> Status:
    """Return a condition's status; Unknown before the first judgement."""
    condition = condition_of(tenure, kind)
    return Status.UNKNOWN if condition is None else condition.status


def is_fatal(instance: Instance) -> bool:
    """Say whether the marketplace reports a state that does not heal by waiting a little."""
    return (
        instance.state in _DEAD
        or not instance.is_meant_to_run
        or (instance.has_daemon_error and instance.state is not MarketState.RUNNING)
    )


def is_crash_looping(tenure: Tenure, policy: Policy, now: datetime) -> bool:
    """Say whether the process was restarted too often, and not by keeper."""
    changes = tenure.process_changed_at
    if len(changes) < policy.crash_loop_changes:
        return False
    # The latest N changes lie within the window exactly when the N-th latest does.
    return elapsed_s(changes[-policy.crash_loop_changes], now) < policy.crash_loop_window_s


def after_reboot(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is once its container was rebooted: files stay, processes do not."""
    conditions = list(_complete(tenure, at))
    conditions[_RUNNING] = Condition(
        kind=ConditionKind.RUNNING, status=Status.UNKNOWN, reason=Reason.NOT_ASKED, since=at
    )
    return replace(
        tenure,
        booting_since=at,
        running_at=None,
        booted_at=None,
        deployed_at=None,
        warm_at=None,
        dead_since=None,
        acted_at=at,
        process_identity="",
        process_restarts=-1,
        process_changed_at=(),
        conditions=tuple(conditions),
    )


def after_act(tenure: Tenure, at: datetime) -> Tenure:
    """Return the tenure as it is once keeper acts on it: what was bad must be seen bad again."""
    conditions = list(_complete(tenure, at))
    conditions[_STREAMING] = replace(conditions[_STREAMING], bad_streak=0, good_streak=0)
    return replace(
        tenure, acted_at=at, process_changed_at=(), good_in_a_row=0, conditions=tuple(conditions)
    )


def judge(tenure: Tenure, evidence: Evidence) -> Judged:
    """Bring a tenure's conditions up to date; the same tenure object when nothing is new."""
    now = evidence.now
    tenure = in_the_past(tenure, now)
    bench = _Bench(tenure, evidence)
    bench.see_market()
    for reading in evidence.readings:
        bench.read(reading)
    if bench.process_changed_at:
        bench.see_crash_loop()
    next_check_at = bench.see_silence()
    return bench.judged(next_check_at)


class _Bench:
    """One tenure's judgement while it is being made."""

    def __init__(self, tenure: Tenure, evidence: Evidence) -> None:
        self.before = tenure
        self.evidence = evidence
        self.now = evidence.now
        self.conditions = list(_complete(tenure, evidence.now))
        self.details: dict[ConditionKind, str] = {}
        self.has_new_host_key = False
        self.good_in_a_row = tenure.good_in_a_row
        self.process_identity = tenure.process_identity
        self.process_restarts = tenure.process_restarts
        self.process_changed_at = tenure.process_changed_at

    # --- the marketplace and the record -----------------------------------------------------------

    def see_market(self) -> None:
        status, reason = self._rented()
        self._level(_RENTED, status, reason, self.now)
        if self.before.deployed_at is not None:
            self._level(_DEPLOYED, Status.TRUE, Reason.DEPLOYED, self.before.deployed_at)
        elif self.before.deploy_failures:
            self._level(_DEPLOYED, Status.FALSE, Reason.DEPLOY_FAILED, self.now)
        else:
            self._level(_DEPLOYED, Status.FALSE, Reason.NOT_DEPLOYED, self.now)

    def _rented(self) -> tuple[Status, Reason]:
        instance, listing = self.evidence.instance, self.evidence.listing
        if self.before.missing_since is not None:
            return Status.UNKNOWN, Reason.MISSING_FROM_LIST
        if instance is None:
            return Status.UNKNOWN, Reason.PENDING
        if listing is None or elapsed_s(listing.at, self.now) > self.evidence.fleet.listing_stale_s:
            return Status.UNKNOWN, Reason.SILENT
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
                self._read_level(_HAS_GPU, reading)
            case Subject.DISK:
                self._read_level(_HAS_ROOM, reading)

    def _read_link(self, reading: Reading) -> None:
        """One success is proof; refusals must repeat; a loss is only not knowing."""
        before = self.conditions[_REACHABLE]
        if reading.status is Status.UNKNOWN:
            if before.status is Status.TRUE:
                self._level(_REACHABLE, Status.UNKNOWN, reading.reason, reading.at)
            return
        is_other_key = reading.reason is Reason.HOST_KEY_CHANGED
        self._believe(_REACHABLE, reading, clears_after=1, is_certain=is_other_key)
        if is_other_key and before.reason is not Reason.HOST_KEY_CHANGED:
            self.has_new_host_key = True

    def _read_process(self, reading: Reading) -> None:
        """Take the manager's word as it comes: it is said once, on change, and only a hint."""
        before = self.conditions[_RUNNING]
        self._note_incarnation(reading)
        is_settled = not self._is_our_doing(reading.at)
        if reading.status is Status.FALSE and not reading.is_certain:
            self._level(_RUNNING, Status.UNKNOWN, reading.reason, reading.at, reading.detail)
        else:
            self._level(_RUNNING, reading.status, reading.reason, reading.at, reading.detail)
        if (
            reading.status is Status.FALSE
            and reading.is_certain
            and reading.reason in GONE
            and before.status is Status.TRUE
            and is_settled
            and self.conditions[_STREAMING].status is Status.TRUE
        ):
            # Seen alive, and now seen gone: no picture can come from it, so no third opinion is
            # waited for. A process that was never seen alive here proves nothing: then the picture
            # decides.
            self._level(_STREAMING, Status.FALSE, reading.reason, reading.at, reading.detail)
            self.conditions[_STREAMING] = replace(
                self.conditions[_STREAMING], bad_streak=self.evidence.policy.failures_to_fail
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

    def _is_our_doing(self, at: datetime) -> bool:
        acted_at = self.before.acted_at
        if self.evidence.is_acting:
            return True
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
        running = self.conditions[_RUNNING]
        # A process that is gone and a picture that is bad are two witnesses who agree.
        is_certain = running.status is Status.FALSE and running.reason in GONE
        self._believe(
            _STREAMING,
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

    # --- time -------------------------------------------------------------------------------------

    def see_crash_loop(self) -> None:
        """A manager that says "up" while the process keeps dying is overruled."""
        running = self.conditions[_RUNNING]
        if is_crash_looping(
            replace(self.before, process_changed_at=self.process_changed_at),
            self.evidence.policy,
            self.now,
        ):
            if running.status is not Status.FALSE:
                self._level(_RUNNING, Status.FALSE, Reason.CRASH_LOOP, self.now)
        elif running.reason is Reason.CRASH_LOOP:
            self._level(_RUNNING, Status.TRUE, Reason.PROCESS_UP, self.now)

    def see_silence(self) -> datetime | None:
        """Turn what nobody has confirmed for too long to Unknown; returns when that is next due."""
        evidence = self.evidence
        instance_id = self.before.instance_id
        if instance_id is None:
            return None
        stale_s = evidence.policy.probe_stale_s
        earliest: datetime | None = None
        for position, subject in _WITNESS:
            condition = self.conditions[position]
            if condition.status is Status.UNKNOWN:
                continue
            heard_at = evidence.heard_at.get((instance_id, subject))
            if heard_at is None:
                heard_at = condition.since
                if evidence.started_at is not None and evidence.started_at > heard_at:
                    heard_at = evidence.started_at
            elif heard_at < condition.since:
                heard_at = condition.since
            if elapsed_s(heard_at, self.now) >= stale_s:
                self._level(position, Status.UNKNOWN, Reason.SILENT, self.now)
            elif earliest is None or heard_at < earliest:
                earliest = heard_at
        return None if earliest is None else later(earliest, stale_s)

    # --- the answer -------------------------------------------------------------------------------

    def judged(self, next_check_at: datetime | None) -> Judged:
        before = self.before
        conditions = before.conditions
        changed: tuple[tuple[Condition, str], ...] = ()
        known = _complete(before, self.now)
        if len(conditions) != len(_KINDS) or any(
            a is not b for a, b in zip(known, self.conditions, strict=True)
        ):
            conditions = tuple(self.conditions)
            changed = tuple(
                (new, self.details.get(new.kind, ""))
                for old, new in zip(known, self.conditions, strict=True)
                if old.status is not new.status
            )
        has_booted = before.booted_at is None and self._is_up()
        host_key = before.host_key or self.evidence.host_key
        warm_at, first_live_at, warmup_s = self._first_picture()
        tenure = before
        if (
            conditions is not before.conditions
            or self.good_in_a_row != before.good_in_a_row
            or self.process_identity != before.process_identity
            or self.process_restarts != before.process_restarts
            or self.process_changed_at is not before.process_changed_at
            or host_key != before.host_key
            or has_booted
            or warm_at is not before.warm_at
        ):
            tenure = replace(
                before,
                conditions=conditions,
                good_in_a_row=self.good_in_a_row,
                process_identity=self.process_identity,
                process_restarts=self.process_restarts,
                process_changed_at=self.process_changed_at,
                host_key=host_key,
                booted_at=self.now if has_booted else before.booted_at,
                warm_at=warm_at,
                first_live_at=first_live_at,
                warmup_s=warmup_s,
            )
        return Judged(
            tenure=tenure,
            changed=changed,
            has_new_host_key=self.has_new_host_key,
            has_booted=has_booted,
            next_check_at=next_check_at,
        )

    def _is_up(self) -> bool:
        """Whether the marketplace says running and a link exists that this boot has made."""
        before, since = self.before, self.before.booting_since
        reachable = self.conditions[_REACHABLE]
        return (
            before.running_at is not None
            and self.conditions[_RENTED].status is Status.TRUE
            and reachable.status is Status.TRUE
            and (
                since is None
                or reachable.since > since
                or elapsed_s(since, self.now) >= _REBOOT_SETTLE_S
            )
        )

    def _first_picture(self) -> tuple[datetime | None, datetime | None, float | None]:
        before, streaming = self.before, self.conditions[_STREAMING]
        if before.warm_at is not None or streaming.status is not Status.TRUE:
            return before.warm_at, before.first_live_at, before.warmup_s
        warmup_s = before.warmup_s
        if warmup_s is None and before.deployed_at is not None:
            warmup_s = elapsed_s(before.deployed_at, self.now)
        return self.now, before.first_live_at or self.now, warmup_s


def _complete(tenure: Tenure, now: datetime) -> tuple[Condition, ...]:
    """Return all conditions in their fixed order; what was never judged is Unknown."""
    if len(tenure.conditions) == len(_KINDS):
        return tenure.conditions
    known = {condition.kind: condition for condition in tenure.conditions}
    return tuple(
        known.get(kind)
        or Condition(kind=kind, status=Status.UNKNOWN, reason=Reason.NOT_ASKED, since=now)
        for kind in _KINDS
    )


def in_the_past(tenure: Tenure, now: datetime) -> Tenure:
    """Let what lies in the future begin now, so that no deadline waits for the clock to catch up.

    The same tenure when the clock was not stepped back behind anything it remembers.
    """
    acted_at, booting_since = tenure.acted_at, tenure.booting_since
    if (
        tenure.requested_at <= now
        and (acted_at is None or acted_at <= now)
        and (booting_since is None or booting_since <= now)
        and all(condition.since <= now for condition in tenure.conditions)
    ):
        return tenure

    def bounded(at: datetime | None) -> datetime | None:
        return None if at is None else min(at, now)

    return replace(
        tenure,
        requested_at=min(tenure.requested_at, now),
        rented_at=bounded(tenure.rented_at),
        running_at=bounded(tenure.running_at),
        deployed_at=bounded(tenure.deployed_at),
        booting_since=bounded(booting_since),
        booted_at=bounded(tenure.booted_at),
        acted_at=bounded(acted_at),
        dead_since=bounded(tenure.dead_since),
        missing_since=bounded(tenure.missing_since),
        missing_listed_at=bounded(tenure.missing_listed_at),
        conditions=tuple(replace(c, since=min(c.since, now)) for c in tenure.conditions),
    )
