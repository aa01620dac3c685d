"""Runs that break a promise about spares, as the marketplace and the disk would have written them down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from keeper.sim.evidence import Caps, Evidence, Move, SpareBounds
from tests.sim.ledgers import BEGAN, Run

SPARE = "k:duel/spare-0:1"
_HALF_A_DAY_S = 43_200.0


def spare(run: Run, at: float = 5000.0, *, dollars: float = 0.5, owner: int = 4) -> None:
    """Rent a spare of an owner, and put something on it."""
    run.rent(101, SPARE, at=at, dollars=dollars, offered=dollars)
    run.ledger.rentals[101].host_id = owner
    run.command(101, at + 100.0, "deploy.start")
    run.picture(101, at + 300.0)


def seen(run: Run, *moves: Move) -> Evidence:
    """Return the evidence of an operator who keeps one spare for half a day, for 0.6 $/h."""
    found = run.evidence()
    bounds = SpareBounds(count=1, dollars_per_hour=0.6, expire_after_s=_HALF_A_DAY_S)
    return replace(found, moves=moves, bounds=replace(found.bounds, spares={"duel": bounds}))


def takes_over(run: Run, *, owners: int = 1) -> Evidence:
    """The host goes dark, is given up, and the spare is the slot's from then on."""
    spare(run)
    run.picture(100, 9000.0, live=False)
    run.destroy(100, 9200.0)
    at = BEGAN + 9201.0
    return seen(run, Move(at=at, label=SPARE, slot="duel/0", owners=owners))


def a_spare_above_its_cap(run: Run) -> Evidence:
    spare(run, dollars=0.7)
    run.destroy(101, 20_000.0)
    return seen(run)


def a_spare_kept_for_ever(run: Run) -> Evidence:
    spare(run)
    return seen(run)


def a_spare_before_its_slot(run: Run) -> Evidence:
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5100.0)
    spare(run, 5200.0)
    run.rent(102, "k:duel/0:2", at=5300.0)
    run.picture(102, 5500.0)
    run.destroy(101, 20_000.0)
    return seen(run)


def a_spare_of_the_same_owner(run: Run) -> Evidence:
    spare(run, owner=run.ledger.rentals[100].host_id)
    run.destroy(101, 20_000.0)
    return seen(run)


def a_spare_nobody_declared(run: Run) -> Evidence:
    spare(run)
    return replace(seen(run), bounds=run.evidence().bounds)


def told_to_stop_again_before_a_listing(run: Run) -> Evidence:
    spare(run)
    run.order(101, 6010.0, "stopped", status=0, note="state_reply_lost")
    run.order(101, 6050.0, "stopped")
    run.destroy(101, 20_000.0)
    return seen(run)


def the_host_is_told_to_stop(run: Run) -> Evidence:
    run.order(100, 5000.0, "stopped")
    return seen(run)


def stands_still(run: Run, *, starts: bool) -> Evidence:
    """A spare stands still for 0.05 $/h while its slot gets a dearer host; 1.00 $/h is the cap."""
    spare(run)
    run.ledger.rentals[101].disk_dollars_per_hour = 0.05
    run.order(101, 6010.0, "stopped")
    run.picture(101, 6015.0, live=False)
    run.change(101, 6015.0, "stopped", dollars=0.5)
    run.picture(100, 8000.0, live=False)
    run.destroy(100, 8200.0)
    run.rent(102, "k:duel/0:2", at=8300.0, dollars=0.55, offered=0.55)
    run.picture(102, 8500.0)
    if starts:
        run.order(101, 9010.0, "running", status=0, note="state_reply_lost")
    run.destroy(101, 20_000.0)
    found = seen(run)
    caps = {"": Caps(per_hour=1.0)}
    return replace(found, bounds=replace(found.bounds, caps=caps))


def started_above_a_cap(run: Run) -> Evidence:
    return stands_still(run, starts=True)


def rented_beside_a_start(run: Run) -> Evidence:
    """Its spare runs half a minute after it was told to start, and a host is rented before that."""
    spare(run)
    run.order(101, 6010.0, "stopped")
    run.picture(101, 6015.0, live=False)
    run.change(101, 6015.0, "stopped", dollars=0.5)
    run.picture(100, 8000.0, live=False)
    run.destroy(100, 8200.0)
    run.order(101, 8210.0, "running")
    run.rent(102, "k:duel/0:2", at=8220.0)
    run.change(101, 8240.0, "running", dollars=0.5)
    run.picture(102, 8500.0)
    run.destroy(101, 20_000.0)
    return seen(run)


def owned_by_two(run: Run) -> Evidence:
    return takes_over(run, owners=2)


def owned_by_nobody(run: Run) -> Evidence:
    return takes_over(run, owners=0)


SPARE_BREAKS: tuple[tuple[str, Callable[[Run], Evidence]], ...] = (
    ("I1", owned_by_two),
    ("I1", owned_by_nobody),
    ("I3", told_to_stop_again_before_a_listing),
    ("I4", a_spare_above_its_cap),
    ("I4", started_above_a_cap),
    ("I5", a_spare_kept_for_ever),
    ("I5", a_spare_before_its_slot),
    ("I5", a_spare_of_the_same_owner),
    ("I5", rented_beside_a_start),
    ("I7", a_spare_nobody_declared),
    ("I11", the_host_is_told_to_stop),
)
