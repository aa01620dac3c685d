"""Acts: every one ends in an outcome, and no outcome tells a secret."""

import asyncio
from dataclasses import dataclass, field

import pytest

from keeper.core.decisions import Deploy, Destroy, Rent, Start, Stop
from keeper.core.model import (
    InstanceId,
    IntentId,
    IntentKind,
    MachineId,
    OfferId,
    RentalSpec,
    SlotId,
)
from keeper.core.reasons import Reason
from keeper.core.world import Outcome, OutcomeKind
from keeper.daemon.execute import Executor
from keeper.ports import (
    Command,
    CommandResult,
    Heard,
    Invalid,
    Missing,
    OutOfCredit,
    Queued,
    RateLimited,
    Transient,
    Unauthorized,
    Uncertain,
    Unreachable,
)
from keeper.sim.loop import VirtualClock, run
from keeper.workloads.audition import Check

SLOT = SlotId("duel/0")
SECRET = "live_4f9a0c77d1"
DEPLOY = Deploy(
    slot=SLOT, reason=Reason.NOT_DEPLOYED, intent_id=IntentId("1"), instance_id=InstanceId(7)
)
RENT = Rent(
    slot=SLOT, reason=Reason.VACANT, intent_id=IntentId("1"), label="keeper:1:duel/0:1",
    offer_id=OfferId(1), machine_id=MachineId(1), dollars_per_hour=1.0,
    spec=RentalSpec(image="x", disk_gb=16.0),
)  # fmt: skip
STOP = Stop(
    slot=SLOT, reason=Reason.SPARE_PROVEN, intent_id=IntentId("1"), instance_id=InstanceId(7)
)
DESTROY = Destroy(
    slot=SLOT, reason=Reason.SPARE_EXPIRED, intent_id=IntentId("1"), instance_id=InstanceId(7),
    label="keeper:1:duel/0:1",
)  # fmt: skip
START = Start(slot=SLOT, reason=Reason.VACANT, intent_id=IntentId("1"), instance_id=InstanceId(7))


@dataclass
class _Outside:
    """The marketplace, the hosts, the watch, a link and a workload in one; only what acts need."""

    stderr: str = ""
    error: BaseException | None = None
    hangs: bool = False
    public_key: str = "ssh-ed25519 A"
    calls: list[str] = field(default_factory=list)

    async def create(
        self,
        offer_id: OfferId,
        label: str,
        spec: RentalSpec,
        *,
        bid_dollars_per_hour: float | None = None,
    ) -> InstanceId:
        await self._do("create")
        return InstanceId(7)

    async def stop(self, instance_id: InstanceId) -> None:
        await self._do(f"stop {instance_id}")

    async def start(self, instance_id: InstanceId) -> None:
        await self._do(f"start {instance_id}")

    async def destroy(self, instance_id: InstanceId) -> None:
        await self._do(f"destroy {instance_id}")

    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        self.calls.append("attach_key")

    async def link(self, instance_id: InstanceId, timeout_s: float) -> "_Outside":
        return self

    async def run(self, command: Command, heard: Heard | None = None) -> CommandResult:
        await self._do(command.name)
        return CommandResult(exit_code=1, stdout="", stderr=self.stderr)

    def target(self, instance_id: InstanceId) -> None:
        return None

    def audition(self) -> tuple[Check, ...]:
        return ()

    def deploy(self) -> tuple[Command, ...]:
        return (Command(name="deploy.start", script="true"),)

    async def _do(self, name: str) -> None:
        self.calls.append(name)
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.error is not None:
            raise self.error


def _outcome(
    act: Rent | Deploy | Stop | Start | Destroy, outside: _Outside
) -> tuple[Outcome, list[object]]:
    outcomes: list[Outcome] = []
    bugs: list[object] = []

    async def play() -> None:
        executor = Executor(
            marketplace=outside,  # type: ignore[arg-type]
            hosts=outside,  # type: ignore[arg-type]
            network=outside,  # type: ignore[arg-type]
            watch=outside,  # type: ignore[arg-type]
            clock=VirtualClock(),
            workload_of=lambda *_: outside,  # type: ignore[arg-type]
            spawn=lambda work, name: asyncio.create_task(work, name=name),
            finished=outcomes.append,
            bug=bugs.append,
            redact=lambda text: text.replace(SECRET, "[redacted]"),
        )
        executor.start((act,))
        if isinstance(act, Destroy):
            assert executor.instances_in_flight == {act.instance_id}
        else:
            assert executor.slots_in_flight == {SLOT}
        assert await executor.drain(3600.0)
        assert not executor.slots_in_flight
        assert not executor.instances_in_flight

    run(play())
    (outcome,) = outcomes
    return outcome, bugs


@pytest.mark.parametrize("before", range(370, 420))
def test_no_part_of_a_secret_is_left_where_output_is_cut(before: int) -> None:
    """The tail was cut first, and half a secret is not recognised."""
    outside = _Outside(stderr=f"+ export KEY={SECRET}" + "x" * before)
    outcome, _ = _outcome(DEPLOY, outside)
    assert outcome.kind is OutcomeKind.FAILED
    for length in range(6, len(SECRET) + 1):
        assert SECRET[-length:] not in outcome.error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Uncertain("no answer"), OutcomeKind.UNCERTAIN),
        (Transient("busy"), OutcomeKind.FAILED),
        (TimeoutError(), OutcomeKind.UNCERTAIN),
        (ValueError("a bug"), OutcomeKind.UNCERTAIN),
    ],
    ids=["in doubt", "nothing happened", "out of time", "a bug half way"],
)
def test_a_create_that_went_wrong_is_in_doubt_unless_it_was_not_sent(
    error: Exception, kind: OutcomeKind
) -> None:
    outcome, bugs = _outcome(RENT, _Outside(error=error))
    assert outcome.kind is kind
    assert bool(bugs) is isinstance(error, ValueError)


def test_a_create_that_hangs_ends_in_doubt_at_its_deadline() -> None:
    outcome, _ = _outcome(RENT, _Outside(hangs=True))
    assert outcome.kind is OutcomeKind.UNCERTAIN
    assert outcome.duration_s == pytest.approx(120.0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Unreachable("the SSH link is lost"), Reason.LINK_LOST), (Transient("busy"), None)],
    ids=["the link", "anything else"],
)
@pytest.mark.parametrize("act", [DEPLOY, DESTROY], ids=["deploy", "destroy"])
def test_what_a_lost_link_cut_short_or_kept_here_says_so(
    act: Deploy | Destroy, error: Exception, reason: Reason | None
) -> None:
    outcome, _ = _outcome(act, _Outside(error=error))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, reason)


@pytest.mark.parametrize(("act", "kind"), [(STOP, IntentKind.STOP), (START, IntentKind.START)])
def test_an_order_to_stop_or_start_is_one_call(act: Stop | Start, kind: IntentKind) -> None:
    outside = _Outside()
    outcome, _ = _outcome(act, outside)
    assert outside.calls == [f"{act.name} 7"]
    assert (outcome.kind, outcome.intent, outcome.instance_id) == (OutcomeKind.DONE, kind, 7)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (Uncertain("no answer"), OutcomeKind.UNCERTAIN, None),
        (Queued("state change queued"), OutcomeKind.UNCERTAIN, Reason.START_QUEUED),
        (TimeoutError(), OutcomeKind.UNCERTAIN, None),
        (ValueError("a bug"), OutcomeKind.UNCERTAIN, None),
        (OutOfCredit("spent"), OutcomeKind.FAILED, Reason.OUT_OF_CREDIT),
        (Unauthorized("no"), OutcomeKind.FAILED, Reason.UNAUTHORIZED),
        (RateLimited("slower"), OutcomeKind.FAILED, Reason.BACKING_OFF),
        (Unreachable("not sent"), OutcomeKind.FAILED, Reason.BACKING_OFF),
        (Invalid("it has expired"), OutcomeKind.FAILED, Reason.NO_SUITABLE_OFFER),
        (Missing("gone"), OutcomeKind.FAILED, None),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_an_order_that_may_have_been_taken_is_in_doubt(
    error: Exception, kind: OutcomeKind, reason: Reason | None
) -> None:
    """Only a clear no says that nothing happened; a listing settles the rest."""
    for act in (STOP, START):
        outside = _Outside(error=error)
        outcome, _ = _outcome(act, outside)
        assert (outcome.kind, outcome.reason) == (kind, reason)
        assert len(outside.calls) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, OutcomeKind.DONE),
        (Missing("it does not exist"), OutcomeKind.DONE),  # what it was for
        (Transient("busy"), OutcomeKind.FAILED),
        (Unauthorized("no"), OutcomeKind.FAILED),
        (TimeoutError(), OutcomeKind.UNCERTAIN),
        (ValueError("a bug"), OutcomeKind.FAILED),  # it is asked for again
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_an_end_is_done_where_there_is_nothing_to_end(
    error: Exception | None, kind: OutcomeKind
) -> None:
    outside = _Outside(error=error)
    outcome, _ = _outcome(DESTROY, outside)
    assert outside.calls == ["destroy 7"]
    assert (outcome.kind, outcome.intent, outcome.instance_id) == (kind, IntentKind.DESTROY, 7)
