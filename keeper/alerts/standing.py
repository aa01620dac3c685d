"""How each alert stands with the people it is for: told, muted, silenced, or not yet. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keeper.alerts import Alert
from keeper.alerts.inhibitions import inhibited
from keeper.alerts.remembered import State, read
from keeper.alerts.silencing import silenced_by
from keeper.core.silences import Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """An alert that holds, and what became of it."""

    alert: Alert
    told_at: datetime | None  # of the latest message that names it; None: nobody was told
    incident_id: str  # "": it belongs to no incident that was told
    muted_by: str  # the key of the louder alert that says it already; "": none
    silenced_by: str  # the id of the silence; "": none


def standing(
    state: State, firing: tuple[Alert, ...], silences: tuple[Silence, ...] = ()
) -> tuple[Stand, ...]:
    """Return how every alert that holds stands, in the given order.

    ``state`` is what dispatch remembers, ``silences`` those that are in force.
    """
    book, muted = read(state), inhibited(firing)
    found = []
    for alert in firing:
        told = book.alerts.get(alert.key)
        incident = None if told is None else book.incidents.get(told.incident)
        found.append(
            Stand(
                alert=alert,
                told_at=None if told is None else told.told_at,
                incident_id="" if incident is None else incident.incident_id,
                muted_by=muted.get(alert.key, ""),
                silenced_by=silenced_by(alert, silences),
            )
        )
    return tuple(found)


def told(state: State) -> tuple[Alert, ...]:
    """Return what people were told of and not yet told to be over, as it is now, but for what is silenced.

    For a feed: what is in it no more than before has ended.
    """
    return tuple(
        each.alert
        for _, each in sorted(read(state).alerts.items())
        if each.told_at is not None and not each.silenced_by
    )
