"""The stage of the demo: the marketplace, the keeper, and what has been said so far.

An act breaks something, then waits for facts. Facts come from keeper's own journal by its API; what
must hold is checked against the marketplace's ledger, which keeper cannot write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.sim.demo_keeper import KeeperProcess
from keeper.sim.faults import Fault
from keeper.sim.ledger import Rental
from keeper.sim.serve import SimServer

_LOOK_S = 0.2
_EVENTS_A_LOOK = 500

Told = Callable[[Mapping[str, Any]], None]


class ActFailed(Exception):
    """Something that an act waited for did not come."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything an act may touch or look at."""

    sim: SimServer
    keeper: KeeperProcess
    tell: Told
    events: list[Mapping[str, Any]] = field(default_factory=list)
    messages: list[Mapping[str, Any]] = field(default_factory=list)  # what the webhook received
    _after: int = 0

    async def look(self) -> None:
        """Read what keeper has written since the last look."""
        page = await self.keeper.get(f"events?after={self._after}&limit={_EVENTS_A_LOOK}")
        if page is None:
            return
        for event in page["events"]:
            self.events.append(event)
            self.tell(event)
        self._after = max(self._after, page["next_after"])

    async def until(
        self, what: str, is_so: Callable[[list[Mapping[str, Any]]], bool], *, within_s: float
    ) -> None:
        """Wait until the facts since now satisfy. Raises ActFailed naming what did not come."""
        began = len(self.events)
        deadline_s = time.monotonic() + within_s
        while not is_so(self.events[began:]):
            if time.monotonic() > deadline_s:
                message = f"waited {within_s:.0f} s in vain for this: {what}"
                raise ActFailed(message)
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def event(
        self, name: str, slot: str | None = None, *, within_s: float, since: int | None = None
    ) -> Mapping[str, Any]:
        """Wait for a fact, of a slot if one is named; ``since`` counts what came earlier too."""
        began = len(self.events) if since is None else since
        deadline_s = time.monotonic() + within_s
        while True:
            for event in self.events[began:]:
                if event["event"] == name and slot in {None, event["slot"]}:
                    return event
            if time.monotonic() > deadline_s:
                message = f"waited {within_s:.0f} s in vain for {name} of {slot or 'the fleet'}"
                raise ActFailed(message)
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def on_air(self, *slots: str, within_s: float) -> None:
        """Wait until these slots are on air and nothing is left to be ended."""
        deadline_s = time.monotonic() + within_s
        while True:
            await self.look()
            status = await self.keeper.get("status")
            if status is not None:
                living = {s["slot"]: s for stream in status["streams"] for s in stream["slots"]}
                is_well = all(slot in living and living[slot]["is_on_air"] for slot in slots)
                is_settled = not any(s["incoming"] for s in living.values())
                if is_well and is_settled and not status["condemned"]:
                    return
            if time.monotonic() > deadline_s:
                message = f"{' and '.join(slots)} not on air after {within_s:.0f} s"
                raise ActFailed(message)
            await asyncio.sleep(_LOOK_S)

    async def instance_of(self, slot: str) -> int:
        """Name the rental that fills a slot. Raises ActFailed when there is none."""
        status = await self.keeper.get("status")
        for stream in (status or {}).get("streams", ()):
            for each in stream["slots"]:
                if each["slot"] == slot and each["host"] and each["host"]["instance_id"]:
                    return int(each["host"]["instance_id"])
        message = f"{slot} has no rental"
        raise ActFailed(message)

    async def strike(self, slot: str, verb: str) -> None:
        """Do something to the host of a slot. Raises ActFailed when there was nothing to do it to."""
        if not self.sim.act(await self.instance_of(slot), verb):
            message = f"{verb} found nothing to strike on the host of {slot}"
            raise ActFailed(message)

    def arm(self, fault: Fault) -> None:
        """Let the marketplace lie."""
        self.sim.market.arm(fault)

    # --- what the ledger says ---------------------------------------------------------------------

    @property
    def rentals(self) -> list[Rental]:
        """Every rental ever made, in order."""
        return sorted(self.sim.ledger.rentals.values(), key=lambda rental: rental.created_at)

    @property
    def dollars(self) -> float:
        """What the marketplace has billed so far."""
        self.sim.market.advance()
        return sum(rental.dollars for rental in self.rentals)

    def mutations(self) -> int:
        """How many calls that change something the marketplace has taken."""
        return sum(1 for request in self.sim.ledger.requests if request.is_mutating)
