"""A snapshot in which every state metric has something to say."""

from dataclasses import replace

from keeper.core.flow import Rate
from keeper.core.meter import Meter, Stop, Tally
from keeper.core.model import (
    Condition,
    ConditionKind,
    InstanceId,
    Remedy,
    Revision,
    SlotId,
    Status,
    StreamName,
    Subject,
    Symptom,
)
from keeper.core.reasons import Reason
from keeper.core.slate import SlateShown, SlateWhy
from keeper.core.world import AccountSeen, Pause, Snapshot
from tests.snapshots import NOW, condemned, conditions, dark, picture, record, snapshot, tenure

AILING = Condition(
    kind=ConditionKind.WORKING, status=Status.FALSE, reason=Reason.SYMPTOM, since=NOW,
    symptom=Symptom(code="flicker", sentence="it flickers", remedy=Remedy.RESTART_PROCESS),
)  # fmt: skip


# What a viewer measures.
MEASURED = replace(
    picture(1),
    numbers={
        **picture(1).numbers, "bitrate_bps": 8e6, "mean_luma": 90.0, "sound_dbfs": -20.0,
        "keyframe_interval_s": 2.0, "latency_s": 4.0, "newest_age_s": 0.5,
    },
)  # fmt: skip
# What a workload measures of itself.
DRAWN = replace(
    picture(1),
    subject=Subject.WORKLOAD,
    numbers={"generated_frames_per_s": 30.0, "generation_s": 0.02, "queue_age_s": 0.0},
)


def rich() -> Snapshot:
    """A snapshot in which every state metric has something to say."""
    seen = snapshot(
        record("duel/0"),
        dark(
            "duel/1",
            tenure=tenure(
                2, conditions=(*conditions(streaming=(Status.FALSE, Reason.BLACK)), AILING)
            ),
        ),
        record("sd/0", tenure=None, ever_on_air=False, healthy_since=None),
        record("duel/spare-0", tenure=tenure(8, ready_at=NOW), ever_on_air=False),
        condemned=(condemned(), condemned(10, None)),
        orphans_known=frozenset({InstanceId(7055)}),
        latest={(p.instance_id, p.subject): p for p in (MEASURED, DRAWN)},
        fuses=(Reason.BUDGET,),
        account=AccountSeen(spendable_dollars=9.0, at=NOW),
        slot_pauses={SlotId("duel/1"): Pause(since=NOW, until=None, actor="ada", reason="")},
    )
    duel = StreamName("duel")
    tally = {duel: Tally(dollars=4.0, good_s=7200.0, spare_dollars=1.5)}
    meter = Meter(
        metered_at=NOW,
        rates={duel: Rate(dollars_per_hour=0.5, on_air=1)},
        tallies={"2026-03-01": tally, "2026-03": tally, "total": tally},
        stops={"/month@2026-03": Stop(at=NOW, cap_dollars=9.0)},
    )
    fleet = replace(seen.desired.fleet, spend_max_dollars_per_month=9.0)
    bad = Revision(stream=duel, name="r2", declared_at=NOW, bad_at=NOW)
    streams = tuple(
        replace(each, revision="r2" if each.name == duel else "") for each in seen.desired.streams
    )
    return replace(
        seen,
        world=replace(seen.world, meter=meter, revisions={duel: (bad,)}),
        desired=replace(seen.desired, fleet=fleet, streams=streams),
        slates={duel: SlateShown(is_on=True, why=SlateWhy.STAYS, since=NOW)},
    )
