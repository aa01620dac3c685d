"""When to ask again: every way in which Vast.ai has been seen to say it. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from keeper.adapters.vastai_clock import AHEAD_MAX_S
from keeper.adapters.vastai_reply import Reply, http_date, read_complaint
from keeper.adapters.vastai_wire import number

_DAY_S: Final = 86_400.0
QUOTA_RESET_MAX_S: Final = 90_000.0  # a day, and an hour for clocks that disagree
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
    A Date that is further off than any clock should be may as well be the wrong one, or a lie: then what
    comes sooner by either clock counts, for one refused call costs less than a day without a search.
    """
    told = http_date(reply.headers.get("date", ""))
    off_s = 0.0 if told is None else (told - now).total_seconds()
    if abs(off_s) < _DATE_CUT_S:
        off_s = 0.0
    clocks_s = {off_s} if abs(off_s) <= AHEAD_MAX_S else {off_s, 0.0}  # ahead of ours
    epoch_s = number(reply.headers.get("x-ratelimit-reset"))
    reset_s = [] if epoch_s is None else [epoch_s - now.timestamp() - each for each in clocks_s]
    told_s = [each for each in reset_s if -AHEAD_MAX_S <= each <= QUOTA_RESET_MAX_S]
    if told_s:
        left_s = max(min(told_s), _HINT_MAX_S)
    else:
        left_s = min(_DAY_S - (now.timestamp() + each) % _DAY_S for each in clocks_s)
    return now + timedelta(seconds=left_s)


def _seconds_until(header: str, now: datetime) -> float | None:
    moment = http_date(header)
    return None if moment is None else (moment - now).total_seconds()
