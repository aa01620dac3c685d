"""Rows of the table of decisions: a host that has booted and must show what it can before a deploy."""

from __future__ import annotations

from keeper.core.model import Audition, Meaning, Rung
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import a_desire, a_stream, ago, ahead, with_policy
from tests.unit.core.decision_worlds import Row, booted, used, with_record


def showed(
    meaning: Meaning | None, *, age_s: float = 40, for_s: float = 40, cost: float = 0.0
) -> World:
    """Up, empty, and looked at a while ago."""
    audition = Audition(
        meaning=meaning, check="vulkan", saw="llvmpipe", expected="an NVIDIA device",
        at=ago(age_s), since=ago(for_s),
    )  # fmt: skip
    hour = {"dollars_per_hour": cost * 3600 / 90} if cost else {}
    return booted(audition=audition, acted_at=ago(age_s), rented_at=ago(90), **hour)


PATIENT = a_desire(with_policy(a_stream(), audition_retry_s=30.0, audition_max_s=600.0))

AUDITION = (
    Row(
        sentence="a host that has passed its audition gets the workload",
        world=showed(None), decision="deploy", reason=Reason.NOT_DEPLOYED,
    ),
    Row(
        sentence="a host that fails its audition is given up",
        world=showed(Meaning.REPLACE), decision="destroy", reason=Reason.AUDITION_FAILED,
    ),
    Row(
        sentence="an audition that may come right is waited for",
        world=showed(Meaning.WAIT, age_s=10), desired=PATIENT, decision="wait",
        reason=Reason.AUDITION_WAITS, until=ahead(20),
    ),
    Row(
        sentence="an audition that may come right is held again after a while",
        world=showed(Meaning.WAIT), desired=PATIENT, decision="deploy", reason=Reason.NOT_DEPLOYED,
    ),
    Row(
        sentence="an audition is waited for only so long",
        world=showed(Meaning.WAIT, for_s=601), desired=PATIENT, decision="destroy",
        reason=Reason.AUDITION_FAILED,
    ),
    Row(
        sentence="an audition is waited for only while the host has cost so much",
        world=showed(Meaning.WAIT, cost=0.51), desired=PATIENT, decision="destroy",
        reason=Reason.AUDITION_FAILED,
    ),
    Row(
        sentence="a fix that has not helped yet is tried again, like what is waited for",
        world=showed(Meaning.FIX, age_s=10), desired=PATIENT, decision="wait",
        reason=Reason.AUDITION_WAITS, until=ahead(20),
    ),
    Row(
        sentence="an audition that asks for a reboot gets one",
        world=showed(Meaning.REBOOT), decision="reboot", reason=Reason.AUDITION_FAILED,
    ),
    Row(
        sentence="an audition that asks for a second reboot ends the host",
        world=with_record(showed(Meaning.REBOOT), remedies=used((Rung.REBOOT, 300))),
        decision="destroy", reason=Reason.AUDITION_FAILED,
    ),
    Row(
        sentence="an audition that no host would pass is left to a person",
        world=showed(Meaning.PERSON), desired=PATIENT, decision="hold",
        reason=Reason.NEEDS_PERSON, wanted="deploy", until=ahead(260),
    ),
    Row(
        sentence="what a person was to put right is looked at again, however long it has taken him",
        world=showed(Meaning.PERSON, age_s=300, for_s=9000, cost=0.51), desired=PATIENT,
        decision="deploy", reason=Reason.NOT_DEPLOYED,
    ),
)  # fmt: skip
