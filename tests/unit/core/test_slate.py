"""When the slate begins and ends, as tables; and which hosts can be publishing."""

from typing import Any

import pytest

from keeper.core.model import (
    Condemned,
    ConditionKind,
    MarketState,
    OfferId,
    Policy,
    Status,
    Tenure,
)
from keeper.core.reasons import Reason
from keeper.core.slate import (
    SENTENCES,
    SETTLED_S,
    TURN_S,
    Ingest,
    Publisher,
    Rental,
    SecondPublisher,
    SlateChoice,
    SlateSeen,
    SlateTerms,
    SlateWhy,
    choose,
    picture_due_at,
    picture_in_s,
    publisher_among,
    publisher_of,
)
from tests.builders import (
    HOST,
    NOW,
    SLOT,
    a_condition,
    a_fresh_tenure,
    a_record,
    a_tenure,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    conditions,
)

POLICY = Policy()
TERMS = SlateTerms(after_s=20.0, on_max_s=3600.0)


def seen(**said: Any) -> SlateSeen:
    """A stream without any host for a while, and no slate yet."""
    return SlateSeen(**{"dark_s": 300.0, "publisher": Publisher.NONE, "publisher_s": 300.0, **said})


def beside_a_host(**said: Any) -> SlateSeen:
    """A host whose process is there, and of whose picture nothing has been seen for long."""
    return seen(**{"publisher": Publisher.MAYBE, **said})


BEGINNINGS = {
    "no host, and dark for long": (seen(), SlateWhy.DARK),
    "dark for exactly as long as declared": (seen(dark_s=20.0), SlateWhy.DARK),
    "dark, and not for long enough": (seen(dark_s=19.9), SlateWhy.NOT_YET),
    "a good look a moment ago": (seen(dark_s=1.0), SlateWhy.ON_AIR),
    "the process is gone for a moment, and its manager may start it": (
        seen(publisher_s=SETTLED_S - 0.1),
        SlateWhy.NOT_CERTAIN,
    ),
    "a frozen host still sends": (beside_a_host(), SlateWhy.NOT_CERTAIN),
    "a host that is warming up may send soon": (
        seen(publisher=Publisher.WARMING),
        SlateWhy.NOT_CERTAIN,
    ),
    "a host, and the ingest cannot be read": (
        beside_a_host(ingest=Ingest.UNKNOWN, ingest_s=300.0),
        SlateWhy.NOT_CERTAIN,
    ),
    "a host, and the ingest has had no publisher for long": (
        beside_a_host(ingest=Ingest.EMPTY, ingest_s=20.0),
        SlateWhy.DARK,
    ),
    "a host, and the ingest has only just become free": (
        beside_a_host(ingest=Ingest.EMPTY, ingest_s=19.9),
        SlateWhy.NOT_CERTAIN,
    ),
    "no host, and the ingest has a publisher all the same": (
        seen(ingest=Ingest.TAKEN),
        SlateWhy.TAKEN,
    ),
    "no host, and the ingest cannot be read": (seen(ingest=Ingest.UNKNOWN), SlateWhy.DARK),
    "an act is about to start a publisher": (seen(is_starting=True), SlateWhy.REPAIR),
    "the latest slate broke": (seen(is_resting=True), SlateWhy.RESTING),
    "it was on for as long as it may be": (seen(is_spent=True), SlateWhy.TOO_LONG),
    "paused, or another keeper leads": (seen(is_barred=True), SlateWhy.BARRED),
}


@pytest.mark.parametrize("row", BEGINNINGS.values(), ids=BEGINNINGS)
def test_begins_only_where_nobody_can_be_publishing(row: tuple[SlateSeen, SlateWhy]) -> None:
    look, why = row
    assert choose(look, TERMS) == SlateChoice(is_on=why is SlateWhy.DARK, why=why)


STAYS = {
    "no host yet": (seen(on_s=100.0), SlateWhy.STAYS),
    "a host warms up": (
        seen(on_s=100.0, publisher=Publisher.WARMING, publisher_s=10.0),
        SlateWhy.STAYS,
    ),
    "a first deploy takes its minutes": (seen(on_s=100.0, is_starting=True), SlateWhy.STAYS),
    "a good look, taken after it began": (seen(on_s=100.0, dark_s=0.2), SlateWhy.GOOD_FRAME),
    "the good look was before it began": (seen(on_s=100.0, dark_s=120.0), SlateWhy.STAYS),
    "somebody publishes beside it": (seen(on_s=9.0, ingest=Ingest.TAKEN), SlateWhy.TAKEN),
    "a restart is about to bring the host back": (
        seen(on_s=9.0, is_restarting=True, is_starting=True),
        SlateWhy.REPAIR,
    ),
    "a process has come while it was on": (
        beside_a_host(on_s=100.0, publisher_s=1.0),
        SlateWhy.HOST_DUE,
    ),
    "beside a host the ingest had given up": (
        beside_a_host(on_s=30.0, publisher_s=300.0, ingest=Ingest.EMPTY),
        SlateWhy.STAYS,
    ),
    "such a host has its turn": (
        beside_a_host(on_s=TURN_S, publisher_s=300.0, ingest=Ingest.EMPTY),
        SlateWhy.HOST_TURN,
    ),
    "it was on for as long as it may be": (seen(on_s=3600.0, dark_s=4000.0), SlateWhy.TOO_LONG),
    "paused meanwhile": (seen(on_s=9.0, is_barred=True), SlateWhy.BARRED),
}


@pytest.mark.parametrize("row", STAYS.values(), ids=STAYS)
def test_makes_way_in_time_and_not_before(row: tuple[SlateSeen, SlateWhy]) -> None:
    look, why = row
    assert choose(look, TERMS) == SlateChoice(is_on=why is SlateWhy.STAYS, why=why)


def left_alone(**said: Any) -> SlateSeen:
    """A host whose manager has given up, and an ingest that has said for long that nobody publishes."""
    down = {"publisher": Publisher.DOWN, "ingest": Ingest.EMPTY, "ingest_s": 300.0}
    return seen(**{**down, **said})


EMPTY = {"ingest": Ingest.EMPTY, "ingest_s": 300.0}
# Of an ingest that takes another publisher, beside the first or in its place.
WHERE_ANOTHER_IS_LET_IN = {
    "no host": (seen(), SlateWhy.DARK),
    "no host for a moment": (seen(publisher_s=SETTLED_S - 0.1), SlateWhy.NOT_CERTAIN),
    "a process is gone for long, and its manager may start it a moment later": (
        seen(publisher=Publisher.ENDED),
        SlateWhy.NOT_CERTAIN,
    ),
    "not even if the ingest is empty meanwhile": (
        seen(publisher=Publisher.ENDED, **EMPTY),
        SlateWhy.NOT_CERTAIN,
    ),
    "its manager has given up, and the ingest is not asked": (
        seen(publisher=Publisher.DOWN),
        SlateWhy.NOT_CERTAIN,
    ),
    "its manager has given up, and the ingest has been empty for long": (
        left_alone(),
        SlateWhy.DARK,
    ),
    "its manager has given up, and the ingest has only just become free": (
        left_alone(ingest_s=19.9),
        SlateWhy.NOT_CERTAIN,
    ),
    "its manager has given up a moment ago": (
        left_alone(publisher_s=SETTLED_S - 0.1),
        SlateWhy.NOT_CERTAIN,
    ),
    "the ingest's word is not enough beside a host": (
        beside_a_host(**EMPTY),
        SlateWhy.NOT_CERTAIN,
    ),
    "nor beside one that warms up": (
        seen(publisher=Publisher.WARMING, **EMPTY),
        SlateWhy.NOT_CERTAIN,
    ),
    "on, and no host": (seen(on_s=9.0), SlateWhy.STAYS),
    "on, beside a manager that has given up": (left_alone(on_s=9.0), SlateWhy.STAYS),
    "on, and a host may start what was there": (
        seen(on_s=9.0, publisher=Publisher.ENDED, publisher_s=1.0),
        SlateWhy.HOST_DUE,
    ),
    "on, and a host has come of which it was said before that its manager has given up": (
        left_alone(on_s=9.0, publisher_s=1.0),
        SlateWhy.HOST_DUE,
    ),
}
OF_SECOND = (SecondPublisher.ACCEPTED, SecondPublisher.REPLACES)


@pytest.mark.parametrize("second", OF_SECOND)
@pytest.mark.parametrize("row", WHERE_ANOTHER_IS_LET_IN.values(), ids=WHERE_ANOTHER_IS_LET_IN)
def test_where_another_publisher_is_let_in_the_slate_is_never_the_second(
    row: tuple[SlateSeen, SlateWhy], second: SecondPublisher
) -> None:
    look, why = row
    terms = SlateTerms(second_publisher=second)
    is_on = why in (SlateWhy.DARK, SlateWhy.STAYS)
    assert choose(look, terms) == SlateChoice(is_on=is_on, why=why)


WHERE_BOTH_ARE_LET_IN = {
    "on, and a deploy begins": (seen(on_s=9.0, is_starting=True), SlateWhy.REPAIR),
    "on, and a host warms up": (seen(on_s=9.0, publisher=Publisher.WARMING), SlateWhy.HOST_DUE),
}


@pytest.mark.parametrize("row", WHERE_BOTH_ARE_LET_IN.values(), ids=WHERE_BOTH_ARE_LET_IN)
def test_where_two_publishers_are_let_in_the_slate_is_gone_before_the_host_comes(
    row: tuple[SlateSeen, SlateWhy],
) -> None:
    look, why = row
    terms = SlateTerms(second_publisher=SecondPublisher.ACCEPTED)
    assert choose(look, terms) == SlateChoice(is_on=False, why=why)
    for other in (SecondPublisher.REFUSED, SecondPublisher.REPLACES):  # the host waits, or wins
        assert choose(look, SlateTerms(second_publisher=other)).is_on


@pytest.mark.parametrize("publisher", [Publisher.NONE, Publisher.DOWN, Publisher.ENDED])
def test_where_the_second_is_refused_a_process_that_is_gone_is_enough(publisher: Publisher) -> None:
    assert choose(seen(publisher=publisher), TERMS).why is SlateWhy.DARK
    assert choose(seen(publisher=publisher, on_s=100.0), TERMS).why is SlateWhy.STAYS


@pytest.mark.parametrize("why", SlateWhy)
def test_each_answer_has_a_sentence(why: SlateWhy) -> None:
    assert SENTENCES[why].strip()


GONE = (Status.FALSE, Reason.PROCESS_GONE)
GIVEN_UP = (Status.FALSE, Reason.MANAGER_GAVE_UP)
UP = (Status.TRUE, Reason.PROCESS_UP)
UNTOLD = (Status.UNKNOWN, Reason.SILENT)
OUT_OF_ITS_PROCESS = conditions(running=GONE)


def just_deployed(for_s: float) -> Tenure:
    return a_tenure(
        deployed_at=ago(for_s), warm_at=None, first_live_at=None, warmup_s=None, acted_at=None
    )


HOSTS: dict[str, tuple[Tenure, MarketState, Publisher]] = {
    "a create without an answer": (an_asked_tenure(), MarketState.PENDING, Publisher.NONE),
    "a host that boots for the first time": (
        a_fresh_tenure(),
        MarketState.PENDING,
        Publisher.NONE,
    ),
    "a host that is up, and nothing is on it": (
        a_fresh_tenure(running_at=ago(30), booted_at=ago(20)),
        MarketState.RUNNING,
        Publisher.NONE,
    ),
    "a deploy that failed may have started something": (
        a_fresh_tenure(running_at=ago(30), booted_at=ago(20), deploy_failures=1),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "a deploy in doubt, too": (
        a_fresh_tenure(running_at=ago(30), booted_at=ago(20), deploy_unsure_at=ago(10)),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "deployed, and its first picture is not due for long": (
        just_deployed(60.0),
        MarketState.RUNNING,
        Publisher.WARMING,
    ),
    "its picture is due within the minute": (
        just_deployed(POLICY.warmup_grace_s - 59.0),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "its picture is overdue": (
        just_deployed(POLICY.warmup_grace_s + 100.0),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "on air": (a_tenure(), MarketState.RUNNING, Publisher.MAYBE),
    "frozen: its process is there": (
        a_tenure(conditions=conditions(running=UP, streaming=(Status.FALSE, Reason.FROZEN))),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "its process is gone for certain": (
        a_tenure(conditions=OUT_OF_ITS_PROCESS),
        MarketState.RUNNING,
        Publisher.ENDED,
    ),
    "its manager has given up": (
        a_tenure(conditions=conditions(running=GIVEN_UP)),
        MarketState.RUNNING,
        Publisher.DOWN,
    ),
    "somebody has stopped it": (
        a_tenure(conditions=conditions(running=(Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE))),
        MarketState.RUNNING,
        Publisher.DOWN,
    ),
    "what its manager said may be of before keeper's own act": (
        a_tenure(acted_at=ago(10), conditions=conditions(running=GIVEN_UP)),
        MarketState.RUNNING,
        Publisher.ENDED,
    ),
    "a restart of keeper's broke off, and may have its effect yet": (
        a_tenure(
            acted_at=ago(10),
            is_left_stopped=True,
            conditions=OUT_OF_ITS_PROCESS,
        ),
        MarketState.RUNNING,
        Publisher.ENDED,
    ),
    "a crash loop is a process now and then": (
        a_tenure(conditions=conditions(running=(Status.FALSE, Reason.CRASH_LOOP))),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "nobody has heard of its process": (
        a_tenure(conditions=conditions(running=UNTOLD)),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "out of the marketplace's sight it may go on": (
        a_tenure(),
        MarketState.OFFLINE,
        Publisher.MAYBE,
    ),
    "a reboot that was only just ordered": (
        a_tenure(
            deployed_at=None,
            warm_at=None,
            running_at=None,
            booted_at=None,
            acted_at=ago(10),
            conditions=conditions(running=UNTOLD),
        ),
        MarketState.PENDING,
        Publisher.MAYBE,
    ),
    "a reboot that has lasted": (
        a_tenure(
            deployed_at=None,
            warm_at=None,
            running_at=None,
            booted_at=None,
            acted_at=ago(90),
            conditions=conditions(running=UNTOLD),
        ),
        MarketState.PENDING,
        Publisher.ENDED,
    ),
    "up again after a reboot it may start by itself what was there": (
        a_tenure(
            deployed_at=None,
            warm_at=None,
            running_at=ago(20),
            acted_at=ago(90),
            conditions=conditions(running=UNTOLD),
        ),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "up again after a reboot before it was ever seen": (
        a_fresh_tenure(booting_since=ago(60), running_at=ago(20)),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "somebody's rental that keeper has found, and has not heard of": (
        a_fresh_tenure(offer_id=OfferId(0), running_at=ago(20)),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
    "nothing was ever started on it, and it says so": (
        a_fresh_tenure(running_at=ago(30), conditions=OUT_OF_ITS_PROCESS),
        MarketState.RUNNING,
        Publisher.NONE,
    ),
    "its first deploy has started it, and is not over": (
        a_fresh_tenure(running_at=ago(30), acted_at=ago(9), conditions=conditions(running=UP)),
        MarketState.RUNNING,
        Publisher.WARMING,
    ),
    "something runs there, and a deploy has failed": (
        a_fresh_tenure(running_at=ago(30), deploy_failures=1, conditions=conditions(running=UP)),
        MarketState.RUNNING,
        Publisher.MAYBE,
    ),
}


@pytest.mark.parametrize("row", HOSTS.values(), ids=HOSTS)
def test_host_can_be_publishing_unless_it_is_certain_that_it_cannot(
    row: tuple[Tenure, MarketState, Publisher],
) -> None:
    tenure, state, expected = row
    listed = an_instance(state=state)
    assert publisher_of(tenure, listed, POLICY, NOW) is expected


def test_host_that_the_marketplace_will_start_again_is_as_good_as_one_with_a_process_to_come() -> (
    None
):
    stopped = an_instance(state=MarketState.STOPPED, is_meant_to_run=False)
    assert publisher_of(a_tenure(), stopped, POLICY, NOW) is Publisher.NONE
    coming = an_instance(state=MarketState.STOPPED)
    rebooted = a_tenure(deployed_at=None, running_at=None, conditions=conditions(running=UNTOLD))
    for served in (a_tenure(), rebooted):
        assert publisher_of(served, coming, POLICY, NOW) is Publisher.ENDED
    assert publisher_of(a_fresh_tenure(), coming, POLICY, NOW) is Publisher.NONE


def test_list_that_does_not_show_a_host_proves_nothing() -> None:
    assert publisher_of(a_tenure(), None, POLICY, NOW) is Publisher.MAYBE


def test_worst_host_of_a_stream_counts() -> None:
    gone = Rental(tenure=a_tenure(conditions=OUT_OF_ITS_PROCESS), listed=None)
    warming = Rental(tenure=just_deployed(60.0), listed=None)
    on_air = Rental(tenure=a_tenure(), listed=None)
    given_up = Rental(tenure=a_tenure(conditions=conditions(running=GIVEN_UP)), listed=None)
    assert publisher_among((), (), POLICY, NOW) is Publisher.NONE
    assert publisher_among((given_up,), (), POLICY, NOW) is Publisher.DOWN
    assert publisher_among((gone, given_up), (), POLICY, NOW) is Publisher.ENDED
    assert publisher_among((warming, gone), (), POLICY, NOW) is Publisher.WARMING
    assert publisher_among((gone, warming, on_air), (), POLICY, NOW) is Publisher.MAYBE


def test_condemned_host_counts_until_a_list_lacks_it_or_shows_it_stopped() -> None:
    def condemned(**more: Any) -> Condemned:
        return Condemned(
            label="l",
            instance_id=HOST,
            slot=SLOT,
            reason=Reason.SUPERSEDED,
            condemned_at=ago(5),
            dollars_per_hour=0.4,
            **more,
        )

    running, stopped = an_instance(), an_instance(state=MarketState.STOPPED)
    for ending, expected in (
        ((condemned(), running), Publisher.MAYBE),
        ((condemned(accepted_at=ago(1)), None), Publisher.MAYBE),
        ((condemned(), stopped), Publisher.NONE),
        ((condemned(absent_since=ago(1)), None), Publisher.NONE),
    ):
        assert publisher_among((), (ending,), POLICY, NOW) is expected


def test_picture_is_due_when_the_grace_is_over_and_sooner_where_it_warmed_up_before() -> None:
    assert picture_due_at(a_tenure(), POLICY) is None
    fresh = just_deployed(100.0)
    assert picture_due_at(fresh, POLICY) == ahead(POLICY.warmup_grace_s - 100.0)
    again = a_tenure(deployed_at=ago(100), warm_at=None, warmup_s=40.0)
    assert picture_due_at(again, POLICY) == ago(20.0)


def test_countdown_shrinks_along_the_way_and_never_below_nothing() -> None:
    vacant = picture_in_s(a_record(), POLICY, NOW)
    booting = picture_in_s(a_record(a_fresh_tenure()), POLICY, NOW)
    up = picture_in_s(a_record(a_fresh_tenure(running_at=ago(20), booted_at=ago(10))), POLICY, NOW)
    warming = picture_in_s(a_record(just_deployed(30.0)), POLICY, NOW)
    overdue = picture_in_s(a_record(just_deployed(5000.0)), POLICY, NOW)
    assert vacant == picture_in_s(None, POLICY, NOW)
    assert vacant > booting > up > warming > overdue == 0.0
    repaired = a_record(a_tenure(), dark_since=ago(20))
    assert picture_in_s(repaired, POLICY, NOW) == 40.0
    assert picture_in_s(a_record(a_tenure()), POLICY, NOW) == 60.0


def test_replacement_is_what_the_countdown_is_about() -> None:
    lame = a_tenure(conditions=(a_condition(ConditionKind.STREAMING, Status.FALSE),))
    record = a_record(lame, incoming=a_fresh_tenure(instance_id=HOST))
    assert picture_in_s(record, POLICY, NOW) == picture_in_s(
        a_record(a_fresh_tenure()), POLICY, NOW
    )
    known = a_tenure(deployed_at=None, warmup_s=12.0, booted_at=ago(10), warm_at=None)
    assert picture_in_s(a_record(known), POLICY, NOW) == 50.0 + 12.0
