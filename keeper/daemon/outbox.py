"""What waits for one channel, and in which order it goes out. Waits for nothing itself.

The order within an incident is always kept, and so is that of what is said of one alert, in whichever
incident. Otherwise it is kept too, but for a message that its channel takes amiss again and again: it lets
those of other incidents pass, or one that nobody can digest would hold up all news for half a day.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from keeper.alerts import Channel, LineStatus, Notice
from keeper.alerts.payloads import to_payload
from keeper.alerts.wording import RETRY_AFTER_MAX_S
from keeper.ports import NoticeKind, OutboxRow

# So many messages wait for one channel at most. A dead one would else fill memory and disk for weeks.
WAITING_MAX = 500
# A message that reached its channel so often without being taken lets others pass.
_PATIENCE = 5
_FOLLOW_UPS = frozenset({NoticeKind.UPDATE, NoticeKind.REPEAT})
_REMINDS = frozenset({LineStatus.HOLDS.value, LineStatus.WORSE.value})


def rows_of(
    notices: Iterable[Notice], channels: Sequence[Channel], made_at: datetime
) -> tuple[OutboxRow, ...]:
    """Make the rows of messages that are due: one for each channel that wants it."""
    return tuple(
        OutboxRow(
            notice_id=notice.notice_id,
            channel=channel.name,
            alert=notice.alert.key,
            kind=notice.kind,
            payload=to_payload(notice),
            created_at=made_at,
        )
        for notice in notices
        for channel in channels
        if _wants(channel, notice)
    )


def _wants(channel: Channel, notice: Notice) -> bool:
    try:
        return channel.wants(notice)
    except Exception:  # noqa: BLE001 - a channel's bug must cost no tick; told too often is better than not at all
        return True


@dataclass(slots=True)
class Tray:
    """The messages for one channel. Changed by the notifier alone."""

    channel: str
    free_at_s: float = 0.0  # by the clock that nobody sets: nothing goes out before
    reached: dict[str, int] = field(default_factory=dict)  # tries that got there, by message
    answered: set[str] = field(default_factory=set)  # of which the channel said: later
    in_flight: str = ""
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _rows: dict[str, OutboxRow] = field(default_factory=dict)
    _order: list[tuple[datetime, str]] = field(default_factory=list)

    @property
    def rows(self) -> tuple[OutboxRow, ...]:
        """What waits, the oldest first."""
        return tuple(self._rows[notice_id] for _, notice_id in self._order)

    @property
    def newest_at(self) -> datetime | None:
        """When the last of what waits counts as made; None: nothing waits."""
        return self._order[-1][0] if self._order else None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._rows)

    def put(self, row: OutboxRow) -> None:
        """Take a message, or what has become of one that waits."""
        self.remove(row.notice_id, forget=False)
        self._rows[row.notice_id] = row
        insort(self._order, (row.created_at, row.notice_id))
        self.woken.set()

    def remove(self, notice_id: str, *, forget: bool = True) -> None:
        """Be done with a message."""
        row = self._rows.pop(notice_id, None)
        if row is not None:
            self._order.remove((row.created_at, notice_id))
        if forget:
            self.reached.pop(notice_id, None)
            self.answered.discard(notice_id)

    def next(self, now: datetime, now_s: float) -> tuple[OutboxRow, float] | None:
        """Return the message whose turn it is, and the seconds until then; None: nothing waits."""
        due = [(_due_in_s(row, now), row) for row in self._candidates()]
        if not due:
            return None
        due_s, row = next(
            (each for each in due if each[0] <= 0), min(due, key=lambda each: each[0])
        )
        return row, max(due_s, self.free_at_s - now_s, 0.0)

    def _candidates(self) -> Iterator[OutboxRow]:
        """Yield the messages that no earlier one holds up."""
        held_up: set[str] = set()
        for row in self.rows:
            about = _about(row)
            if held_up & about:
                held_up |= about
                continue
            yield row
            if self.reached.get(row.notice_id, 0) < _PATIENCE:
                return
            held_up |= about

    def superseded_by(self, row: OutboxRow) -> OutboxRow | None:
        """Return a later message of the same incident that says all that a reminder says, newer.

        What begins and what is over is told in any case.
        """
        incident_id = row.payload.get("incident_id")
        if row.kind not in _FOLLOW_UPS or row.payload.get("is_page") or not incident_id:
            return None
        held = _held(row)
        if len(held) < len(row.payload.get("lines") or ()) or not held:
            return None
        for later in reversed(self.rows):
            if (later.created_at, later.notice_id) <= (row.created_at, row.notice_id):
                return None
            if later.payload.get("incident_id") == incident_id and held <= _held(later):
                return later
        return None

    def shed(self) -> tuple[OutboxRow, ...]:
        """Return which messages have to go because too many wait: the least missed first.

        Follow-ups that a later message supersedes; then incidents that are over, the oldest first; then
        the oldest.
        """
        surplus = len(self) - WAITING_MAX
        if surplus <= 0:
            return ()
        rows = [row for row in self.rows if row.notice_id != self.in_flight]
        over = {_story(row) for row in rows if row.kind is NoticeKind.RESOLVED}
        stale = [row for row in rows if self.superseded_by(row) is not None]
        history = [row for row in rows if _story(row) in over]
        chosen = dict.fromkeys(row.notice_id for row in (*stale, *history, *rows))
        return tuple(self._rows[notice_id] for notice_id in list(chosen)[:surplus])

    def network_is_back(self) -> None:
        """Let what never reached the channel be tried at once."""
        for row in self._rows.values():
            if row.next_try_at is not None and row.notice_id not in self.answered:
                self._rows[row.notice_id] = replace(row, next_try_at=None)
        self.woken.set()


def _story(row: OutboxRow) -> str:
    """Return what a message belongs to: its incident, or the alert where it names none."""
    return str(row.payload.get("incident_id") or row.alert)


def _about(row: OutboxRow) -> frozenset[str]:
    """Return what a message belongs to: its incident, and every alert that it says something of."""
    lines = row.payload.get("lines") or ()
    keys = (str((line.get("alert") or {}).get("key", "")) for line in lines)
    return frozenset({_story(row), row.alert, *keys})


def _held(row: OutboxRow) -> frozenset[str]:
    """Return the keys of the alerts that a message tells to go on, after they were told before."""
    return frozenset(
        str((line.get("alert") or {}).get("key", ""))
        for line in row.payload.get("lines") or ()
        if line.get("status") in _REMINDS
    )


def _due_in_s(row: OutboxRow, now: datetime) -> float:
    """Return the seconds until the next try; what lies too far ahead is of a clock that stepped."""
    wait_s = (row.next_try_at - now).total_seconds() if row.next_try_at else 0.0
    return wait_s if wait_s <= RETRY_AFTER_MAX_S else 0.0
