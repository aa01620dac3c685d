"""A week in numbers, for the people who pay for it and those who answer for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keeper.core.model import MachineId, StreamName


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamWeek:
    """How one stream did."""

    stream: StreamName
    good_s: float  # slot seconds with a good picture
    dark_s: float
    starting_s: float  # before the first picture; not dark
    incidents: int
    longest_dark_s: float
    time_to_picture_s: float | None  # the middle one of its new hosts; None: it had none
    dollars: float

    @property
    def uptime_ratio(self) -> float | None:
        """Return the share of the time that anybody knew of that was good; None: nobody knew any."""
        known_s = self.good_s + self.dark_s
        return self.good_s / known_s if known_s > 0 else None

    @property
    def dollars_per_good_hour(self) -> float | None:
        """Return what an hour of good picture cost; None: there was none."""
        return self.dollars * 3600 / self.good_s if self.good_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineWeek:
    """What one machine, whoever rented it out, has cost in trouble."""

    machine_id: MachineId
    failures: int
    dark_s: float
    dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A week of the fleet."""

    since: datetime
    until: datetime
    streams: tuple[StreamWeek, ...]
    worst_machines: tuple[MachineWeek, ...]  # the worst first; at most five
    incidents: int
    people_needed: int  # incidents that a person had to end
    messages: int  # that people got, without follow-ups
    dollars: float
