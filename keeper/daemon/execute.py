"""Carries out decisions, one act at a time per slot, and answers each with an Outcome.

The intent is on disk before anything here runs. Errors become values: Done, Failed or Uncertain, and
an Uncertain act is never tried again; the next observation settles it. A bug while acting for one
slot becomes a failed outcome of that slot and a fact, and the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

from keeper.core.decisions import (
    Act,
    Adopt,
    Deploy,
    Destroy,
    Prepare,
    Promote,
    Rebid,
    Reboot,
    Rent,
    Restart,
    Start,
    Stop,
    Swap,
)
from keeper.core.events import SlotBug
from keeper.core.model import InstanceId, IntentId, IntentKind, Rung, SlotId
from keeper.core.reasons import Reason
from keeper.core.world import Outcome, OutcomeKind
from keeper.daemon.archiving import Archiving
from keeper.daemon.auditioning import Auditioning, Shown
from keeper.daemon.deploy_log import DeployLog
from keeper.daemon.draining import Drained, Draining
from keeper.daemon.error_line import describe, shortened
from keeper.daemon.jobs import Jobs
from keeper.daemon.letting_go import LettingGo
from keeper.daemon.parting import Leaving, Parting
from keeper.daemon.putting import Putting
from keeper.daemon.swapping import Swapper
from keeper.daemon.watch import Watch
from keeper.ports import (
    Clock,
    CommandFailed,
    Hosts,
    Invalid,
    Link,
    LocalFileUnfit,
    Marketplace,
    Missing,
    Network,
    OfferGone,
    OutOfCredit,
    Parcel,
    PortError,
    Queued,
    RateLimited,
    Refused,
    Transient,
    Unauthorized,
    Uncertain,
    Unreachable,
    Upload,
)
from keeper.workloads import Step, Workload

_LINK_WAIT_S = 20.0
_ACTS_AT_ONCE = 64  # more than this many hosts need something at once only when a breaker is broken
# Above what its steps say together: they end first, and say why. The ceiling is for the sum.
_DEPLOY_DEADLINE_S = 1800.0
_DEPLOY_DEADLINE_MAX_S = 7200.0
_DEPLOY_SLACK_S = 300.0
_RESTART_DEADLINE_S = 180.0
_MARKET_DEADLINE_S = 120.0
_ARCHIVE = "archive"  # as a check of the audition: what keeper is to send

# What has an effect outside of keeper's own records.
_Outside = Rent | Deploy | Prepare | Restart | Swap | Reboot | Stop | Start | Rebid | Destroy


async def _nobody_in_the_way(_slot: SlotId, _kind: IntentKind) -> None:
    """Nobody of keeper's publishes."""


class _Unfit(Refused):
    """A host has failed its audition: nothing was put on it."""


class Executor:
    """The acts under way."""

    def __init__(
        self,
        *,
        marketplace: Marketplace,
        hosts: Hosts,
        network: Network,
        watch: Watch,
        clock: Clock,
        workload_of: Callable[[SlotId, str], Workload | None],
        spawn: Callable[..., asyncio.Task[None]],
        finished: Callable[[Outcome], None],
        bug: Callable[[SlotBug], None],
        redact: Callable[[str], str],
        archiving: Archiving | None = None,
        parting: Parting | None = None,
        draining: Draining | None = None,
        make_way: Callable[[SlotId, IntentKind], Awaitable[None]] = _nobody_in_the_way,
    ) -> None:
        self._marketplace = marketplace
        self._hosts = hosts
        self._watch = watch
        self._clock = clock
        self._workload_of = workload_of
        self._spawn = spawn
        self._finished = finished
        self._bug = bug
        self._redact = redact
        self._parting = parting
        self._draining = draining
        self._make_way = make_way
        self._leaving: dict[InstanceId, Leaving] = {}
        self._archiving = archiving or Archiving(None, clock, redact=redact)
        self._letting_go = LettingGo()
        self._putting = Putting(redact=redact, jobs=Jobs(clock=clock), letting_go=self._letting_go)
        self._auditioning = Auditioning(network=network, clock=clock, redact=redact)
        self._bound = asyncio.Semaphore(_ACTS_AT_ONCE)
        self._shown: dict[IntentId, Shown] = {}  # by hosts, in the acts under way
        self._swapping = Swapper(watch, self._putting, clock, self._workload)
        self._slots: dict[SlotId, asyncio.Task[None]] = {}
        self._destroys: dict[InstanceId, asyncio.Task[None]] = {}

    @property
    def slots_in_flight(self) -> frozenset[SlotId]:
        """Slots with an act under way."""
        return frozenset(self._slots) if self._slots else frozenset()

    @property
    def instances_in_flight(self) -> frozenset[InstanceId]:
        """Rentals with a destroy under way."""
        return frozenset(self._destroys) if self._destroys else frozenset()

    def start(self, acts: tuple[Act, ...]) -> None:
        """Begin the acts; their outcomes arrive by ``finished``."""
        for act in acts:
            if isinstance(act, Adopt | Promote):
                continue  # the record is the whole effect
            if isinstance(act, Destroy):
                instance_id = act.instance_id
                if instance_id not in self._destroys:
                    # Now: in a moment it is watched no longer, and its link is lost.
                    leaving = None if self._parting is None else self._parting.take(act)
                    if leaving is not None:
                        self._leaving[instance_id] = leaving
                    self._destroys[instance_id] = self._spawn(
                        self._carry_out(act), f"act:destroy:{instance_id}"
                    )
            elif act.slot not in self._slots:
                self._slots[act.slot] = self._spawn(
                    self._carry_out(act), f"act:{act.name}:{act.slot}"
                )

    async def drain(self, timeout_s: float) -> bool:
        """Wait for what is under way; False when something did not finish in time.

        What goes on without keeper is let go of at once, and is an open intent at the next start.
        """
        self._letting_go.ask()
        tasks = [*self._slots.values(), *self._destroys.values()]
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks, timeout=timeout_s)
        return not late

    async def _carry_out(self, act: _Outside) -> None:
        started_s = self._clock.monotonic()
        instance_id: InstanceId | None = None if isinstance(act, Rent) else act.instance_id
        kind, reason, error, retry_after_s = OutcomeKind.DONE, None, "", None
        try:
            async with self._bound:
                await self._audition(act)
                await self._have_way_made(act)
                made = await self._do(act)
            instance_id = made or instance_id
        except Missing as missing:
            if not isinstance(act, Destroy):
                kind, error = OutcomeKind.FAILED, describe(missing)
        except Uncertain as doubt:
            kind, error = OutcomeKind.UNCERTAIN, describe(doubt)
            instance_id = doubt.instance_id or instance_id
            reason = Reason.START_QUEUED if isinstance(doubt, Queued) else None
        except PortError as refusal:
            kind, error, reason = OutcomeKind.FAILED, describe(refusal), _reason_of(refusal)
            if isinstance(refusal, Unreachable) and isinstance(act, Deploy | Destroy):
                reason = Reason.LINK_LOST
            if isinstance(refusal, Transient):
                retry_after_s = refusal.retry_after_s
                if isinstance(act, Stop | Start):
                    reason = Reason.BACKING_OFF  # nothing happened there, and nobody said no
        except TimeoutError as late:
            # Our own deadline cut the call short: for a create nobody knows what became of it.
            kind, error = OutcomeKind.UNCERTAIN, describe(late) or "ran out of time"
        except Exception as bug:  # noqa: BLE001 - net 1 of 2: a bug holds one slot, not the fleet
            # A create that met a bug half way may have left, or a start; listings must settle it.
            is_open = isinstance(act, Rent | Stop | Start)
            kind = OutcomeKind.UNCERTAIN if is_open else OutcomeKind.FAILED
            error = describe(bug)
            if act.slot is not None:
                self._bug(SlotBug(slot=act.slot, error=error))
        finally:
            if isinstance(act, Destroy):
                self._destroys.pop(act.instance_id, None)
            else:
                self._slots.pop(act.slot, None)
        shown = self._shown.pop(act.intent_id, None)
        self._finished(
            Outcome(
                intent_id=act.intent_id,
                intent=IntentKind(act.name),
                kind=kind,
                slot=act.slot,
                at=self._clock.now(),
                duration_s=self._clock.monotonic() - started_s,
                instance_id=instance_id,
                reason=reason,
                error=shortened(self._redact(error)),
                retry_after_s=retry_after_s,
                audition=None if shown is None else shown.audition,
                ended_at=self._swapping.ended_at(act.intent_id),
            )
        )

    async def _audition(self, act: _Outside) -> None:
        """Let a host show what it can before it gets its first workload. Raises _Unfit."""
        if not isinstance(act, Deploy | Prepare) or (isinstance(act, Deploy) and not act.is_first):
            return
        checks = self._workload(act.slot, act.revision).audition()
        target = self._watch.target(act.instance_id)
        if not checks or target is None:
            return
        link = await self._watch.link(act.instance_id, _LINK_WAIT_S)
        shown = await self._auditioning.hold(link, target.instance, checks)
        self._show(act, shown)
        if shown.audition.meaning is not None:
            raise _Unfit(f"{shown.audition.check}: {shown.audition.saw}")

    async def _have_way_made(self, act: _Outside) -> None:
        """Let whoever of keeper's own would stand in the act's way be gone before it begins."""
        if act.slot is not None:
            await self._make_way(act.slot, IntentKind(act.name))

    def _show(self, act: Deploy | Prepare, shown: Shown) -> None:
        """Keep what a host has shown for the outcome, and tell it now: a deploy takes minutes more."""
        self._shown[act.intent_id] = shown
        for fact in shown.facts(act.slot, act.instance_id):
            self._archiving.note(fact)

    async def _do(self, act: _Outside) -> InstanceId | None:
        match act:
            case Rent():
                return await self._rent(act)
            case Deploy():
                steps = self._workload(act.slot, act.revision).deploy()
                async with asyncio.timeout(_deadline_s(steps)):
                    await self._deploy(act, steps)
            case Prepare():
                steps = self._workload(act.slot, act.revision).prepare()
                async with asyncio.timeout(_deadline_s(steps)):
                    await self._deploy(act, steps)
            case Restart(rung=Rung.RESTART_PROCESS):
                await self._restart_process(act)
            case Restart():
                # All of a deploy once more, so it may take as long as one.
                steps = self._workload(act.slot, act.revision).restart_workload(act.symptom)
                async with asyncio.timeout(_deadline_s(steps)):
                    await self._deploy(act, steps)
            case Swap():
                await self._swapping.swap(act)
            case Reboot() | Stop() | Start() | Rebid():
                async with asyncio.timeout(_MARKET_DEADLINE_S):
                    await self._ask_market(act)
            case Destroy():
                leaving = self._leaving.pop(act.instance_id, None)
                if self._parting is not None and leaving is not None:
                    await self._parting.keep(leaving)
                async with asyncio.timeout(_MARKET_DEADLINE_S):
                    await self._marketplace.destroy(act.instance_id)
            case _:
                assert_never(act)
        return None

    async def _ask_market(self, act: Reboot | Stop | Start | Rebid) -> None:
        match act:
            case Reboot():
                await self._marketplace.reboot(act.instance_id)
            case Stop():
                await self._marketplace.stop(act.instance_id)
            case Start():
                await self._marketplace.start(act.instance_id)
            case Rebid():
                await self._marketplace.change_bid(act.instance_id, act.bid_dollars_per_hour)
            case _:
                assert_never(act)

    async def _rent(self, act: Rent) -> InstanceId:
        async with asyncio.timeout(_MARKET_DEADLINE_S):
            return await self._marketplace.create(
                act.offer_id, act.label, act.spec, bid_dollars_per_hour=act.bid_dollars_per_hour
            )

    async def _restart_process(self, act: Restart) -> None:
        """Restart; where a person has ordered it, when viewers lose least by it."""
        workload = self._workload(act.slot, act.revision)
        if self._draining is not None:

            async def link() -> Link:
                return await self._watch.link(act.instance_id, _LINK_WAIT_S)

            if await self._draining.before(act, workload, link) is Drained.HAS_RESTARTED:
                return
        async with asyncio.timeout(_RESTART_DEADLINE_S):
            await self._steps(act.instance_id, workload.restart_process(act.symptom))

    async def _deploy(self, act: Deploy | Prepare | Restart, steps: tuple[Step, ...]) -> None:
        """Put steps on a host and tell of each; the name of the log is in what a failure says."""
        target = self._watch.target(act.instance_id)
        label = str(act.instance_id) if target is None else target.instance.label
        log = DeployLog(
            self._archiving,
            self._clock,
            slot=act.slot,
            instance_id=act.instance_id,
            what=act.name,
        )
        await log.open(label, len(steps))
        try:
            await self._steps(act.instance_id, steps, log)
        except LocalFileUnfit as unfit:
            if isinstance(act, Restart) or (isinstance(act, Deploy) and not act.is_first):
                raise
            # As an audition that no host would pass: a person is told, and nothing is rented.
            self._show(act, self._auditioning.lacks(_ARCHIVE, str(unfit)))
            raise _Unfit(str(unfit)) from unfit
        except CommandFailed as failure:
            if log.name:
                raise CommandFailed(f"{failure} (log: {log.name})") from failure
            raise
        finally:
            log.close()

    async def _steps(
        self, instance_id: InstanceId, steps: tuple[Step, ...], log: DeployLog | None = None
    ) -> None:
        async def link() -> Link:
            return await self._watch.link(instance_id, _LINK_WAIT_S)

        await self._putting.put(await link(), steps, relink=link, log=log)

    def _workload(self, slot: SlotId, revision: str) -> Workload:
        workload = self._workload_of(slot, revision)
        if workload is None:
            message = f"{slot} is no longer in the configuration"
            raise Refused(message)
        return workload


def _deadline_s(steps: Sequence[Step]) -> float:
    """Return how long steps may take in all, so that each one's own limit comes first."""
    said_s = sum(step.timeout_s for step in steps if not isinstance(step, Upload | Parcel))
    # Beside the ceiling: how long it takes is keeper's own line's affair, and it ends where it stalls.
    sent_s = sum(step.timeout_s for step in steps if isinstance(step, Parcel))
    return sent_s + min(max(_DEPLOY_DEADLINE_S, said_s + _DEPLOY_SLACK_S), _DEPLOY_DEADLINE_MAX_S)


def _reason_of(error: PortError) -> Reason | None:
    match error:
        case _Unfit():
            return Reason.AUDITION_FAILED
        case OfferGone():
            return Reason.OFFER_GONE
        case OutOfCredit():
            return Reason.OUT_OF_CREDIT
        case Unauthorized():
            return Reason.UNAUTHORIZED
        case RateLimited():
            return Reason.BACKING_OFF
        case Invalid():
            return Reason.NO_SUITABLE_OFFER
        case _:
            return None
