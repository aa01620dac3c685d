"""How long each step to the air usually takes: as the journal has it, else as is usual elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from keeper.cli.stages import Step
from keeper.cli.terminal import duration
from keeper.core.events import InstanceBooted, StreamOnAir, WorkloadDeployed
from keeper.core.model import Policy, SlotId, StreamName, stream_of

_SEEN_MAX = 20  # the newest of each; a market and a workload change


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the journal, from the store or from the API."""

    event: str
    slot: str
    at: datetime
    instance_id: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """How long the steps took on this box, in seconds, the newest last."""

    boots: tuple[float, ...] = ()
    deploys: tuple[float, ...] = ()
    warmups: tuple[float, ...] = ()


def learned(facts: Iterable[Fact], stream: StreamName) -> Learned:
    """Read what the journal, oldest first, tells of a stream's earlier hosts."""
    boots: list[float] = []
    deploys: list[float] = []
    warmups: list[float] = []
    deployed_at: dict[int, datetime] = {}
    for fact in facts:
        if not fact.slot or stream_of(SlotId(fact.slot)) != stream:
            continue
        if fact.event == InstanceBooted.name:
            boots.append(fact.duration_s)
        elif fact.event == WorkloadDeployed.name:
            deploys.append(fact.duration_s)
            deployed_at[fact.instance_id] = fact.at
        elif fact.event == StreamOnAir.name and fact.instance_id in deployed_at:
            # Only the first picture after a deploy is a warm-up; later ones end a darkness.
            began_at = deployed_at.pop(fact.instance_id)
            warmups.append(max(0.0, (fact.at - began_at).total_seconds()))
    return Learned(
        boots=tuple(boots[-_SEEN_MAX:]),
        deploys=tuple(deploys[-_SEEN_MAX:]),
        warmups=tuple(warmups[-_SEEN_MAX:]),
    )


def expected(at: Step, known: Learned, policy: Policy) -> str:
    """Say how long a step takes; "" when nobody knows.

    Where this box has no experience: an image that is cached boots in half a minute, one that is
    pulled in 1 to 5 (Vast.ai docs, managing instances, read 2026-08; 17 rentals seen by others), and
    SSH answers within a minute of "running".
    """
    boot_max, warmup_max = duration(policy.boot_max_s), duration(policy.warmup_max_s)
    match at:
        case Step.LOOKING:
            return "usually within 15s"  # two searches, which must be 6 s apart
        case Step.RENTING:
            return "takes seconds"
        case Step.BOOTING:
            return f"{_usual(known.boots, '30s to 5m')}, given up after {boot_max}"
        case Step.REACHING:
            return "usually within 1m"
        case Step.DEPLOYING:
            return _usual(known.deploys, "") if known.deploys else ""
        case Step.WARMING:
            most = f"given up after {warmup_max}"
            return f"{_usual(known.warmups, '')}, {most}" if known.warmups else most
        case Step.ENDING:
            return f"two listings {duration(policy.absence_apart_s)} apart must lack it"
        case Step.ON_AIR | Step.OUTBID | Step.DARK:
            return ""


def _usual(seen: tuple[float, ...], otherwise: str) -> str:
    if not seen:
        return f"usually {otherwise}"
    return f"usually {duration(median(seen))} here"
