"""What campaigns taught the auditor: each excuse beside the sin that it must not cover.

The seeds are of ``keeper sim run --faults all``; a name of a fleet is said with them.
"""

from dataclasses import replace

import pytest

from keeper.sim.evidence import STARTED, Caps, Deployed
from keeper.sim.faults import FaultKind
from keeper.sim.fleets import OBSERVE, SUGGEST, Fleet, Habits, Opening, Spell, forbidden, watched
from keeper.sim.ledger import Change
from keeper.sim.promises_caps import remedies_within_their_caps, spending_within_the_caps
from keeper.sim.promises_ends import absence_is_confirmed
from keeper.sim.promises_money import doubtful_create_is_settled_first
from keeper.sim.promises_nerve import make_before_break, modes_and_windows_are_kept
from keeper.sim.promises_secrets import a_changed_key_is_told
from keeper.sim.promises_stream import bad_machines_are_avoided, darkness_ends
from tests.sim.doctored_hosts import (
    a_stall,
    ended_for_money_that_was_there,
    given_up_and_dark,
    searching,
    twelve_slots,
)
from tests.sim.ledgers import BEGAN, DAY, SLOT, Run

QUOTA = FaultKind.SEARCH_QUOTA.value


def test_a_machine_whose_rental_vanished_may_be_avoided_for_a_while() -> None:
    """Seed 219: the only host that a cap left room for was on such a machine."""
    for hours, blamed in ((1, []), (8, ["I18"])):
        run, until = Run(), 5000.0 + hours * 3600.0
        run.picture(100, 5000.0, live=False)
        run.end(100, 5000.0, "fault")
        searching(run, 5050.0, until, a_stall(offer_id=100))
        run.rent(101, "k:duel/0:2", at=until)
        run.picture(101, until + 300.0)
        assert [broken.invariant for broken in darkness_ends(run.evidence())] == blamed


@pytest.mark.parametrize(
    ("step_s", "cap", "is_blamed"),
    [
        pytest.param(3600.0, 1.7, False, id="ahead: the box may have slept, and the hour counts"),
        pytest.param(-3600.0, 1.7, True, id="back: nothing was counted twice"),
        pytest.param(3600.0, 2.3, True, id="there was money for more than the hour"),
        pytest.param(0.0, 1.7, True, id="no step"),
    ],
)
def test_an_hour_that_a_clock_leapt_over_may_have_been_paid(
    *, step_s: float, cap: float, is_blamed: bool
) -> None:
    """Seed 211: what keeper counts for such an hour may be what calls for the hard stop."""
    seen = replace(ended_for_money_that_was_there(Run()), clock_steps=((BEGAN + 9000.0, step_s),))
    caps = {"duel": Caps(per_day=cap)}
    found = make_before_break(replace(seen, bounds=replace(seen.bounds, caps=caps)))
    assert [broken.invariant for broken in found] == ["I11"] * is_blamed


@pytest.mark.parametrize(
    ("healed_at", "told_at", "is_blamed"),
    [
        pytest.param(5600.0, 6100.0, False, id="told when SSH answered again"),
        pytest.param(None, None, False, id="it never answered again"),
        pytest.param(5600.0, 6300.0, True, id="told later than that"),
        pytest.param(5600.0, None, True, id="never told"),
        pytest.param(4990.0, 6100.0, True, id="SSH answered all the time"),
    ],
)
def test_a_changed_key_that_no_host_shows_cannot_be_told(
    *, healed_at: float | None, told_at: float | None, is_blamed: bool
) -> None:
    """Seed 415 of tight fleets: the key changed while its SSH server hung for twelve minutes."""
    run = Run()
    run.command(100, 290.0, "deploy.start")
    run.host(100, 4900.0, "struck", "ssh_hang")
    run.host(100, 5000.0, "struck", "host_key_changed")
    if healed_at is not None:
        run.host(100, healed_at, "healed", "ssh_hang")
    if told_at is not None:
        run.tell(told_at, key=f"KeeperSlotHeld:host_key_changed:{SLOT}", slot=SLOT)
    found = [broken.invariant for broken in a_changed_key_is_told(run.evidence())]
    assert found == ["I23"] * is_blamed


@pytest.mark.parametrize(
    ("stopped_at", "started_at", "is_blamed"),
    [
        pytest.param(4900.0, None, False, id="it stood still to the end"),
        pytest.param(5050.0, None, False, id="it was stopped a moment later"),
        pytest.param(5700.0, None, True, id="it was stopped long after"),
        pytest.param(4900.0, 5600.0, True, id="it was started, and nobody was told"),
        pytest.param(4900.0, 4950.0, True, id="it had been started before"),
    ],
)
def test_a_changed_key_of_a_spare_that_stands_still_is_told_when_it_starts(
    *, stopped_at: float, started_at: float | None, is_blamed: bool
) -> None:
    """Seed 2709 of any fleet: the key changed 50 s before a spare stood still, until its end."""
    run = Run()
    run.command(100, 290.0, "deploy.start")
    run.change(100, stopped_at, "stopped")
    run.host(100, 5000.0, "struck", "host_key_changed")
    if started_at is not None:
        run.change(100, started_at, "running")
    found = [broken.invariant for broken in a_changed_key_is_told(run.evidence())]
    assert found == ["I23"] * is_blamed


@pytest.mark.parametrize(
    ("offered", "listed_at", "is_blamed"),
    [
        pytest.param(0.3, 5012.0, False, id="two are asked for at once, and the first costs more"),
        pytest.param(0.3, 5003.0, True, id="a list had told so before the second"),
        pytest.param(0.7, 5012.0, False, id="it is given back: a search may have said otherwise"),
        pytest.param(0.7, 5003.0, True, id="it is given back, and a list had told its price"),
    ],
)
def test_what_a_contract_costs_beyond_its_offer_counts_once_it_is_told(
    *, offered: float, listed_at: float, is_blamed: bool
) -> None:
    """Seed 405 of twenty slots: four seconds apart, and no list in between."""
    run = Run()
    run.ledger.requests[:] = [r for r in run.ledger.requests if not 4900 < r.at - BEGAN < 5100]
    run.rent(101, "k:duel/1:1", at=5000.0, dollars=0.7, offered=offered)
    run.list_(listed_at)
    if offered == 0.7:
        run.destroy(101, 5060.0)
    run.rent(102, "k:duel/2:1", at=5020.0, dollars=0.4, offered=0.4)
    seen = replace(run.evidence(caps={"": Caps(per_hour=1.25)}), desired={"duel": 3})
    at_once = [broken.at - BEGAN for broken in spending_within_the_caps(seen)]
    assert (5020.0 in at_once) is is_blamed


@pytest.mark.parametrize(
    ("shown_at", "offered", "is_blamed"),
    [
        pytest.param(5004.0, 0.3, True, id="the list between them showed it"),
        pytest.param(5045.0, 0.3, False, id="it came to light after the second"),
        pytest.param(5045.0, 0.6, True, id="too dear by its offer alone"),
    ],
)
def test_a_list_that_lacks_a_contract_does_not_tell_its_price(
    *, shown_at: float, offered: float, is_blamed: bool
) -> None:
    """Seed 7938 of any fleet: an error had named what it left behind, and lists lacked that for 45 s."""
    run = Run()
    run.rent(101, "k:duel/1:1", at=5000.0, dollars=0.7, offered=offered)
    run.ledger.rentals[101].hidden.append((BEGAN + 5000.0, BEGAN + shown_at))
    run.list_(5005.0)
    run.destroy(101, 5060.0)
    run.rent(102, "k:duel/2:1", at=5020.0, dollars=0.4, offered=0.4)
    seen = replace(run.evidence(caps={"": Caps(per_hour=1.25)}), desired={"duel": 3})
    at_once = [broken.at - BEGAN for broken in spending_within_the_caps(seen)]
    assert (5020.0 in at_once) is is_blamed


def test_room_under_a_cap_that_others_took_is_no_darkness_of_ones_own() -> None:
    """Seed 406 of twenty slots: now and then, in four days, there was room for some minutes."""
    for open_s, blamed in ((900.0, []), (3600.0, ["I18"])):
        run, at = Run(), 5050.0
        while at < 25_000.0:
            searching(run, at, at + 1500.0, a_stall(dollars=0.9), every_s=300.0)
            searching(run, at + 1500.0, at + 1500.0 + open_s, a_stall(), every_s=300.0)
            at += 1500.0 + open_s
        seen = given_up_and_dark(run, until=25_000.0).evidence(caps={"duel": Caps(per_hour=0.85)})
        assert [broken.invariant for broken in darkness_ends(seen)] == blamed


@pytest.mark.parametrize(
    ("given_up_at", "is_blamed"),
    [
        pytest.param(5120.6, False, id="one comes to nothing in that moment"),
        pytest.param(5200.0, True, id="one comes to nothing later"),
    ],
)
def test_a_replacement_that_is_given_up_makes_room_for_another_in_the_same_moment(
    *, given_up_at: float, is_blamed: bool
) -> None:
    """Seed 401 of twenty slots: its destroy arrived a moment after the create."""
    run = Run()
    desired = twelve_slots(run, lost=4)
    run.destroy(301, given_up_at)
    found = remedies_within_their_caps(replace(run.evidence(), desired=desired))
    assert any("between two hosts" in broken.text for broken in found) is is_blamed


@pytest.mark.parametrize(
    ("apart_s", "is_blamed"),
    [
        pytest.param(3.1, False, id="they stand in a queue"),
        pytest.param(8.0, True, id="it was its turn at any time"),
    ],
)
def test_a_replacement_whose_end_waits_for_its_turn_is_not_in_flight(
    *, apart_s: float, is_blamed: bool
) -> None:
    """Seed 82: twenty hosts fell at once, and the end of a dear one stood behind theirs."""
    run = Run()
    desired = twelve_slots(run, lost=4)
    run.destroy(301, 5150.0)
    for number in range(1, 15):
        run.destroy(400, 5150.0 - apart_s * number, ends=False)  # of another keeper's, say
    seen = run.evidence()
    bounds = replace(seen.bounds, spacing_s={("DELETE", "/instances/{id}/"): 3.0})
    found = remedies_within_their_caps(replace(seen, desired=desired, bounds=bounds))
    assert any("between two hosts" in broken.text for broken in found) is is_blamed


@pytest.mark.parametrize(
    ("paused", "is_blamed"),
    [
        pytest.param((20_000.0, 50_000.0), False, id="from before the cap until it was ended"),
        pytest.param((), True, id="nobody had paused"),
        pytest.param((20_000.0, 40_000.0), True, id="it went on after the pause"),
        pytest.param((1000.0, 9000.0), True, id="the pause was over long before"),
    ],
)
def test_what_is_paid_beyond_a_cap_while_a_person_has_paused_is_theirs(
    *, paused: tuple[float, ...], is_blamed: bool
) -> None:
    """Seed 423 of tight fleets: a pause keeps even the hard stop from happening (I12)."""
    run = Run()
    run.end(100, 50_000.0, dollars=5.0)
    pauses = ((BEGAN + paused[0], BEGAN + paused[1]),) if paused else ()
    seen = replace(run.evidence(caps={"duel": Caps(per_day=3.0)}), paused=pauses)
    assert [broken.invariant for broken in spending_within_the_caps(seen)] == ["I4"] * is_blamed


@pytest.mark.parametrize(
    ("stream", "until_s", "is_blamed"),
    [
        pytest.param("duel", 50_000.0, False, id="from before the cap until it was ended"),
        pytest.param("duel", 40_000.0, True, id="it went on after the mode was changed back"),
        pytest.param("turbo", 50_000.0, True, id="another stream was only watched"),
    ],
)
def test_what_is_paid_beyond_a_cap_while_its_mode_lets_keeper_only_watch_is_theirs(
    *, stream: str, until_s: float, is_blamed: bool
) -> None:
    """Caps and modes together: a mode keeps even the hard stop from happening (I12)."""
    run = Run()
    run.end(100, 50_000.0, dollars=5.0)
    for name in ("duel", ""):
        seen = run.evidence(caps={name: Caps(per_day=3.0)})
        seen = replace(seen, watched={stream: ((BEGAN + 20_000.0, BEGAN + until_s),)})
        assert [broken.invariant for broken in spending_within_the_caps(seen)] == ["I4"] * is_blamed


@pytest.mark.parametrize(
    ("cap", "is_by_mode", "is_blamed"),
    [
        pytest.param(1.2, False, False, id="a window does not keep the hard stop"),
        pytest.param(1.2, True, True, id="a mode does"),
        pytest.param(50.0, False, True, id="the cap was far from used up"),
    ],
)
def test_a_hard_stop_goes_on_in_a_window(*, cap: float, is_by_mode: bool, is_blamed: bool) -> None:
    run = Run()
    run.destroy(100, 10_000.0)
    span = {"duel": ((BEGAN + 5000.0, BEGAN + 20_000.0),)}
    seen = replace(run.evidence(caps={"duel": Caps(per_day=cap)}), observed=span, unreplaced=span)
    found = modes_and_windows_are_kept(replace(seen, watched=span if is_by_mode else {}))
    assert ("I12" in {broken.invariant for broken in found}) is is_blamed


@pytest.mark.parametrize(("what", "is_blamed"), [("offline", False), ("stopped", True)])
def test_what_was_offline_cost_nothing_and_may_have_been_counted(
    what: str, *, is_blamed: bool
) -> None:
    """A window kept a host for hours that was offline: free by the bill, and counted by keeper."""
    run = Run()
    for at, state in ((1000.0, what), (DAY / 2, "running")):
        change = Change(at=BEGAN + at, what=state, by="host", dollars=0.1, dollars_per_hour=0.5)
        run.ledger.change(100, change)
    run.picture(100, DAY / 2 + 100.0)
    seen = ended_for_money_that_was_there(run)
    caps = {"duel": Caps(per_day=6.0)}
    found = make_before_break(replace(seen, bounds=replace(seen.bounds, caps=caps)))
    assert [broken.invariant for broken in found] == ["I11"] * is_blamed


def test_a_mode_is_a_window_in_which_nothing_is_allowed_and_a_window_is_no_mode() -> None:
    spell = Spell(stream="duel", mode=SUGGEST, since_s=100.0, until_s=900.0)
    window = Opening(at_hour=0, for_s=50.0, allow=OBSERVE)
    habits = Habits(watched={"xr": OBSERVE}, spells=(spell,), windows=(window,))
    fleet = Fleet(streams={"duel": 1, "turbo": 1, "xr": 1}, habits=habits)
    modes = watched(fleet, began_at=0.0, ended_at=500.0)
    assert modes == {"duel": ((100.0, 500.0),), "xr": ((0.0, 500.0),)}
    kinds = frozenset({OBSERVE})
    found = forbidden(fleet, kinds, began_at=0.0, ended_at=500.0, clock_steps=())
    night = (0.0, 50.0)
    assert found == {
        "duel": (night, (100.0, 500.0)), "turbo": (night,), "xr": (night, (0.0, 500.0)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stepped_at", "step_s", "again_at", "note", "is_blamed"),
    [
        pytest.param(
            50_000.0, -3600.0, DAY + 3600.0, QUOTA, False, id="set back: midnight is later"
        ),
        pytest.param(
            75_000.0, -3600.0, DAY + 3600.0, QUOTA, False, id="set back since it was refused"
        ),
        pytest.param(
            75_000.0, 3600.0, DAY + 3600.0, QUOTA, True, id="set ahead: it was midnight long ago"
        ),
        pytest.param(75_000.0, -3600.0, DAY + 9000.0, QUOTA, True, id="another hour went by"),
        pytest.param(
            75_000.0, -3600.0, DAY + 3600.0, "http_429", True, id="asked too often, and no more"
        ),
    ],
)
def test_who_may_not_search_any_more_waits_for_the_midnight_of_his_own_clock(
    *, stepped_at: float, step_s: float, again_at: float, note: str, is_blamed: bool
) -> None:
    """Seed 1068 of any fleet."""
    run = Run()
    run.picture(100, 70_000.0, live=False)
    run.end(100, 70_000.0, "fault")
    run.request("POST", "/bundles/", 70_100.0, status=429, note=note)
    run.rent(101, "k:duel/0:2", at=again_at)
    run.picture(101, again_at + 200.0)
    seen = replace(run.evidence(), ended_at=BEGAN + 2 * DAY)
    seen = replace(seen, clock_steps=((BEGAN + stepped_at, step_s),))
    assert ("I18" in {broken.invariant for broken in darkness_ends(seen)}) is is_blamed


@pytest.mark.parametrize(
    ("killed_at", "status", "blamed"),
    [
        pytest.param(5005.7, 400, [], id="killed with the next one on its way"),
        pytest.param(5005.6, 400, [], id="killed as the next one left"),
        pytest.param(5003.0, 400, ["I10"], id="killed before the next one left"),
        pytest.param(5001.0, 400, ["I10"], id="killed as it left"),
        pytest.param(5000.9, 400, [], id="killed before it left"),
        pytest.param(5005.7, 0, ["I10"], id="without an answer it is in doubt at any time"),
    ],
)
def test_who_lived_to_ask_again_had_heard_the_refusal(
    killed_at: float, status: int, blamed: list[str]
) -> None:
    """Seed 1189 of any fleet: refused, asked again 4.6 s later, and was killed at that."""
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(0, "k:duel/0:2", at=5001.0, status=status, made=False)
    run.rent(101, "k:duel/0:3", at=5005.6)
    run.picture(101, 5300.0)
    seen = replace(run.evidence(), killed_at=(BEGAN + killed_at,))
    assert [each.invariant for each in doubtful_create_is_settled_first(seen)] == blamed


@pytest.mark.parametrize(
    ("note", "status", "closed_at", "blamed"),
    [
        pytest.param("", 400, 5001.06, [], id="the disk had its refusal before"),
        pytest.param("", 400, 5005.0, ["I10"], id="the disk had it only afterwards"),
        pytest.param("", 400, None, ["I10"], id="the disk never had it"),
        pytest.param("", 400, 5000.9, ["I10"], id="it was taken for answered before it was"),
        pytest.param("drop_after", 400, 5001.06, ["I10"], id="its answer was lost"),
        pytest.param("", 0, 5001.06, ["I10"], id="there was no answer"),
    ],
)
def test_what_is_on_disk_had_been_heard(
    *, note: str, status: int, closed_at: float | None, blamed: list[str]
) -> None:
    """Seed 8865 of any fleet: refused, written down, and killed some seconds after that."""
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(0, "k:duel/0:2", at=5001.0, status=status, note=note, made=False)
    run.rent(101, "k:duel/0:3", at=5090.0)
    run.picture(101, 5300.0)
    closed = () if closed_at is None else ((BEGAN + closed_at, "k:duel/0:2"),)
    seen = replace(run.evidence(), killed_at=(BEGAN + 5003.0,), labels_closed=closed)
    assert [each.invariant for each in doubtful_create_is_settled_first(seen)] == blamed


@pytest.mark.parametrize(
    ("vouched_until", "blamed"),
    [
        pytest.param(5115.0, [], id="a list was promised to stay as it is, nearly to the end"),
        pytest.param(5060.0, ["I10"], id="but for a moment"),
        pytest.param(None, ["I10"], id="nothing was promised"),
    ],
)
def test_a_list_that_is_vouched_for_need_not_be_asked_for(
    *, vouched_until: float | None, blamed: list[str]
) -> None:
    """Seed 4439 of any fleet: the next list that was asked for was an old one, told again."""
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.end(100, 5000.5, "fault")
    run.rent(0, "k:duel/0:2", at=5001.0, status=0, made=False)
    run.list_(5120.0, note="list_stale")
    run.rent(101, "k:duel/0:3", at=5131.0)
    run.picture(101, 5400.0)
    spans = () if vouched_until is None else ((BEGAN + 5040.0, BEGAN + vouched_until),)
    found = doubtful_create_is_settled_first(replace(run.evidence(), vouched=spans))
    assert [each.invariant for each in found] == blamed


@pytest.mark.parametrize(
    ("hidden", "by_id_at", "ended_at", "is_blamed"),
    [
        pytest.param(
            (5000.0, 5090.0), (5036.0,), 5080.0, False, id="its end was a lie, and then came true"
        ),
        pytest.param((5000.0, 5090.0), (), 5080.0, True, id="its id was never asked for"),
        pytest.param(
            (5000.0, 5090.0), (5036.0,), 5095.0, False, id="it was back, and nobody could see it"
        ),
        pytest.param(
            (5000.0, 5090.0), (5036.0, 5092.0), 5095.0, True, id="it was back, and its id said so"
        ),
        pytest.param(
            (5000.0, 5090.0), (5036.0,), 5200.0, True, id="it was back, and a list showed it"
        ),
        pytest.param(
            (4990.0, 5090.0), (5036.0,), 5080.0, True, id="hidden before its end was asked for"
        ),
        pytest.param(None, (5036.0,), 5080.0, True, id="it was there all the time"),
    ],
)
def test_what_ends_while_the_market_hides_it_was_confirmed_gone_before(
    *,
    hidden: tuple[float, float] | None,
    by_id_at: tuple[float, ...],
    ended_at: float,
    is_blamed: bool,
) -> None:
    """Seed 1126 of any fleet."""
    run = Run()
    run.picture(100, 4900.0, live=False)
    run.destroy(100, 5000.0, ends=False)
    if hidden is not None:
        run.ledger.rentals[100].hidden.append((BEGAN + hidden[0], BEGAN + hidden[1]))
    run.list_(5005.0)
    run.list_(5036.0)
    for at in by_id_at:
        run.request("GET", "/instances/{id}/", at, instance_id=100)
    run.end(100, ended_at, "market")
    found = absence_is_confirmed(run.evidence())
    assert [broken.invariant for broken in found] == ["I7"] * is_blamed


@pytest.mark.parametrize(
    ("notes", "by_id_at", "is_blamed"),
    [
        pytest.param(("", "list_empty"), 5036.0, False, id="one list was empty by mistake"),
        pytest.param(("", "list_empty"), None, True, id="and nobody asked for its id"),
        pytest.param(("", "list_without_array"), 5036.0, True, id="one was no list"),
        pytest.param(("list_empty",), 5036.0, True, id="there was one list only"),
        pytest.param(("", "list_stale"), 5036.0, False, id="one was told again"),
        pytest.param(("list_stale", ""), 5036.0, True, id="one may be older than its end"),
    ],
)
def test_a_list_that_is_not_true_may_tell_the_truth_of_what_has_ended(
    *, notes: tuple[str, ...], by_id_at: float | None, is_blamed: bool
) -> None:
    """Seeds 2568 and 4415 of any fleet: others ended a rental just before such lists began."""
    run = Run()
    run.command(100, 200.0, "deploy.start")
    run.end(100, 5000.0, "outsider")
    for number, note in enumerate(notes):
        run.list_(5005.0 + 31.0 * number, note=note)
    if by_id_at is not None:
        run.request("GET", "/instances/{id}/", by_id_at, instance_id=100)
    run.rent(101, "k:duel/0:2", at=5040.0)
    found = absence_is_confirmed(run.evidence())
    assert [broken.invariant for broken in found] == ["I7"] * is_blamed


@pytest.mark.parametrize(
    ("asked", "is_blamed"),
    [
        pytest.param(((5046.0, 15.0), (5093.0, 0.0)), False, id="the first came late"),
        pytest.param(((5046.0, 0.0), (5077.0, 15.0)), False, id="the second did"),
        pytest.param(((5046.0, 15.0), (5077.0, 0.0)), True, id="and so late that they are one"),
        pytest.param(
            ((5041.0, 15.0), (5093.0, 0.0)), True, id="it was there when it was asked for"
        ),
        pytest.param(((5046.0, 0.0), (5096.0, 15.0)), True, id="it came when all was decided"),
        pytest.param(((5046.0, 30.0), (5103.0, 0.0)), True, id="nobody waited for it any more"),
    ],
)
def test_a_list_that_came_late_is_true_of_when_it_was_asked_for(
    *, asked: tuple[tuple[float, float], ...], is_blamed: bool
) -> None:
    """Seed 8626 of any fleet: a host ended while each answer took a quarter of a minute."""
    run = Run()
    run.command(100, 200.0, "deploy.start")
    run.end(100, 5042.0, "outsider")
    for at, late_s in asked:
        run.list_(at, note="latency" if late_s else "", late_s=late_s)
    run.request("GET", "/instances/{id}/", 5104.0, instance_id=100)
    run.rent(101, "k:duel/0:2", at=5106.0)
    found = absence_is_confirmed(run.evidence())
    assert [broken.invariant for broken in found] == ["I7"] * is_blamed


@pytest.mark.parametrize(
    ("left_s", "is_blamed"),
    [
        pytest.param(9000.0, False, id="its contract was about to end"),
        pytest.param(90_000.0, True, id="it had a day left"),
        pytest.param(None, True, id="it had no end"),
    ],
)
def test_a_machine_is_not_to_blame_for_the_end_of_its_contract(
    *, left_s: float | None, is_blamed: bool
) -> None:
    """Seed 3685 of any fleet: another slot took the machine on anew, an hour after the hand-over."""
    run = Run()
    run.rent(101, "k:duel/0:2", at=9100.0, machine_id=40)
    run.host(101, 9200.0, "struck", "process_killed")
    if left_s is not None:
        run.ledger.rentals[101].ends_at = BEGAN + 19_000.0 + left_s
    run.destroy(101, 19_000.0)
    run.rent(102, "k:duel/1:1", at=22_000.0, machine_id=40)
    found = bad_machines_are_avoided(run.evidence())
    assert [broken.invariant for broken in found] == ["I16"] * is_blamed


@pytest.mark.parametrize(
    ("words", "is_blamed"),
    [
        pytest.param(("new",), False, id="a bad deploy was started there, and nothing since"),
        pytest.param(("new", "old"), True, id="what works was put back, and failed there too"),
        pytest.param(("old",), True, id="it never had the bad deploy"),
        pytest.param((), True, id="nothing was ever started there"),
    ],
)
def test_a_machine_is_not_to_blame_for_a_bad_deploy(
    *, words: tuple[str, ...], is_blamed: bool
) -> None:
    """Seed 1264 of any fleet: the cheapest machine again, a moment after the deploy was found bad."""
    run = Run()
    run.rent(101, "k:duel/0:2", at=9100.0, machine_id=40)
    for number, word in enumerate(words):
        run.host(101, 9250.0 + number, STARTED, word)
    run.destroy(101, 9320.0)
    run.rent(102, "k:duel/0:3", at=9321.0, machine_id=40)
    deploys = (
        Deployed(at=BEGAN + 100.0, stream="duel", word="old", is_bad=False),
        Deployed(at=BEGAN + 9000.0, stream="duel", word="new", is_bad=True),
    )
    found = bad_machines_are_avoided(replace(run.evidence(), deploys=deploys))
    assert [broken.invariant for broken in found] == ["I16"] * is_blamed


@pytest.mark.parametrize(
    ("offered", "listed_at", "is_blamed"),
    [
        pytest.param(0.3, (9110.0, 9141.0), True, id="two lists had told that its offer lied"),
        pytest.param(0.3, (9110.0, 9130.0), False, id="they do not lie apart"),
        pytest.param(0.3, (9110.0,), False, id="one list had told so"),
        pytest.param(0.5, (9110.0, 9141.0), False, id="it cost what was agreed"),
    ],
)
def test_a_machine_whose_offer_lied_is_not_rented_again_at_once(
    *, offered: float, listed_at: tuple[float, ...], is_blamed: bool
) -> None:
    """Seed 7943 of any fleet: the cheapest offer lied, was given back, and was the cheapest again."""
    run = Run()
    run.ledger.requests[:] = [r for r in run.ledger.requests if not 9050 < r.at - BEGAN < 9200]
    run.rent(101, "k:duel/0:2", at=9100.0, machine_id=40, offered=offered)
    for at in listed_at:
        run.list_(at)
    run.destroy(101, 9145.0)
    run.rent(102, "k:duel/0:3", at=9270.0, machine_id=40)
    found = bad_machines_are_avoided(run.evidence())
    assert [broken.invariant for broken in found] == ["I16"] * is_blamed
