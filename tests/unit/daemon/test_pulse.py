"""The switch of a dead man: it is fed while ticks finish, and by nothing else."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from keeper.core.events import ConfigRejected, HeartbeatChanged
from keeper.core.world import OrderKind
from keeper.daemon.declared import Declared, Pulse
from keeper.sim.loop import run
from keeper.sim.memory import MAILBOX_URL
from tests.stage import Stage

_KEY = "a-long-and-secret-key"
_INTERVAL_S = 60.0


def _pulse(path: str = _KEY) -> Callable[[Declared], Declared]:
    pulse = Pulse(url=f"{MAILBOX_URL}{path}", interval_s=_INTERVAL_S)
    return lambda given: replace(given, channels=(), pulse=pulse)


def _beats(stage: Stage, path: str = _KEY) -> int:
    url = f"{MAILBOX_URL}{path}"
    return sum(message.url == url for message in stage.universe.mailbox.messages)


def _changes(stage: Stage) -> list[HeartbeatChanged]:
    return [event for event in stage.facts.events if isinstance(event, HeartbeatChanged)]


def _play(test: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def play() -> None:
        async with Stage(streams={}, change=_pulse()) as stage:
            await stage.until(lambda: _beats(stage) == 1, within_s=_INTERVAL_S + 5.0)
            await test(stage)

    run(play())


def test_it_beats_once_in_every_interval_also_while_keeper_is_paused() -> None:
    async def test(stage: Stage) -> None:
        await asyncio.sleep(10 * _INTERVAL_S)
        assert _beats(stage) == 11
        await stage.daemon.order(stage.order(OrderKind.PAUSE, None))
        await asyncio.sleep(10 * _INTERVAL_S)
        assert _beats(stage) == 21
        assert _changes(stage) == []

    _play(test)


def test_a_store_that_cannot_be_written_stops_it_and_one_that_can_lets_it_go_on() -> None:
    async def test(stage: Stage) -> None:
        stage.store.is_full = True
        await _without_ticks(stage)
        stage.store.is_full = False
        beats = _beats(stage)
        await stage.until(lambda: _beats(stage) > beats + 1, within_s=4 * _INTERVAL_S)

    _play(test)


def test_a_tick_that_hangs_stops_it() -> None:
    async def test(stage: Stage) -> None:
        stage.store.may_write.clear()
        await _without_ticks(stage)
        stage.store.may_write.set()
        beats = _beats(stage)
        await stage.until(lambda: _beats(stage) > beats + 1, within_s=4 * _INTERVAL_S)

    _play(test)


async def _without_ticks(stage: Stage) -> None:
    """Have something that cannot be written down, and look how long it beats on."""
    stage.daemon.crew.facts.note(ConfigRejected(detail="a fact"))
    await asyncio.sleep(3 * _INTERVAL_S)
    beats = _beats(stage)
    await asyncio.sleep(10 * _INTERVAL_S)
    assert _beats(stage) == beats


def test_that_nobody_hears_it_is_told_once_without_the_address() -> None:
    async def test(stage: Stage) -> None:
        mailbox = stage.universe.mailbox
        mailbox.refuse_until = stage.universe.time_s() + 10 * _INTERVAL_S
        await asyncio.sleep(9 * _INTERVAL_S)
        assert [event.is_heard for event in _changes(stage)] == [False]
        stage.universe.own_network_is_down = True
        await asyncio.sleep(2 * _INTERVAL_S)
        stage.universe.own_network_is_down = False
        await stage.until(lambda: len(_changes(stage)) == 2, within_s=3 * _INTERVAL_S)
        assert [event.is_heard for event in _changes(stage)] == [False, True]
        assert _KEY not in repr(stage.facts.events) + repr(stage.disk.journal)
        assert _KEY not in repr(stage.daemon.ground.declared.pulse)

    _play(test)


def test_an_error_that_holds_the_address_is_told_without_it() -> None:
    async def test(stage: Stage) -> None:
        async def fail(request: Any) -> Any:
            raise ValueError(f"cannot reach {request.url}")

        stage.network.fetch = fail  # type: ignore[method-assign]
        await stage.until(lambda: _changes(stage), within_s=2 * _INTERVAL_S)
        assert _changes(stage)[0].error == "ValueError: cannot reach (the address)"

    _play(test)


def test_a_reload_changes_who_hears_it() -> None:
    async def play() -> None:
        reloads = iter([_pulse("another"), lambda given: replace(given, pulse=None), _pulse()])
        stage = Stage(streams={}, change=_pulse(), reload=lambda: next(reloads)(stage.declared))
        async with stage:
            await stage.until(lambda: _beats(stage) == 1, within_s=_INTERVAL_S + 5.0)
            await stage.daemon.reload()
            await stage.until(lambda: _beats(stage, "another") == 1, within_s=5.0)
            await stage.daemon.reload()
            await asyncio.sleep(5 * _INTERVAL_S)
            assert (_beats(stage), _beats(stage, "another")) == (1, 1)
            await stage.daemon.reload()
            await stage.until(lambda: _beats(stage) == 2, within_s=5.0)

    run(play())
