"""Asks now and then what the account can still spend, and whether it fell as it had to.

Not knowing changes nothing.

A key without the right to read the account is told of once; the daemon works without it, and the
marketplace's own refusal (no credit) still counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from keeper.core.drift import Burn, Compared, Watched, looked, paying
from keeper.core.events import SpendDrifted
from keeper.core.meter import Meter
from keeper.core.moments import later
from keeper.core.world import AccountSeen
from keeper.ports import Clock, Marketplace, PortError, Unauthorized

_READ_DEADLINE_S = 60.0
# Credit that was used up is bought by a person, who waits for the stream to come back.
_EMPTY_INTERVAL_S = 30.0


class Purse:
    """The account's credit, as last seen."""

    def __init__(
        self,
        marketplace: Marketplace,
        clock: Clock,
        *,
        interval_s: Callable[[], float],
        nudge: Callable[[], None],
        refused: Callable[[Unauthorized], None],
        drifted: Callable[[SpendDrifted], None] = lambda _: None,
    ) -> None:
        self._marketplace = marketplace
        self._clock = clock
        self._interval_s = interval_s
        self._nudge = nudge
        self._refused = refused
        self._drifted = drifted
        self._burn: Burn | None = None  # None: no listing to be believed
        self._watched: Watched | None = None
        self._is_refused = False
        self._soon = asyncio.Event()
        self._compared: Compared | None = None  # the latest comparison
        self._empty_at: datetime | None = None  # of an earlier process, too
        self.seen: AccountSeen | None = None
        self._seen_s = 0.0

    def remember(self, meter: Meter) -> None:
        """Take over what an earlier process has found."""
        self._compared = None if meter.drift is None else meter.drift.compared
        self._empty_at = meter.empty_at

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            is_empty = self.seen is not None and self.seen.spendable_dollars <= 0
            interval_s = self._interval_s()
            alarm = asyncio.get_running_loop().call_later(
                min(interval_s, _EMPTY_INTERVAL_S) if is_empty else interval_s, self._soon.set
            )
            try:
                await self._soon.wait()
            finally:
                alarm.cancel()
            self._soon.clear()

    def hurry(self) -> None:
        """Look now: the marketplace has refused something for want of credit."""
        self._soon.set()

    def pays(self, burn: Burn) -> None:
        """Take what a new listing says that the account pays."""
        self._burn = burn
        if self._watched is not None:
            self._watched = paying(self._watched, burn, self._clock.monotonic())

    def begin_anew(self) -> None:
        """Nobody looked for a while, or the listing is lost: what was paid meanwhile is not known."""
        self._burn = self._watched = None

    def clock_stepped(self, step_s: float) -> None:
        """Let the latest answer be as old as it was before the step.

        An hour ahead it was too old to count, and a host was rented on an account seen empty (seed 1040).
        Its age goes by the other clock: it may have come after the step (seed 4295).
        """
        now, empty_at = self._clock.now(), self._empty_at
        if empty_at is not None:  # what went down until then is not set back with it
            self._empty_at = min(max(empty_at, later(empty_at, step_s)), now)
        if self.seen is not None:
            at = later(now, self._seen_s - self._clock.monotonic())
            self.seen = replace(self.seen, at=at, empty_at=self._empty_at)

    async def look(self) -> None:
        """Ask once; a failure keeps what was known."""
        before = self.seen
        try:
            async with asyncio.timeout(_READ_DEADLINE_S):
                account = await self._marketplace.account()
        except Unauthorized as refusal:
            if not self._is_refused:
                self._refused(refusal)
            self._is_refused = True
            return
        except (PortError, TimeoutError):
            return
        self._is_refused = False
        was_drifting = self._is_drifting
        if self._burn is not None:
            self._compare(account.spendable_dollars, self._burn)
        now, self._seen_s = self._clock.now(), self._clock.monotonic()
        is_empty = account.spendable_dollars <= 0
        if is_empty:
            self._empty_at = now
        self.seen = AccountSeen(
            spendable_dollars=account.spendable_dollars,
            at=now,
            empty_at=self._empty_at,
            compared=self._compared,
        )
        is_news = before is None or (before.spendable_dollars <= 0) != is_empty
        if is_news or self._is_drifting is not was_drifting:
            self._nudge()

    @property
    def _is_drifting(self) -> bool:
        return self._compared is not None and self._compared.is_drift

    def _compare(self, credit_dollars: float, burn: Burn) -> None:
        self._watched, found = looked(
            self._watched, credit_dollars, burn, self._clock.monotonic(), self._compared
        )
        if found is None:
            return
        if found.is_drift and not self._is_drifting:
            self._drifted(
                SpendDrifted(
                    fell_dollars=found.fell_dollars,
                    least_dollars=found.least_dollars,
                    most_dollars=found.most_dollars,
                    duration_s=found.over_s,
                )
            )
        self._compared = found
