"""Rows of the table of decisions: from a vacancy to the first picture."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.model import Rung, Status
from keeper.core.reasons import Reason
from keeper.core.world import AccountSeen, SearchRefused
from tests.builders import (
    DUEL,
    a_book,
    a_condemned,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_record,
    a_stream,
    a_world,
    ago,
    ahead,
    an_asked_tenure,
    an_instance,
    an_offer,
    conditions,
    healthy_world,
)
from tests.unit.core.decision_worlds import (
    DEAR,
    FROZEN,
    GONE_PROCESS,
    LOST_LINK,
    RENT_INTENT,
    UNSEEN,
    Row,
    booted,
    booting,
    listed_as,
    refused,
    vacant,
    warming,
    with_tenure,
    with_terms,
)

COMING = (
    # --- vacant ---
    Row(
        sentence="a vacant slot with a fresh offer is rented for",
        world=vacant(), decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="old offers are not rented from",
        world=a_world(a_record(), offers={DUEL: a_book(an_offer(1), age_s=61)}),
        decision="wait", reason=Reason.OFFERS_STALE,
    ),
    Row(
        sentence="without a search there is no offer",
        world=a_world(a_record()), decision="wait", reason=Reason.OFFERS_STALE,
    ),
    Row(
        sentence="a quota that is spent is waited for, and said",
        world=a_world(a_record(), search_refused=SearchRefused(
            reason=Reason.SEARCH_QUOTA_SPENT, until=ahead(3600), error="no more today")),
        decision="wait", reason=Reason.SEARCH_QUOTA_SPENT, until=ahead(3600),
    ),
    Row(
        sentence="a quota that is back is asked again",
        world=a_world(a_record(), search_refused=SearchRefused(
            reason=Reason.SEARCH_QUOTA_SPENT, until=ago(1), error="no more today")),
        decision="wait", reason=Reason.OFFERS_STALE,
    ),
    Row(
        sentence="a refused search does not spoil offers that are fresh",
        world=vacant(search_refused=SearchRefused(
            reason=Reason.UNAUTHORIZED, until=None, error="no")),
        decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="a key that may not search is named",
        world=a_world(a_record(), search_refused=SearchRefused(
            reason=Reason.UNAUTHORIZED, until=None, error="no")),
        decision="wait", reason=Reason.UNAUTHORIZED,
    ),
    Row(
        sentence="a marketplace that answers no search is named",
        world=a_world(a_record(), search_refused=SearchRefused(
            reason=Reason.SEARCH_FAILS, until=None, error="no list")),
        decision="wait", reason=Reason.SEARCH_FAILS,
    ),
    Row(
        sentence="an empty account rents nothing",
        world=vacant(account=AccountSeen(spendable_dollars=0.0, at=ago(10))),
        decision="hold", reason=Reason.OUT_OF_CREDIT, wanted="rent",
    ),
    Row(
        sentence="a market without a display is searched again later",
        world=a_world(a_record(),
                      offers={DUEL: a_book(an_offer(1, gpu_display_active=False))}),
        decision="wait", reason=Reason.NO_SUITABLE_OFFER,
    ),
    Row(
        sentence="the pause after a fruitless search is kept",
        world=a_world(a_record(next_rent_at=ahead(20), rent_reason=Reason.NO_SUITABLE_OFFER),
                      offers={DUEL: a_book(an_offer(1))}),
        decision="wait", reason=Reason.NO_SUITABLE_OFFER, until=ahead(20),
    ),
    Row(
        sentence="a pause that the clock has left behind is over",
        world=a_world(a_record(next_rent_at=ahead(5000)), offers={DUEL: a_book(an_offer(1))}),
        decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="a lost race takes the next offer at once",
        world=refused(Reason.OFFER_GONE), decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="an empty account is not asked again at once",
        world=refused(Reason.OUT_OF_CREDIT), decision="wait", reason=Reason.OUT_OF_CREDIT,
    ),
    Row(
        sentence="a refused key is not tried again at once",
        world=refused(Reason.UNAUTHORIZED), decision="wait", reason=Reason.UNAUTHORIZED,
    ),
    Row(
        sentence="a marketplace that asks for patience gets it",
        world=refused(Reason.BACKING_OFF, retry_after_s=100.0),
        decision="wait", reason=Reason.BACKING_OFF, until=ahead(100),
    ),
    Row(
        sentence="no rental begins before the old one has heard of its end",
        world=vacant(condemned=(a_condemned(accepted_at=None),),
                     listing=a_listing(an_instance())),
        decision="wait", reason=Reason.CONDEMNED,
    ),
    Row(
        sentence="one listing without the old one is no end of it: it may be empty by mistake",
        world=vacant(
            condemned=(a_condemned(accepted_at=None, absent_since=ago(5), absent_listed_at=ago(5)),),
            listing=a_listing()),
        decision="wait", reason=Reason.CONDEMNED,
    ),
    Row(
        sentence="one rental that will not end does not keep the stream off air",
        world=vacant(condemned=(a_condemned(accepted_at=None, tries=3),)),
        decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="one that was never asked to end is not one that will not",
        world=vacant(condemned=(a_condemned(accepted_at=None, tries=9, tries_unsent=7),)),
        decision="wait", reason=Reason.CONDEMNED,
    ),
    # --- creates in doubt ---
    Row(
        sentence="a doubtful create is looked for before anything else",
        world=a_world(a_record(an_asked_tenure()), listing=a_listing(age_s=1),
                      intents=(RENT_INTENT,), offers={DUEL: a_book(an_offer(1))}),
        decision="wait", reason=Reason.CREATE_UNSETTLED,
    ),
    Row(
        sentence="a rental that carries the label of a lost answer is adopted",
        world=a_world(a_record(an_asked_tenure()), listing=a_listing(an_instance(), age_s=1),
                      intents=(RENT_INTENT,)),
        decision="adopt", reason=Reason.FOUND_BY_LABEL,
    ),
    Row(
        sentence="a create that no listing shows over the settle time is voided and rented anew",
        world=a_world(
            a_record(an_asked_tenure(requested_at=ago(200), acted_at=ago(150),
                                     missing_since=ago(100), missing_listed_at=ago(60))),
            listing=a_listing(age_s=1), intents=(RENT_INTENT,),
            offers={DUEL: a_book(an_offer(1))}),
        decision="rent", reason=Reason.VACANT,
    ),
    Row(
        sentence="a create with an id that never appears is destroyed all the same",
        world=a_world(
            a_record(a_fresh_tenure(rented_at=ago(200), requested_at=ago(200),
                                    missing_since=ago(100), missing_listed_at=ago(60))),
            listing=a_listing(age_s=1)),
        decision="destroy", reason=Reason.CREATE_NEVER_APPEARED,
    ),
    # --- boot ---
    Row(
        sentence="a booting host is waited for until its deadline",
        world=booting(), decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    Row(
        sentence="a machine that started late gets time to answer",
        world=booting(requested_at=ago(900), rented_at=ago(900), booting_since=ago(900),
                      running_at=ago(60)),
        decision="wait", reason=Reason.BOOTING, until=ahead(240),
    ),
    Row(
        sentence="a boot that ended while keeper was away has time to show it",
        world=replace(booting(requested_at=ago(2000), rented_at=ago(2000),
                              booting_since=ago(2000)), started_at=ago(10)),
        decision="wait", reason=Reason.BOOTING, until=ahead(290),
    ),
    Row(
        sentence="a boot that never ends is given up",
        world=booting(requested_at=ago(901), rented_at=ago(901), booting_since=ago(901)),
        decision="destroy", reason=Reason.BOOT_STUCK,
    ),
    Row(
        sentence="a container that cannot start is given up after some agreement",
        world=listed_as(booting(dead_since=ago(36)), has_daemon_error=True),
        decision="destroy", reason=Reason.BOOT_FAILED,
    ),
    Row(
        sentence="one listing with a daemon error is not agreement",
        world=listed_as(booting(), has_daemon_error=True),
        decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    Row(
        sentence="one listing with a price above the limit is only noted",
        world=listed_as(booting(), dollars_per_hour=2.6),
        decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    Row(
        sentence="a contract that costs more than the limit is given back before its first picture",
        world=listed_as(booting(dear_since=ago(36)), dollars_per_hour=2.6),
        decision="destroy", reason=Reason.PRICE_DRIFT,
    ),
    Row(
        sentence="a contract that costs much more than its own offer is given back too",
        world=listed_as(booting(dear_since=ago(36), offered_dollars_per_hour=0.4),
                        dollars_per_hour=0.51),
        decision="destroy", reason=Reason.PRICE_DRIFT,
    ),
    Row(
        sentence="a contract within the drift that is tolerated is kept",
        world=listed_as(booting(dear_since=ago(36), offered_dollars_per_hour=0.4),
                        dollars_per_hour=0.50),
        decision="wait", reason=Reason.BOOTING, until=ahead(800),
    ),
    Row(
        sentence="a serving host whose price rises above the stream's limit hands over",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=2.6), dear_since=ago(36)),
        desired=DEAR, decision="rent", reason=Reason.PRICE_DRIFT,
    ),
    Row(
        sentence="a serving host whose price rises within the stream's limit serves on",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=1.9), dear_since=ago(36),
                         offered_dollars_per_hour=0.4),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="one so dear that its successor does not fit the budget beside it is given up first",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=4.8), dear_since=ago(906)),
        decision="destroy", reason=Reason.PRICE_DRIFT,
    ),
    Row(
        sentence="but not before a person had a quarter of an hour to make room for both",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=4.8), dear_since=ago(895)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="nor where its successor would not fit the budget without it, either",
        world=with_terms(listed_as(healthy_world(), dollars_per_hour=4.8), dear_since=ago(906)),
        desired=a_desire(a_stream(spend_max_dollars_per_hour=0.3)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="nor where what ends already will make room for both",
        world=replace(with_terms(listed_as(healthy_world(), dollars_per_hour=2.6), dear_since=ago(906)),
                      condemned=(a_condemned(instance_id=7777, dollars_per_hour=2.3, tries=1),)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    Row(
        sentence="nothing is given up for its price while nothing else suits",
        world=replace(with_terms(listed_as(healthy_world(), dollars_per_hour=4.8),
                                 dear_since=ago(906)), offers={DUEL: a_book()}),
        decision="wait", reason=Reason.NO_SUITABLE_OFFER,
    ),
    # --- deploy ---
    Row(
        sentence="an empty host that answers gets the workload",
        world=booted(), decision="deploy", reason=Reason.NOT_DEPLOYED,
    ),
    Row(
        sentence="an empty host that has lost its link is waited for",
        world=booted(conditions=conditions(deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
                                           reachable=LOST_LINK, running=UNSEEN,
                                           streaming=UNSEEN)),
        decision="wait", reason=Reason.NOT_DEPLOYED,
    ),
    Row(
        sentence="a deploy that failed is tried again after a pause",
        world=booted(deploy_failures=1, acted_at=ago(4)),
        decision="wait", reason=Reason.BACKING_OFF, until=ahead(6),
    ),
    Row(
        sentence="a deploy whose answer was lost is looked at before it is repeated",
        world=booted(deploy_failures=1, acted_at=ago(40), deploy_unsure_at=ago(40)),
        decision="wait", reason=Reason.DEPLOY_UNSETTLED, until=ahead(260),
    ),
    Row(
        sentence="a host on which the workload will not go is given up",
        world=booted(deploy_failures=2, acted_at=ago(4)),
        decision="destroy", reason=Reason.DEPLOY_FAILED,
    ),
    # --- warm-up ---
    Row(
        sentence="a workload that warms up is left alone",
        world=warming(), decision="wait", reason=Reason.WARMING_UP, until=ahead(240),
    ),
    Row(
        sentence="bad pictures while warming up are no reason to act",
        world=warming(streaming=FROZEN), decision="wait", reason=Reason.WARMING_UP,
        until=ahead(240),
    ),
    Row(
        sentence="a process that says it is starting has the longest grace",
        world=warming(700, running=(Status.UNKNOWN, Reason.PROCESS_STARTING)),
        decision="wait", reason=Reason.WARMING_UP, until=ahead(500),
    ),
    Row(
        sentence="a process that is gone is no warm-up",
        world=warming(running=GONE_PROCESS), decision="restart", reason=Reason.PROCESS_GONE,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a host that never shows a picture climbs the ladder",
        world=warming(301, running=(Status.TRUE, Reason.PROCESS_UP), streaming=FROZEN),
        decision="restart", reason=Reason.NO_PICTURE_EVER, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a second warm-up on the same host may take twice the first",
        world=with_tenure(warming(100, streaming=FROZEN), warmup_s=40.0,
                          first_live_at=ago(9000)),
        decision="restart", reason=Reason.NO_PICTURE_EVER, rung=Rung.RESTART_PROCESS,
    ),
)  # fmt: skip
