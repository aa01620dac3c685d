"""Measured from outside: nothing changes but that it is counted."""

import asyncio
from collections.abc import Awaitable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from keeper import ports
from keeper.ports import OfferGone, PictureSample, TimedOut, Unreachable
from keeper.telemetry.instrumented import (
    InstrumentedHosts,
    InstrumentedLink,
    InstrumentedMarketplace,
    InstrumentedNetwork,
    InstrumentedStore,
    Meter,
)


class Clock:
    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        self.at_s += 0.25
        return self.at_s


class Calls:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, float]] = []

    def publish(self, event: object, *, at: datetime, tick: int) -> None: ...

    def observe_call(self, port: str, method: str, outcome: str, duration_s: float) -> None:
        self.seen.append((port, method, outcome, duration_s))


async def failing(error: BaseException) -> None:
    raise error


async def answering(value: object) -> object:
    return value


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (lambda: answering(1), "ok"),
        (lambda: failing(OfferGone()), "offer_gone"),
        (lambda: failing(TimedOut()), "timed_out"),
        (lambda: failing(Unreachable("x")), "unreachable"),
        (lambda: failing(ValueError("a bug")), "value_error"),
        (lambda: failing(asyncio.CancelledError()), "cancelled"),
    ],
)
async def test_outcome_is_ok_or_the_class_of_the_error(call: Any, outcome: str) -> None:
    calls = Calls()
    pending: Awaitable[object] = call()
    raises = nullcontext() if outcome == "ok" else pytest.raises(BaseException)
    with raises:
        assert await Meter("store", calls, Clock()).measured("commit", pending) == 1
    assert calls.seen == [("store", "commit", outcome, 0.25)]


async def test_a_look_that_this_box_could_not_take_is_told_from_one_that_went_well() -> None:
    calls = Calls()
    for is_own_fault in (True, False):
        sample = PictureSample(
            http_status=200, frames=0, unique_frames=0, undecodable_frames=0, bytes_read=0,
            sampled_s=0.0, mean_luma=None, motion=None, newest_frame=b"", is_own_fault=is_own_fault,
        )  # fmt: skip
        await Meter("network", calls, Clock()).measured("sample_media", answering(sample))
    assert [outcome for _, _, outcome, _ in calls.seen] == ["own_fault", "ok"]


@pytest.mark.parametrize(
    ("wrapper", "protocol"),
    [
        (InstrumentedMarketplace, ports.Marketplace),
        (InstrumentedHosts, ports.Hosts),
        (InstrumentedLink, ports.Link),
        (InstrumentedNetwork, ports.Network),
        (InstrumentedStore, ports.Store),
    ],
)
def test_wrapper_has_every_method_of_its_port(wrapper: type, protocol: type) -> None:
    """A method added to a port and forgotten here would be missing only in production."""
    promised = {name for name in vars(protocol) if not name.startswith("_")}
    assert promised <= set(vars(wrapper))


async def test_links_are_measured_too() -> None:
    class Link:
        host_key = "k"

        async def run(self, command: object, heard: object = None) -> str:
            return "done"

    class Hosts:
        public_key = "pub"

        async def connect(self, addresses: object, **_: object) -> Link:
            return Link()

    calls = Calls()
    hosts = InstrumentedHosts(Hosts(), calls, Clock())  # type: ignore[arg-type]
    link = await hosts.connect([], pinned_host_key="", timeout_s=1)
    assert hosts.public_key == "pub"
    assert link.host_key == "k"
    assert await link.run(ports.Command(name="x", script="")) == "done"  # type: ignore[comparison-overlap]
    assert [(port, method) for port, method, *_ in calls.seen] == [
        ("hosts", "connect"),
        ("hosts", "run"),
    ]
