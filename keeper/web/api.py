"""The API: read what keeper sees and decided, follow it, and order.

Every handler copes with a keeper that has not finished its first tick. Nothing here decides.
"""

from __future__ import annotations

import asyncio
import difflib
import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from weakref import WeakSet

import orjson
from aiohttp import web
from aiohttp_sse import sse_response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from keeper.core.labels import parse
from keeper.core.model import InstanceId, OfferId, SlotId, StreamName, is_spare, stream_of
from keeper.core.pauses import of_slots, stream_at
from keeper.core.strays import is_confirmed, strays
from keeper.core.text import plain
from keeper.core.world import PAUSE_DEFAULT_S, Order, OrderKind
from keeper.ports import JournalEntry
from keeper.web.answers import (
    CONTROL,
    RUNBOOKS_URL,
    Problem,
    allow_order,
    json_answer,
    now_of,
    plain_values,
    read_body,
    snapshot_of,
)
from keeper.web.explain import explain
from keeper.web.shapes import EventPage, EventStatus, OrderStatus, ReloadStatus
from keeper.web.spending import spending_of
from keeper.web.status import plan_of, status_of
from keeper.web.targets import PORT_DEFAULT, PORT_MAX, targets_of
from keeper.web.view import is_jpeg
from keeper.web.words import LEVELS, words

# The tasks of open event streams, so that a stop need not wait for their viewers: one open tab held
# the shutdown for twice its time-out (seen with aiohttp 3.14).
FOLLOWERS: Final = web.AppKey("followers", WeakSet[asyncio.Task[Any]])
# What can be asked of a spare: it serves nobody, so there is nothing to restart or to fill by hand.
_FOR_SPARES = (
    OrderKind.REPLACE,
    OrderKind.DESTROY,
    OrderKind.PAUSE,
    OrderKind.RESUME,
    OrderKind.END,
)
_FOLLOWERS_MAX = 64
_FOLLOW_APART_S = 1.0  # a page need not be redrawn more often
_FOLLOW_LOOK_S = 10.0  # notice within this time that a follower has gone
_EVENTS_MAX = 1000
_EVENTS_DEFAULT = 200
_SEQ_MAX = 2**63 - 1


# What waits for viewers, unless it is said that it is not to.
_WAITING = (OrderKind.RESTART, OrderKind.REPLACE, OrderKind.DEPLOY)


class OrderBody(BaseModel):
    """An operator's order. Without a slot or stream, pause and resume are for the whole fleet."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Annotated[OrderKind, Field(strict=False)]
    slot: Annotated[str, StringConstraints(max_length=200)] | None = None
    reason: Annotated[str, StringConstraints(max_length=500)] = ""
    stream: Annotated[str, StringConstraints(max_length=200)] | None = None  # pause, resume
    # adopt, end: this stray and no other. Without a slot it is adopted into that of its label.
    instance_id: Annotated[int, Field(gt=0, le=2**63 - 1)] | None = None
    # A pause ends by itself: after so long, by default after four hours …
    until_s: Annotated[float, Field(gt=0, le=30 * 86_400)] | None = None
    for_ever: bool = False  # … unless this is said
    offer_id: Annotated[int, Field(gt=0, le=2**63 - 1)] | None = None  # rent: this one and no other
    is_now: bool = False  # restart, replace, deploy: viewers are not waited for


async def get_status(request: web.Request) -> web.Response:
    """Everything, at one moment."""
    control, runbooks_url = request.app[CONTROL], request.app[RUNBOOKS_URL]()
    status = status_of(snapshot_of(request), now_of(request), control, control, runbooks_url)
    return json_answer(status)


async def get_plan(request: web.Request) -> web.Response:
    """What the last tick decided, and why."""
    return json_answer(plan_of(snapshot_of(request)))


async def get_spend(request: web.Request) -> web.Response:
    """What was spent, what runs, the caps and where it leads."""
    return json_answer(spending_of(snapshot_of(request), now_of(request)))


async def get_targets(request: web.Request) -> web.Response:
    """Where Prometheus finds a port of the GPU hosts, in its own format."""
    port = number(request, "port", PORT_DEFAULT, 1, PORT_MAX)
    return json_answer(targets_of(snapshot_of(request), port))


async def get_explain(request: web.Request) -> web.Response:
    """Why a slot is as it is and why keeper does, or does not, act."""
    slot = request.query.get("slot", "")
    if not slot:
        raise Problem(400, "which slot?", "give ?slot=STREAM/REPLICA")
    snapshot = snapshot_of(request)
    explained = explain(snapshot, SlotId(slot), now_of(request), request.app[CONTROL])
    if explained is None:
        raise no_such_slot(request, slot)
    return json_answer(explained)


async def get_events(request: web.Request) -> web.Response:
    """The newest facts of the journal, oldest first, each also as a sentence."""
    slot = request.query.get("slot") or None
    entries = await request.app[CONTROL].journal(
        slot=SlotId(slot) if slot is not None else None,
        limit=number(request, "limit", _EVENTS_DEFAULT, 1, _EVENTS_MAX),
        after_seq=number(request, "after", 0, 0, _SEQ_MAX),
    )
    events = tuple(event_status(entry) for entry in entries)
    after = events[-1].seq if events else number(request, "after", 0, 0, _SEQ_MAX)
    return json_answer(EventPage(events=events, next_after=after))


def event_status(entry: JournalEntry) -> EventStatus:
    """Describe a journal entry."""
    facts = plain_values(entry.facts)
    return EventStatus(
        seq=entry.seq,
        at=entry.at,
        tick=entry.tick,
        event=plain(entry.event, 100),
        level=LEVELS.get(entry.event, "info"),
        slot=entry.slot,
        words=words(entry.event, entry.facts),
        facts=facts,
    )


async def post_order(request: web.Request) -> web.Response:
    """Take an order; the next tick acts on it."""
    actor = allow_order(request)
    body = read_body(await request.read(), OrderBody, "the order is not understood")
    if nonsense := _nonsense(body):
        raise Problem(422, "the order is not understood", nonsense)
    if body.stream is not None:
        known = {stream_of(slot) for slot in snapshot_of(request).records}
        if body.kind is OrderKind.RESUME:  # a pause may outlive what it was for
            known |= {stream_at(key) for key in snapshot_of(request).world.slot_pauses}
        if body.stream not in known:
            raise Problem(404, "no such stream", f"there is no stream {plain(body.stream, 100)!r}")
    if body.slot is not None:
        record = snapshot_of(request).records.get(SlotId(body.slot))
        is_left = (
            body.kind is OrderKind.RESUME
            and SlotId(body.slot) in of_slots(snapshot_of(request).world.slot_pauses)
        )  # fmt: skip
        if record is None and not is_left:
            raise no_such_slot(request, body.slot)
        if is_spare(SlotId(body.slot)) and body.kind not in _FOR_SPARES:
            raise Problem(
                409, "this is the place of a spare", f"a spare is not there to {body.kind}",
                cure="order replace or destroy for a spare; everything else for the slot it serves",
            )  # fmt: skip
        if body.kind is OrderKind.RENT and record is not None and record.tenure is not None:
            raise Problem(
                409, "the slot has a host", f"nothing was rented for {plain(body.slot, 100)}",
                cure="order replace, to give it another one",
            )  # fmt: skip
    slot = None if body.slot is None else SlotId(body.slot)
    if body.instance_id is not None:
        slot = _stray(request, InstanceId(body.instance_id), body.kind, slot)
    now = now_of(request)
    order = Order(
        order_id=uuid.uuid4().hex,
        kind=body.kind,
        slot=slot,
        instance_id=InstanceId(body.instance_id) if body.instance_id is not None else None,
        actor=actor,
        reason=plain(body.reason),
        at=now,
        until=_until(body, now),
        is_now=body.is_now,
        offer_id=OfferId(body.offer_id) if body.offer_id is not None else None,
        stream=StreamName(body.stream) if body.stream is not None else None,
    )
    await request.app[CONTROL].order(order)
    answer = OrderStatus(
        order_id=order.order_id,
        kind=order.kind,
        slot=order.slot,
        actor=order.actor,
        until=order.until,
        offer_id=order.offer_id,
        instance_id=order.instance_id,
        stream=order.stream,
    )
    return json_answer(answer, 202)


def _stray(
    request: web.Request, instance_id: InstanceId, kind: OrderKind, slot: SlotId | None
) -> SlotId | None:
    """Return the slot for a stray; refuse what is no stray, not seen twice, or has no place."""
    snapshot = snapshot_of(request)
    world = snapshot.world
    listed = {each.instance_id: each for each in world.listing.instances} if world.listing else {}
    instance = listed.get(instance_id)
    if instance_id not in strays(snapshot):
        if instance is None:
            raise Problem(404, "no such stray", f"no listing shows a rental {instance_id}")
        detail = f"rental {instance_id} is not a stray of keeper's, so it is not touched"
        raise Problem(409, "no stray", detail, cure="`keeper status` names the strays")
    if instance is None or not is_confirmed(world, instance_id):
        raise Problem(
            503, "seen once", f"only one listing has shown rental {instance_id} as a stray so far",
            cure="try again in a minute",
        )  # fmt: skip
    if kind is OrderKind.END:
        return None
    label = parse(instance.label)
    slot = slot or (None if label is None else label.slot)
    record = None if slot is None else snapshot.records.get(slot)
    if record is None or slot is None:
        known = ", ".join(sorted(snapshot.records))
        raise Problem(
            409, "no place for it", f"the label of rental {instance_id} names no slot of keeper's",
            cure=f"say which slot takes it: {plain(known, 300)}",
        )  # fmt: skip
    if record.tenure is not None or record.incoming is not None:
        raise Problem(
            409, "the slot has a host", f"nothing was adopted into {plain(slot, 100)}",
            cure="end its host first, or name another slot",
        )  # fmt: skip
    return slot


def _nonsense(body: OrderBody) -> str:
    """Say what in an order cannot be meant; "" when all of it can."""
    is_pause = body.kind is OrderKind.PAUSE
    is_wide = body.kind in {OrderKind.PAUSE, OrderKind.RESUME, OrderKind.DEPLOY}
    is_of_stray = body.kind in {OrderKind.ADOPT, OrderKind.END}
    if body.kind in {OrderKind.SILENCE, OrderKind.UNSILENCE}:
        return "a silence is asked for, and ended, at /api/v1/silences"
    if is_of_stray is not (body.instance_id is not None):
        return "adopt and end are for one stray rental, by its instance_id, and nothing else is"
    if body.kind is OrderKind.END and body.slot is not None:
        return "a stray is in no slot"
    if not is_wide and not is_of_stray and body.slot is None:
        return f"{body.kind} needs a slot"
    if body.kind is OrderKind.DEPLOY and body.slot is None and body.stream is None:
        return "deploy needs a stream, or a slot"
    if body.stream is not None and (not is_wide or body.slot is not None):
        return "a stream is for pause, resume and deploy, in place of a slot"
    if (body.until_s is not None or body.for_ever) and not is_pause:
        return "only a pause ends by itself"
    if body.until_s is not None and body.for_ever:
        return "a pause for ever has no end"
    if body.is_now and body.kind not in _WAITING:
        return "only restart, replace and deploy wait for viewers"
    if body.offer_id is not None and body.kind is not OrderKind.RENT:
        return "only rent takes an offer"
    return ""


def _until(body: OrderBody, now: datetime) -> datetime | None:
    """Return when a pause ends; one that must be forgotten by nobody ends by itself."""
    if body.kind is not OrderKind.PAUSE or body.for_ever:
        return None
    return now + timedelta(seconds=PAUSE_DEFAULT_S if body.until_s is None else body.until_s)


async def post_reload(request: web.Request) -> web.Response:
    """Read the configuration again; a bad one keeps the old and is answered with every finding."""
    allow_order(request)
    report = await request.app[CONTROL].reload()
    if report.problems:
        raise Problem(
            422,
            "the new configuration was rejected; the old one stays",
            plain(report.problems[0]),
            problems=[plain(problem) for problem in report.problems],
        )
    return json_answer(ReloadStatus(changed=report.changed))


async def get_stream(request: web.Request) -> web.StreamResponse:
    """Follow: one server-sent event per new snapshot, at most one a second."""
    followers = request.app[FOLLOWERS]
    if len(followers) >= _FOLLOWERS_MAX:
        raise Problem(503, "too many followers", cure="close some pages")
    control = request.app[CONTROL]
    task = asyncio.current_task()
    assert task is not None
    followers.add(task)
    try:
        async with sse_response(request) as response:
            shown = None
            while response.is_connected():
                snapshot = control.snapshot()
                if snapshot is not None and snapshot is not shown:
                    shown = snapshot
                    news = {
                        "tick": snapshot.tick,
                        "at": snapshot.at,
                        "doing": snapshot.plan.sentence(),
                    }
                    await response.send(
                        orjson.dumps(news).decode(), id=str(snapshot.tick), event="snapshot"
                    )
                    await asyncio.sleep(_FOLLOW_APART_S)
                    continue
                try:
                    async with asyncio.timeout(_FOLLOW_LOOK_S):
                        await control.changed()
                except TimeoutError:
                    continue
        return response
    except (ConnectionResetError, TimeoutError):
        return web.Response()  # the follower has gone; nobody reads this
    finally:
        followers.discard(task)


async def end_followers(app: web.Application) -> None:
    """End every event stream at once; the viewers reconnect when keeper is back."""
    followers = app[FOLLOWERS]
    for task in tuple(followers):
        task.cancel()


async def get_thumbnail(request: web.Request) -> web.StreamResponse:
    """The newest picture that viewers of a slot saw. Asked for again it is sent only if it is another."""
    slot = SlotId(f"{request.match_info['stream']}/{request.match_info['replica']}")
    found = request.app[CONTROL].thumbnail(slot)
    if found is None or not is_jpeg(found.jpeg):
        raise Problem(404, "no picture", f"no viewer has seen {plain(slot, 100)} yet")
    # Kept by the browser alone, and shown again only after keeper was asked: a picture of a stream may
    # be meant for few eyes, and an old one is worse than none.
    known = {"ETag": f'"{found.at.timestamp():.6f}"', "Cache-Control": "private, no-cache"}
    if known["ETag"] in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=known)
    answer = web.Response(body=found.jpeg, content_type="image/jpeg", headers=known)
    answer.last_modified = found.at
    return answer


def number(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """Read a number of the query. Problem 400: it is none, or out of bounds."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or not low <= int(text[:20]) <= high:
        raise Problem(400, f"{name} is a number from {low} to {high}")
    return int(text)


def no_such_slot(request: web.Request, slot: str) -> Problem:
    """Say that there is no such slot, and which name is near."""
    known = sorted(snapshot_of(request).records)
    close = difflib.get_close_matches(slot[:200], known, n=1)
    cure = f"did you mean {close[0]}?" if close else "see /api/v1/status for the slots"
    return Problem(404, "no such slot", f"there is no slot {plain(slot, 100)!r}", cure=cure)
