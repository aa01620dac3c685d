"""When to ask again: every way in which Vast.ai has been seen to say it. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from keeper.adapters.vastai_reply import Reply, http_date, read_complaint
from keeper.adapters.vastai_wire import number

QUOTA_RESET_MAX_S: Final = 90_000.0  # a day, and an hour for clocks that disagree
_AHEAD_MAX_S: Final = 7200.0  # a clock that is wrong by an hour, and what a summer adds
_DATE_CUT_S: Final = 2.0  # a Date is cut to the second, and took a moment to come
_HINT_MAX_S: Final = 300.0  # as in vastai_spacing.py: a broken hint must not keep a stream dark


def threshold_s(reply: Reply) -> float | None:
    """Return the interval that a 429 text prints ("… endpoint threshold=4.5")."""
    found = re.search(rb"threshold\s*=\s*(\d{1,4}(?:\.\d{1,6})?)", reply.body[:2000])
    return float(found[1]) if found else None


def hint_s(reply: Reply, now: datetime) -> float | None:
    """Return the seconds that an answer asks us to wait; None when it does not say.

    The documents say that no Retry-After is sent, the newest official client honours one, and
    reports from the field found a ``retry_after`` in the body. So all are read.
    """
    header = reply.headers.get("retry-after", "")
    seconds = number(header)
    if seconds is None and header:
        seconds = _seconds_until(header, now)
    if seconds is None and (complaint := read_complaint(reply)) is not None:
        seconds = number(complaint.retry_after)
    return None if seconds is None else min(max(0.0, seconds), _HINT_MAX_S)


def quota_until(reply: Reply, now: datetime) -> datetime:
    """Return when the daily search quota starts again: as told, else at the next UTC midnight.

    By our own clock, which may be wrong: what is left is reckoned by the server's, where it tells its
    time. Where it does not, and its reset has just been, it is our clock that is ahead: we ask again soon.
    """
    told = http_date(reply.headers.get("date", ""))
    is_other = told is not None and abs((told - now).total_seconds()) >= _DATE_CUT_S
    there = told if told is not None and is_other else now
    midnight = datetime(there.year, there.month, there.day, tzinfo=UTC) + timedelta(days=1)
    epoch_s = number(reply.headers.get("x-ratelimit-reset"))
    left_s = (midnight - there).total_seconds()
    if epoch_s is not None and -_AHEAD_MAX_S <= epoch_s - there.timestamp() <= QUOTA_RESET_MAX_S:
        left_s = max(epoch_s - there.timestamp(), _HINT_MAX_S)
    return now + timedelta(seconds=left_s)


def _seconds_until(header: str, now: datetime) -> float | None:
    moment = http_date(header)
    return None if moment is None else (moment - now).total_seconds()
