"""The survey: a failed read is not absence, and no answer of the marketplace silences it for long."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta

import pytest

from keeper.core.decisions import Wants
from keeper.core.events import SearchesAllowed, SearchesRefused
from keeper.core.model import (
    Instance,
    InstanceId,
    Mode,
    Offer,
    OfferId,
    OfferNeeds,
    Policy,
    RentalSpec,
    SlotId,
    Stream,
    StreamName,
)
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind
from keeper.daemon.survey import Survey
from keeper.ports import (
    Malformed,
    Marketplace,
    PortError,
    QuotaSpent,
    RateLimited,
    TimedOut,
    Unauthorized,
)
from keeper.sim.loop import EPOCH, VirtualClock, run
from tests.builders import an_instance, an_offer, an_order

STREAM = Stream(
    name=StreamName("duel"), replicas=1, mode=Mode.ACT, needs=OfferNeeds(),
    rental=RentalSpec(image="x", disk_gb=16.0), policy=Policy(),
)  # fmt: skip


class _Market:
    """Answers as told. Only what a survey asks."""

    def __init__(self) -> None:
        self.errors: list[PortError] = []
        self.rentals: tuple[Instance, ...] = ()
        self.searches: list[float] = []
        self.shows: list[int] = []
        self.takes_s = 0.0
        self.supply: tuple[Offer, ...] = ()
        self.around: tuple[Offer, ...] = ()
        self.surveys: list[float] = []
        self.survey_errors: list[PortError] = []
        self.asked_for: list[OfferId] = []

    async def list_instances(self) -> tuple[Instance, ...]:
        await asyncio.sleep(self.takes_s)
        if self.errors:
            raise self.errors.pop(0)
        return self.rentals

    async def search_offers(
        self, needs: OfferNeeds, *, offer_id: OfferId | None = None
    ) -> tuple[Offer, ...]:
        self.searches.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        if offer_id is None:
            return self.supply
        self.asked_for.append(offer_id)
        return tuple(offer for offer in self.around if offer.offer_id == offer_id)

    async def survey_offers(self, needs: OfferNeeds) -> tuple[Offer, ...]:
        self.surveys.append(asyncio.get_running_loop().time())
        if self.survey_errors:
            raise self.survey_errors.pop(0)
        return self.around

    async def show_instance(self, instance_id: InstanceId) -> Instance | None:
        self.shows.append(instance_id)
        await asyncio.sleep(2.0)
        raise Malformed


def _survey(
    market: _Market,
    asked: frozenset[OfferId] = frozenset(),
    tell: Callable[[SearchesRefused | SearchesAllowed], None] = lambda _: None,
    nudge: Callable[[], None] = lambda: None,
    clock: VirtualClock | None = None,
) -> Survey:
    fitted: Marketplace = market  # type: ignore[assignment]
    return Survey(
        fitted,
        clock or VirtualClock(),
        streams=lambda: (STREAM,),
        list_interval_s=lambda: (30.0, 5.0),
        nudge=nudge,
        offers_asked=lambda _: asked,
        tell=tell,
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
    """Q18."""

    async def play() -> None:
        market = _Market()
        market.errors = [QuotaSpent("spent", until=EPOCH + timedelta(hours=2))]
        survey = _survey(market)
        assert 7000.0 < await survey.search_for(STREAM) <= 7200.0
        assert survey.search_refused is not None
        assert survey.search_refused.reason is Reason.SEARCH_QUOTA_SPENT
        assert survey.search_refused.until == EPOCH + timedelta(hours=2)
        assert await survey.search_for(STREAM) == 0.0
        assert survey.search_refused is None

    run(play())


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
@pytest.mark.parametrize("is_refused_after", [False, True], ids=["before", "after"])
def test_what_is_waited_for_moves_along_with_a_clock_that_is_set(
    step_s: float, *, is_refused_after: bool
) -> None:
    async def play() -> None:
        clock, market = VirtualClock(), _Market()
        if is_refused_after:
            clock.step(step_s)
        market.errors = [QuotaSpent("spent", until=clock.now() + timedelta(hours=2))]
        survey = _survey(market, clock=clock)
        await survey.search_for(STREAM)
        if not is_refused_after:
            clock.step(step_s)
        survey.clock_stepped()
        assert survey.search_refused is not None
        assert survey.search_refused.until == clock.now() + timedelta(hours=2)

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


def test_where_rentals_are_is_known_since_the_first_list_that_has_them_there() -> None:
    async def play() -> None:
        market = _Market()
        survey = _survey(market)
        known: list[float] = []
        here, there = an_instance(public_ip="192.0.2.7"), an_instance(public_ip="192.0.2.8")
        for listed in (here, replace(here, status_text="still"), there, there):
            market.rentals = (listed,)
            await survey.read_listing_once()
            assert survey.listing is not None
            known.append((survey.listing.places_known_at - EPOCH).total_seconds())
            await asyncio.sleep(5.0)
        assert known == [0.0, 0.0, 10.0, 10.0]

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


def test_only_the_first_of_failed_reads_is_news() -> None:
    """Each of them called for a tick, every five seconds for as long as the marketplace was away."""

    async def play() -> None:
        market, rung = _Market(), list[float]()
        survey = _survey(market, nudge=lambda: rung.append(1.0))
        await survey.read_listing_once()
        assert len(rung) == 1
        market.errors = [TimedOut("t"), Malformed("m"), TimedOut("t")]
        for _ in range(3):
            await survey.read_listing_once()
        assert len(rung) == 2
        assert "TimedOut" in survey.unreadable_error  # but the newest error is what is told
        await survey.read_listing_once()
        assert len(rung) == 3

    run(play())


def test_a_listing_that_says_the_same_is_news_from_when_it_counts() -> None:
    async def play() -> None:
        rung = list[float]()
        survey = _survey(_Market(), nudge=lambda: rung.append(1.0))
        await survey.read_listing_once()
        begin = EPOCH + timedelta(seconds=10)
        survey.want(Wants(listing_by=EPOCH, counting_from=begin))
        await asyncio.sleep(9.0)
        await survey.read_listing_once()
        assert len(rung) == 1
        await asyncio.sleep(1.0)
        await survey.read_listing_once()
        assert len(rung) == 2

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


def test_only_a_search_that_finds_nothing_is_followed_by_a_look_around_and_not_each_time() -> None:
    async def play() -> None:
        market = _Market()
        market.around = (an_offer(7, gpu_display_active=False),)
        market.supply = (an_offer(1),)
        survey = _survey(market)
        await survey.search_for(STREAM)
        assert survey.offers[STREAM.name].around == ()
        assert not market.surveys
        market.supply = ()
        looks: list[object] = []
        for _ in range(4):
            await survey.search_for(STREAM)
            await asyncio.sleep(110.0)
            assert survey.offers[STREAM.name].around == market.around
            looks.append(survey.offers[STREAM.name].around_at)
        assert market.surveys == [0.0, 330.0]
        assert looks == [EPOCH] * 3 + [EPOCH + timedelta(seconds=330)]

    run(play())


@pytest.mark.parametrize("error", [Malformed(), QuotaSpent("spent"), RateLimited("slow down")])
def test_a_look_around_that_fails_leaves_the_search_as_it_is(error: PortError) -> None:
    async def play() -> None:
        market = _Market()
        market.supply = (an_offer(1, gpu_display_active=False),)
        market.survey_errors = [error]
        survey = _survey(market)
        assert await survey.search_for(STREAM) == 0.0
        book = survey.offers[STREAM.name]
        assert book.offers == market.supply
        assert book.around == ()

    run(play())


def test_a_look_around_that_keeps_failing_is_not_repeated_with_each_search() -> None:
    """What fails has cost up to six searches of the day's quota all the same."""

    async def play() -> None:
        market = _Market()
        market.survey_errors = [Malformed() for _ in range(9)]
        survey = _survey(market)
        for _ in range(6):
            await survey.search_for(STREAM)
            await asyncio.sleep(60.0)
        assert market.surveys == [0.0, 300.0]

    run(play())


def test_the_market_of_a_stream_that_is_no_longer_declared_is_forgotten() -> None:
    async def play() -> None:
        market = _Market()
        survey = _survey(market)
        gone = replace(STREAM, name=StreamName("gone"))
        await survey.search_for(gone)
        await survey.search_for(STREAM)
        assert list(survey.offers) == [STREAM.name]

    run(play())


def test_an_offer_that_an_operator_named_is_looked_up_by_its_number() -> None:
    async def play() -> None:
        market = _Market()
        market.supply = (an_offer(1),)
        market.around = (an_offer(9),)
        survey = _survey(market, frozenset({OfferId(109), OfferId(110)}))
        await survey.search_for(STREAM)
        book = survey.offers[STREAM.name]
        assert [each.offer_id for each in book.offers] == [101, 109]
        assert book.asked_for == {109, 110}
        assert market.asked_for == [109, 110]

    run(play())


def test_a_refused_search_is_told_once_until_a_search_works_again() -> None:
    async def play() -> None:
        market = _Market()
        no = Unauthorized("the key lacks a right")
        market.errors = [no, no, QuotaSpent("spent"), no]
        told: list[SearchesRefused | SearchesAllowed] = []
        survey = _survey(market, tell=told.append)
        for _ in range(5):
            await survey.search_for(STREAM)
            await asyncio.sleep(60.0)
        assert [(each.name, each.reason) for each in told] == [
            ("offers.refused", Reason.UNAUTHORIZED),
            ("offers.refused", Reason.SEARCH_QUOTA_SPENT),
            ("offers.refused", Reason.UNAUTHORIZED),
            ("offers.allowed", Reason.UNAUTHORIZED),
        ]
        market.errors = [no]
        await survey.search_for(STREAM)
        assert [each.name for each in told[4:]] == ["offers.refused"]

    run(play())


@pytest.mark.parametrize("error", [Malformed("no list"), TimedOut("no answer")])
def test_searches_that_fail_for_long_are_told_until_one_works(error: PortError) -> None:
    """A vacant slot waited for ever for fresh offers, and nobody was told."""

    async def play() -> None:
        told: list[SearchesRefused | SearchesAllowed] = []
        market = _Market()
        market.errors = [error] * 12
        survey = _survey(market, tell=told.append)
        for _ in range(10):
            await survey.search_for(STREAM)
            assert survey.search_refused is None, "weather"
            await asyncio.sleep(30.0)
        for _ in range(2):
            await survey.search_for(STREAM)
            await asyncio.sleep(30.0)
        refused = survey.search_refused
        assert refused is not None
        assert (refused.reason, refused.until) == (Reason.SEARCH_FAILS, None)
        assert str(error) in refused.error
        await survey.search_for(STREAM)
        assert survey.search_refused is None
        assert [each.name for each in told] == ["offers.refused", "offers.allowed"]

    run(play())


def test_a_spent_quota_is_told_with_its_end_and_its_length() -> None:
    async def play() -> None:
        market = _Market()
        until = EPOCH + timedelta(hours=2)
        market.errors = [QuotaSpent("spent", until=until)]
        told: list[SearchesRefused | SearchesAllowed] = []
        survey = _survey(market, tell=told.append)
        await asyncio.sleep(await survey.search_for(STREAM))
        await survey.search_for(STREAM)
        begins, ends = told
        assert isinstance(begins, SearchesRefused)
        assert isinstance(ends, SearchesAllowed)
        assert begins.until == until
        assert ends.duration_s == 7200.0

    run(play())


def test_an_order_to_rent_wants_the_market_as_it_is_now() -> None:
    async def play() -> None:
        survey = _survey(_Market())
        await survey.search_for(STREAM)
        survey.outdate((an_order(OrderKind.RESTART), an_order(OrderKind.PAUSE, None)))
        assert STREAM.name in survey.offers
        survey.outdate((an_order(OrderKind.RENT, SlotId("other/0")),))
        assert STREAM.name in survey.offers
        survey.outdate((an_order(OrderKind.RENT),))
        assert STREAM.name not in survey.offers

    run(play())
