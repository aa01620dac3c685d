"""Runs that break a promise about hand-overs, as the hosts themselves would have written them down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from keeper.sim.evidence import PUBLISHES, PUBLISHES_NO_MORE, Evidence
from tests.sim.ledgers import Run


def keyed(run: Run) -> Evidence:
    """Return the evidence of an operator whose ingest takes one publisher."""
    found = run.evidence()
    return replace(found, bounds=replace(found.bounds, one_publisher=frozenset({"duel"})))


def changes_places(run: Run, *, begins_at: float, ends_at: float) -> Evidence:
    """A new host begins to publish at one moment, and the old one ends at another."""
    run.host(100, 290.0, PUBLISHES)
    run.rent(101, "k:duel/0:2", at=5000.0)
    run.command(100, min(begins_at, ends_at), "swap.stop")
    run.host(101, begins_at, PUBLISHES)
    run.picture(100, ends_at, live=False)
    run.host(100, ends_at, PUBLISHES_NO_MORE)
    run.picture(101, max(begins_at, ends_at) + 10.0)
    run.destroy(100, 5500.0)
    return keyed(run)


def two_publish_at_once(run: Run) -> Evidence:
    return changes_places(run, begins_at=5300.0, ends_at=5320.0)


BREAKS: tuple[tuple[str, Callable[[Run], Evidence]], ...] = (("I11", two_publish_at_once),)
