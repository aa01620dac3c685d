"""What is believed of one rental, and how a reading moves it. What time does to it, health.py says.

Three-valued, with hysteresis, and since when. A condition that holds is an unchanged value: streaks
are capped, and nothing here remembers when it looked last. Not knowing never counts as bad (I14).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from keeper.core.conditions import (
    GONE,
    HAS_GPU,
    HAS_ROOM,
    KINDS,
    REACHABLE,
    RUNNING,
    STREAMING,
    WORKING,
    complete,
    is_silent,
)
from keeper.core.model import (
    Condition,
    ConditionKind,
    Policy,
    Reading,
    Remedy,
    Status,
    Subject,
    Symptom,
    Tenure,
)
from keeper.core.moments import elapsed_s
from keeper.core.reasons import Reason
from keeper.core.silence import WITNESS

# Incarnations that are remembered; only those within the crash-loop window count.
_CHANGES_MAX = 16
_KEEPSAKE_MAX = 1000  # characters: what a host says is never kept without a bound
_BELIEVED_AT = {subject: position for position, subject in WITNESS}


def is_moved_by(tenure: Tenure, reading: Reading, policy: Policy, started_at: datetime) -> bool:
    """Whether a reading would change anything that is believed or counted of a tenure by itself.

    What is said again once every streak is full does not: nobody need decide anew for it.
    """
    belief = Belief(tenure, policy, reading.at, started_at)
    belief.read(reading)
    return belief.has_moved()


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
        case Subject.WORKLOAD:
            return reading.keepsake in ("", tenure.keepsake)
        case Subject.GPU | Subject.DISK:
            return True
        case _:
            assert_never(reading.subject)


class Belief:
    """What is believed of one tenure while it is judged."""

    def __init__(
        self,
        tenure: Tenure,
        policy: Policy,
        now: datetime,
        started_at: datetime | None,
        *,
        is_acting: bool = False,
    ) -> None:
        self.before = tenure
        self.policy = policy
        self.now = now
        self.started_at = started_at
        self.is_acting = is_acting  # an act for the slot is under way: its side effects are ours
        self.conditions = list(complete(tenure, now))
        self.details: dict[ConditionKind, str] = {}
        self.has_new_host_key = False
        self.good_in_a_row = tenure.good_in_a_row
        self.process_identity = tenure.process_identity
        self.process_restarts = tenure.process_restarts
        self.process_changed_at = tenure.process_changed_at
        self.is_left_stopped = tenure.is_left_stopped
        self.keepsake = tenure.keepsake
        self.is_left_to_person = tenure.is_left_to_person
        self.acted_at = tenure.acted_at

    def read(self, reading: Reading) -> None:
        """Take in what one witness says."""
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
            case Subject.WORKLOAD:
                self._read_workload(reading)
            case _:
                assert_never(reading.subject)

    def _read_link(self, reading: Reading) -> None:
        """One success is proof; refusals must repeat; a loss is only not knowing."""
        before = self.conditions[REACHABLE]
        if reading.status is Status.UNKNOWN:
            if before.status is Status.TRUE:
                self.level(REACHABLE, Status.UNKNOWN, reading.reason, reading.at)
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
            self.level(RUNNING, Status.UNKNOWN, reading.reason, reading.at, reading.detail)
        else:
            self.level(RUNNING, reading.status, reading.reason, reading.at, reading.detail)
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
            streaming = self.conditions[STREAMING]
            first_at = streaming.streak_since if streaming.bad_streak else reading.at
            self.level(STREAMING, Status.FALSE, reading.reason, reading.at, reading.detail)
            self.conditions[STREAMING] = replace(
                self.conditions[STREAMING],
                bad_streak=self.policy.failures_to_fail,
                streak_since=first_at,
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
            added = (reading.at,) * min(changes, self.policy.crash_loop_changes)
            self.process_changed_at = (*self.process_changed_at, *added)[-_CHANGES_MAX:]
        self.process_identity = reading.identity
        self.process_restarts = reading.restarts

    def _is_after_our_act(self, at: datetime) -> bool:
        acted_at = self.before.acted_at
        return acted_at is None or at > acted_at

    def _is_our_doing(self, at: datetime) -> bool:
        acted_at, started_at = self.before.acted_at, self.started_at
        if self.is_acting:
            return True
        if acted_at is not None and started_at is not None:
            acted_at = max(acted_at, started_at)  # a clock that was set hides how long ago it was
        return acted_at is not None and elapsed_s(acted_at, at) < self.policy.restart_settle_s

    def _read_picture(self, reading: Reading) -> None:
        policy = self.policy
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
        self.level(position, reading.status, reading.reason, reading.at, reading.detail)

    def _read_workload(self, reading: Reading) -> None:
        """Take the workload's word as it comes. Another symptom is another matter, since now."""
        self.keepsake = reading.keepsake[:_KEEPSAKE_MAX] or self.keepsake
        before = self.conditions[WORKING]
        self.level(WORKING, reading.status, reading.reason, reading.at, reading.detail)
        symptom = reading.symptom if reading.status is Status.FALSE else None
        self._see_person(symptom, reading)
        code = None if symptom is None else symptom.code
        known = None if before.symptom is None else before.symptom.code
        if code == known and before.status is reading.status:
            # Said in other words, perhaps: what was said first stands, but for what is to be done.
            if symptom is not None and before.symptom is not None:
                says = replace(symptom, sentence=before.symptom.sentence)
                if says != before.symptom:
                    self.conditions[WORKING] = replace(before, symptom=says)
            return
        self.conditions[WORKING] = replace(
            self.conditions[WORKING], symptom=symptom, since=min(reading.at, self.now)
        )
        self.details[before.kind] = reading.detail

    def _see_person(self, symptom: Symptom | None, reading: Reading) -> None:
        """Take the end of what only a person cures for his act: what was bad must be seen bad again."""
        if symptom is not None:
            self.is_left_to_person = symptom.remedy is Remedy.PERSON
        elif reading.status is Status.TRUE and self.is_left_to_person:
            self.is_left_to_person = False
            self.acted_at = min(reading.at, self.now)
            streaming = self.conditions[STREAMING]
            self.conditions[STREAMING] = replace(streaming, bad_streak=0, good_streak=0)

    def _believe(
        self, position: int, reading: Reading, *, clears_after: int, is_certain: bool
    ) -> None:
        """Move a condition by one reading, with hysteresis."""
        policy = self.policy
        before = self.conditions[position]
        status, reason, since, other = before.status, before.reason, before.since, 0
        weight = policy.failures_to_fail if is_certain else 1
        at = min(reading.at, self.now)
        if reading.status is Status.TRUE:
            bad, good = 0, min(before.good_streak + 1, policy.successes_to_clear)
            if status is not Status.TRUE and good >= clears_after:
                status, since = Status.TRUE, at
        else:
            bad, good = min(before.bad_streak + weight, policy.failures_to_fail), 0
            if status is not Status.FALSE and bad >= policy.failures_to_fail:
                status, since = Status.FALSE, at
        if status is reading.status:
            is_news = status is not before.status or reading.reason is not reason
            other = before.other_streak + weight if is_news else 0
            if status is not before.status or other >= self._looks_for(before, reading.reason):
                reason, other = reading.reason, 0
        if (status, reason, bad, good, other) == (
            before.status, before.reason, before.bad_streak, before.good_streak, before.other_streak,
        ):  # fmt: skip
            return
        goes_on = before.good_streak if good else before.bad_streak
        is_same = (status, reason) == (before.status, before.reason)
        self.conditions[position] = replace(
            before,
            status=status,
            reason=reason,
            since=since,
            bad_streak=bad,
            good_streak=good,
            streak_since=before.streak_since if goes_on else at,
            other_streak=other,
            reason_since=before.reason_since if is_same else at,
        )
        if status is not before.status:
            self.details[before.kind] = reading.detail

    def _looks_for(self, before: Condition, reason: Reason) -> int:
        """Return how many looks in a row it takes to believe another reason while the status stands.

        A picture without its sound is one until as many looks as ever say otherwise: else one black frame,
        an advertisement's first, would end the last host that shows anything. Nor is a picture that
        stutters called so, or cured, by a single look.
        """
        if is_silent(before) or reason is Reason.STUTTERING:
            return self.policy.failures_to_fail
        if before.reason is Reason.STUTTERING:
            return self.policy.successes_to_clear
        return 1

    def level(
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

    # --- what has come of it ----------------------------------------------------------------------

    def has_moved(self) -> bool:
        """Whether what was read has changed anything."""
        return tuple(self.conditions) != self.before.conditions or self.has_counted()

    def has_counted(self) -> bool:
        """Whether what is counted of the picture and of the process is another count than before."""
        before = self.before
        return (
            self.good_in_a_row != before.good_in_a_row
            or self.process_identity != before.process_identity
            or self.process_restarts != before.process_restarts
            or self.process_changed_at is not before.process_changed_at
            or self.is_left_stopped is not before.is_left_stopped
            or self.keepsake != before.keepsake
            or self.is_left_to_person is not before.is_left_to_person
        )
