"""A broken seed comes with the fewest faults that break it, found in bounded time."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.vastai import VastMarketplace
from keeper.core.model import InstanceId, OfferId, OfferNeeds, RentalSpec
from keeper.ports import Uncertain
from keeper.sim.faultplan import lines_of, preset, read
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.runner import Campaign, main
from keeper.sim.shrink import Plan, shrink
from keeper.sim.story import days_for, run_plan, storm_s

_KINDS = (FaultKind.PROCESS_KILLED, FaultKind.LIST_EMPTY, FaultKind.HTTP_502, FaultKind.GPU_LOST)


def _plan(count: int) -> Plan:
    return tuple(
        Fault(kind=_KINDS[n % 4], at=3600.0 * (n + 1), count=1 + n % 3) for n in range(count)
    )


@given(count=st.integers(1, 40), guilty=st.sets(st.integers(0, 39), max_size=4))
def test_what_is_left_is_what_is_needed(count: int, guilty: set[int]) -> None:
    plan = _plan(count)
    needed = {plan[n].at for n in guilty if n < count}

    def run(tried: Plan, days: float) -> frozenset[str]:
        assert days >= days_for(tried) - 1e-9, "the run is too short for its faults"
        return frozenset({"I1"} if needed <= {fault.at for fault in tried} else ())

    shrunk = shrink(plan, 7.0, frozenset({"I1"}), run, days_for=days_for)
    assert {fault.at for fault in shrunk.plan} == needed
    assert all(fault.count == 1 for fault in shrunk.plan)
    assert shrunk.is_minimal
    assert shrunk.days <= max(0.1, days_for(shrunk.plan) + 0.02)
    assert shrunk.faults_before == count


def test_another_promise_that_breaks_instead_is_not_what_is_looked_for() -> None:
    def run(tried: Plan, _: float) -> frozenset[str]:
        return frozenset({"I1"} if len(tried) == 8 else {"I18"})

    shrunk = shrink(_plan(8), 7.0, frozenset({"I1"}), run, days_for=days_for)
    assert len(shrunk.plan) == 8


def test_it_ends_when_its_time_is_over_and_says_so() -> None:
    passed_s = iter(range(1000))
    runs: list[int] = []

    def run(tried: Plan, _: float) -> frozenset[str]:
        runs.append(len(tried))
        return frozenset({"I1"} if _plan(40)[17] in tried else ())

    shrunk = shrink(
        _plan(40),
        7.0,
        frozenset({"I1"}),
        run,
        days_for=days_for,
        limit_s=12.0,
        clock=lambda: float(next(passed_s)),
    )
    assert len(runs) < 12
    assert not shrunk.is_minimal
    assert _plan(40)[17] in shrunk.plan
    assert "so far" in shrunk.sentence()


def test_a_plan_that_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    plan = preset("all", seed=3, until_s=storm_s(7.0))
    path.write_text(lines_of(plan), encoding="utf-8")
    assert read(path) == plan
    path.write_text(lines_of(()), encoding="utf-8")
    assert read(path) == ()


@pytest.mark.timeout(120)
def test_a_broken_keeper_is_traced_to_the_fault_that_shows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """This keeper asks again when the answer to a create was lost, and so rents twice (I1)."""
    create = VastMarketplace.create

    async def impatient(
        self: VastMarketplace,
        offer_id: OfferId,
        label: str,
        spec: RentalSpec,
        *,
        bid_dollars_per_hour: float | None = None,
    ) -> InstanceId:
        try:
            return await create(
                self, offer_id, label, spec, bid_dollars_per_hour=bid_dollars_per_hour
            )
        except Uncertain:
            offers = await self.search_offers(OfferNeeds(price_max_dollars_per_hour=0.9))
            return await create(self, offers[0].offer_id, label, spec)

    monkeypatch.setattr(VastMarketplace, "create", impatient)
    guilty = Fault(kind=FaultKind.CREATE_REPLY_LOST, at=9000.0, count=1)
    others = preset("hosts", seed=5, until_s=storm_s(1.0))
    plan = tmp_path / "all.yaml"
    vanishes = Fault(kind=FaultKind.HOST_VANISHES, at=9100.0, count=1)
    plan.write_text(lines_of((*others, guilty, vanishes)), encoding="utf-8")
    campaign = Campaign(
        seeds=(5,), days=1.0, jobs=1, faults=str(plan), shrink_s=60.0, plans=tmp_path
    )
    assert main(campaign) == 1
    out, err = capsys.readouterr()
    last = json.loads(out.splitlines()[-1])
    left = read(Path(last["shrunk"][0]["faults"]))
    assert FaultKind.CREATE_REPLY_LOST in {fault.kind for fault in left}
    assert len(left) <= 2, "with what makes keeper rent at all"
    assert len(others) > 4
    assert "see it again: keeper sim run --seed 5 --days" in err
    again = run_plan(5, last["shrunk"][0]["days"], left)
    assert {"I1"} <= {broken.invariant for broken in again.broken}
    monkeypatch.undo()
    assert run_plan(5, last["shrunk"][0]["days"], left).broken == ()
