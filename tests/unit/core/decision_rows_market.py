"""Rows of the table of decisions: what the marketplace says of a rental, its terms and its price."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.model import MarketState, Mode, Rung
from keeper.core.reasons import Reason
from tests.builders import (
    HOST,
    a_desire,
    a_listing,
    a_pause,
    a_stream,
    ago,
    ahead,
    an_instance,
    healthy_world,
    with_policy,
)
from tests.unit.core.decision_worlds import (
    NO_LINK,
    Row,
    booting,
    dark,
    listed_as,
    missing,
    outbid,
    with_tenure,
    with_terms,
)

MARKET = (
    # --- the contract's end ---
    Row(
        sentence="a contract that ends in two hours is handed over while it serves",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(7200)), ending_since=ago(36),
                         rented_at=ago(86_400)),
        decision="rent", reason=Reason.CONTRACT_ENDING,
    ),
    Row(
        sentence="one listing with a near end moves nothing",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(7200)), rented_at=ago(86_400)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="a contract that was extended serves on",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(86_400)), ending_since=ago(36),
                         rented_at=ago(86_400)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="a short contract is not handed over as soon as it serves",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(7200)), ending_since=ago(36),
                         rented_at=ago(3600)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="an end before the beginning says nothing",
        world=with_terms(listed_as(healthy_world(), ends_at=ago(90_000)), ending_since=ago(36),
                         rented_at=ago(86_400)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="an ending contract whose host is dark is repaired like any other",
        world=with_tenure(listed_as(dark(), ends_at=ahead(7200)), ending_since=ago(36),
                          rented_at=ago(86_400)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    # --- bids ---
    Row(
        sentence="a bid that was beaten a moment ago is waited for",
        world=outbid(stopped_for_s=10),
        decision="wait", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a bid that was beaten is raised",
        world=outbid(), decision="rebid", reason=Reason.OUTBID,
    ),
    Row(
        sentence="both pictures of an outbid are understood",
        world=listed_as(outbid(), is_meant_to_run=True),
        decision="rebid", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a floor above the price limit ends the bidding",
        world=listed_as(outbid(), min_bid_dollars_per_hour=1.99),
        decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a floor that is not told ends the bidding",
        world=listed_as(outbid(), min_bid_dollars_per_hour=0.0),
        decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a host is bid for only so often",
        world=outbid(rebids=3, stopped_for_s=130), decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a raised bid that does not lift a host ends the bidding",
        world=outbid(rebids=1, stopped_for_s=130, bid_dollars_per_hour=0.5),
        decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="but one that may never have arrived is sent once more",
        world=outbid(rebids=1, stopped_for_s=130, bid_dollars_per_hour=0.5, is_bid_unsure=True),
        decision="rebid", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a raised bid is given time to start the container",
        world=outbid(rebids=1, stopped_for_s=60), decision="wait", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a bid that the budget does not allow gives the host up",
        world=outbid(), desired=a_desire(a_stream(spend_max_dollars_per_hour=0.42)),
        decision="destroy", reason=Reason.OUTBID,
    ),
    Row(
        sentence="a paused slot bids nothing",
        world=replace(outbid(), pause=a_pause()),
        decision="hold", reason=Reason.PAUSED, wanted="rebid",
    ),
    Row(
        sentence="an observed stream bids nothing",
        world=outbid(), desired=a_desire(a_stream(mode=Mode.OBSERVE)),
        decision="hold", reason=Reason.OBSERVE_ONLY, wanted="rebid",
    ),
    Row(
        sentence="nothing is bid while the marketplace cannot be read",
        world=replace(outbid(), unreadable_since=ago(1)),
        decision="hold", reason=Reason.MARKET_UNREADABLE, wanted="rebid",
    ),
    Row(
        sentence="an on-demand rental that stands still was not outbid",
        world=with_tenure(listed_as(outbid(), is_bid=False), is_bid=False),
        decision="destroy", reason=Reason.MARKET_STOPPED_IT,
    ),
    Row(
        sentence="a fresh host that a listing does not show yet is not gone",
        world=replace(booting(listed_at=None), listing=a_listing(age_s=1)),
        decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    # --- the marketplace's word ---
    Row(
        sentence="one absence is a question",
        world=missing(1), decision="wait", reason=Reason.MISSING_FROM_LIST,
    ),
    Row(
        sentence="two absences without an answer by id are still a question",
        world=missing(2), decision="wait", reason=Reason.MISSING_FROM_LIST,
    ),
    Row(
        sentence="two absences and nothing by id free the slot",
        world=replace(missing(2), shown={HOST: None}),
        decision="wait", reason=Reason.OFFERS_STALE,
    ),
    Row(
        sentence="a rental that the answer by id still knows is not missing",
        world=replace(missing(2), shown={HOST: an_instance()}),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a host that was good may be offline for a while",
        world=with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.OFFLINE),
                          dead_since=ago(105)),
        decision="wait", reason=Reason.MARKET_SAYS_DEAD, until=ahead(195),
    ),
    Row(
        sentence="a host that stays offline is replaced",
        world=with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.OFFLINE),
                          dead_since=ago(306)),
        decision="destroy", reason=Reason.MARKET_SAYS_DEAD,
    ),
    Row(
        sentence="who has just woken does not take the marketplace's word alone",
        world=replace(with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.OFFLINE),
                                  dead_since=ago(306)), started_at=ago(10)),
        decision="wait", reason=Reason.MARKET_SAYS_DEAD, until=ahead(20),
    ),
    Row(
        sentence="who has looked again for as long as one word must stand takes it",
        world=replace(with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.OFFLINE),
                                  dead_since=ago(306)), started_at=ago(36)),
        decision="destroy", reason=Reason.MARKET_SAYS_DEAD,
    ),
    Row(
        sentence="a rental that the marketplace stops is replaced",
        world=with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.STOPPED,
                                    is_meant_to_run=False), dead_since=ago(40)),
        decision="destroy", reason=Reason.MARKET_STOPPED_IT,
    ),
    Row(
        sentence="one that its dead man stopped while there was no keeper is replaced",
        world=replace(with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.STOPPED,
                                            is_meant_to_run=False), dead_since=ago(40),
                                  is_guarded=True), heard_at={}),
        decision="destroy", reason=Reason.DEAD_MAN_STOPPED,
    ),
    Row(
        sentence="one that was heard until it stopped was not stopped by its dead man",
        world=with_tenure(listed_as(dark(reachable=NO_LINK), state=MarketState.STOPPED,
                                    is_meant_to_run=False), dead_since=ago(40), is_guarded=True),
        desired=a_desire(with_policy(a_stream(), dead_man_after_s=1800.0)),
        decision="destroy", reason=Reason.MARKET_STOPPED_IT,
    ),
    Row(
        sentence="exited while SSH works is repaired over SSH",
        world=with_tenure(listed_as(dark(), state=MarketState.STOPPED), dead_since=ago(40)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
)  # fmt: skip
