"""Shows each feed what holds, again and again, so that all of it ends by itself when keeper does not live.

One task for each feed. Nothing is kept: what was shown before a restart, and is over since, is shown no
more and ends by that. A keeper that stops says nothing: the trouble goes on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from keeper.alerts import Alert, DeliveryKind, Feed
from keeper.alerts.standing import told
from keeper.alerts.trial import trial_alert
from keeper.core.events import Event, FeedChanged
from keeper.daemon.error_line import describe
from keeper.daemon.ground import Ground
from keeper.daemon.side_by_side import SideBySide
from keeper.ports import ChannelNow, ChannelTest, Clock, Missing, Network

_DEADLINE_S = 20.0
_APART_S = 1.0  # what changes within it is one showing
_AGAIN_S = 15.0  # after one that was not taken, or the interval if that is shorter
_PATIENCE_MAX_S = 3600.0
_ENDED_MAX = 500  # that could not be shown to be over; they end by themselves


@dataclass(slots=True)
class _Shown:
    """What a feed was shown, and how it took it."""

    alerts: dict[str, Alert] = field(default_factory=dict)  # since the last showing that was taken
    print: object = None  # of the last showing that was taken
    is_taking: bool = True
    error: str = ""


class Feeds:
    """The feeds, and the tasks that show them what holds."""

    def __init__(
        self,
        *,
        network: Network,
        clock: Clock,
        ground: Ground,
        publish: Callable[[Event], None],
        redact: Callable[[str], str],
    ) -> None:
        self._network = network
        self._clock = clock
        self._ground = ground
        self._publish = publish
        self._redact = redact
        self._shown: dict[str, _Shown] = {}
        self._called = asyncio.Event()
        self._tasks = SideBySide(publish)

    def names(self) -> frozenset[str]:
        """Return the names of the feeds that are declared."""
        return frozenset(self._feeds())

    def channels_now(self) -> tuple[ChannelNow, ...]:
        """Return every declared feed. Nothing waits for one; ``last_error`` is "" while it takes."""
        kinds = self._ground.declared.channel_kinds
        return tuple(
            ChannelNow(
                name=name,
                kind=kinds.get(name, ""),
                pending=0,
                last_error=self._shown[name].error if name in self._shown else "",
                is_taking=name not in self._shown or self._shown[name].is_taking,
            )
            for name in self._feeds()
        )

    def declared_anew(self) -> None:
        """The configuration was read again."""
        self._called.set()

    async def run(self) -> None:
        """Show for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                feeds = self._feeds()
                for name in feeds:
                    self._tasks.begin(group, f"feed:{name}", partial(self._serve, name))
                self._shown = {name: each for name, each in self._shown.items() if name in feeds}
                self._called.clear()
                await self._called.wait()

    async def test(self, name: str) -> ChannelTest:
        """Show an alert that says that it is a test, and that it is over. Raises Missing: no such feed."""
        feed = self._feeds().get(name)
        if feed is None:
            raise Missing(f"there is no feed {name!r}")
        began_s, now = self._clock.monotonic(), self._clock.now()
        alert = trial_alert(now)
        is_taken, error, _ = await self._show(feed, (alert,), ())
        if is_taken:
            is_taken, error, _ = await self._show(feed, (), (alert,))
        return ChannelTest(
            channel=name,
            is_delivered=is_taken,
            duration_s=self._clock.monotonic() - began_s,
            error=error,
        )

    def _feeds(self) -> Mapping[str, Feed]:
        return {feed.name: feed for feed in self._ground.declared.feeds}

    async def _serve(self, name: str) -> None:
        """Show one feed what holds, as long as it is declared."""
        shown = self._shown.setdefault(name, _Shown())
        due_s = 0.0  # by the clock that nobody sets
        while (feed := self._feeds().get(name)) is not None:
            holding, ended = self._compared(shown)
            now_s = self._clock.monotonic()
            if not holding and not ended:
                due_s = now_s
                await self._ground.changed()
            elif now_s < due_s and (not shown.is_taking or _print(holding) == shown.print):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(due_s - now_s):
                        await self._ground.changed()
            else:
                wait_s = await self._show_now(feed, shown, holding, ended)
                due_s = self._clock.monotonic() + wait_s
                await asyncio.sleep(_APART_S)

    def _compared(self, shown: _Shown) -> tuple[tuple[Alert, ...], tuple[Alert, ...]]:
        """Return what holds, and what was shown and holds no more."""
        if not self._ground.has_memory:
            return (), ()
        holding = told(self._ground.memory.alert_state)
        now = {alert.key: alert.severity for alert in holding}
        # A feed may tell alerts apart by severity, too: one that has risen has ended as what it was.
        ended = tuple(
            each for key, each in shown.alerts.items() if now.get(key) is not each.severity
        )
        return holding, ended[-_ENDED_MAX:]

    async def _show_now(
        self, feed: Feed, shown: _Shown, holding: tuple[Alert, ...], ended: tuple[Alert, ...]
    ) -> float:
        """Do one showing; returns the seconds until the next one unless something changes."""
        is_taken, error, retry_after_s = await self._show(feed, holding, ended)
        if is_taken:
            shown.alerts, shown.print = {}, _print(holding)
        # Also of a showing without an answer: it may have arrived.
        shown.alerts |= {alert.key: alert for alert in holding}
        while len(shown.alerts) > len(holding) + _ENDED_MAX:
            del shown.alerts[next(iter(shown.alerts))]
        if is_taken is not shown.is_taking:
            self._publish(
                FeedChanged(channel=feed.name, is_taking=is_taken, alerts=len(holding), error=error)
            )
        shown.is_taking, shown.error = is_taken, error
        if is_taken:
            return feed.interval_s
        return retry_after_s or min(_AGAIN_S, feed.interval_s)

    async def _show(
        self, feed: Feed, holding: tuple[Alert, ...], ended: tuple[Alert, ...]
    ) -> tuple[bool, str, float | None]:
        """Return whether a showing was taken, what went wrong, and how long the feed asks to wait."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                request = feed.compose(holding, ended, now=self._clock.now())
                reply = await self._network.fetch(request)
            delivery = feed.classify(reply)
        except Exception as failure:  # noqa: BLE001 - also what a feed does wrong is told, once
            return False, self._redact(describe(failure)), None
        is_taken = delivery.kind is DeliveryKind.DELIVERED
        wait_s = delivery.retry_after_s
        return (
            is_taken,
            "" if is_taken else self._redact(delivery.error) or "refused",
            None if wait_s is None else min(wait_s, _PATIENCE_MAX_S),
        )


def _print(holding: tuple[Alert, ...]) -> object:
    """Return what of the alerts is worth a showing out of turn: which hold, and how bad they are."""
    return tuple((each.key, each.severity, each.stage, each.case) for each in holding)
