"""A week in numbers, for the people who pay for it and those who answer for it. Pure.

Time and money are the ledger's (meter.py), exact. Incidents, hosts and machines are read from the journal's
facts, which name what happened and keep it for as long as ``retention_days``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import fsum
from statistics import median
from typing import Any

from keeper.core.meter import Meter, day_of, spent
from keeper.core.model import MachineId, SlotId, StreamName, stream_of
from keeper.core.moments import elapsed_s


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact of the journal, as far as a digest reads it."""

    at: datetime
    event: str
    slot: SlotId | None
    values: Mapping[str, Any]


# Read over the whole of what the journal keeps: which machine a rental is on.
RENTALS = frozenset({"instance.renting", "instance.rented", "instance.adopted", "spare.promoted"})
# Read over the week alone.
TROUBLE = frozenset(
    {
        "incident.opened",
        "instance.ended",
        "machine.quarantined",
        "notice.sent",
        "stream.dark",
        "stream.on_air",
    }
)
_WORST_MAX = 5
_DAYS = 7


def week_before(at: datetime) -> tuple[datetime, datetime]:
    """Return the seven whole UTC days that have ended by a moment."""
    until = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return until - timedelta(days=_DAYS), until


def digest(
    ledger: Meter,
    streams: Iterable[StreamName],
    facts: Iterable[Fact],
    *,
    since: datetime,
    until: datetime,
) -> Digest:
    """Sum a week of whole UTC days up. ``facts``: RENTALS of any time and TROUBLE, oldest first.

    Time and money are the ledger's; what happened is the journal's, of which only the newest may be left.
    """
    week = _Week(since, until)
    for fact in facts:
        week.read(fact)
    days = tuple(day_of(since + timedelta(days=n)) for n in range((until - since).days))
    # What is declared no more has cost money all the same.
    paid = (name for day in days for name in ledger.tallies.get(day, {}))
    names = sorted({*streams, *paid})
    done = tuple(_stream(ledger, name, days, week) for name in names)
    return Digest(
        since=since,
        until=until,
        streams=done,
        worst_machines=week.worst(),
        incidents=sum(each.incidents for each in done),
        people_needed=max(week.pages.values(), default=0),
        messages=max(week.messages.values(), default=0),
        dollars=fsum(each.dollars for each in done),
    )


def _stream(ledger: Meter, name: StreamName, days: tuple[str, ...], week: _Week) -> StreamWeek:
    each_day = [spent(ledger, day, name) for day in days]
    took_s = week.pictures_s[name]
    return StreamWeek(
        stream=name,
        good_s=fsum(day.good_s for day in each_day),
        dark_s=fsum(day.dark_s for day in each_day),
        starting_s=fsum(day.starting_s for day in each_day),
        incidents=week.incidents[name],
        longest_dark_s=max(week.darks_s[name], default=0.0),
        time_to_picture_s=median(took_s) if took_s else None,
        dollars=fsum(day.dollars for day in each_day),
    )


@dataclass(slots=True)
class _Trouble:
    """What a machine has to answer for."""

    failures: int = 0
    dark_s: float = 0.0
    dollars: float = 0.0


class _Week:
    """Reads facts in their order, and follows which machine each slot is on."""

    def __init__(self, since: datetime, until: datetime) -> None:
        self._since, self._until = since, until
        self.incidents: Counter[StreamName] = Counter()
        self.darks_s: defaultdict[StreamName, list[float]] = defaultdict(list)
        self.pictures_s: defaultdict[StreamName, list[float]] = defaultdict(list)
        self.messages: Counter[str] = Counter()  # by channel
        self.pages: Counter[str] = Counter()
        self._trouble: defaultdict[MachineId, _Trouble] = defaultdict(_Trouble)
        self._rented: dict[str, tuple[MachineId, datetime]] = {}  # by label, since when
        self._labels: dict[int, str] = {}  # by rental
        self._host: dict[SlotId, str] = {}  # the label of the rental that a slot is on
        self._dark_on: dict[SlotId, MachineId] = {}
        self._seen: set[int] = set()  # rentals that have shown a picture

    def read(self, fact: Fact) -> None:
        """Take the next fact."""
        match fact.event:
            case "instance.renting":
                machine = MachineId(int(fact.values["machine_id"]))
                self._rented[str(fact.values["label"])] = machine, fact.at
            case "instance.rented" | "instance.adopted" | "spare.promoted":
                label = str(fact.values["label"])
                self._labels[int(fact.values["instance_id"])] = label
                # Before the week nobody reads who was on air: the latest host is taken for it.
                if fact.slot is not None and fact.at < self._since:
                    self._host[fact.slot] = label
            case "stream.on_air" if fact.slot is not None:
                self._on_air(fact, fact.slot)
            case _ if self._since <= fact.at < self._until:
                self._count(fact)
            case _:
                return

    def _on_air(self, fact: Fact, slot: SlotId) -> None:
        instance_id = int(fact.values["instance_id"])
        label = self._labels.get(instance_id, "")
        is_first = instance_id not in self._seen
        self._seen.add(instance_id)
        self._host[slot] = label
        dark_on, dark_s = self._dark_on.pop(slot, None), float(fact.values["duration_s"])
        if not self._since <= fact.at < self._until:
            return
        if dark_s > 0:
            self.darks_s[stream_of(slot)].append(dark_s)
        if dark_on is not None:
            self._trouble[dark_on].dark_s += dark_s
        rented_at = self._rented[label][1] if label in self._rented else None
        # A host of the week before may have shown its first picture then, which is not read.
        if is_first and rented_at is not None and rented_at >= self._since:
            self.pictures_s[stream_of(slot)].append(elapsed_s(rented_at, fact.at))

    def _count(self, fact: Fact) -> None:
        match fact.event:
            case "incident.opened" if fact.slot is not None:
                self.incidents[stream_of(fact.slot)] += 1
            case "stream.dark" if fact.slot is not None:
                machine = self._machine(self._host.get(fact.slot, ""))
                if machine is not None:
                    self._dark_on[fact.slot] = machine
            case "machine.quarantined":
                self._trouble[MachineId(int(fact.values["machine_id"]))].failures += 1
            case "instance.ended":
                machine = self._machine(str(fact.values["label"]))
                if machine is not None:
                    self._trouble[machine].dollars += float(fact.values["dollars"])
            case "notice.sent":
                channel = str(fact.values["channel"])
                self.messages[channel] += fact.values["kind"] in {"firing", "repeat"}
                self.pages[channel] += fact.values.get("is_page") is True
            case _:
                return

    def _machine(self, label: str) -> MachineId | None:
        found = self._rented.get(label)
        return None if found is None else found[0]

    def worst(self) -> tuple[MachineWeek, ...]:
        """Return the machines that failed or were dark, the worst first."""
        bad = [(m, t) for m, t in self._trouble.items() if t.failures or t.dark_s > 0]
        bad.sort(key=lambda each: (-each[1].failures, -each[1].dark_s, each[0]))
        return tuple(
            MachineWeek(machine_id=machine, failures=t.failures, dark_s=t.dark_s, dollars=t.dollars)
            for machine, t in bad[:_WORST_MAX]
        )
