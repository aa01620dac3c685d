"""The fleets that a simulated operator may declare: how many slots, bid or not, under which caps and hours.

Plain words, which the stage turns into a configuration of keeper's and the auditor reads as they are.
``any`` lets each seed draw its own, so that a campaign does not always watch the same two slots.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

Span = tuple[float, float]

DAY_S = 86_400.0
NOTHING: Mapping[str, float] = MappingProxyType({})
DEFAULT_STREAMS: Mapping[str, int] = MappingProxyType({"duel": 1, "turbo": 1})
DEFAULT_BIDDERS: frozenset[str] = frozenset({"turbo"})  # streams that bid, and fall back
DEFAULT_MACHINES = 56  # some are lost for good in a bad week, and others rent as well
_MACHINES_A_SLOT = 6
_KEYED_RATIO = 0.08  # of all seeds that draw their fleet

OBSERVE, SUGGEST, REPAIR, REPLACE = "observe", "suggest", "repair", "replace"
ANY, DEFAULT = "any", "two"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A maintenance window: each day from an hour of UTC on."""

    at_hour: int
    for_s: float
    allow: str  # OBSERVE, REPAIR or REPLACE
    stream: str = ""  # "": of the fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A time in which keeper may not act for a stream: the operator changes its mode and back."""

    stream: str
    mode: str  # OBSERVE or SUGGEST
    since_s: float  # of the run
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """The spares of one stream."""

    count: int = 1
    dollars_per_hour: float = 1.0  # all of them together
    expire_after_s: float = 259_200.0
    is_started: bool = True
    stands_still: bool = False  # stopped once proven, and started when it is needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What an operator declares beside streams and their slots. Dollars are by stream; "": all."""

    bids_only: frozenset[str] = frozenset()  # streams that bid and never pay the price on demand
    watched: Mapping[str, str] = field(default_factory=dict)  # a mode in which nothing is done
    spells: tuple[Spell, ...] = ()
    windows: tuple[Opening, ...] = ()
    hour_caps: Mapping[str, float] = field(default_factory=dict)
    month_caps: Mapping[str, float] = field(default_factory=dict)
    total_caps: Mapping[str, float] = field(default_factory=dict)
    recycle_after_s: float | None = None
    dead_man_after_s: float | None = None  # costs a simulated week some seconds
    spares: Mapping[str, Spared] = field(default_factory=dict)
    one_publisher: frozenset[str] = frozenset()  # streams whose ingest takes no second one
    audition_max_dollars: float | None = None  # of each host; None: keeper's default


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One operator's fleet, and the market around it."""

    streams: Mapping[str, int] = field(default_factory=lambda: DEFAULT_STREAMS)
    bidders: frozenset[str] = DEFAULT_BIDDERS
    day_caps: Mapping[str, float] = field(default_factory=dict)
    habits: Habits = field(default_factory=Habits)
    machines: int = DEFAULT_MACHINES
    strangers: int = 2  # rentals of the account that are not keeper's

    def sentence(self) -> str:
        """Say in short what was drawn."""
        habits = self.habits
        parts = [", ".join(f"{name} {count}" for name, count in self.streams.items())]
        parts += [f"{name} {mode}s only" for name, mode in habits.watched.items()]
        parts += [f"{name} bids" for name in sorted(self.bidders)]
        parts += [f"{name} only bids" for name in sorted(habits.bids_only)]
        for span, caps in (
            ("an hour", habits.hour_caps),
            ("a day", self.day_caps),
            ("a month", habits.month_caps),
            ("in all", habits.total_caps),
        ):
            parts += [f"{name or 'all'} {most:g} $ {span}" for name, most in caps.items()]
        parts += [f"{len(habits.windows)} windows"] if habits.windows else []
        parts += [f"{len(habits.spells)} spells"] if habits.spells else []
        if habits.recycle_after_s is not None:
            parts.append(f"recycled after {habits.recycle_after_s / 3600.0:g} h")
        if habits.dead_man_after_s is not None:
            parts.append(f"a dead man after {habits.dead_man_after_s / 60.0:g} min")
        if habits.audition_max_dollars is not None:
            parts.append(f"auditions for {habits.audition_max_dollars:g} $")
        parts += [
            f"{name} has {each.count} {'stopped' if each.stands_still else 'warm'} spares"
            for name, each in habits.spares.items()
        ]
        parts += [f"{name} has one publisher" for name in sorted(habits.one_publisher)]
        return "; ".join(parts)


def fleet_for(name: str, *, seed: int) -> Fleet:
    """Return the fleet of this name for a seed. Raises ValueError."""
    rng = random.Random(f"fleet {seed}")
    if name == ANY:
        name = rng.choices(tuple(FLEETS), weights=[weight for weight, _ in FLEETS.values()])[0]
        if random.Random(f"publishers {seed}").random() < _KEYED_RATIO:
            name = "keyed"
    if name not in FLEETS:
        known = ", ".join((*FLEETS, ANY))
        raise ValueError(f"{name!r} is none of the fleets: {known}")
    fleet = FLEETS[name][1](rng)
    if name == DEFAULT:
        return fleet
    # Drawn apart, so that all else is as it was: what a host costs in three to six minutes.
    dollars = random.Random(f"audition {seed}").choice((None, None, 0.02))
    return replace(fleet, habits=replace(fleet.habits, audition_max_dollars=dollars))


def _two(_: random.Random) -> Fleet:
    return Fleet()


def _one(rng: random.Random) -> Fleet:
    bidders = rng.choice((frozenset[str](), frozenset({"duel"})))
    return Fleet(streams={"duel": 1}, bidders=bidders, strangers=rng.choice((0, 2, 12)))


def _five(rng: random.Random) -> Fleet:
    streams = rng.choice(({"duel": 5}, {"duel": 3, "turbo": 2}, {"duel": 2, "turbo": 2, "xr": 1}))
    return _sized(streams, strangers=rng.choice((2, 12)))


def _twenty(rng: random.Random) -> Fleet:
    return _sized(rng.choice(({"duel": 10, "turbo": 10}, {"duel": 17, "turbo": 2, "xr": 1})))


def _bids(rng: random.Random) -> Fleet:
    only = rng.choice((frozenset({"duel"}), frozenset({"duel", "turbo"})))
    return Fleet(
        streams={"duel": rng.choice((1, 2)), "turbo": 1},
        bidders=DEFAULT_BIDDERS - only,
        habits=Habits(bids_only=only),
    )


def _tight(rng: random.Random) -> Fleet:
    """Caps that bind: an hour's below what all slots cost, or a day's, a month's, a run's."""
    streams = rng.choice(({"duel": 1, "turbo": 1}, {"duel": 3}, {"duel": 2, "turbo": 2}))
    slots = sum(streams.values())
    whose = rng.choice(("", "duel"))
    mine = slots if not whose else streams[whose]
    kind = rng.choice(("hour", "day", "day", "month", "total"))
    dollars = mine * rng.uniform(0.2, 0.45)  # a host costs some 0.3 an hour, more in bad luck
    return Fleet(
        streams=streams,
        day_caps={whose: round(dollars * 16, 2)} if kind == "day" else NOTHING,
        habits=Habits(
            hour_caps={whose: round(dollars * 1.5, 2)} if kind == "hour" else NOTHING,
            month_caps={whose: round(dollars * 72, 2)} if kind == "month" else NOTHING,
            total_caps={whose: round(dollars * 120, 2)} if kind == "total" else NOTHING,
        ),
    )


def _hours(rng: random.Random) -> Fleet:
    """Windows, by day and night, some one within another; and hosts that are recycled."""
    allowed = rng.choice(((OBSERVE,), (REPAIR,), (REPAIR, OBSERVE), (REPLACE, REPAIR)))
    windows = tuple(
        Opening(
            at_hour=rng.randrange(24),
            for_s=round(rng.uniform(1800.0, 18_000.0)),
            allow=allow,
            stream=rng.choice(("", "duel")),
        )
        for allow in allowed
    )
    return Fleet(
        habits=Habits(windows=windows, recycle_after_s=rng.choice((None, 43_200.0, 129_600.0)))
    )


def _modes(rng: random.Random) -> Fleet:
    """One stream is only watched, another one for a while in the midst of everything."""
    since_s = round(rng.uniform(21_600.0, 360_000.0))
    return Fleet(
        streams={"duel": 1, "turbo": 1, "xr": 1},
        habits=Habits(
            watched={"xr": rng.choice((OBSERVE, SUGGEST))},
            spells=(
                Spell(
                    stream="duel",
                    mode=rng.choice((OBSERVE, SUGGEST)),
                    since_s=since_s,
                    until_s=since_s + round(rng.uniform(1800.0, 36_000.0)),
                ),
            ),
        ),
    )


def _spared(rng: random.Random) -> Fleet:
    """Hosts that are rented ahead: running, prepared where two may not publish, or standing still."""
    spares = {
        "duel": Spared(
            count=rng.choice((1, 1, 2)),
            dollars_per_hour=rng.choice((0.6, 1.2)),
            expire_after_s=rng.choice((43_200.0, 172_800.0)),
            is_started=rng.random() < 0.6,
            stands_still=rng.random() < 0.5,
        )
    }
    return Fleet(habits=Habits(spares=spares))


def _keyed(rng: random.Random) -> Fleet:
    """One stream key each: a second publisher is refused. Hosts are recycled often, to see it."""
    waiting = Spared(is_started=False, stands_still=rng.random() < 0.5)
    return Fleet(
        streams={"duel": 1, "turbo": 1, "xr": 1},
        habits=Habits(
            one_publisher=rng.choice((frozenset({"duel"}), frozenset({"duel", "turbo", "xr"}))),
            recycle_after_s=rng.choice((14_400.0, 28_800.0)),
            spares={"duel": waiting} if rng.random() < 0.4 else {},
        ),
    )


def _sized(streams: Mapping[str, int], *, strangers: int = 2) -> Fleet:
    machines = max(DEFAULT_MACHINES, _MACHINES_A_SLOT * sum(streams.values()))
    return Fleet(streams=streams, machines=machines, strangers=strangers)


# How often each is drawn. A week of twenty slots takes as long as ten of the others.
FLEETS: Mapping[str, tuple[int, Callable[[random.Random], Fleet]]] = {
    "two": (8, _two),
    "one": (2, _one),
    "five": (2, _five),
    "twenty": (1, _twenty),
    "bids": (2, _bids),
    "tight": (3, _tight),
    "hours": (3, _hours),
    "modes": (2, _modes),
    "spared": (2, _spared),
    "keyed": (0, _keyed),  # drawn apart, so that all other draws are as they were
}


# --- when hands are tied by a calendar or a mode ----------------------------------------------------


def forbidden(
    fleet: Fleet,
    allows: frozenset[str],
    *,
    began_at: float,
    ended_at: float,
    clock_steps: Iterable[tuple[float, float]],
) -> Mapping[str, tuple[Span, ...]]:
    """Return when windows of these kinds were open for each stream, by keeper's own clock.

    Modes count as windows in which nothing is allowed.
    """
    found: dict[str, list[Span]] = {name: [] for name in fleet.streams}
    for window in fleet.habits.windows:
        if window.allow not in allows:
            continue
        for name in [window.stream] if window.stream else fleet.streams:
            found[name] += _openings(window, began_at, ended_at, clock_steps)
    if OBSERVE in allows:
        for name, spans in watched(fleet, began_at=began_at, ended_at=ended_at).items():
            found[name] += spans
    return {name: tuple(sorted(spans)) for name, spans in found.items() if spans}


def watched(fleet: Fleet, *, began_at: float, ended_at: float) -> Mapping[str, tuple[Span, ...]]:
    """Return when each stream's mode let keeper do nothing for it."""
    found: dict[str, list[Span]] = {name: [] for name in fleet.streams}
    for name in fleet.habits.watched:
        found[name].append((began_at, ended_at))
    for spell in fleet.habits.spells:
        span = (began_at + spell.since_s, min(began_at + spell.until_s, ended_at))
        if span[0] < span[1]:
            found[spell.stream].append(span)
    return {name: tuple(sorted(spans)) for name, spans in found.items() if spans}


def _openings(
    window: Opening, began_at: float, ended_at: float, clock_steps: Iterable[tuple[float, float]]
) -> Iterator[Span]:
    """Yield when a window was open; a clock that is stepped may open it twice, or cut it short."""
    moments = [(began_at, 0.0), *clock_steps]
    ahead_s = 0.0
    for (since, step_s), until in zip(
        moments, [*(at for at, _ in moments[1:]), ended_at], strict=True
    ):
        ahead_s += step_s
        day = (since + ahead_s) // DAY_S - 1
        while (opens_at := day * DAY_S + window.at_hour * 3600.0 - ahead_s) < until:
            span = (max(opens_at, since), min(opens_at + window.for_s, until))
            if span[0] < span[1]:
                yield span
            day += 1
