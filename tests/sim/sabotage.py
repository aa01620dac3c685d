"""Keepers that are bad in one place each: the real daemon, with one function of it undone.

A row says what is undone, in which story, and which promises the auditor must name, and no others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.adapters import vastai_spacing
from keeper.adapters.vastai import VastMarketplace
from keeper.alerts import rules
from keeper.core import (
    bind,
    creates,
    ends,
    fuses,
    ladder,
    mute,
    reconcile,
    remedy,
    retire,
    rollout,
    room,
    signs,
    verdicts,
)
from keeper.core.case import Case, Proposal, Wish
from keeper.core.decisions import Restart, Swap
from keeper.core.draft import Draft
from keeper.core.model import (
    InstanceId,
    OfferNeeds,
    OrphanPolicy,
    Remedy,
    Rung,
    SlotRecord,
    Status,
)
from keeper.core.reasons import Reason
from keeper.daemon import notify, tick, ticker
from keeper.daemon.declared import Declared, nothing_to_hide
from keeper.daemon.execute import Executor
from keeper.daemon.purse import Purse
from keeper.daemon.survey import Survey
from keeper.daemon.swapping import Swapper
from keeper.ports import Batch, JournalEntry, Saved, Uncertain
from keeper.sim import stage, story
from keeper.sim.disk import MemoryStore
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.fleets import Habits, Spared
from keeper.sim.lifecycle import Tempo
from keeper.sim.memory_hosts import MemoryHosts
from keeper.sim.virtual_hosts import VirtualHost, VirtualHosts
from keeper.workloads import sd_turbo

HOUR_S = 3600.0
Undo = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What befalls a fleet while a bad keeper is at work; a good one comes through it."""

    faults: tuple[Fault, ...] = ()
    hours: float = 4.0
    streams: Mapping[str, int] = field(default_factory=lambda: {"duel": 1})
    strangers: int = 0
    shape: Mapping[str, Any] = field(default_factory=dict)  # of the market
    fails_once: str = ""  # a command that fails on the first host
    habits: Habits = field(default_factory=Habits)


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """One bad keeper."""

    undo: Undo
    plot: str
    promises: str


def _at(minutes: float, kind: FaultKind, **fields: Any) -> Fault:
    return Fault(kind=kind, at=60.0 * minutes, **fields)


_REFUSED = {"remedy": "person", "shows": "no_frames", "person_s": 5400.0}
_BOUNDED = {
    "remedy": "restart_process", "dearest": "restart_process", "shows": "wrong",
    "cured_by": "replace", "person_s": 5400.0,
}  # fmt: skip
_PLANNED = {"remedy": "restart_process", "shows": "good", "is_planned": True, "cured_by": "replace"}

PLOTS: Mapping[str, Plot] = {
    "a quiet day": Plot(strangers=2),
    "an answer is lost": Plot(faults=(_at(0, FaultKind.CREATE_REPLY_LOST),)),
    "a create is lost": Plot(
        faults=(_at(0, FaultKind.DROP_BEFORE, count=1, params={"endpoint": "PUT /asks/*"}),)
    ),
    "a start fails": Plot(fails_once="deploy.start"),
    "the price changed": Plot(
        faults=(_at(0, FaultKind.PRICE_CHANGED, count=1, params={"factor": 1.6}),)
    ),
    "the account is empty": Plot(
        faults=(
            _at(60, FaultKind.CREDIT_ZERO, for_s=1200.0),
            _at(61, FaultKind.DESTROYED_BY_OTHERS),
        )
    ),
    "the GPU is lost": Plot(faults=(_at(60, FaultKind.GPU_LOST),)),
    "an end is refused": Plot(
        faults=(_at(60, FaultKind.GPU_LOST), _at(60, FaultKind.DESTROY_REFUSED, count=4))
    ),
    "lists are empty": Plot(faults=(_at(60, FaultKind.LIST_EMPTY, for_s=300.0),)),
    "the contract ends": Plot(
        faults=(_at(60, FaultKind.CONTRACT_END, params={"notice_s": 5400.0}),), hours=6.0
    ),
    "a pause": Plot(
        faults=(_at(60, FaultKind.OPERATOR_PAUSES, for_s=1800.0), _at(66, FaultKind.GPU_LOST))
    ),
    # Both fail alike: none is helped for a while, and then one is tried.
    "both GPUs are lost": Plot(
        faults=(_at(60, FaultKind.GPU_LOST, count=2),),
        hours=6.0,
        streams={"duel": 1, "turbo": 1},
    ),
    "both hosts go": Plot(
        faults=(_at(60, FaultKind.HOST_VANISHES, count=2, params={"absent_after_s": 3000.0}),),
        hours=6.0,
        streams={"duel": 1, "turbo": 1},
    ),
    "nothing helps": Plot(
        faults=(_at(60, FaultKind.PICTURE_FROZEN, params={"cured_by": "replace"}),)
    ),
    "no restart brings the sound back": Plot(
        faults=(_at(60, FaultKind.SOUND_LOST, params={"cured_by": "replace"}),)
    ),
    "a picture stutters": Plot(faults=(_at(60, FaultKind.PICTURE_STUTTERS, for_s=1800.0),)),
    "nothing helps, and keeper dies": Plot(
        faults=(
            _at(60, FaultKind.PICTURE_FROZEN, params={"cured_by": "replace"}),
            *(_at(61.4 + 0.7 * number, FaultKind.KEEPER_KILLED) for number in range(12)),
        )
    ),
    "SSH is dead": Plot(faults=(_at(60, FaultKind.SSH_DEAD_WHILE_RUNNING, for_s=240.0),)),
    "the process dies": Plot(faults=(_at(60, FaultKind.PROCESS_KILLED),)),
    "the channel is down": Plot(
        faults=(
            _at(60, FaultKind.ALERTS_REFUSED, for_s=1800.0),
            _at(61, FaultKind.HOST_VANISHES, params={"absent_after_s": 300.0}),
            _at(80, FaultKind.KEEPER_KILLED),
        )
    ),
    "a deploy fails": Plot(
        faults=(_at(0, FaultKind.DEPLOY_FAILS),), shape={"tempo": Tempo(strike_retry_s=0.5)}
    ),
    "a bad deploy": Plot(
        faults=(_at(60, FaultKind.OPERATOR_DEPLOYS, params={"stream": 0, "flaw": "freezes"}),),
        hours=8.0,
        streams={"duel": 2},
    ),
    "a deploy": Plot(
        faults=(_at(60, FaultKind.OPERATOR_DEPLOYS, params={"stream": 0}),), hours=8.0
    ),
    "keeper dies in the dark": Plot(
        faults=(
            _at(60, FaultKind.HOST_VANISHES, params={"absent_after_s": 300.0}),
            _at(64, FaultKind.KEEPER_KILLED),
        )
    ),
    "dark in a pause": Plot(
        faults=(_at(60, FaultKind.OPERATOR_PAUSES, for_s=1800.0), _at(61, FaultKind.GPU_LOST))
    ),
    "another host key": Plot(faults=(_at(60, FaultKind.HOST_KEY_CHANGED),)),
    "many ends at once": Plot(
        faults=(_at(60, FaultKind.CREDIT_ZERO, for_s=600.0),), streams={"duel": 3}
    ),
    "a key is refused": Plot(
        faults=(_at(60, FaultKind.WORKLOAD_AILS, params=_REFUSED),), hours=12.0
    ),
    "a tunnel is gone": Plot(
        faults=(_at(60, FaultKind.WORKLOAD_AILS, params=_BOUNDED),), hours=12.0
    ),
    "a restart is asked for ahead of time": Plot(
        faults=(_at(60, FaultKind.WORKLOAD_AILS, params=_PLANNED),), hours=1.5
    ),
    "an audition comes to nothing": Plot(
        faults=(_at(0, FaultKind.AUDITION_FAILS, params={"meaning": "wait"}),)
    ),
    "an audition costs too much": Plot(
        faults=(_at(0, FaultKind.AUDITION_FAILS, params={"meaning": "wait"}),),
        habits=Habits(audition_max_dollars=0.02),
    ),
    "an audition condemns": Plot(
        faults=(_at(0, FaultKind.AUDITION_FAILS, params={"meaning": "replace"}),)
    ),
    "a spare stands still": Plot(
        faults=(_at(0, FaultKind.STATE_REPLY_LOST),),
        habits=Habits(spares={"duel": Spared(stands_still=True)}),
    ),
    "one publisher": Plot(
        habits=Habits(one_publisher=frozenset({"duel"}), recycle_after_s=HOUR_S),
    ),
}


# --- how each is undone ---------------------------------------------------------------------------


def _sends_a_create_again(patch: pytest.MonkeyPatch) -> None:
    rents = Executor._rent

    async def twice(self: Executor, act: Any) -> Any:
        try:
            return await rents(self, act)
        except Uncertain:
            offers = await self._marketplace.search_offers(OfferNeeds())
            return await rents(self, replace(act, offer_id=offers[0].offer_id))

    patch.setattr(Executor, "_rent", twice)


def _acts_before_it_writes(patch: pytest.MonkeyPatch) -> None:
    executors: list[Executor] = []
    begins, decides, commits = Executor.__init__, tick.decide, MemoryStore.commit

    async def commit(self: MemoryStore, batch: Batch) -> None:
        await asyncio.sleep(0.5)
        await commits(self, batch)

    def begin(self: Executor, **ports: Any) -> None:
        begins(self, **ports)
        executors.append(self)

    def decide(*args: Any, **more: Any) -> Any:
        ticked = decides(*args, **more)
        executors[-1].start(ticked.plan.acts)
        return ticked

    patch.setattr(Executor, "__init__", begin)
    patch.setattr(ticker, "decide", decide)
    patch.setattr(MemoryStore, "commit", commit)


def _takes_doubt_for_no(patch: pytest.MonkeyPatch) -> None:
    def doubt(draft: Draft, slot: Any, seat: Any, tenure: Any, **_: Any) -> None:
        draft.put(slot, seat, None)

    patch.setattr(creates, "doubt", doubt)
    _does_not_wait_its_turn(patch)  # or a listing would come before its second create leaves


def _gives_a_create_up_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(creates, "absent_for", lambda *_: 1e9)
    patch.setattr(creates, "absence_span_s", lambda *_: 1e9)


def _without(rules: tuple[remedy.Rule, ...], name: str) -> tuple[remedy.Rule, ...]:
    left = tuple(rule for rule in rules if rule.name != name)
    assert len(left) == len(rules) - 1
    return left


def _pays_any_price(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(remedy, "TENURE_RULES", _without(remedy.TENURE_RULES, "overpriced"))


def _rents_without_credit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fuses, "is_out_of_credit", lambda *_: False)


def _ends_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Draft, "condemn", lambda *_, **__: None)


def _counts_from_the_start_of_the_process(patch: pytest.MonkeyPatch) -> None:
    loads = MemoryStore.load

    async def load(self: MemoryStore) -> Saved:
        saved = await loads(self)
        return replace(saved, records=tuple(_uncounted(record) for record in saved.records))

    patch.setattr(MemoryStore, "load", load)


def _uncounted(record: SlotRecord) -> SlotRecord:
    return replace(record, remedies=(), replaced_at=())


def _forgets_after_one_absence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ends, "_is_confirmed", lambda _, each: each.absent_since is not None)


def _pursues_nothing(patch: pytest.MonkeyPatch) -> None:
    destroys = ends._destroy_when_due

    def once(draft: Draft, each: Any) -> None:
        if each.tries == 0:
            destroys(draft, each)

    patch.setattr(ends, "_destroy_when_due", once)


def _orders_again_at_once(patch: pytest.MonkeyPatch) -> None:
    sets = VastMarketplace._set_state

    async def twice(self: VastMarketplace, instance_id: InstanceId, state: str) -> None:
        # Or a listing would come before its second order leaves.
        async with self._limiter.turn(vastai_spacing.Endpoint.LIST):
            try:
                await sets(self, instance_id, state)
            except Uncertain:
                await sets(self, instance_id, state)

    patch.setattr(VastMarketplace, "_set_state", twice)


def _stops_what_serves(patch: pytest.MonkeyPatch) -> None:
    sets = VastMarketplace._set_state

    async def other(self: VastMarketplace, instance_id: InstanceId, state: str) -> None:
        listed = await self.list_instances()
        host = next(each for each in listed if "duel/0:" in each.label)
        await sets(self, host.instance_id, state)

    patch.setattr(VastMarketplace, "_set_state", other)


def _starts_before_it_ends(patch: pytest.MonkeyPatch) -> None:
    async def swap(self: Swapper, act: Swap) -> None:
        start = self._workload_of(act.slot, act.revision).start()
        await self._putting.put(await self._watch.link(act.instance_id, 20.0), start)
        await asyncio.sleep(10.0)
        stop = self._workload_of(act.slot, act.leaving_revision).stop()
        await self._putting.put(await self._watch.link(act.leaving_id, 20.0), stop)

    patch.setattr(Swapper, "swap", swap)


def _leaves_the_old_one_publishing(patch: pytest.MonkeyPatch) -> None:
    """As where a manager takes a stop for done that was none."""
    carries_out = VirtualHosts.carry_out

    def carry_out(
        self: VirtualHosts, host: VirtualHost, name: str, env: Mapping[str, str]
    ) -> tuple[int, str]:
        is_none = name == "swap.stop" and host.process == "up"
        return (0, "") if is_none else carries_out(self, host, name, env)

    patch.setattr(VirtualHosts, "carry_out", carry_out)


def _takes_all_for_its_own(patch: pytest.MonkeyPatch) -> None:
    def declares(*args: Any) -> Declared:
        declared = stage.declared(*args)
        fleet = replace(declared.desired.fleet, orphans=OrphanPolicy.DESTROY)
        return replace(declared, desired=replace(declared.desired, fleet=fleet))

    patch.setattr(story, "declared", declares)
    patch.setattr(bind, "is_keepers", lambda _: True)


def _proposing(
    patch: pytest.MonkeyPatch, instead: Callable[[Case, Proposal], Proposal | None]
) -> None:
    """Let another rule stand before all others; None leaves what is proposed."""
    proposes = remedy.propose

    def propose(case: Case) -> Proposal:
        wanted = proposes(case)
        return instead(case, wanted) or wanted

    patch.setattr(reconcile, "propose", propose)


def _takes_an_empty_list_for_absence(patch: pytest.MonkeyPatch) -> None:
    def instead(case: Case, _: Proposal) -> Proposal | None:
        if case.instance is None and case.tenure.listed_at is not None:
            return Proposal(wish=Wish.FORGET, reason=Reason.GONE)
        return None

    _proposing(patch, instead)


def _breaks_before_it_makes(patch: pytest.MonkeyPatch) -> None:
    def instead(_: Case, wanted: Proposal) -> Proposal | None:
        return replace(wanted, wish=Wish.REPLACE, is_incoming=False) if wanted.is_incoming else None

    _proposing(patch, instead)


def _hands_over_unproven(patch: pytest.MonkeyPatch) -> None:
    def instead(case: Case, _: Proposal) -> Proposal | None:
        if case.is_incoming and case.tenure.deployed_at is not None:
            return Proposal(wish=Wish.PROMOTE, reason=Reason.SUPERSEDED, is_incoming=True)
        return None

    _proposing(patch, instead)


def _ends_what_is_silent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(mute, "spared", lambda record, tenure, proposal, now, memory_s: proposal)


def _restarts_what_stutters(patch: pytest.MonkeyPatch) -> None:
    def instead(case: Case, _: Proposal) -> Proposal | None:
        if case.streaming.reason is not Reason.STUTTERING or case.record.remedies:
            return None
        return Proposal(wish=Wish.RESTART, reason=Reason.STUTTERING, rung=Rung.RESTART_PROCESS)

    _proposing(patch, instead)


def _does_not_hear_the_pause(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fuses, "is_paused", lambda *_: False)


def _suspects_no_common_cause(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fuses, "sick_max", lambda _: 1000)
    patch.setattr(fuses, "find_bursts", lambda *_: False)


def _restarts_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ladder, "cap_of", lambda *_: (1000, 3600.0))


def _takes_silence_for_sickness(patch: pytest.MonkeyPatch) -> None:
    def instead(case: Case, _: Proposal) -> Proposal | None:
        is_silent = case.reachable.status is not Status.TRUE and not case.record.remedies
        if is_silent and case.tenure.first_live_at is not None:
            return Proposal(wish=Wish.REBOOT, reason=Reason.LINK_LOST)
        return None

    _proposing(patch, instead)


def leaves_the_store_unlocked(patch: pytest.MonkeyPatch) -> None:
    """Take a store that another process holds."""
    loads = MemoryStore.load

    async def load(self: MemoryStore) -> Saved:
        self._disk.owner = None
        return await loads(self)

    patch.setattr(MemoryStore, "load", load)


def writes_what_no_run_repeats(patch: pytest.MonkeyPatch) -> None:
    """Put the real time into the journal."""
    writes = tick.entry

    def entry(*args: Any) -> JournalEntry:
        written = writes(*args)
        return replace(written, facts={**written.facts, "took_ns": time.perf_counter_ns()})

    patch.setattr(tick, "entry", entry)


def minds_no_cap(patch: pytest.MonkeyPatch) -> None:
    """Rent whatever it costs, and stop for no sum."""
    patch.setattr(room, "_crossed", lambda *_: None)
    patch.setattr(reconcile, "curb", lambda *_: None)


def _bears_no_grudge(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Draft, "strike", lambda *_, **__: None)


def _acts_twice_at_once(patch: pytest.MonkeyPatch) -> None:
    begins = Executor.start

    def start(self: Executor, acts: Any) -> None:
        begins(self, acts)
        for act in acts:
            if isinstance(act, Restart):
                self._spawn(self._carry_out(act), "act:again")

    patch.setattr(Executor, "start", start)


def _forgives_every_deploy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verdicts, "convict", lambda *_: None)


def _restarts_what_needs_a_person(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(remedy, "TENURE_RULES", _without(remedy.TENURE_RULES, "needs a person"))


def _replaces_what_needs_a_person(patch: pytest.MonkeyPatch) -> None:
    def instead(case: Case, _: Proposal) -> Proposal | None:
        is_asked = case.symptom is not None and case.symptom.remedy is Remedy.PERSON
        return Proposal(wish=Wish.REPLACE, reason=Reason.SYMPTOM) if is_asked else None

    _proposing(patch, instead)


def _climbs_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ladder, "is_too_dear", lambda *_: False)
    patch.setattr(ladder, "is_bounded", lambda _: False)


def _tells_no_person(patch: pytest.MonkeyPatch) -> None:
    fires = rules.firing

    def firing(*args: Any) -> Any:
        return tuple(each for each in fires(*args) if each.name != "KeeperNeedsPerson")

    patch.setattr(tick, "firing", firing)


def _restarts_whenever_it_is_asked(patch: pytest.MonkeyPatch) -> None:
    def instead(case: Case, _: Proposal) -> Proposal | None:
        if case.is_on_air and case.symptom is not None and case.symptom.is_planned:
            return remedy._restart_as_planned(case)
        return None

    _proposing(patch, instead)


def _waits_for_an_audition_for_ever(patch: pytest.MonkeyPatch) -> None:
    for name in ("TENURE_RULES", "INCOMING_RULES"):
        patch.setattr(remedy, name, _without(getattr(remedy, name), "fails its audition"))


def _counts_no_dollars_of_auditions(patch: pytest.MonkeyPatch) -> None:
    fails = signs.fails_audition

    def for_nothing(case: Case) -> bool:
        tenure = replace(case.tenure, dollars_per_hour=0.0)
        return fails(replace(case, tenure=tenure))

    for name in ("TENURE_RULES", "INCOMING_RULES"):
        rules_of = getattr(remedy, name)
        changed = (replace(r, when=for_nothing) if r.when is fails else r for r in rules_of)
        patch.setattr(remedy, name, tuple(changed))


def _blames_the_container_for_its_machine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retire, "_failed_by_its_container", lambda *_: True)


def _leaves_hosts_as_they_are(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rollout, "_is_time", lambda *_: False)


def _repairs_nothing(patch: pytest.MonkeyPatch) -> None:
    def instead(case: Case, wanted: Proposal) -> Proposal | None:
        is_waiting = wanted.wish is Wish.WAIT or case.tenure.first_live_at is None
        return None if is_waiting else Proposal(wish=Wish.WAIT, reason=Reason.STARTING_UP)

    _proposing(patch, instead)


def _gives_a_message_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(notify, "_TRIES_MAX", 1)


def _forgets_its_messages(patch: pytest.MonkeyPatch) -> None:
    loads = MemoryStore.load

    async def load(self: MemoryStore) -> Saved:
        return replace(await loads(self), outbox=())

    patch.setattr(MemoryStore, "load", load)


def _forgets_what_it_told(patch: pytest.MonkeyPatch) -> None:
    loads = MemoryStore.load

    async def load(self: MemoryStore) -> Saved:
        return replace(await loads(self), alert_state={})

    patch.setattr(MemoryStore, "load", load)


def _tells_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tick, "firing", lambda *_: ())


def _stops_looking(patch: pytest.MonkeyPatch) -> None:
    reads = Survey.read_listing_once

    async def read(self: Survey) -> None:
        await reads(self)
        if asyncio.get_running_loop().time() > HOUR_S:
            await asyncio.Event().wait()

    patch.setattr(Survey, "read_listing_once", read)


def _has_a_bug(patch: pytest.MonkeyPatch) -> None:
    async def run(_: Purse) -> None:
        await asyncio.sleep(600.0)
        raise ValueError("a bug")

    patch.setattr(Purse, "run", run)


def _repeats_what_hosts_say(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        story, "declared", lambda *args: replace(stage.declared(*args), redact=nothing_to_hide)
    )


def _rents_with_its_secrets(patch: pytest.MonkeyPatch) -> None:
    rental = sd_turbo.SdTurbo.rental
    patch.setattr(
        sd_turbo.SdTurbo, "rental", lambda self: replace(rental(self), env=dict(self.secrets))
    )


def _trusts_any_host_key(patch: pytest.MonkeyPatch) -> None:
    connects = MemoryHosts.connect

    async def connect(self: MemoryHosts, addresses: Any, **more: Any) -> Any:
        return await connects(self, addresses, **(more | {"pinned_host_key": ""}))

    patch.setattr(MemoryHosts, "connect", connect)


def _does_not_wait_its_turn(patch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def turn(self: Any, endpoint: Any) -> AsyncIterator[Any]:
        yield vastai_spacing.Turn(self._lanes[endpoint])

    patch.setattr(vastai_spacing.Limiter, "turn", turn)


SABOTAGES: tuple[Sabotage, ...] = (
    Sabotage(promises="I1 I2", plot="an answer is lost", undo=_sends_a_create_again),
    Sabotage(promises="I2", plot="the process dies", undo=_acts_before_it_writes),
    Sabotage(promises="I3 I24", plot="an answer is lost", undo=_takes_doubt_for_no),
    Sabotage(promises="I3", plot="a spare stands still", undo=_orders_again_at_once),
    Sabotage(promises="I10", plot="a create is lost", undo=_gives_a_create_up_at_once),
    Sabotage(promises="I4", plot="the price changed", undo=_pays_any_price),
    Sabotage(promises="I4", plot="the account is empty", undo=_rents_without_credit),
    Sabotage(promises="I5 I7", plot="the GPU is lost", undo=_ends_nothing),
    Sabotage(
        promises="I6 I13",
        plot="nothing helps, and keeper dies",
        undo=_counts_from_the_start_of_the_process,
    ),
    Sabotage(promises="I7", plot="the GPU is lost", undo=_forgets_after_one_absence),
    Sabotage(promises="I8", plot="a quiet day", undo=_takes_all_for_its_own),
    Sabotage(promises="I5 I9 I11", plot="lists are empty", undo=_takes_an_empty_list_for_absence),
    Sabotage(promises="I11", plot="the contract ends", undo=_breaks_before_it_makes),
    Sabotage(promises="I11", plot="the contract ends", undo=_hands_over_unproven),
    Sabotage(promises="I7 I11", plot="a spare stands still", undo=_stops_what_serves),
    Sabotage(promises="I11", plot="no restart brings the sound back", undo=_ends_what_is_silent),
    Sabotage(promises="I14", plot="a picture stutters", undo=_restarts_what_stutters),
    Sabotage(promises="I11", plot="one publisher", undo=_starts_before_it_ends),
    Sabotage(promises="I11", plot="one publisher", undo=_leaves_the_old_one_publishing),
    Sabotage(promises="I12", plot="a pause", undo=_does_not_hear_the_pause),
    Sabotage(promises="I12", plot="both hosts go", undo=_suspects_no_common_cause),
    Sabotage(promises="I13 I18", plot="nothing helps", undo=_restarts_for_ever),
    Sabotage(promises="I14", plot="SSH is dead", undo=_takes_silence_for_sickness),
    Sabotage(promises="I16", plot="a deploy fails", undo=_bears_no_grudge),
    Sabotage(promises="I17", plot="the process dies", undo=_acts_twice_at_once),
    Sabotage(promises="I18", plot="the process dies", undo=_repairs_nothing),
    Sabotage(promises="I13", plot="a bad deploy", undo=_forgives_every_deploy),
    Sabotage(promises="I13", plot="a key is refused", undo=_restarts_what_needs_a_person),
    Sabotage(promises="I13", plot="a key is refused", undo=_replaces_what_needs_a_person),
    Sabotage(promises="I13", plot="a tunnel is gone", undo=_climbs_without_end),
    Sabotage(promises="I19", plot="a key is refused", undo=_tells_no_person),
    Sabotage(
        promises="I13 I18 I19",
        plot="a restart is asked for ahead of time",
        undo=_restarts_whenever_it_is_asked,
    ),
    Sabotage(
        promises="I4 I18",
        plot="an audition comes to nothing",
        undo=_waits_for_an_audition_for_ever,
    ),
    Sabotage(
        promises="I4", plot="an audition costs too much", undo=_counts_no_dollars_of_auditions
    ),
    Sabotage(
        promises="I16", plot="an audition condemns", undo=_blames_the_container_for_its_machine
    ),
    Sabotage(promises="I18", plot="a deploy", undo=_leaves_hosts_as_they_are),
    Sabotage(promises="I19", plot="the channel is down", undo=_gives_a_message_up),
    Sabotage(promises="I19", plot="the channel is down", undo=_forgets_its_messages),
    Sabotage(promises="I19", plot="keeper dies in the dark", undo=_forgets_what_it_told),
    Sabotage(promises="I19", plot="dark in a pause", undo=_tells_nobody),
    Sabotage(promises="I7 I18 I20", plot="an end is refused", undo=_pursues_nothing),
    Sabotage(promises="I21", plot="the process dies", undo=_stops_looking),
    Sabotage(promises="I21", plot="a quiet day", undo=_has_a_bug),
    Sabotage(promises="I22", plot="a start fails", undo=_repeats_what_hosts_say),
    Sabotage(promises="I22", plot="a quiet day", undo=_rents_with_its_secrets),
    Sabotage(promises="I23", plot="another host key", undo=_trusts_any_host_key),
    Sabotage(promises="I24", plot="many ends at once", undo=_does_not_wait_its_turn),
)
