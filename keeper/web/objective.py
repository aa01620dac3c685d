"""What a stream promises its viewers, and what is left of the dark time that this allows, for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import floor

from keeper.alerts.wording import duration
from keeper.core.model import StreamName
from keeper.core.objective import Budget, budgets_of
from keeper.core.world import Snapshot
from keeper.web.tone import Tone
from keeper.web.view_shapes import ObjectiveStatus

_DAY_S = 86_400.0
_WHOLE = 0.9  # of the window: less than that is not said to be all of it
_LOW = 0.25  # from here on a person should look


def objectives_of(snapshot: Snapshot, now: datetime) -> Mapping[StreamName, ObjectiveStatus]:
    """Tell how each declared stream has kept its objective, of those of which anything is known."""
    ledger = snapshot.plan.meter or snapshot.world.meter
    budgets = budgets_of(ledger, snapshot.desired.streams, now)
    return {
        name: _told(each) for name, each in budgets.items() if each.availability_ratio is not None
    }


def _told(budget: Budget) -> ObjectiveStatus:
    return ObjectiveStatus(
        ratio=budget.ratio,
        window_s=budget.window_s,
        availability_ratio=budget.availability_ratio,
        good_s=budget.good_s,
        dark_s=budget.dark_s,
        silent_s=budget.silent_s,
        starting_s=budget.starting_s,
        allowed_s=budget.allowed_s,
        remaining_s=budget.remaining_s,
        remaining_ratio=budget.remaining_ratio,
        burn_ratio=budget.burn_ratio,
    )


def in_words(objective: ObjectiveStatus) -> str:
    """Say it in a line: what viewers had, what was promised, what is left."""
    days = objective.window_s / _DAY_S
    window = f"{days:g} {'day' if days == 1 else 'days'}"
    known_s = objective.good_s + objective.dark_s
    promised = _percent(objective.ratio)
    if objective.availability_ratio is None:
        said = f"(objective {promised} of {window})"
    elif known_s >= _WHOLE * objective.window_s:
        said = f"{_percent(objective.availability_ratio)} of {window} (objective {promised})"
    else:
        had = f"{_percent(objective.availability_ratio)} of {duration(known_s)}"
        said = f"{had} (objective {promised} of {window})"
    left = objective.remaining_ratio
    if left is None:
        return f"{said}; no dark time is allowed, and there were {duration(objective.dark_s)}"
    if left <= 0:
        return f"{said}; the error budget is used up, {duration(-objective.remaining_s)} over it"
    rest = f"{max(1, floor(left * 100))} % of the error budget left"
    return f"{said}; {rest}, {duration(objective.remaining_s)}"


def tone_of(objective: ObjectiveStatus) -> Tone:
    """Say what a person should feel about it."""
    left = objective.remaining_ratio
    if left is None:
        return Tone.BAD if objective.dark_s > 0 else Tone.GOOD
    if left <= 0:
        return Tone.BAD
    return Tone.WARN if left < _LOW else Tone.GOOD


def _percent(ratio: float) -> str:
    """Say a share of time; what was not all of it is never said to be all."""
    return f"{floor(ratio * 10_000 + 1e-6) / 100:g} %"
