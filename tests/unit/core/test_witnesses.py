"""Nothing is ended on one word: every reason that may end a rental, with the witnesses it needs.

A row has a world in which the rental ends, and for each of its witnesses the same world without that
one: then nothing ends. One listing, one probe or one silence alone is a question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from keeper.core.model import (
    ConditionKind,
    Desired,
    InstanceId,
    MarketState,
    Meaning,
    OrphanPolicy,
    Remedy,
    Status,
)
from keeper.core.reasons import Reason
from keeper.core.world import OrderKind, World
from tests.builders import (
    HOST,
    KEEPER_ID,
    NOW,
    a_condition,
    a_desire,
    a_fresh_tenure,
    a_listing,
    a_record,
    a_stream,
    a_tenure,
    a_world,
    ago,
    all_heard,
    an_instance,
    an_order,
    conditions,
    decide,
    healthy_world,
)
from tests.unit.core.decision_rows_audition import showed
from tests.unit.core.decision_rows_symptoms import ailing
from tests.unit.core.decision_worlds import (
    NO_LINK,
    UNSEEN,
    booted,
    booting,
    dark,
    dark_for,
    handing_over,
    listed_as,
    outbid,
    spent,
    warming,
    with_record,
    with_tenure,
    with_terms,
)
from tests.unit.core.test_decisions import ROWS

Case = World | tuple[World, Desired]
LINK_UP = (Status.TRUE, Reason.LINK_UP)
LOST = (Status.UNKNOWN, Reason.LINK_LOST)
KEY = (Status.FALSE, Reason.HOST_KEY_CHANGED)
NO_STREAM = a_desire(a_stream("other", replicas=0))
DESTROY = a_desire(orphans=OrphanPolicy.DESTROY)


@dataclass(frozen=True, kw_only=True)
class Path:
    """One way to an end: the world in which it is gone, and its witnesses with the world without."""

    reason: Reason
    ends: Case
    witnesses: dict[str, Case]
    variant: str = ""

    @property
    def name(self) -> str:
        return f"{self.reason}{self.variant}"


def refused_for(seconds: float, **said: object) -> World:
    """SSH has refused us for so long, and no viewer could look."""
    refused = a_condition(
        ConditionKind.REACHABLE, Status.FALSE, Reason.DIAL_REFUSED, for_s=seconds, bad=3
    )
    told = {"streaming": (Status.UNKNOWN, Reason.SILENT), "reachable": refused, **said}
    return a_world(a_record(a_tenure(conditions=conditions(running=UNSEEN, **told))))  # type: ignore[arg-type]


def offline(since_s: float, **said: object) -> World:
    """A host that was good, offline in every listing since, dark to its viewers."""
    world = dark(**{"reachable": NO_LINK, **said})
    return with_tenure(listed_as(world, state=MarketState.OFFLINE), dead_since=ago(since_s))


def stopped(since_s: float, **said: object) -> World:
    world = dark(**{"reachable": NO_LINK, **said})
    return with_tenure(
        listed_as(world, state=MarketState.STOPPED, is_meant_to_run=False),
        dead_since=ago(since_s),
    )


def on_air(world: World) -> World:
    """The same, but a viewer sees the picture."""
    record = next(iter(world.records.values()))
    assert record.tenure is not None
    return with_record(
        with_tenure(world, conditions=conditions(), first_live_at=ago(3000)),
        dark_since=None, ever_on_air=True, healthy_since=ago(3000),
    )  # fmt: skip


def unanswered(listings: int) -> World:
    """A create was answered with an id that so many listings, 40 s apart, have not shown."""
    seen = {"missing_since": ago(40.0 * listings), "missing_listed_at": ago(40)}
    tenure = a_fresh_tenure(rented_at=ago(300), requested_at=ago(300), **seen)
    return a_world(a_record(tenure), listing=a_listing(age_s=1 if listings > 1 else 40))


def with_stray(label: str, attempt: int = 1, seen_s: float = 60.0) -> World:
    """A slot that is on air, and another rental on the account."""
    base = with_record(healthy_world(), attempt=attempt)
    assert base.listing is not None
    stray = an_instance(7700, label)
    seen = {stray.instance_id: ago(seen_s)}
    return replace(
        base, listing=replace(base.listing, instances=(*base.listing.instances, stray)),
        orphans_known=frozenset(seen), orphans_seen_at=seen,
    )  # fmt: skip


def removed(world: World) -> Case:
    return world, NO_STREAM


TWIN = f"keeper:{KEEPER_ID}:duel/0:1"
PATHS = (
    Path(
        reason=Reason.CREATE_NEVER_APPEARED,
        ends=unanswered(3),
        witnesses={
            "a second listing without it": unanswered(1),
            "an answer that named it": with_tenure(unanswered(3), instance_id=None, rented_at=None),
        },
    ),
    Path(
        reason=Reason.BOOT_STUCK,
        ends=booting(requested_at=ago(901), rented_at=ago(901), booting_since=ago(901)),
        witnesses={
            "the time it has had": booting(),
            "nobody was let in": warming(),
        },
    ),
    Path(
        reason=Reason.BOOT_FAILED,
        ends=listed_as(booting(dead_since=ago(36)), has_daemon_error=True),
        witnesses={
            "a later listing that agrees": listed_as(booting(dead_since=ago(20)), has_daemon_error=True),
            "no link": replace(listed_as(
                booting(dead_since=ago(36), conditions=conditions(reachable=LINK_UP, running=UNSEEN,
                        streaming=UNSEEN)), has_daemon_error=True), heard_at=all_heard()),
        },
    ),
    Path(
        reason=Reason.PRICE_DRIFT,
        ends=listed_as(booting(dear_since=ago(36)), dollars_per_hour=2.6),
        witnesses={
            "a later listing that agrees": listed_as(booting(dear_since=ago(20)), dollars_per_hour=2.6),
            "nobody sees a picture of it": with_terms(
                listed_as(healthy_world(), dollars_per_hour=2.6), dear_since=ago(36)),
        },
    ),
    Path(
        reason=Reason.MARKET_SAYS_DEAD,
        ends=offline(306),
        witnesses={
            "later listings that agree": offline(105),
            "no link": offline(306, reachable=LINK_UP),
            "no viewer": on_air(offline(306)),
        },
    ),
    Path(
        reason=Reason.MARKET_STOPPED_IT,
        ends=stopped(40),
        witnesses={
            "a later listing that agrees": stopped(20),
            "no link": stopped(40, reachable=LINK_UP),
            "no viewer": on_air(stopped(40)),
        },
    ),
    Path(
        reason=Reason.OUTBID,
        ends=outbid(rebids=3, stopped_for_s=130),
        witnesses={
            "a later listing that agrees": outbid(rebids=3, stopped_for_s=20),
            "no viewer": on_air(outbid(rebids=3, stopped_for_s=130)),
            "no bid that helps": outbid(),
        },
    ),
    Path(
        reason=Reason.GPU_LOST,
        ends=dark(has_gpu=(Status.FALSE, Reason.GPU_LOST)),
        witnesses={
            "the host's own word": dark(),
            "no viewer": on_air(dark(has_gpu=(Status.FALSE, Reason.GPU_LOST))),
        },
    ),
    Path(
        reason=Reason.DISPLAY_LOST,
        ends=warming(has_gpu=(Status.FALSE, Reason.DISPLAY_LOST)),
        witnesses={
            "the host's own word": warming(),
            "no viewer": on_air(warming(has_gpu=(Status.FALSE, Reason.DISPLAY_LOST))),
        },
    ),
    Path(
        reason=Reason.SYMPTOM,
        ends=ailing(Remedy.REPLACE),
        witnesses={
            "the workload's own word": dark(),
            "a symptom that no milder remedy cures": ailing(Remedy.RESTART_PROCESS),
            "no viewer": on_air(ailing(Remedy.REPLACE)),
        },
    ),
    Path(
        reason=Reason.UNREACHABLE_TOO_LONG,
        ends=refused_for(301),
        witnesses={
            "a refusal that lasts": refused_for(299),
            "a refusal, not silence": refused_for(301, reachable=LOST),
            "no viewer": on_air(refused_for(301)),
        },
    ),
    Path(
        reason=Reason.DEPLOY_FAILED,
        ends=booted(deploy_failures=2, acted_at=ago(4)),
        witnesses={
            "a second try": booted(deploy_failures=1, acted_at=ago(4)),
            "no viewer": on_air(booted(deploy_failures=2, acted_at=ago(4))),
        },
    ),
    Path(
        reason=Reason.AUDITION_FAILED,
        ends=showed(Meaning.REPLACE),
        witnesses={
            "a check that it failed": showed(None),
            "one that no patience cures": showed(Meaning.WAIT),
            "no viewer": on_air(showed(Meaning.REPLACE)),
        },
    ),
    Path(
        reason=Reason.HOST_KEY_CHANGED,
        ends=dark_for(181, reachable=KEY),
        witnesses={
            "another key": dark_for(181, reachable=LOST),
            "no viewer": on_air(dark_for(181, reachable=KEY)),
            "darkness that lasts": dark_for(170, reachable=KEY),
        },
    ),
    Path(
        reason=Reason.LADDER_SPENT,
        ends=spent(),
        witnesses={
            "cheaper remedies in the journal": with_record(spent(), remedies=()),
            "darkness that lasts": with_record(dark_for(100), remedies=spent().records["duel/0"].remedies),  # type: ignore[index]
            "no viewer": on_air(spent()),
        },
    ),
    Path(
        reason=Reason.NO_PICTURE_EVER,
        ends=handing_over(booted_at=ago(901)),
        witnesses={
            "the time it has had": handing_over(booted_at=ago(500)),
            "no picture good enough": handing_over(booted_at=ago(100)),
        },
    ),
    Path(
        reason=Reason.SUPERSEDED,
        ends=handing_over(conditions=conditions(), good_in_a_row=6),
        witnesses={
            "a picture often enough in a row": handing_over(conditions=conditions(), good_in_a_row=5),
            "a picture now": handing_over(good_in_a_row=6),
            "a list": replace(
                handing_over(conditions=conditions(), good_in_a_row=6),
                listing=a_listing(an_instance()),
            ),
            "a link": handing_over(conditions=conditions(reachable=LOST), good_in_a_row=6),
        },
    ),
    Path(
        reason=Reason.OPERATOR_ASKED,
        ends=healthy_world(orders=(an_order(OrderKind.DESTROY),)),
        witnesses={
            "an order": healthy_world(),
            "a slot of ours": healthy_world(orders=(an_order(OrderKind.DESTROY, None),)),
        },
    ),
    Path(
        reason=Reason.STREAM_REMOVED,
        ends=removed(healthy_world()),
        witnesses={
            "the configuration": healthy_world(),
            "a slot of ours": removed(a_world(listing=a_listing(an_instance(HOST, "training")))),
        },
    ),
    Path(
        reason=Reason.STRAY_RENTAL,
        ends=with_stray(f"keeper:{KEEPER_ID}:duel/0:3", attempt=4),
        witnesses={
            "the label": with_stray("training", attempt=4),
            "the journal": with_stray(f"keeper:{KEEPER_ID}:duel/0:3", attempt=2),
        },
    ),
    Path(
        reason=Reason.STRAY_RENTAL,
        variant=" as configured",
        ends=(with_stray("keeper:other:gone/0:1"), DESTROY),
        witnesses={
            "the configuration": with_stray("keeper:other:gone/0:1"),
            "a second listing": (with_stray("keeper:other:gone/0:1", seen_s=5.0), DESTROY),
            "the label": (with_stray("training"), DESTROY),
        },
    ),
    Path(
        reason=Reason.DUPLICATE_RENTAL,
        ends=with_stray(TWIN),
        witnesses={
            "the label": with_stray("training"),
            "the first one, listed too": listed_as(with_stray(TWIN), instance_id=InstanceId(7700)),
        },
    ),
)  # fmt: skip
# Decided by rules of money, of the guard on the host, and of a silent next host, which serves nobody and
# would go without a word, too; they have tables of their own.
ELSEWHERE = frozenset({"budget", "dead_man_stopped", "no_sound"})


def ended(case: Case) -> set[Reason]:
    world, desired = case if isinstance(case, tuple) else (case, None)
    return {each.reason for each in decide(world, desired, NOW).condemned}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_rental_ends_when_all_its_witnesses_agree(path: Path) -> None:
    assert ended(path.ends) == {path.reason}
    assert len(path.witnesses) >= 2


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        pytest.param(path, name, id=f"{path.name}: {name}")
        for path in PATHS
        for name in path.witnesses
    ],
)
def test_without_one_of_them_nothing_ends(path: Path, missing: str) -> None:
    assert ended(path.witnesses[missing]) == set()


def test_no_way_to_an_end_is_left_out() -> None:
    """Whatever any row of the table of decisions ends a rental for is listed here."""
    found = set()
    for row in ROWS:
        found |= {each.reason for each in decide(row.world, row.desired, NOW).condemned}
    before = {each.reason for row in ROWS for each in row.world.condemned}
    assert {str(each) for each in found - before} <= {p.reason.value for p in PATHS} | ELSEWHERE


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_nobody_who_cannot_see_ends_anything(path: Path) -> None:
    """Not while the marketplace cannot be read, nor while this box's network fails, nor when paused.

    An order is another matter: a person has looked.
    """
    world, desired = path.ends if isinstance(path.ends, tuple) else (path.ends, None)
    if path.reason is Reason.OPERATOR_ASKED:
        return
    for blind in (
        {
            "unreadable_since": ago(200),
            "listing": world.listing and replace(world.listing, at=ago(400)),
        },
        {"own_network": Status.FALSE},
    ):
        assert decide(replace(world, **blind), desired, NOW).condemned == ()
