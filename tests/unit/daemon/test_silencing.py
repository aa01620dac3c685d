"""Silences: taken, ended by order or by their time, and written down; they stop no repair."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from keeper.core.silences import Matcher, Silence
from keeper.core.world import Order, OrderKind
from keeper.daemon.silencing import first_end, silence_facts, silences_after
from keeper.sim.disk import Disk
from keeper.sim.loop import run
from tests.stage import Stage

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def silence(silence_id: str = "5f2a", *, for_s: float = 7200.0) -> Silence:
    return Silence(
        silence_id=silence_id,
        matchers=(
            Matcher(field="alert", pattern="KeeperStreamDark"),
            Matcher(field="stream", pattern="duel"),
        ),
        since=NOW,
        until=NOW + timedelta(seconds=for_s),
        actor="ada",
        reason="new ingest",
    )


def order(kind: OrderKind, asked: Silence | None = None, silence_id: str = "") -> Order:
    return Order(
        order_id="1",
        kind=kind,
        slot=None,
        actor="bob",
        reason="why not",
        at=NOW,
        silence=asked,
        silence_id=silence_id,
    )


def test_an_order_begins_a_silence_and_another_one_ends_it() -> None:
    begun = silences_after((order(OrderKind.SILENCE, silence()),), (), NOW)
    assert begun == (silence(),)
    ended = silences_after((order(OrderKind.UNSILENCE, silence_id="5f2a"),), begun, NOW)
    assert ended == ()


def test_a_silence_ends_by_itself_and_is_told_to_have_ended() -> None:
    held = (silence(for_s=60), silence("9c01", for_s=7200))
    at_59 = NOW + timedelta(seconds=59)
    assert silences_after((), held, at_59) is held, "nothing is written for what has not changed"
    assert silence_facts((), held, at_59) == ()
    at_60 = NOW + timedelta(seconds=60)
    assert silences_after((), held, at_60) == held[1:]
    (fact,) = silence_facts((), held, at_60)
    assert (fact.silence, fact.begun, fact.actor) == ("5f2a", False, "keeper")
    assert first_end(held) == at_60
    assert first_end(()) is None


def test_the_journal_says_who_silenced_what_until_when() -> None:
    (begun,) = silence_facts((order(OrderKind.SILENCE, silence()),), (), NOW)
    assert (begun.begun, begun.matchers) == (True, "alert=KeeperStreamDark stream=duel")
    assert (begun.until, begun.actor, begun.detail) == (silence().until, "bob", "why not")
    (ended,) = silence_facts((order(OrderKind.UNSILENCE, silence_id="5f2a"),), (silence(),), NOW)
    assert (ended.begun, ended.actor, ended.detail) == (False, "bob", "why not")


def test_the_end_of_a_silence_that_is_over_or_unknown_is_not_told_again() -> None:
    late = NOW + timedelta(days=1)
    held = (silence(),)
    ending = (order(OrderKind.UNSILENCE, silence_id="5f2a"),)
    assert len(silence_facts(ending, held, late)) == 1
    assert silence_facts((order(OrderKind.UNSILENCE, silence_id="none"),), held, NOW) == ()
    assert silences_after((order(OrderKind.UNSILENCE, silence_id="none"),), held, NOW) is held


def test_a_silence_is_on_disk_when_it_is_answered_outlives_a_restart_and_ends_by_itself() -> None:
    async def play() -> None:
        disk = Disk(keeper_id="00000001")
        async with Stage(disk=disk) as stage:
            asked = replace(
                silence(for_s=0.0),
                matchers=(Matcher(field="alert", pattern="KeeperPaused"),),
                until=stage.clock.now() + timedelta(hours=1),
            )
            wanted = replace(stage.order(OrderKind.SILENCE, None), silence=asked)
            await stage.daemon.order(wanted)
            assert disk.silences == (asked,)
            await stage.daemon.order(stage.order(OrderKind.PAUSE, None))
            (paused,) = stage.daemon.alerts()
            assert (paused.name, paused.silenced_by) == ("KeeperPaused", asked.silence_id)
        async with Stage(disk=disk, universe=stage.universe) as stage:
            await stage.until(lambda: stage.daemon.snapshot() is not None)
            (paused,) = stage.daemon.alerts()
            assert paused.silenced_by == asked.silence_id
            left_s = (asked.until - stage.clock.now()).total_seconds()
            await asyncio.sleep(left_s + 30.0)
            assert not disk.silences
            assert [each.silenced_by for each in stage.daemon.alerts()] == [""]
            assert len(stage.facts.named("alerts.silence_changed")) == 1, "its end, once"

    run(play())
