"""Which alerts fire: a table of snapshots, and what a person reads."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from keeper.alerts import Severity
from keeper.alerts.dispatch import Numbers, dispatch
from keeper.alerts.inhibitions import inhibited
from keeper.alerts.rules import RULES, firing
from keeper.core.cause import Cause, Trait
from keeper.core.decisions import Decision
from keeper.core.drift import Compared, Drifted
from keeper.core.events import OrphanCleared, OrphanSeen
from keeper.core.meter import Dark, Meter, Stop, Tally, Warned, day_of
from keeper.core.model import (
    Audition,
    Condition,
    ConditionKind,
    Desired,
    FleetPolicy,
    Incident,
    InstanceId,
    Makeable,
    Meaning,
    OrphanPolicy,
    Remedy,
    RemedyUse,
    RentalSpec,
    Revision,
    Rung,
    SlotId,
    SlotRecord,
    Status,
    StreamName,
    Symptom,
    Tenure,
)
from keeper.core.pauses import key_of
from keeper.core.reasons import Reason
from keeper.core.world import AccountSeen, Pause, SearchRefused, Snapshot
from keeper.ports import NoticeKind
from tests.snapshots import (
    NOW,
    ago,
    condemned,
    conditions,
    dark,
    hold,
    instance,
    picture,
    record,
    snapshot,
    tenure,
    waiting,
)

SLOT = SlotId("duel/0")
INCIDENT = Incident(
    incident_id="i", opened_at=ago(hours=1), reason=Reason.BOOT_STUCK, dark_since=None
)
FOR_SOUND = replace(hold(SLOT, Reason.NEEDS_PERSON, "repair"), wanted_reason=Reason.NO_SOUND)
REMEDIES = tuple(RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(minutes=m)) for m in (5, 10, 20))
PAUSE = Pause(since=ago(hours=1), until=None, actor="ada", reason="moving the ingest")
QUOTA = SearchRefused(
    reason=Reason.SEARCH_QUOTA_SPENT, until=NOW + timedelta(hours=3), error="QuotaSpent: no more"
)


def holding(dollars: float) -> AccountSeen:
    return AccountSeen(spendable_dollars=dollars, at=ago(seconds=20))


def ailing(number: int = 1, remedy: Remedy = Remedy.PERSON) -> Tenure:
    """On air, and the workload complains."""
    symptom = Symptom(code="key_refused", sentence="the key is refused", remedy=remedy)
    working = Condition(
        kind=ConditionKind.WORKING, status=Status.FALSE, reason=Reason.SYMPTOM,
        since=ago(minutes=5), symptom=symptom,
    )  # fmt: skip
    return tenure(number, conditions=(*conditions(), working))


def on_disk(status: Status, reason: Reason) -> Tenure:
    """On air, on a disk like this."""
    kinds = tuple(each for each in conditions() if each.kind is not ConditionKind.HAS_ROOM)
    room = Condition(
        kind=ConditionKind.HAS_ROOM, status=status, reason=reason, since=ago(minutes=5)
    )
    return tenure(conditions=(*kinds, room))


def looking(status: Status, reason: Reason, since: datetime | None) -> Tenure:
    """A host of which the viewer believes this, for this reason since then."""
    kinds = tuple(each for each in conditions() if each.kind is not ConditionKind.STREAMING)
    picture = Condition(
        kind=ConditionKind.STREAMING, status=status, reason=reason, since=ago(hours=2),
        reason_since=since,
    )  # fmt: skip
    return tenure(conditions=(*kinds, picture))


def promising(today: Tally) -> Snapshot:
    """A stream with its ordinary objective, and what this day was like."""
    ledger = Meter(metered_at=NOW, tallies={day_of(NOW): {StreamName("duel"): today}})
    seen = snapshot(record())
    return replace(seen, world=replace(seen.world, meter=ledger))


AUDITION = Audition(
    meaning=Meaning.PERSON, at=NOW, since=ago(minutes=3), check="ingest", saw="nobody answers",
    expected="a connection to the ingest",
)  # fmt: skip


def ahead(**left: float) -> datetime:
    return NOW + timedelta(**left)


def with_plan(seen: Snapshot, **changes: Any) -> Snapshot:
    return replace(seen, plan=replace(seen.plan, **changes))


def cause(trait: str, value: str = "7", luck: float = 1 / 56) -> Cause:
    return Cause(
        trait=Trait(trait), value=value, failed=3, failed_in_all=3, healthy=0, healthy_in_all=5,
        luck=luck,
    )  # fmt: skip


def with_money(seen: Snapshot, ledger: Meter, **caps: float) -> Snapshot:
    """Caps of the stream, and what its ledger says of them."""
    streams = tuple(replace(stream, **caps) for stream in seen.desired.streams)  # type: ignore[arg-type]
    return replace(
        seen,
        desired=replace(seen.desired, streams=streams),
        world=replace(seen.world, meter=ledger),
    )


def warned(ratio: float, reached_at: datetime | None = NOW + timedelta(hours=2)) -> Meter:
    key = "duel/day@2026-03-01:5"
    said = Warned(ratio=ratio, at=ago(hours=1), dollars=ratio * 5.0, reached_at=reached_at)
    return Meter(metered_at=NOW, warned={key: said})


STOPPED = Meter(
    metered_at=NOW,
    stops={"duel/day@2026-03-01": Stop(at=ago(minutes=5), cap_dollars=5.0)},
    warned=warned(0.9).warned,
)
DRIFT = Compared(fell_dollars=9.0, least_dollars=2.0, most_dollars=2.0, over_s=3900.0)

BAD = Revision(
    stream=StreamName("duel"), name="r2", declared_at=ago(hours=1), parts={"env.MODEL": "2"},
    bad_at=ago(minutes=5), bad_reason=Reason.FROZEN, bad_slot=SLOT,
)  # fmt: skip
GOOD = replace(BAD, name="r1", parts={"env.MODEL": "1"}, proven_at=ago(hours=9), bad_at=None)
MADE = Makeable(rental=RentalSpec(image="duel:1", disk_gb=120.0), rungs=())


def deployed(*holds: Decision, can_go_back: bool = True) -> Snapshot:
    """r2 is declared, and broke duel/0."""
    seen = snapshot(record(), decisions=list(holds))
    (declared,) = seen.desired.streams
    makeable = {declared.name: {"r1": MADE}} if can_go_back else {}
    return replace(
        seen,
        desired=replace(seen.desired, streams=(replace(declared, revision="r2"),)),
        world=replace(seen.world, makeable=makeable, revisions={declared.name: (GOOD, BAD)}),
    )


NEVER = record(ever_on_air=False, healthy_since=None)
UNLISTED = replace(NEVER, tenure=None, last_reason=Reason.MARKET_UNREADABLE)


def failed_spare(minutes: float) -> SlotRecord:
    return record(
        slot="duel/spare-0", tenure=None, ever_on_air=False, last_act="destroy",
        last_act_reason=Reason.SPARE_NOT_STARTED, last_act_at=ago(minutes=minutes),
    )  # fmt: skip


# sentence, snapshot, the keys that fire with their severity
ROWS: list[tuple[str, Snapshot, dict[str, Severity]]] = [
    ("a fleet that is well is silent", snapshot(record()), {}),
    (
        "a dark slot that keeper still repairs is a warning",
        snapshot(dark()),
        {"KeeperStreamDark:duel/0": Severity.WARNING},
    ),
    (
        "hosts that failed alike are one alert",
        with_plan(snapshot(dark()), fuses=(Reason.COMMON_CAUSE,), alike="duel/0, duel/1 alike"),
        {"KeeperMassFailure": Severity.CRITICAL, "KeeperStreamDark:duel/0": Severity.WARNING},
    ),
    (
        "what the failed share is told, the clearest of it",
        with_plan(snapshot(record()), causes=(cause("owner"), cause("region"))),
        {"KeeperCommonCause:owner": Severity.WARNING},
    ),
    (
        "what may be luck moves offers down, and calls nobody",
        with_plan(snapshot(record()), causes=(cause("gpu", luck=1 / 35),)),
        {},
    ),
    (
        "a spare that took over is news for a while",
        snapshot(record(took_over_at=ago(minutes=9), took_over_dark_s=41.0)),
        {"KeeperSpareTookOver:duel/0": Severity.INFO},
    ),
    (
        "and then no more",
        snapshot(record(took_over_at=ago(minutes=31))),
        {},
    ),
    (
        "a spare that a limit keeps away is missing, and nobody is woken for it",
        snapshot(
            record(),
            record(slot="duel/spare-0", tenure=None, ever_on_air=False),
            decisions=[hold("duel/spare-0", Reason.BUDGET)],
        ),
        {"KeeperSpareMissing:duel": Severity.INFO},
    ),
    (
        "so is one that no offer suits",
        snapshot(
            record(),
            record(slot="duel/spare-0", tenure=None, ever_on_air=False, offer_misses=3),
        ),
        {"KeeperSpareMissing:duel": Severity.INFO},
    ),
    (
        "so is one that stood still and did not start when it was needed",
        snapshot(record(), failed_spare(minutes=5)),
        {"KeeperSpareMissing:duel": Severity.INFO},
    ),
    (
        "for a while",
        snapshot(record(), failed_spare(minutes=31)),
        {},
    ),
    (
        "one that waits for its turn is not",
        snapshot(
            record(),
            record(slot="duel/spare-0", tenure=None, ever_on_air=False),
            decisions=[hold("duel/spare-0", Reason.MARKET_UNREADABLE)],
        ),
        {},
    ),
    (
        "a stream that suggests says so",
        snapshot(record(), decisions=[hold("duel/0", Reason.SUGGEST_ONLY)]),
        {"KeeperSuggestion:duel/0:rent": Severity.WARNING},
    ),
    (
        "a bad deploy waits for a person",
        snapshot(dark(), decisions=[hold("duel/0", Reason.BAD_DEPLOY)]),
        {
            "KeeperStreamDark:duel/0": Severity.CRITICAL,
            "KeeperSlotHeld:bad_deploy:duel/0": Severity.CRITICAL,
        },
    ),
    (
        "a dark slot that waits for a person is critical, and its hold is named",
        snapshot(dark(), decisions=[hold("duel/0", Reason.REPLACEMENTS_SPENT)]),
        {
            "KeeperStreamDark:duel/0": Severity.CRITICAL,
            "KeeperSlotHeld:replacements_spent:duel/0": Severity.CRITICAL,
        },
    ),
    (
        "a hold that time cures needs nobody",
        snapshot(dark(), decisions=[hold("duel/0", Reason.REPLACEMENT_TOO_SOON)]),
        {"KeeperStreamDark:duel/0": Severity.WARNING},
    ),
    (
        "a slot that is only starting is no news",
        snapshot(replace(NEVER, incident=replace(INCIDENT, opened_at=ago(minutes=5)))),
        {},
    ),
    (
        "a slot that should have come on air long ago is",
        snapshot(replace(NEVER, incident=INCIDENT)),
        {"KeeperStreamDark:duel/0": Severity.WARNING},
    ),
    (
        "no credit is one alert however many slots it holds",
        snapshot(
            *(
                record(
                    f"duel/{n}", next_rent_at=NOW, rent_reason=Reason.OUT_OF_CREDIT, offer_misses=5
                )
                for n in range(3)
            )
        ),
        {"KeeperSlotHeld:out_of_credit": Severity.CRITICAL},
    ),
    (
        "a changed host key is told per slot",
        snapshot(
            record(
                tenure=tenure(
                    conditions=conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))
                )
            )
        ),
        {"KeeperSlotHeld:host_key_changed:duel/0": Severity.CRITICAL},
    ),
    (
        "a spare whose host key changed is told where it may not be given up",
        snapshot(
            record(),
            record(
                slot="duel/spare-0",
                tenure=tenure(
                    1, conditions=conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))
                ),
            ),
            decisions=[hold("duel/spare-0", Reason.MAINTENANCE_WINDOW)],
        ),
        {"KeeperSlotHeld:host_key_changed:duel/spare-0": Severity.CRITICAL},
    ),
    (
        "a slot held by a bug of ours is told",
        snapshot(record(), held_slots=frozenset({SLOT})),
        {"KeeperSlotHeld:slot_held_by_bug:duel/0": Severity.CRITICAL},
    ),
    (
        "one failed listing is weather",
        snapshot(record(), unreadable_since=ago(seconds=30)),
        {},
    ),
    (
        "a minute without a trustworthy listing is told",
        snapshot(record(), unreadable_since=ago(seconds=61), unreadable_error="empty list"),
        {"KeeperMarketUnreadable": Severity.WARNING},
    ),
    (
        "a listing that never came is told too",
        snapshot(record(), listing=None, started_at=ago(minutes=3)),
        {"KeeperMarketUnreadable": Severity.WARNING},
    ),
    (
        "a common cause is critical",
        snapshot(dark(), fuses=(Reason.MASS_FAILURE,)),
        {
            "KeeperMassFailure": Severity.CRITICAL,
            "KeeperStreamDark:duel/0": Severity.WARNING,
        },
    ),
    (
        "a blind box is a common cause",
        snapshot(record(), fuses=(Reason.OWN_NETWORK_DOWN,)),
        {"KeeperMassFailure": Severity.CRITICAL},
    ),
    (
        "two searches without a find are patience",
        snapshot(replace(NEVER, tenure=None, offer_misses=2)),
        {},
    ),
    (
        "three are told once per stream",
        snapshot(
            replace(NEVER, tenure=None, offer_misses=3),
            replace(NEVER, slot=SlotId("duel/1"), tenure=None, offer_misses=4),
        ),
        {"KeeperNoOffer:duel": Severity.WARNING},
    ),
    (
        "a stray rental is told, and one that has gone is not",
        snapshot(
            record(),
            orphans_known=frozenset({InstanceId(1), InstanceId(2)}),
            events=(
                OrphanSeen(instance_id=InstanceId(3), label="l", dollars=1.0),
                OrphanCleared(instance_id=InstanceId(1), label="l"),
            ),
        ),
        {"KeeperOrphan:2": Severity.WARNING, "KeeperOrphan:3": Severity.WARNING},
    ),
    (
        "ending a rental may take its time",
        snapshot(record(), condemned=(condemned(condemned_at=ago(minutes=4)),)),
        {},
    ),
    (
        "but not five minutes",
        snapshot(record(), condemned=(condemned(condemned_at=ago(minutes=6)),)),
        {"KeeperDestroyStuck:7009": Severity.WARNING},
    ),
    (
        "and after an hour only a person can stop the bill",
        snapshot(record(), condemned=(condemned(condemned_at=ago(minutes=61)),)),
        {"KeeperDestroyStuck:7009": Severity.CRITICAL},
    ),
    (
        "restarts that each help hide a sickness",
        snapshot(record(remedies=REMEDIES)),
        {"KeeperRestartsHideSickness:duel/0": Severity.WARNING},
    ),
    (
        "restarts of one sickness are not told twice",
        snapshot(
            record(
                remedies=tuple(
                    RemedyUse(rung=Rung.RESTART_PROCESS, at=ago(minutes=5, seconds=s))
                    for s in (120, 80, 40, 0)
                )
            )
        ),
        {},
    ),
    (
        "restarts that were forgiven one by one are told by their rate",
        snapshot(record(forgiven_at=tuple(ago(minutes=m) for m in (25, 50, 75, 100, 125, 150)))),
        {"KeeperRestartsHideSickness:duel/0": Severity.WARNING},
    ),
    (
        "five restarts in three hours are not so many",
        snapshot(record(forgiven_at=tuple(ago(minutes=m) for m in (25, 50, 75, 100, 125, 181)))),
        {},
    ),
    (
        "a hand-over that was undone is told for half an hour",
        snapshot(record(undone_at=ago(minutes=9), undone_for=Reason.SWAP_FAILED)),
        {"KeeperHandoverUndone:duel/0": Severity.WARNING},
    ),
    (
        "after that it is no news",
        snapshot(record(undone_at=ago(minutes=31), undone_for=Reason.SWAP_FAILED)),
        {},
    ),
    (
        "old restarts are forgiven",
        snapshot(record(remedies=tuple(replace(u, at=ago(hours=2)) for u in REMEDIES))),
        {},
    ),
    (
        "a host that is being replaced takes its restarts along",
        snapshot(record(remedies=REMEDIES, incoming=tenure(2, first_live_at=None))),
        {},
    ),
    (
        "a quota that is spent is told at once, and once per stream",
        snapshot(
            replace(NEVER, tenure=None, last_reason=Reason.SEARCH_QUOTA_SPENT),
            replace(
                NEVER, slot=SlotId("duel/1"), tenure=None, last_reason=Reason.SEARCH_QUOTA_SPENT
            ),
            search_refused=QUOTA,
        ),
        {"KeeperNoOffer:duel": Severity.WARNING},
    ),
    (
        "a quota that nobody waits for is no news",
        snapshot(record(), search_refused=QUOTA),
        {},
    ),
    ("credit for two days is enough", snapshot(record(), account=holding(0.45 * 48)), {}),
    (
        "credit for less than a day is told",
        snapshot(record(), account=holding(0.45 * 23)),
        {"KeeperCreditLow": Severity.WARNING},
    ),
    (
        "credit for an hour wakes somebody",
        snapshot(record(), account=holding(0.45)),
        {"KeeperCreditLow": Severity.CRITICAL},
    ),
    (
        "an empty account wakes somebody even when nothing runs",
        snapshot(replace(NEVER, tenure=None), account=holding(-0.5)),
        {"KeeperCreditLow": Severity.CRITICAL},
    ),
    (
        "half of a cap is said",
        with_money(snapshot(record()), warned(0.5), spend_max_dollars_per_day=5.0),
        {"KeeperBudgetUsed:duel:day": Severity.INFO},
    ),
    (
        "three quarters of it want somebody to look",
        with_money(snapshot(record()), warned(0.75), spend_max_dollars_per_day=5.0),
        {"KeeperBudgetUsed:duel:day": Severity.WARNING},
    ),
    (
        "nine tenths wake somebody, if all of it will be used",
        with_money(snapshot(record()), warned(0.9), spend_max_dollars_per_day=5.0),
        {"KeeperBudgetUsed:duel:day": Severity.CRITICAL},
    ),
    (
        "if the period ends first they do not",
        with_money(snapshot(record()), warned(0.9, reached_at=None), spend_max_dollars_per_day=5.0),
        {"KeeperBudgetUsed:duel:day": Severity.WARNING},
    ),
    (
        "a cap that was raised is used less",
        with_money(snapshot(record()), warned(0.9), spend_max_dollars_per_day=50.0),
        {},
    ),
    (
        "a cap that stops a stream wakes somebody, and is one alert",
        with_money(snapshot(record()), STOPPED, spend_max_dollars_per_day=5.0),
        {"KeeperBudgetStop:duel:day": Severity.CRITICAL},
    ),
    (
        "a stop that a higher cap ended is over",
        with_money(snapshot(record()), STOPPED, spend_max_dollars_per_day=5.5),
        {},
    ),
    (
        "dollars without a picture wake somebody",
        snapshot(replace(NEVER, tenure=None, last_reason=Reason.DARK_SPEND)),
        {"KeeperDarkSpend:duel": Severity.CRITICAL},
    ),
    (
        "and go on to, where a list that failed keeps the slot from renting as well",
        snapshot(UNLISTED, meter=Meter(dark={SlotId("duel/0"): Dark(dollars=5.1)})),
        {"KeeperDarkSpend:duel": Severity.CRITICAL},
    ),
    (
        "so many dollars are none too many",
        snapshot(UNLISTED, meter=Meter(dark={SlotId("duel/0"): Dark(dollars=4.9)})),
        {},
    ),
    (
        "a host that is still being mended is not given up for them",
        snapshot(
            replace(NEVER, last_reason=Reason.MARKET_UNREADABLE),
            meter=Meter(dark={SlotId("duel/0"): Dark(dollars=5.1)}),
        ),
        {},
    ),
    (
        "an account that falls too fast is told",
        snapshot(record(), meter=Meter(drift=Drifted(compared=DRIFT, since=NOW, at=NOW))),
        {"KeeperSpendDrift": Severity.WARNING},
    ),
    (
        "one that falls as it must is not",
        snapshot(
            record(), account=replace(holding(500.0), compared=replace(DRIFT, fell_dollars=2.0))
        ),
        {},
    ),
    (
        "what nobody knows of the account is not told",
        snapshot(record(), account=None),
        {},
    ),
    (
        "a contract that ends is no news while there is time",
        snapshot(record(tenure=tenure(ends_at=ahead(hours=2), ending_since=ago(hours=1)))),
        {},
    ),
    (
        "one that ends soon and has no successor is",
        snapshot(record(tenure=tenure(ends_at=ahead(hours=1), ending_since=ago(hours=2)))),
        {"KeeperContractEnding:duel/0": Severity.WARNING},
    ),
    (
        "one that keeper may not replace is told at once",
        snapshot(
            record(tenure=tenure(ends_at=ahead(hours=2), ending_since=ago(hours=1))),
            decisions=[hold("duel/0", Reason.OBSERVE_ONLY)],
        ),
        {"KeeperContractEnding:duel/0": Severity.WARNING},
    ),
    (
        "what only a person can cure is told while viewers see a picture, too",
        snapshot(record(tenure=ailing())),
        {"KeeperNeedsPerson:duel:key_refused": Severity.WARNING},
    ),
    (
        "what only a person can cure is one message for all slots of a stream",
        snapshot(
            *(record(f"duel/{n}", tenure=ailing(n), dark_since=ago(minutes=2)) for n in (0, 1)),
            decisions=[hold(f"duel/{n}", Reason.NEEDS_PERSON) for n in (0, 1)],
        ),
        {
            "KeeperNeedsPerson:duel:key_refused": Severity.CRITICAL,
            "KeeperStreamDark:duel/0": Severity.CRITICAL,
            "KeeperStreamDark:duel/1": Severity.CRITICAL,
        },
    ),
    (
        "a symptom that keeper cures itself is no news",
        snapshot(record(tenure=ailing(remedy=Remedy.RESTART_PROCESS))),
        {},
    ),
    (
        "what keeper has tried to cure, and leaves to a person now, is told",
        snapshot(
            record(tenure=ailing(remedy=Remedy.RESTART_PROCESS), dark_since=ago(minutes=9)),
            decisions=[hold("duel/0", Reason.NEEDS_PERSON, wanted="repair")],
        ),
        {
            "KeeperNeedsPerson:duel:key_refused": Severity.CRITICAL,
            "KeeperStreamDark:duel/0": Severity.CRITICAL,
        },
    ),
    (
        "an audition that no host would pass is told",
        snapshot(
            record(
                tenure=tenure(audition=AUDITION, deployed_at=None, first_live_at=None),
                ever_on_air=False,
            ),
            decisions=[hold("duel/0", Reason.NEEDS_PERSON, wanted="deploy")],
        ),
        {"KeeperNeedsPerson:duel:ingest": Severity.CRITICAL},
    ),
    (
        "an audition that a slot's next host does not pass is told while the old one serves",
        snapshot(
            record(incoming=tenure(2, audition=AUDITION, deployed_at=None, first_live_at=None))
        ),
        {"KeeperNeedsPerson:duel:ingest": Severity.WARNING},
    ),
    (
        "an audition that a spare does not pass is told, for it costs",
        snapshot(
            record(),
            record(
                slot="duel/spare-0",
                tenure=tenure(audition=AUDITION, deployed_at=None, first_live_at=None),
                ever_on_air=False,
            ),
        ),
        {"KeeperNeedsPerson:duel:ingest": Severity.WARNING},
    ),
    (
        "what only a person can cure of a spare is told: the hosts that serve may not have it yet",
        snapshot(record(), record(slot="duel/spare-0", tenure=ailing())),
        {"KeeperNeedsPerson:duel:key_refused": Severity.WARNING},
    ),
    (
        "a disk that is nearly full is told while the picture is good and something can be done",
        snapshot(record(tenure=on_disk(Status.TRUE, Reason.DISK_LOW))),
        {"KeeperDiskFull:duel/0": Severity.WARNING},
    ),
    (
        "a full disk wakes somebody before it stops the stream",
        snapshot(record(tenure=on_disk(Status.FALSE, Reason.DISK_FULL))),
        {"KeeperDiskFull:duel/0": Severity.CRITICAL},
    ),
    (
        "a disk with room is no news",
        snapshot(record(tenure=on_disk(Status.TRUE, Reason.HEALTHY))),
        {},
    ),
    (
        "a picture that has stuttered for five minutes is told, and nothing else is done",
        snapshot(record(tenure=looking(Status.TRUE, Reason.STUTTERING, ago(minutes=5)))),
        {"KeeperStreamStuttering:duel/0": Severity.WARNING},
    ),
    (
        "one that has stuttered for less is not",
        snapshot(record(tenure=looking(Status.TRUE, Reason.STUTTERING, ago(seconds=299)))),
        {},
    ),
    (
        "since when an earlier keeper has not written down counts from when it came on air",
        snapshot(record(tenure=looking(Status.TRUE, Reason.STUTTERING, None))),
        {"KeeperStreamStuttering:duel/0": Severity.WARNING},
    ),
    (
        "nor is one that moves, a spare, or a host of which nothing is known",
        snapshot(
            record(tenure=looking(Status.TRUE, Reason.LIVE, ago(hours=1))),
            record("duel/1", tenure=tenure(2, conditions=())),
            record(
                "duel/spare-0",
                ever_on_air=False,
                tenure=looking(Status.TRUE, Reason.STUTTERING, ago(hours=1)),
            ),
        ),
        {},
    ),
    (
        "a stutter that was believed before the picture was lost is no news beside that",
        snapshot(dark(tenure=looking(Status.FALSE, Reason.STUTTERING, ago(hours=1)))),
        {"KeeperStreamDark:duel/0": Severity.WARNING},
    ),
    (
        "a stream without its sound says so while keeper tries to bring it back",
        snapshot(dark(tenure=looking(Status.FALSE, Reason.NO_SOUND, ago(minutes=9)))),
        {"KeeperStreamDark:duel/0": Severity.WARNING},
    ),
    (
        "and where another host was silent too a person is asked",
        snapshot(
            dark(tenure=looking(Status.FALSE, Reason.NO_SOUND, ago(minutes=9))),
            decisions=[FOR_SOUND],
        ),
        {
            "KeeperStreamDark:duel/0": Severity.CRITICAL,
            "KeeperNeedsPerson:duel:no_sound": Severity.CRITICAL,
        },
    ),
    (
        "but not where the next host waits for another reason",
        snapshot(
            dark(
                tenure=looking(Status.FALSE, Reason.NO_SOUND, ago(minutes=9)),
                incoming=tenure(2, deployed_at=None, audition=AUDITION),
            ),
            decisions=[hold(SLOT, Reason.NEEDS_PERSON)],
        ),
        {
            "KeeperStreamDark:duel/0": Severity.CRITICAL,
            "KeeperNeedsPerson:duel:ingest": Severity.CRITICAL,
        },
    ),
    (
        "nor where the picture has been lost since",
        snapshot(dark(), decisions=[FOR_SOUND]),
        {"KeeperStreamDark:duel/0": Severity.CRITICAL},
    ),
    (
        "nor is what its own workload says what is asked for then",
        snapshot(
            record(
                tenure=ailing(remedy=Remedy.RESTART_PROCESS),
                incoming=tenure(2, deployed_at=None, audition=AUDITION),
            ),
            decisions=[
                replace(
                    hold(SLOT, Reason.NEEDS_PERSON, "deploy"), wanted_reason=Reason.AUDITION_FAILED
                )
            ],
        ),
        {"KeeperNeedsPerson:duel:ingest": Severity.WARNING},
    ),
    (
        "an error budget that is used up is told, and nothing else is done",
        promising(Tally(good_s=9e5, dark_s=13_000.0)),
        {"KeeperErrorBudgetSpent:duel": Severity.WARNING},
    ),
    (
        "one of which some is left is not",
        promising(Tally(good_s=9e5, dark_s=12_900.0)),
        {},
    ),
    (
        "a machine that leaves the market under a good host is told, once",
        snapshot(record(tenure=tenure(unlisted_since=ago(minutes=1), listed_at=ago(hours=1)))),
        {"KeeperMachineUnlisted:duel/0": Severity.INFO},
    ),
    (
        "one odd listing does not say so",
        snapshot(record(tenure=tenure(unlisted_since=ago(seconds=8), listed_at=ago(hours=1)))),
        {},
    ),
    (
        "one that never was on the market announces nothing",
        snapshot(record(tenure=tenure(unlisted_since=ago(hours=1), listed_at=ago(hours=1)))),
        {},
    ),
    (
        "one that is replaced already is no news",
        snapshot(
            record(
                tenure=tenure(unlisted_since=ago(minutes=9), listed_at=ago(hours=1)),
                incoming=tenure(2, first_live_at=None),
            )
        ),
        {},
    ),
    (
        "one whose successor proves itself is not",
        snapshot(
            record(
                tenure=tenure(ends_at=ahead(hours=1), ending_since=ago(hours=2)),
                incoming=tenure(2, first_live_at=None),
            )
        ),
        {},
    ),
    (
        "a deploy that was taken back is told once",
        deployed(hold(SLOT, Reason.BAD_DEPLOY)),
        {"KeeperDeployBad:duel": Severity.WARNING},
    ),
    (
        "one that cannot be taken back needs a person",
        deployed(hold(SLOT, Reason.BAD_DEPLOY), can_go_back=False),
        {"KeeperDeployBad:duel": Severity.CRITICAL},
    ),
    (
        "a pause is said, so that it is not forgotten",
        snapshot(record(), pause=PAUSE, slot_pauses={SLOT: PAUSE}),
        {"KeeperPaused": Severity.INFO, "KeeperPaused:duel/0": Severity.INFO},
    ),
]


@pytest.mark.parametrize(("given", "expected"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_fires(given: Snapshot, expected: dict[str, Severity]) -> None:
    assert {alert.key: alert.severity for alert in firing(given, NOW)} == expected


@pytest.mark.parametrize("given", [r[1] for r in ROWS], ids=[r[0] for r in ROWS])
def test_every_alert_tells_what_why_and_what_is_done(given: Snapshot) -> None:
    for alert in firing(given, NOW):
        assert alert.summary
        assert alert.why
        assert alert.did
        assert alert.over
        assert alert.since <= NOW
        assert alert.name in RULES
        assert alert.key.startswith(alert.name)
        if alert.severity is Severity.CRITICAL:
            assert alert.needs_human, "a person is woken and not told what to do"
        # Texts without elapsed times: a minute later the same alert is an equal value.
        later = {a.key: a for a in firing(given, NOW + timedelta(seconds=1))}
        assert replace(later[alert.key], since=alert.since) == alert


@pytest.mark.parametrize("given", [r[1] for r in ROWS], ids=[r[0] for r in ROWS])
def test_what_is_wrong_with_a_rented_slot_says_what_it_costs(given: Snapshot) -> None:
    for alert in firing(given, NOW):
        slot = None if alert.slot is None else given.records.get(alert.slot)
        if slot is not None and slot.tenure is not None and alert.severity is not Severity.INFO:
            assert alert.dollars > 0, alert.key


def test_a_table_row_exists_for_every_rule() -> None:
    fired = {alert.name for row in ROWS for alert in firing(row[1], NOW)}
    assert fired == set(RULES)


@pytest.mark.parametrize("is_reached", [True, False])
def test_each_share_of_a_cap_is_one_message_a_day(*, is_reached: bool) -> None:
    """Whether all of it will be used or not; from rule to message, over a state as it is stored."""
    state: dict[str, Any] = {}
    sent: list[tuple[str, str]] = []
    for hour in range(2, 24):
        ratio = {2: 0.5, 3: 0.5, 4: 0.75, 5: 0.75}.get(hour, 0.9)
        ledger = warned(ratio, NOW + timedelta(hours=30) if is_reached else None)
        seen = with_money(snapshot(record()), ledger, spend_max_dollars_per_day=5.0)
        for minute in range(0, 60, 10):
            now = NOW - timedelta(hours=NOW.hour - hour, minutes=-minute)
            alerts = [each for each in firing(seen, now) if each.name == "KeeperBudgetUsed"]
            state, notices = dispatch(json.loads(json.dumps(state)), tuple(alerts), now, Numbers())
            sent += [(notice.kind.value, notice.alert.summary) for notice in notices]
    assert sent == [
        ("firing", "duel has used 50% of its $5.00 for the day"),
        ("update", "duel has used 75% of its $5.00 for the day"),
        ("update", "duel has used 90% of its $5.00 for the day"),
    ]


def test_most_severe_comes_first() -> None:
    found = firing(
        snapshot(dark(), record("duel/1"), fuses=(Reason.MASS_FAILURE,), pause=PAUSE), NOW
    )
    assert [alert.severity for alert in found] == ["critical", "warning", "info"]


def test_says_what_keeper_did_and_what_a_person_can_do() -> None:
    sick = dark(
        last_act="restart_process", last_act_reason=Reason.FROZEN, last_act_at=ago(minutes=1)
    )
    held = [hold("duel/0", Reason.REPLACEMENTS_SPENT, "replace")]
    (alert,) = (
        each
        for each in firing(snapshot(sick, decisions=held), NOW)
        if each.name == "KeeperStreamDark"
    )
    assert alert.summary == "duel/0 is dark"
    assert alert.why == "frames arrive, but it is always the same frame"
    assert "restart process" in alert.did
    assert "would replace" in alert.did
    assert "keeper replace duel/0" in alert.needs_human
    assert alert.dark_since == alert.since == ago(minutes=2)
    assert alert.acts == 1
    assert alert.dollars == pytest.approx(0.42)


def test_says_what_was_tried_before_a_person_is_asked() -> None:
    tried = tuple(replace(use, symptom="key_refused") for use in REMEDIES[:2])
    sick = dark(tenure=ailing(remedy=Remedy.RESTART_PROCESS), remedies=(*tried, *REMEDIES[2:]))
    held = [hold("duel/0", Reason.NEEDS_PERSON, "repair")]
    (alert,) = (
        each
        for each in firing(snapshot(sick, decisions=held), NOW)
        if each.name == "KeeperNeedsPerson"
    )
    assert alert.why == "the key is refused"
    assert alert.did == (
        "keeper has tried: restarted the process twice; it watches, and spends nothing more on it"
    )


def test_says_what_was_tried_for_a_sound() -> None:
    uses = tuple(RemedyUse(rung=rung, at=ago(minutes=8)) for rung in list(Rung)[:2])
    silent = looking(Status.FALSE, Reason.NO_SOUND, ago(minutes=9))
    found = firing(snapshot(dark(tenure=silent, remedies=uses), decisions=[FOR_SOUND]), NOW)
    told = {each.name: each for each in found}
    assert told["KeeperStreamDark"].summary == "duel/0 has no sound"
    assert told["KeeperNeedsPerson"].since == ago(minutes=9)
    assert told["KeeperNeedsPerson"].did == (
        "keeper has tried: restarted the process, restarted the workload, another host, which was silent"
        " too; it watches, and spends nothing more on it"
    )


def test_says_how_it_stutters_as_the_viewer_saw_it_last() -> None:
    stuttering = looking(Status.TRUE, Reason.STUTTERING, ago(minutes=9))
    look = replace(picture(1), reason=Reason.STUTTERING, detail="3.0 of 30 frames/s\x1b[2J")
    seen = snapshot(record(tenure=stuttering), latest={(look.instance_id, look.subject): look})
    (alert,) = firing(seen, NOW)
    assert (
        alert.why == "the picture moves, but far below its target rate: 3.0 of 30 frames/s\\x1b[2J"
    )
    assert alert.since == ago(minutes=9)


def test_an_act_for_what_the_workload_said_says_what_that_was() -> None:
    sick = dark(
        last_act="restart", last_act_reason=Reason.SYMPTOM, last_act_at=ago(minutes=1),
        last_act_why="ffmpeg is given\x1b[2J up",
    )  # fmt: skip
    (alert,) = (each for each in firing(snapshot(sick), NOW) if each.name == "KeeperStreamDark")
    assert alert.did == (
        "last act: restart, because the workload says what is wrong with it: "
        "ffmpeg is given\\x1b[2J up"
    )


def test_an_act_of_an_earlier_incident_is_not_what_keeper_did() -> None:
    """A message said "last act: restart" of a host that had just vanished for the first time."""
    sick = dark(
        last_act="restart_process", last_act_reason=Reason.FROZEN, last_act_at=ago(minutes=3)
    )
    (alert,) = (each for each in firing(snapshot(sick), NOW) if each.name == "KeeperStreamDark")
    assert alert.did == "keeper is climbing the ladder of remedies"


def test_a_refused_key_is_told_with_the_right_it_lacks_and_its_cure() -> None:
    said = "Unauthorized: HTTP 403: no; give the key the right instance_write"
    given = snapshot(record(next_rent_at=NOW, rent_reason=Reason.UNAUTHORIZED, rent_detail=said))
    (alert,) = firing(given, NOW)
    assert alert.key == "KeeperSlotHeld:unauthorized"
    assert alert.why.endswith(said)


def test_an_unreadable_market_is_told_with_its_cure() -> None:
    said = "Unauthorized: " + "x" * 180 + "; give the key the right instance_read"
    given = snapshot(record(), unreadable_since=ago(minutes=5), unreadable_error=said)
    (alert,) = firing(given, NOW)
    assert alert.why == said


@pytest.mark.parametrize("policy", list(OrphanPolicy))
def test_orphan_asks_a_person_only_where_keeper_does_nothing(policy: OrphanPolicy) -> None:
    given = snapshot(
        record(),
        orphans_known=frozenset({InstanceId(7001)}),
        desired=Desired(streams=(), fleet=FleetPolicy(orphans=policy)),
    )
    (alert,) = firing(given, NOW)
    assert bool(alert.needs_human) == (policy is OrphanPolicy.ALERT)
    assert alert.summary.endswith(f"costs $0.45/h since {ago(hours=6):%Y-%m-%d %H:%M} UTC")
    for command in ("keeper destroy --orphan 7001", "keeper adopt 7001 --as SLOT"):
        assert (command in alert.needs_human) == (policy is OrphanPolicy.ALERT)
    assert alert.dollars == instance().dollars_per_hour


def test_remote_words_are_bounded_and_plain() -> None:
    given = snapshot(
        record(), unreadable_since=ago(hours=1), unreadable_error="\x1b[2J" + "x" * 9999
    )
    (alert,) = firing(given, NOW)
    assert "\x1b" not in alert.why
    assert len(alert.why) <= 600  # an error with its cure


def test_hold_of_a_slot_that_is_on_air_needs_no_page_about_darkness() -> None:
    given = snapshot(record(), decisions=[waiting("duel/0"), hold("duel/0", Reason.BUDGET)])
    assert [alert.key for alert in firing(given, NOW)] == ["KeeperSlotHeld:budget:duel/0"]


def test_a_thin_market_is_told_with_what_would_let_an_offer_in() -> None:
    said = (
        "0 of 7 offers suit; removed 7 by display; would suit with offer.gpu_display_active: false"
    )
    missing = replace(NEVER, tenure=None, offer_misses=3, rent_detail=said + "\x1b[2J")
    (alert,) = firing(snapshot(missing), NOW)
    assert alert.why.startswith(said)
    assert "\x1b" not in alert.why
    assert "keeper search duel --explain" in alert.needs_human


def test_a_spent_quota_says_when_keeper_searches_again() -> None:
    waits = replace(NEVER, tenure=None, last_reason=Reason.SEARCH_QUOTA_SPENT)
    (alert,) = firing(snapshot(waits, search_refused=QUOTA), NOW)
    assert "2026-03-01 15:00 UTC" in alert.did
    assert "the day's searches" in alert.why


def test_a_market_that_answers_no_search_says_how() -> None:
    waits = replace(NEVER, tenure=None, last_reason=Reason.SEARCH_FAILS)
    failing = SearchRefused(reason=Reason.SEARCH_FAILS, until=None, error="Malformed: no\x1b list")
    (alert,) = firing(snapshot(waits, search_refused=failing), NOW)
    assert alert.summary == "no search of the market works for duel"
    assert "Malformed: no\\x1b list" in alert.why
    assert "keeper search duel" in alert.needs_human


def test_an_empty_account_is_one_message_however_many_streams_are_dark() -> None:
    dark_slots = [dark(f"duel/{n}") for n in range(3)]
    given = snapshot(
        *dark_slots,
        decisions=[hold(f"duel/{n}", Reason.OUT_OF_CREDIT, "replace") for n in range(3)],
        account=holding(0.0),
        fuses=(Reason.OUT_OF_CREDIT,),
    )
    found = firing(given, NOW)
    assert len(found) > 3
    heard = [alert.key for alert in found if alert.key not in inhibited(found)]
    assert heard == ["KeeperCreditLow"]


def test_a_debt_is_said_as_one() -> None:
    (alert,) = firing(snapshot(replace(NEVER, tenure=None), account=holding(-497.62)), NOW)
    assert alert.why.startswith("-$497.62 are left")


def test_what_is_no_longer_declared_is_suggested_to_be_ended_and_not_replaced() -> None:
    """Fewer replicas of a stream that only suggests."""
    held = replace(
        hold("duel/1", Reason.SUGGEST_ONLY, "replace"), wanted_reason=Reason.STREAM_REMOVED
    )
    (alert,) = firing(snapshot(record(), decisions=[waiting("duel/0"), held]), NOW)
    assert alert.summary == "keeper would destroy duel/1"
    assert alert.needs_human == "If you agree: `keeper destroy duel/1`."


def test_a_pause_cannot_be_forgotten() -> None:
    """One without an end is told again and again, like anything else that needs a person."""
    ever = Pause(since=NOW, until=None, actor="ann", reason="later")
    (alert,) = firing(snapshot(record(), pause=ever), NOW)
    assert (alert.is_once, alert.needs_human) == (False, "When done: `keeper resume`.")
    state: Mapping[str, Any] = {}
    told = []
    for hour in range(25):
        state, notices = dispatch(state, (alert,), NOW + timedelta(hours=hour), Numbers())
        told += [(hour, notice.kind) for notice in notices]
    assert told[0] == (1, NoticeKind.FIRING)
    assert [hour for hour, kind in told if kind is NoticeKind.REPEAT] == [5, 9, 13, 17, 21]


def test_a_pause_of_a_stream_is_one_message_with_its_end() -> None:
    until = ahead(hours=2)
    slots = {SlotId(f"duel/{n}"): replace(PAUSE, until=until) for n in range(3)}
    seen = snapshot(*(record(slot) for slot in slots), slot_pauses=slots)
    (alert,) = firing(seen, NOW)
    assert alert.key == "KeeperPaused:duel"
    assert alert.summary == f"duel is paused until {until:%Y-%m-%d %H:%M} UTC by ada"
    assert alert.needs_human == "When done: `keeper resume duel`."


def test_a_pause_of_a_stream_is_told_of_the_stream_however_many_slots_it_has() -> None:
    own = {key_of(StreamName("duel")): PAUSE}
    for names in ((), ("duel/0",), ("duel/0", "duel/1", "duel/spare-0")):
        slots = {SlotId(name): PAUSE for name in names}
        (alert,) = firing(snapshot(record(), slot_pauses={**slots, **own}), NOW)
        assert (alert.key, alert.stream) == ("KeeperPaused:duel", "duel"), names
        assert alert.needs_human == "When done: `keeper resume duel`."
    by_hand = {SlotId("duel/1"): replace(PAUSE, reason="another")}
    told = firing(snapshot(record(), slot_pauses={SLOT: PAUSE, **own, **by_hand}), NOW)
    assert {each.key for each in told} == {"KeeperPaused:duel", "KeeperPaused:duel/1"}


def test_the_key_of_the_next_host_of_a_slot_is_another_case() -> None:
    """Seed 10918: it changed within the five minutes in which the message about the one before still stood."""
    changed = conditions(reachable=(Status.FALSE, Reason.HOST_KEY_CHANGED))
    (first,), (second,) = (
        firing(snapshot(record(tenure=tenure(number, conditions=changed))), NOW)
        for number in (1, 2)
    )
    assert first.key == second.key
    assert first.case != second.case


def test_a_common_cause_says_its_numbers_and_what_else_it_could_be() -> None:
    seen = with_plan(snapshot(record()), causes=(cause("owner"), cause("region", "SE")))
    (alert,) = firing(seen, NOW)
    assert "machines of owner 7: 3 of 3 failed hosts, 0 of 5 healthy ones" in alert.why
    assert "machines in SE" in alert.why
    assert alert.needs_human == ""
    (ours,) = firing(with_plan(snapshot(record()), causes=(cause("image", "x:2"),)), NOW)
    assert "changed last" in ours.needs_human


def test_hosts_that_failed_alike_say_what_they_share() -> None:
    seen = with_plan(
        snapshot(record()), fuses=(Reason.COMMON_CAUSE,), alike="duel/0, duel/1 share owner 7"
    )
    (alert,) = firing(seen, NOW)
    assert alert.why == "duel/0, duel/1 share owner 7"
    assert "restarts what it can" in alert.did


def test_a_stop_for_money_mutes_the_slots_that_wait_or_went_dark_for_it() -> None:
    lost = Incident(
        incident_id="i", opened_at=ago(hours=1), reason=Reason.BUDGET, dark_since=ago(hours=1)
    )
    slot = record(incident=lost, dark_since=ago(hours=1), healthy_since=None)
    seen = snapshot(replace(slot, tenure=None), decisions=[hold("duel/0", Reason.BUDGET)])
    seen = with_money(seen, STOPPED, spend_max_dollars_per_day=5.0)
    alerts = firing(seen, NOW)
    assert {alert.name for alert in alerts} == {
        "KeeperBudgetStop", "KeeperStreamDark", "KeeperSlotHeld",
    }  # fmt: skip
    assert inhibited(alerts).keys() == {"KeeperStreamDark:duel/0", "KeeperSlotHeld:budget:duel/0"}


def test_a_bad_deploy_is_told_by_its_keys_and_never_by_a_value() -> None:
    (alert,) = firing(deployed(), NOW)
    assert alert.why == (
        "revision r2 failed on duel/0: frames arrive, but it is always the same frame; "
        "changed: env.MODEL"
    )
    assert alert.did.startswith("keeper puts r1 back")


@pytest.mark.parametrize(
    ("reason", "held", "why", "did", "needs"),
    [
        (Reason.SPARE_NOT_STARTED, None, "let to another", "has ended it", "kind: warm"),
        (Reason.SPARE_NOT_STOPPED, None, "runs on", "has ended it", "answers to a stop"),
        (
            Reason.SPARE_NOT_STOPPED,
            Reason.REPLACEMENTS_SPENT,
            "the last one ended because the spare was told to stand still several times",
            "as the allowance comes back",
            "`keeper events --slot duel/spare-0`",
        ),
        (Reason.SPARE_NOT_STOPPED, Reason.BUDGET, "limit", "goes on looking", "keeper spend"),
    ],
)
def test_what_is_said_of_a_spare_that_is_missing(
    reason: Reason, held: Reason | None, why: str, did: str, needs: str
) -> None:
    """Cause, what keeper does, what a person can: a spare that is gone cannot be replaced by order."""
    spare = replace(failed_spare(minutes=5), last_act_reason=reason)
    holds = [] if held is None else [hold("duel/spare-0", held)]
    (alert,) = firing(snapshot(record(), spare, decisions=holds), NOW)
    assert alert.name == "KeeperSpareMissing"
    assert why in alert.why
    assert did in alert.did
    assert needs in alert.needs_human
    assert "keeper replace" not in alert.needs_human
    assert "{" not in f"{alert.why} {alert.did} {alert.needs_human}"
