"""One keeper process in virtual time, over ports in memory whose store and marketplace can be held.

For tests of the daemon's own nerves: what it does when a commit takes long, fails or is cut off.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

from typing_extensions import override

from keeper.core.events import Event
from keeper.core.model import InstanceId, OfferId, RentalSpec, SlotId
from keeper.core.world import Order, OrderKind, Snapshot
from keeper.daemon.declared import Declared, Ports
from keeper.daemon.supervise import Daemon
from keeper.ports import Archive, Batch, PortError, StoreFull
from keeper.sim.disk import Disk, MemoryStore
from keeper.sim.loop import VirtualCadence, VirtualClock
from keeper.sim.market import MarketShape
from keeper.sim.memory import MemoryHeartbeat, MemoryMarketplace, MemoryNetwork
from keeper.sim.memory_hosts import MemoryHosts
from keeper.sim.power import Power
from keeper.sim.stage import declared as simulated
from keeper.sim.universe import Universe

SLOT = SlotId("duel/0")
QUIET = MarketShape(machines=20, display_share=0.8, renters_every_s=0.0, price_drift_every_s=0.0)


class HeldStore(MemoryStore):
    """A store whose commits can be refused, or held until they are let go."""

    def __init__(self, disk: Disk, power: Power) -> None:
        super().__init__(disk, power)
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.is_full = False
        self.waiting = 0

    @override
    async def commit(self, batch: Batch) -> None:
        self.waiting += 1
        try:
            await self.may_write.wait()
        finally:
            self.waiting -= 1
        if self.is_full:
            raise StoreFull
        await super().commit(batch)


class ToldMarketplace(MemoryMarketplace):
    """A marketplace that remembers which mutating calls were made, and can hold creates."""

    def __init__(self, universe: Universe, power: Power, *, clock: VirtualClock) -> None:
        super().__init__(universe, power, clock=clock)
        self.mutations: list[str] = []
        self.may_create = asyncio.Event()
        self.may_create.set()
        self.search_error: PortError | None = None

    @override
    async def create(
        self,
        offer_id: OfferId,
        label: str,
        spec: RentalSpec,
        *,
        bid_dollars_per_hour: float | None = None,
    ) -> InstanceId:
        self.mutations.append("create")
        await self.may_create.wait()
        return await super().create(
            offer_id, label, spec, bid_dollars_per_hour=bid_dollars_per_hour
        )

    @override
    async def destroy(self, instance_id: InstanceId) -> None:
        self.mutations.append("destroy")
        await super().destroy(instance_id)

    @override
    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        self.mutations.append("attach_key")
        await super().attach_key(instance_id, public_key)


class Facts:
    """A sink that keeps every fact."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event, *, at: object, tick: int) -> None:
        self.events.append(event)

    def observe_call(self, port: str, method: str, outcome: str, duration_s: float) -> None:
        pass

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


class Stage:
    """``async with Stage() as stage``: a running daemon and everything around it."""

    def __init__(
        self,
        *,
        streams: Mapping[str, int] | None = None,
        change: Callable[[Declared], Declared] = lambda declared: declared,
        reload: Callable[[], Declared] | None = None,
        universe: Universe | None = None,
        disk: Disk | None = None,
        archive: Archive | None = None,
        setup: Callable[["Stage"], None] = lambda _: None,
    ) -> None:
        self.universe = universe or Universe(1, shape=QUIET)
        self.disk = disk or Disk(keeper_id="00000001")
        self.declared = change(simulated({"duel": 1} if streams is None else streams))
        self.power = power = Power()
        self.clock = VirtualClock()
        self.store = HeldStore(self.disk, power)
        self.marketplace = ToldMarketplace(self.universe, power, clock=self.clock)
        self.network = MemoryNetwork(self.universe, power)
        self.heartbeat = ToldHeartbeat(power)
        self.facts = Facts()
        self.daemon = Daemon(
            Ports(
                marketplace=self.marketplace,
                hosts=MemoryHosts(self.universe, power),
                network=self.network,
                store=self.store,
                clock=self.clock,
                cadence=VirtualCadence(self.clock),
                heartbeat=self.heartbeat,
                sink=self.facts,
                archive=archive,
            ),
            self.declared,
            version="0",
            reload=reload,
        )
        self.life: asyncio.Task[None] | None = None
        setup(self)

    async def __aenter__(self) -> Self:
        self.life = asyncio.create_task(self.daemon.run(), name="keeper")
        await self.daemon.loaded()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self.life is not None
        self.store.may_write.set()
        self.store.is_full = False
        self.marketplace.may_create.set()
        self.daemon.stop("the test is over")
        done, _ = await asyncio.wait({self.life}, timeout=200.0)
        if error is None:
            assert done, "keeper does not stop"
            await self.life

    @property
    def snapshot(self) -> Snapshot:
        snapshot = self.daemon.snapshot()
        assert snapshot is not None
        return snapshot

    async def until(
        self, holds: Callable[[], object], *, within_s: float = 900.0, look_s: float = 0.5
    ) -> None:
        for _ in range(int(within_s / look_s)):
            if holds():
                return
            await asyncio.sleep(look_s)
        raise AssertionError(f"not within {within_s:.0f} simulated seconds")

    async def until_on_air(self) -> None:
        await self.until(lambda: self.facts.named("stream.on_air"))

    def order(self, kind: OrderKind, slot: SlotId | None = SLOT, *, order_id: str = "1") -> Order:
        return Order(
            order_id=order_id, kind=kind, slot=slot, actor="ada", reason="a test",
            at=self.clock.now(),
        )  # fmt: skip


class ToldHeartbeat(MemoryHeartbeat):
    """A heartbeat that remembers what it was told."""

    def __init__(self, power: Power) -> None:
        super().__init__(power)
        self.told: list[str] = []

    @override
    def ready(self, status: str) -> None:
        self.told.append("ready")

    @override
    def alive(self, status: str) -> None:
        self.told.append("alive")

    @override
    def reloading(self) -> None:
        self.told.append("reloading")

    @override
    def stopping(self) -> None:
        self.told.append("stopping")


def without_acting(declared: Declared, mode: object) -> Declared:
    """Set every stream to a mode."""
    streams = tuple(replace(s, mode=mode) for s in declared.desired.streams)  # type: ignore[arg-type]
    return replace(declared, desired=replace(declared.desired, streams=streams))
