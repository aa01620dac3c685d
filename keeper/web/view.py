"""What viewers of a slot saw, as the API tells it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Final
from urllib.parse import quote

from keeper.core.model import InstanceId, Reading, SlotId, stream_of
from keeper.core.strip import NOTHING_SEEN, Run, Strip, finite, gravest, looked, shown
from keeper.core.text import plain
from keeper.ports import Looks, Thumbnail
from keeper.web.shapes import SlotStatus
from keeper.web.view_shapes import RunStatus, ViewStatus

_NUMBERS_MAX = 16  # a look has ten


class _Nobody:
    """Nobody has looked: no keeper is running, or the picture is of no matter."""

    def thumbnail(self, slot: SlotId) -> Thumbnail | None:
        del slot
        return None

    def strip(self, slot: SlotId) -> Strip:
        del slot
        return NOTHING_SEEN


NOBODY_LOOKS: Final[Looks] = _Nobody()


def view_status(
    slot: SlotId,
    host: InstanceId | None,
    looks: Looks,
    now: datetime,
    latest: Reading | None,
) -> ViewStatus:
    """Tell what viewers of a slot see. ``latest``: the look at its host that the tick has used."""
    strip = looks.strip(slot)
    if not strip.runs and latest is not None:
        strip = looked(strip, latest, (now - latest.at).total_seconds() + 1.0)
    runs = shown(strip, host, now)
    lasting = runs[-1] if runs else None
    seen = strip.latest if host is not None else None
    # What was measured before nobody looked any more says nothing of now.
    numbers = finite(seen.numbers) if seen and lasting and seen.at >= lasting.since else {}
    thumbnail = looks.thumbnail(slot)
    if thumbnail is not None and not is_jpeg(thumbnail.jpeg):
        thumbnail = None
    return ViewStatus(
        verdict=None if lasting is None else lasting.verdict,
        since=None if lasting is None else lasting.since,
        looked_at=None if seen is None else seen.at,
        detail="" if seen is None else plain(seen.detail, 200),
        numbers=dict(islice(numbers.items(), _NUMBERS_MAX)),
        strip=_told(runs),
        thumbnail="" if thumbnail is None else address_of(slot),
        thumbnail_at=None if thumbnail is None else thumbnail.at,
    )


def strip_of_stream(slots: Iterable[SlotStatus]) -> tuple[RunStatus, ...]:
    """Lay the strips of a stream's slots upon each other."""
    return _told(gravest(slot.view.strip for slot in slots if slot.view is not None))


def is_jpeg(content: bytes) -> bool:
    """Whether it begins as a JPEG does: it comes from a host, and whatever is none is not passed on."""
    return content.startswith(b"\xff\xd8\xff")


def address_of(slot: SlotId) -> str:
    """Return where the newest picture of a slot is."""
    return f"/thumb/{quote(stream_of(slot), safe='')}/{slot.rpartition('/')[2]}.jpg"


def _told(runs: Iterable[Run]) -> tuple[RunStatus, ...]:
    return tuple(RunStatus(verdict=run.verdict, since=run.since) for run in runs)
