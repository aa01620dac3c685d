"""Each promise has a run that breaks it, and the auditor says so; a check that cannot fail is none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.sim.audit import CHECKS, audit
from keeper.sim.bills import billed, days
from keeper.sim.evidence import Caps, Evidence
from keeper.sim.promises_nerve import common_causes_stop_everything
from keeper.sim.promises_stream import on_air_after_the_calm
from tests.sim.doctored import BREAKS, ended_as_was_known
from tests.sim.doctored_hosts import (
    a_stall,
    given_up_and_dark,
    searching,
    twelve_slots,
)
from tests.sim.ledgers import BEGAN, DAY, SLOT, Run

PROMISES = {f"I{number}" for number in range(1, 26)}


def test_a_blameless_run_is_not_blamed() -> None:
    assert audit(Run().evidence()) == ()


def test_a_blameless_replacement_is_not_blamed() -> None:
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.rent(101, "k:duel/0:2", at=5300.0)
    run.picture(101, 5500.0)
    run.destroy(100, 5800.0)
    assert audit(run.evidence()) == ()


@pytest.mark.parametrize(
    ("promises", "breaks"), BREAKS, ids=[f"{each.__name__}" for _, each in BREAKS]
)
def test_the_auditor_names_what_is_broken_and_nothing_else(
    promises: str, breaks: Callable[[Run], Evidence]
) -> None:
    found = audit(breaks(Run()))
    assert {broken.invariant for broken in found} == set(promises.split())
    for broken in found:
        assert broken.invariant in broken.sentence()
        assert broken.text


def test_every_promise_is_checked_and_has_a_run_that_breaks_it() -> None:
    assert {name for names in CHECKS for name in names.split(", ")} == PROMISES
    assert {name for promises, _ in BREAKS for name in promises.split()} == PROMISES


def test_every_check_has_a_run_that_it_alone_can_tell() -> None:
    runs = [breaks(Run()) for _, breaks in BREAKS]
    for checks in CHECKS.values():
        for check in checks:
            assert any(True for run in runs for _ in check(run)), f"{check.__name__} cannot fail"


def test_terms_that_are_kept_are_not_blamed() -> None:
    assert audit(ended_as_was_known(Run(), asked=True)) == ()
    assert audit(ended_as_was_known(Run(), moved_at=19_000.0)) == ()  # too late to be known ahead
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5000.5)
    run.rent(101, "k:duel/0:2", at=5001.0, dollars=0.7)  # given back before it was of use
    run.destroy(101, 5100.0)
    run.rent(102, "k:duel/0:3", at=5201.0, is_bid=True, offered=0.0)
    run.picture(102, 5500.0)
    run.change(102, 7000.0, "stopped", "outbid")
    run.picture(102, 7000.0, live=False)
    run.change(102, 7200.0, "bid", dollars=0.9)
    run.change(102, 7300.0, "running", "host", dollars=0.9)
    run.picture(102, 7400.0)
    assert audit(run.evidence()) == ()


def test_a_hand_over_before_a_known_end_is_no_panic() -> None:
    run = Run()
    run.list_(5000.0, note="list_empty")
    run.rent(101, "k:duel/0:2", at=5010.0)
    run.picture(101, 5300.0)
    run.destroy(100, 6000.0)
    assert {broken.invariant for broken in audit(run.evidence())} == {"I9"}
    run.ledger.rentals[100].ends_at = BEGAN + 12_000.0
    assert audit(run.evidence()) == ()


def test_what_refused_creates_leave_behind_replaces_nothing() -> None:
    run = Run()
    run.picture(100, 4990.0, live=False)
    run.tell(5100.0)
    run.destroy(100, 5000.0)
    for number in range(1, 8):
        run.rent(100 + number, f"k:duel/0:{number + 1}", at=5000.0 + 300 * number, status=400)
        if number < 7:
            run.destroy(100 + number, 5010.0 + 300 * number)
    run.picture(107, 7500.0)
    run.tell(7900.0, "resolved")
    assert audit(run.evidence()) == ()
    for instance_id in range(101, 108):
        run.command(instance_id, 5005.0 + 300 * (instance_id - 100), "deploy.prepare")
    assert {broken.invariant for broken in audit(run.evidence())} == {"I13"}


@pytest.mark.parametrize(
    ("by_id_at", "back_at", "listed_at", "is_blamed"),
    [
        pytest.param((5040.0,), 5600.0, (), False, id="confirmed"),
        pytest.param((), 5600.0, (), True, id="its id was never asked for"),
        pytest.param((5040.0,), 5497.0, (), False, id="it was back, and nobody could see it"),
        pytest.param((5040.0,), 5485.0, (5492.0,), False, id="a list told too late for the call"),
        pytest.param((5040.0,), 5485.0, (5488.0,), True, id="it was back, and a list showed it"),
        pytest.param((5040.0, 5488.0), 5485.0, (), True, id="it was back, and its id said so"),
        pytest.param(
            (5498.0,), 5497.0, (), True, id="what came after it was back confirms nothing"
        ),
    ],
)
def test_a_rental_that_was_lied_away_counts_until_it_is_confirmed_gone(
    *, by_id_at: tuple[float, ...], back_at: float, listed_at: tuple[float, ...], is_blamed: bool
) -> None:
    """Seed 1771 of any fleet: it was back for 3 s when the create came that had waited its turn."""
    run = Run()
    run.destroy(100, 5000.0, ends=False)
    run.picture(100, 5000.0, live=False)
    run.ledger.rentals[100].hidden.append((BEGAN + 5000.0, BEGAN + back_at))
    for at in by_id_at:
        run.request("GET", "/instances/{id}/", at, instance_id=100)
    for at in listed_at:
        run.list_(at)
    run.rent(101, "k:duel/0:2", at=5500.0)
    run.destroy(100, 5700.0)
    run.picture(101, 5800.0)
    found = audit(run.evidence(caps={"": Caps(per_hour=0.9)}))
    assert ("I4" in {broken.invariant for broken in found}) is is_blamed


def test_a_rental_that_may_still_come_to_light_is_not_called_gone() -> None:
    """Two lists and an answer by id within a minute of its create prove nothing."""
    run = Run()
    run.destroy(100, 5000.0)
    run.picture(100, 5000.0, live=False)
    run.rent(101, "k:duel/0:2", at=5100.0)
    run.ledger.rentals[101].hidden.append((BEGAN + 5100.0, BEGAN + 5190.0))
    run.destroy(101, 5101.0, ends=False)
    run.list_(5110.0)
    run.list_(5145.0)
    run.request("GET", "/instances/{id}/", 5150.0, instance_id=101)
    run.rent(102, "k:duel/0:3", at=5180.0)
    run.destroy(101, 5200.0)
    run.picture(102, 5400.0)
    found = audit(run.evidence(caps={"": Caps(per_hour=0.9)}))
    assert "I4" in {broken.invariant for broken in found}


def test_an_account_that_nobody_saw_empty_may_be_asked() -> None:
    run = Run()
    run.ledger.empty(BEGAN + 5000.0, is_empty=True)
    run.request("GET", "/users/current/", 5100.0, status=502)
    run.rent(0, "k:duel/0:2", at=5200.0, status=400, made=False)
    run.ledger.empty(BEGAN + 6000.0, is_empty=False)
    run.request("GET", "/users/current/", 6100.0)
    run.rent(0, "k:duel/0:3", at=6200.0, status=400, made=False)
    assert audit(run.evidence()) == ()


def test_restarts_are_forgiven_by_a_good_picture_and_by_nothing_else() -> None:
    run = Run()
    for batch in range(2):
        run.picture(100, 4990.0 + 900 * batch, live=False)
        for number in range(3):
            run.command(100, 5000.0 + 900 * batch + 50 * number, "restart.process.start")
        run.picture(100, 5150.0 + 900 * batch)
    assert audit(run.evidence()) == ()
    run.picture(100, 5400.0, live=False)
    run.picture(100, 5420.0)
    assert {broken.invariant for broken in audit(run.evidence())} == {"I13"}


def test_a_short_darkness_need_not_be_told() -> None:
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.picture(100, 5590.0)
    assert audit(run.evidence()) == ()


def test_an_alert_that_a_louder_one_mutes_may_be_silent_for_longer() -> None:
    run = Run()
    run.tell(5000.0, key="KeeperOrphan:9")
    run.tell(6000.0, key="KeeperMarketUnreadable")
    run.tell(14_000.0, "resolved", key="KeeperMarketUnreadable")
    run.tell(29_000.0, "repeat", key="KeeperOrphan:9")
    run.tell(31_000.0, "resolved", key="KeeperOrphan:9")
    assert audit(run.evidence()) == ()


def test_an_alert_is_repeated_by_a_clock_that_may_be_set_back() -> None:
    """Seed 512: twice an hour back within one repeat."""
    run = Run()
    run.tell(5000.0, key="KeeperOrphan:9")
    run.tell(26_600.0, "repeat", key="KeeperOrphan:9")
    run.tell(27_000.0, "resolved", key="KeeperOrphan:9")
    steps = ((BEGAN + 9000.0, -3600.0), (BEGAN + 14_000.0, -3600.0))
    assert audit(replace(run.evidence(), clock_steps=steps)) == ()
    once = replace(run.evidence(), clock_steps=steps[:1])
    assert {broken.invariant for broken in audit(once)} == {"I19"}


def test_the_same_message_twice_is_one() -> None:
    run = Run()
    for at in (5000.0, 5010.0):
        run.tell(at, notice_id="msg_1")
    run.tell(6000.0, "resolved")
    assert audit(run.evidence()) == ()


_OLD = [
    f"({what}, KeeperStreamDark:{SLOT}) came again 8000 s after it had arrived"
    for what in ("firing", "resolved")
]


@pytest.mark.parametrize(
    ("after_s", "stepped_at", "said"),
    [
        pytest.param(7000.0, None, [], id="a crash lost the note of it"),
        pytest.param(8000.0, None, _OLD, id="hours later"),
        pytest.param(8000.0, 9000.0, _OLD, id="a clock that was set back is no excuse: ids count"),
    ],
)
def test_what_has_arrived_is_old_news(
    after_s: float, stepped_at: float | None, said: list[str]
) -> None:
    """With its end behind it, which says that nothing is open."""
    run = Run()
    for at in (5000.0, 5000.0 + after_s):
        run.tell(at, notice_id="msg_1")
        run.tell(at + 600.0, "resolved", notice_id="msg_2")
    steps = () if stepped_at is None else ((BEGAN + stepped_at, -3600.0),)
    found = audit(replace(run.evidence(), clock_steps=steps))
    assert [broken.text.partition(" ")[2] for broken in found] == said


@pytest.mark.parametrize(
    ("refused_until", "told_at", "promises"),
    [
        pytest.param(8700.0, 9500.0, set(), id="a channel that is down for an hour"),
        pytest.param(5100.0, 6400.0, set(), id="a channel that was down, and is tried again"),
        pytest.param(5100.0, 6600.0, {"I23"}, id="a channel that has been up for ten minutes"),
    ],
)
def test_a_changed_key_may_be_told_late_only_while_nobody_could_be_told(
    refused_until: float, told_at: float, promises: set[str]
) -> None:
    run = Run()
    run.command(100, 290.0, "deploy.start")
    run.host(100, 5000.0, "struck", "host_key_changed")
    key = f"KeeperSlotHeld:host_key_changed:{SLOT}"
    body = run.tell(told_at, key=key, notice_id="msg_1", slot=SLOT)
    run.tell(told_at + 600.0, "resolved", key=key, slot=SLOT)
    refused = tuple(
        (BEGAN + at, body) for at in (5030, 5930, 6830, 7730, 8630) if at <= refused_until
    )
    found = audit(replace(run.evidence(), refused=refused))
    assert {broken.invariant for broken in found} == promises


@pytest.mark.parametrize("key", [f"KeeperSlotHeld:budget:{SLOT}", f"KeeperSuggestion:{SLOT}:rent"])
@pytest.mark.parametrize("is_dark_told", [True, False])
def test_what_the_dark_stream_says_need_not_be_said_beside_it(
    *, key: str, is_dark_told: bool
) -> None:
    """A slot that a cap holds was told of; since its host is gone the dark stream says why, again."""
    run = Run()
    run.tell(5000.0, key=key, slot=SLOT)
    if is_dark_told:
        for hours in (0, 4, 8):
            run.tell(7000.0 + hours * 3600.0, "repeat" if hours else "firing")
        run.tell(46_010.0, "resolved")
    run.tell(46_000.0, "resolved", key=key, slot=SLOT)
    lost = [broken.text for broken in audit(run.evidence()) if broken.invariant == "I19"]
    assert lost == ([] if is_dark_told else [f"{key} was silent for 41000 s while it held"])


def test_confirming_a_condemned_rental_is_allowed_while_paused() -> None:
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.rent(101, "k:duel/0:2", at=5100.0)
    run.picture(101, 5150.0)
    run.destroy(100, 5190.0, ends=False)
    run.destroy(100, 5300.0)
    evidence = replace(run.evidence(), paused=((BEGAN + 5200, BEGAN + 5400),))
    assert audit(evidence) == ()


def test_darkness_counts_from_the_first_picture() -> None:
    run = Run()
    run.picture(100, 5000.0, live=False)
    run.picture(100, 5060.0)
    assert run.evidence().dark_s(SLOT) == pytest.approx(60.0)


def test_the_auditor_imports_nothing_that_it_judges() -> None:
    modules = [*Path("keeper/sim").glob("promises_*.py")]
    modules += [
        Path(f"keeper/sim/{n}.py")
        for n in ("audit", "bills", "evidence", "excuses", "ledger", "stalls")
    ]
    assert len(modules) > 12
    contract = Path("pyproject.toml").read_text(encoding="utf-8")
    for module in (*modules, Path("keeper/sim/notices.py")):
        source = module.read_text(encoding="utf-8")
        for judged in ("keeper.core", "keeper.daemon", "keeper.adapters", "keeper.ports"):
            assert judged not in source, f"{module} knows {judged}"
        assert f'"keeper.sim.{module.stem}"' in contract, f"the contract does not name {module}"


def test_what_really_stood_open_is_what_counts() -> None:
    """Nothing on the market, too dear, tried in vain, or no room in a cap: then darkness is excused."""
    for stalls, caps in (
        ((), None),
        ((a_stall(dollars=1.1),), None),
        ((a_stall(),), {"duel": Caps(per_hour=0.35)}),
        ((a_stall(),), {"duel": Caps(per_day=1.2)}),
        ((a_stall(),), {"": Caps(total=1.2)}),
    ):
        run = Run()
        searching(run, 5050.0, 16_000.0, *stalls)
        found = audit(given_up_and_dark(run).evidence(caps=caps))
        assert {broken.invariant for broken in found} - {"I4"} == set(), (stalls, caps)
    run = Run()
    searching(run, 5050.0, 16_000.0, a_stall(offer_id=100))  # the machine that has just failed
    assert audit(given_up_and_dark(run).evidence()) == ()
    run = Run()
    searching(run, 5050.0, 16_000.0, every_s=1200.0)  # and who hardly looks is not excused
    assert {each.invariant for each in audit(given_up_and_dark(run).evidence())} == {"I18"}


@pytest.mark.parametrize(
    ("cap", "again_s", "blamed"),
    [
        pytest.param(12.0, 400.0, [], id="it boots when a new day has begun"),
        pytest.param(12.0, 4000.0, ["I18"], id="a day that has begun long ago is no excuse"),
        pytest.param(20.0, 400.0, ["I18"], id="there was money"),
    ],
)
def test_what_a_cap_has_ended_in_the_calm_is_on_air_soon_after_midnight(
    cap: float, again_s: float, blamed: list[str]
) -> None:
    """Seed 40: keeper's midnight is the market's, less a leap, and a host takes its time to boot."""
    run, midnight = Run(), DAY - 18_000.0
    run.picture(100, 66_000.0, live=False)
    run.end(100, 66_000.0, dollars=66_000.0 / 3600.0 * 0.5)
    run.rent(101, "k:duel/0:2", at=midnight + 60.0)
    run.picture(101, midnight + again_s)
    seen = run.evidence(caps={"duel": Caps(per_day=cap)})
    seen = replace(seen, calm_at=BEGAN + 40_000.0, clock_steps=((BEGAN + 9000.0, 18_000.0),))
    assert [broken.invariant for broken in on_air_after_the_calm(seen)] == blamed


@pytest.mark.parametrize(("third_at", "broken"), [(500.0, []), (120.0, ["I13"])])
def test_the_first_host_of_a_slot_replaces_none(third_at: float, broken: list[str]) -> None:
    """A slot that is filled for the first time tries the next host at once, and the one after later."""
    run = Run()
    run.ledger.hosts.clear()  # the first one never booted
    run.destroy(100, 55.0)
    run.rent(101, "k:duel/0:2", at=61.0)
    run.destroy(101, 110.0)
    run.rent(102, "k:duel/0:3", at=third_at)
    run.picture(102, 700.0)
    assert [each.invariant for each in audit(run.evidence())] == broken


def test_three_replacements_may_be_in_flight() -> None:
    run = Run()
    desired = twelve_slots(run, lost=3)
    assert audit(replace(run.evidence(), desired=desired)) == ()


@pytest.mark.parametrize(
    ("steps", "dollars"),
    [
        pytest.param((), [12.0], id="a day"),
        # Keeper's day goes on for an hour after midnight, and is taken up again.
        pytest.param(
            ((22.0, 3600.0), (23.5, -3600.0)), [11.75, 0.25], id="an hour ahead for a while"
        ),
        pytest.param(((12.0, -3600.0),), [12.0], id="an hour behind"),
    ],
)
def test_a_day_is_one_of_keepers_own_clock(
    steps: tuple[tuple[float, float], ...], dollars: list[float]
) -> None:
    run = Run()
    run.ledger.rentals[100].created_at = BEGAN
    run.ledger.rentals[100].changes.clear()
    moved = tuple((BEGAN + hours * 3600.0, by_s) for hours, by_s in steps)
    seen = replace(run.evidence(), clock_steps=moved)
    assert [round(billed(seen.ours, spans), 6) for spans in days(seen)] == dollars


@pytest.mark.parametrize(("is_stopped", "broken"), [(False, []), (True, []), (None, ["I12"])])
def test_a_host_that_was_stopped_may_bring_the_trial_forward(
    is_stopped: bool | None, broken: list[str]
) -> None:
    """Four of twelve hold everything, by then for a quarter of an hour if one counts that was stopped."""
    run = Run()
    desired = twelve_slots(run, lost=0)
    if is_stopped is not None:
        run.picture(204, 4800.0, live=False)
    if is_stopped:
        run.change(204, 4800.0, "stopped", "host")
    for number, at in ((201, 5000.0), (202, 5010.0), (203, 5020.0), (205, 5410.0)):
        run.picture(number, at, live=False)
        run.picture(number, 7000.0)
    run.command(201, 6000.0, "restart.process.start")
    if is_stopped is not None:
        run.picture(204, 7000.0)
    found = tuple(common_causes_stop_everything(replace(run.evidence(), desired=desired)))
    assert [each.invariant for each in found] == broken


@pytest.mark.parametrize(
    ("blind", "acted_at", "is_blamed"),
    [
        pytest.param((4700.0, 5200.0), 5605.0, False, id="a quarter of an hour after its sight"),
        pytest.param((4700.0, 5200.0), 5550.0, True, id="sooner than that"),
        pytest.param((4700.0, 5000.0), 5605.0, False, id="it had not looked again yet"),
        pytest.param((4700.0, 4900.0), 5605.0, True, id="it saw again by then"),
        pytest.param((5050.0, 5200.0), 5605.0, True, id="it still saw then"),
        pytest.param(None, 5605.0, True, id="it saw all the time"),
    ],
)
def test_who_falls_sick_unseen_may_be_sick_since_keeper_lost_its_sight(
    *, blind: tuple[float, float] | None, acted_at: float, is_blamed: bool
) -> None:
    """Seed 1278 of any fleet: its network was down, and within that a good host's process died."""
    run = Run()
    desired = twelve_slots(run, lost=0)
    for number, at in ((201, 4500.0), (202, 4500.0), (203, 4500.0), (204, 5040.0)):
        run.picture(number, at, live=False)
        run.picture(number, 7000.0)
    run.command(204, acted_at, "restart.process.start")
    spans = () if blind is None else ((BEGAN + blind[0], BEGAN + blind[1]),)
    seen = replace(run.evidence(), desired=desired, blind=spans)
    found = [broken.invariant for broken in common_causes_stop_everything(seen)]
    assert found == ["I12"] * is_blamed
