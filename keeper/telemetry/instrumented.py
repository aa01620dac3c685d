"""Times and counts any port from outside; neither the port nor its caller can tell.

An outcome is ``ok`` or the class of the error in snake case. What is measured goes to a Sink.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import datetime
from typing import TypeVar

from keeper.core.model import Instance, InstanceId, Offer, OfferId, OfferNeeds, RentalSpec, SlotId
from keeper.ports import (
    Account,
    Address,
    Batch,
    Clock,
    Command,
    CommandResult,
    Heard,
    Hosts,
    HttpReply,
    HttpRequest,
    JournalEntry,
    Link,
    Marketplace,
    MediaSource,
    Network,
    Parcel,
    PictureLimits,
    PictureSample,
    PlayerLimits,
    PlayerSample,
    Saved,
    SendHeard,
    Sink,
    Store,
    Upload,
)

T = TypeVar("T")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Meter:
    """Measures the calls of one port."""

    def __init__(self, port: str, sink: Sink, clock: Clock) -> None:
        """Name the port as it appears in the metrics."""
        self._port = port
        self._sink = sink
        self._clock = clock

    async def measured(self, method: str, call: Awaitable[T]) -> T:
        """Await a call and tell how it went; errors pass through unchanged."""
        started_s = self._clock.monotonic()
        outcome = "ok"
        try:
            result = await call
            if isinstance(result, PictureSample) and result.is_own_fault:
                outcome = "own_fault"  # this box could not look: nothing is raised for it
            return result
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except BaseException as error:
            outcome = snake_case(type(error))
            raise
        finally:
            duration_s = max(0.0, self._clock.monotonic() - started_s)
            self._sink.observe_call(self._port, method, outcome, duration_s)


def snake_case(error: type[BaseException]) -> str:
    """Name an error class as metrics do: ``OfferGone`` is ``offer_gone``."""
    return _WORD.sub("_", error.__name__).lower()


class InstrumentedMarketplace:
    """A Marketplace whose calls are measured."""

    def __init__(self, inner: Marketplace, sink: Sink, clock: Clock) -> None:
        """Wrap a marketplace."""
        self._inner = inner
        self._meter = Meter("marketplace", sink, clock)

    async def list_instances(self) -> tuple[Instance, ...]:
        """See Marketplace."""
        return await self._meter.measured("list_instances", self._inner.list_instances())

    async def show_instance(self, instance_id: InstanceId) -> Instance | None:
        """See Marketplace."""
        return await self._meter.measured("show_instance", self._inner.show_instance(instance_id))

    async def search_offers(
        self, needs: OfferNeeds, *, offer_id: OfferId | None = None
    ) -> tuple[Offer, ...]:
        """See Marketplace."""
        search = self._inner.search_offers(needs, offer_id=offer_id)
        return await self._meter.measured("search_offers", search)

    async def survey_offers(self, needs: OfferNeeds) -> tuple[Offer, ...]:
        """See Marketplace."""
        return await self._meter.measured("survey_offers", self._inner.survey_offers(needs))

    async def create(
        self,
        offer_id: OfferId,
        label: str,
        spec: RentalSpec,
        *,
        bid_dollars_per_hour: float | None = None,
    ) -> InstanceId:
        """See Marketplace."""
        create = self._inner.create(
            offer_id, label, spec, bid_dollars_per_hour=bid_dollars_per_hour
        )
        return await self._meter.measured("create", create)

    async def destroy(self, instance_id: InstanceId) -> None:
        """See Marketplace."""
        await self._meter.measured("destroy", self._inner.destroy(instance_id))

    async def reboot(self, instance_id: InstanceId) -> None:
        """See Marketplace."""
        await self._meter.measured("reboot", self._inner.reboot(instance_id))

    async def stop(self, instance_id: InstanceId) -> None:
        """See Marketplace."""
        await self._meter.measured("stop", self._inner.stop(instance_id))

    async def start(self, instance_id: InstanceId) -> None:
        """See Marketplace."""
        await self._meter.measured("start", self._inner.start(instance_id))

    async def change_bid(self, instance_id: InstanceId, dollars_per_hour: float) -> None:
        """See Marketplace."""
        change = self._inner.change_bid(instance_id, dollars_per_hour)
        await self._meter.measured("change_bid", change)

    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        """See Marketplace."""
        await self._meter.measured("attach_key", self._inner.attach_key(instance_id, public_key))

    async def register_key(self, public_key: str) -> bool:
        """See Marketplace."""
        return await self._meter.measured("register_key", self._inner.register_key(public_key))

    async def account(self) -> Account:
        """See Marketplace."""
        return await self._meter.measured("account", self._inner.account())


class InstrumentedLink:
    """A Link whose calls are measured. A watch is long and open-ended: it is passed on as it is."""

    def __init__(self, inner: Link, meter: Meter) -> None:
        """Wrap a link."""
        self._inner = inner
        self._meter = meter

    @property
    def host_key(self) -> str:
        """See Link."""
        return self._inner.host_key

    async def run(self, command: Command, heard: Heard | None = None) -> CommandResult:
        """See Link."""
        return await self._meter.measured("run", self._inner.run(command, heard))

    async def upload(self, upload: Upload) -> None:
        """See Link."""
        await self._meter.measured("upload", self._inner.upload(upload))

    async def send(self, parcel: Parcel, heard: SendHeard) -> bool:
        """See Link."""
        return await self._meter.measured("send", self._inner.send(parcel, heard))

    def watch(self, script: str) -> AsyncIterator[str]:
        """See Link."""
        return self._inner.watch(script)

    async def forward(self, remote_port: int) -> Address:
        """See Link."""
        return await self._meter.measured("forward", self._inner.forward(remote_port))

    async def close(self) -> None:
        """See Link."""
        await self._meter.measured("close", self._inner.close())


class InstrumentedHosts:
    """Hosts whose dials, and whose links' calls, are measured."""

    def __init__(self, inner: Hosts, sink: Sink, clock: Clock) -> None:
        """Wrap the hosts."""
        self._inner = inner
        self._meter = Meter("hosts", sink, clock)

    async def connect(
        self, addresses: Sequence[Address], *, pinned_host_key: str, timeout_s: float
    ) -> Link:
        """See Hosts."""
        dial = self._inner.connect(addresses, pinned_host_key=pinned_host_key, timeout_s=timeout_s)
        return InstrumentedLink(await self._meter.measured("connect", dial), self._meter)

    @property
    def public_key(self) -> str:
        """See Hosts."""
        return self._inner.public_key


class InstrumentedNetwork:
    """A Network whose exchanges are measured."""

    def __init__(self, inner: Network, sink: Sink, clock: Clock) -> None:
        """Wrap a network."""
        self._inner = inner
        self._meter = Meter("network", sink, clock)

    async def fetch(self, request: HttpRequest) -> HttpReply:
        """See Network."""
        return await self._meter.measured("fetch", self._inner.fetch(request))

    async def dial(self, address: Address, timeout_s: float) -> None:
        """See Network."""
        await self._meter.measured("dial", self._inner.dial(address, timeout_s))

    async def sample_mjpeg(
        self, url: str, limits: PictureLimits, *, is_declared: bool = False
    ) -> PictureSample:
        """See Network."""
        look = self._inner.sample_mjpeg(url, limits, is_declared=is_declared)
        return await self._meter.measured("sample_mjpeg", look)

    async def sample_media(self, source: MediaSource, limits: PictureLimits) -> PictureSample:
        """See Network."""
        return await self._meter.measured("sample_media", self._inner.sample_media(source, limits))

    async def sample_webrtc(self, url: str, limits: PlayerLimits) -> PlayerSample:
        """See Network."""
        return await self._meter.measured("sample_webrtc", self._inner.sample_webrtc(url, limits))


class InstrumentedStore:
    """A Store whose calls are measured."""

    def __init__(self, inner: Store, sink: Sink, clock: Clock) -> None:
        """Wrap a store."""
        self._inner = inner
        self._meter = Meter("store", sink, clock)

    async def load(self) -> Saved:
        """See Store."""
        return await self._meter.measured("load", self._inner.load())

    async def commit(self, batch: Batch) -> None:
        """See Store."""
        await self._meter.measured("commit", self._inner.commit(batch))

    async def journal(
        self,
        *,
        slot: SlotId | None = None,
        limit: int = 200,
        after_seq: int = 0,
        events: frozenset[str] | None = None,
        since: datetime | None = None,
    ) -> tuple[JournalEntry, ...]:
        """See Store."""
        read = self._inner.journal(
            slot=slot, limit=limit, after_seq=after_seq, events=events, since=since
        )
        return await self._meter.measured("journal", read)

    async def prune(self, before: datetime) -> int:
        """See Store."""
        return await self._meter.measured("prune", self._inner.prune(before))

    async def close(self) -> None:
        """See Store."""
        await self._meter.measured("close", self._inner.close())
