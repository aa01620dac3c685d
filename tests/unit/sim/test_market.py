"""The marketplace model: what is on offer, what a rental goes through, and what it costs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from keeper.sim.contract import Box
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.lifecycle import Tempo
from keeper.sim.market import MarketShape, Refusal, ReplyLost
from tests.unit.sim.a_market import BEGAN, BODY, CHEAPEST, STILL, Sim


@pytest.fixture
def sim() -> Sim:
    return Sim()


# --- on offer --------------------------------------------------------------------------------


def test_prices_add_up_exactly(sim: Sim) -> None:
    for offer in sim.market.search({"allocated_storage": 120, "disable_bundling": True}):
        storage = offer["storage_cost"] * 120 / 720
        assert offer["storage_total_cost"] == pytest.approx(storage)
        assert offer["dph_total"] == offer["dph_base"] + offer["storage_total_cost"]
        assert offer["search"]["totalHour"] == offer["dph_total"]
        assert offer["instance"]["totalHour"] == offer["storage_total_cost"]
        assert offer["dlperf_per_dphtotal"] == offer["dlperf"] / offer["dph_total"]
        assert offer["gpu_total_ram"] == offer["gpu_ram"] * offer["num_gpus"]
        assert offer["min_bid"] <= offer["dph_base"]


def test_an_answer_never_holds_more_than_64(sim: Sim) -> None:
    assert len(sim.market.search({"limit": 1000})) == 64
    assert len(sim.market.search({"limit": 3})) == 3
    assert len(sim.market.search({"limit": 3, "disable_bundling": True})) > 64


def test_a_display_is_rare(sim: Sim) -> None:
    rows = sim.market.search({"disable_bundling": True})
    with_display = sum(row["gpu_display_active"] for row in rows)
    assert 4 <= with_display < len(rows) / 3


def test_filter_on_id_matches_nothing(sim: Sim) -> None:
    offer = sim.market.search(CHEAPEST)[0]["id"]
    assert sim.market.search({"id": {"eq": offer}}) == []
    assert len(sim.market.search({"ask_contract_id": {"eq": offer}})) == 1


def test_renting_a_part_takes_what_overlaps_off_the_market(sim: Sim) -> None:
    whole = next(row for row in sim.market.search({}) if row["num_gpus"] == 4)
    machine = {"machine_id": {"eq": whole["machine_id"]}, "rentable": {"eq": True}}
    before = sim.market.search(machine | {"disable_bundling": True})
    single = next(row for row in before if row["num_gpus"] == 1)
    sim.market.create(single["id"], BODY)
    after = sim.market.search(machine | {"disable_bundling": True})
    # Whole, its half and itself are gone; the other half and three singles are left.
    assert sorted(row["num_gpus"] for row in before) == [1, 1, 1, 1, 2, 2, 4]
    assert sorted(row["num_gpus"] for row in after) == [1, 1, 1, 2]


def test_a_rented_offer_is_dead_and_comes_back_under_another_id(sim: Sim) -> None:
    offer = sim.market.search(CHEAPEST)[0]
    instance_id = sim.market.create(offer["id"], BODY)["new_contract"]
    with pytest.raises(Refusal) as refused:
        sim.market.create(offer["id"], BODY)
    assert "no_such_ask" in str(refused.value.body)
    sim.market.destroy(instance_id)
    again = sim.market.search(CHEAPEST)[0]
    assert again["machine_id"] == offer["machine_id"]
    assert again["id"] != offer["id"]


def test_others_rent_but_leave_some_displays() -> None:
    sim = Sim(MarketShape(renters_every_s=10, renters_hold_s=1e9, display_open_min=3))
    sim.run(86_400)
    displays = sim.market.search(
        {"gpu_display_active": {"eq": True}, "rentable": {"eq": True}, "disable_bundling": True}
    )
    assert len(displays) == 3


# --- a life ----------------------------------------------------------------------------------


def test_status_words_follow_the_truth(sim: Sim) -> None:
    instance_id = sim.rent()
    first = sim.row(instance_id)
    assert first["actual_status"] is None
    assert first["cur_state"] == "running"  # at once, long before there is a container
    assert "dph_total" not in first
    seen = []
    for _ in range(100):
        sim.run(2)
        row = sim.row(instance_id)
        seen.append((row["actual_status"], bool(row.get("ports"))))
    words = list(dict.fromkeys(word for word, _ in seen if word))
    assert words == ["created", "loading", "running"]
    assert ("loading", True) in seen, "the report lags behind the container"
    assert seen[-1] == ("running", True)


def test_ports_come_from_the_environment_object(sim: Sim) -> None:
    env = {"-p 8000:8000": "1", "-p 53:53/udp": "1", "A": "1"}
    row = sim.row(sim.rent_and_boot(env=env))
    assert set(row["ports"]) == {"22/tcp", "8000/tcp", "53/udp"}
    assert row["ports"]["22/tcp"][0]["HostPort"].isdecimal()
    assert ["A", "1"] in row["extra_env"]


def test_gpu_is_billed_while_up_and_storage_always(sim: Sim) -> None:
    instance_id = sim.rent()
    contract = sim.market.contracts[instance_id]
    sim.run(600)
    rental = sim.market.ledger.rentals[instance_id]
    up_at = next(change.at for change in rental.changes if change.what == "running")
    sim.market.set_state(instance_id, "stopped")
    sim.run(3600)
    down_at = next(change.at for change in rental.changes if change.what == "stopped")
    sim.market.destroy(instance_id)
    expected = (down_at - up_at) / 3600 * contract.gpu_dollars_per_hour
    expected += (sim.now - BEGAN) / 3600 * contract.storage_dollars_per_hour
    assert rental.dollars == pytest.approx(expected)
    assert rental.ended_at == sim.now
    credit = sim.market.credit(sim.now)
    assert credit == pytest.approx(STILL.credit_dollars - rental.dollars)
    sim.run(3600)
    assert sim.market.credit(sim.now) == credit


def test_an_offline_machine_costs_nothing_and_comes_back(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.market.arm(Fault(kind=FaultKind.HOST_OFFLINE, for_s=600))
    before = sim.market.credit(sim.now)
    sim.run(30)
    assert sim.row(instance_id)["actual_status"] == "unknown"
    sim.run(100)
    assert sim.row(instance_id)["actual_status"] == "offline"
    sim.run(400)
    assert sim.market.credit(sim.now) == pytest.approx(before)
    sim.run(200)
    assert sim.row(instance_id)["actual_status"] == "running"
    assert sim.market.credit(sim.now) < before


def test_credit_that_runs_out_stops_everything() -> None:
    sim = Sim(replace(STILL, credit_dollars=0.05))
    instance_id = sim.rent_and_boot()
    sim.run(3600)
    row = sim.row(instance_id)
    assert (row["intended_status"], row["actual_status"]) == ("stopped", "exited")
    with pytest.raises(Refusal, match="insufficient_credit"):
        sim.rent()
    with pytest.raises(Refusal, match="insufficient_credit"):
        sim.market.set_state(instance_id, "running")


def test_start_is_queued_while_the_gpu_is_let_and_comes_up_later(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.market.set_state(instance_id, "stopped")
    sim.run(60)
    other = sim.rent_and_boot(label="other")
    mine, theirs = (sim.market.contracts[one].machine for one in (instance_id, other))
    assert mine is theirs, "the cheapest is the same machine again"
    assert not sim.market.set_state(instance_id, "running")
    row = sim.row(instance_id)
    assert (row["intended_status"], row["cur_state"]) == ("running", "stopped")
    sim.market.destroy(other)
    sim.run(300)
    assert sim.row(instance_id)["actual_status"] == "running"


def test_recycle_makes_another_container_and_reboot_does_not(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    contract = sim.market.contracts[instance_id]
    sim.market.reboot(instance_id)
    assert contract.box is Box.RESTARTING
    sim.run(300)
    assert (contract.box, contract.incarnation) == (Box.UP, 0)
    sim.market.recycle(instance_id)
    sim.run(300)
    assert (contract.box, contract.incarnation) == (Box.UP, 1)


def test_destroy_ends_reads_and_a_second_one_finds_nothing(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.market.destroy(instance_id)
    assert sim.market.row(instance_id) is None
    assert sim.market.rows() == []
    with pytest.raises(Refusal, match="no_such_instance"):
        sim.market.destroy(instance_id)


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"image": None}, "invalid_args"),
        ({"disk": 4}, "invalid_args"),
        ({"label": "x" * 257}, "invalid_args"),
        ({"onstart": "x" * 5000}, "3471"),
        ({"price": 0.0}, "invalid_price"),
    ],
)
def test_refuses_a_create_that_makes_no_sense(
    sim: Sim, changes: Mapping[str, Any], slug: str
) -> None:
    with pytest.raises(Refusal, match=slug):
        sim.rent(**changes)
    assert sim.market.contracts == {}


# --- lies ------------------------------------------------------------------------------------


def test_a_lost_reply_leaves_a_rental(sim: Sim) -> None:
    sim.market.arm(Fault(kind=FaultKind.CREATE_REPLY_LOST, target="k:duel/*"))
    with pytest.raises(ReplyLost):
        sim.rent()
    assert [row["label"] for row in sim.market.rows()] == ["k:duel/0:1"]
    sim.rent(label="k:duel/0:2")  # one shot only


@pytest.mark.parametrize(
    ("kind", "rentals"),
    [
        (FaultKind.CREATE_ERROR_BUT_MADE, 1),
        (FaultKind.CREATE_SUCCESS_FALSE_200, 0),
        (FaultKind.OFFER_GONE, 0),
    ],
)
def test_a_refused_create_may_have_made_a_rental(sim: Sim, kind: FaultKind, rentals: int) -> None:
    sim.market.arm(Fault(kind=kind))
    with pytest.raises(Refusal) as refused:
        sim.rent()
    assert len(sim.market.rows()) == rentals
    assert ("new_contract" in refused.value.body) == bool(rentals)


def test_a_phantom_is_promised_and_never_appears(sim: Sim) -> None:
    sim.market.arm(Fault(kind=FaultKind.CREATE_PHANTOM))
    instance_id = sim.rent()
    sim.run(600)
    assert sim.market.row(instance_id) is None
    assert sim.market.ledger.rentals == {}


def test_a_rental_that_appears_late_bills_from_the_beginning(sim: Sim) -> None:
    sim.market.arm(Fault(kind=FaultKind.INSTANCE_APPEARS_LATE, params={"after_s": 60}))
    instance_id = sim.rent()
    sim.run(59)
    assert sim.market.rows() == []
    assert sim.market.row(instance_id) is None
    sim.run(2)
    assert len(sim.market.rows()) == 1
    assert sim.market.ledger.rentals[instance_id].created_at == BEGAN


def test_a_destroyed_rental_reappears_as_a_stale_row(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.market.arm(Fault(kind=FaultKind.DESTROYED_REAPPEARS, params={"after_s": 40, "lasts_s": 30}))
    sim.market.destroy(instance_id)
    assert sim.market.rows() == []
    sim.run(41)
    assert [row["id"] for row in sim.market.rows()] == [instance_id]
    assert sim.market.row(instance_id) is None
    sim.run(30)
    assert sim.market.rows() == []


def test_an_acknowledged_destroy_may_not_have_happened(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.market.arm(
        Fault(kind=FaultKind.DESTROYED_REAPPEARS, params={"after_s": 40, "is_real": True})
    )
    sim.market.destroy(instance_id)
    assert sim.market.rows() == []
    assert sim.market.ledger.rentals[instance_id].is_live
    sim.run(41)
    assert len(sim.market.rows()) == 1
    sim.market.destroy(instance_id)
    assert not sim.market.ledger.rentals[instance_id].is_live


def test_the_price_may_change_between_search_and_create(sim: Sim) -> None:
    offer = sim.market.search(CHEAPEST)[0]
    sim.market.arm(Fault(kind=FaultKind.PRICE_CHANGED, params={"factor": 2.0}))
    instance_id = sim.rent()
    rental = sim.market.ledger.rentals[instance_id]
    assert rental.dollars_per_hour > offer["dph_total"] * 1.5


def test_a_container_that_cannot_start_says_so_while_created(sim: Sim) -> None:
    sim.market.arm(Fault(kind=FaultKind.DAEMON_ERROR))
    instance_id = sim.rent()
    sim.run(30)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("created", "stopped")
    assert "Error response from daemon" in row["status_msg"]
    sim.run(3600)
    assert sim.row(instance_id)["actual_status"] == "created"


def test_a_stuck_pull_looks_like_a_slow_one(sim: Sim) -> None:
    sim.market.arm(Fault(kind=FaultKind.STUCK_LOADING))
    instance_id = sim.rent()
    sim.run(7200)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("loading", "running")


def test_a_vanished_host_never_comes_back_and_the_contract_goes_later(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.market.arm(Fault(kind=FaultKind.HOST_VANISHES, params={"absent_after_s": 3600}))
    sim.run(600)
    assert sim.row(instance_id)["actual_status"] == "offline"
    sim.run(3600)
    assert sim.market.row(instance_id) is None


def test_numbers_may_come_as_text(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.market.arm(Fault(kind=FaultKind.NUMBER_AS_STRING, for_s=60))
    assert isinstance(sim.row(instance_id)["dph_total"], str)
    sim.run(61)
    assert isinstance(sim.row(instance_id)["dph_total"], float)


def test_a_fault_for_a_stream_waits_for_it_and_spares_the_replacement(sim: Sim) -> None:
    sim.market.arm(Fault(kind=FaultKind.SSH_HANG, target="k:duel/*", at=10, for_s=100_000))
    sim.run(3600)
    assert sim.hosts.struck == []
    first = sim.rent_and_boot(label="k:duel/0:1")
    second = sim.rent_and_boot(label="k:duel/0:2")
    sim.rent_and_boot(label="k:other/0:1")
    assert second != first
    assert sim.hosts.struck == [(first, FaultKind.SSH_HANG)]


def test_what_befalls_keeper_is_not_for_the_market(sim: Sim) -> None:
    with pytest.raises(ValueError, match="keeper's own box"):
        sim.market.arm(Fault(kind=FaultKind.KEEPER_KILLED))


def test_the_same_seed_tells_the_same_story() -> None:
    def story(seed: int) -> object:
        sim = Sim(MarketShape(tempo=Tempo()), seed=seed)
        instance_id = sim.rent()
        rows = []
        for _ in range(200):
            sim.run(30)
            rows.append((sim.market.rows(), len(sim.market.asks())))
        sim.market.destroy(instance_id)
        return rows, sim.market.ledger.plain()

    assert story(3) == story(3)
    assert story(3) != story(4)


# --- stop and start --------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["running", "rebooting"])
def test_a_start_takes_back_a_stop_that_is_on_its_way(sim: Sim, before: str) -> None:
    """It lay stopped for ever, meant to run and waiting for nothing."""
    instance_id = sim.rent_and_boot()
    if before == "rebooting":
        sim.market.reboot(instance_id)
    sim.market.set_state(instance_id, "stopped")
    sim.run(1)
    assert sim.market.set_state(instance_id, "running")
    sim.run(300)
    assert sim.market.contracts[instance_id].box is Box.UP
    assert sim.row(instance_id)["actual_status"] == "running"


# --- orders to stop and to start that come to something else ---------------------------------------


def ordered(sim: Sim, instance_id: int, state: str) -> bool | str:
    try:
        return sim.market.set_state(instance_id, state)
    except ReplyLost as lost:
        return lost.note


@pytest.mark.parametrize(("state", "box"), [("stopped", Box.DOWN), ("running", Box.UP)])
def test_an_order_whose_answer_is_lost_is_carried_out(sim: Sim, state: str, box: Box) -> None:
    instance_id = sim.rent_and_boot()
    if state == "running":
        sim.market.set_state(instance_id, "stopped")
        sim.run(60)
    sim.market.arm(Fault(kind=FaultKind.STATE_REPLY_LOST))
    assert ordered(sim, instance_id, state) == "state_reply_lost"
    sim.run(300)
    assert sim.market.contracts[instance_id].box is box


@pytest.mark.parametrize(
    ("after_s", "states"), [(None, ["running", "running"]), (120.0, ["running", "exited"])]
)
def test_a_stop_may_stick_late_or_never_and_bills_until_it_does(
    sim: Sim, after_s: float | None, states: list[str]
) -> None:
    """Q14."""
    instance_id = sim.rent_and_boot()
    sim.market.arm(Fault(kind=FaultKind.STOP_DOES_NOT_STICK, params={"after_s": after_s}))
    assert ordered(sim, instance_id, "stopped") is True
    seen = []
    for _ in states:
        sim.run(100)
        seen.append(sim.row(instance_id)["actual_status"])
    assert seen == states
    assert ordered(sim, instance_id, "stopped") is True  # told again, it does
    sim.run(100)
    assert sim.row(instance_id)["actual_status"] == "exited"


def test_a_start_may_come_a_moment_too_late_and_bills_when_its_turn_comes(sim: Sim) -> None:
    """Q13."""
    instance_id = sim.rent_and_boot()
    contract = sim.market.contracts[instance_id]
    sim.market.set_state(instance_id, "stopped")
    sim.run(60)
    before = sim.row(instance_id)["ports"]
    sim.market.arm(Fault(kind=FaultKind.START_TOO_LATE))
    assert ordered(sim, instance_id, "running") is False
    sim.run(120)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("exited", "running")
    assert contract.burn_dollars_per_hour == contract.storage_dollars_per_hour
    contract.machine.occupy(contract.gpus, "")
    sim.market.lifecycle.freed(sim.now)
    sim.run(300)
    assert sim.row(instance_id)["actual_status"] == "running"
    assert sim.row(instance_id)["ports"] != before
    assert contract.burn_dollars_per_hour == contract.dollars_per_hour


def test_others_may_start_what_stands_still(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    sim.market.arm(Fault(kind=FaultKind.STARTED_BY_OTHERS, params={"after_s": 600.0}))
    sim.market.set_state(instance_id, "stopped")
    sim.run(300)
    assert sim.row(instance_id)["actual_status"] == "exited"
    sim.run(600)
    row = sim.row(instance_id)
    assert (row["actual_status"], row["intended_status"]) == ("running", "running")


def test_the_ledger_knows_what_a_disk_costs_and_which_state_was_asked_for(sim: Sim) -> None:
    instance_id = sim.rent_and_boot()
    contract = sim.market.contracts[instance_id]
    rental = sim.market.ledger.rentals[instance_id]
    assert rental.disk_dollars_per_hour == contract.storage_dollars_per_hour
    assert 0 < rental.disk_dollars_per_hour < rental.dollars_per_hour
