"""An operator's silences: which hold after the orders of a tick, and what is written down of them. Pure."""

from __future__ import annotations

from datetime import datetime

from keeper.core.events import SilenceChanged
from keeper.core.silences import Silence
from keeper.core.world import Order, OrderKind

_DETAIL_MAX = 200
_MATCHERS_MAX = 400


def silences_after(
    orders: tuple[Order, ...], silences: tuple[Silence, ...], now: datetime
) -> tuple[Silence, ...]:
    """Apply the orders about silences, and let go of those whose time is over."""
    kept = {each.silence_id: each for each in silences if each.until > now}
    for order in orders:
        if order.kind is OrderKind.SILENCE and order.silence is not None:
            kept[order.silence.silence_id] = order.silence
        elif order.kind is OrderKind.UNSILENCE:
            kept.pop(order.silence_id, None)
    after = tuple(kept.values())
    return silences if after == silences else after


def silence_facts(
    orders: tuple[Order, ...], silences: tuple[Silence, ...], now: datetime
) -> tuple[SilenceChanged, ...]:
    """State which silences begin and end in a tick: by order, or because their time is over."""
    before = {each.silence_id: each for each in silences}
    told = [_ended(each, "keeper", "its time is over") for each in silences if each.until <= now]
    over = {each.silence for each in told}
    for order in orders:
        if order.kind is OrderKind.SILENCE and order.silence is not None:
            told.append(_begun(order.silence, order))
            before[order.silence.silence_id] = order.silence
        elif order.kind is OrderKind.UNSILENCE and order.silence_id not in over:
            ended = before.pop(order.silence_id, None)
            if ended is not None:
                told.append(_ended(ended, order.actor, order.reason))
    return tuple(told)


def first_end(silences: tuple[Silence, ...]) -> datetime | None:
    """Return when the next silence ends; None: there is none."""
    return min((each.until for each in silences), default=None)


def said(silence: Silence) -> str:
    """Write the matchers of a silence as an operator does."""
    return " ".join(str(matcher) for matcher in silence.matchers)[:_MATCHERS_MAX]


def _begun(silence: Silence, order: Order) -> SilenceChanged:
    return SilenceChanged(
        silence=silence.silence_id,
        begun=True,
        matchers=said(silence),
        until=silence.until,
        actor=order.actor,
        detail=order.reason[:_DETAIL_MAX],
    )


def _ended(silence: Silence, actor: str, why: str) -> SilenceChanged:
    return SilenceChanged(
        silence=silence.silence_id,
        begun=False,
        matchers=said(silence),
        until=silence.until,
        actor=actor,
        detail=why[:_DETAIL_MAX],
    )
