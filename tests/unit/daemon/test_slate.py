"""The task that begins and ends slates: in time, never two at once, and none left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from keeper.core.events import Event, SlateLost, SlateRefused, SlateStarted, SlateYielded
from keeper.core.model import (
    InstanceId,
    IntentKind,
    Mode,
    Reading,
    SlotId,
    Status,
    StreamName,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.slate import SecondPublisher, SlateTerms, SlateWhy
from keeper.core.world import Pause, Snapshot
from keeper.daemon.slate import DeclaredSlate, SlateKeeper
from keeper.daemon.slate_sight import Known
from keeper.ports import HttpReply, HttpRequest, SlateLook, Unreachable
from keeper.sim.loop import VirtualClock, run
from tests.snapshots import conditions, record, snapshot, stream, tenure

DUEL, SLOT, HOST = StreamName("duel"), SlotId("duel/0"), InstanceId(7001)
LOOK = SlateLook(title="Duel")
URL = "rtmp://ingest.example/live/key"
DECLARED = DeclaredSlate(terms=SlateTerms(after_s=20.0), look=LOOK, ingest_url=URL)
GONE = conditions(running=(Status.FALSE, Reason.PROCESS_GONE))
VACANT = snapshot(record(tenure=None), desired=snapshot(record()).desired)
ON_AIR = snapshot(record())
LAME = snapshot(record(tenure=tenure(conditions=GONE)))
GIVEN_UP = snapshot(
    record(tenure=tenure(conditions=conditions(running=(Status.FALSE, Reason.MANAGER_GAVE_UP))))
)


@dataclass
class Slate:
    """A slate of the studio's."""

    studio: Studio
    said: list[str] = field(default_factory=list)
    is_on: bool = True
    broke: str | None = None

    def go_on(self) -> None:
        self.said.append("on")

    def aim(self, left_s: float) -> None:
        self.said.append(f"aim {left_s:.0f}")

    def ended_because(self) -> str | None:
        return self.broke

    async def end(self) -> None:
        await asyncio.sleep(self.studio.leave_s)
        self.is_on = False


@dataclass
class Studio:
    """Shows slates, and never two: a real one is refused by the lock then."""

    connect_s: float = 0.1
    leave_s: float = 0.05
    refuses: str = ""
    unfit: str = ""
    shown: list[Slate] = field(default_factory=list)
    tries: int = 0
    prepared: int = 0

    async def prepare(self, look: SlateLook) -> None:
        self.prepared += 1
        await asyncio.sleep(0.1 if self.prepared == 1 else 0.0)
        if self.unfit:
            raise Unreachable(self.unfit)

    async def begin(
        self, stream: StreamName, look: SlateLook, ingest_url: str, left_s: float
    ) -> Slate:
        assert ingest_url == URL
        self.tries += 1
        assert not self.on, "two at once"
        await asyncio.sleep(self.connect_s)
        if self.refuses:
            raise Unreachable(self.refuses)
        assert not self.on, "two at once"
        self.shown.append(Slate(self))
        return self.shown[-1]

    @property
    def on(self) -> list[Slate]:
        return [each for each in self.shown if each.is_on and each.broke is None]


@dataclass
class StatPage:
    """The statistics of an ingest: what it says of its publishers, if it answers."""

    publishers: int = 0
    is_down: bool = False

    async def fetch(self, request: HttpRequest) -> HttpReply:
        await asyncio.sleep(0.05)
        if self.is_down:
            raise Unreachable("refused")
        clients = "<client><publishing/></client>" * self.publishers
        page = (
            "<rtmp><server><application><name>live</name><live><stream><name>key</name>"
            f"{clients}</stream></live></application></server></rtmp>"
        )
        return HttpReply(status=200, headers={}, body=page.encode(), elapsed_s=0.05)


class Stage:
    """A daemon's knowledge, as a test sets it, and a keeper of slates on top of it."""

    def __init__(self, declared: DeclaredSlate = DECLARED) -> None:
        self.clock = VirtualClock()
        self.studio, self.page = Studio(), StatPage()
        self.known = Known(snapshot=VACANT, latest={}, acting=(), is_stopping=False)
        self.declared: Mapping[StreamName, DeclaredSlate] = {DUEL: declared}
        self.facts: list[Event] = []
        self.keeper = SlateKeeper(
            self.studio,
            network=self.page,  # type: ignore[arg-type]
            clock=self.clock,
            declared=lambda: self.declared,
            known=lambda: self.known,
            note=self.facts.append,
        )

    def knows(self, seen: Snapshot | None = None, **more: Any) -> None:
        if seen is not None:
            more["snapshot"] = seen
        self.known = replace(self.known, **more)

    def sees(self, status: Status = Status.TRUE, host: InstanceId = HOST) -> None:
        reading = Reading(
            instance_id=host,
            subject=Subject.PICTURE,
            status=status,
            reason=Reason.LIVE,
            at=self.clock.now(),
        )
        self.known = replace(self.known, latest={(host, Subject.PICTURE): reading})

    def told(self, kind: type[Event]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def is_on(self) -> bool:
        return bool(self.studio.on)

    def why(self) -> SlateWhy:
        return self.keeper.shown[DUEL].why


def play(story: Callable[[Stage], Awaitable[None]], declared: DeclaredSlate = DECLARED) -> Stage:
    """Play a story beside a running keeper of slates; afterwards it is cancelled, and none is left."""

    async def whole() -> Stage:
        stage = Stage(declared)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(stage.keeper.run())
            await story(stage)
            task.cancel()
        assert not stage.studio.on
        return stage

    return run(whole())


def test_begins_after_the_declared_darkness_and_makes_way_at_the_first_good_look() -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(19.0)
        assert not stage.is_on
        await asyncio.sleep(2.0)
        assert stage.is_on
        await asyncio.sleep(60.0)
        stage.knows(ON_AIR)
        stage.sees()
        await asyncio.sleep(0.5)
        assert not stage.is_on

    stage = play(story)
    (began,) = stage.told(SlateStarted)
    assert 20.0 <= began.dark_s < 21.0
    (ended,) = stage.told(SlateYielded)
    assert ended.why is SlateWhy.GOOD_FRAME
    assert 0.0 < ended.yield_s < 0.5
    assert 59.0 < ended.duration_s < 62.0


def test_looks_that_are_bad_or_failed_do_not_end_it() -> None:
    async def story(stage: Stage) -> None:
        stage.knows(LAME)
        await asyncio.sleep(25.0)
        for status in (Status.FALSE, Status.UNKNOWN):
            stage.sees(status)
            await asyncio.sleep(10.0)
            assert stage.is_on

    play(story)


@pytest.mark.parametrize("second", [SecondPublisher.ACCEPTED, SecondPublisher.REPLACES])
def test_a_process_that_may_come_again_gets_no_slate_where_both_would_publish(
    second: SecondPublisher,
) -> None:
    terms = replace(DECLARED.terms, second_publisher=second)

    async def story(stage: Stage) -> None:
        stage.knows(LAME)
        await asyncio.sleep(120.0)
        assert stage.why() is SlateWhy.NOT_CERTAIN
        assert not stage.studio.tries
        stage.knows(GIVEN_UP)
        await asyncio.sleep(30.0)
        assert stage.is_on
        stage.knows(LAME)  # somebody has told the manager to try again
        await asyncio.sleep(1.0)
        assert not stage.is_on

    play(story, replace(DECLARED, terms=terms, stat_url="http://ingest.example/stat"))


def test_a_host_on_air_that_freezes_gets_no_slate() -> None:
    async def story(stage: Stage) -> None:
        stage.knows(ON_AIR)
        stage.sees()
        await asyncio.sleep(15.0)
        assert stage.why() is SlateWhy.NOT_YET
        stage.sees(Status.FALSE)
        await asyncio.sleep(600.0)
        assert stage.why() is SlateWhy.NOT_CERTAIN
        stage.sees(Status.UNKNOWN)
        await asyncio.sleep(600.0)

    assert play(story).studio.tries == 0


def test_a_good_look_while_the_ingest_takes_its_time_breaks_it_off() -> None:
    async def story(stage: Stage) -> None:
        stage.studio.connect_s = 10.0
        await asyncio.sleep(22.0)
        assert stage.studio.tries == 1
        stage.knows(ON_AIR)
        stage.sees()
        await asyncio.sleep(30.0)

    stage = play(story)
    assert stage.studio.shown == []
    assert stage.facts == []


def test_is_told_to_go_on_and_aimed_anew_where_its_countdown_is_wrong() -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(60.0)
        (slate,) = stage.studio.on
        assert slate.said.count("on") >= 15
        assert not [word for word in slate.said if word.startswith("aim")]
        stage.knows(LAME)  # a repair is shorter than the way to another host
        await asyncio.sleep(5.0)
        assert [word for word in slate.said if word.startswith("aim")] == ["aim 60"]

    play(story)


def test_what_the_ingest_ends_stays_down_for_a_while_and_is_told() -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(30.0)
        stage.studio.on[0].broke = "the ingest has ended the connection"
        await asyncio.sleep(19.0)
        assert stage.why() is SlateWhy.RESTING
        assert len(stage.studio.shown) == 1
        await asyncio.sleep(3.0)
        assert len(stage.studio.shown) == 2

    stage = play(story)
    assert [fact.error for fact in stage.told(SlateLost)] == ["the ingest has ended the connection"]


def test_a_refusal_is_told_once_and_tried_ever_more_slowly() -> None:
    async def story(stage: Stage) -> None:
        stage.studio.refuses = "nobody is there"
        await asyncio.sleep(3600.0)
        stage.studio.refuses = ""
        await asyncio.sleep(700.0)
        assert stage.is_on

    stage = play(story)
    assert len(stage.told(SlateRefused)) == 1
    assert stage.studio.tries < 15


def test_a_look_that_cannot_be_rendered_is_told_once_and_never_shown() -> None:
    async def story(stage: Stage) -> None:
        stage.studio.unfit = "no such logo"
        await asyncio.sleep(3600.0)

    stage = play(story)
    assert [fact.error for fact in stage.told(SlateRefused)] == ["no such logo"]
    assert stage.studio.tries == 0
    assert stage.studio.prepared < 15


BARS: dict[str, Callable[[Stage], None]] = {
    "keeper stops": lambda stage: stage.knows(is_stopping=True),
    "all is paused": lambda stage: stage.knows(
        snapshot(
            record(tenure=None),
            pause=Pause(since=stage.clock.now(), until=None, actor="ann", reason=""),
        )
    ),
    "its slot is paused": lambda stage: stage.knows(
        snapshot(
            record(tenure=None),
            slot_pauses={SLOT: Pause(since=stage.clock.now(), until=None, actor="ann", reason="")},
        )
    ),
    "another keeper leads": lambda stage: stage.knows(
        snapshot(record(tenure=None), is_leader=False)
    ),
    "it is only observed": lambda stage: stage.knows(
        snapshot(
            record(tenure=None),
            desired=replace(VACANT.desired, streams=(stream(mode=Mode.OBSERVE),)),
        )
    ),
    "it has two hosts": lambda stage: stage.knows(snapshot(record(tenure=None), record("duel/1"))),
    "a person has ended it": lambda stage: stage.knows(
        snapshot(record(tenure=None, destroy_asked_at=stage.clock.now()))
    ),
    "it is declared no more": lambda stage: stage.knows(
        snapshot(desired=replace(VACANT.desired, streams=()))
    ),
    "nothing is known yet": lambda stage: stage.knows(None, snapshot=None),
}


@pytest.mark.parametrize("bar", BARS.values(), ids=BARS)
def test_ends_where_keeper_keeps_its_hands_off(bar: Callable[[Stage], None]) -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(30.0)
        assert stage.is_on
        bar(stage)
        await asyncio.sleep(0.5)
        assert not stage.is_on
        await asyncio.sleep(100.0)
        assert not stage.is_on

    play(story)


def test_a_restart_gets_the_ingest_and_a_first_deploy_keeps_the_slate() -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(30.0)
        stage.knows(acting=((SLOT, IntentKind.DEPLOY),))
        await asyncio.sleep(30.0)
        assert stage.is_on
        stage.knows(acting=((SlotId("other/0"), IntentKind.RESTART),))
        await asyncio.sleep(5.0)
        assert stage.is_on
        stage.knows(LAME, acting=((SLOT, IntentKind.RESTART),))
        await asyncio.sleep(0.5)
        assert not stage.is_on

    assert [fact.why for fact in play(story).told(SlateYielded)] == [SlateWhy.REPAIR]


def test_an_act_begins_once_the_slate_is_gone() -> None:
    async def story(stage: Stage) -> None:
        stage.studio.leave_s = 1.5
        await asyncio.sleep(30.0)
        stage.knows(acting=((SLOT, IntentKind.DEPLOY),))
        await stage.keeper.make_way(SLOT, IntentKind.DEPLOY)
        assert stage.is_on, "a first deploy need not wait"
        await stage.keeper.make_way(SlotId("other/0"), IntentKind.RESTART)
        stage.knows(acting=((SLOT, IntentKind.RESTART),))
        await stage.keeper.make_way(SLOT, IntentKind.RESTART)
        assert not stage.is_on

    play(story)


def test_no_act_waits_for_long() -> None:
    async def story(stage: Stage) -> None:
        stage.studio.leave_s = 60.0
        await asyncio.sleep(30.0)
        stage.knows(acting=((SLOT, IntentKind.RESTART),))
        before_s = stage.clock.monotonic()
        await stage.keeper.make_way(SLOT, IntentKind.RESTART)
        assert stage.clock.monotonic() - before_s < 6.0
        await asyncio.sleep(60.0)

    play(story)


def test_another_configuration_ends_the_one_before_first() -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(30.0)
        stage.studio.leave_s = 3.0
        other = replace(DECLARED, look=replace(LOOK, title="Other"))
        stage.declared = {DUEL: other}
        await asyncio.sleep(100.0)
        assert len(stage.studio.shown) == 2
        stage.declared = {}
        await asyncio.sleep(5.0)
        assert not stage.is_on

    play(story)


def test_is_not_on_for_ever_and_comes_again_after_a_picture() -> None:
    declared = replace(DECLARED, terms=SlateTerms(after_s=20.0, on_max_s=100.0))

    async def story(stage: Stage) -> None:
        await asyncio.sleep(1000.0)
        assert len(stage.studio.shown) == 1
        assert stage.why() is SlateWhy.TOO_LONG
        stage.knows(ON_AIR)
        stage.sees()
        await asyncio.sleep(1.0)
        stage.knows(LAME)
        await asyncio.sleep(30.0)
        assert stage.is_on

    play(story, declared)


WITH_STAT = replace(DECLARED, stat_url="http://stat.example/stat")


def test_beside_a_frozen_host_it_begins_once_the_ingest_has_been_empty_for_long() -> None:
    async def story(stage: Stage) -> None:
        stage.knows(ON_AIR)
        stage.page.publishers = 1
        await asyncio.sleep(300.0)
        assert stage.why() is SlateWhy.TAKEN
        stage.page.publishers = 0
        await asyncio.sleep(17.0)
        assert not stage.is_on
        await asyncio.sleep(8.0)
        assert stage.is_on
        stage.page.publishers = 1  # the slate itself
        await asyncio.sleep(30.0)
        assert stage.is_on
        stage.page.publishers = 2
        await asyncio.sleep(3.0)
        assert not stage.is_on

    assert [fact.why for fact in play(story, WITH_STAT).told(SlateYielded)] == [SlateWhy.TAKEN]


def test_an_ingest_that_does_not_answer_proves_nothing() -> None:
    async def story(stage: Stage) -> None:
        stage.knows(ON_AIR)
        await asyncio.sleep(15.0)
        stage.page.is_down = True
        await asyncio.sleep(300.0)
        assert stage.why() is SlateWhy.NOT_CERTAIN

    assert play(story, WITH_STAT).studio.tries == 0


def test_beside_a_host_it_lets_go_again_and_again() -> None:
    """A host whose publisher was refused meanwhile must come in, or keeper would repair it for nothing."""

    async def story(stage: Stage) -> None:
        stage.knows(ON_AIR)
        await asyncio.sleep(300.0)

    turns = play(story, WITH_STAT).told(SlateYielded)
    assert {fact.why for fact in turns} == {SlateWhy.HOST_TURN}
    assert 3 <= len(turns) <= 4


def test_a_clock_that_is_set_back_hides_no_host() -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(30.0)
        stage.knows(ON_AIR)
        stage.sees()
        reading = stage.known.latest[HOST, Subject.PICTURE]
        early = replace(reading, at=reading.at - timedelta(hours=1))
        stage.knows(latest={(HOST, Subject.PICTURE): early})
        await asyncio.sleep(0.5)

    # It counts as old, but not as older than a look can be; the next one is seen as it is.
    stage = play(story)
    assert stage.told(SlateYielded) != []


def test_whenever_it_is_cut_off_nothing_is_left_and_the_next_one_begins() -> None:
    """The task is cancelled at every fifth of a second of a life with a begin, a loss and an end."""

    async def life(stage: Stage) -> None:
        await asyncio.sleep(4.0)
        if stage.studio.on:
            stage.studio.on[0].broke = "cut"
        await asyncio.sleep(8.0)
        stage.knows(ON_AIR)
        stage.sees()

    async def cut_after(cut_s: float) -> None:
        stage = Stage(replace(DECLARED, terms=SlateTerms(after_s=2.0)))
        stage.studio.connect_s = stage.studio.leave_s = 0.7
        async with asyncio.TaskGroup() as group:
            living = group.create_task(life(stage))
            task = group.create_task(stage.keeper.run())
            await asyncio.sleep(cut_s)
            task.cancel()
            await asyncio.wait([task])
            assert not stage.studio.on
            living.cancel()
            stage.knows(VACANT, latest={})
            again = group.create_task(stage.keeper.run())
            await asyncio.sleep(15.0)
            assert stage.is_on
            again.cancel()

    for step in range(1, 75):
        run(cut_after(step * 0.2 - 0.03))
