"""Everything outside keeper in one simulated run: the market, its hosts, the network, the mailbox.

It outlives every keeper process. The market lets things happen when somebody asks what time it is;
here one timer asks at exactly the moment at which the next thing is due.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import datetime

from keeper.sim.api import Api
from keeper.sim.loop import EPOCH
from keeper.sim.market import Market, MarketShape
from keeper.sim.outlook import Outlook
from keeper.sim.virtual_hosts import Pace, VirtualHosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message that reached a channel of the operator."""

    at: float
    url: str
    body: bytes


@dataclass(slots=True, kw_only=True)
class Vouched:
    """A time for which the world has promised that the list of rentals stays as it is."""

    begins_at: float
    ends_at: float = float("inf")


@dataclass(slots=True)
class Mailbox:
    """Where alerts arrive. ``refuse_until``: the receiver says no until then (epoch seconds)."""

    messages: list[Message] = field(default_factory=list)
    refused: list[Message] = field(default_factory=list)
    refuse_until: float = 0.0
    refuses_with: int = 503  # 410: for good


class Universe:
    """One market with its hosts in virtual time. Made inside a running virtual loop."""

    def __init__(
        self, seed: int, *, shape: MarketShape | None = None, pace: Pace | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoch_s = EPOCH.timestamp() - self._loop.time()
        self.outlook = Outlook()
        # One generator per concern, so that a fault more does not move everything else.
        luck = random.Random(f"universe {seed}")
        self.hosts = VirtualHosts(random.Random(luck.getrandbits(64)), pace)
        self.market = Market(
            rng=random.Random(luck.getrandbits(64)),
            clock=self.time_s,
            shape=shape,
            hosts=self.hosts,
        )
        self.hosts.join(self.market)
        self.hosts.on_plan = self.wind
        self.hosts.on_change = self.outlook.look
        self.hosts.stop_by_own_key = self.stop_by_own_key
        self.api = Api(self.market)
        self.mailbox = Mailbox()
        self.own_network_is_down = False
        self.links_made = 0
        self.vouched: list[Vouched] = []
        self._changes_seen = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")
        self.wind()

    def time_s(self) -> float:
        """Return the marketplace's clock: epoch seconds, never stepping."""
        return self._epoch_s + self._loop.time()

    def at(self, loop_s: float) -> float:
        """Return the marketplace's time of a moment of the loop."""
        return self._epoch_s + loop_s

    @property
    def began_at(self) -> datetime:
        """When simulated time begins."""
        return EPOCH

    def stop_by_own_key(self, instance_id: int) -> bool:
        """Stop a rental as its own container asks for it; False: not now.

        What the key may do is tried where there is a real API (tests/e2e/test_dead_man.py).
        """
        return self.market.stop_by_own_key(instance_id)

    def wind(self) -> None:
        """Set the one timer to the next thing that is due. Called after whatever plans something."""
        self._changes_seen = self.market.changes
        self.outlook.look()
        self._wait()

    def _wait(self) -> None:
        due = self.market.next_event_at()
        if due is None or due >= self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._loop.call_at(due - self._epoch_s, self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, float("inf")
        self.market.advance()
        if self.market.changes == self._changes_seen:
            self._wait()  # somebody has only looked about
        else:
            self.wind()
