"""Keeps a stream's broadcast open with a slate while no host shows a picture; core/slate.py says when.

One task for each stream that wants a slate, which alone begins and ends it, so there is never a second one.
It looks five times a second at what is known, for a host that is back must not wait for a tick. Nothing waits
for it: it has no part in repairs, and what goes wrong here is told once and tried again later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from keeper.core.events import Event, SlateLost, SlateRefused, SlateStarted, SlateYielded
from keeper.core.model import (
    Condemned,
    Instance,
    InstanceId,
    IntentKind,
    Mode,
    Reading,
    SlotId,
    Status,
    Stream,
    StreamName,
    Subject,
    stream_of,
)
from keeper.core.slate import (
    SENTENCES,
    Ingest,
    Publisher,
    Rental,
    SlateSeen,
    SlateShown,
    SlateTerms,
    SlateWhy,
    choose,
    picture_in_s,
    publisher_among,
)
from keeper.core.windows import Allowance, strictest
from keeper.core.world import Snapshot
from keeper.ports import (
    Clock,
    HttpRequest,
    Network,
    PortError,
    Showing,
    SlateLook,
    Slates,
)
from keeper.probes.ingest import STAT_MAX_BYTES, publishers_at

_LOOK_S = 0.2
_IDLE_S = 1.0
_GO_ON_S = 2.0
_STAT_S = 2.0
_STAT_TIMEOUT_S = 4.0
_STAT_STALE_S = 10.0
_RESTS_S = (10.0, 20.0, 60.0, 300.0, 600.0)  # after the first failure, the second, …
_AIM_S = 10.0
_WRONG_S = 60.0  # a countdown that is wrong by more is set anew
_LOOK_OLD_S = (
    15.0  # a look is pinned as soon as it is judged; what seems older is a clock that was set
)
_HOSTS_MAX = 100
_STARTING = frozenset({IntentKind.DEPLOY, IntentKind.RESTART, IntentKind.START})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSlate:
    """A stream's slate as configured. The address of the ingest holds its key."""

    terms: SlateTerms
    look: SlateLook
    ingest_url: str = field(repr=False)
    stat_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the rest of the daemon knows, as the slates ask for it at each look."""

    snapshot: Snapshot | None
    latest: Mapping[tuple[InstanceId, Subject], Reading]
    acting: tuple[tuple[SlotId, IntentKind], ...]  # acts under way
    is_stopping: bool


class SlateKeeper:
    """The slates of all streams."""

    def __init__(
        self,
        slates: Slates | None,
        *,
        network: Network,
        clock: Clock,
        declared: Callable[[], Mapping[StreamName, DeclaredSlate]],
        known: Callable[[], Known],
        note: Callable[[Event], None],
    ) -> None:
        self._slates = slates
        self._network = network
        self._clock = clock
        self._declared = declared
        self._known = known
        self._note = note
        self._kept: dict[StreamName, tuple[_Kept, asyncio.Task[None]]] = {}

    @property
    def shown(self) -> Mapping[StreamName, SlateShown]:
        """How each declared slate is now."""
        return {name: kept.shown for name, (kept, _) in self._kept.items()}

    async def run(self) -> None:
        """Keep every declared slate for ever; ends all of them when cancelled."""
        if self._slates is None:
            await asyncio.Event().wait()  # nobody could show one, and not even a look is made
            return
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._follow(group, self._slates)
                    await asyncio.sleep(_LOOK_S if self._kept else _IDLE_S)
        finally:
            self._kept.clear()

    async def _follow(self, group: asyncio.TaskGroup, slates: Slates) -> None:
        """Keep what is declared now, and nothing else."""
        declared = self._declared()
        others = [
            name for name, (kept, _) in self._kept.items() if kept.declared != declared.get(name)
        ]
        for name in others:
            # The one of before is gone for certain before there is another.
            _, task = self._kept[name]
            task.cancel()
            await asyncio.wait([task])
            del self._kept[name]
        for name in declared.keys() - self._kept.keys():
            kept = _Kept(name, declared[name], self, slates)
            self._kept[name] = kept, group.create_task(kept.keep(), name=f"slate:{name}")


class _Kept:
    """One stream's slate."""

    def __init__(
        self, stream: StreamName, declared: DeclaredSlate, owner: SlateKeeper, slates: Slates
    ) -> None:
        self.stream = stream
        self.declared = declared
        self._slates = slates
        self._network, self._clock = owner._network, owner._clock  # noqa: SLF001 - a part of it
        self._known, self._note = owner._known, owner._note  # noqa: SLF001 - likewise
        now_s = self._clock.monotonic()
        self.shown = SlateShown(is_on=False, why=SlateWhy.NOT_YET, since=self._clock.now())
        self._showing: Showing | None = None
        self._on_s = 0.0  # since when
        self._good_s = now_s  # the latest good look; before one: since keeper looks
        self._good: dict[InstanceId, Reading] = {}  # the latest such look at each host
        self._beginning: asyncio.Task[None] | None = None
        self._publisher: object = None
        self._publisher_s = now_s
        self._ingest, self._ingest_s, self._ingest_read_s = Ingest.UNKNOWN, now_s, now_s
        self._rest_until_s, self._failures, self._told = now_s, 0, ""
        self._is_spent = False
        self._left_s, self._left_at_s, self._aimed_s = 0.0, now_s, now_s

    async def keep(self) -> None:
        """Keep it for ever. Whatever ends this ends the slate first."""
        try:
            async with asyncio.TaskGroup() as group:
                if self.declared.stat_url:
                    group.create_task(self._ask_ingest())
                await self._prepare()
                while True:
                    await self._look(group)
                    await asyncio.sleep(_LOOK_S)
        finally:
            await asyncio.shield(self._end())

    async def _prepare(self) -> None:
        while True:
            try:
                await self._slates.prepare(self.declared.look)
            except PortError as error:
                self._fail(str(error))
                await asyncio.sleep(max(0.0, self._rest_until_s - self._clock.monotonic()))
            else:
                self._failures, self._told = 0, ""
                self._rest_until_s = self._clock.monotonic()
                return

    async def _look(self, group: asyncio.TaskGroup) -> None:
        known, now_s = self._known(), self._clock.monotonic()
        seen = self._seen(known, now_s)
        choice = choose(seen, self.declared.terms)
        showing, beginning = self._showing, self._beginning
        if beginning is not None and not beginning.done():
            if not choice.is_on:  # an ingest may take its time, and the host must not wait for it
                beginning.cancel()
                await asyncio.wait([beginning])
        elif showing is None:
            self._show(choice.why)
            if choice.is_on:
                self._beginning = group.create_task(self._begin(known, seen))
        elif (error := showing.ended_because()) is not None:
            self._lose(error, now_s)
        elif not choice.is_on:
            await self._yield(choice.why, now_s)
        else:
            self._show(choice.why)
            self._go_on(known, showing, now_s)

    # --- what is known --------------------------------------------------------------------------------

    def _seen(self, known: Known, now_s: float) -> SlateSeen:
        snapshot = known.snapshot
        stream = None if snapshot is None else _stream(snapshot, self.stream)
        is_on = self._showing is not None
        if snapshot is None or stream is None:
            publisher = Publisher.MAYBE
        else:
            self._see_pictures(snapshot, known, now_s)
            publisher = self._see_publisher(snapshot, stream, now_s)
        acting = {kind for slot, kind in known.acting if stream_of(slot) == self.stream}
        return SlateSeen(
            is_barred=known.is_stopping or _is_barred(snapshot, stream, self._clock.now()),
            dark_s=now_s - self._good_s,
            publisher=publisher,
            publisher_s=now_s - self._publisher_s,
            ingest=self._ingest_now(now_s),
            ingest_s=now_s - self._ingest_s,
            is_starting=bool(acting & _STARTING),
            is_restarting=IntentKind.RESTART in acting,
            on_s=now_s - self._on_s if is_on else None,
            is_spent=self._is_spent,
            is_resting=now_s < self._rest_until_s,
        )

    def _see_pictures(self, snapshot: Snapshot, known: Known, now_s: float) -> None:
        """Note the latest good look, as it was: what is believed after several comes too late here."""
        for rental in _rentals(snapshot, self.stream):
            instance_id = rental.tenure.instance_id
            reading = (
                None if instance_id is None else known.latest.get((instance_id, Subject.PICTURE))
            )
            if reading is None or reading.status is not Status.TRUE:
                continue
            if self._good.get(reading.instance_id) is not reading:
                # By identity: a clock that is set must not hide that a host is back.
                age_s = (self._clock.now() - reading.at).total_seconds()
                self._good[reading.instance_id] = reading
                self._good_s = max(self._good_s, now_s - min(max(0.0, age_s), _LOOK_OLD_S))
                self._is_spent, self._failures = False, 0
        if len(self._good) > _HOSTS_MAX:
            self._good.clear()

    def _see_publisher(self, snapshot: Snapshot, stream: Stream, now_s: float) -> Publisher:
        rentals = tuple(_rentals(snapshot, self.stream))
        ending = tuple(_ending(snapshot, self.stream))
        publisher = publisher_among(rentals, ending, stream.policy, self._clock.now())
        # Another process is another publisher, even where one answers for it as for the one before.
        mark = (
            publisher,
            tuple(
                (each.tenure.instance_id, each.tenure.process_identity, each.tenure.acted_at)
                for each in rentals
            ),
        )
        if mark != self._publisher:
            self._publisher, self._publisher_s = mark, now_s
        return publisher

    def _ingest_now(self, now_s: float) -> Ingest:
        is_old = now_s - self._ingest_read_s > _STAT_STALE_S
        return Ingest.UNKNOWN if is_old else self._ingest

    async def _ask_ingest(self) -> None:
        """Ask the ingest who publishes, every few seconds."""
        while True:
            was_on = self._showing is not None
            asked_s = self._clock.monotonic()
            publishers = await self._publishers()
            if was_on is (self._showing is not None) and asked_s >= self._on_s:
                said = _said(publishers, is_on=was_on)
                now_s = self._clock.monotonic()
                if said is not self._ingest or now_s - self._ingest_read_s > _STAT_STALE_S:
                    self._ingest, self._ingest_s = said, now_s
                self._ingest_read_s = now_s
            await asyncio.sleep(_STAT_S)

    async def _publishers(self) -> int | None:
        request = HttpRequest(
            method="GET",
            url=self.declared.stat_url,
            timeout_s=_STAT_TIMEOUT_S,
            reply_max_bytes=STAT_MAX_BYTES,
        )
        try:
            async with asyncio.timeout(_STAT_TIMEOUT_S * 2):
                reply = await self._network.fetch(request)
        except (PortError, TimeoutError):
            return None
        if reply.status != 200:  # noqa: PLR2004 - HTTP's word for yes
            return None
        return publishers_at(reply.body, self.declared.ingest_url)

    # --- what is done ---------------------------------------------------------------------------------

    async def _begin(self, known: Known, seen: SlateSeen) -> None:
        left_s = self._left(known)
        try:
            showing = await self._slates.begin(
                self.stream, self.declared.look, self.declared.ingest_url, left_s
            )
        except PortError as error:
            self._fail(str(error))
            return
        now_s = self._clock.monotonic()
        self._showing, self._on_s, self._aimed_s = showing, now_s, now_s
        self._left_s, self._left_at_s = left_s, now_s
        self._told, self._failures = "", 0
        self._show(SlateWhy.STAYS)
        self._note(
            SlateStarted(
                stream=self.stream,
                why=SlateWhy.DARK,
                dark_s=round(seen.dark_s, 1),
                left_s=round(left_s),
            )
        )

    def _go_on(self, known: Known, showing: Showing, now_s: float) -> None:
        if now_s < self._aimed_s + _GO_ON_S:
            return
        self._aimed_s = now_s
        showing.go_on()
        left_s = self._left(known)
        says_s = max(0.0, self._left_s - (now_s - self._left_at_s))
        if abs(left_s - says_s) > _WRONG_S:
            self._left_s, self._left_at_s = left_s, now_s
            showing.aim(left_s)

    async def _yield(self, why: SlateWhy, now_s: float) -> None:
        on_s = now_s - self._on_s
        called_s = self._good_s if why is SlateWhy.GOOD_FRAME else now_s
        await asyncio.shield(self._end())
        ended_s = self._clock.monotonic()
        self._begin_anew(ended_s)
        self._is_spent = self._is_spent or why is SlateWhy.TOO_LONG
        self._show(why)
        self._note(
            SlateYielded(
                stream=self.stream,
                why=why,
                detail=SENTENCES[why],
                duration_s=round(on_s, 3),
                yield_s=round(max(0.0, ended_s - called_s), 3),
            )
        )

    def _lose(self, error: str, now_s: float) -> None:
        """Take the end of the connection for somebody else's beginning: stay down until that is refuted."""
        self._showing = None
        on_s = now_s - self._on_s
        self._begin_anew(now_s)
        rest_s = self._rest(at_least_s=self.declared.terms.after_s)
        self._show(SlateWhy.RESTING)
        self._note(
            SlateLost(
                stream=self.stream,
                error=error,
                duration_s=round(on_s, 3),
                retry_after_s=rest_s,
            )
        )

    async def _end(self) -> None:
        showing = self._showing
        if showing is not None:
            await showing.end()
            self._showing = None

    def _begin_anew(self, now_s: float) -> None:
        """Count anew what is certain of the ingest: the slate itself was there until now."""
        self._publisher_s = max(self._publisher_s, now_s)
        self._ingest, self._ingest_s = Ingest.UNKNOWN, now_s

    def _fail(self, error: str) -> None:
        rest_s = self._rest(at_least_s=0.0)
        self._show(SlateWhy.RESTING)
        if error != self._told:
            self._told = error
            self._note(SlateRefused(stream=self.stream, error=error, retry_after_s=rest_s))

    def _rest(self, *, at_least_s: float) -> float:
        rest_s = max(at_least_s, _RESTS_S[min(self._failures, len(_RESTS_S) - 1)])
        self._failures += 1
        self._rest_until_s = self._clock.monotonic() + rest_s
        return rest_s

    def _left(self, known: Known) -> float:
        snapshot = known.snapshot
        stream = None if snapshot is None else _stream(snapshot, self.stream)
        if snapshot is None or stream is None or not stream.slots:
            return 0.0
        record = snapshot.records.get(stream.slots[0])
        return picture_in_s(record, stream.policy, self._clock.now())

    def _show(self, why: SlateWhy) -> None:
        is_on = self._showing is not None
        if (is_on, why) != (self.shown.is_on, self.shown.why):
            since = self.shown.since if is_on is self.shown.is_on else self._clock.now()
            self.shown = SlateShown(is_on=is_on, why=why, since=since)


def _stream(snapshot: Snapshot, name: StreamName) -> Stream | None:
    return next((each for each in snapshot.desired.streams if each.name == name), None)


def _is_barred(snapshot: Snapshot | None, stream: Stream | None, now: datetime) -> bool:
    """Whether keeper keeps its hands off the stream, or the stream is not wanted."""
    if snapshot is None or stream is None or len(stream.slots) != 1 or stream.mode is not Mode.ACT:
        return True
    world, slot = snapshot.world, stream.slots[0]
    record = snapshot.records.get(slot)
    window = strictest(world.windows, stream.name, now)
    return (
        not world.is_leader
        or world.pause is not None
        or slot in world.slot_pauses
        or (window is not None and window.allow is Allowance.OBSERVE)
        or (record is not None and record.destroy_asked_at is not None)
    )


def _listed(snapshot: Snapshot, instance_id: InstanceId | None) -> Instance | None:
    listing = snapshot.world.listing
    if listing is None or instance_id is None:
        return None
    if (snapshot.at - listing.at).total_seconds() > snapshot.desired.fleet.listing_stale_s:
        return None
    return next((each for each in listing.instances if each.instance_id == instance_id), None)


def _rentals(snapshot: Snapshot, name: StreamName) -> Iterator[Rental]:
    """Yield the rentals of a stream's slots, and of its spares: a warm one may have been started."""
    for slot, record in snapshot.records.items():
        if stream_of(slot) == name:
            for tenure in (record.tenure, record.incoming):
                if tenure is not None:
                    yield Rental(tenure=tenure, listed=_listed(snapshot, tenure.instance_id))


def _ending(snapshot: Snapshot, name: StreamName) -> Iterator[tuple[Condemned, Instance | None]]:
    for each in snapshot.plan.condemned:
        if each.slot is not None and stream_of(each.slot) == name:
            yield each, _listed(snapshot, each.instance_id)


def _said(publishers: int | None, *, is_on: bool) -> Ingest:
    if publishers is None:
        return Ingest.UNKNOWN
    return Ingest.TAKEN if publishers > (1 if is_on else 0) else Ingest.EMPTY
