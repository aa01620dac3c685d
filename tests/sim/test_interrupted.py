"""Death everywhere: keeper is cut off at every await, begun again from its store, and comes right.

Whatever is half done at that moment, the next process must end with one rental on air for each slot,
everything else gone, and an auditor who has nothing to say. The cuts are chosen in sweep.py, from
the awaits in the source and from what the stories pass; one that no story passes fails the test.
"""

import pytest

from tests.sim.interrupted import wrong
from tests.sim.stories import LIFE
from tests.sim.sweep import BESIDE, MODULES, sweep

_CHUNKS = 12


def test_no_await_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """100 % of the awaits of provision, deploy, repair, hand-over and destroy."""
    swept = sweep()
    with capsys.disabled():
        print(f"\n  {swept.report()}")
    assert [f"{site}: {what}" for site, what in swept.missed] == []
    assert set(BESIDE) <= set(MODULES)


def test_the_stories_do_what_they_are_to_be_interrupted_in() -> None:
    endings = {story.name: ending for story, ending in sweep().undisturbed}
    for name, ending in endings.items():
        assert ending.broken == (), name
        assert ending.is_on_air, name
    stated = {
        "life": {
            "instance.rented": 3, "workload.deployed": 3, "workload.restarted": 2,
            "instance.ended": 2, "order.accepted": 4, "stream.on_air": 3,
        },
        "repair": {"instance.rebooted": 1, "machine.quarantined": 1, "instance.ended": 1},
        "bids": {"instance.rebid": 1},
        "deploys": {"revision.bad": 1, "revision.proven": 2, "workload.deployed": 4},
        "viewers who stay": {
            "workload.draining": 1, "workload.drained": 1, "instance.rented": 2,
        },
        "a spare": {"spare.promoted": 2, "workload.prepared": 3, "instance.rented": 4},
        "a spare that stands still": {
            "instance.stopped": 2, "instance.started": 1, "spare.promoted": 1, "instance.rented": 3,
        },
        "one publisher": {"workload.prepared": 1, "handover.swapping": 1, "handover.swapped": 1},
        "one publisher, and the next host shows nothing": {
            "handover.swapping": 3, "handover.undone": 1, "handover.swapped": 1,
            "machine.quarantined": 1,
        },
    }  # fmt: skip
    for name, facts in stated.items():
        found = endings[name].facts
        assert {fact: found.get(fact, 0) for fact in facts} == facts, name


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("chunk", range(_CHUNKS))
def test_cut_off_at_any_await_keeper_comes_right(chunk: int) -> None:
    swept, complaints = sweep(), []
    for cut in swept.cuts[chunk::_CHUNKS]:
        ending, wrongs = wrong(cut.story, swept.marked, cut.moment)
        where = "inside a port"
        if cut.passed is not None:
            # The same moment is the same await in each run, or the coverage would be a tale.
            assert ending.passes[cut.moment] == cut.passed, (cut.story.name, cut.moment)
            where = f"{cut.passed.edge} {swept.marked.sites[cut.passed.site]}"
        complaints += [f"{text} ({where})" for text in wrongs]
    assert complaints == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("again", [20, 90, 400])
def test_cut_off_again_and_again_while_it_recovers_keeper_comes_right_too(again: int) -> None:
    swept = sweep()
    last = swept.undisturbed[0][1].moments[0]
    complaints = [
        text
        for cut in range(7, last, 180)
        for text in wrong(LIFE, swept.marked, cut, again, again)[1]
    ]
    assert complaints == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("chunk", range(2))
def test_frozen_for_a_minute_keeper_comes_right(chunk: int) -> None:
    """Every answer it waited for has come meanwhile, every deadline has passed (SIGSTOP)."""
    swept, complaints = sweep(), []
    for cut in swept.standstills[chunk::2]:
        _, wrongs = wrong(cut.story, swept.marked, stall_at=cut.moment)
        complaints += wrongs
    assert complaints == []
