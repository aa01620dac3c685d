"""One certain offer, rented by its number: that one, or nothing and the reason."""

import re

import pytest

from keeper.sim.faults import Fault, FaultKind
from tests.e2e.conftest import Box

pytestmark = pytest.mark.timeout(300)

PRICE = r"\nPrice: 0\.\d{3} \$/h \(GPU 0\.\d{3} \+ disk 0\.\d{3}\)\n"


async def suitable(box: Box) -> list[int]:
    """Return the offers that would do, best first."""
    (found,) = (await box.keeper("search", "duel", "--json")).json()
    return [each["offer_id"] for each in found["suitable"]]


def machine_of(box: Box, offer_id: int) -> int:
    ask = box.sim.market.supply.find(offer_id)
    assert ask is not None
    return ask.machine.machine_id


def asked_for(box: Box) -> list[str]:
    return [each["path"] for each in box.creates()]


async def test_the_offer_that_is_named_is_rented_and_no_other(box: Box) -> None:
    wish = (await suitable(box))[3]
    machine = machine_of(box, wish)
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--dry-run")
    assert (done.code, box.creates()) == (0, [])
    assert f"duel: offer {wish}: " in done.err
    assert re.search(r"\$/h \(GPU 0\.\d{3} \+ disk 0\.\d{3}\)", done.err)
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--yes")
    assert done.code == 0, done.err
    (rental,) = box.sim.ledger.plain()["rentals"]
    assert rental["machine_id"] == machine
    assert asked_for(box) == [f"/asks/{wish}/"]
    assert re.search(PRICE, done.out)
    # The same once more is no second rental, and another one has no room.
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--export", "env")
    assert done.code == 0, done.err
    assert f"offer {wish} is rented already" in done.err
    assert f"VAST_INSTANCE_ID={rental['instance_id']}\n" in done.out
    done = await box.keeper("provision", "duel", "--offer", "5", "--yes")
    assert done.code == 6
    assert "every slot of duel has its host already; offer 5 was not rented" in done.err
    assert len(box.creates()) == 1


async def test_an_offer_that_does_not_suit_is_refused_in_words(box: Box) -> None:
    (found,) = (await box.keeper("search", "duel", "--json", "--explain")).json()
    miss = next(each for each in found["misses"] if each["filter"] == "display")
    wish = miss["nearest"]["offer_id"]
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--yes")
    assert done.code == 6
    assert "display: no display; asked for a GPU that drives a display" in done.err
    assert f"offer {wish} does not suit duel: it fails at display; nothing was rented" in done.err
    assert "write under the stream duel: offer.gpu_display_active: false" in done.err
    assert box.creates() == []
    # What it said is what helps.
    box.configure("    offer: {gpu_display_active: false}")
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--dry-run")
    assert done.code == 0, done.err


async def test_an_offer_that_nobody_makes_is_not_found(box: Box) -> None:
    done = await box.keeper("provision", "duel", "--offer", "5", "--yes")
    assert done.code == 5
    assert "offer 5 is not on the market" in done.err
    assert "keeper search duel" in done.err
    assert box.creates() == []


@pytest.mark.parametrize("text", ["x", "-5", "0", "1.5", str(2**63)])
async def test_what_is_no_offer_is_a_wrong_command_line(box: Box, text: str) -> None:
    done = await box.keeper("provision", "duel", "--offer", text, "--yes")
    assert done.code == 2
    assert "is no offer: give the number that keeper search shows" in done.err


async def test_somebody_else_is_faster_and_no_other_is_rented_instead(box: Box) -> None:
    wish = (await suitable(box))[0]
    box.sim.market.arm(Fault(kind=FaultKind.OFFER_GONE, target=f"offer:{wish}"))
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--yes")
    assert done.code == 75, done.err
    assert f"offer {wish} could not be rented" in done.err
    assert box.live() == []
    assert asked_for(box) == [f"/asks/{wish}/"]
    # Without a wish the next one is taken: none lies in wait.
    done = await box.keeper("provision", "duel", "--yes")
    assert done.code == 0, done.err
    assert len(box.live()) == 1


async def test_a_running_keeper_rents_the_offer_that_is_named(box: Box) -> None:
    await box.daemon(until_on_air=True)
    wish = (await suitable(box))[2]
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--yes")
    assert done.code == 6
    assert "every slot of duel has its host already" in done.err
    assert (await box.keeper("destroy", "duel", "--yes")).code == 0
    done = await box.keeper("provision", "duel", "--offer", str(wish))
    assert done.code == 6
    assert "repeat it with --yes" in done.err
    machine = machine_of(box, wish)
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--yes")
    assert done.code == 0, done.err
    assert asked_for(box)[1:] == [f"/asks/{wish}/"]
    assert box.sim.ledger.plain()["rentals"][-1]["machine_id"] == machine
    # It has learned from the first host how long this takes.
    assert re.search(r"is booting .*; usually \d+s here", done.err)


async def test_a_running_keeper_says_that_somebody_else_was_faster(box: Box) -> None:
    await box.daemon(until_on_air=True)
    assert (await box.keeper("destroy", "duel", "--yes")).code == 0
    wish = (await suitable(box))[1]
    box.sim.market.arm(Fault(kind=FaultKind.OFFER_GONE, target=f"offer:{wish}"))
    done = await box.keeper("provision", "duel", "--offer", str(wish), "--yes")
    assert done.code == 75, done.err
    assert f"offer {wish} could not be rented" in done.err
    assert box.live() == []
