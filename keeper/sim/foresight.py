"""What a simulated world promises to a daemon that asks: this answer stays until you are told.

A promise is a question with a way to look whether its answer still is the same. The universe looks
whenever something may have changed, and breaks what no longer holds at that very moment. Who is told
goes on at the next moment of its own beat, so a run with promises and one without see the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from keeper.ports import Address, Promise
from keeper.sim.memory import MemoryMarketplace
from keeper.sim.memory_hosts import Sentinel
from keeper.sim.outlook import Given
from keeper.sim.power import Power
from keeper.sim.universe import Universe, Vouched
from keeper.sim.virtual_hosts import Seen


class MemoryForesight:
    """The Foresight port of one simulated process."""

    def __init__(self, universe: Universe, power: Power, marketplace: MemoryMarketplace) -> None:
        self._universe = universe
        self._marketplace = marketplace
        power.on_cut(universe.outlook.forget)

    def of_listing(self, broken: Callable[[], None]) -> Promise | None:
        """Ask whether the list of rentals stays as it is."""
        market, known = self._universe.market, self._marketplace.listed_print
        if known is None or market.fingerprint() != known:
            return None
        vouched = Vouched(begins_at=self._universe.time_s())
        self._universe.vouched.append(vouched)

        def end() -> None:
            vouched.ends_at = self._universe.time_s()

        def tell() -> None:
            end()
            broken()

        given = self._universe.outlook.promise(lambda: market.fingerprint() == known, tell)
        return _Ending(given, end)

    def of_own_network(self, broken: Callable[[], None]) -> Promise | None:
        """Ask whether this box's own network goes on working."""
        universe = self._universe
        if universe.own_network_is_down:
            return None
        return universe.outlook.promise(lambda: not universe.own_network_is_down, broken)

    def of_picture(self, address: Address, broken: Callable[[], None]) -> Promise | None:
        """Ask whether viewers of this address go on seeing a picture that is well."""
        universe, where = self._universe, (address.host, address.port)
        there = universe.hosts.by_address.get(where)
        if there is None or universe.own_network_is_down or there[0].seen() is not Seen.LIVE:
            return None
        host = there[0]

        def holds() -> bool:
            now = universe.hosts.by_address.get(where)
            return now is not None and now[0] is host and host.seen() is Seen.LIVE

        return universe.outlook.promise(holds, broken)

    def of_sentinel(self, lines: AsyncIterator[str], broken: Callable[[], None]) -> Promise | None:
        """Ask whether a sentinel would only repeat its heartbeat."""
        assert isinstance(lines, Sentinel)
        if not lines.is_at_rest():
            return None

        def speak() -> None:
            lines.speak()
            broken()

        given = self._universe.outlook.promise(lines.is_heard, speak)
        lines.fall_silent(given.end)
        return _Silence(lines, given)


class _Ending:
    """A promise whose end is written down, also when it is given back."""

    def __init__(self, given: Given, end: Callable[[], None]) -> None:
        self._given = given
        self._end = end

    def release(self) -> None:
        """Give it back."""
        self._given.release()
        self._end()


class _Silence:
    """A sentinel's promise; one that is given back lets it speak again."""

    def __init__(self, lines: Sentinel, given: Given) -> None:
        self._lines = lines
        self._given = given

    def release(self) -> None:
        """Give it back."""
        self._given.release()
        self._lines.speak()
