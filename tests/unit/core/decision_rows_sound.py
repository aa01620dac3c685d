"""Rows of the table of decisions: a host that shows its picture without the sound that belongs to it."""

from __future__ import annotations

from dataclasses import replace

from keeper.core.model import (
    Condition,
    ConditionKind,
    Failure,
    MachineId,
    Remedy,
    RemedyUse,
    Rung,
    Status,
    Symptom,
)
from keeper.core.reasons import Reason
from keeper.core.world import World
from tests.builders import (
    DUEL,
    a_book,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_stream,
    a_world,
    ago,
    ahead,
    an_offer,
    bad_pictures,
    conditions,
    healthy_world,
)
from tests.unit.core.decision_worlds import (
    LOST_LINK,
    NO_LINK,
    UNSEEN,
    Row,
    dark,
    listed_as,
    missing,
    refused_for,
    used,
    with_record,
    with_tenure,
    with_terms,
)

ONCE_EACH = used((Rung.RESTART_PROCESS, 700), (Rung.RESTART_WORKLOAD, 600))


def muted(seconds: float = 900.0, **changes: object) -> Condition:
    silent = a_condition(
        ConditionKind.STREAMING, Status.FALSE, Reason.NO_SOUND, for_s=seconds, bad=3
    )
    return replace(silent, **changes)  # type: ignore[arg-type]


def mute(seconds: float = 900.0, **said: object) -> World:
    """A picture without sound for a quarter of an hour, and an offer on the market."""
    world = dark(**{"streaming": muted(seconds), **said})
    return replace(with_record(world, dark_since=ago(seconds)), offers={DUEL: a_book(an_offer())})


def tried(world: World | None = None) -> World:
    """Both restarts were of no use."""
    return with_record(world or mute(), remedies=ONCE_EACH)


def silent_before(age_s: float = 900.0) -> Failure:
    """The slot's host before this one was silent as well."""
    return Failure(
        label="keeper:k1:duel/0:0", machine_id=MachineId(9), at=ago(age_s), reason=Reason.NO_SOUND
    )


def handing_over(**said: object) -> World:
    """The next host has come up ten minutes ago; in what follows it is looked at."""
    told = {"streaming": (Status.TRUE, Reason.LIVE), **said}
    incoming = a_fresh_tenure(
        instance_id=8002, label="keeper:k1:duel/0:2", listed_at=ago(900), running_at=ago(700),
        rented_at=ago(950), booted_at=ago(600), deployed_at=ago(590), warm_at=ago(500),
        conditions=conditions(**told),  # type: ignore[arg-type]
    )  # fmt: skip
    world = tried()
    (record,) = world.records.values()
    return a_world(replace(record, incoming=incoming), offers=world.offers)


def with_incoming(world: World, **changes: object) -> World:
    (record,) = world.records.values()
    assert record.incoming is not None
    return with_record(world, incoming=replace(record.incoming, **changes))  # type: ignore[arg-type]


LATE = {"booted_at": ago(900)}
REBOOTS = Symptom(code="no_device", sentence="no sound device", remedy=Remedy.REBOOT)
ONLY_ANOTHER = replace(REBOOTS, remedy=Remedy.REPLACE)


def says(symptom: Symptom) -> Condition:
    said = a_condition(ConditionKind.WORKING, Status.FALSE, Reason.SYMPTOM)
    return replace(said, symptom=symptom)


SOUND = (
    Row(
        sentence="two looks without sound are not three",
        world=healthy_world(readings=bad_pictures(2, Reason.NO_SOUND)),
        decision="wait", reason=Reason.HEALTHY,
    ),
    Row(
        sentence="a sound that is gone restarts the process",
        world=healthy_world(readings=bad_pictures(3, Reason.NO_SOUND)),
        decision="restart", reason=Reason.NO_SOUND, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="and then the workload, not the process again",
        world=with_record(mute(120), remedies=used((Rung.RESTART_PROCESS, 60))),
        decision="restart", reason=Reason.NO_SOUND, rung=Rung.RESTART_WORKLOAD,
    ),
    Row(
        sentence="a reboot takes the picture for minutes, so the next host comes instead of it",
        world=tried(), decision="rent", reason=Reason.NO_SOUND,
    ),
    Row(
        sentence="but not before viewers have waited as long as for any other host",
        world=with_record(mute(100), remedies=ONCE_EACH),
        decision="wait", reason=Reason.LADDER_SPENT, until=ahead(80),
    ),
    Row(
        sentence="a workload that asks for a reboot gets it for a sound, too",
        world=tried(mute(working=says(REBOOTS))),
        decision="reboot", reason=Reason.SYMPTOM,
    ),
    Row(
        sentence="one that no restart helps hands over too, and is not ended",
        world=mute(working=says(ONLY_ANOTHER)), decision="rent", reason=Reason.NO_SOUND,
    ),
    Row(
        sentence="a silent host that SSH no longer reaches hands over",
        world=mute(reachable=refused_for(301), running=UNSEEN),
        decision="rent", reason=Reason.NO_SOUND,
    ),
    Row(
        sentence="one that has lost its GPU, and shows a picture all the same, hands over",
        world=mute(has_gpu=(Status.FALSE, Reason.GPU_LOST)),
        decision="rent", reason=Reason.NO_SOUND,
    ),
    Row(
        sentence="one that the marketplace has down shows its picture, and hands over",
        world=with_tenure(mute(reachable=NO_LINK), dead_since=ago(900)),
        decision="rent", reason=Reason.NO_SOUND,
    ),
    Row(
        sentence="a picture wins over listings that do not show its host, sound or not",
        world=with_tenure(
            with_record(replace(missing(2), offers={}), dark_since=ago(100)),
            conditions=conditions(streaming=muted(100), reachable=LOST_LINK),
            absent_by_id_at=ago(1),
        ),
        decision="wait", reason=Reason.MISSING_FROM_LIST,
    ),
    Row(
        sentence="a silent host whose contract ends hands over for that",
        world=with_terms(listed_as(mute(), ends_at=ahead(7200)), ending_since=ago(36),
                         rented_at=ago(86_400)),
        decision="rent", reason=Reason.CONTRACT_ENDING,
    ),
    Row(
        sentence="where the host before was silent as well it is no host's fault",
        world=with_record(tried(), failures=(silent_before(),)),
        decision="hold", reason=Reason.NEEDS_PERSON, wanted="repair",
    ),
    Row(
        sentence="nor where the next one was",
        world=with_record(tried(), remedies=(*ONCE_EACH, RemedyUse(rung=Rung.REPLACE, at=ago(9e4)))),
        decision="hold", reason=Reason.NEEDS_PERSON, wanted="repair",
    ),
    Row(
        sentence="its restarts are tried again all the same, when they have left their windows",
        world=with_record(mute(), failures=(silent_before(),)),
        decision="restart", reason=Reason.NO_SOUND, rung=Rung.RESTART_PROCESS,
    ),
    Row(
        sentence="a host that was silent long ago is another story",
        world=with_record(tried(), failures=(silent_before(21_600),)),
        decision="rent", reason=Reason.NO_SOUND,
    ),
    Row(
        sentence="a silent host that a person wants replaced is handed over",
        world=with_record(tried(), replace_asked_at=ago(5), replace_asked_attempt=1),
        decision="rent", reason=Reason.NO_SOUND,
    ),
    Row(
        sentence="and so it is while keeper would only wait",
        world=with_record(
            mute(100), remedies=ONCE_EACH, replace_asked_at=ago(5), replace_asked_attempt=1
        ),
        decision="rent", reason=Reason.HANDOVER,
    ),
    # --- bounds ---
    Row(
        sentence="an allowance that is used up holds it like any other replacement",
        world=with_record(tried(), replaced_at=tuple(ago(9000 - 200 * n) for n in range(5))),
        decision="hold", reason=Reason.REPLACEMENTS_SPENT, wanted="rent",
    ),
    Row(
        sentence="a budget without room for both holds it, and nothing is ended for it",
        world=tried(), desired=a_desire(a_stream(spend_max_dollars_per_hour=0.6)),
        decision="hold", reason=Reason.BUDGET, wanted="rent",
    ),
    # --- while the next host is coming ---
    Row(
        sentence="nothing interrupts the picture while the next host proves itself",
        world=with_record(handing_over(streaming=UNSEEN), remedies=()),
        decision="wait", reason=Reason.HANDOVER,
    ),
    Row(
        sentence="a next host with picture and sound takes over",
        world=with_incoming(handing_over(), good_in_a_row=6),
        decision="destroy", reason=Reason.SUPERSEDED,
    ),
    Row(
        sentence="one that is silent as well is waited for as long as any other",
        world=handing_over(streaming=muted(300)), decision="wait", reason=Reason.HANDOVER,
    ),
    Row(
        sentence="and then it goes, and the old one with its picture stays",
        world=with_incoming(handing_over(streaming=muted(300)), **LATE),
        decision="destroy", reason=Reason.NO_SOUND,
    ),
    # --- worse than silent ---
    Row(
        sentence="two looks that see no picture either are not three",
        world=replace(tried(), readings=bad_pictures(2, Reason.BLACK)),
        decision="rent", reason=Reason.NO_SOUND,
    ),
    Row(
        sentence="three are: what shows no picture is replaced like any other host",
        world=with_record(
            replace(mute(), readings=bad_pictures(3, Reason.BLACK)),
            remedies=used(*((Rung.RESTART_PROCESS, 900 - n) for n in range(3)),
                          (Rung.RESTART_WORKLOAD, 600), (Rung.REBOOT, 500)),
        ),
        decision="destroy", reason=Reason.LADDER_SPENT,
    ),
)  # fmt: skip
