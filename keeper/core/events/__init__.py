"""Every fact keeper can state: the vocabulary of the journal, the logs, the metrics and the alerts.

A fact is one frozen dataclass with a literal name ``noun.verb``: -ing before an effect, past tense
after it. ``LEVEL`` is how loud it is in the log. Facts never carry secrets, and everything remote in
them (``detail``) is bounded and still hostile: sinks escape it.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any, get_args

from keeper.core.events.causes import (
    CauseCleared,
    CauseNamed,
    FuseReset,
    FuseTripped,
    MachineQuarantined,
)
from keeper.core.events.deploys import (
    ArchiveUnable,
    DeployStepEnded,
    DeployStepStarted,
    DrainEnded,
    DrainOverdue,
    DrainRefused,
    PostMortemKept,
    WorkloadDraining,
)
from keeper.core.events.handovers import (
    HandoverSwapFailed,
    HandoverSwapped,
    HandoverSwapping,
    HandoverUndone,
)
from keeper.core.events.keeper import (
    ChannelSwitched,
    ClockStepped,
    ConfigRejected,
    ConfigReloaded,
    DigestMade,
    FeedChanged,
    HeartbeatChanged,
    HintRefused,
    HintTaken,
    KeeperStarted,
    KeeperStopping,
    NoticeFailed,
    NoticeSent,
    OrderAccepted,
    PauseChanged,
    SilenceChanged,
    SlotBug,
    TaskDied,
    TickFailed,
    TickFinished,
    TickOverran,
    WindowClosed,
    WindowOpened,
)
from keeper.core.events.level import Level
from keeper.core.events.market import (
    AccountUnreadable,
    KeyNotRegistered,
    KeyRegistered,
    MarketReadable,
    MarketUnreadable,
    OffersSearched,
    SearchesAllowed,
    SearchesRefused,
)
from keeper.core.events.money import (
    BudgetFreed,
    BudgetStopped,
    BudgetWarned,
    SpendCaughtUp,
    SpendDrifted,
)
from keeper.core.events.rentals import (
    ContractEnding,
    DecisionMade,
    HostRecycling,
    InstanceAdopted,
    InstanceBooted,
    InstanceCondemned,
    InstanceDestroying,
    InstanceEnded,
    InstanceFoundRunning,
    InstanceGone,
    InstanceOutbid,
    InstanceRebid,
    InstanceRebidding,
    InstanceRebooted,
    InstanceRebooting,
    InstanceRented,
    InstanceRenting,
    InstanceStarted,
    InstanceStarting,
    InstanceStartQueued,
    InstanceStopped,
    InstanceStopping,
    MachineUnlisted,
    OrphanCleared,
    OrphanSeen,
    PriceDrifted,
    RentFailed,
    RentUncertain,
    RentVoided,
    SparePromoted,
    SpareReady,
)
from keeper.core.events.slates import (
    SlateLost,
    SlateRefused,
    SlateStarted,
    SlateYielded,
)
from keeper.core.events.streams import (
    ConditionChanged,
    IncidentClosed,
    IncidentOpened,
    StreamDark,
    StreamOnAir,
    StreamReported,
)
from keeper.core.events.workloads import (
    ActFailed,
    AuditionEnded,
    AuditionFinding,
    DeadManArmed,
    DeadManRemoved,
    DeadManUnable,
    DeployFailed,
    HostKeyChanged,
    RestartFailed,
    RevisionAcquitted,
    RevisionBad,
    RevisionDeclared,
    RevisionPardoned,
    RevisionProven,
    WorkloadDeployed,
    WorkloadDeploying,
    WorkloadPrepared,
    WorkloadRestarted,
    WorkloadRestarting,
)
from keeper.core.reasons import SENTENCE

__all__ = [
    "EVENT_TYPES",
    "AccountUnreadable",
    "ActFailed",
    "ArchiveUnable",
    "AuditionEnded",
    "AuditionFinding",
    "BudgetFreed",
    "BudgetStopped",
    "BudgetWarned",
    "CauseCleared",
    "CauseNamed",
    "ChannelSwitched",
    "ClockStepped",
    "ConditionChanged",
    "ConfigRejected",
    "ConfigReloaded",
    "ContractEnding",
    "DeadManArmed",
    "DeadManRemoved",
    "DeadManUnable",
    "DecisionMade",
    "DeployFailed",
    "DeployStepEnded",
    "DeployStepStarted",
    "DigestMade",
    "DrainEnded",
    "DrainOverdue",
    "DrainRefused",
    "Event",
    "FeedChanged",
    "FuseReset",
    "FuseTripped",
    "HandoverSwapFailed",
    "HandoverSwapped",
    "HandoverSwapping",
    "HandoverUndone",
    "HeartbeatChanged",
    "HintRefused",
    "HintTaken",
    "HostKeyChanged",
    "HostRecycling",
    "IncidentClosed",
    "IncidentOpened",
    "InstanceAdopted",
    "InstanceBooted",
    "InstanceCondemned",
    "InstanceDestroying",
    "InstanceEnded",
    "InstanceFoundRunning",
    "InstanceGone",
    "InstanceOutbid",
    "InstanceRebid",
    "InstanceRebidding",
    "InstanceRebooted",
    "InstanceRebooting",
    "InstanceRented",
    "InstanceRenting",
    "InstanceStartQueued",
    "InstanceStarted",
    "InstanceStarting",
    "InstanceStopped",
    "InstanceStopping",
    "KeeperStarted",
    "KeeperStopping",
    "KeyNotRegistered",
    "KeyRegistered",
    "Level",
    "MachineQuarantined",
    "MachineUnlisted",
    "MarketReadable",
    "MarketUnreadable",
    "NoticeFailed",
    "NoticeSent",
    "OffersSearched",
    "OrderAccepted",
    "OrphanCleared",
    "OrphanSeen",
    "PauseChanged",
    "PostMortemKept",
    "PriceDrifted",
    "RentFailed",
    "RentUncertain",
    "RentVoided",
    "RestartFailed",
    "RevisionAcquitted",
    "RevisionBad",
    "RevisionDeclared",
    "RevisionPardoned",
    "RevisionProven",
    "SearchesAllowed",
    "SearchesRefused",
    "SilenceChanged",
    "SlateLost",
    "SlateRefused",
    "SlateStarted",
    "SlateYielded",
    "SlotBug",
    "SparePromoted",
    "SpareReady",
    "SpendCaughtUp",
    "SpendDrifted",
    "StreamDark",
    "StreamOnAir",
    "StreamReported",
    "TaskDied",
    "TickFailed",
    "TickFinished",
    "TickOverran",
    "WindowClosed",
    "WindowOpened",
    "WorkloadDeployed",
    "WorkloadDeploying",
    "WorkloadDraining",
    "WorkloadPrepared",
    "WorkloadRestarted",
    "WorkloadRestarting",
    "facts",
]

Event = (
    KeeperStarted
    | KeeperStopping
    | ConfigReloaded
    | ConfigRejected
    | TickFinished
    | TickFailed
    | TickOverran
    | ClockStepped
    | MarketUnreadable
    | MarketReadable
    | AccountUnreadable
    | KeyRegistered
    | KeyNotRegistered
    | DeadManArmed
    | DeadManRemoved
    | DeadManUnable
    | OffersSearched
    | SearchesAllowed
    | SearchesRefused
    | FuseTripped
    | FuseReset
    | CauseNamed
    | CauseCleared
    | WindowOpened
    | WindowClosed
    | SpendCaughtUp
    | SpendDrifted
    | BudgetWarned
    | BudgetStopped
    | BudgetFreed
    | DecisionMade
    | HostRecycling
    | SpareReady
    | SparePromoted
    | InstanceRenting
    | InstanceRented
    | InstanceAdopted
    | RentFailed
    | RentUncertain
    | RentVoided
    | InstanceBooted
    | PriceDrifted
    | MachineUnlisted
    | ContractEnding
    | InstanceOutbid
    | InstanceRebidding
    | InstanceRebid
    | InstanceCondemned
    | InstanceDestroying
    | InstanceEnded
    | InstanceGone
    | OrphanSeen
    | OrphanCleared
    | MachineQuarantined
    | WorkloadDeploying
    | WorkloadDeployed
    | WorkloadPrepared
    | AuditionFinding
    | AuditionEnded
    | DeployFailed
    | DeployStepStarted
    | DeployStepEnded
    | PostMortemKept
    | WorkloadDraining
    | DrainEnded
    | DrainOverdue
    | DrainRefused
    | ArchiveUnable
    | RevisionDeclared
    | RevisionProven
    | RevisionBad
    | RevisionPardoned
    | RevisionAcquitted
    | WorkloadRestarting
    | WorkloadRestarted
    | RestartFailed
    | HandoverSwapping
    | HandoverSwapFailed
    | HandoverSwapped
    | HandoverUndone
    | InstanceRebooting
    | InstanceRebooted
    | InstanceStopping
    | InstanceStopped
    | InstanceFoundRunning
    | InstanceStarting
    | InstanceStarted
    | InstanceStartQueued
    | ActFailed
    | ConditionChanged
    | StreamOnAir
    | StreamDark
    | IncidentOpened
    | IncidentClosed
    | StreamReported
    | SlateStarted
    | SlateYielded
    | SlateLost
    | SlateRefused
    | HostKeyChanged
    | OrderAccepted
    | PauseChanged
    | SlotBug
    | NoticeSent
    | NoticeFailed
    | ChannelSwitched
    | DigestMade
    | FeedChanged
    | HeartbeatChanged
    | HintRefused
    | HintTaken
    | SilenceChanged
    | TaskDied
)

EVENT_TYPES: tuple[type[Event], ...] = get_args(Event)
# What is JSON already; everything else in a fact is a moment or a StrEnum.
_PLAIN = frozenset({str, int, float, bool, type(None)})
# Looked up once: asking each time is half the cost of a fact.
_FIELDS = {kind: tuple(each.name for each in fields(kind)) for kind in EVENT_TYPES}


def facts(event: Event) -> dict[str, Any]:
    """Flatten an event to plain JSON values, ``event`` first; the form of journal, log and API."""
    flat: dict[str, Any] = {"event": event.name}
    for name in _FIELDS[type(event)]:
        value = getattr(event, name)
        if type(value) not in _PLAIN:
            value = value.isoformat() if isinstance(value, datetime) else value.value
        flat[name] = value
    reason = getattr(event, "reason", None)
    if reason is not None:
        flat["because"] = SENTENCE[reason]
    return flat
