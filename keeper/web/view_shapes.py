"""The documented JSON of what viewers saw: a field is never renamed and never removed, only added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from keeper.core.viewing import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Looks in a row that saw the same; it lasts until the next run. ``verdict`` null: there was no host."""

    verdict: Verdict | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewStatus:
    """What viewers of a slot see, whichever host they get it from.

    ``numbers`` are those that the latest look has measured, while it counts, of: ``unique_frames_per_s``, ``frames_per_s``,
    ``bitrate_bps``, ``mean_luma``, ``bright_luma``, ``motion`` and ``change`` (beyond its noise; all 0 to
    255), ``sound_dbfs``, ``keyframe_interval_s``, ``latency_s`` (behind live, as the source says) and
    ``newest_age_s`` (of the newest picture).
    """

    verdict: Verdict | None  # null: there is no host, or nobody has looked yet
    since: datetime | None  # it has been so in every look
    looked_at: datetime | None  # the latest look; null: none
    detail: str  # of the latest look: what it found wrong
    numbers: Mapping[str, float]
    strip: tuple[RunStatus, ...]  # the last half hour, the oldest first; before it nothing is known
    thumbnail: str = ""  # where the newest picture is; "": there is none
    thumbnail_at: datetime | None = None  # when it was seen first


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveStatus:
    """What a stream promises its viewers, and how it has kept it; seconds of all its slots together."""

    ratio: float  # the objective: the share of time in which the picture is as it should be
    window_s: float  # over so long, which ends now
    availability_ratio: float | None  # of the time in which somebody knew; null: nobody has, yet
    good_s: float
    dark_s: float
    silent_s: float  # the part of dark_s in which nothing but the sound was missing
    starting_s: float  # before the first picture: neither good nor dark
    allowed_s: float  # dark, in the whole window: the error budget
    remaining_s: float  # below 0: more was used
    remaining_ratio: float | None  # of allowed_s; null: nothing is allowed
    burn_ratio: float | None  # how fast it is used, lately: at 1 it lasts for just its window
