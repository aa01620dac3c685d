"""Keeps the marketplace read: the listing, by-id reads and offers, each on its own beat.

A listing of a large account takes a page a second, so reading never happens inside a tick: these
loops read and nudge, the tick takes what is there. A failed, partial or empty-handed read never
replaces a complete one; it only makes the listing older and ``unreadable_since`` true (I9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from math import ceil, inf

from keeper.core.decisions import Wants
from keeper.core.events import SearchesAllowed, SearchesRefused
from keeper.core.market import Avoided, suits
from keeper.core.model import (
    Instance,
    InstanceId,
    Offer,
    OfferId,
    Stream,
    StreamName,
    stream_of,
)
from keeper.core.moments import elapsed_s, later
from keeper.core.reasons import Reason
from keeper.core.world import Listing, OfferBook, Order, OrderKind, SearchRefused
from keeper.daemon.error_line import describe
from keeper.daemon.rest import Rest, last_beat_s
from keeper.ports import (
    Clock,
    Foresight,
    Marketplace,
    PortError,
    QuotaSpent,
    Transient,
    Unauthorized,
)

_READ_DEADLINE_S = 120.0  # a thousand rentals are 40 pages, one a second
_SHOWS_AT_ONCE = 5
_FAILED_READ_APART_S = 5.0
_REFUSED_SEARCH_APART_S = 30.0
_SEARCH_FAILS_S = 300.0  # a search that has failed for so long is told like a refused one
# A spent quota is asked about again when the marketplace says, else after an hour; never at once.
_QUOTA_S = 3600.0
_QUOTA_LEAST_S = 60.0
_SURVEYS_APART_S = 300.0  # a look around costs up to six searches of the day's quota
# A hint to wait is believed up to here: a broken header must not end the search for hosts.
_HINT_MAX_S = 300.0


class Survey:
    """What the marketplace said last, and the loops that ask it."""

    def __init__(
        self,
        marketplace: Marketplace,
        clock: Clock,
        *,
        streams: Callable[[], tuple[Stream, ...]],
        list_interval_s: Callable[[], tuple[float, float]],  # quiet, busy
        nudge: Callable[[], None],
        offers_asked: Callable[[StreamName], frozenset[OfferId]] = lambda _: frozenset(),
        tell: Callable[[SearchesRefused | SearchesAllowed], None] = lambda _: None,
        foresight: Foresight | None = None,
    ) -> None:
        self._marketplace = marketplace
        self._clock = clock
        self._streams = streams
        self._list_interval_s = list_interval_s
        self._nudge = nudge
        self._offers_asked = offers_asked
        self._tell = tell
        self._foresight = foresight
        self._rest = Rest()
        self._read_at = clock.now()  # when the latest list was asked for
        self._read_by_s = clock.monotonic()  # and when it had been read
        self._rest_beat_s = 0.0  # between the readings that are passed over
        self._rest_wants = Wants()  # what was wanted when the rest began
        self._rest_ends: asyncio.TimerHandle | None = None
        self._is_unchanged = False  # the latest reading said what the one before it said
        self._surveyed_s: dict[StreamName, float] = {}
        self._list_soon = asyncio.Event()
        self._is_hinted = False  # somebody said that another list may show something new
        self._offers_wanted = asyncio.Event()
        self._shows_wanted = asyncio.Event()
        self._wants = Wants()
        self.listing: Listing | None = None
        self.unreadable_since: datetime | None = None
        self.unreadable_error = ""
        self.offers: dict[StreamName, OfferBook] = {}
        self.search_refused: SearchRefused | None = None
        # By the clock that nobody sets: since when a search is refused, and until when.
        self._refused_s = self._refused_until_s = 0.0
        self._failing_s: float | None = None  # since when no search was answered, either way
        self.shown: dict[InstanceId, Instance | None] = {}
        self._last_shown = 0

    def want(self, wants: Wants) -> None:
        """Take the newest plan's wishes."""
        self._wants = wants
        if wants.listing_by is not None:
            self._list_soon.set()
        if self._rest.is_on and _is_other_wish(wants, self._rest_wants):
            self._rest.end()
        if wants.offers_for:
            self._offers_wanted.set()
        if wants.show_ids:
            self._shows_wanted.set()

    def hurry(self) -> None:
        """Read the listing sooner than the quiet beat, once, and no sooner than the busy one."""
        self._is_hinted = True
        self._rest.end()
        self._list_soon.set()

    async def read_listings(self) -> None:
        """Read the listing for ever: on the quiet beat, or sooner when the plan or a hint asks for it."""
        while True:
            started_s = self._clock.monotonic()
            self._is_hinted = False  # what is said from now on may be missing in this list
            await self.read_listing_once()
            quiet_s, busy_s = self._list_interval_s()
            if self.unreadable_since is not None:
                await asyncio.sleep(min(_FAILED_READ_APART_S, quiet_s))
                continue
            self._read_by_s = self._clock.monotonic()
            has_rested = not self._is_hinted and self._begin_rest(started_s, quiet_s, busy_s)
            over_s = await self._rest.over()
            if has_rested:
                started_s = last_beat_s(started_s, self._rest_beat_s, over_s)
            # Never faster than the busy beat, whatever is wished.
            await asyncio.sleep(max(0.0, busy_s - (self._clock.monotonic() - started_s)))
            if self._wants.listing_by is None and not self._is_hinted:
                self._list_soon.clear()
                left_s = quiet_s - (self._clock.monotonic() - started_s)
                await _wait_at_most(self._list_soon, left_s)

    @property
    def is_resting(self) -> bool:
        """Whether reading the list again would tell nothing new."""
        return self._rest.is_on

    def listing_now(self) -> Listing | None:
        """Return the last complete listing, at least as new as the beat would have made it."""
        return self._listed_by_now() if self._rest.is_on else self.listing

    def _begin_rest(self, started_s: float, quiet_s: float, busy_s: float) -> bool:
        """Pass over readings that would say the same, up to the first that counts all the same."""
        wants, took_s = self._wants, self._read_by_s - started_s
        beat_s = quiet_s if wants.listing_by is None else busy_s
        if self._foresight is None or not self._is_unchanged or not 0 <= took_s < beat_s:
            return False
        passed = inf
        if wants.counting_from is not None:
            until_s = (wants.counting_from - self._read_at).total_seconds()
            passed = ceil(until_s / beat_s - 1e-9) - 1  # readings that do not count
        if passed < 1 or not self._rest.begin(self._foresight.of_listing, self._wake):
            return False
        self._rest_beat_s, self._rest_wants = beat_s, wants
        if passed < inf:
            loop = asyncio.get_running_loop()
            self._rest_ends = loop.call_at(self._read_by_s + passed * beat_s, self._rest.end)
        return True

    def _wake(self) -> None:
        if self._rest_ends is not None:
            self._rest_ends.cancel()
            self._rest_ends = None
        self.listing = self._listed_by_now()

    def _listed_by_now(self) -> Listing | None:
        """Return the listing as read at the last beat whose reading would have ended by now."""
        beat_s = last_beat_s(self._read_by_s, self._rest_beat_s, self._clock.monotonic())
        if self.listing is None or beat_s <= self._read_by_s:
            return self.listing
        return replace(self.listing, at=later(self._read_at, beat_s - self._read_by_s))

    async def read_listing_once(self) -> None:
        """Read the listing now; a failure is remembered, never raised.

        A tick is asked for when it says something new, or when the plan wanted one. That all is as
        before is found in the next tick, which comes soon enough by itself.
        """
        is_news, counting_from = self.listing is None, self._wants.counting_from
        self._is_unchanged = False
        try:
            async with asyncio.timeout(_READ_DEADLINE_S):
                # The moment asked, not answered: what happened meanwhile may not be in it.
                asked_at = self._clock.now()
                instances = await self._marketplace.list_instances()
        except (PortError, TimeoutError) as error:
            if self.unreadable_since is None:
                self.unreadable_since = self._clock.now()
                is_news = True
            self.unreadable_error = describe(error)
        else:
            before = self.listing
            if before is not None and before.instances == instances:
                instances = before.instances  # the same object says: nothing to look into
                self._is_unchanged = True
                is_counted = counting_from is not None and asked_at >= counting_from
                is_news = is_news or is_counted or self.unreadable_since is not None
            else:
                is_news = True
            came_at = placed_at = self._clock.now()
            if before is not None and _are_where_they_were(before.instances, instances):
                placed_at = min(before.places_known_at, came_at)  # a clock may have been set back
            self.listing = Listing(
                instances=instances,
                at=asked_at,
                came_at=came_at,
                placed_at=placed_at,
                before_at=None if before is None else before.at,
            )
            self._read_at = asked_at
            self.unreadable_since = None
            self.unreadable_error = ""
        if is_news:
            self._nudge()

    async def read_wanted(self) -> None:
        """Read single rentals by id whenever a plan asks for it."""
        while True:
            await self._shows_wanted.wait()
            self._shows_wanted.clear()
            for instance_id in self._next_to_show():
                self._last_shown = instance_id
                try:
                    async with asyncio.timeout(_READ_DEADLINE_S):
                        self.shown[instance_id] = await self._marketplace.show_instance(instance_id)
                except (PortError, TimeoutError):
                    # Not knowing is fine: the plan asks again, and absence waits for it.
                    self.shown.pop(instance_id, None)
            if self.shown:
                self._nudge()

    def _next_to_show(self) -> tuple[InstanceId, ...]:
        """Take turns: reads that fail must not keep the others from being made."""
        wanted = sorted(self._wants.show_ids)
        later = [each for each in wanted if each > self._last_shown]
        earlier = [each for each in wanted if each <= self._last_shown]
        return tuple([*later, *earlier][:_SHOWS_AT_ONCE])

    def take_shown(self) -> dict[InstanceId, Instance | None]:
        """Hand the by-id answers to the tick; each answer is used once."""
        shown, self.shown = self.shown, {}
        return shown

    async def search_offers(self) -> None:
        """Search for the streams whose vacant slots want fresh offers."""
        while True:
            await self._offers_wanted.wait()
            self._offers_wanted.clear()
            pause_s = 0.0
            for stream in self._streams():
                if stream.name in self._wants.offers_for:
                    pause_s = max(pause_s, await self.search_for(stream))
            self._nudge()
            if pause_s:
                await asyncio.sleep(pause_s)

    def outdate(self, orders: tuple[Order, ...]) -> None:
        """Forget the offers known where somebody orders to rent: that asks for the market of now."""
        for order in orders:
            if order.kind is OrderKind.RENT and order.slot is not None:
                self.offers.pop(stream_of(order.slot), None)

    def clock_stepped(self) -> None:
        """Forget offers, whose age is not known any more; let a refusal last as long as it would have."""
        self.offers.clear()
        refused = self.search_refused
        if refused is not None and refused.until is not None:
            until = later(self._clock.now(), self._refused_until_s - self._clock.monotonic())
            self.search_refused = replace(refused, until=until)

    async def search_for(self, stream: Stream) -> float:
        """Search once for one stream; returns how long to leave the marketplace alone."""
        try:
            async with asyncio.timeout(_READ_DEADLINE_S):
                asked_at = self._clock.now()
                offers: tuple[Offer, ...] = await self._marketplace.search_offers(stream.needs)
                asked = self._offers_asked(stream.name)
                for offer_id in sorted(asked):
                    offers += await self._marketplace.search_offers(stream.needs, offer_id=offer_id)
        except QuotaSpent as error:
            now = self._clock.now()
            until = max(error.until or later(now, _QUOTA_S), later(now, _QUOTA_LEAST_S))
            self._refuse(Reason.SEARCH_QUOTA_SPENT, until, error)
            return elapsed_s(now, until)
        except Unauthorized as error:
            self._refuse(Reason.UNAUTHORIZED, None, error)
            return _REFUSED_SEARCH_APART_S
        except Transient as error:
            self._fail(error)
            return min(error.retry_after_s or _FAILED_READ_APART_S, _HINT_MAX_S)
        except (PortError, TimeoutError) as error:
            self._fail(error)
            return _REFUSED_SEARCH_APART_S
        self._allow()
        self._forget_undeclared()
        around, around_at = await self._around(stream, offers)
        self.offers[stream.name] = OfferBook(
            offers=offers, at=asked_at, around=around, around_at=around_at, asked_for=asked
        )
        return 0.0

    def _fail(self, error: PortError | TimeoutError) -> None:
        """Note a search that came to nothing; one alone is weather."""
        now_s = self._clock.monotonic()
        if self._failing_s is None:
            self._failing_s = now_s
        if now_s - self._failing_s >= _SEARCH_FAILS_S:
            self._refuse(Reason.SEARCH_FAILS, None, error)

    def _refuse(
        self, reason: Reason, until: datetime | None, error: PortError | TimeoutError
    ) -> None:
        if reason is not Reason.SEARCH_FAILS:
            self._failing_s = None  # no is an answer
        before, now_s = self.search_refused, self._clock.monotonic()
        self.search_refused = SearchRefused(reason=reason, until=until, error=describe(error))
        if until is not None:
            self._refused_until_s = now_s + elapsed_s(self._clock.now(), until)
        if before is None or before.reason is not reason:
            self._refused_s = now_s
            self._tell(SearchesRefused(reason=reason, error=describe(error), until=until))

    def _allow(self) -> None:
        """Note the first search that was answered after refused ones."""
        self._failing_s = None
        if self.search_refused is not None:
            refused_s = self._clock.monotonic() - self._refused_s
            reason, self.search_refused = self.search_refused.reason, None
            self._tell(SearchesAllowed(reason=reason, duration_s=refused_s))

    def _forget_undeclared(self) -> None:
        declared = {stream.name for stream in self._streams()}
        self.offers = {name: book for name, book in self.offers.items() if name in declared}
        self._surveyed_s = {n: at_s for n, at_s in self._surveyed_s.items() if n in declared}

    async def _around(
        self, stream: Stream, offers: tuple[Offer, ...]
    ) -> tuple[tuple[Offer, ...], datetime | None]:
        """Look wider when nothing suits, to say why; now and then, and never at the search's cost.

        Returns what was found and when it was asked for, which may be an earlier time.
        """
        if any(suits(offer, stream.needs, Avoided()) for offer in offers):
            return (), None
        now_s, asked_at = self._clock.monotonic(), self._clock.now()
        book = self.offers.get(stream.name)
        known = ((), None) if book is None else (book.around, book.around_at)
        last_s = self._surveyed_s.get(stream.name)
        if book is not None and last_s is not None and now_s - last_s < _SURVEYS_APART_S:
            return known
        self._surveyed_s[stream.name] = now_s  # one that fails has cost as much
        try:
            async with asyncio.timeout(_READ_DEADLINE_S):
                around = await self._marketplace.survey_offers(stream.needs)
        except (PortError, TimeoutError):
            return known
        return around, asked_at


def _are_where_they_were(before: tuple[Instance, ...], now: tuple[Instance, ...]) -> bool:
    return before is now or _places(before) == _places(now)


def _places(instances: tuple[Instance, ...]) -> dict[InstanceId, tuple[object, ...]]:
    """Return where each rental is to be found."""
    return {
        each.instance_id: (each.public_ip, each.ports, each.ssh_host, each.ssh_port)
        for each in instances
    }


def _is_other_wish(now: Wants, before: Wants) -> bool:
    """Whether another listing is wished for than before: sooner or later, or for what it says."""
    is_sooner = (now.listing_by is None) is not (before.listing_by is None)
    return is_sooner or now.counting_from != before.counting_from


async def _wait_at_most(event: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        return
    alarm = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        alarm.cancel()
