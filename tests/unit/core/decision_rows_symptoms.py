"""Rows of the table of decisions: a workload that says by name what is wrong with it."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.model import (
    Condition,
    ConditionKind,
    Remedy,
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
    SPENT,
    UNSEEN,
    Row,
    dark,
    handing_over,
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


def planned_conditions(remedy: Remedy) -> tuple[Condition, ...]:
    """On air, and the workload asks for a restart at a moment of its own."""
    said = says(remedy)
    assert said.symptom is not None
    return conditions(working=replace(said, symptom=replace(said.symptom, is_planned=True)))


def planned(remedy: Remedy) -> World:
    world = healthy_world(readings=good_pictures(1))
    return with_tenure(world, conditions=planned_conditions(remedy), acted_at=ago(7200))


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
)  # fmt: skip
