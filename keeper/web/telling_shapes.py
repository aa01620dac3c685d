"""The documented JSON of what people are told: a field is never renamed and never removed, only added."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keeper.alerts import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStatus:
    """Something that holds now and that a person may need to know."""

    name: str
    key: str
    severity: Severity
    slot: str | None
    summary: str
    why: str
    did: str
    needs_human: str
    since: datetime
    is_muted: bool = False  # a louder alert already says it
    stream: str = ""
    muted_by: str = ""  # the key of that louder alert
    silenced_by: str = ""  # the id of the silence that keeps it from people
    told_at: datetime | None = None  # of the latest message about it; null: nobody was told
    incident_id: str = ""  # of the story that messages about it belong to
    repeat_at: datetime | None = None  # if it still holds then; null: it will not be repeated
    repeat_to: tuple[str, ...] = ()  # the channels that will get it
    waiting_for: tuple[str, ...] = ()  # channels that have yet to take a message of its incident
    dollars: float = 0.0  # what it has cost so far, as far as it is known
    runbook: str = ""  # where it is explained: an address, or a path in the repository

    @property
    def is_quiet(self) -> bool:
        """Whether something keeps it from people."""
        return bool(self.is_muted or self.silenced_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """One place that people are told through, or that is shown what holds."""

    channel: str
    kind: str
    pending: int  # messages that it has not taken yet
    last_error: str = ""  # of what waits
    off_since: datetime | None = None  # it wants no more messages; null: it is on
    off_why: str = ""
    dropped: int = 0  # messages that were lost for good since it took one; a restart forgets them
    last_dropped_at: datetime | None = None  # also one before it took another; null: none
    dropped_why: str = ""  # of the last one

    @property
    def is_mute(self) -> bool:
        """Whether people do not get through it what they should."""
        return bool(self.off_since or self.dropped or (self.pending and self.last_error))


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceStatus:
    """A silence that holds: what it matches is told to nobody until then."""

    silence_id: str
    matchers: tuple[str, ...]  # each FIELD=PATTERN; all must match
    since: datetime
    until: datetime
    actor: str
    reason: str
    mutes: tuple[str, ...] = ()  # the keys of the alerts that it keeps from people now


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPage:
    """What holds, what became of it, who is told, and what is kept from people."""

    now: datetime
    alerts: tuple[AlertStatus, ...]  # the most severe first
    channels: tuple[ChannelStatus, ...]
    silences: tuple[SilenceStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencePage:
    """The silences that hold."""

    silences: tuple[SilenceStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceOrdered:
    """A silence that was begun or ended: it is on disk. ``note`` says what it does not do."""

    silence: SilenceStatus
    alerts: tuple[AlertStatus, ...]  # that it keeps, or kept, from people now
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStatus:
    """A message on its way to one channel. Its id stays the same over all tries."""

    notice_id: str
    channel: str
    alert: str  # the key
    kind: str
    summary: str
    created_at: datetime
    attempts: int
    next_try_at: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxStatus:
    """The messages that no channel has taken yet, the oldest first."""

    now: datetime
    messages: tuple[MessageStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTested:
    """What became of a test message."""

    channel: str
    is_delivered: bool
    duration_s: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HintAnswer:
    """Whether anything follows from a hint. Nothing but an earlier look ever does."""

    is_news: bool
