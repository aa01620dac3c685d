"""Ends that are known before they come: contract, maintenance, a beaten bid, credit. None is a surprise."""

from dataclasses import dataclass, field

import pytest

from keeper.core.world import OrderKind
from keeper.sim.evidence import PICTURE_LIVE, PICTURE_LOST
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.notices import FIRING, Notice, read_notices
from keeper.sim.opsbox import OpsBox
from keeper.sim.universe import Universe
from tests.sim.awaits import Marked
from tests.sim.interrupted import Deed, Ending, Story, give, wrong

HOUR_S = 3600.0
_ON_AIR_S = 400.0


@dataclass
class Seen:
    """What the world wrote down, in seconds since it began."""

    universes: list[Universe] = field(default_factory=list)
    at: dict[str, float] = field(default_factory=dict)

    @property
    def universe(self) -> Universe:
        return self.universes[0]

    def mark(self, name: str) -> Deed:
        async def mark(universe: Universe, _: OpsBox) -> None:
            self.at[name] = universe.time_s()

        return mark

    async def begin(self, universe: Universe, _: OpsBox) -> None:
        self.universes.append(universe)

    def told(self, name: str) -> list[Notice]:
        messages = tuple((each.at, each.body) for each in self.universe.mailbox.messages)
        found = [notice for notice in read_notices(messages) if notice.name == name]
        return [notice for notice in found if notice.kind == FIRING]

    def lit(self, number: int) -> float:
        """Return when the number-th rental first showed its picture."""
        instance_id = sorted(self.universe.market.ledger.rentals)[number]
        return next(
            entry.at
            for entry in self.universe.market.ledger.hosts
            if (entry.instance_id, entry.what) == (instance_id, PICTURE_LIVE)
        )

    def changed(self, number: int, what: str) -> float:
        ledger = self.universe.market.ledger
        rental = ledger.rentals[sorted(ledger.rentals)[number]]
        return next(change.at for change in rental.changes if change.what == what)

    def dark_s(self, since: float) -> float:
        """Return how long no host showed a picture from then on."""
        shown: set[int] = set()
        dark_s, lost_at = 0.0, None
        for entry in self.universe.market.ledger.hosts:
            if entry.what == PICTURE_LIVE:
                shown.add(entry.instance_id)
            elif entry.what == PICTURE_LOST:
                shown.discard(entry.instance_id)
            if shown and lost_at is not None:
                dark_s, lost_at = dark_s + entry.at - max(lost_at, since), None
            elif not shown and lost_at is None and entry.at >= since:
                lost_at = entry.at
        return dark_s


def _played(seen: Seen, *acts: tuple[float, Deed | Fault], **given: object) -> Ending:
    story = Story(name="an end", acts=((0.0, seen.begin), *acts), **given)  # type: ignore[arg-type]
    ending, wrongs = wrong(story, Marked(()))
    assert wrongs == []
    return ending


def test_the_next_host_is_on_air_before_the_contract_ends() -> None:
    seen = Seen()
    _played(
        seen,
        (_ON_AIR_S, seen.mark("known")),
        (_ON_AIR_S, Fault(kind=FaultKind.CONTRACT_END, params={"notice_s": 2 * HOUR_S})),
        over_s=4 * HOUR_S,
    )
    ended = seen.at["known"] + 2 * HOUR_S
    assert seen.lit(1) < seen.changed(0, "destroyed") < ended - 0.9 * HOUR_S
    assert seen.dark_s(seen.at["known"]) == 0.0


def test_a_short_contract_is_left_in_time_by_a_clock_that_is_an_hour_behind() -> None:
    """Seed 8188 of any fleet: half of what such a clock said was left was nearly all of it."""
    seen = Seen()

    async def set_back(_: Universe, box: OpsBox) -> None:
        box.befall(Fault(kind=FaultKind.CLOCK_STEP, params={"step_s": -HOUR_S}))

    _played(
        seen,
        (_ON_AIR_S, seen.mark("known")),
        (_ON_AIR_S, Fault(kind=FaultKind.CONTRACT_END, params={"notice_s": 1.2 * HOUR_S})),
        (_ON_AIR_S + 700.0, set_back),
        over_s=2 * HOUR_S,
    )
    assert seen.lit(1) < seen.changed(0, "destroyed") < seen.at["known"] + 1.1 * HOUR_S
    assert seen.dark_s(seen.at["known"]) == 0.0


@pytest.mark.parametrize("is_moved", [True, False])
def test_maintenance_is_told_ahead_of_time_and_a_person_can_move_the_stream_before_it(
    *, is_moved: bool
) -> None:
    """No read names it: what is seen is a machine that takes no more renters (vast-assumptions.md)."""

    async def move(_: Universe, box: OpsBox) -> None:
        await give(box, OrderKind.REPLACE)

    seen = Seen()
    fault = Fault(kind=FaultKind.MAINTENANCE, params={"notice_s": 2 * HOUR_S, "down_s": 600.0})
    acts: list[tuple[float, Deed | Fault]] = [
        (_ON_AIR_S, seen.mark("known")),
        (_ON_AIR_S, fault),
    ]
    if is_moved:
        acts.append((_ON_AIR_S + HOUR_S, move))
    _played(seen, *acts, over_s=5 * HOUR_S)
    (notice,) = seen.told("KeeperMachineUnlisted")
    assert notice.at - seen.at["known"] < 0.25 * HOUR_S
    dark_s = seen.dark_s(seen.at["known"])
    if is_moved:
        assert seen.lit(1) < seen.at["known"] + 2 * HOUR_S
        assert dark_s == 0.0
    else:
        assert 300.0 <= dark_s <= 1200.0  # it was waited for, or replaced


def test_an_outbid_host_is_bid_for_again_or_followed_by_another() -> None:
    """Nobody tells beforehand that somebody will bid more; the next bid or host comes at once."""
    seen = Seen()
    _played(
        seen,
        (_ON_AIR_S, seen.mark("known")),
        (_ON_AIR_S, Fault(kind=FaultKind.OUTBID)),
        over_s=3 * HOUR_S,
        bidders=frozenset({"duel"}),
    )
    assert 0.0 < seen.dark_s(seen.at["known"]) <= 900.0


def test_credit_that_will_not_last_a_day_is_told_long_before_it_is_used_up() -> None:
    seen = Seen()

    async def spend(universe: Universe, _: OpsBox) -> None:
        market = universe.market
        rate = sum(each.dollars_per_hour for each in market.ledger.live())
        market.give_credit(rate * 20.0 - market.credit(market.now()))

    _played(
        seen,
        (_ON_AIR_S, seen.mark("known")),
        (_ON_AIR_S, spend),
        over_s=2 * HOUR_S,
    )
    (notice,) = seen.told("KeeperCreditLow")
    assert notice.at - seen.at["known"] < 0.25 * HOUR_S  # of the twenty hours that are left
