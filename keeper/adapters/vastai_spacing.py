"""Keeps calls to one endpoint of Vast.ai apart, across all tasks, and pushes it out after a 429.

Each endpoint has one lane for each identity, whoever calls: calls go one at a time, in the order in
which they asked, and the next one leaves a published interval after the *answer* to the one before. Counting from the answer and
not from the sending makes the distance hold at the server's end too, whatever the network delays.
It knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from weakref import WeakKeyDictionary

from keeper.ports import RateLimited


class Endpoint(StrEnum):
    """What keeper calls, named by method and path template. One lane each."""

    LIST = "GET /api/v1/instances/"
    SHOW = "GET /api/v0/instances/{id}/"
    SEARCH = "POST /api/v0/bundles/"
    CREATE = "PUT /api/v0/asks/{id}/"
    DESTROY = "DELETE /api/v0/instances/{id}/"
    SET_STATE = "PUT /api/v0/instances/{id}/"
    REBOOT = "PUT /api/v0/instances/reboot/{id}/"
    CHANGE_BID = "PUT /api/v0/instances/bid_price/{id}/"
    LIST_KEYS = "GET /api/v0/ssh/"
    REGISTER_KEY = "POST /api/v0/ssh/"
    ATTACH_KEY = "POST /api/v0/instances/{id}/ssh/"
    ACCOUNT = "GET /api/v0/users/current"


# Thresholds printed in the 429 examples of Vast's endpoint documents (read 2026-08). The search is
# "10 requests per minute". Attaching, the account's keys and the account print none; a limit may exist
# all the same, so a second.
PUBLISHED_INTERVAL_S: Final[Mapping[Endpoint, float]] = MappingProxyType(
    {
        Endpoint.LIST: 1.0,
        Endpoint.SHOW: 2.0,
        Endpoint.SEARCH: 6.0,
        Endpoint.CREATE: 4.5,
        Endpoint.DESTROY: 3.0,
        Endpoint.SET_STATE: 1.0,
        Endpoint.REBOOT: 1.0,
        Endpoint.CHANGE_BID: 5.5,
        Endpoint.LIST_KEYS: 1.0,
        Endpoint.REGISTER_KEY: 1.0,
        Endpoint.ATTACH_KEY: 1.0,
        Endpoint.ACCOUNT: 1.0,
    }
)

# The create document adds "penalty: 12" without a word of explanation. Taken as extra seconds
# after a violation.
PENALTY_S: Final[Mapping[Endpoint, float]] = MappingProxyType({Endpoint.CREATE: 12.0})

# Without a hint, the wait doubles from the interval (at least a second) up to a minute.
_BACKOFF_MIN_S: Final = 1.0
_BACKOFF_MAX_S: Final = 60.0
# A hint is believed up to here. A longer one costs one refused call each five minutes, which is
# cheaper than a destroy that is put off for a day by a broken header.
_HINT_MAX_S: Final = 300.0
# An interval learned from a 429 text is believed up to here.
_LEARNED_MAX_S: Final = 60.0
_JITTER_RATIO: Final = 0.25


class _Lane:
    """The state of one endpoint."""

    __slots__ = (
        "backoff_s",
        "endpoint",
        "interval_s",
        "lock",
        "penalty_s",
        "ready_at_s",
        "salt",
        "streak",
        "waiting",
    )

    def __init__(self, endpoint: Endpoint, interval_s: float, salt: str) -> None:
        self.endpoint = endpoint
        self.salt = salt
        self.interval_s = interval_s
        self.penalty_s = PENALTY_S.get(endpoint, 0.0)
        self.lock = asyncio.Lock()  # wakes its waiters in the order in which they came
        self.ready_at_s = float("-inf")
        self.streak = 0  # 429s in a row
        self.backoff_s = 0.0  # what the call under way has earned
        self.waiting = 0


class Turn:
    """The right to make one call, to be told how it was received."""

    __slots__ = ("_lane",)

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane

    def was_accepted(self) -> None:
        """The server did not complain about the pace."""
        self._lane.streak = 0

    def was_limited(self, *, hint_s: float | None, threshold_s: float | None) -> float:
        """The server asks for patience; returns the seconds until the next call may leave.

        ``hint_s`` is what it said to wait, ``threshold_s`` the interval it printed: the greater of
        that and the published one holds from now on.
        """
        lane = self._lane
        if threshold_s is not None:
            lane.interval_s = max(lane.interval_s, min(threshold_s, _LEARNED_MAX_S))
        if hint_s is None:
            hint_s = _backoff_s(f"{lane.endpoint}{lane.salt}", lane.interval_s, lane.streak)
        lane.streak += 1
        lane.backoff_s = max(min(hint_s, _HINT_MAX_S), lane.interval_s) + lane.penalty_s
        return lane.backoff_s


class Lanes:
    """One lane for each endpoint, of one identity."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        interval_s: Mapping[Endpoint, float] = PUBLISHED_INTERVAL_S,
        salt: str = "",
    ) -> None:
        """``salt`` sets the jitter apart from that of others who were refused at the same moment."""
        self.monotonic = monotonic
        self._lanes = {endpoint: _Lane(endpoint, 0.0, salt) for endpoint in Endpoint}
        self.widen(interval_s)

    def __getitem__(self, endpoint: Endpoint) -> _Lane:
        """Return the lane of an endpoint."""
        return self._lanes[endpoint]

    def widen(self, interval_s: Mapping[Endpoint, float]) -> None:
        """Keep at least these distances; what was learned to be longer stays."""
        for endpoint, lane in self._lanes.items():
            wanted_s = interval_s.get(endpoint, PUBLISHED_INTERVAL_S[endpoint])
            lane.interval_s = max(lane.interval_s, wanted_s)


_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bytes, Lanes]] = WeakKeyDictionary()


def lanes_of(
    url: str,
    api_key: str,
    *,
    monotonic: Callable[[], float],
    interval_s: Mapping[Endpoint, float],
) -> Lanes:
    """Return the lanes of an identity: the same ones for all clients of one key in this process.

    The server counts by key and address (docs, read 2026-08), not by client; and a client that was
    closed a moment ago still counts. Without a running loop there is nobody to share with.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Lanes(monotonic=monotonic, interval_s=interval_s)
    origin = url.strip().rstrip("/").removesuffix("/api/v0").lower()
    identity = hashlib.sha256(f"{origin}\0{api_key}".encode()).digest()
    shared = _SHARED.setdefault(loop, {})
    lanes = shared.get(identity)
    if lanes is None:
        # Two keepers of one key that were refused together must not come back together.
        lanes = Lanes(monotonic=monotonic, interval_s=interval_s, salt=secrets.token_hex(8))
        shared[identity] = lanes
    lanes.widen(interval_s)
    return lanes


class Limiter:
    """Gives turns in the lanes, to every task that uses the marketplace."""

    def __init__(
        self,
        lanes: Lanes,
        *,
        wait_max_s: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._lanes = lanes
        self._monotonic = lanes.monotonic
        self._sleep = sleep
        self._wait_max_s = wait_max_s

    @asynccontextmanager
    async def turn(self, endpoint: Endpoint) -> AsyncIterator[Turn]:
        """Wait for the endpoint to be free, for at most ``wait_max_s``.

        Raises RateLimited, without waiting for nothing, when that would not be enough.
        """
        lane = self._lanes[endpoint]
        await self._wait(lane)
        lane.backoff_s = 0.0
        try:
            yield Turn(lane)
        finally:
            lane.ready_at_s = self._monotonic() + max(lane.interval_s, lane.backoff_s)
            lane.lock.release()

    def wait_s(self, endpoint: Endpoint) -> float:
        """Return the least wait of a call that asked now."""
        lane = self._lanes[endpoint]
        ahead = lane.waiting + lane.lock.locked()
        return max(0.0, lane.ready_at_s - self._monotonic()) + ahead * lane.interval_s

    async def _wait(self, lane: _Lane) -> None:
        """Return holding the lane's lock, at the moment when its next call may leave."""
        if (wait_s := self.wait_s(lane.endpoint)) > self._wait_max_s:
            raise _too_long(lane.endpoint, wait_s)
        deadline_s = self._monotonic() + self._wait_max_s
        lane.waiting += 1
        try:
            # The one ahead may hang, or be told to wait for long, after this call has queued.
            # Without others nothing is waited for, and nothing needs to be timed.
            if lane.lock.locked() or lane.waiting > 1:
                async with asyncio.timeout(self._wait_max_s):
                    await lane.lock.acquire()
            else:
                await lane.lock.acquire()
        except TimeoutError:
            raise _too_long(lane.endpoint, self.wait_s(lane.endpoint)) from None
        finally:
            lane.waiting -= 1
        try:
            if lane.ready_at_s > deadline_s:
                raise _too_long(lane.endpoint, lane.ready_at_s - self._monotonic())
            while (rest_s := lane.ready_at_s - self._monotonic()) > 0:
                await self._sleep(rest_s)
        except BaseException:
            lane.lock.release()
            raise


def _too_long(endpoint: Endpoint, wait_s: float) -> RateLimited:
    return RateLimited(
        f"{endpoint}: not sent, its turn comes in {wait_s:.1f} s at the earliest",
        retry_after_s=wait_s,
    )


def _backoff_s(name: str, interval_s: float, streak: int) -> float:
    """Return the wait after the ``streak``-th 429 in a row, with jitter that repeats for a name."""
    base_s: float = min(_BACKOFF_MAX_S, max(interval_s, _BACKOFF_MIN_S) * 2.0 ** min(streak, 10))
    digest = hashlib.sha256(f"{name}:{streak}".encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64  # 0…1
    return base_s * (1.0 + _JITTER_RATIO * share)
