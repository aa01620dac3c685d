"""What a deploy that does not work keeps from being done, row by row, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from keeper.core.case import Proposal, Wish
from keeper.core.draft import Draft
from keeper.core.fuses import Refusal, refuse, trip
from keeper.core.model import (
    Desired,
    Failure,
    MachineId,
    Makeable,
    RentalSpec,
    Revision,
    SlotRecord,
)
from keeper.core.moments import later
from keeper.core.reasons import Reason
from tests.builders import DUEL, NOW, SLOT, a_desire, a_record, a_stream, a_tenure, a_world, ago

NEW = "r2"
MEMORY_S = 21_600.0
DESIRED = a_desire(a_stream(revision=NEW, rental_mark="m2"), common_cause_memory_s=MEMORY_S)


def failed(
    *ages_s: float,
    machines: tuple[int, ...] = (1, 2, 3),
    reason: Reason = Reason.PROCESS_GONE,
    revision: str = NEW,
) -> tuple[Failure, ...]:
    """Hosts on which the new revision was gone, so long ago."""
    return tuple(
        Failure(
            label=f"keeper:k1:duel/0:{number + 2}", machine_id=MachineId(900 + machine),
            at=ago(age_s), reason=reason, traits={"revision": revision},
        )
        for number, (age_s, machine) in enumerate(zip(ages_s, machines, strict=False))
    )  # fmt: skip


SERVED = a_record(a_tenure())
NEVER = a_record(a_tenure(first_live_at=None), ever_on_air=True)
VACANT = a_record(attempt=4, ever_on_air=True)


def convicted(record: SlotRecord, failures: tuple[Failure, ...] = ()) -> dict[str, Any]:
    """Two hosts have failed with what is declared, and another revision worked before."""
    failures = failures or failed(3000.0, 2400.0)
    return {"record": replace(record, failures=failures, proven_revision="r1")}


def stuck(record: SlotRecord) -> dict[str, Any]:
    """What is declared was found bad, and nothing can be put in its place."""
    bad = Revision(stream=DUEL, name=NEW, declared_at=ago(4000), bad_at=ago(600))
    return {"record": record, "revisions": {DUEL: (bad,)}}


def back(record: SlotRecord) -> dict[str, Any]:
    """It was found bad where it was tried, and what worked before is put everywhere again."""
    worked = Revision(stream=DUEL, name="r1", declared_at=ago(9000), proven_at=ago(7000))
    bad = Revision(stream=DUEL, name=NEW, declared_at=ago(4000), bad_at=ago(600))
    makeable = {DUEL: {"r1": Makeable(rental=RentalSpec(image="duel:1", disk_gb=120.0), rungs=())}}
    return {**convicted(record), "revisions": {DUEL: (worked, bad)}, "makeable": makeable}


def suspected(record: SlotRecord, mark: str = "m1", **changes: Any) -> dict[str, Any]:
    """It came to hosts of a slot that was dark before, and failed on two; what worked is at hand."""
    worked = Revision(
        stream=DUEL, name="r1", declared_at=ago(9000), proven_at=ago(7000), rental_mark=mark
    )
    tried = Revision(stream=DUEL, name=NEW, declared_at=ago(4000), rental_mark="m2")
    record = replace(record, dark_since=ago(5000))
    case = convicted(record, **changes)
    return back(record) | case | {"revisions": {DUEL: (worked, tried)}}


def well(record: SlotRecord) -> dict[str, Any]:
    return {"record": record}


def asked(wish: Wish, reason: Reason = Reason.FROZEN, **more: Any) -> Proposal:
    return Proposal(wish=wish, reason=reason, **more)


def refusal_of(
    proposal: Proposal, desired: Desired = DESIRED, *, record: SlotRecord, **changes: Any
) -> Refusal | None:
    draft = Draft(a_world(record, **changes), desired, NOW)
    trip(draft)
    assert draft.fuses == ()
    return refuse(draft, SLOT, proposal)


RENT, DEPLOY, RESTART = asked(Wish.RENT), asked(Wish.DEPLOY), asked(Wish.RESTART)
REPLACE, INCOMING = asked(Wish.REPLACE), asked(Wish.REPLACE, is_incoming=True)
GONE: dict[str, Any] = {"makeable": {}}
OVER_AT = later(ago(3000.0), MEMORY_S)  # then one machine alone has failed lately
# What worked fails as well by now, on two other machines.
NEITHER = (*failed(3000.0, 2400.0), *failed(1500.0, 900.0, machines=(8, 9), revision="r1"))
UNBOOTED = failed(3000.0, 2400.0, reason=Reason.BOOT_FAILED)
REFUSED = [
    ("no third host is rented for it", convicted(VACANT), RENT, OVER_AT),
    ("the host that it is on is kept", convicted(SERVED), REPLACE, OVER_AT),
    ("none is rented for what nothing can stand in for", stuck(VACANT), RENT, None),
    ("a host that served is kept until a person says so", stuck(SERVED), REPLACE, None),
    ("and it is not put there once more", stuck(SERVED), DEPLOY, None),
    (
        "where what worked cannot be made that is not over by itself",
        back(VACANT) | GONE,
        RENT,
        None,
    ),
    (
        "none is rented to try the change on",
        suspected(SERVED),
        asked(Wish.RENT, Reason.ROLLOUT, is_incoming=True),
        OVER_AT,
    ),
    ("nor where what worked cannot be made", suspected(VACANT) | GONE, RENT, OVER_AT),
    ("nor where that fails, too", suspected(VACANT, failures=NEITHER), RENT, OVER_AT),
    (
        "another image may be why none starts",
        suspected(VACANT, failures=UNBOOTED) | GONE,
        RENT,
        OVER_AT,
    ),
]
LET = [
    ("what failed elsewhere may work where a host is there already", convicted(NEVER), DEPLOY),
    ("a host that never served is of no use to anybody", convicted(NEVER), REPLACE),
    ("nor is one that nothing can be put on", stuck(NEVER), REPLACE),
    ("nor is one whose GPU is gone", convicted(SERVED), asked(Wish.REPLACE, Reason.GPU_LOST)),
    ("or has no display any more", stuck(SERVED), asked(Wish.REPLACE, Reason.DISPLAY_LOST)),
    ("one that was to take over may go, for the old one stays", convicted(SERVED), INCOMING),
    ("a start costs nothing", convicted(SERVED), RESTART),
    ("not even of what is bad", stuck(SERVED), RESTART),
    ("money that runs out waits for nobody", stuck(SERVED), asked(Wish.REPLACE, Reason.BUDGET)),
    ("seed 135: what worked before it may work on another host", back(VACANT), RENT),
    ("and a host that does not even show that is given up", back(SERVED), REPLACE),
    ("seed 1253: what worked is rented for where the change has failed", suspected(VACANT), RENT),
    ("and a host with the change is given up for it", suspected(SERVED), REPLACE),
    (
        "a workload that comes to hosts that run is not why none starts",
        suspected(VACANT, "m2", failures=UNBOOTED) | GONE,
        RENT,
    ),
    ("what works is rented for", well(VACANT), RENT),
    ("and given up", well(SERVED), REPLACE),
    ("and put there", well(SERVED), DEPLOY),
]


@pytest.mark.parametrize(
    ("case", "proposal", "until"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_bad_deploy_stands_in_the_way(
    case: dict[str, Any], proposal: Proposal, until: datetime | None
) -> None:
    assert refusal_of(proposal, **case) == Refusal(reason=Reason.BAD_DEPLOY, until=until)


@pytest.mark.parametrize(
    ("case", "proposal"), [row[1:] for row in LET], ids=[row[0] for row in LET]
)
def test_and_of_nothing_else(case: dict[str, Any], proposal: Proposal) -> None:
    assert refusal_of(proposal, **case) is None


@pytest.mark.parametrize(
    ("failures", "hosts", "over_s"),
    [
        (failed(3000.0, 2000.0, 1000.0), 2, 2000.0),
        (failed(3000.0, 2000.0, 1000.0), 3, 3000.0),
        (failed(3000.0, 2000.0, 1000.0, machines=(1, 2, 2)), 2, 3000.0),
        (failed(3000.0, 2000.0, 1000.0, machines=(1, 2, 1)), 2, 2000.0),
    ],
    ids=["the second of three", "all that it takes", "one machine twice", "one machine again"],
)
def test_it_is_over_when_too_few_machines_have_failed_lately(
    failures: tuple[Failure, ...], hosts: int, over_s: float
) -> None:
    desired = a_desire(
        a_stream(revision=NEW), common_cause_memory_s=MEMORY_S, common_cause_hosts=hosts
    )
    refusal = refusal_of(RENT, desired, **convicted(VACANT, failures))
    assert refusal is not None
    assert refusal.until == later(ago(over_s), MEMORY_S)


def test_where_nobody_knows_what_was_rented_a_container_may_fail_for_the_change() -> None:
    nameless = a_desire(a_stream(revision=NEW), common_cause_memory_s=MEMORY_S)
    refusal = refusal_of(RENT, nameless, **convicted(VACANT, UNBOOTED))
    assert refusal == Refusal(reason=Reason.BAD_DEPLOY, until=OVER_AT)
