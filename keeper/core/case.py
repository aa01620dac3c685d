"""What a rule may look at, and what it may ask for: one rental of one slot, and a proposal about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keeper.core.conditions import (
    HAS_GPU,
    HAS_ROOM,
    REACHABLE,
    RUNNING,
    STREAMING,
    WORKING,
    is_silent,
)
from keeper.core.model import (
    Condition,
    FleetPolicy,
    Instance,
    Policy,
    Rung,
    SlotRecord,
    Status,
    Stream,
    Subject,
    Symptom,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.world import World


class Wish(StrEnum):
    """What a rule asks for, before any fuse has been asked."""

    WAIT = "wait"
    HOLD = "hold"  # a person must look first
    RENT = "rent"
    DEPLOY = "deploy"
    PREPARE = "prepare"  # a spare: all of a deploy but the start
    RESTART = "restart"
    SWAP = "swap"  # end the workload on one of a slot's hosts, then start it on the other
    REBOOT = "reboot"
    REPLACE = "replace"  # end this rental; what fills the slot next is another decision
    FORGET = "forget"  # it is gone already
    PROMOTE = "promote"  # the incoming rental takes over
    STOP = "stop"  # a spare: let it stand still
    REBID = "rebid"  # offer more for the machine that somebody else has taken


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
    symptom: str = ""  # RESTART: the code of what is to be cured
    is_planned: bool = False  # RESTART: while viewers watch
    is_back: bool = False  # SWAP: the old host is to publish again
    bid_dollars_per_hour: float = 0.0  # REBID


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
    working: Condition
    is_incoming: bool

    def is_fresh(self, subject: Subject) -> bool:
        """Whether a witness has spoken to this process; a judgement of an earlier one is old."""
        if self.world.started_at is None or self.tenure.instance_id is None:
            return True
        heard_at = self.heard_at(subject)
        return heard_at is not None and heard_at >= self.world.started_at

    def heard_at(self, subject: Subject) -> datetime | None:
        """Return when a witness last spoke of the host; None: never, or the rental has no id yet."""
        instance_id = self.tenure.instance_id
        return None if instance_id is None else self.world.heard_at.get((instance_id, subject))

    @property
    def is_alone(self) -> bool:
        """Whether no replacement is under way yet."""
        return self.record.incoming is None

    @property
    def is_on_air(self) -> bool:
        """Whether the viewer sees the picture."""
        return self.streaming.status is Status.TRUE

    @property
    def has_picture(self) -> bool:
        """Whether the viewer sees a picture, be it without the sound that belongs to it."""
        return self.is_on_air or is_silent(self.streaming)

    @property
    def is_reachable(self) -> bool:
        """Whether commands can be sent to the host now."""
        return self.reachable.status is Status.TRUE

    @property
    def has_link(self) -> bool:
        """Whether this very process has a link to the host. Acts by one of an earlier process fail."""
        return self.is_reachable and self.is_fresh(Subject.LINK)

    @property
    def symptom(self) -> Symptom | None:
        """What the workload says is wrong with it, to this very process; None: nothing is known.

        Nor is what is wrong known where keeper itself sees no picture, and the workload speaks of
        something that costs only some viewers theirs, or nobody yet: another trouble waited hours for
        the patience of a restart that was only planned.
        """
        symptom = self.working.symptom if self.is_fresh(Subject.WORKLOAD) else None
        is_more = self.streaming.status is Status.FALSE and (
            self.streaming.reason is not Reason.WRONG_PICTURE or process_is_down(self)
        )
        is_milder = symptom is not None and (symptom.is_partial or symptom.is_planned)
        return None if is_milder and is_more else symptom

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
        reachable=conditions[REACHABLE],
        running=conditions[RUNNING],
        streaming=conditions[STREAMING],
        has_gpu=conditions[HAS_GPU],
        has_room=conditions[HAS_ROOM],
        working=conditions[WORKING],
        is_incoming=tenure is record.incoming,
    )


def process_is_down(case: Case) -> bool:
    """The host itself says that no process will serve: it is gone for certain, or keeps dying."""
    return (
        case.running.status is Status.FALSE
        and case.running.reason is not Reason.PROCESS_STOPPED_ON_PURPOSE
        and case.is_fresh(Subject.PROCESS)
    )


def dark_since(case: Case) -> datetime:
    """Since when this very rental has failed its viewers."""
    if case.record.dark_since is not None and not case.is_incoming:
        since = case.record.dark_since
    elif case.streaming.status is Status.FALSE:
        since = case.streaming.since
    else:
        since = case.running.since
    return max(since, case.tenure.rented_at or case.tenure.requested_at)
