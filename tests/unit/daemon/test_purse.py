"""The purse: what the account can spend, asked now and then; not knowing changes nothing."""

import asyncio
from datetime import timedelta

import pytest
from typing_extensions import override

from keeper.alerts.about_money import spend_drift
from keeper.core.credit import is_out_of_credit
from keeper.core.drift import Burn, Compared, Drifted
from keeper.core.events import SpendDrifted
from keeper.core.meter import Meter
from keeper.daemon.purse import Purse
from keeper.ports import Account, Malformed, Marketplace, PortError, Transient, Unauthorized
from keeper.sim.disk import Disk
from keeper.sim.loop import EPOCH, VirtualClock, run
from keeper.sim.market import MarketShape
from keeper.sim.universe import Universe
from tests.stage import Stage


class _Bank:
    """Answers the account as told. Only what a purse asks."""

    def __init__(self, *answers: float | PortError) -> None:
        self.answers = list(answers)
        self.asked_s: list[float] = []

    async def account(self) -> Account:
        self.asked_s.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, PortError):
            raise answer
        return Account(credit_dollars=answer, balance_dollars=0.0)


class _Heard:
    def __init__(self) -> None:
        self.nudges = 0
        self.refusals: list[Unauthorized] = []

    def nudge(self) -> None:
        self.nudges += 1


def _purse(bank: _Bank, heard: _Heard, clock: VirtualClock | None = None) -> Purse:
    fitted: Marketplace = bank  # type: ignore[assignment]
    return Purse(
        fitted,
        clock or VirtualClock(),
        interval_s=lambda: 300.0,
        nudge=heard.nudge,
        refused=heard.refusals.append,
    )


async def _listed_each_minute(purse: Purse) -> None:
    """A new listing says the same, and begins no comparison anew."""
    while True:
        purse.pays(Burn(least=2.0, most=2.0))
        await asyncio.sleep(60.0)


async def _run_for(seconds: float, purse: Purse) -> None:
    task = asyncio.create_task(purse.run())
    await asyncio.wait({task}, timeout=seconds)
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
@pytest.mark.parametrize("is_seen_after", [False, True], ids=["before", "after"])
def test_a_step_of_the_clock_makes_an_answer_no_older(
    step_s: float, *, is_seen_after: bool
) -> None:
    """An account that was seen empty is empty still: nothing is rented because the clock was set.

    Not even where it was asked between the step and the tick that notices it: seed 4295 of any fleet.
    """

    async def play() -> None:
        clock = VirtualClock()
        purse = _purse(_Bank(0.0), _Heard(), clock)
        purse.clock_stepped(step_s)  # nobody has answered yet
        await purse.look()
        clock.step(step_s)
        if is_seen_after:
            await purse.look()
        await asyncio.sleep(10.0)
        purse.clock_stepped(step_s)
        assert purse.seen is not None
        assert (clock.now() - purse.seen.at).total_seconds() == 10.0
        assert is_out_of_credit(purse.seen, clock.now())
        # Whatever went down before the step, its moment set back to now or not, was starved.
        assert purse.seen.empty_at is not None
        assert purse.seen.at <= purse.seen.empty_at <= clock.now()
        if step_s < 0.0 and not is_seen_after:
            assert purse.seen.empty_at == clock.now()

    run(play())


def test_nothing_is_rented_on_an_empty_account_because_the_clock_was_set() -> None:
    """Seed 1040: the answer of a moment ago was an hour old, and the fuse that it had tripped was reset."""

    async def play() -> None:
        async with Stage(universe=Universe(1, shape=MarketShape(credit_dollars=0.0))) as stage:
            await asyncio.sleep(120.0)
            stage.clock.step(3600.0)
            await asyncio.sleep(300.0)
            assert stage.facts.named("clock.stepped")
            assert stage.facts.named("fuse.reset") == []
            assert stage.facts.named("instance.renting") == []

    run(play())


@pytest.mark.parametrize("error", [Transient("502"), Malformed("no number"), Unauthorized("no")])
def test_a_failed_question_keeps_what_was_known(error: PortError) -> None:
    async def play() -> None:
        purse = _purse(_Bank(12.5, error), _Heard())
        await purse.look()
        await purse.look()
        assert purse.seen is not None
        assert purse.seen.spendable_dollars == 12.5
        assert purse.seen.at == EPOCH

    run(play())


def test_a_key_that_may_not_ask_is_told_of_once_and_again_after_it_could() -> None:
    async def play() -> None:
        heard = _Heard()
        no = Unauthorized("the key lacks a right", right="user_read")
        purse = _purse(_Bank(no, no, 5.0, no), heard)
        for _ in range(4):
            await purse.look()
        assert heard.refusals == [no, no]

    run(play())


def test_an_empty_account_is_asked_about_often_so_that_credit_is_seen_soon() -> None:
    async def play() -> None:
        bank, heard = _Bank(1.0, 0.0, 0.0, 20.0), _Heard()
        purse = _purse(bank, heard)
        await _run_for(700.0, purse)
        assert bank.asked_s == [0.0, 300.0, 330.0, 360.0, 660.0]
        assert heard.nudges == 3  # the first answer, empty, and full again
        assert purse.seen is not None
        assert purse.seen.empty_at == EPOCH + timedelta(seconds=330)

    run(play())


@pytest.mark.parametrize(
    ("credit", "asked_s"),
    [(0.01, [0.0]), (1.0, [0.0]), (0.0, [0.0, 30.0, 60.0]), (-0.01, [0.0, 30.0, 60.0])],
)
def test_an_account_is_empty_when_nothing_is_left_and_not_before(
    credit: float, asked_s: list[float]
) -> None:
    async def play() -> None:
        bank = _Bank(credit)
        purse = _purse(bank, _Heard())
        await _run_for(61.0, purse)
        assert bank.asked_s == asked_s
        assert purse.seen is not None
        assert (purse.seen.empty_at is None) is (credit > 0)

    run(play())


def test_an_answer_that_never_comes_is_given_up_after_a_minute_and_asked_for_again() -> None:
    class Mute(_Bank):
        @override
        async def account(self) -> Account:
            account = await super().account()
            if len(self.asked_s) == 2:
                await asyncio.Event().wait()
            return account

    async def play() -> None:
        bank = Mute(9.0, 8.0, 7.0)
        purse = _purse(bank, _Heard())
        await _run_for(700.0, purse)
        assert bank.asked_s == [0.0, 300.0, 660.0]
        assert purse.seen is not None
        assert purse.seen.spendable_dollars == 7.0

    run(play())


def test_a_refusal_for_want_of_credit_is_looked_into_at_once() -> None:
    async def play() -> None:
        bank, heard = _Bank(9.0, 0.0, 0.0), _Heard()
        purse = _purse(bank, heard)
        task = asyncio.create_task(purse.run())
        await asyncio.sleep(100.0)
        purse.hurry()
        await asyncio.sleep(1.0)
        assert bank.asked_s == [0.0, 100.0]
        assert heard.nudges == 2
        await asyncio.sleep(28.0)
        assert len(bank.asked_s) == 2, "one hurry is one look"
        await asyncio.sleep(2.0)
        assert bank.asked_s == [0.0, 100.0, 130.0]
        task.cancel()

    run(play())


def test_a_drift_outlives_the_process_that_found_it_and_ends_when_an_hour_shows_none() -> None:
    """Alert and ledger forgot it with a restart, and else it stood three hours after a single loss."""
    lost = Compared(fell_dollars=9.0, least_dollars=1.0, most_dollars=1.0, over_s=3600.0)
    disk = Disk(
        keeper_id="00000001", meter=Meter(drift=Drifted(compared=lost, since=EPOCH, at=EPOCH))
    )

    async def play() -> None:
        async with Stage(disk=disk) as stage:
            await asyncio.sleep(1800.0)
            (alert,) = spend_drift(stage.snapshot, stage.clock.now())
            assert alert.since == EPOCH
            assert stage.facts.named("spend.drifted") == [], "it was told before"
            await asyncio.sleep(2700.0)
            assert not list(spend_drift(stage.snapshot, stage.clock.now()))
            assert disk.meter.drift is None

    run(play())


def test_that_it_was_empty_outlives_the_process_that_saw_it() -> None:
    """Seed 7663 of any fleet: twenty hosts seemed to have fallen sick at once, and one was treated at a time."""

    async def play() -> None:
        clock = VirtualClock()
        purse = _purse(_Bank(9.0), _Heard(), clock)
        purse.remember(Meter(empty_at=EPOCH))
        await asyncio.sleep(10.0)
        await purse.look()
        assert purse.seen is not None
        assert purse.seen.empty_at == EPOCH
        # Nobody has answered this one yet: what went down before the step was starved all the same.
        later = _purse(_Bank(9.0), _Heard(), clock)
        later.remember(Meter(empty_at=EPOCH))
        clock.step(3600.0)
        later.clock_stepped(3600.0)
        await later.look()
        assert later.seen is not None
        assert later.seen.empty_at == EPOCH + timedelta(seconds=3600)

    run(play())


@pytest.mark.parametrize(("hourly", "told"), [(2.0, 0), (4.0, 1)])
def test_credit_that_falls_faster_than_the_listing_says_is_told_once(
    hourly: float, told: int
) -> None:
    """Some readings say it; the next ones say it again to nobody, but the alert stays."""

    class Leaking(_Bank):
        @override
        async def account(self) -> Account:
            now_s = asyncio.get_running_loop().time() - began_s
            return Account(credit_dollars=100.0 - hourly * now_s / 3600.0, balance_dollars=0.0)

    facts: list[SpendDrifted] = []
    began_s = 0.0

    async def play() -> None:
        nonlocal began_s
        began_s = asyncio.get_running_loop().time()
        fitted: Marketplace = Leaking(0.0)  # type: ignore[assignment]
        purse = Purse(
            fitted, VirtualClock(), interval_s=lambda: 300.0, nudge=lambda: None,
            refused=lambda _: None, drifted=facts.append,
        )  # fmt: skip
        listings = asyncio.create_task(_listed_each_minute(purse))
        await _run_for(5 * 3600.0, purse)
        listings.cancel()
        assert purse.seen is not None
        assert purse.seen.compared is not None
        assert purse.seen.compared.is_drift is bool(told)
        assert len(facts) == told
        purse.begin_anew()  # the listing was lost: nothing is compared until there is one again
        await _run_for(2 * 3600.0, purse)
        assert len(facts) == told

    run(play())
