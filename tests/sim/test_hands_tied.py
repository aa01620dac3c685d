"""When there is nothing that keeper could do for a dark slot: what counts then, and what does not."""

import pytest

from keeper.sim.bills import dark_dollars
from keeper.sim.on_call import ANSWERS_AFTER_S, LOOKS_EVERY_S, OnCall
from keeper.sim.promises_stream import darkness_ends, on_air_after_the_calm
from keeper.sim.universe import Mailbox, Message
from tests.sim.doctored_hosts import a_stall, searching
from tests.sim.ledgers import BEGAN, DAY, Run

_CALM = DAY - 10_000.0  # of a doctored run
_STOPPED = "KeeperDarkSpend:duel"


@pytest.mark.parametrize(
    ("emptied_until", "every_s", "again_at", "blamed"),
    [
        pytest.param(DAY, 600.0, DAY, [], id="nothing suits until the end"),
        pytest.param(_CALM + 4000.0, 600.0, _CALM + 7000.0, [], id="an hour from when one does"),
        pytest.param(_CALM + 4000.0, 600.0, DAY, ["I18"], id="and no longer"),
        pytest.param(DAY, 1200.0, DAY, ["I18"], id="who hardly looks is not excused"),
        pytest.param(0.0, 600.0, DAY, ["I18"], id="one stands open"),
    ],
)
def test_an_empty_market_fills_no_slot_in_the_calm_either(
    emptied_until: float, every_s: float, again_at: float, blamed: list[str]
) -> None:
    """Seed 9383 of any fleet: eight hours of it, and the stream was to be on air after one."""
    run = Run()
    run.picture(100, _CALM - 600.0, live=False)
    run.destroy(100, _CALM - 590.0)
    searching(run, _CALM - 560.0, emptied_until, every_s=every_s)
    searching(run, max(emptied_until, _CALM - 560.0), DAY, a_stall(), every_s=every_s)
    if again_at < DAY:
        run.rent(101, "k:duel/0:2", at=again_at - 300.0)
        run.picture(101, again_at)
    assert [broken.invariant for broken in on_air_after_the_calm(run.evidence())] == blamed


@pytest.mark.parametrize(
    ("told_at", "dollars", "over_at", "again_at", "blamed"),
    [
        pytest.param(12_000.0, 6.0, 22_000.0, 23_000.0, [], id="a person came after three hours"),
        pytest.param(12_000.0, 6.0, 22_000.0, 30_000.0, ["I18"], id="keeper did not go on then"),
        pytest.param(12_000.0, 6.0, DAY, 40_000.0, ["I18"], id="nobody takes longer to answer"),
        pytest.param(12_000.0, 4.0, 22_000.0, 23_000.0, ["I18"], id="it had not cost that much"),
        pytest.param(20_000.0, 6.0, 22_000.0, 23_000.0, ["I18"], id="the person was told late"),
        pytest.param(None, 6.0, 22_000.0, 23_000.0, ["I18"], id="nobody was told"),
    ],
)
def test_who_is_told_that_a_stream_has_cost_too_much_in_the_dark_is_waited_for(
    told_at: float | None, dollars: float, over_at: float, again_at: float, blamed: list[str]
) -> None:
    """Seed 9091 of any fleet: two days, in which nobody answered."""
    run = Run()
    run.picture(100, 11_000.0, live=False)
    run.bill(100, 11_000.0, 1.0)
    run.bill(100, 11_900.0, 1.0 + dollars)
    run.destroy(100, 11_910.0, ends=False)
    run.end(100, 11_910.0, dollars=1.0 + dollars)
    searching(run, 12_000.0, again_at, a_stall())
    if told_at is not None:
        run.tell(told_at, key=_STOPPED)
        run.tell(over_at, "resolved", key=_STOPPED)
    run.rent(101, "k:duel/0:2", at=again_at - 300.0)
    run.picture(101, again_at)
    assert [broken.invariant for broken in darkness_ends(run.evidence())] == blamed


def test_each_host_is_counted_until_its_end_is_confirmed() -> None:
    """Seed 6577 of any fleet: sixty hosts one after the other, and the bill said 28 cents less than keeper."""
    run = Run()
    run.picture(100, 1000.0, live=False)
    run.bill(100, 1000.0, 1.0)
    run.end(100, 1100.0, dollars=1.02)
    for number in range(1, 31):
        run.rent(100 + number, f"k:duel/0:{number + 1}", at=1000.0 + 300.0 * number, dollars=0.8)
        run.end(100 + number, 1250.0 + 300.0 * number, dollars=0.15)
    seen = run.evidence()
    assert dark_dollars(seen, "duel", BEGAN + 11_000.0) == pytest.approx(4.8 + 0.3 + 0.1, abs=0.15)
    assert dark_dollars(seen, "turbo", BEGAN + 11_000.0) == pytest.approx(0.1)


def test_what_is_excused_twice_counts_once() -> None:
    run = Run()
    run.picture(100, 11_000.0, live=False)
    run.bill(100, 11_000.0, 1.0)
    run.end(100, 11_910.0, dollars=7.0)
    searching(run, 12_000.0, 22_000.0)
    searching(run, 22_000.0, 26_000.0, a_stall())
    run.tell(12_000.0, key=_STOPPED)
    run.tell(22_000.0, "resolved", key=_STOPPED)
    run.rent(101, "k:duel/0:2", at=25_700.0)
    run.picture(101, 26_000.0)
    assert [broken.invariant for broken in darkness_ends(run.evidence())] == ["I18"]


def test_who_is_on_call_answers_once_and_in_time() -> None:
    run, mailbox = Run(), Mailbox()
    for at, kind in ((100.0, "firing"), (5000.0, "firing"), (5100.0, "resolved")):
        run.tell(at, kind, key=_STOPPED if at == 100.0 else "KeeperDarkSpend:turbo")
    run.tell(200.0, key="KeeperStreamDark:duel/0")
    mailbox.messages += [Message(at=at, url="", body=body) for at, body in sorted(run.messages)]
    person, heard = OnCall(mailbox), []
    for look in range(20):
        heard += [(look, each) for each in person.due(BEGAN + look * LOOKS_EVERY_S)]
    assert heard == [(7, "duel")]
    answered_s = 7 * LOOKS_EVERY_S - 100.0
    assert ANSWERS_AFTER_S <= answered_s < run.evidence().bounds.answer_s
    again_at = BEGAN + 20 * LOOKS_EVERY_S
    said = run.tell(20 * LOOKS_EVERY_S, "repeat", key=_STOPPED)
    mailbox.messages.append(Message(at=again_at, url="", body=said))
    assert person.due(BEGAN + 25 * LOOKS_EVERY_S) == ()
    assert person.due(BEGAN + 26 * LOOKS_EVERY_S) == ("duel",)
