"""Rentals that come to light a minute after they were made: none is forgotten before it could be seen."""

from keeper.sim.faults import Fault, FaultKind
from tests.sim.awaits import Marked
from tests.sim.interrupted import Story, wrong

_UNMARKED = Marked(())


def test_a_rental_that_an_error_named_is_ended_although_it_appears_late() -> None:
    """The list lacked it twice, its id was unknown, and it was forgotten: half a minute later it was there.

    Its end is asked for in vain until it has come to light.
    """
    story = Story(
        name="an error answer, and the rental it made appears late",
        acts=(
            (0.0, Fault(kind=FaultKind.CREATE_ERROR_BUT_MADE)),
            (0.0, Fault(kind=FaultKind.INSTANCE_APPEARS_LATE, params={"after_s": 60.0})),
        ),
        over_s=600.0,
    )
    ending, wrongs = wrong(story, _UNMARKED)
    assert wrongs == []
    assert ending.rentals == 2
    assert ending.facts["instance.condemned"] == 1
    assert ending.facts["instance.ended"] == 1
    assert ending.facts["orphan.seen"] == 0
