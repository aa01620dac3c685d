"""The wheel: due things are called once, in order, and an idle wheel waits for nothing."""

import asyncio

import pytest

from keeper.daemon.wheel import Wheel
from keeper.sim.loop import Deadlock, VirtualClock, run


def _played(seconds: float, *plan: tuple[str, float]) -> list[tuple[str, float]]:
    fired: list[tuple[str, float]] = []

    async def play() -> None:
        clock = VirtualClock()
        wheel = Wheel(clock)

        def note(key: str) -> None:
            fired.append((key, round(clock.monotonic(), 1)))

        turning = asyncio.get_running_loop().create_task(wheel.run())
        for key, delay_s in plan:
            wheel.schedule(key, delay_s, lambda key=key: note(key))  # type: ignore[misc]
        await asyncio.sleep(seconds)
        turning.cancel()

    run(play())
    return fired


def test_things_are_called_within_a_tenth_of_a_second_in_order() -> None:
    fired = _played(20.0, ("late", 10.0), ("soon", 1.0), ("also soon", 1.0))
    assert [key for key, _ in fired] == ["soon", "also soon", "late"]
    for (_, at), asked in zip(fired, (1.0, 1.0, 10.0), strict=True):
        assert asked <= at <= asked + 0.2


def test_a_key_that_is_scheduled_again_is_moved_not_doubled() -> None:
    assert [key for key, _ in _played(20.0, ("probe", 1.0), ("probe", 5.0))] == ["probe"]


def test_a_call_may_schedule_itself_again_and_cancel_its_neighbour() -> None:
    fired: list[str] = []

    async def play() -> None:
        wheel = Wheel(VirtualClock())

        def again() -> None:
            fired.append("again")
            wheel.cancel("neighbour")
            wheel.schedule("again", 1.0, again)

        turning = asyncio.get_running_loop().create_task(wheel.run())
        wheel.schedule("again", 1.0, again)
        wheel.schedule("neighbour", 1.0, lambda: fired.append("neighbour"))
        await asyncio.sleep(5.5)
        turning.cancel()

    run(play())
    assert "neighbour" not in fired
    assert 4 <= len(fired) <= 5


def test_an_idle_wheel_has_nothing_to_wait_for() -> None:
    async def turn() -> None:
        await Wheel(VirtualClock()).run()

    with pytest.raises(Deadlock):
        run(turn())


def test_a_call_that_raises_ends_the_turning_so_that_its_owner_hears() -> None:
    async def play() -> None:
        wheel = Wheel(VirtualClock())

        def fails() -> None:
            raise ValueError("no")

        wheel.schedule("bad", 1.0, fails)
        with pytest.raises(ValueError, match="no"):
            await wheel.run()
        fired: list[str] = []
        wheel.schedule("good", 1.0, lambda: fired.append("good"))
        turning = asyncio.get_running_loop().create_task(wheel.run())
        await asyncio.sleep(5.0)
        turning.cancel()
        assert fired == ["good"]

    run(play())
