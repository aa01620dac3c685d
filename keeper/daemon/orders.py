"""An operator's orders, from the call that brings one to the commit that carries it.

An answer is never better than the truth: a yes means that the order is on the disk, a no that it
never will be, and between the two, while a commit is on its way, nobody can say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from keeper.core.events import Event, OrderAccepted, PauseChanged
from keeper.core.model import SlotId, stream_of
from keeper.core.pauses import key_of, of_slots
from keeper.core.world import Order, OrderKind, Pause
from keeper.ports import TimedOut, Uncertain

_DEADLINE_S = 10.0  # less than the patience of keeper's own commands (15 s): they hear the truth
_DETAIL_MAX = 200


@dataclass(slots=True, eq=False)
class _Given:
    order: Order
    done: asyncio.Future[None]
    is_being_written: bool = False
    is_disowned: bool = False  # its giver was told that nobody knows


class Orders:
    """Orders that no commit has carried yet."""

    def __init__(self, nudge: Callable[[], None]) -> None:
        self._nudge = nudge
        self._given: list[_Given] = []
        self._is_closed = False

    async def give(self, order: Order) -> None:
        """Take an order; returns when it is on the disk.

        Raises TimedOut when it was withdrawn, and Uncertain when the commit that carries it takes
        too long to wait for.
        """
        if self._is_closed:
            raise TimedOut("keeper is stopping; nothing was done")
        given = _Given(order, asyncio.get_running_loop().create_future())
        self._given.append(given)
        self._nudge()
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await given.done
        except TimeoutError as error:
            if given.is_being_written:
                given.is_disowned = True
                message = "the order is still being written down; look whether it was taken"
                raise Uncertain(message) from error
            self._given.remove(given)
            message = "the order could not be written down; nothing was done"
            raise TimedOut(message) from error

    def take(self) -> tuple[Order, ...]:
        """Hand what there is to the tick that begins now."""
        for given in self._given:
            given.is_being_written = True
        return tuple(given.order for given in self._given)

    def written(self) -> None:
        """The commit of that tick is durable."""
        kept = []
        for given in self._given:
            if not given.is_being_written:
                kept.append(given)
            elif not given.done.done():
                given.done.set_result(None)
        self._given = kept

    def not_written(self) -> None:
        """It could not be committed: the next tick takes them again, but for the disowned."""
        self._given = [given for given in self._given if not given.is_disowned]
        for given in self._given:
            given.is_being_written = False

    def close(self) -> None:
        """No tick comes after this: say so to those who wait."""
        self._is_closed = True
        for given in self._given:
            if not given.done.done():
                given.done.set_exception(TimedOut("keeper is stopping; nothing was done"))
                given.done.exception()  # heard, even if nobody waits for it any more
        self._given = []


def expanded(orders: tuple[Order, ...], slots: Iterable[SlotId]) -> tuple[Order, ...]:
    """Make of an order for a stream one for each of its slots, which still names the stream."""
    if all(order.stream is None for order in orders):
        return orders
    known = sorted(slots)
    return tuple(
        each
        for order in orders
        for each in (
            (order,)
            if order.stream is None
            else (replace(order, slot=slot) for slot in known if stream_of(slot) == order.stream)
        )
    )


def lapsed(
    pause: Pause | None, slot_pauses: Mapping[SlotId, Pause], now: datetime
) -> tuple[Event, ...]:
    """State which pauses have ended by themselves."""
    every: dict[SlotId | None, Pause] = dict(of_slots(slot_pauses).items())
    if pause is not None:
        every[None] = pause
    return tuple(
        PauseChanged(paused=False, slot=slot, until=None, actor="keeper", detail="its time is over")
        for slot, each in every.items()
        if each.until is not None and each.until <= now
    )


def joined(new: Iterable[SlotId], slot_pauses: Mapping[SlotId, Pause]) -> tuple[PauseChanged, ...]:
    """State which slots are paused because they have just come to a stream that is."""
    return tuple(
        PauseChanged(
            paused=True,
            slot=slot,
            until=pause.until,
            actor=pause.actor,
            detail=": ".join(filter(None, ("its stream is paused", pause.reason)))[:_DETAIL_MAX],
        )
        for slot in new
        if (pause := slot_pauses.get(key_of(stream_of(slot)))) is not None
    )


def facts_of(order: Order) -> tuple[Event, ...]:
    """State what an order is: journalled by the commit that carries it, and by no other."""
    about = f"rental {order.instance_id}" if order.instance_id is not None else ""
    detail = ": ".join(filter(None, (about, order.reason)))[:_DETAIL_MAX]
    accepted = OrderAccepted(
        order=order.kind.value, slot=order.slot, actor=order.actor, detail=detail
    )
    if order.kind not in (OrderKind.PAUSE, OrderKind.RESUME):
        return (accepted,)
    changed = PauseChanged(
        paused=order.kind is OrderKind.PAUSE,
        slot=order.slot,
        until=order.until,
        actor=order.actor,
        detail=detail,
    )
    return accepted, changed
