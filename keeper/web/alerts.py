"""The API of what people are told: look, test a channel, keep something from people for a while.

A silence is an order: it is on disk, with who asked for it and until when, before it is answered.
"""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from keeper.core.silences import Silence
from keeper.core.text import plain
from keeper.core.world import Order, OrderKind
from keeper.ports import Missing
from keeper.web.answers import (
    CONTROL,
    RUNBOOKS_URL,
    Problem,
    allow_order,
    json_answer,
    now_of,
    read_body,
    snapshot_of,
)
from keeper.web.matchers import NotUnderstood, read_matchers
from keeper.web.telling import alerts_of, matched, outbox_of, page_of, silence_status, silences_of
from keeper.web.telling_shapes import AlertStatus, ChannelTested, SilenceOrdered, SilencePage

_SILENCES_MAX: Final = 200
_MATCHERS_MAX: Final = 8
SILENCE_DEFAULT_S: Final = 7200.0
SILENCE_MAX_S: Final = 30 * 86_400.0


class SilenceBody(BaseModel):
    """A silence that is asked for. Alerts that all matchers match are told to nobody for so long."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # Each is FIELD=PATTERN, of alert, stream, slot, severity and key, or the name of an alert alone. In a
    # pattern * and ? stand for letters.
    matchers: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=200)]],
        Field(min_length=1, max_length=_MATCHERS_MAX),
    ]
    reason: Annotated[str, StringConstraints(max_length=500)] = ""
    for_s: Annotated[float, Field(gt=0, le=SILENCE_MAX_S)] = SILENCE_DEFAULT_S  # it always ends


async def get_alerts(request: web.Request) -> web.Response:
    """What holds, what became of it, who is told, and what is kept from people."""
    page = page_of(
        snapshot_of(request), now_of(request), request.app[CONTROL], request.app[RUNBOOKS_URL]()
    )
    return json_answer(page)


async def get_outbox(request: web.Request) -> web.Response:
    """The messages that no channel has taken yet."""
    return json_answer(outbox_of(request.app[CONTROL], now_of(request)))


async def post_channel_test(request: web.Request) -> web.Response:
    """Send a test message through one channel, now."""
    allow_order(request)
    name, control = request.match_info["name"], request.app[CONTROL]
    try:
        tested = await control.test_channel(name)
    except Missing as error:
        known = [each.name for each in control.channels()]
        raise Problem(
            404, "no such channel", f"there is no channel {plain(name, 100)!r}",
            cure=_meant(name, known, "alerts.channels declares none"),
        ) from error  # fmt: skip
    return json_answer(
        ChannelTested(
            channel=tested.channel,
            is_delivered=tested.is_delivered,
            duration_s=tested.duration_s,
            error=plain(tested.error, 300),
        )
    )


async def get_silences(request: web.Request) -> web.Response:
    """The silences that hold."""
    snapshot, now = snapshot_of(request), now_of(request)
    alerts = alerts_of(snapshot, now, request.app[CONTROL])
    return json_answer(SilencePage(silences=silences_of(snapshot, now, alerts)))


async def post_silence(request: web.Request) -> web.Response:
    """Begin a silence; it is on disk when this is answered."""
    actor = allow_order(request)
    body = read_body(await request.read(), SilenceBody, "the silence is not understood")
    snapshot, now = snapshot_of(request), now_of(request)
    try:
        matchers = read_matchers(body.matchers, snapshot)
    except NotUnderstood as error:
        title = "the silence is not understood"
        raise Problem(422, title, str(error), cure=error.cure) from error
    if len(snapshot.world.silences) >= _SILENCES_MAX:
        raise Problem(
            409, "too many silences", f"{_SILENCES_MAX} hold already", cure="end some of them"
        )
    silence = Silence(
        silence_id=uuid.uuid4().hex[:8],
        matchers=matchers,
        since=now,
        until=now + timedelta(seconds=body.for_s),
        actor=actor,
        reason=plain(body.reason),
    )
    await request.app[CONTROL].order(_order(OrderKind.SILENCE, actor, silence))
    met = matched(silence, alerts_of(snapshot, now, request.app[CONTROL]))
    return json_answer(_ordered(silence, met), 201)


async def delete_silence(request: web.Request) -> web.Response:
    """End a silence; it is on disk when this is answered."""
    actor = allow_order(request)
    asked, snapshot, now = request.match_info["id"], snapshot_of(request), now_of(request)
    held = {each.silence_id: each for each in snapshot.world.silences if each.until > now}
    silence = held.get(asked)
    if silence is None:
        raise Problem(
            404, "no such silence", f"no silence {plain(asked, 60)!r} holds",
            cure=_meant(asked, held, "none holds: there is nothing to end"),
        )  # fmt: skip
    await request.app[CONTROL].order(replace(_order(OrderKind.UNSILENCE, actor, silence), at=now))
    met = matched(silence, alerts_of(snapshot, now, request.app[CONTROL]))
    return json_answer(SilenceOrdered(silence=silence_status(silence, met), alerts=met))


def _order(kind: OrderKind, actor: str, silence: Silence) -> Order:
    return Order(
        order_id=uuid.uuid4().hex,
        kind=kind,
        slot=None,
        actor=actor,
        reason=silence.reason if kind is OrderKind.SILENCE else "",
        at=silence.since,
        until=silence.until if kind is OrderKind.SILENCE else None,
        silence=silence if kind is OrderKind.SILENCE else None,
        silence_id=silence.silence_id,
    )


def _ordered(silence: Silence, met: tuple[AlertStatus, ...]) -> SilenceOrdered:
    note = ""
    if not met:
        note = "it matches nothing now; what it matches until its end is told to nobody"
    elif any(alert.told_at is not None for alert in met):
        note = "people were told already: the end is told to them all the same"
    return SilenceOrdered(silence=silence_status(silence, met), alerts=met, note=note)


def _meant(name: str, known: Iterable[str], none: str) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name[:200], names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"there is: {', '.join(names[:8])}" if names else none
