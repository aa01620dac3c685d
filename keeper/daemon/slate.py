"""Keeps a stream's broadcast open with a slate while no host shows a picture; core/slate.py says when.

One task for each stream that wants a slate, which alone begins and ends it, so there is never a second one.
It looks five times a second at what is known, for a host that is back must not wait for a tick. Nothing waits
for it: it has no part in repairs, and what goes wrong here is told once and tried again later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from keeper.core.events import Event, SlateLost, SlateRefused, SlateStarted, SlateYielded
from keeper.core.model import IntentKind, SlotId, StreamName, stream_of
from keeper.core.slate import (
    SENTENCES,
    SlateSeen,
    SlateShown,
    SlateTerms,
    SlateWhy,
    choose,
    picture_in_s,
)
from keeper.daemon.slate_sight import IngestWord, Known, Sight, is_barred
from keeper.ports import Clock, Network, PortError, Showing, SlateLook, Slates

_LOOK_S = 0.2
_IDLE_S = 1.0
_WAY_MAX_S = 5.0  # more than an end takes that must be forced
_GO_ON_S = 2.0
_RESTS_S = (10.0, 20.0, 60.0, 300.0, 600.0)  # after the first failure, the second, …
_WRONG_S = 60.0  # a countdown that is wrong by more is set anew
# Acts that end in a publisher; of these, those that do within seconds.
_RESTARTING = frozenset({IntentKind.RESTART, IntentKind.SWAP})
_STARTING = frozenset({IntentKind.DEPLOY, IntentKind.START}) | _RESTARTING


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSlate:
    """A stream's slate as configured. The address of the ingest holds its key."""

    terms: SlateTerms
    look: SlateLook
    ingest_url: str = field(repr=False)
    stat_url: str = ""


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

    async def make_way(self, slot: SlotId, kind: IntentKind) -> None:
        """Wait until no slate stands in the way of an act that is under way; seconds at most."""
        kept = self._kept.get(stream_of(slot))
        if kept is not None and kind in _STARTING:
            await kept[0].make_way()

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
            kept = _Kept(
                name,
                declared[name],
                slates,
                network=self._network,
                clock=self._clock,
                known=self._known,
                note=self._note,
            )
            self._kept[name] = kept, group.create_task(kept.keep(), name=f"slate:{name}")


class _Kept:
    """One stream's slate."""

    def __init__(
        self,
        stream: StreamName,
        declared: DeclaredSlate,
        slates: Slates,
        *,
        network: Network,
        clock: Clock,
        known: Callable[[], Known],
        note: Callable[[Event], None],
    ) -> None:
        self.stream = stream
        self.declared = declared
        self._slates = slates
        self._clock = clock
        self._known, self._note = known, note
        now_s = self._clock.monotonic()
        self.shown = SlateShown(is_on=False, why=SlateWhy.NOT_YET, since=self._clock.now())
        self._showing: Showing | None = None
        self._on_s = 0.0  # since when
        self._beginning: asyncio.Task[None] | None = None
        self._sight = Sight(stream, self._clock)
        self._word = IngestWord(
            network,
            self._clock,
            stat_url=declared.stat_url,
            ingest_url=declared.ingest_url,
        )
        self._rest_until_s, self._failures, self._told = now_s, 0, ""
        self._is_spent = False
        self._left_s, self._left_at_s, self._aimed_s = 0.0, now_s, now_s

    async def keep(self) -> None:
        """Keep it for ever. Whatever ends this ends the slate first."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._word.ask(self._ours))
                await self._prepare()
                while True:
                    await self._look(group)
                    await asyncio.sleep(_LOOK_S)
        finally:
            await asyncio.shield(self._end())

    async def make_way(self) -> None:
        """Wait until what is seen of the act has ended the slate, if it does; no act waits for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAY_MAX_S):
                while self._is_in_the_way():  # noqa: ASYNC110 - it is looked at, as everything is here
                    await asyncio.sleep(_LOOK_S / 4)

    def _is_in_the_way(self) -> bool:
        if self._ours() == 0:
            return False
        known, now_s = self._known(), self._clock.monotonic()
        return not choose(self._seen(known, now_s), self.declared.terms).is_on

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

    def _seen(self, known: Known, now_s: float) -> SlateSeen:
        sight, word = self._sight, self._word
        if sight.look(known, now_s):
            self._is_spent, self._failures = False, 0
        acting = {kind for slot, kind in known.acting if stream_of(slot) == self.stream}
        bar = is_barred(known.snapshot, known.stream(self.stream), self._clock.now())
        return SlateSeen(
            is_barred=known.is_stopping or bar,
            dark_s=now_s - sight.good_s,
            publisher=sight.publisher,
            publisher_s=now_s - sight.publisher_s,
            ingest=word.now(now_s),
            ingest_s=now_s - word.since_s,
            is_starting=bool(acting & _STARTING),
            is_restarting=bool(acting & _RESTARTING),
            on_s=now_s - self._on_s if self._showing is not None else None,
            is_spent=self._is_spent,
            is_resting=now_s < self._rest_until_s,
        )

    def _ours(self) -> int | None:
        is_beginning = self._beginning is not None and not self._beginning.done()
        return None if is_beginning else int(self._showing is not None)

    # --- what is done ---------------------------------------------------------------------------------

    async def _begin(self, known: Known, seen: SlateSeen) -> None:
        left_s = self._left(known)
        try:
            await self._slates.prepare(self.declared.look)  # a person may have cleared the folder
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
        called_s = self._sight.good_s if why is SlateWhy.GOOD_FRAME else now_s
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
        self._sight.begin_anew(now_s)
        self._word.begin_anew(now_s)

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
        stream = known.stream(self.stream)
        if snapshot is None or stream is None or not stream.slots:
            return 0.0
        record = snapshot.records.get(stream.slots[0])
        return picture_in_s(record, stream.policy, self._clock.now())

    def _show(self, why: SlateWhy) -> None:
        is_on = self._showing is not None
        if (is_on, why) != (self.shown.is_on, self.shown.why):
            since = self.shown.since if is_on is self.shown.is_on else self._clock.now()
            self.shown = SlateShown(is_on=is_on, why=why, since=since)
