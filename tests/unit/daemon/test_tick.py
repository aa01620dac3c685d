"""A bug costs the slots it strikes on, and no others."""

from collections.abc import Callable

import pytest

from keeper.core.decisions import Plan
from keeper.core.model import Desired, SlotId
from keeper.core.reconcile import reconcile
from keeper.core.world import World
from keeper.daemon import tick
from tests.builders import NOW, a_desire, a_record, a_stream, a_tenure, a_world

SLOTS = tuple(SlotId(f"duel/{replica}") for replica in range(40))


def _world() -> World:
    records = (a_record(a_tenure(), slot) for slot in SLOTS[:-1])  # the last one is new
    return a_world(*records)


def _desired() -> Desired:
    return a_desire(a_stream(replicas=len(SLOTS)))


def _striking(*bad: SlotId, calls: list[int]) -> Callable[..., Plan]:
    def decide(world: World, desired: Desired, *_: object) -> Plan:
        calls.append(1)
        for slot in bad:
            if slot not in world.held_slots:
                raise ZeroDivisionError(slot)
        return reconcile(world, desired, NOW)

    return decide


@pytest.mark.parametrize(
    "bad",
    [(SLOTS[3],), (SLOTS[3], SLOTS[17]), (SLOTS[-1],), (SLOTS[0], SLOTS[20], SLOTS[-1])],
    ids=["one slot", "two slots", "a slot without a record", "three slots"],
)
def test_a_bug_holds_every_slot_it_strikes_on_and_no_other(
    bad: tuple[SlotId, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bug on two slots, or on a new one, stopped the whole fleet."""
    calls: list[int] = []
    monkeypatch.setattr(tick, "reconcile", _striking(*bad, calls=calls))
    plan, bugs = tick.reconcile_sparing_the_others(_world(), _desired(), NOW, str)
    assert tuple(bug.slot for bug in bugs) == tuple(sorted(bad))
    assert all("ZeroDivisionError" in bug.error for bug in bugs)
    decided = {decision.slot for decision in plan.decisions}
    assert decided >= set(SLOTS) - set(bad)
    assert len(calls) < 2 + len(bad) * 16  # halves, not one slot after the other


def test_a_bug_that_is_no_slot_s_ends_the_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    def decide(*_: object) -> Plan:
        raise ZeroDivisionError("everywhere")

    monkeypatch.setattr(tick, "reconcile", decide)
    with pytest.raises(ZeroDivisionError):
        tick.reconcile_sparing_the_others(_world(), _desired(), NOW, str)


def test_what_a_bug_says_is_hidden_before_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that was cut is not recognised; half of it stood in the journal and in the alert."""

    def decide(world: World, desired: Desired, *_: object) -> Plan:
        if SLOTS[3] not in world.held_slots:
            raise ValueError(180 * "x" + "sesame-open-sesame")
        return reconcile(world, desired, NOW)

    monkeypatch.setattr(tick, "reconcile", decide)
    _, (bug,) = tick.reconcile_sparing_the_others(
        _world(), _desired(), NOW, lambda said: said.replace("sesame-open-sesame", "[hidden]")
    )
    assert bug.error.endswith("x[hidden]")


def test_without_a_bug_nobody_is_held() -> None:
    _, bugs = tick.reconcile_sparing_the_others(_world(), _desired(), NOW, str)
    assert bugs == ()
