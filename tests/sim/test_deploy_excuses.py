"""What campaigns taught the auditor about deploys: an excuse beside the sins that it must not cover."""

from dataclasses import replace

import pytest

from keeper.sim.evidence import STARTED, Deployed
from keeper.sim.promises_deploys import what_is_declared_arrives
from keeper.sim.promises_nerve import no_remedy_for_a_good_picture
from keeper.sim.promises_stream import on_air_after_the_calm
from tests.sim.doctored_spares import seen, spare
from tests.sim.ledgers import BEGAN, Run

_DECLARED = (
    Deployed(at=BEGAN + 100.0, stream="duel", word="old", is_bad=False),
    Deployed(at=BEGAN + 9000.0, stream="duel", word="new", is_bad=False),
)


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
    told = replace(
        seen(run),
        deploys=_DECLARED,
        calm_at=BEGAN + 40_000.0,
        desired={"duel": 2 if then == "another slot" else 1},
    )
    found = {broken.text.partition(" ")[0] for broken in what_is_declared_arrives(told)}
    left = {"duel/1"} if then == "another slot" else set()
    assert found == ({"duel/spare-0"} if is_blamed else set()) | left


@pytest.mark.parametrize(
    ("killed_at", "before", "again", "is_blamed"),
    [
        pytest.param(9062.1, "old", "deploy", False, id="keeper died with the last answer"),
        pytest.param(9055.0, "old", "deploy", False, id="it died while that was started"),
        pytest.param(9062.1, "old", "restart.process", True, id="what is done again is a deploy"),
        pytest.param(9070.0, "old", "deploy", True, id="it died when the deploy was done"),
        pytest.param(9040.0, "old", "deploy", True, id="it died before, and began anew"),
        pytest.param(None, "old", "deploy", True, id="it did not die"),
        pytest.param(9062.1, "new", "deploy", True, id="the same had run there"),
        pytest.param(9062.1, "", "deploy", True, id="nothing had run there: it is looked at"),
        pytest.param(9062.1, "booted", "deploy", True, id="nothing had run since it came up"),
    ],
)
def test_an_exchange_in_which_keeper_died_is_done_again(
    *, killed_at: float | None, before: str, again: str, is_blamed: bool
) -> None:
    """Seed 2464 of any fleet: it came back after 83 s, and viewers had seen the new deploy for a minute."""
    run = Run()
    if before:
        run.host(100, 305.0, STARTED, "new" if before == "new" else "old")
    if before == "booted":
        run.host(100, 9000.0, "booted")
    run.picture(100, 9050.0, live=False)
    run.command(100, 9050.0, "deploy.start", lasts_s=11.0)
    run.host(100, 9060.0, STARTED, "new")
    run.command(100, 9061.5, "verify.process", lasts_s=0.5)
    run.picture(100, 9063.0)
    run.command(100, 9200.0, f"{again}.stop")
    told = replace(
        run.evidence(),
        deploys=_DECLARED,
        killed_at=() if killed_at is None else (BEGAN + killed_at,),
    )
    found = [broken.text for broken in no_remedy_for_a_good_picture(told)]
    assert (f"{again}.stop on 100, whose viewers saw a good picture" in found) is is_blamed


@pytest.mark.parametrize(
    ("word", "again_s", "blamed"),
    [
        pytest.param("new", 80.0, [], id="it got what was declared"),
        pytest.param("old", 80.0, ["I18"], id="it had that already"),
        pytest.param("new", 400.0, ["I18"], id="for longer than a warm-up"),
    ],
)
def test_a_deploy_may_come_to_a_host_long_after_the_calm(
    word: str, again_s: float, blamed: list[str]
) -> None:
    """Seed 4554 of any fleet: another slot had it first, and proved it."""
    run = Run()
    run.host(100, 305.0, STARTED, "old")
    run.picture(100, 50_000.0, live=False)
    run.host(100, 50_030.0, STARTED, word)
    run.picture(100, 50_000.0 + again_s)
    told = replace(run.evidence(), calm_at=BEGAN + 40_000.0)
    assert [broken.invariant for broken in on_air_after_the_calm(told)] == blamed
