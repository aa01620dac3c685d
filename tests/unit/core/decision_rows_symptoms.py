"""Rows of the table of decisions: a workload that says by name what is wrong with it."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.model import (
    Condition,
    ConditionKind,
    Remedy,
    RemedyUse,
    Rung,
    Status,
    Subject,
    Symptom,
)
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    HOST,
    a_condition,
    ago,
    ahead,
    bad_pictures,
    conditions,
    good_pictures,
    healthy_world,
)
from tests.unit.core.decision_worlds import (
    GONE_PROCESS,
    SPENT,
    UNSEEN,
    Row,
    dark,
    handing_over,
    refused_for,
    used,
    warming,
    with_record,
    with_tenure,
)


def says(remedy: Remedy, *, for_s: float = 60, wait_s: float = 0.0) -> Condition:
    symptom = Symptom(
        code="encoder_gave_up", sentence="the encoder gave up", remedy=remedy, wait_s=wait_s
    )
    said = a_condition(ConditionKind.WORKING, Status.FALSE, Reason.SYMPTOM, for_s=for_s)
    return replace(said, symptom=symptom)


def ailing(remedy: Remedy, *, for_s: float = 60, wait_s: float = 0.0) -> World:
    """Dark for a minute, and the workload says why."""
    return dark(working=says(remedy, for_s=for_s, wait_s=wait_s))


def bounded(
    dearest: Rung,
    *tried: tuple[Rung, float],
    remedy: Remedy = Remedy.RESTART_PROCESS,
    others: tuple[tuple[Rung, float], ...] = (),
    looks: Reason = Reason.WRONG_PICTURE,
    is_partial: bool = True,
    **said: object,
) -> World:
    """Well, as keeper's own look has it; the workload says that others see nothing, and what may be tried."""
    working = says(remedy)
    assert working.symptom is not None
    symptom = replace(working.symptom, dearest=dearest, is_partial=is_partial)
    streaming = a_condition(ConditionKind.STREAMING, Status.FALSE, looks, for_s=900, bad=3)
    world = dark(streaming=streaming, working=replace(working, symptom=symptom), **said)
    own = tuple(replace(use, symptom=symptom.code) for use in used(*tried))
    return with_record(world, remedies=(*used(*others), *own), dark_since=ago(900))


P, W, B = Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT
THRICE = ((P, 400.0), (P, 300.0), (P, 200.0))
LONG_AGO = ((P, 9400.0), (P, 9300.0), (P, 9200.0))


def planned_conditions(remedy: Remedy) -> tuple[Condition, ...]:
    """On air, and the workload asks for a restart at a moment of its own."""
    said = says(remedy)
    assert said.symptom is not None
    return conditions(working=replace(said, symptom=replace(said.symptom, is_planned=True)))


def ahead_of_time(wait_s: float) -> Condition:
    """What a workload says of a good picture that is to be interrupted, within so long."""
    said = says(Remedy.RESTART_PROCESS, wait_s=wait_s)
    assert said.symptom is not None
    return replace(said, symptom=replace(said.symptom, is_planned=True))


def tried_for_it(*tried: tuple[Rung, float]) -> tuple[RemedyUse, ...]:
    return tuple(replace(use, symptom="encoder_gave_up") for use in used(*tried))


def planned(remedy: Remedy) -> World:
    world = healthy_world(readings=good_pictures(1))
    return with_tenure(world, conditions=planned_conditions(remedy), acted_at=ago(7200))


def mended(*, well_s: float, looked_s: float, good: int = 0) -> World:
    """Dark for ten minutes; the workload is well since a while, and a viewer looked so long ago."""
    frozen = a_condition(
        ConditionKind.STREAMING, Status.FALSE, Reason.FROZEN, for_s=600, bad=3 if not good else 0,
        good=good,
    )  # fmt: skip
    well = a_condition(ConditionKind.WORKING, Status.TRUE, Reason.WORKLOAD_WELL, for_s=well_s)
    world = with_record(dark(streaming=frozen, working=well), dark_since=ago(600))
    return replace(world, heard_at={**world.heard_at, (HOST, Subject.PICTURE): ago(looked_s)})


def said_long_ago(world: World) -> World:
    """Nobody inside has spoken to this process."""
    heard_at = {**world.heard_at, (HOST, Subject.WORKLOAD): ago(90)}
    return replace(world, heard_at=heard_at, started_at=ago(80))


SYMPTOMS = (
    Row(
        sentence="a symptom is cured by the remedy that it asks for",
        world=ailing(Remedy.RESTART_PROCESS), decision="restart", reason=Reason.SYMPTOM,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a remedy that cannot help against a symptom is not tried",
        world=ailing(Remedy.RESTART_WORKLOAD), decision="restart", reason=Reason.SYMPTOM,
        rung=Rung.RESTART_WORKLOAD,
    ),
    Row(
        sentence="a symptom that asks for a reboot gets it first",
        world=ailing(Remedy.REBOOT), decision="reboot", reason=Reason.SYMPTOM, rung=None,
    ),
    Row(
        sentence="a symptom's remedy that is spent is followed by the next dearer one",
        world=with_record(ailing(Remedy.RESTART_WORKLOAD),
                          remedies=used((Rung.RESTART_WORKLOAD, 100))),
        decision="reboot", reason=Reason.SYMPTOM,
    ),
    Row(
        sentence="what no remedy on the host can cure ends the host at once",
        world=ailing(Remedy.REPLACE), decision="destroy", reason=Reason.SYMPTOM,
    ),
    Row(
        sentence="what no remedy on the host can cure ends it while it warms up, too",
        world=warming(working=says(Remedy.REPLACE)), decision="destroy", reason=Reason.SYMPTOM,
    ),
    Row(
        sentence="a warm-up that cannot come to anything is not waited for",
        world=warming(working=says(Remedy.RESTART_PROCESS),
                      streaming=(Status.FALSE, Reason.NO_BYTES)), decision="restart",
        reason=Reason.SYMPTOM, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="what only a person can cure costs no remedy",
        world=ailing(Remedy.PERSON), decision="hold", reason=Reason.NEEDS_PERSON, wanted="repair",
    ),
    Row(
        sentence="what only a person can cure costs no other host either",
        world=with_record(ailing(Remedy.PERSON), remedies=SPENT, dark_since=ago(3000)),
        decision="hold", reason=Reason.NEEDS_PERSON, wanted="repair",
    ),
    Row(
        sentence="the workload's own recovery has its turn first",
        world=ailing(Remedy.RESTART_PROCESS, for_s=60, wait_s=180), decision="wait",
        reason=Reason.OWN_RECOVERY_AT_WORK, until=ahead(120),
    ),
    Row(
        sentence="the workload's own recovery has its turn only for so long",
        world=ailing(Remedy.RESTART_PROCESS, for_s=200, wait_s=180), decision="restart",
        reason=Reason.SYMPTOM, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a picture that was bad for a symptom which is over is looked at again first",
        world=with_tenure(
            healthy_world(readings=bad_pictures(3, Reason.WRONG_PICTURE)),
            conditions=conditions(
                streaming=(Status.FALSE, Reason.WRONG_PICTURE),
                working=(Status.TRUE, Reason.WORKLOAD_WELL),
            ),
        ),
        decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE,
    ),
    Row(
        sentence="a picture that was bad until the workload was well is looked at again first",
        world=mended(well_s=5, looked_s=8), decision="wait", reason=Reason.NOT_ENOUGH_EVIDENCE,
    ),
    Row(
        sentence="what has been seen good once since the workload is well is looked at once more",
        world=mended(well_s=15, looked_s=2, good=1), decision="wait",
        reason=Reason.NOT_ENOUGH_EVIDENCE,
    ),
    Row(
        sentence="what is still seen bad although the workload is well is a failure like others",
        world=mended(well_s=15, looked_s=2), decision="restart", reason=Reason.FROZEN,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="an expected gap is waited for",
        world=ailing(Remedy.NOTHING, for_s=20, wait_s=60), decision="wait",
        reason=Reason.OWN_RECOVERY_AT_WORK, until=ahead(40),
    ),
    Row(
        sentence="an expected gap that does not end is a failure like others",
        world=ailing(Remedy.NOTHING, for_s=100, wait_s=60), decision="restart",
        reason=Reason.FROZEN, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a workload that complains while viewers see its picture is left alone",
        world=with_tenure(healthy_world(readings=good_pictures(1)),
                          conditions=conditions(working=says(Remedy.REPLACE))),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="what a workload said to an earlier process is no reason to act",
        world=said_long_ago(ailing(Remedy.REPLACE)), decision="restart", reason=Reason.FROZEN,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a picture that is not the stream's is a bad one",
        world=healthy_world(readings=bad_pictures(3, Reason.WRONG_PICTURE)), decision="restart",
        reason=Reason.WRONG_PICTURE, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a restart that is planned is done while viewers watch",
        world=planned(Remedy.RESTART_PROCESS), decision="restart", reason=Reason.SYMPTOM,
        rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a restart that is planned waits for its moment",
        world=planned(Remedy.NOTHING), decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="a restart that is planned keeps its distance from the last act",
        world=with_tenure(planned(Remedy.RESTART_PROCESS), acted_at=ago(3000)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="a host that is being replaced is not restarted as planned",
        world=with_tenure(handing_over(), acted_at=ago(7200),
                          conditions=planned_conditions(Remedy.RESTART_PROCESS)),
        decision="wait", reason=Reason.HANDOVER,
    ),
    Row(
        sentence="a replacement that says it cannot work is given up before its time is over",
        world=handing_over(conditions=conditions(streaming=UNSEEN, working=says(Remedy.REPLACE))),
        decision="destroy", reason=Reason.SYMPTOM,
    ),
    Row(
        sentence="what spoils the view of some is cured by its own remedy first",
        world=bounded(P), decision="restart", reason=Reason.SYMPTOM, rung=P,
    ),
    Row(
        sentence="what spoils the view of some is cured again, as often as the remedy's cap allows",
        world=bounded(P, *THRICE[1:]), decision="restart", reason=Reason.SYMPTOM, rung=P,
    ),
    Row(
        sentence="what its dearest remedy has not cured is left to a person, not to another host",
        world=bounded(P, *THRICE), decision="hold", reason=Reason.NEEDS_PERSON, wanted="repair",
    ),
    Row(
        sentence="what was left to a person is not tried again because time passes",
        world=bounded(P, *LONG_AGO), decision="hold", reason=Reason.NEEDS_PERSON, wanted="repair",
    ),
    Row(
        sentence="a remedy that other troubles have used up is free again in a while",
        world=bounded(P, others=THRICE), decision="hold", reason=Reason.NEEDS_PERSON,
        wanted="repair", until=ahead(1400),
    ),
    Row(
        sentence="a remedy that others and it itself have used up is free again in a while, too",
        world=bounded(P, *THRICE[1:], others=THRICE[:1]), decision="hold",
        reason=Reason.NEEDS_PERSON, wanted="repair", until=ahead(1400),
    ),
    Row(
        sentence="between its first and its dearest remedy a symptom climbs as others do",
        world=bounded(W, *THRICE), decision="restart", reason=Reason.SYMPTOM, rung=W,
    ),
    Row(
        sentence="a symptom that a reboot may cure gets that before a person is asked",
        world=bounded(B, *THRICE, (W, 150.0)), decision="reboot", reason=Reason.SYMPTOM,
    ),
    Row(
        sentence="where the reboot was the dearest, a person follows",
        world=bounded(B, *THRICE, (W, 150.0), (B, 100.0)), decision="hold",
        reason=Reason.NEEDS_PERSON, wanted="repair",
    ),
    Row(
        sentence="who cannot reach a host has not tried the remedy, and asks nobody for help",
        world=bounded(P, reachable=refused_for(60.0)), decision="wait",
        reason=Reason.NOT_ENOUGH_EVIDENCE,
    ),
    Row(
        sentence="a picture that is bad to keeper itself is more than what spoils the view of some",
        world=bounded(P, *THRICE, looks=Reason.FROZEN), decision="restart", reason=Reason.FROZEN,
        rung=W,
    ),
    Row(
        sentence="what no other host cures either is left to a person in darkness, too",
        world=bounded(W, (W, 300.0), remedy=Remedy.RESTART_WORKLOAD, looks=Reason.FROZEN,
                      is_partial=False),
        decision="hold", reason=Reason.NEEDS_PERSON, wanted="repair",
    ),
    Row(
        sentence="what is asked for ahead of time keeps no dark stream waiting",
        world=dark(working=ahead_of_time(wait_s=1200.0)), decision="restart", reason=Reason.FROZEN,
        rung=P,
    ),
    Row(
        sentence="what was tried against a symptom counts for as long as it goes on",
        world=with_record(ailing(Remedy.RESTART_PROCESS), remedies=tried_for_it(*LONG_AGO)),
        decision="restart", reason=Reason.SYMPTOM, rung=W,
    ),
    Row(
        sentence="what was tried long ago against another trouble counts no more",
        world=with_record(ailing(Remedy.RESTART_PROCESS), remedies=used(*LONG_AGO)),
        decision="restart", reason=Reason.SYMPTOM, rung=P,
    ),
    Row(
        sentence="a process that is gone is more than what spoils the view of some",
        world=bounded(P, *THRICE, looks=Reason.PROCESS_GONE, running=GONE_PROCESS),
        decision="restart", reason=Reason.PROCESS_GONE, rung=W,
    ),
)  # fmt: skip
