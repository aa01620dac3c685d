"""How far calls to one endpoint are kept apart, in virtual time."""

import asyncio
import math
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.vastai_spacing import (
    PUBLISHED_INTERVAL_S,
    Endpoint,
    Lanes,
    Limiter,
    lanes_of,
)
from keeper.ports import RateLimited
from keeper.sim.loop import run

SHOW, CREATE, DESTROY = Endpoint.SHOW, Endpoint.CREATE, Endpoint.DESTROY


def limiter(wait_max_s: float = 60.0) -> Limiter:
    return Limiter(Lanes(monotonic=now), wait_max_s=wait_max_s)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_every_endpoint_has_a_published_interval() -> None:
    assert set(PUBLISHED_INTERVAL_S) == set(Endpoint)
    assert all(interval > 0 for interval in PUBLISHED_INTERVAL_S.values())


def test_the_first_call_leaves_at_once() -> None:
    async def story() -> None:
        async with limiter().turn(SHOW):
            assert now() == 0

    run(story())


def test_tasks_take_turns_in_the_order_in_which_they_asked() -> None:
    async def story() -> None:
        lanes, left = limiter(), []

        async def call(name: int) -> None:
            async with lanes.turn(SHOW):
                left.append((name, now()))

        async with asyncio.TaskGroup() as group:
            for name in range(4):
                group.create_task(call(name))
        assert left == [(0, 0.0), (1, 2.0), (2, 4.0), (3, 6.0)]

    run(story())


def test_the_interval_counts_from_the_answer() -> None:
    """A request that crawls must not let the next one arrive on its heels."""

    async def story() -> None:
        lanes = limiter()
        async with lanes.turn(SHOW):
            await asyncio.sleep(7.0)
        async with lanes.turn(SHOW):
            assert now() == 9.0

    run(story())


def test_endpoints_do_not_wait_for_each_other() -> None:
    async def story() -> None:
        lanes = limiter()
        async with lanes.turn(SHOW), lanes.turn(DESTROY), lanes.turn(CREATE):
            assert now() == 0

    run(story())


def test_a_failed_call_counts_like_any_other() -> None:
    async def story() -> None:
        lanes = limiter()
        with pytest.raises(ZeroDivisionError):
            async with lanes.turn(SHOW):
                raise ZeroDivisionError
        async with lanes.turn(SHOW):
            assert now() == 2.0

    run(story())


def test_a_wait_beyond_its_deadline_is_refused_at_once() -> None:
    async def story() -> None:
        lanes = limiter(wait_max_s=3.0)
        refused = []

        async def call() -> None:
            try:
                async with lanes.turn(SHOW):
                    pass
            except RateLimited as error:
                refused.append((now(), error.retry_after_s))

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(call())
        assert refused == [(0.0, 4.0), (0.0, 4.0)]
        assert now() == 2.0

    run(story())


def test_a_hanging_call_does_not_hold_the_others_for_ever() -> None:
    async def story() -> None:
        lanes = limiter(wait_max_s=5.0)
        async with lanes.turn(SHOW):
            with pytest.raises(RateLimited):
                async with lanes.turn(SHOW):
                    pytest.fail("two calls at once")
            assert now() == 5.0
        async with lanes.turn(SHOW):
            assert now() == 7.0

    run(story())


def test_one_who_asks_between_two_turns_has_a_deadline_too() -> None:
    """For a moment the lane is held by nobody, and yet it is not free."""

    async def story() -> None:
        lanes = limiter()

        async def hang() -> None:
            async with lanes.turn(SHOW):
                await asyncio.sleep(500)

        async with lanes.turn(SHOW):
            hanging = asyncio.ensure_future(hang())
            await asyncio.sleep(1)
        with pytest.raises(RateLimited):
            async with lanes.turn(SHOW):
                raise AssertionError("the lane was taken")
        assert now() <= 1 + 60
        hanging.cancel()

    run(story())


def test_a_cancelled_wait_leaves_the_lane_to_the_next() -> None:
    async def story() -> None:
        lanes, left = limiter(), []

        async def call(name: str) -> None:
            async with lanes.turn(SHOW):
                left.append((name, now()))

        async with asyncio.TaskGroup() as group:
            group.create_task(call("first"))
            waiting = group.create_task(call("waits for its time"))
            queued = group.create_task(call("waits for the lane"))
            group.create_task(call("last"))
            await asyncio.sleep(1.0)
            waiting.cancel()
            queued.cancel()
        assert left == [("first", 0.0), ("last", 2.0)]

    run(story())


def test_a_cancelled_call_still_keeps_the_distance() -> None:
    async def story() -> None:
        lanes = limiter()

        async def call() -> None:
            async with lanes.turn(SHOW):
                await asyncio.sleep(100.0)

        task = asyncio.get_running_loop().create_task(call())
        await asyncio.sleep(3.0)
        task.cancel()
        await asyncio.wait([task])
        async with lanes.turn(SHOW):
            assert now() == 5.0

    run(story())


def limited(
    endpoint: Endpoint, *, hint_s: float | None = None, threshold_s: float | None = None
) -> Coroutine[Any, Any, tuple[float, float]]:
    """Meet two 429s in a row; returns the waits after them."""

    async def story() -> tuple[float, float]:
        lanes = limiter(wait_max_s=math.inf)
        left = []
        for _ in range(3):
            async with lanes.turn(endpoint) as turn:
                left.append(now())
                turn.was_limited(hint_s=hint_s, threshold_s=threshold_s)
        return left[1] - left[0], left[2] - left[1]

    return story()


def test_a_hint_is_honoured_within_reason() -> None:
    assert run(limited(SHOW, hint_s=7.5)) == (7.5, 7.5)
    assert run(limited(SHOW, hint_s=0.0)) == (2.0, 2.0)
    assert run(limited(SHOW, hint_s=1e9)) == (300.0, 300.0)
    assert run(limited(CREATE, hint_s=5.0)) == (17.0, 17.0)


def test_without_a_hint_the_wait_doubles_with_a_jitter_that_repeats() -> None:
    first, second = run(limited(SHOW))
    assert 2.0 <= first <= 2.5
    assert 4.0 <= second <= 5.0
    assert run(limited(SHOW)) == (first, second)
    assert run(limited(DESTROY))[0] / 3.0 != first / 2.0


def test_two_keepers_of_one_key_do_not_come_back_together() -> None:
    async def wait_of(salt: str) -> float:
        lanes = Limiter(Lanes(monotonic=now, salt=salt), wait_max_s=60.0)
        async with lanes.turn(SHOW) as turn:
            return turn.was_limited(hint_s=None, threshold_s=None)

    waits = [run(wait_of(salt)) for salt in "abcd"]
    assert len(set(waits)) == 4
    assert all(2.0 <= wait <= 2.5 for wait in waits)


def test_the_wait_stops_growing_and_is_forgotten_after_an_answer() -> None:
    async def story() -> None:
        lanes = limiter(wait_max_s=math.inf)
        waits = []
        for _ in range(40):
            async with lanes.turn(SHOW) as turn:
                waits.append(turn.was_limited(hint_s=None, threshold_s=None))
        assert max(waits) <= 75.0
        async with lanes.turn(SHOW) as turn:
            turn.was_accepted()
        assert lanes.wait_s(SHOW) == pytest.approx(2.0)
        async with lanes.turn(SHOW) as turn:
            assert turn.was_limited(hint_s=None, threshold_s=None) == waits[0]

    run(story())


def test_a_printed_threshold_is_learned() -> None:
    """Q17."""

    async def story() -> None:
        lanes = limiter()
        async with lanes.turn(SHOW) as turn:
            turn.was_limited(hint_s=0.0, threshold_s=4.5)
        for expected in (4.5, 9.0):
            async with lanes.turn(SHOW) as turn:
                assert now() == pytest.approx(expected)
                turn.was_accepted()
        async with lanes.turn(DESTROY) as turn:
            turn.was_limited(hint_s=0.0, threshold_s=0.1)
        assert lanes.wait_s(DESTROY) == pytest.approx(3.0)

    run(story())


def test_those_who_wait_are_told_when_the_lane_is_pushed_out() -> None:
    async def story() -> None:
        lanes, told = limiter(wait_max_s=20.0), []

        async def wait() -> None:
            with pytest.raises(RateLimited) as caught:
                async with lanes.turn(SHOW):
                    pass
            told.append((now(), caught.value.retry_after_s))

        async with asyncio.TaskGroup() as group, lanes.turn(SHOW) as turn:
            group.create_task(wait())
            await asyncio.sleep(1.0)
            turn.was_limited(hint_s=60.0, threshold_s=None)
        assert told == [(1.0, 60.0)]

    run(story())


@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from([SHOW, DESTROY]),
            st.floats(0.0, 20.0),  # asks at
            st.floats(0.0, 5.0),  # takes
            st.none() | st.floats(0.0, 20.0),  # is cancelled at
            st.booleans(),  # is limited
        ),
        max_size=12,
    )
)
def test_no_two_calls_come_closer_than_the_interval(calls: list[Any]) -> None:
    """I24, whatever fails, crawls or is cancelled."""

    async def story() -> None:
        lanes = limiter()
        spans: dict[Endpoint, list[tuple[float, float]]] = {SHOW: [], DESTROY: []}

        async def call(endpoint: Endpoint, at_s: float, takes_s: float, is_limited: bool) -> None:
            await asyncio.sleep(at_s)
            try:
                async with lanes.turn(endpoint) as turn:
                    began = now()
                    try:
                        await asyncio.sleep(takes_s)
                        if is_limited:
                            turn.was_limited(hint_s=None, threshold_s=None)
                    finally:
                        spans[endpoint].append((began, now()))
            except RateLimited:
                pass

        tasks = []
        for endpoint, at_s, takes_s, cancel_at_s, is_limited in calls:
            task = asyncio.get_running_loop().create_task(call(endpoint, at_s, takes_s, is_limited))
            if cancel_at_s is not None:
                asyncio.get_running_loop().call_later(cancel_at_s, task.cancel)
            tasks.append(task)
        await asyncio.gather(*tasks, return_exceptions=True)
        for endpoint, seen in spans.items():
            seen.sort()
            for (_, ended), (began, _) in pairwise(seen):
                assert began - ended >= PUBLISHED_INTERVAL_S[endpoint] - 1e-4
        assert all(lanes.wait_s(endpoint) <= 80.0 for endpoint in Endpoint)

    run(story())


def test_clients_of_one_key_share_its_lanes() -> None:
    """I24: the server counts by key and address, not by client."""

    def client(origin: str, key: str, interval_s: float = 2.0) -> Limiter:
        interval = dict.fromkeys(Endpoint, interval_s)
        return Limiter(lanes_of(origin, key, monotonic=now, interval_s=interval), wait_max_s=60.0)

    async def story() -> None:
        async with client("https://a", "key").turn(SHOW):
            pass
        for origin, key in (("https://a", "other"), ("https://b", "key")):
            async with client(origin, key).turn(SHOW):
                assert now() == 0.0
        # The first client is gone by now; its calls still count.
        async with client("https://a", "key").turn(SHOW) as turn:
            assert now() == 2.0
            turn.was_limited(hint_s=10.0, threshold_s=None)
        assert client("https://a", "key", 1.0).wait_s(SHOW) == 10.0
        assert client("https://a", "key").wait_s(DESTROY) == 0.0
        async with client("https://a", "key", 7.0).turn(SHOW):
            assert now() == 12.0
        assert client("https://a", "key", 1.0).wait_s(SHOW) == 7.0, "the wider distance holds"

    run(story())
    run(story())  # another loop, another process


def test_who_waits_in_another_client_is_ahead() -> None:
    async def story() -> None:
        left: list[tuple[int, float]] = []
        clients = [
            Limiter(
                lanes_of("https://a", "key", monotonic=now, interval_s={SHOW: 2.0}),
                wait_max_s=60.0,
            )
            for _ in range(3)
        ]

        async def call(number: int) -> None:
            async with clients[number].turn(SHOW):
                left.append((number, now()))

        async with asyncio.TaskGroup() as group:
            for number in (0, 1, 2):
                group.create_task(call(number))
        assert left == [(0, 0.0), (1, 2.0), (2, 4.0)]

    run(story())


def test_no_lane_remembers_a_key() -> None:
    lanes = lanes_of("https://a", "s3cret-k3y", monotonic=lambda: 0.0, interval_s={})
    assert "s3cret" not in repr(vars(lanes))
