"""Headers that a marketplace, or what stands before it, may send: none raises, none stops keeper for long.

What is waited for is bounded by what a sane answer could have asked: five minutes of patience, a day
and an hour of a spent quota. A clock that is wrong, here or there, costs a refused call at most.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keeper.adapters.vastai_hints import QUOTA_RESET_MAX_S, hint_s, quota_until
from keeper.adapters.vastai_reply import Reply

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
EPOCH_S = int(NOW.timestamp())
MIDNIGHT = datetime(2026, 8, 2, tzinfo=UTC)

_DATES = st.builds(
    "{}, {:02} {} {:04} {:02}:{:02}:{:02} {}".format,
    st.sampled_from(["Sat", "Fri", ""]),
    st.integers(0, 32),
    st.sampled_from(["Jan", "Aug", "Dec", "Xyz"]),
    st.sampled_from([0, 1, 1969, 2026, 9999]),
    st.integers(0, 24),
    st.integers(0, 60),
    st.integers(0, 61),
    st.sampled_from(["GMT", "UT", "EST", "-0000", "+2359", "-2359", "+9999", "noon"]),
)
_SECONDS = st.one_of(
    st.sampled_from(["", "nan", "-inf", "1e308", "-1e308", "1e999", "-1", "0", "0x10", "1_0"]),
    st.sampled_from(["9" * 8000, "\u0663", "1;2", "1, 2", "\u00e9", "\udcff"]),
    st.integers(EPOCH_S - 200_000, EPOCH_S + 200_000).map(str),
    st.floats().map(str),
)
_HEADERS = st.one_of(_DATES, _SECONDS, st.text(max_size=60))


@given(date=_HEADERS, reset=_HEADERS)
@example(date="Fri, 31 Dec 9999 23:59:59 GMT", reset="")  # its day has no morrow
@example(date="Mon, 01 Jan 0001 00:00:00 GMT", reset="")
@example(date="Sat, 01 Aug 2026 00:00:00 -2359", reset="")  # is another day in Greenwich
def test_no_header_keeps_a_search_waiting_beyond_a_day(date: str, reset: str) -> None:
    until = quota_until(Reply(status=429, headers={"date": date, "x-ratelimit-reset": reset}), NOW)
    assert 0 < (until - NOW).total_seconds() <= QUOTA_RESET_MAX_S


@given(header=_HEADERS)
def test_no_header_asks_for_more_than_some_patience(header: str) -> None:
    told_s = hint_s(Reply(status=429, headers={"retry-after": header}), NOW)
    assert told_s is None or 0 <= told_s <= 300


@pytest.mark.parametrize(
    ("date", "reset_s", "until"),
    [
        # A proxy's clock is months or a day off; the reset itself is ten minutes ahead of ours.
        ("Tue, 01 Dec 2026 00:00:01 GMT", 600, NOW + timedelta(seconds=600)),
        ("Fri, 31 Jul 2026 12:00:00 GMT", 600, NOW + timedelta(seconds=600)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 600, NOW + timedelta(seconds=600)),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 600, NOW + timedelta(seconds=600)),
        # It tells no reset: ours is the sooner midnight, or theirs is.
        ("Tue, 01 Dec 2026 00:00:01 GMT", None, MIDNIGHT),
        ("Tue, 01 Dec 2026 20:00:00 GMT", None, NOW + timedelta(hours=4)),
        ("Fri, 31 Dec 9999 23:00:00 GMT", None, NOW + timedelta(hours=1)),
        # Told in the time of another place, 20:00 in Greenwich.
        ("Sat, 01 Aug 2026 08:00:00 -1200", None, NOW + timedelta(hours=4)),
        ("Sun, 02 Aug 2026 08:00:00 +1200", None, NOW + timedelta(hours=4)),
        # It is our clock that is half a day ahead: theirs tells what is left.
        ("Sat, 01 Aug 2026 00:00:00 GMT", -6 * 3600, NOW + timedelta(hours=6)),
    ],
)
def test_a_server_clock_that_is_far_off_is_not_believed_alone(
    date: str, reset_s: int | None, until: datetime
) -> None:
    headers = {"date": date}
    if reset_s is not None:
        headers["x-ratelimit-reset"] = str(EPOCH_S + reset_s)
    assert quota_until(Reply(status=429, headers=headers), NOW) == until
