"""The story of the demo: nine things that go wrong on a bad night, and what must come of each.

Data and short functions: what is broken, what keeper's journal must then say, what the
marketplace's ledger must then show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from keeper.sim.demo_stage import ActFailed, Stage
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.ledger import Rental

DREAM, ARENA = "dream/0", "arena/0"
SLOTS = (DREAM, ARENA)

_LIE_S = 9.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act: ``breaks`` is what we do to keeper, in plain words."""

    number: int
    title: str
    breaks: str
    play: Callable[[Stage], Awaitable[None]]


async def _first_light(stage: Stage) -> None:
    await stage.on_air(*SLOTS, within_s=55)


async def _killed(stage: Stage) -> None:
    since = len(stage.events)
    await stage.strike(DREAM, "kill")
    await stage.event("workload.restarted", DREAM, within_s=20, since=since)
    await stage.on_air(*SLOTS, within_s=20)


async def _hung(stage: Stage) -> None:
    since = len(stage.events)
    await stage.strike(DREAM, "stop")
    await stage.event("workload.restarted", DREAM, within_s=25, since=since)
    await stage.on_air(*SLOTS, within_s=20)


async def _frozen(stage: Stage) -> None:
    since = len(stage.events)
    await stage.strike(ARENA, "freeze")
    dark = await stage.event("stream.dark", ARENA, within_s=20, since=since)
    if dark["facts"].get("reason") != "frozen":
        message = f"the picture was frozen, but keeper saw {dark['facts'].get('reason')}"
        raise ActFailed(message)
    await stage.event("workload.restarted", ARENA, within_s=20, since=since)
    await stage.on_air(*SLOTS, within_s=20)


async def _crash_loop(stage: Stage) -> None:
    since = len(stage.events)
    await stage.strike(ARENA, "crashloop")
    # A process restart cannot cure it: keeper must climb past the first rung.
    await stage.until(
        "a remedy dearer than restarting the process",
        lambda _: any(_is_higher_rung(event) for event in stage.events[since:]),
        within_s=45,
    )
    await stage.on_air(*SLOTS, within_s=60)


def _is_higher_rung(event: object) -> bool:
    match event:
        case {"event": "workload.restarted", "facts": {"rung": "restart_workload"}, "slot": slot}:
            return bool(slot == ARENA)
        case {"event": "instance.rebooting" | "instance.condemned", "slot": slot}:
            return bool(slot == ARENA)
        case _:
            return False


async def _vanished(stage: Stage) -> None:
    since = len(stage.events)
    before = await stage.instance_of(DREAM)
    await stage.strike(DREAM, "vanish")
    await stage.event("instance.rented", DREAM, within_s=45, since=since)
    await stage.on_air(*SLOTS, within_s=45)
    if await stage.instance_of(DREAM) == before:
        message = "the host vanished, and keeper still counts on it"
        raise ActFailed(message)


async def _lost_reply(stage: Stage) -> None:
    since, made = len(stage.events), len(stage.rentals)
    stage.arm(Fault(kind=FaultKind.CREATE_REPLY_LOST, count=1))
    if not await stage.keeper.order("replace", ARENA, "a better host, please"):
        message = "the order to replace was not taken"
        raise ActFailed(message)
    await stage.event("instance.adopted", ARENA, within_s=40, since=since)
    await stage.on_air(*SLOTS, within_s=45)
    _expect_new_rentals(stage, made, 1)


async def _lying_market(stage: Stage) -> None:
    since, mutations = len(stage.events), stage.mutations()
    bad_gateway = {"endpoint": "GET /instances/"}
    stage.arm(Fault(kind=FaultKind.HTTP_502, for_s=_LIE_S, params=bad_gateway))
    stage.arm(Fault(kind=FaultKind.LIST_EMPTY, at=_LIE_S, for_s=_LIE_S))
    await stage.event("market.unreadable", within_s=15, since=since)
    told = len(stage.messages)
    await stage.event("market.readable", within_s=25, since=since)
    await asyncio.sleep(_LIE_S)  # the empty list, for which there must be no message of its own
    firing = [m for m in stage.messages[told:] if m["kind"] == "firing"]
    if len(firing) != 1:
        message = f"a person was told {len(firing)} times where once is right"
        raise ActFailed(message)
    await stage.on_air(*SLOTS, within_s=10)
    if stage.mutations() != mutations:
        message = "keeper changed something while the marketplace was lying"
        raise ActFailed(message)


async def _keeper_killed(stage: Stage) -> None:
    since, made = len(stage.events), len(stage.rentals)
    if not await stage.keeper.order("replace", DREAM, "the demo wants another host"):
        message = "the order to replace was not taken"
        raise ActFailed(message)
    await stage.event("instance.renting", DREAM, within_s=30, since=since)
    await stage.keeper.kill()
    stage.tell({"event": "keeper.killed", "slot": DREAM, "words": "keeper is dead: SIGKILL"})
    await asyncio.sleep(1.0)
    await stage.keeper.start()
    await stage.event("keeper.started", within_s=20, since=since)
    await stage.until(
        "the end of the replacement",
        lambda _: len(stage.rentals) > made and not any(r.is_live for r in _older(stage, made)),
        within_s=60,
    )
    await stage.on_air(*SLOTS, within_s=45)
    _expect_new_rentals(stage, made, 1)


def _older(stage: Stage, made: int) -> list[Rental]:
    """The rentals of the dreaming slot from before the replacement."""
    return [r for r in stage.rentals[:made] if f":{DREAM}:" in r.label]


def _expect_new_rentals(stage: Stage, before: int, wanted: int) -> None:
    new = len(stage.rentals) - before
    if new != wanted:
        message = f"{new} new rentals where there must be {wanted}"
        raise ActFailed(message)


ACTS = (
    Act(
        number=1,
        title="Rent, deploy, on air",
        breaks="nothing yet: two streams are declared, and there is no host",
        play=_first_light,
    ),
    Act(
        number=2,
        title="A process dies",
        breaks="the streaming process of dream is killed (SIGKILL)",
        play=_killed,
    ),
    Act(
        number=3,
        title="A process hangs",
        breaks="the process of dream is stopped (SIGSTOP): it lives, and answers nothing",
        play=_hung,
    ),
    Act(
        number=4,
        title="A frozen picture behind a healthy face",
        breaks="arena sends the same frame for ever; the process lives and HTTP says 200",
        play=_frozen,
    ),
    Act(
        number=5,
        title="A crash loop that the host's own supervisor hides",
        breaks="arena now dies a second after each start; its supervisord restarts it for ever",
        play=_crash_loop,
    ),
    Act(
        number=6,
        title="A host vanishes",
        breaks="the machine of dream disappears from the network",
        play=_vanished,
    ),
    Act(
        number=7,
        title="The answer to a rental is lost",
        breaks="a better host is ordered for arena; the marketplace rents it, its answer gets lost",
        play=_lost_reply,
    ),
    Act(
        number=8,
        title="The marketplace lies",
        breaks="it answers 502, and then an empty list, though everything still runs",
        play=_lying_market,
    ),
    Act(
        number=9,
        title="Keeper itself dies half way",
        breaks="dream is being replaced when keeper is killed (SIGKILL), and is started again",
        play=_keeper_killed,
    ),
)
