"""Runs that break a promise each about what workloads say of themselves, and what fresh hosts show."""

from __future__ import annotations

from collections.abc import Callable

from keeper.sim.evidence import AILS, AILS_NO_MORE, MENDED, PLEADS, SHOWN, Evidence
from tests.sim.ledgers import SLOT, Run

_REFUSED = "KeeperNeedsPerson:duel:key_refused"


def refused(run: Run, at: float, until: float, *, shows: str = "good") -> None:
    """Let a key be refused to the workload, which only a person can mend."""
    run.host(100, at, "struck", "workload_ails")
    run.host(100, at, PLEADS, "key_refused")
    run.host(100, at, AILS, f"key_refused person {shows} 0 asked replace")
    run.host(100, until, AILS_NO_MORE, "key_refused")
    run.host(100, until, MENDED, "key_refused")


def leaking(run: Run, at: float) -> None:
    """Let the workload ask for a restart ahead of time, and go on asking."""
    run.host(100, at, "struck", "workload_ails")
    run.host(100, at, AILS, "threads_leak restart_process good 600 planned replace")


def a_restart(run: Run, at: float) -> None:
    run.command(100, at, "restart.process.stop")
    run.picture(100, at + 1.0, live=False)
    run.command(100, at + 1.0, "restart.process.start")
    run.picture(100, at + 10.0)


def refused_and_restarted(run: Run) -> Evidence:
    refused(run, 5000.0, 9000.0)
    run.picture(100, 5000.0, live=False)
    run.tell(5060.0, key=_REFUSED, slot=SLOT)
    run.command(100, 5300.0, "restart.process.start")
    run.picture(100, 9010.0)
    run.tell(9400.0, "resolved", _REFUSED)
    return run.evidence()


def refused_and_replaced(run: Run) -> Evidence:
    refused(run, 5000.0, 9000.0)
    run.picture(100, 5000.0, live=False)
    run.tell(5060.0, key=_REFUSED, slot=SLOT)
    run.destroy(100, 5300.0)
    run.rent(101, "k:duel/0:2", at=5420.0)
    run.picture(101, 5700.0)
    run.tell(6000.0, "resolved", _REFUSED)
    return run.evidence()


def bounded_and_replaced(run: Run) -> Evidence:
    """A tunnel was gone, which another host would not have; one restart may be tried."""
    run.picture(100, 5000.0, live=False)
    run.host(100, 5000.0, "struck", "workload_ails")
    run.host(100, 5000.0, AILS, "tunnel_gone restart_process wrong 0 asked restart_process")
    run.tell(5100.0)
    run.command(100, 5030.0, "restart.process.start")
    run.destroy(100, 5300.0)
    run.rent(101, "k:duel/0:2", at=5420.0)
    run.picture(101, 5700.0)
    run.tell(6000.0, "resolved")
    return run.evidence()


def refused_and_nobody_told(run: Run) -> Evidence:
    refused(run, 5000.0, 9000.0)
    return run.evidence()


def refused_and_told_twice(run: Run) -> Evidence:
    refused(run, 5000.0, 9000.0)
    for at, kind in ((5060.0, "firing"), (5400.0, "resolved"), (6000.0, "firing")):
        run.tell(at, kind, _REFUSED)
    run.tell(9400.0, "resolved", _REFUSED)
    return run.evidence()


def restarted_ahead_of_time_again(run: Run) -> Evidence:
    leaking(run, 4000.0)
    for at in (5000.0, 7000.0):
        a_restart(run, at)
    return run.evidence()


def failing(run: Run, *ats: float, meaning: str = "wait") -> None:
    """Let the next host, on which nothing is yet, fail its audition; the one before has gone."""
    run.picture(100, 5000.0, live=False)
    run.destroy(100, 5010.0)
    run.rent(101, "k:duel/0:2", at=5140.0)
    for at in ats:
        run.host(101, at, SHOWN, f"{meaning} machine")


def an_audition_that_is_waited_for_too_long(run: Run) -> Evidence:
    failing(run, *(5200.0 + 30.0 * n for n in range(30)))
    run.destroy(101, 6100.0)
    run.rent(102, "k:duel/0:3", at=6110.0, machine_id=7102)
    run.picture(102, 6400.0)
    return _told(run)


def an_audition_that_costs_too_much(run: Run) -> Evidence:
    """A host at 6 $ an hour has cost the half dollar after five minutes."""
    failing(run, *(5200.0 + 30.0 * n for n in range(15)))
    run.ledger.rentals[101].dollars_per_hour = run.ledger.rentals[101].offered_dollars_per_hour = (
        6.0
    )
    run.destroy(101, 5640.0)
    run.rent(102, "k:duel/0:3", at=5650.0, machine_id=7102)
    run.picture(102, 6000.0)
    return _told(run)


def back_on_a_machine_that_failed_its_audition(run: Run) -> Evidence:
    failing(run, 5200.0, meaning="replace")
    run.destroy(101, 5205.0)
    run.rent(102, "k:duel/0:3", at=5330.0, machine_id=run.ledger.rentals[101].machine_id)
    run.picture(102, 5600.0)
    return _told(run)


def _told(run: Run) -> Evidence:
    run.tell(5100.0)
    run.tell(6800.0, "resolved")
    return run.evidence()


BREAKS: tuple[tuple[str, Callable[[Run], Evidence]], ...] = (
    ("I13", refused_and_restarted),
    ("I13", refused_and_replaced),
    ("I13", bounded_and_replaced),
    ("I13", restarted_ahead_of_time_again),
    ("I19", refused_and_nobody_told),
    ("I19", refused_and_told_twice),
    ("I4", an_audition_that_is_waited_for_too_long),
    ("I4", an_audition_that_costs_too_much),
    ("I16", back_on_a_machine_that_failed_its_audition),
)
