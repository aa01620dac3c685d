"""Rows of the table of decisions: a host that serves, or is in trouble, or of which nothing is known."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.model import ConditionKind, MarketState, Rung, Status, Subject
from keeper.core.reasons import Reason
from tests.builders import (
    a_condition,
    a_reading,
    a_record,
    a_tenure,
    a_world,
    ago,
    ahead,
    bad_pictures,
    conditions,
    good_pictures,
    healthy_world,
)
from tests.unit.core.decision_worlds import (
    GONE_PROCESS,
    LOST_LINK,
    NOBODY,
    NOBODY_YET,
    SPENT,
    UNSEEN,
    Row,
    dark,
    dark_for,
    elsewhere,
    listed_as,
    not_heard_for,
    refused_for,
    spent,
    used,
    warming,
    with_record,
    with_tenure,
    with_terms,
)

NOT_SEEN = a_condition(ConditionKind.STREAMING, Status.UNKNOWN, Reason.SILENT)

SERVING = (
    # --- well ---
    Row(
        sentence="a stream that viewers see is left alone",
        world=healthy_world(readings=good_pictures(1)), decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="the picture wins over a process manager that was never right before",
        world=a_world(a_record(a_tenure(conditions=conditions(running=GONE_PROCESS))),
                      readings=good_pictures(1)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="the picture wins over a marketplace that says exited",
        world=with_tenure(listed_as(healthy_world(), state=MarketState.STOPPED),
                          dead_since=ago(3000)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="two bad pictures are not three",
        world=healthy_world(readings=bad_pictures(2)), decision="wait", reason=Reason.HEALTHY,
    ),
    # --- not knowing ---
    Row(
        sentence="when nobody can look nobody acts",
        world=a_world(a_record(a_tenure(conditions=conditions(
            reachable=LOST_LINK, running=UNSEEN, streaming=(Status.UNKNOWN, Reason.SILENT))))),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY,
    ),
    Row(
        sentence="a host that refuses us while nobody sees the picture is waited for",
        world=a_world(a_record(a_tenure(conditions=conditions(
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED,
                                  for_s=100, bad=3),
            running=UNSEEN, streaming=(Status.UNKNOWN, Reason.SILENT))))),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY, until=ahead(200),
    ),
    Row(
        sentence="a host that refuses us for too long is replaced",
        world=a_world(a_record(a_tenure(conditions=conditions(
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED,
                                  for_s=301, bad=3),
            running=UNSEEN, streaming=(Status.UNKNOWN, Reason.SILENT))))),
        decision="destroy", reason=Reason.UNREACHABLE_TOO_LONG,
    ),
    Row(
        sentence="a keeper that has just started dials some times before it gives a host up",
        world=replace(a_world(a_record(a_tenure(conditions=conditions(
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED,
                                  for_s=301, bad=3),
            running=UNSEEN, streaming=(Status.UNKNOWN, Reason.SILENT))))), started_at=ago(10)),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY, until=ahead(35),
    ),
    Row(
        sentence="what an earlier process believed is looked at again first",
        world=replace(dark(), started_at=ago(5), heard_at={}),
        decision="wait", reason=Reason.STARTING_UP,
    ),
    # --- the ladder ---
    Row(
        sentence="three bad pictures restart the process",
        world=healthy_world(readings=bad_pictures(3)), decision="restart", reason=Reason.FROZEN,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a process that was seen alive and now is gone needs no third opinion",
        world=healthy_world(readings=(a_reading(Subject.PROCESS, Status.FALSE,
                                                Reason.PROCESS_GONE, is_certain=True),)),
        decision="restart", reason=Reason.PROCESS_GONE, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="somebody who stops the process on purpose is not fought",
        world=dark(running=(Status.FALSE, Reason.PROCESS_STOPPED_ON_PURPOSE)),
        decision="wait", reason=Reason.PROCESS_STOPPED_ON_PURPOSE,
    ),
    Row(
        sentence="two supervisors do not fight",
        world=dark(running=(Status.UNKNOWN, Reason.MANAGER_RETRYING)),
        decision="wait", reason=Reason.INNER_SUPERVISOR_AT_WORK, until=ahead(120),
    ),
    Row(
        sentence="an inner supervisor that does not succeed is no excuse for ever",
        world=dark_for(200, running=(Status.UNKNOWN, Reason.MANAGER_RETRYING)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="an inner supervisor that has given up is helped at once",
        world=dark(running=(Status.FALSE, Reason.MANAGER_GAVE_UP)),
        decision="restart", reason=Reason.MANAGER_GAVE_UP, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="after a restart the old evidence is spent",
        world=with_tenure(dark(streaming=a_condition(
            ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=60, bad=1)),
            acted_at=ago(30)),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(150),
    ),
    Row(
        sentence="a picture that comes and goes does not keep the ladder waiting for ever",
        world=with_tenure(dark_for(300, streaming=a_condition(
            ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=300, bad=1)),
            acted_at=ago(200)),
        decision="restart", reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="restarts keep their distance",
        world=with_tenure(with_record(dark(), remedies=used((Rung.RESTART_PROCESS, 6))),
                          acted_at=ago(6)),
        decision="wait", reason=Reason.BACKING_OFF, until=ahead(9),
    ),
    Row(
        sentence="a crash loop is restarted once",
        world=with_tenure(dark(running=(Status.FALSE, Reason.CRASH_LOOP)),
                          process_changed_at=(ago(90), ago(60), ago(30))),
        decision="restart", reason=Reason.CRASH_LOOP, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a crash loop that goes on after a restart needs the next rung",
        world=with_record(with_tenure(dark(running=(Status.FALSE, Reason.CRASH_LOOP)),
                                      process_changed_at=(ago(90), ago(60), ago(30))),
                          remedies=used((Rung.RESTART_PROCESS, 100))),
        decision="restart", reason=Reason.CRASH_LOOP, rung=Rung.RESTART_WORKLOAD,
    ),
    Row(
        sentence="a full disk is not cured by another start",
        world=dark(has_room=(Status.FALSE, Reason.DISK_FULL)), decision="restart",
        reason=Reason.FROZEN, rung=Rung.RESTART_WORKLOAD,
    ),
    Row(
        sentence="a link that was lost a moment ago is awaited",
        world=dark(reachable=a_condition(ConditionKind.REACHABLE, Status.UNKNOWN,
                                         Reason.LINK_LOST, for_s=10)),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(35),
    ),
    Row(
        sentence="a dark host that SSH cannot reach is rebooted",
        world=dark(reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE,
                                         Reason.DIAL_REFUSED, for_s=40, bad=3)),
        decision="reboot", reason=Reason.FROZEN,
    ),
    Row(
        sentence="where nobody is reached at all, this box's own network has time to be found out",
        world=dark(streaming=NOBODY, reachable=refused_for(89)),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(1),
    ),
    Row(
        sentence="a host that neither SSH nor the viewer reaches is rebooted after a minute and a half",
        world=dark(streaming=NOBODY, reachable=refused_for(90)),
        decision="reboot", reason=Reason.UNREACHABLE,
    ),
    Row(
        sentence="so it has where SSH has been dead for an hour, and only the picture is gone now",
        world=dark(streaming=NOBODY_YET, reachable=refused_for(3600)),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(85),
    ),
    Row(
        sentence="a host whose SSH has been dead for long is out of reach only once viewers find nobody",
        world=dark(streaming=replace(NOBODY, since=ago(299)), reachable=refused_for(3600)),
        decision="reboot", reason=Reason.UNREACHABLE,
    ),
    Row(
        sentence="and is given up when they have found nobody for five minutes",
        world=dark(streaming=replace(NOBODY, since=ago(300)), reachable=refused_for(3600)),
        decision="destroy", reason=Reason.UNREACHABLE_TOO_LONG,
    ),
    Row(
        sentence="where they saw it until a moment ago, and cannot look now, it is not out of reach",
        world=a_world(a_record(a_tenure(conditions=conditions(
            streaming=replace(NOT_SEEN, since=ago(5)), running=UNSEEN, reachable=refused_for(3600))))),
        decision="wait", reason=Reason.UNKNOWN_IS_NOT_UNHEALTHY, until=ahead(295),
    ),
    Row(
        sentence="it is when nobody has seen it for five minutes",
        world=a_world(a_record(a_tenure(conditions=conditions(
            streaming=replace(NOT_SEEN, since=ago(300)), running=UNSEEN, reachable=refused_for(3600))))),
        decision="destroy", reason=Reason.UNREACHABLE_TOO_LONG,
    ),
    Row(
        sentence="where they find a bad picture, it is not this box, and nothing there can be repaired",
        world=dark(reachable=refused_for(300)),
        decision="destroy", reason=Reason.UNREACHABLE_TOO_LONG,
    ),
    Row(
        sentence="where the viewer finds nobody and the host is silent, too, it may be this box",
        world=not_heard_for(26, NOBODY_YET),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE, until=ahead(85),
    ),
    Row(
        sentence="a host that was heard since the viewer found nobody is restarted",
        world=not_heard_for(25, NOBODY_YET), decision="restart", reason=Reason.UNREACHABLE,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="it is restarted where its process is gone, whoever is cut off",
        world=not_heard_for(26, NOBODY_YET, running=GONE_PROCESS),
        decision="restart", reason=Reason.PROCESS_GONE, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a host that is silent for a minute and a half, while its link holds, is restarted",
        world=not_heard_for(300, NOBODY), decision="restart", reason=Reason.UNREACHABLE,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="the last rung is the host itself",
        world=spent(), decision="destroy", reason=Reason.LADDER_SPENT,
    ),
    Row(
        sentence="a host is not replaced before the viewers have waited long enough",
        world=with_record(dark_for(100), remedies=SPENT),
        decision="wait", reason=Reason.LADDER_SPENT, until=ahead(80),
    ),
    Row(
        sentence="a dead GPU is not restarted",
        world=dark(has_gpu=(Status.FALSE, Reason.GPU_LOST)),
        decision="destroy", reason=Reason.GPU_LOST,
    ),
    Row(
        sentence="a GPU without a display is given back before its first picture",
        world=warming(has_gpu=(Status.FALSE, Reason.DISPLAY_LOST)),
        decision="destroy", reason=Reason.DISPLAY_LOST,
    ),
    Row(
        sentence="a host that shows another key is not touched",
        world=dark(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED)),
        decision="hold", reason=Reason.HOST_KEY_CHANGED, wanted="repair", until=ahead(120),
    ),
    Row(
        sentence="a host that shows another key and stays dark is replaced",
        world=dark_for(181, reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED)),
        decision="destroy", reason=Reason.HOST_KEY_CHANGED,
    ),
    Row(
        sentence="a host that shows another key is handed over before its contract ends",
        world=with_terms(listed_as(healthy_world(), ends_at=ahead(7200)), ending_since=ago(36),
                         rented_at=ago(86_400),
                         conditions=conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))),
        decision="rent", reason=Reason.CONTRACT_ENDING,
    ),
    Row(
        sentence="a person hears of another host key even while the picture is fine",
        world=a_world(a_record(a_tenure(conditions=conditions(
            reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))))),
        decision="hold", reason=Reason.HOST_KEY_CHANGED, wanted="watch",
    ),
    Row(
        sentence="nor is it given up where no list has said since whether it has moved",
        world=elsewhere(listed_s=190), decision="hold", reason=Reason.HOST_KEY_CHANGED,
        wanted="repair", until=ahead(10),
    ),
    Row(
        sentence="nor before the viewer has looked where it is now",
        world=elsewhere(listed_s=15), decision="hold", reason=Reason.HOST_KEY_CHANGED,
        wanted="repair", until=ahead(10),
    ),
    Row(
        sentence="nor when he sees something there",
        world=elsewhere(listed_s=60, good=1), decision="hold", reason=Reason.HOST_KEY_CHANGED,
        wanted="repair", until=ahead(10),
    ),
    Row(
        sentence="when he finds nobody there either, it is",
        world=elsewhere(listed_s=60), decision="destroy", reason=Reason.HOST_KEY_CHANGED,
    ),
    Row(
        sentence="nor is it given up for a deploy in doubt whose picture viewers see",
        world=a_world(a_record(a_tenure(deployed_at=None, conditions=conditions(
            deployed=(Status.FALSE, Reason.NOT_DEPLOYED),
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.HOST_KEY_CHANGED))))),
        decision="hold", reason=Reason.HOST_KEY_CHANGED, wanted="watch",
    ),
    Row(
        sentence="one on which nothing is deployed yet, and that nobody sees, is given up",
        world=a_world(a_record(a_tenure(deployed_at=None, conditions=conditions(
            deployed=(Status.FALSE, Reason.NOT_DEPLOYED), streaming=UNSEEN,
            reachable=a_condition(ConditionKind.REACHABLE, Status.FALSE, Reason.HOST_KEY_CHANGED))))),
        decision="destroy", reason=Reason.HOST_KEY_CHANGED,
    ),
)  # fmt: skip
