"""Interruptible rentals: floors, bids that lose and win again, and what they cost meanwhile."""

import pytest

from keeper.sim.contract import Box
from keeper.sim.faults import FaultKind
from keeper.sim.market import Market, MarketShape, Refusal
from tests.unit.sim.a_market import BODY, CHEAPEST, Sim

FLOOR = CHEAPEST | {"type": "bid"}


@pytest.fixture
def sim() -> Sim:
    return Sim()


def floor_of(market: Market) -> float:
    floor: float = market.search(FLOOR)[0]["min_bid"]
    return floor


def bid(sim: Sim, times: float = 1.1) -> int:
    """Bid for the cheapest, and let it boot."""
    return sim.rent_and_boot(price=round(floor_of(sim.market) * times, 3))


def test_a_search_for_bids_shows_floors_below_the_price_on_demand(sim: Sim) -> None:
    on_demand = sim.market.search(CHEAPEST)[0]
    row = sim.market.search(FLOOR | {"ask_contract_id": {"eq": on_demand["id"]}})[0]
    assert row["is_bid"] is True
    assert row["min_bid"] == row["dph_base"] == on_demand["min_bid"] < on_demand["dph_base"]
    assert row["dph_total"] == row["dph_base"] + row["storage_total_cost"]


def test_a_bid_is_what_is_billed_while_it_runs_and_the_disk_while_it_does_not(sim: Sim) -> None:
    instance_id = bid(sim)
    contract = sim.contract(instance_id)
    row = sim.row(instance_id)
    assert row["is_bid"] is True
    assert row["dph_base"] == contract.gpu_dollars_per_hour < contract.machine.gpu_dollars_per_hour
    before = sim.market.credit(sim.now)
    sim.run(3600)
    assert before - sim.market.credit(sim.now) == pytest.approx(contract.dollars_per_hour)
    sim.strike(FaultKind.OUTBID)
    sim.run(60)
    before = sim.market.credit(sim.now)
    sim.run(3600)
    assert before - sim.market.credit(sim.now) == pytest.approx(contract.storage_dollars_per_hour)


def test_an_outbid_rental_stands_still_in_one_of_two_pictures() -> None:
    seen = set()
    for seed in range(12):
        sim = Sim(seed=seed)
        instance_id = bid(sim)
        sim.strike(FaultKind.OUTBID)
        sim.run(60)
        row = sim.row(instance_id)
        assert (row["actual_status"], row["cur_state"], row["is_bid"]) == (
            "exited",
            "stopped",
            True,
        )
        assert row["min_bid"] > row["dph_base"], "the floor tells what would be enough"
        seen.add((row["intended_status"], row["next_state"]))
    assert seen == {("running", "stopped"), ("stopped", "stopped")}


def test_a_higher_bid_brings_it_up_again(sim: Sim) -> None:
    instance_id = bid(sim)
    sim.strike(FaultKind.OUTBID)
    sim.run(60)
    sim.market.change_bid(instance_id, sim.row(instance_id)["min_bid"] - 0.001)
    sim.run(300)
    assert sim.contract(instance_id).box is Box.DOWN
    sim.market.change_bid(instance_id, None)  # what wins now
    sim.run(300)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("running", "running")
    assert row["dph_base"] == row["min_bid"]
    prices = [c.dollars_per_hour for c in sim.market.ledger.rentals[instance_id].changes]
    assert prices[-1] > prices[0], "the ledger knows what was bid"


@pytest.mark.parametrize("after_s", [1, 60])
def test_a_higher_bid_helps_also_while_it_is_being_stopped(sim: Sim, after_s: float) -> None:
    instance_id = bid(sim)
    sim.strike(FaultKind.OUTBID)
    sim.run(after_s)
    sim.market.change_bid(instance_id, None)
    sim.run(300)
    assert sim.contract(instance_id).box is Box.UP
    assert sim.row(instance_id)["actual_status"] == "running"


def test_a_bid_lowered_under_the_floor_stops_it(sim: Sim) -> None:
    instance_id = bid(sim)
    sim.market.change_bid(instance_id, 0.001)
    sim.run(60)
    assert sim.contract(instance_id).box is Box.DOWN


def test_no_bid_beats_a_renter_on_demand_and_the_start_is_queued(sim: Sim) -> None:
    instance_id = bid(sim)
    contract = sim.contract(instance_id)
    sim.strike(FaultKind.OUTBID, params={"by": "renter"})
    sim.run(60)
    assert sim.row(instance_id)["actual_status"] == "exited"
    sim.market.change_bid(instance_id, contract.gpu_dollars_per_hour * 3)
    sim.run(300)
    row = sim.row(instance_id)
    assert (row["intended_status"], row["actual_status"]) == ("running", "exited")
    contract.machine.occupy(contract.gpus, "")
    sim.market.lifecycle.freed(sim.now)
    sim.run(300)
    assert contract.box is Box.UP, "days later it comes up by itself, and bills"


def test_an_outbid_rental_that_is_meant_to_run_comes_back_when_the_rival_leaves() -> None:
    sim = Sim(seed=3)
    instance_id = bid(sim)
    sim.strike(FaultKind.OUTBID)
    sim.run(60)
    contract = sim.contract(instance_id)
    contract.intended = "running"
    contract.machine.rival_dollars_per_hour = 0.0
    sim.market.auction.settle(sim.now)
    sim.run(300)
    assert contract.box is Box.UP


def test_a_stopped_bid_stays_down_whatever_others_do(sim: Sim) -> None:
    instance_id = bid(sim)
    sim.market.set_state(instance_id, "stopped")
    sim.run(60)
    sim.market.auction.settle(sim.now)
    sim.run(300)
    assert sim.contract(instance_id).box is Box.DOWN


def test_a_bid_that_is_too_low_is_refused_or_leaves_a_stopped_contract(sim: Sim) -> None:
    low = round(floor_of(sim.market) * 0.9, 3)
    with pytest.raises(Refusal, match="invalid_price") as refused:
        sim.rent(price=low, cancel_unavail=True)
    assert "new_contract" not in refused.value.body
    assert sim.market.contracts == {}
    with pytest.raises(Refusal, match="invalid_price") as refused:
        sim.rent(price=low)
    contract = sim.contract(refused.value.body["new_contract"])
    sim.run(60)
    row = sim.row(contract.instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("stopped", "stopped")
    assert contract.burn_dollars_per_hour == contract.storage_dollars_per_hour > 0
    assert contract.machine.is_free(contract.gpus), "somebody else has it, or may"


@pytest.mark.parametrize("leaves_contract", [False, True])
def test_the_floor_may_rise_between_search_and_create(sim: Sim, leaves_contract: bool) -> None:
    sim.strike(FaultKind.BID_TOO_LOW, params={"leaves_contract": leaves_contract})
    with pytest.raises(Refusal, match="invalid_price") as refused:
        sim.rent(price=floor_of(sim.market), cancel_unavail=True)
    assert ("new_contract" in refused.value.body) is leaves_contract
    assert len(sim.market.rows()) == leaves_contract


def test_an_outbid_fault_waits_for_a_bid(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.strike(FaultKind.OUTBID)
    sim.run(3600)
    assert sim.contract(instance_id).box is Box.UP
    mine = sim.rent(price=floor_of(sim.market))
    sim.run(600)
    assert sim.contract(mine).box is Box.DOWN
    assert sim.contract(instance_id).box is Box.UP


def test_rivals_come_and_go_by_themselves_until_all_is_calm() -> None:
    shape = MarketShape(renters_every_s=0, price_drift_every_s=0, bids_move_every_s=600)
    sim = Sim(shape)
    floors = set()
    offer = sim.market.search(FLOOR)[0]
    for _ in range(300):
        sim.run(600)
        found = sim.market.search(FLOOR | {"machine_id": {"eq": offer["machine_id"]}})
        floors.add(found[0]["min_bid"])
        assert found[0]["min_bid"] <= offer["dph_base"] / 0.65
    assert len(floors) > 5
    sim.market.auction.rest()
    instance_id = bid(sim, times=1.0)
    sim.run(86_400)
    assert sim.contract(instance_id).box is Box.UP


def test_bids_lose_and_win_by_themselves() -> None:
    sim = Sim(MarketShape(renters_every_s=0, price_drift_every_s=0, bids_move_every_s=600))
    instance_id = bid(sim)
    sim.run(14 * 86_400)
    said = [(change.what, change.by) for change in sim.market.ledger.rentals[instance_id].changes]
    assert ("stopped", "outbid") in said


def test_a_bid_out_of_range_is_refused_and_one_on_demand_changes_nothing(sim: Sim) -> None:
    instance_id = bid(sim)
    for price in (0.0001, 129.0):
        with pytest.raises(Refusal, match="invalid_args"):
            sim.market.change_bid(instance_id, price)
    with pytest.raises(Refusal, match="no_such_instance"):
        sim.market.change_bid(1, 0.5)
    other = sim.rent_and_boot(**(BODY | {"label": "other"}))
    before = sim.row(other)["dph_base"]
    sim.market.change_bid(other, 5.0)
    assert sim.row(other)["dph_base"] == before
