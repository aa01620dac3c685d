"""Snapshots built by hand, for the sinks: metrics, alerts, page."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keeper.core.decisions import Decision, Hold, Plan, Wait
from keeper.core.model import (
    Condemned,
    Condition,
    ConditionKind,
    Desired,
    HostId,
    Incident,
    Instance,
    InstanceId,
    MachineId,
    MarketState,
    Mode,
    OfferId,
    OfferNeeds,
    Policy,
    Reading,
    RentalSpec,
    SlotId,
    SlotRecord,
    Status,
    Stream,
    StreamName,
    Subject,
    Tenure,
    stream_of,
)
from keeper.core.reasons import Reason
from keeper.core.world import Listing, Snapshot, World

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def ago(**elapsed: float) -> datetime:
    return NOW - timedelta(**elapsed)


def stream(name: str = "duel", replicas: int = 1, **given: Any) -> Stream:
    return Stream(
        name=StreamName(name),
        replicas=replicas,
        mode=given.pop("mode", Mode.ACT),
        needs=OfferNeeds(),
        rental=RentalSpec(image="example/image", disk_gb=120),
        policy=given.pop("policy", Policy()),
        **given,
    )


CONDITIONS = {
    ConditionKind.RENTED: Reason.RUNNING,
    ConditionKind.REACHABLE: Reason.LINK_UP,
    ConditionKind.DEPLOYED: Reason.DEPLOYED,
    ConditionKind.RUNNING: Reason.PROCESS_UP,
    ConditionKind.STREAMING: Reason.LIVE,
}


def conditions(**bad: tuple[Status, Reason]) -> tuple[Condition, ...]:
    """All well, but for what is given by the name of the condition."""
    found = []
    for kind, reason in CONDITIONS.items():
        status, why = bad.get(kind.value, (Status.TRUE, reason))
        found.append(Condition(kind=kind, status=status, reason=why, since=ago(minutes=5)))
    return tuple(found)


def tenure(number: int = 1, **given: Any) -> Tenure:
    """A rental that has been on air for hours."""
    return Tenure(
        **{
            "label": f"keeper-k1-{number}",
            "attempt": 1,
            "offer_id": OfferId(100 + number),
            "machine_id": MachineId(4000 + number),
            "host_id": HostId(900 + number),
            "gpu_name": "RTX 4090",
            "dollars_per_hour": 0.42,
            "requested_at": ago(hours=6),
            "instance_id": InstanceId(7000 + number),
            "rented_at": ago(hours=6),
            "running_at": ago(hours=5, minutes=57),
            "booted_at": ago(hours=5, minutes=56),
            "warm_at": ago(hours=5, minutes=48),
            "deployed_at": ago(hours=5, minutes=50),
            "first_live_at": ago(hours=5, minutes=48),
            "conditions": conditions(),
            **given,
        }
    )


def record(slot: str = "duel/0", **given: Any) -> SlotRecord:
    """A slot that is on air."""
    return SlotRecord(
        **{
            "slot": SlotId(slot),
            "tenure": tenure(),
            "healthy_since": ago(hours=5),
            "ever_on_air": True,
            "last_decision": "wait",
            "last_reason": Reason.HEALTHY,
            **given,
        }
    )


def dark(slot: str = "duel/0", reason: Reason = Reason.FROZEN, **given: Any) -> SlotRecord:
    """A slot that was on air and has been dark for two minutes."""
    since = given.pop("since", ago(minutes=2))
    return record(
        slot,
        **{
            "dark_since": since,
            "healthy_since": None,
            "incident": Incident(
                incident_id="i1", opened_at=since, reason=reason, dark_since=since, acts=1
            ),
            "tenure": tenure(conditions=conditions(streaming=(Status.FALSE, reason))),
            **given,
        },
    )


def instance(number: int = 1, **given: Any) -> Instance:
    return Instance(
        **{
            "instance_id": InstanceId(7000 + number),
            "label": f"keeper-k1-{number}",
            "state": MarketState.RUNNING,
            "is_meant_to_run": True,
            "has_daemon_error": False,
            "status_text": "success, running",
            "machine_id": MachineId(4000 + number),
            "host_id": HostId(900 + number),
            "gpu_name": "RTX 4090",
            "ssh_host": "ssh1.example",
            "ssh_port": 10022,
            "public_ip": "203.0.113.7",
            "ports": {"22/tcp": 40022},
            "dollars_per_hour": 0.45,
            "started_at": ago(hours=6),
            "ends_at": None,
            "geolocation": "SE",
            **given,
        }
    )


def picture(number: int = 1, frames: float = 29.7) -> Reading:
    return Reading(
        instance_id=InstanceId(7000 + number),
        subject=Subject.PICTURE,
        status=Status.TRUE,
        reason=Reason.LIVE,
        at=ago(seconds=4),
        numbers={"unique_frames_per_s": frames},
    )


def condemned(number: int = 9, slot: str | None = "duel/0", **given: Any) -> Condemned:
    return Condemned(
        **{
            "label": f"keeper-k1-{number}",
            "instance_id": InstanceId(7000 + number),
            "slot": SlotId(slot) if slot is not None else None,
            "reason": Reason.LADDER_SPENT,
            "condemned_at": ago(minutes=1),
            "dollars_per_hour": 0.5,
            "tries": 2,
            **given,
        }
    )


def waiting(slot: str, reason: Reason = Reason.HEALTHY) -> Wait:
    return Wait(slot=SlotId(slot), reason=reason)


def hold(slot: str, reason: Reason, wanted: str = "rent") -> Hold:
    return Hold(slot=SlotId(slot), reason=reason, wanted=wanted, wanted_reason=Reason.LADDER_SPENT)


def snapshot(*records: SlotRecord, at: datetime = NOW, **given: Any) -> Snapshot:
    """A snapshot of these slots; ``given`` goes to whichever of Plan, World, Snapshot has it."""
    held: Iterable[Decision] = given.pop("decisions", [waiting(each.slot) for each in records])
    names: dict[StreamName, int] = {}
    for each in records:
        names[stream_of(each.slot)] = names.get(stream_of(each.slot), 0) + 1
    desired = given.pop(
        "desired", Desired(streams=tuple(stream(name, count) for name, count in names.items()))
    )
    numbers = [
        each.instance_id - 7000
        for record in records
        for each in (record.tenure, record.incoming)
        if each is not None and each.instance_id is not None
    ]
    listing = Listing(instances=tuple(instance(n) for n in numbers), at=at - timedelta(seconds=7))
    world = World(keeper_id="k1", records={r.slot: r for r in records}, listing=listing)
    plan = Plan(decisions=tuple(held), next_check_at=at + timedelta(seconds=12))
    built = Snapshot(
        desired=desired,
        world=world,
        plan=plan,
        records={r.slot: r for r in records},
        at=at,
        tick=7,
    )
    for name, value in given.items():
        for part in ("plan", "world"):
            if name in type(getattr(built, part)).__dataclass_fields__:
                built = replace(built, **{part: replace(getattr(built, part), **{name: value})})
        if name in Snapshot.__dataclass_fields__:
            built = replace(built, **{name: value})
    return built
