"""What owners, machines and the platform do to a rental, as reads and the bill show it."""

import json
from dataclasses import replace

import pytest

from keeper.sim.contract import Box
from keeper.sim.faults import FaultKind
from keeper.sim.lifecycle import EXPIRED_KEPT_S
from keeper.sim.mishaps import BAD_IMAGE_FLIPS_S
from keeper.sim.refusals import Refusal
from tests.unit.sim.a_market import BODY, CHEAPEST, STILL, Sim

HOUR = 3600.0


@pytest.fixture
def sim() -> Sim:
    return Sim()


def test_a_contract_ends_as_its_reads_said_and_is_deleted_two_days_later(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    contract, first_end = sim.contract(instance_id), sim.row(instance_id)["end_date"]
    sim.strike(FaultKind.CONTRACT_END, params={"notice_s": 2 * HOUR})
    row = sim.row(instance_id)
    assert row["end_date"] == sim.now + 2 * HOUR < first_end
    assert row["duration"] == 2 * HOUR
    sim.run(2 * HOUR - 1)
    assert contract.box is Box.UP
    sim.run(60)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("exited", "stopped")
    assert contract.burn_dollars_per_hour == contract.storage_dollars_per_hour
    with pytest.raises(Refusal, match="expired"):
        sim.market.set_state(instance_id, "running")
    sim.run(EXPIRED_KEPT_S)
    assert sim.market.row(instance_id) is None
    assert not sim.market.ledger.rentals[instance_id].is_live


def test_a_machine_leaves_the_market_with_its_last_contract(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    machine = sim.contract(instance_id).machine
    sim.run(machine.end_at - sim.now + 60)
    assert sim.contract(instance_id).is_expired
    assert not machine.is_listed


def test_an_owner_raises_the_price_of_a_running_contract(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    before = sim.row(instance_id)
    spent = sim.market.credit(sim.now)
    sim.strike(FaultKind.PRICE_RAISED, params={"factor": 2.0})
    row = sim.row(instance_id)
    assert row["dph_base"] == pytest.approx(2 * before["dph_base"])
    sim.run(HOUR)
    assert spent - sim.market.credit(sim.now) == pytest.approx(row["dph_total"])
    change = sim.market.ledger.rentals[instance_id].changes[-1]
    assert (change.what, change.by) == ("price raised", "owner")
    assert change.dollars_per_hour == pytest.approx(row["dph_total"])


def test_an_unlisted_machine_serves_on_and_says_so(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    machine = sim.contract(instance_id).machine
    sim.strike(FaultKind.MACHINE_UNLISTED, for_s=HOUR)
    row = sim.row(instance_id)
    assert (row["rentable"], row["actual_status"]) == (False, "running")
    sim.run(HOUR + 1)
    assert sim.row(instance_id)["rentable"] is True
    assert machine.is_listed


def test_maintenance_is_a_machine_off_the_market_then_down_then_back(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.strike(FaultKind.MAINTENANCE, params={"notice_s": HOUR, "down_s": 1200})
    sim.run(HOUR - 1)
    row = sim.row(instance_id)
    assert (row["rentable"], row["actual_status"]) == (False, "running")
    sim.run(120)
    assert sim.row(instance_id)["actual_status"] == "offline"
    before = sim.market.credit(sim.now)
    sim.run(900)
    assert sim.market.credit(sim.now) == pytest.approx(before), "offline bills nothing"
    sim.run(600)
    row = sim.row(instance_id)
    assert (row["rentable"], row["actual_status"]) == (True, "running")


def test_a_host_that_reboots_comes_back_with_its_disk(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    contract = sim.contract(instance_id)
    sim.strike(FaultKind.HOST_REBOOTS, params={"down_s": 300})
    sim.run(100)
    assert sim.row(instance_id)["actual_status"] == "offline"
    sim.run(600)
    assert sim.row(instance_id)["actual_status"] == "running"
    assert (contract.box, contract.incarnation) == (Box.UP, 0)


def test_a_missing_image_is_given_up_after_minutes_and_goes_on_loading(sim: Sim) -> None:
    sim.strike(FaultKind.BAD_IMAGE)
    instance_id = sim.rent()
    sim.run(60)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("loading", "running")
    assert "manifest unknown" in row["status_msg"]
    sim.run(BAD_IMAGE_FLIPS_S)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("loading", "stopped")
    sim.run(HOUR)
    assert sim.contract(instance_id).box is Box.DOWN


@pytest.mark.parametrize("after_s", [None, 1800.0])
def test_a_queued_start_waits_for_its_gpu_and_may_bill_later(
    sim: Sim, after_s: float | None
) -> None:
    instance_id = sim.rent_and_boot()
    contract = sim.contract(instance_id)
    sim.strike(FaultKind.START_QUEUED, params={"after_s": after_s})
    sim.run(60)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("exited", "running")
    assert contract.burn_dollars_per_hour == contract.storage_dollars_per_hour
    sim.run(2 * HOUR)
    assert contract.box is (Box.DOWN if after_s is None else Box.UP)


def test_on_a_sick_platform_nothing_starts(sim: Sim) -> None:
    well = sim.rent_and_boot(label="before")
    sim.strike(FaultKind.PLATFORM_INCIDENT, for_s=HOUR)
    instance_id = sim.rent()
    sim.run(120)
    row = sim.row(instance_id)
    words = [row[name] for name in ("actual_status", "intended_status", "cur_state")]
    assert words == ["loading", "stopped", "stopped"]
    with pytest.raises(Refusal, match="resources_unavailable"):
        sim.market.set_state(instance_id, "running")
    assert sim.row(well)["actual_status"] == "running"
    sim.run(HOUR)
    sim.rent_and_boot(label="after")


def test_a_stale_list_shows_what_was(sim: Sim) -> None:
    first = sim.rent_and_boot(label="first")
    sim.strike(FaultKind.LIST_STALE, for_s=60)
    assert [row["id"] for row in sim.market.rows()] == [first]
    second = sim.rent(label="second")
    sim.market.destroy(first)
    assert [row["id"] for row in sim.market.rows()] == [first]
    assert sim.market.row(first) is None, "the answer by id is fresh"
    sim.run(61)
    assert [row["id"] for row in sim.market.rows()] == [second]


def test_credit_that_runs_out_leaves_a_debt_that_grows_and_reads_that_work() -> None:
    sim = Sim(replace(STILL, credit_dollars=0.2))
    instance_id = sim.rent_and_boot()
    sim.run(HOUR)
    assert sim.row(instance_id)["intended_status"] == "stopped"
    owed = sim.market.user()["balance"]
    assert sim.market.user()["credit"] == 0
    assert owed < 0
    sim.run(HOUR)
    assert sim.market.user()["balance"] < owed, "the disk goes on costing"
    with pytest.raises(Refusal, match="insufficient_credit"):
        sim.market.change_bid(sim_bid(sim, instance_id), None)
    sim.market.give_credit(10.0)
    assert sim.market.set_state(instance_id, "running")
    sim.run(300)
    assert sim.row(instance_id)["actual_status"] == "running"


def sim_bid(sim: Sim, instance_id: int) -> int:
    """Make an interruptible rental of one."""
    sim.contract(instance_id).is_bid = True
    return instance_id


def test_credit_may_be_left_for_a_while(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.strike(FaultKind.CREDIT_ZERO, params={"dollars": sim.row(instance_id)["dph_total"] / 2})
    sim.run(HOUR / 2 - 60)
    assert sim.contract(instance_id).box is Box.UP
    sim.run(120)
    assert sim.row(instance_id)["actual_status"] == "exited"


# --- offers ---------------------------------------------------------------------------------------


def test_loose_offers_include_what_was_not_asked_for_and_what_is_taken(sim: Sim) -> None:
    taken = sim.market.search(CHEAPEST)[0]["machine_id"]
    sim.rent()
    sim.strike(FaultKind.OFFERS_LOOSE, count=20)
    seen = [sim.market.search(CHEAPEST | {"disable_bundling": True}) for _ in range(20)]
    loose = [row for rows in seen for row in rows]
    assert {row["num_gpus"] for row in loose} > {1}
    assert all(row["rentable"] for row in loose)
    stale = next(row for row in loose if row["machine_id"] == taken)
    with pytest.raises(Refusal):
        sim.market.create(stale["id"], BODY)
    strict = sim.market.search(CHEAPEST | {"disable_bundling": True})
    assert {row["num_gpus"] for row in strict} == {1}


def test_dirty_offers_are_wrong_in_several_ways_and_are_still_json(sim: Sim) -> None:
    clean = {row["id"]: row for row in sim.market.search({"disable_bundling": True})}
    sim.strike(FaultKind.OFFERS_DIRTY, count=3)
    rows = [row for _ in range(3) for row in sim.market.search({"disable_bundling": True})]
    json.dumps(rows, allow_nan=False)
    as_text = [row for row in rows if isinstance(row.get("dph_total"), str)]
    parts_gone = [row for row in rows if len(row) < len(clean[next(iter(clean))])]
    cheaper = [
        row
        for row in rows
        if type(row.get("dph_total")) is float
        and row.get("id") in clean
        and row["dph_total"] < 0.96 * clean[row["id"]]["dph_total"]
    ]
    assert as_text
    assert parts_gone
    assert cheaper
    assert len(rows) > 3 * len(clean), "some come twice"
