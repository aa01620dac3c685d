"""How long the search stays shut once its quota is spent, whatever becomes of this box's clock."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from keeper.adapters.vastai_calls import Calls
from keeper.adapters.vastai_reply import Reply
from keeper.adapters.vastai_search import OfferSearch
from keeper.core.model import OfferNeeds
from keeper.ports import QuotaSpent
from keeper.sim.loop import EPOCH, VirtualClock, run


class _Calls:
    """Refuses the first search, until a time; answers the next ones with an empty market."""

    def __init__(self, refusal: QuotaSpent) -> None:
        self.refusals = [refusal]
        self.asked_s: list[float] = []

    async def read(self, *_: Any, **__: Any) -> Reply:
        self.asked_s.append(asyncio.get_running_loop().time())
        if self.refusals:
            raise self.refusals.pop()
        return Reply(status=200, body=b'{"offers": []}')


@pytest.mark.parametrize("step_s", [0.0, 3600.0, -3600.0, -90_000.0])
def test_a_clock_that_is_set_changes_nothing_about_how_long_the_search_is_shut(
    step_s: float,
) -> None:
    """Seed 3037 of any fleet: set back by an hour, it was dark for an hour after the quota's reset."""

    async def play() -> None:
        clock = VirtualClock()
        calls = _Calls(QuotaSpent("spent", until=EPOCH + timedelta(hours=2)))
        search = OfferSearch(cast("Calls", calls), clock.now)
        with pytest.raises(QuotaSpent):
            await search.search(OfferNeeds(), None)
        clock.step(step_s)
        await asyncio.sleep(7100.0)
        with pytest.raises(QuotaSpent) as caught:
            await search.search(OfferNeeds(), None)
        assert caught.value.until == clock.now() + timedelta(seconds=100.0)
        await asyncio.sleep(200.0)
        assert await search.search(OfferNeeds(), None) == ()
        assert calls.asked_s == [0.0, 7300.0]

    run(play())
