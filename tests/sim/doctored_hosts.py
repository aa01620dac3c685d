"""More runs that break a promise each: which hosts are taken, how many at once, and which are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from keeper.sim.evidence import Caps, Evidence
from keeper.sim.ledger import Stall
from tests.sim.ledgers import BEGAN, DAY, Run


def a_stall(offer_id: int = 7, dollars: float = 0.4) -> Stall:
    return Stall(
        offer_id=offer_id,
        machine_id=7000 + offer_id,
        host_id=1,
        dollars_per_hour=dollars,
        floor_dollars_per_hour=dollars - 0.15,
        disk_dollars_per_hour=0.05,
    )


def searching(run: Run, since: float, until: float, *stalls: Stall, every_s: float = 600.0) -> None:
    """Let the market be searched, and show what really stands open."""
    at = since
    while at < until:
        run.request("POST", "/bundles/", at)
        run.ledger.looks.append((BEGAN + at, stalls))
        at += every_s


def given_up_and_dark(run: Run, until: float = 16_000.0) -> Run:
    """Its host is given up at 5010; another one is on air much later."""
    run.command(100, 290.0, "deploy.start")
    run.picture(100, 5000.0, live=False)
    run.tell(5100.0)
    run.destroy(100, 5010.0)
    run.rent(101, "k:duel/0:2", at=until)
    run.picture(101, until + 300.0)
    run.tell(until + 600.0, "resolved")
    return run


def dark_beside_an_offer_that_suits(run: Run) -> Evidence:
    searching(run, 5050.0, 16_000.0, a_stall())
    return given_up_and_dark(run).evidence()


def dark_beside_an_offer_within_its_cap(run: Run) -> Evidence:
    searching(run, 5050.0, 16_000.0, a_stall())
    return given_up_and_dark(run).evidence(caps={"duel": Caps(per_hour=0.95, per_day=20.0)})


def twelve_slots(run: Run, lost: int) -> dict[str, int]:
    """Twelve slots on air, of which some lose their hosts at 5000."""
    for number in range(1, 12):
        run.rent(200 + number, f"k:duel/{number}:1", at=15.0 + 5 * number)
        run.picture(200 + number, 300.0)
    for number in range(1, lost + 1):
        run.picture(200 + number, 5000.0, live=False)
        run.destroy(200 + number, 5000.0 + 5 * number)
        run.rent(300 + number, f"k:duel/{number}:2", at=5100.0 + 5 * number)
        run.picture(300 + number, 5300.0)
    return {"duel": 12}


def four_replacements_in_flight(run: Run) -> Evidence:
    desired = twelve_slots(run, lost=4)
    bounds = replace(run.evidence().bounds, mass_failure_ratio=0.5)
    return replace(run.evidence(), desired=desired, bounds=bounds)


def replaced_a_minute_later(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5010.0)
    run.rent(101, "k:duel/0:2", at=5100.0)
    run.destroy(101, 5130.0)
    run.rent(102, "k:duel/0:3", at=5180.0)
    run.picture(102, 5400.0)
    return run.evidence()


def back_on_a_machine_that_went_offline(run: Run) -> Evidence:
    run.change(100, 5000.0, "offline", "host")
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0)
    run.rent(101, "k:duel/0:2", at=5300.0, machine_id=7100)
    run.picture(101, 5500.0)
    return run.evidence()


def back_at_an_owner_whose_machines_fail(run: Run) -> Evidence:
    run.ledger.rentals[100].host_id = 5
    for number in range(3):
        run.picture(100 + number, 5000.0 + 2000 * number, live=False)
        if number < 2:
            run.destroy(100 + number, 5300.0 + 2000 * number)
            run.rent(101 + number, f"k:duel/0:{number + 2}", at=5400.0 + 2000 * number, host_id=5)
            run.picture(101 + number, 5600.0 + 2000 * number)
    run.picture(102, 9100.0)
    return run.evidence()


def ended_for_money_that_was_there(run: Run) -> Evidence:
    """Its cap was far from used up, so money is no reason to end a good picture."""
    run.destroy(100, DAY - 40_000.0)
    run.rent(101, "k:duel/0:2", at=DAY - 39_900.0)
    run.picture(101, DAY - 39_700.0)
    return run.evidence(caps={"duel": Caps(per_day=50.0)})


BREAKS: tuple[tuple[str, Callable[[Run], Evidence]], ...] = (
    ("I11", ended_for_money_that_was_there),
    ("I13", four_replacements_in_flight),
    ("I13", replaced_a_minute_later),
    ("I16", back_on_a_machine_that_went_offline),
    ("I16", back_at_an_owner_whose_machines_fail),
    ("I18", dark_beside_an_offer_that_suits),
    ("I18", dark_beside_an_offer_within_its_cap),
)
