"""The lives of the campaign of real deaths: what a slot goes through, told in the order of events.

A life is a short script against the real process. Whatever dies in it, each of its steps comes to pass in
the end: an order is given until it is taken, a mishap until it has struck. A life that is like another one
at first counts its moments from where it begins to differ.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from keeper.sim.contract import Box, Contract
from keeper.sim.death_keeper import MortalKeeper
from keeper.sim.demo_stage import ActFailed, Stage
from keeper.sim.evidence import Span, SpareBounds
from keeper.sim.faults import Fault, FaultKind

SLOT, SPARE = "arena/0", "arena/spare-0"
LABEL = re.compile(r"keeper:[0-9a-z]+:([a-z0-9-]+/(?:spare-)?\d+):\d+")
PATIENCE_S = 150.0  # for any one step of a life, deaths in it included; a freeze is not counted
_ORDER_S = 60.0
_APART_S = 0.5
_HANDS_OFF_S = 12.0  # so long a paused keeper looks at a dead process


@dataclass(slots=True, kw_only=True)
class Scene:
    """What a life is played on: the stage, and what is done there whatever dies meanwhile."""

    stage: Stage
    keeper: MortalKeeper
    patience_s: float
    begin: Callable[[], None]  # the moments count from here on
    paused: list[Span] = field(default_factory=list)

    async def on_air(self) -> None:
        """Wait until the slot is on air and nothing is left to be ended."""
        await self.stage.on_air(SLOT, within_s=self.patience_s)

    async def spare_stands(self) -> None:
        """Wait until the spare stands still."""
        await self.until("a spare that stands still", self._spare_is_stopped)

    async def order(self, kind: str, **more: object) -> None:
        """Give an order until it is taken; an answer that was lost is looked for before it is repeated."""
        deadline_s = time.monotonic() + _ORDER_S + self.patience_s
        since = len(self.stage.events)
        while time.monotonic() < deadline_s:
            if await self.keeper.order(kind, SLOT, "a campaign", **more):
                return
            await self.stage.look()
            taken = (
                e["facts"] for e in self.stage.events[since:] if e["event"] == "order.accepted"
            )
            if any(facts.get("order") == kind for facts in taken):
                return
            await asyncio.sleep(_APART_S)
        raise ActFailed(f"the order to {kind} was not taken")

    async def strike(self, fault: Fault) -> Contract:
        """Let something befall the slot's host, as soon as it can; returns what was struck."""
        market = self.stage.sim.market
        struck: list[Contract] = []

        async def has_struck() -> bool:
            contract = market.contracts[await self.stage.instance_of(SLOT)]
            struck.append(contract)
            return market.strike(contract, fault)

        await self.until(f"a host for {fault.kind} to strike", has_struck)
        return struck[-1]

    async def is_elsewhere(self, contract: Contract) -> bool:
        """Whether the slot has another host than this one."""
        return await self.stage.instance_of(SLOT) != contract.instance_id

    async def drain(self) -> None:
        """Let keeper stop in order, and begin again."""
        async with asyncio.timeout(self.patience_s):
            code = await self.keeper.drain()
        if code not in {0, -signal.SIGTERM}:  # told before it could listen
            raise ActFailed(f"told to stop, keeper ended with {code}")

    def leave_a_stray(self) -> int:
        """Rent as keeper does, behind its back and under a label of its own that no store knows."""
        market, latest = self.stage.sim.market, self.stage.rentals[-1]
        like, ask = market.contracts[latest.instance_id], market.asks()[0]
        body = {
            "image": like.image, "disk": like.disk_gb, "env": dict(like.env),
            "runtype": like.runtype, "onstart": like.onstart,
            "label": f"{latest.label.rpartition(':')[0]}:9000",
        }  # fmt: skip
        return int(market.create(ask.offer_id, body)["new_contract"])

    async def _spare_is_stopped(self) -> bool:
        status: Mapping[str, Any] = await self.keeper.get("status") or {"streams": ()}
        return any(
            each["slot"] == SPARE and each["phase"] == "stopped"
            for stream in status["streams"]
            for each in stream["spares"]
        )

    async def until(self, what: str, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something. Raises ActFailed when it does not come."""
        deadline_s = time.monotonic() + self.patience_s
        while True:
            try:
                if await is_so():
                    return
            except ActFailed:
                pass  # there is no host, or nobody to ask, for a moment
            if time.monotonic() > deadline_s:
                raise ActFailed(f"waited {self.patience_s:.0f} s in vain for {what}")
            await asyncio.sleep(_APART_S)
            await self.stage.look()


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One story: what is declared for it, how it goes, and what is left in the end."""

    name: str
    play: Callable[[Scene], Awaitable[None]]
    policy: str = ""  # a line more of the policy
    stream: str = ""  # a line more of the stream
    bounds: Mapping[str, Any] = field(default_factory=dict)  # what the auditor is told beside
    patience_s: float = PATIENCE_S
    alive: int = 1  # rentals in the end
    # Facts without which an undisturbed run was not this life.
    lived: frozenset[str] = frozenset()


# --- plain ----------------------------------------------------------------------------------------


async def _birth(scene: Scene) -> None:
    """Rent and deploy."""
    scene.begin()
    await scene.on_air()


async def _plain(scene: Scene) -> None:
    """Rent, deploy, restart by order and by itself, hand over, destroy, rent again."""
    await _birth(scene)
    await scene.order("restart")
    await asyncio.sleep(2.0)
    await scene.on_air()
    await scene.strike(Fault(kind=FaultKind.PROCESS_KILLED))
    await asyncio.sleep(4.0)
    await scene.on_air()
    await scene.order("replace")
    await asyncio.sleep(2.0)
    await scene.on_air()
    told = len(scene.stage.events)
    await scene.order("destroy")
    await scene.stage.event("instance.ended", SLOT, within_s=scene.patience_s, since=told)
    await scene.order("resume")


# --- spare ----------------------------------------------------------------------------------------


async def _spare(scene: Scene) -> None:
    """Rent a spare, prepare and stop it; the host dies; the spare is started and takes over; rent the next.

    An order to stop or to start that never arrived is found missing by time alone, hence the patience.
    """
    # A spare is rented as soon as the slot is on air.
    await scene.stage.event("workload.deployed", SLOT, within_s=scene.patience_s, since=0)
    scene.begin()
    await scene.on_air()
    await scene.spare_stands()
    lost = await scene.strike(Fault(kind=FaultKind.DESTROYED_BY_OTHERS))
    # A keeper that was dead meanwhile may believe for a while that all is as it was.
    await scene.until("another host than the lost one", partial(scene.is_elsewhere, lost))
    await scene.on_air()
    await scene.spare_stands()


# --- bids -----------------------------------------------------------------------------------------


async def _bids(scene: Scene) -> None:
    """Be outbid, and bid more; be outbid again, and go to another host."""
    outbid = Fault(kind=FaultKind.OUTBID, params={"by": "rival"})
    await scene.on_air()
    scene.begin()
    for _ in range(2):
        lost = await scene.strike(outbid)
        await scene.until("a higher bid, or an end", partial(_is_answered, lost))
        await scene.on_air()


async def _is_answered(contract: Contract) -> bool:
    """Whether an outbid rental has won again or has ended."""
    return not contract.is_outbid or contract.box is Box.GONE


# --- orders ---------------------------------------------------------------------------------------


async def _orders(scene: Scene) -> None:
    """Pause, with a process that dies meanwhile; resume; drain amid a hand-over; destroy; adopt a stray."""
    await scene.on_air()
    scene.begin()
    await scene.order("pause")
    since = time.time()
    await scene.strike(Fault(kind=FaultKind.PROCESS_KILLED))
    await asyncio.sleep(_HANDS_OFF_S)
    scene.paused.append((since, time.time()))
    await scene.order("resume")
    await asyncio.sleep(2.0)
    await scene.on_air()
    told = len(scene.stage.events)
    await scene.order("replace")
    await scene.stage.event("instance.renting", SLOT, within_s=scene.patience_s, since=told)
    await scene.drain()
    await asyncio.sleep(2.0)
    await scene.on_air()
    told = len(scene.stage.events)
    await scene.order("destroy")
    await scene.stage.event("instance.ended", SLOT, within_s=scene.patience_s, since=told)
    stray = scene.leave_a_stray()
    await scene.order("adopt", instance_id=stray)
    await scene.order("resume")


# --------------------------------------------------------------------------------------------------

BIRTH = Life(name="birth", play=_birth)  # for short runs; every life begins so
LIVES = {
    life.name: life
    for life in (
        Life(
            name="plain",
            play=_plain,
            lived=frozenset({"workload.restarted", "instance.ended"}),
        ),
        Life(
            name="spare",
            play=_spare,
            stream="spares: {count: 1, kind: stopped, is_started: false, start_within_s: 45}",
            bounds={
                "spares": {
                    "arena": SpareBounds(count=1, dollars_per_hour=1.0, expire_after_s=604_800.0)
                }
            },
            patience_s=400.0,
            alive=2,
            lived=frozenset({"instance.stopped", "instance.starting", "spare.promoted"}),
        ),
        Life(
            name="bids",
            play=_bids,
            policy="rebids_max: 1",
            stream="offer: {pricing: interruptible, price_max_dollars_per_hour: 2.0}",
            bounds={
                "price_max_dollars_per_hour": {"arena": 2.0},
                "bid_margins": {"arena": 1.1},
                "bids_only": frozenset({"arena"}),
            },
            lived=frozenset({"instance.outbid", "instance.rebid", "instance.condemned"}),
        ),
        Life(
            name="orders",
            play=_orders,
            lived=frozenset({"keeper.pause_changed", "keeper.stopping", "instance.adopted"}),
        ),
    )
}
