"""The outside world of one simulated keeper process, as ports: the marketplace's bytes, the network.

The marketplace is reached through the real adapter, over ``MemoryHttp`` in place of its connection,
so that spacing, paging and the reading of errors are simulated too. Pictures are states of
``VirtualHosts``. Everything here belongs to one process and dies with its ``Power``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeVar

from typing_extensions import override

from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_reply import Effect, Reply
from keeper.adapters.vastai_rows import account_of
from keeper.adapters.vastai_spacing import Endpoint
from keeper.adapters.vastai_wire import User
from keeper.core.model import Instance
from keeper.ports import (
    Account,
    Address,
    Clock,
    HttpReply,
    HttpRequest,
    MediaSource,
    PictureLimits,
    PictureSample,
    PlayerLimits,
    PlayerSample,
    PortError,
    Reached,
    TimedOut,
    Uncertain,
    Unreachable,
)
from keeper.sim.api import ApiReply, ApiRequest, Delivery
from keeper.sim.evidence import LISTING
from keeper.sim.ledger import Request
from keeper.sim.memory_hosts import HOST_TRIP_S
from keeper.sim.power import Power
from keeper.sim.reads import SPARE_READS
from keeper.sim.universe import Message, Universe
from keeper.sim.virtual_hosts import Seen

API_KEY: Final = "a-key-of-the-simulation"
MAILBOX_URL: Final = "http://mailbox.simulated/"
CANARY: Final = Address(host="canary.simulated", port=443)

_HALF_TRIP_S = 0.06  # to the marketplace, one way
_ACCOUNT: Final = ("GET", "/users/current/")

T = TypeVar("T")


class MemoryHttp:
    """The connection of the Vast.ai adapter, leading to the simulated API instead of a socket."""

    def __init__(
        self,
        universe: Universe,
        power: Power,
        *,
        api_key: str,
        timeout_s: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self._universe = universe
        self._power = power
        self._authorization = f"Bearer {api_key}"
        self._timeout_s = timeout_s
        self._clock = clock

    @property
    def server_clock_offset_s(self) -> float | None:
        """Return how far the marketplace's clock is ahead of the box's: every answer tells."""
        if self._clock is None:
            return None
        return float(round(self._universe.market.now() - self._clock.now().timestamp()))

    async def close(self) -> None:
        """Nothing is open."""

    async def exchange(
        self,
        call: str,
        path: str,
        *,
        effect: Effect,
        query: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
    ) -> Reply:
        """Do one exchange, exactly once; errors as the real connection raises them."""
        await self._power.gate()
        await asyncio.sleep(_HALF_TRIP_S)
        await self._power.gate()
        if self._universe.own_network_is_down:
            raise Unreachable(f"{call}: not sent, no route to host")
        request = ApiRequest(
            method=call.partition(" ")[0],
            path=path,
            query=query,
            body=body or b"",
            authorization=self._authorization,
            client=self._power.box,
        )
        reply = self._universe.api.answer(request)
        self._universe.wind()
        delay_s = min(_HALF_TRIP_S + reply.delay_s, self._timeout_s)
        await asyncio.sleep(delay_s)
        await self._power.gate()
        if delay_s >= self._timeout_s:
            raise _lost(TimedOut, f"{call}: no answer within {self._timeout_s:g} s", effect)
        if reply.delivery is not Delivery.WHOLE or self._universe.own_network_is_down:
            raise _lost(Unreachable, f"{call}: the connection was lost", effect)
        return _reply_of(reply, self._universe.market.now())

    def last(self, method: str, endpoint: str) -> Request:
        """Return what the marketplace wrote down about the latest such call."""
        requests = reversed(self._universe.market.ledger.requests)
        return next(r for r in requests if (r.method, r.endpoint) == (method, endpoint))

    async def ask_again(self, same: Request, ask: Callable[[], T | None]) -> T | None:
        """Ask as before, without making bytes of the answer; None when it is not as plain any more."""
        await self._power.gate()
        await asyncio.sleep(_HALF_TRIP_S)
        await self._power.gate()
        answer = None if self._universe.own_network_is_down else ask()
        if answer is None:
            return None
        self._universe.market.ledger.request(replace(same, at=self._universe.market.now()))
        await asyncio.sleep(_HALF_TRIP_S)
        await self._power.gate()
        return None if self._universe.own_network_is_down else answer


class MemoryMarketplace(VastMarketplace):
    """The real adapter over ``MemoryHttp``.

    A listing that would say the same as the one before is answered without making its bytes, and so
    is what is left of the credit while nothing is wrong: a week holds thousands of them. It takes
    the same time, the same turn, and the same line in the ledger.
    """

    def __init__(self, universe: Universe, power: Power, *, clock: Clock) -> None:
        self._memory_http = MemoryHttp(universe, power, api_key=API_KEY, clock=clock)
        super().__init__(
            url="http://simulated", api_key=API_KEY, clock=clock, connection=self._memory_http
        )
        self._universe = universe
        self._print: object = None
        self._listed: tuple[Instance, ...] = ()
        self._listed_offset_s = 0.0  # of the clocks then
        self._request: Request | None = None
        self._account_request: Request | None = None

    @property
    def listed_print(self) -> object:
        """What the marketplace would show of the latest list, in short; None when that is unclear."""
        return self._print

    @override
    async def list_instances(self) -> tuple[Instance, ...]:
        """Return all rentals of the account, or raise."""
        before = self._universe.market.fingerprint()
        offset_s = self._memory_http.server_clock_offset_s or 0.0
        is_same = before is not None and before == self._print
        if self._request is not None and is_same and offset_s == self._listed_offset_s:
            async with self._limiter.turn(Endpoint.LIST):
                if await self._memory_http.ask_again(self._request, lambda: self._as(before)):
                    return self._listed
        self._print = None
        listed = await super().list_instances()
        # Only what was the same before and after the whole reading may stand for it.
        if before is not None and before == self._universe.market.fingerprint():
            self._print, self._listed, self._listed_offset_s = before, listed, offset_s
            self._request = self._memory_http.last(*LISTING)
        return listed

    def _as(self, before: object) -> bool | None:
        return True if self._universe.market.fingerprint() == before else None

    @override
    async def account(self) -> Account:
        """Return what is left to spend."""
        if self._account_request is not None and self._is_plain():
            async with self._limiter.turn(Endpoint.ACCOUNT):
                said = await self._memory_http.ask_again(self._account_request, self._credit)
                if said is not None:
                    return account_of(said)
        account = await super().account()
        self._account_request = self._memory_http.last(*_ACCOUNT)
        return account

    def _is_plain(self) -> bool:
        market = self._universe.market
        return not market.faults.is_live_beyond(SPARE_READS, market.now())

    def _credit(self) -> User | None:
        """Return what the marketplace would say of the account; None while it may lie or refuse."""
        if not self._is_plain():
            return None
        user = self._universe.market.user()
        return User(credit=user["credit"], balance=user["balance"], email=user["email"])


def _reply_of(reply: ApiReply, now: float) -> Reply:
    kind = "text/html" if reply.is_text else "application/json"
    headers = {name.lower(): value for name, value in reply.headers.items()}
    if reply.status == 429:  # every answer tells the time; here it is read of these alone
        headers["date"] = formatdate(now, usegmt=True)
    return Reply(status=reply.status, body=reply.content, headers={"content-type": kind, **headers})


def _lost(kind: type[PortError], message: str, effect: Effect) -> PortError:
    """Return the error of a lost answer: a doubt, when the effect must not happen twice."""
    return Uncertain(message) if effect is Effect.ONCE else kind(message)


# --- the outside-in network ----------------------------------------------------------------------

_JPEG = bytes.fromhex("ffd8ffd9")  # the shortest picture; only its presence matters here


def _sample(**numbers: object) -> PictureSample:
    values: dict[str, object] = {
        "http_status": 200,
        "frames": 50,
        "unique_frames": 50,
        "undecodable_frames": 0,
        "bytes_read": 1_500_000,
        "sampled_s": 2.5,
        "mean_luma": 112.0,
        "motion": 9.0,
        "newest_frame": _JPEG,
        "has_sound": True,
        "sound_dbfs": -18.0,
    }
    return PictureSample(**(values | numbers))  # type: ignore[arg-type]


_NOTHING = {
    "http_status": 0,
    "frames": 0,
    "unique_frames": 0,
    "bytes_read": 0,
    "mean_luma": None,
    "motion": None,
    "newest_frame": b"",
    "has_sound": False,
    "sound_dbfs": None,
}

# What a viewer gets, and how long the sample takes; None: until the time is up.
_SAMPLES: Final[Mapping[Seen, tuple[PictureSample, float | None]]] = {
    Seen.LIVE: (_sample(), 2.5),
    Seen.WRONG: (_sample(), 2.5),
    Seen.FROZEN: (_sample(unique_frames=1, motion=None), 2.5),
    Seen.BLACK: (_sample(mean_luma=0.4, motion=0.1), 2.5),
    Seen.MUTE: (_sample(sound_dbfs=-91.0), 2.5),
    Seen.STUTTERING: (_sample(unique_frames=4), 2.5),
    Seen.NO_FRAMES: (_sample(**(_NOTHING | {"http_status": 200})), 2.5),
    Seen.REFUSED: (_sample(**_NOTHING, error="refused"), HOST_TRIP_S),
    Seen.TIMEOUT: (_sample(**_NOTHING, error="timeout"), None),
}

_STREAMER: Final = "Game1"


@lru_cache(maxsize=256)
def _address_in(url: str) -> tuple[str, int]:
    name, _, port = url.partition("//")[2].partition("/")[0].rpartition(":")
    return name, int(port)


class MemoryNetwork:
    """The Network port: pictures of virtual hosts, canaries, and the mailbox of alerts."""

    def __init__(self, universe: Universe, power: Power) -> None:
        self._universe = universe
        self._power = power

    async def fetch(self, request: HttpRequest) -> HttpReply:
        """Do one exchange with a host's server, or put a message into the mailbox."""
        await self._power.gate()
        if request.url.startswith(MAILBOX_URL):
            return await self._deliver(request)
        seen = self._seen(request.url)
        await self._wait(seen, request.timeout_s)
        if seen is Seen.TIMEOUT:
            raise TimedOut("no answer in time")
        if seen is Seen.REFUSED:
            raise Unreachable("connection refused")
        return HttpReply(status=200, headers={}, body=b"ok", elapsed_s=HOST_TRIP_S)

    async def dial(self, address: Address, timeout_s: float) -> None:
        """Open and close a TCP connection."""
        await self._power.gate()
        if address == CANARY:
            await asyncio.sleep(HOST_TRIP_S)
            if self._universe.own_network_is_down:
                raise Unreachable("no route to host")
            return
        seen = self._seen(f"http://{address.host}:{address.port}/")
        await self._wait(seen, timeout_s)
        if seen is Seen.REFUSED:
            raise Unreachable("connection refused")
        if seen is Seen.TIMEOUT:
            raise TimedOut("no answer in time")

    async def sample_mjpeg(
        self, url: str, limits: PictureLimits, *, is_declared: bool = False
    ) -> PictureSample:
        """Watch a virtual host's picture."""
        del is_declared  # nothing leads on here
        await self._power.gate()
        if self._universe.own_network_is_down:
            await asyncio.sleep(HOST_TRIP_S)
            return _SAMPLES[Seen.REFUSED][0]
        sample, takes_s = _SAMPLES[self._seen(url)]
        await asyncio.sleep(limits.timeout_s if takes_s is None else takes_s)
        return sample

    async def sample_media(self, source: MediaSource, limits: PictureLimits) -> PictureSample:
        """Look at a virtual host's picture: it is the same one, whatever way it is offered."""
        return await self.sample_mjpeg(source.url, limits)

    async def sample_webrtc(self, url: str, limits: PlayerLimits) -> PlayerSample:
        """Look at a virtual host as a player: what it shows is the same picture, offered another way."""
        await self._power.gate()
        seen = Seen.REFUSED if self._universe.own_network_is_down else self._seen(url)
        if seen is Seen.REFUSED:
            await asyncio.sleep(HOST_TRIP_S)
            return PlayerSample(reached=Reached.NOWHERE, error="refused")
        if seen is Seen.TIMEOUT:
            await asyncio.sleep(limits.timeout_s)
            return PlayerSample(reached=Reached.CONNECTED)
        picture, takes_s = _SAMPLES[seen]
        if not limits.is_subscribing:
            await asyncio.sleep(HOST_TRIP_S)
            return PlayerSample(reached=Reached.LISTED, streamers=(_STREAMER,))
        await asyncio.sleep(takes_s or limits.timeout_s)
        return PlayerSample(
            reached=Reached.MEDIA,
            streamers=(_STREAMER,),
            watched=_STREAMER,
            has_relay=True,
            picture=picture,
        )

    async def _deliver(self, request: HttpRequest) -> HttpReply:
        await asyncio.sleep(_HALF_TRIP_S)
        await self._power.gate()
        universe = self._universe
        if universe.own_network_is_down:
            raise Unreachable("no route to host")
        message = Message(at=universe.time_s(), url=request.url, body=request.body)
        if universe.time_s() < universe.mailbox.refuse_until:
            universe.mailbox.refused.append(message)
            status = universe.mailbox.refuses_with
            return HttpReply(status=status, headers={}, body=b"", elapsed_s=_HALF_TRIP_S)
        universe.mailbox.messages.append(message)
        await asyncio.sleep(_HALF_TRIP_S)
        await self._power.gate()
        return HttpReply(status=200, headers={}, body=b"ok", elapsed_s=2 * _HALF_TRIP_S)

    def _seen(self, url: str) -> Seen:
        """Return what is behind an address of a virtual host."""
        there = self._universe.hosts.by_address.get(_address_in(url))
        if there is None:
            return Seen.REFUSED
        if self._universe.own_network_is_down:
            return Seen.TIMEOUT
        return there[0].seen()

    async def _wait(self, seen: Seen, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s if seen is Seen.TIMEOUT else HOST_TRIP_S)
        await self._power.gate()


class MemoryHeartbeat:
    """The Heartbeat port: counts, and remembers the last thing it was told."""

    def __init__(self, power: Power) -> None:
        self._power = power
        self.beats = 0
        self.status = ""

    def ready(self, status: str) -> None:
        """Start-up is complete."""
        self.status = status

    def alive(self, status: str) -> None:
        """A tick has finished."""
        if self._power.is_on:
            self.beats += 1

    def reloading(self) -> None:
        """The configuration is being read again."""

    def stopping(self) -> None:
        """Draining."""
