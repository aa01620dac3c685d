"""What campaigns taught the auditor about deploys: an excuse beside the sins that it must not cover."""

from dataclasses import replace

import pytest

from keeper.sim.evidence import STARTED, Deployed
from keeper.sim.promises_deploys import what_is_declared_arrives
from tests.sim.doctored_spares import seen, spare
from tests.sim.ledgers import BEGAN, Run


@pytest.mark.parametrize(
    ("struck_at", "arrives_at", "then", "is_blamed"),
    [
        pytest.param(8000.0, None, "", False, id="no slot's host lets anybody put it there"),
        pytest.param(9500.0, 9060.0, "", False, id="nor did it prove itself before that"),
        pytest.param(30_000.0, 9060.0, "", True, id="it had proven itself before that"),
        pytest.param(None, 9060.0, "", True, id="it has proven itself"),
        pytest.param(8000.0, None, "another host", True, id="the slot has another host"),
        pytest.param(8000.0, None, "another slot", True, id="another slot could try it"),
        pytest.param(8000.0, None, "no host", True, id="the slot has no host that keeps it"),
    ],
)
def test_a_spare_waits_for_a_deploy_that_no_slot_can_prove(
    *, struck_at: float | None, arrives_at: float | None, then: str, is_blamed: bool
) -> None:
    """Seed 1987 of any fleet: the only host showed another key when a deploy was mended."""
    run = Run()
    run.host(100, 305.0, STARTED, "old")
    spare(run)
    run.host(101, 5200.0, STARTED, "old")
    if arrives_at is not None:
        run.host(100, arrives_at, STARTED, "new")
    if struck_at is not None:
        run.host(100, struck_at, "struck", "host_key_changed")
    if then in {"another host", "no host"}:
        run.destroy(100, 20_000.0)
    if then in {"another host", "another slot"}:
        run.rent(102, "k:duel/0:2" if then == "another host" else "k:duel/1:1", at=20_100.0)
        run.host(102, 20_300.0, STARTED, "new" if then == "another host" else "old")
        run.picture(102, 20_400.0)
    declared = (
        Deployed(at=BEGAN + 100.0, stream="duel", word="old", is_bad=False),
        Deployed(at=BEGAN + 9000.0, stream="duel", word="new", is_bad=False),
    )
    told = replace(
        seen(run),
        deploys=declared,
        calm_at=BEGAN + 40_000.0,
        desired={"duel": 2 if then == "another slot" else 1},
    )
    found = {broken.text.partition(" ")[0] for broken in what_is_declared_arrives(told)}
    left = {"duel/1"} if then == "another slot" else set()
    assert found == ({"duel/spare-0"} if is_blamed else set()) | left
