"""Facts about dollars: what was counted, warned of and stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from keeper.core.events.level import Level
from keeper.core.model import StreamName


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendCaughtUp:
    """keeper was away while its rentals were not: what they cost meanwhile is in the ledger now."""

    name: ClassVar[str] = "spend.caught_up"
    level: ClassVar[Level] = Level.INFO
    duration_s: float
    dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendDrifted:
    """The account's credit fell by something else than what its rentals are said to cost."""

    name: ClassVar[str] = "spend.drifted"
    level: ClassVar[Level] = Level.WARNING
    fell_dollars: float
    least_dollars: float  # what was expected, at least and at most
    most_dollars: float
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWarned:
    """So much of a cap is used; told once per period for each share."""

    name: ClassVar[str] = "budget.warned"
    level: ClassVar[Level] = Level.WARNING
    stream: StreamName | None  # None: the fleet's cap
    period: str  # day, month or total
    ratio: float
    dollars: float
    cap_dollars: float
    reached_at: datetime | None  # at the present rate; None: not in this period


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStopped:
    """Hosts end before a cap is crossed; nothing is rented until the period is over or it is raised."""

    name: ClassVar[str] = "budget.stopped"
    level: ClassVar[Level] = Level.ERROR
    stream: StreamName | None
    period: str
    dollars: float
    cap_dollars: float
    detail: str  # what ends, and what cannot and why


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFreed:
    """A cap that stopped something lets things be rented again."""

    name: ClassVar[str] = "budget.freed"
    level: ClassVar[Level] = Level.INFO
    stream: StreamName | None
    period: str
