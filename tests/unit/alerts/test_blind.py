"""While this box's own network is down nothing is over: who cannot see has no good news.

A host whose SSH key had changed was told to be well again after five blind minutes, and paged anew as soon as
keeper saw again.
"""

from datetime import timedelta

from keeper.alerts.dispatch import dispatch, next_due_at
from keeper.ports import NoticeKind
from tests.unit.alerts.test_dispatch import NUMBERS, alert, moment

HELD = alert("KeeperSlotHeld", "host_key_changed:duel/2")


def test_what_nobody_can_see_is_not_over() -> None:
    state, _ = dispatch({}, (HELD,), moment(0), NUMBERS)
    state, told = dispatch(state, (HELD,), moment(30), NUMBERS)
    assert [notice.kind for notice in told] == [NoticeKind.FIRING]
    for seconds in range(60, 1260, 30):  # blind for twenty minutes
        state, told = dispatch(state, (), moment(seconds), NUMBERS, is_blind=True)
        assert told == ()
    state, told = dispatch(state, (HELD,), moment(1260), NUMBERS)
    assert told == (), "the same case was told anew"


def test_its_quiet_begins_when_there_is_something_to_see_again() -> None:
    state, _ = dispatch({}, (HELD,), moment(0), NUMBERS)
    state, _ = dispatch(state, (HELD,), moment(30), NUMBERS)
    state, _ = dispatch(state, (), moment(600), NUMBERS, is_blind=True)
    assert next_due_at(state, (), NUMBERS) == moment(600) + timedelta(seconds=300)
    state, told = dispatch(state, (), moment(890), NUMBERS)
    assert told == ()
    _, told = dispatch(state, (), moment(900), NUMBERS)
    assert [notice.kind for notice in told] == [NoticeKind.RESOLVED]
