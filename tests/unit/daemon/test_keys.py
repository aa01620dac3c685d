"""Hosts that refuse keeper's key: the marketplace is asked now and then, and its no is told once."""

import asyncio

from keeper.core.events import Event
from keeper.core.model import InstanceId
from keeper.daemon.keys import Keys
from keeper.ports import Marketplace, PortError, Transient, Unauthorized
from keeper.sim.loop import VirtualClock, run
from tests.builders import a_fresh_tenure, a_record, a_tenure, ago

HOST = InstanceId(7)


class _Market:
    """Attaches keys as told."""

    def __init__(self, *answers: PortError | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        assert (instance_id, public_key) == (HOST, "ssh-ed25519 A")
        self.asked += 1
        if (error := self.answers.pop(0)) is not None:
            raise error


def test_a_refusal_is_told_once_for_as_long_as_it_is_the_same() -> None:
    no = Unauthorized("HTTP 403", cure="give it instance_write")
    told: list[Event] = []

    async def play() -> None:
        market = _Market(no, no, Transient("502"), None, Unauthorized("HTTP 401"))
        fitted: Marketplace = market  # type: ignore[assignment]
        tasks: list[asyncio.Task[None]] = []
        keys = Keys(
            fitted,
            VirtualClock(),
            public_key=lambda: "ssh-ed25519 A",
            may_touch=lambda _: True,
            spawn=lambda work, _: tasks.append(asyncio.ensure_future(work)),
            note=told.append,
        )
        for _ in range(5):
            keys.refused(HOST)
            keys.refused(HOST)
            await asyncio.sleep(61.0)
        await asyncio.gather(*tasks)
        assert market.asked == 5, "at most once a minute"

    run(play())
    assert [getattr(each, "error", "") for each in told] == [
        "Unauthorized: HTTP 403; give it instance_write",
        "Unauthorized: HTTP 401",
    ]


def test_a_rental_gets_the_key_once_and_only_after_a_listing_has_shown_it() -> None:
    """The answer to a create may name any rental; the label that is listed says whose it is."""

    async def play() -> None:
        market = _Market(None, None)
        fitted: Marketplace = market  # type: ignore[assignment]
        tasks: list[asyncio.Task[None]] = []
        allowed: set[InstanceId] = set()
        keys = Keys(
            fitted,
            VirtualClock(),
            public_key=lambda: "ssh-ed25519 A",
            may_touch=lambda each: each in allowed,
            spawn=lambda work, _: tasks.append(asyncio.ensure_future(work)),
            note=lambda _: None,
        )
        unseen = a_fresh_tenure(instance_id=HOST)
        seen = a_fresh_tenure(instance_id=HOST, listed_at=ago(5))
        keys.bring([a_record(unseen)])
        keys.bring([a_record(seen)])
        assert tasks == [], "not listed yet; then not allowed yet"
        allowed.add(HOST)
        for _ in range(3):
            keys.bring([a_record(seen)])
        await asyncio.gather(*tasks)
        assert market.asked == 1
        keys.bring([a_record(a_tenure(instance_id=HOST))])  # up: a dial says what it lacks
        keys.bring([a_record(seen)])  # it was rebooted or recycled, and may have lost it
        await asyncio.gather(*tasks)
        assert market.asked == 2

    run(play())
