"""The survey: a failed read is not absence, and no answer of the marketplace silences it for long."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta

import pytest

from keeper.core.decisions import Wants
from keeper.core.model import (
    Instance,
    InstanceId,
    Mode,
    Offer,
    OfferNeeds,
    Policy,
    RentalSpec,
    Stream,
    StreamName,
)
from keeper.daemon.survey import Survey
from keeper.ports import Malformed, Marketplace, PortError, QuotaSpent, RateLimited
from keeper.sim.loop import EPOCH, VirtualClock, run

STREAM = Stream(
    name=StreamName("duel"), replicas=1, mode=Mode.ACT, needs=OfferNeeds(),
    rental=RentalSpec(image="x", disk_gb=16.0), policy=Policy(),
)  # fmt: skip


class _Market:
    """Answers as told. Only what a survey asks."""

    def __init__(self) -> None:
        self.errors: list[PortError] = []
        self.searches: list[float] = []
        self.shows: list[int] = []
        self.takes_s = 0.0

    async def list_instances(self) -> tuple[Instance, ...]:
        await asyncio.sleep(self.takes_s)
        if self.errors:
            raise self.errors.pop(0)
        return ()

    async def search_offers(self, needs: OfferNeeds) -> tuple[Offer, ...]:
        self.searches.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        return ()

    async def show_instance(self, instance_id: InstanceId) -> Instance | None:
        self.shows.append(instance_id)
        await asyncio.sleep(2.0)
        raise Malformed


def _survey(market: _Market) -> Survey:
    fitted: Marketplace = market  # type: ignore[assignment]
    return Survey(
        fitted,
        VirtualClock(),
        streams=lambda: (STREAM,),
        list_interval_s=lambda: (30.0, 5.0),
        nudge=lambda: None,
    )


async def _run_for(seconds: float, job: Callable[[], Coroutine[object, object, None]]) -> None:
    task = asyncio.create_task(job())
    await asyncio.wait({task}, timeout=seconds)
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize("hint_s", [86_400.0, 1e9])
def test_a_hint_to_wait_for_ages_does_not_end_the_search(hint_s: float) -> None:
    """One broken Retry-After header kept every vacant slot vacant until a restart."""

    async def play() -> None:
        market = _Market()
        market.errors = [RateLimited("slow down", retry_after_s=hint_s)]
        survey = _survey(market)
        survey.want(Wants(offers_for=(STREAM.name,)))

        async def wish() -> None:
            while True:
                survey.want(Wants(offers_for=(STREAM.name,)))
                await asyncio.sleep(30.0)

        wishing = asyncio.create_task(wish())
        await _run_for(1000.0, survey.search_offers)
        wishing.cancel()
        assert len(market.searches) > 1

    run(play())


def test_a_spent_quota_is_waited_for_and_no_longer() -> None:
    async def play() -> None:
        market = _Market()
        market.errors = [QuotaSpent("spent", until=EPOCH + timedelta(hours=2))]
        survey = _survey(market)
        assert 7000.0 < await survey.search_for(STREAM) <= 7200.0
        assert await survey.search_for(STREAM) == 0.0

    run(play())


def test_a_listing_is_as_old_as_its_question() -> None:
    async def play() -> None:
        market = _Market()
        market.takes_s = 40.0
        survey = _survey(market)
        await survey.read_listing_once()
        assert survey.listing is not None
        assert survey.listing.at == EPOCH

    run(play())


def test_a_failed_read_leaves_the_last_whole_listing_and_says_since_when() -> None:
    async def play() -> None:
        market = _Market()
        survey = _survey(market)
        await survey.read_listing_once()
        before = survey.listing
        market.errors = [Malformed("no list in it"), Malformed("again")]
        await asyncio.sleep(10.0)
        await survey.read_listing_once()
        since = survey.unreadable_since
        await asyncio.sleep(10.0)
        await survey.read_listing_once()
        assert survey.listing is before
        assert survey.unreadable_since == since == EPOCH + timedelta(seconds=10)
        await survey.read_listing_once()
        assert survey.unreadable_since is None
        assert survey.listing is not before

    run(play())


def test_by_id_reads_that_fail_do_not_keep_the_others_from_being_read() -> None:
    """Five broken ones stood in front of all that came after them."""

    async def play() -> None:
        market = _Market()
        survey = _survey(market)
        wanted = tuple(InstanceId(number) for number in range(1, 9))

        async def wish() -> None:
            while True:
                survey.want(Wants(show_ids=wanted))
                await asyncio.sleep(5.0)

        wishing = asyncio.create_task(wish())
        await _run_for(60.0, survey.read_wanted)
        wishing.cancel()
        assert set(market.shows) == set(wanted)

    run(play())
