"""Which clock counts for the end of a contract: the one by which it comes sooner."""

from datetime import datetime, timedelta

import pytest

from keeper.adapters.vastai_clock import ends_by_our_clock
from tests.builders import NOW, an_instance

ENDS_AT = NOW + timedelta(hours=5)


def _told(offset_s: float | None, ends_at: datetime | None = ENDS_AT) -> datetime | None:
    (told,) = ends_by_our_clock((an_instance(ends_at=ends_at),), offset_s)
    return told.ends_at


@pytest.mark.parametrize(
    ("offset_s", "sooner_s"),
    [
        pytest.param(None, 0.0, id="no answer has told the time"),
        pytest.param(30.0, 0.0, id="no clock is exact"),
        pytest.param(3600.0, 3600.0, id="ours is an hour behind"),
        pytest.param(-3600.0, 0.0, id="ours is ahead: by it the end comes sooner anyway"),
        pytest.param(1e11, 7200.0, id="a Date that no clock shows"),
        pytest.param(-1e11, 0.0, id="or long ago"),
    ],
)
def test_a_contract_ends_by_the_clock_that_says_so_sooner(
    offset_s: float | None, sooner_s: float
) -> None:
    """Seed 8188 of any fleet: set back an hour, keeper thought that a short contract had two to go."""
    assert _told(offset_s) == ENDS_AT - timedelta(seconds=sooner_s)


def test_a_contract_without_an_end_has_none_by_any_clock() -> None:
    assert _told(3600.0, ends_at=None) is None


def test_where_the_clocks_agree_rentals_are_as_they_were_read() -> None:
    rental = an_instance(ends_at=ENDS_AT)
    assert ends_by_our_clock((rental,), 0.4)[0] is rental
