"""Rows of the table of decisions: what holds keeper back, what a person asks, and how hosts end."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.meter import Dark, Meter
from keeper.core.model import Lull, Mode, Rung, Status
from keeper.core.reasons import Reason
from keeper.core.windows import Allowance, Window
from keeper.core.world import OrderKind
from tests.builders import (
    DUEL,
    SLOT,
    a_book,
    a_condemned,
    a_desire,
    a_listing,
    a_pause,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    ahead,
    an_instance,
    an_offer,
    an_order,
    conditions,
    healthy_world,
)
from tests.unit.core.decision_worlds import (
    Row,
    beside_a_handover,
    dark,
    handing_over,
    rolling_back,
    rolling_out,
    spent,
    two_alike,
    two_sick,
    vacant,
    vacated,
    with_record,
    with_tenure,
)
from tests.unit.core.test_suspects import deployed

BOUNDS = (
    # --- one thing at a time ---
    Row(
        sentence="an act under way is not doubled",
        world=replace(spent(), in_flight=frozenset({SLOT})),
        decision="wait", reason=Reason.ACT_IN_FLIGHT,
    ),
    Row(
        sentence="a slot that keeper has a bug with is left alone",
        world=replace(spent(), held_slots=frozenset({SLOT})),
        decision="hold", reason=Reason.SLOT_HELD_BY_BUG, wanted="watch",
    ),
    # --- fuses ---
    Row(
        sentence="a paused fleet is not touched",
        world=replace(dark(), pause=a_pause(until_s=300)),
        decision="hold", reason=Reason.PAUSED, wanted="restart", until=ahead(300),
    ),
    Row(
        sentence="a pause that has ended is none",
        world=replace(dark(), pause=a_pause(until_s=-1)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a paused slot is not touched",
        world=replace(dark(), slot_pauses={SLOT: a_pause()}),
        decision="hold", reason=Reason.PAUSED, wanted="restart",
    ),
    Row(
        sentence="a stream that is only observed is not touched",
        world=dark(), desired=a_desire(a_stream(mode=Mode.OBSERVE)),
        decision="hold", reason=Reason.OBSERVE_ONLY, wanted="restart",
    ),
    Row(
        sentence="a keeper without the lease only watches",
        world=replace(dark(), is_leader=False),
        decision="hold", reason=Reason.NOT_LEADER, wanted="restart",
    ),
    Row(
        sentence="a stream that suggests says what it would do",
        world=dark(), desired=a_desire(a_stream(mode=Mode.SUGGEST)),
        decision="hold", reason=Reason.SUGGEST_ONLY, wanted="restart",
    ),
    Row(
        sentence="a keeper that stops begins nothing",
        world=replace(dark(), is_stopping=True),
        decision="hold", reason=Reason.STOPPING, wanted="restart",
    ),
    Row(
        sentence="a box whose own network fails trusts nothing it sees",
        world=replace(dark(), own_network=Status.FALSE),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY,
    ),
    Row(
        sentence="a box whose own network fails rents nothing",
        world=replace(vacant(), own_network=Status.FALSE),
        decision="hold", reason=Reason.OWN_NETWORK_DOWN, wanted="rent",
    ),
    Row(
        sentence="two sick slots of two suspect the observer",
        world=two_sick()[0], desired=two_sick()[1],
        decision="hold", reason=Reason.MASS_FAILURE, wanted="restart",
    ),
    Row(
        sentence="one fault on two hosts of many suspects a common cause",
        world=two_alike()[0], desired=two_alike()[1],
        decision="hold", reason=Reason.COMMON_CAUSE, wanted="replace",
    ),
    Row(
        sentence="a revision that fails wherever it goes gets no other host",
        world=a_world(deployed(), offers={DUEL: a_book(an_offer(1))}),
        desired=a_desire(a_stream(revision="r2")),
        decision="hold", reason=Reason.BAD_DEPLOY, wanted="rent",
    ),
    Row(
        sentence="a changed workload is put on the host",
        world=rolling_out(), desired=a_desire(a_stream(revision="r2")),
        decision="deploy", reason=Reason.ROLLOUT,
    ),
    Row(
        sentence="a changed workload waits until viewers lose least by it",
        world=rolling_out(), desired=a_desire(a_stream(revision="r2", lull_max_s=200.0)),
        decision="wait", reason=Reason.DRAINING, until=ahead(200),
    ),
    Row(
        sentence="where viewers did not pause, and policy says to leave the host, it is left",
        world=with_tenure(rolling_out(), lull=Lull(since=ago(300), bound_s=200.0, over_at=ago(100),
                                                   left_until=ahead(500))),
        desired=a_desire(a_stream(revision="r2", lull_max_s=200.0)),
        decision="hold", reason=Reason.DRAIN_OVERDUE, wanted="deploy", until=ahead(500),
    ),
    Row(
        sentence="a bad one is taken back where it went",
        world=rolling_back(), desired=a_desire(a_stream(revision="r2")),
        decision="deploy", reason=Reason.ROLLBACK,
    ),
    Row(
        sentence="a maintenance window holds what it does not allow, until it closes",
        world=replace(
            vacant(),
            windows=(
                Window(
                    name="works", since=ago(60), until=ahead(600), allow=Allowance.REPAIR
                ),
            ),
        ),
        decision="hold", reason=Reason.MAINTENANCE_WINDOW, wanted="rent", until=ahead(600),
    ),
    Row(
        sentence="a host that has served its time is followed by another",
        world=a_world(a_record(a_tenure()), offers={DUEL: a_book(an_offer(20))}),
        desired=a_desire(a_stream(recycle_after_s=3000.0)),
        decision="rent", reason=Reason.RECYCLE,
    ),
    Row(
        sentence="nothing is rented before the first listing",
        world=replace(vacant(), listing=None),
        decision="hold", reason=Reason.STARTING_UP, wanted="rent",
    ),
    Row(
        sentence="a listing of before the start does not count",
        world=replace(vacant(), started_at=ago(2)),
        decision="hold", reason=Reason.STARTING_UP, wanted="rent",
    ),
    Row(
        sentence="nothing is rented while the marketplace cannot be read",
        world=replace(vacant(), unreadable_since=ago(1), unreadable_error="502"),
        decision="hold", reason=Reason.MARKET_UNREADABLE, wanted="rent",
    ),
    Row(
        sentence="a listing that is too old is no listing",
        world=replace(vacant(), listing=a_listing(age_s=181)),
        decision="hold", reason=Reason.MARKET_UNREADABLE, wanted="rent",
    ),
    Row(
        sentence="SSH acts do not need the marketplace",
        world=replace(dark(), unreadable_since=ago(1)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="no host is given up while the marketplace cannot be read",
        world=replace(spent(), unreadable_since=ago(1)),
        decision="hold", reason=Reason.MARKET_UNREADABLE, wanted="replace",
    ),
    Row(
        sentence="a stream's spending limit is kept",
        world=vacant(), desired=a_desire(a_stream(spend_max_dollars_per_hour=0.40)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="the fleet's spending limit is kept",
        world=vacant(), desired=a_desire(a_stream(), spend_max_dollars_per_hour=0.40),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="dollars that bought no picture end the renting until a person has looked",
        world=vacant(meter=Meter(metered_at=ago(0), dark={SLOT: Dark(dollars=5.01)})),
        decision="hold", reason=Reason.DARK_SPEND, wanted="rent",
    ),
    Row(
        sentence="a condemned rental still counts as spending",
        world=vacant(condemned=(a_condemned(dollars_per_hour=4.8),)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="a used-up allowance keeps the last host and asks for a person",
        world=with_record(spent(), replaced_at=tuple(ago(s) for s in (900, 800, 700, 600, 500))),
        decision="hold", reason=Reason.REPLACEMENTS_SPENT, wanted="replace",
        until=ahead(21_600 - 900),
    ),
    Row(
        sentence="but not one whose GPU is gone: it would be paid for in the dark, for hours",
        world=with_record(
            dark(has_gpu=(Status.FALSE, Reason.GPU_LOST)),
            replaced_at=tuple(ago(s) for s in (900, 800, 700, 600, 50)),
        ),
        decision="destroy", reason=Reason.GPU_LOST,
    ),
    Row(
        sentence="two replacements keep their distance",
        world=with_record(spent(), replaced_at=(ago(100),)),
        decision="hold", reason=Reason.REPLACEMENT_TOO_SOON, wanted="replace", until=ahead(20),
    ),
    Row(
        sentence="the fifth replacement is still rented for",
        world=vacated(5), decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="hosts that fail one after the other end in a call for a person",
        world=vacated(6), decision="hold", reason=Reason.REPLACEMENTS_SPENT, wanted="rent",
        until=ahead(21_600 - 4000),
    ),
    Row(
        sentence="failed boots do not follow each other too fast",
        world=with_record(vacated(2), replaced_at=(ago(100), ago(1))),
        decision="hold", reason=Reason.REPLACEMENT_TOO_SOON, wanted="rent", until=ahead(20),
    ),
    Row(
        sentence="only so many slots are between two hosts at once",
        world=spent(),
        desired=a_desire(a_stream(), replacements_in_flight_max=0),
        decision="hold", reason=Reason.TOO_MANY_REPLACEMENTS_IN_FLIGHT, wanted="replace",
    ),
    Row(
        sentence="one slot of a stream hands over at a time",
        world=beside_a_handover(healthy_world(orders=(an_order(OrderKind.REPLACE),),
                                              offers={DUEL: a_book(an_offer(9))})),
        desired=a_desire(a_stream(replicas=2)),
        decision="hold", reason=Reason.ANOTHER_HANDS_OVER, wanted="rent",
    ),
    # --- orders ---
    Row(
        sentence="an operator's restart is done at once",
        world=healthy_world(orders=(an_order(OrderKind.RESTART),)),
        decision="restart", reason=Reason.OPERATOR_ASKED, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="an operator's restart is done while paused",
        world=healthy_world(orders=(an_order(OrderKind.RESTART),), pause=a_pause()),
        decision="restart", reason=Reason.OPERATOR_ASKED, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="an operator's destroy is done at once",
        world=healthy_world(orders=(an_order(OrderKind.DESTROY),),
                            slot_pauses={SLOT: a_pause()}),
        decision="destroy", reason=Reason.OPERATOR_ASKED,
    ),
    Row(
        sentence="a slot that was emptied on order stays empty",
        world=vacant(slot_pauses={SLOT: a_pause()}),
        decision="hold", reason=Reason.PAUSED, wanted="rent",
    ),
    Row(
        sentence="an ordered replacement of a good host is made before the old one is broken",
        world=healthy_world(orders=(an_order(OrderKind.REPLACE),),
                            offers={DUEL: a_book(an_offer(2))}),
        decision="rent", reason=Reason.HANDOVER,
    ),
    Row(
        sentence="an ordered replacement of a dark host breaks first",
        world=with_record(dark(running=(Status.UNKNOWN, Reason.MANAGER_RETRYING)),
                          replace_asked_at=ago(1)),
        decision="destroy", reason=Reason.OPERATOR_ASKED,
    ),
    # --- hand-over ---
    Row(
        sentence="a replacement proves itself for a while",
        world=handing_over(), decision="wait", reason=Reason.HANDOVER, until=ahead(800),
    ),
    Row(
        sentence="a replacement that has proven itself takes over",
        world=handing_over(conditions=conditions(), good_in_a_row=6),
        decision="destroy", reason=Reason.SUPERSEDED,
    ),
    Row(
        sentence="a replacement that is missing from the list takes nothing over yet",
        world=replace(handing_over(conditions=conditions(), good_in_a_row=6),
                      listing=a_listing(an_instance())),
        decision="wait", reason=Reason.MISSING_FROM_LIST,
    ),
    Row(
        sentence="a replacement that does not come up goes, and the old host stays",
        world=handing_over(booted_at=ago(901)), decision="destroy",
        reason=Reason.NO_PICTURE_EVER,
    ),
    # --- ends ---
    Row(
        sentence="the rentals of a removed stream end",
        world=healthy_world(), desired=a_desire(a_stream("other", replicas=0)),
        decision="destroy", reason=Reason.STREAM_REMOVED,
    ),
    Row(
        sentence="fewer replicas end what is too many",
        world=healthy_world(), desired=a_desire(a_stream(replicas=0)),
        decision="destroy", reason=Reason.STREAM_REMOVED,
    ),
    Row(
        sentence="fewer replicas end nothing where keeper only observes",
        world=healthy_world(), desired=a_desire(a_stream(replicas=0, mode=Mode.OBSERVE)),
        decision="hold", reason=Reason.OBSERVE_ONLY, wanted="replace",
    ),
    Row(
        sentence="nor where it only suggests",
        world=healthy_world(), desired=a_desire(a_stream(replicas=0, mode=Mode.SUGGEST)),
        decision="hold", reason=Reason.SUGGEST_ONLY, wanted="replace",
    ),
    Row(
        sentence="a removed stream is not touched while paused",
        world=healthy_world(pause=a_pause()), desired=a_desire(a_stream("other", replicas=0)),
        decision="hold", reason=Reason.PAUSED, wanted="replace",
    ),
)  # fmt: skip
