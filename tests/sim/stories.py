"""The stories in which keeper is cut off: between them they pass every await of the daemon."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from typing_extensions import override

from keeper.core.model import Meaning, Mode, OfferId, Publishers, RentalSpec, Status, StreamName
from keeper.core.spare import SpareKind, Spares
from keeper.core.world import OrderKind
from keeper.daemon.declared import Declared
from keeper.ports import Command, CommandResult, Job, Parcel
from keeper.sim.ailments import Cure
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.opsbox import OpsBox
from keeper.sim.universe import Universe
from keeper.sim.virtual_hosts import CRASHES, JobOrder, VirtualHost
from keeper.workloads import Drain, Step, View, ViewKind
from keeper.workloads.audition import Check, CheckName, Finding, PortLook
from keeper.workloads.command import CommandSettings, OperatorCommand
from tests.archives import MemoryArchive
from tests.sim.interrupted import SLOT, Change, Deed, Story, give

_DUEL = StreamName("duel")
_SEARCHES = "POST /bundles/"
_LISTS = "GET /instances/"
_KEYS = "* /ssh/"
_LULL_S = 90.0


def _fault(
    kind: FaultKind, *, for_s: float | None = None, count: int | None = None, **params: object
) -> Fault:
    return Fault(kind=kind, at=0.0, for_s=for_s, count=count, params=params)


# --- what operators and fate do beside orders and faults ------------------------------------------


async def _rent_one_offer(universe: Universe, box: OpsBox) -> None:
    """Ask for one offer by its number while no other is to be had."""
    ask = next(ask for ask in universe.market.asks() if ask.machine.has_display)
    await give(box, OrderKind.RENT, OfferId(ask.offer_id))


async def _meet_a_bug(universe: Universe, box: OpsBox) -> None:
    """Let the canary die of a bug, once."""
    if box.daemon is None:
        return
    canary = box.daemon.crew.canary
    network = canary._network

    class Broken:
        async def dial(self, *_: object) -> None:
            canary._network = network
            raise RuntimeError("a bug")

    canary._network = Broken()  # type: ignore[assignment]


async def _restart_while_the_link_breaks(universe: Universe, box: OpsBox) -> None:
    """Order a restart in the second in which there is no link to carry it."""
    _break_links(universe)
    await give(box, OrderKind.RESTART)


async def _forget_addresses(universe: Universe, box: OpsBox) -> None:
    """Let the marketplace list a running rental without any address for a minute."""
    contracts = list(universe.market.contracts.values())
    known = [contract.endpoints for contract in contracts]
    for contract in contracts:
        contract.endpoints = None
    await asyncio.sleep(40.0)
    _break_links(universe)
    await asyncio.sleep(20.0)
    for contract, endpoints in zip(contracts, known, strict=True):
        contract.endpoints = endpoints
    universe.wind()


def _break_links(universe: Universe) -> None:
    for host in universe.hosts.by_instance.values():
        for listener in list(host.listeners):
            listener.lost("broken by a story")


def _stop_when(act: str) -> Deed:
    """Stop keeper in order while it does something."""

    async def stop(universe: Universe, box: OpsBox) -> None:
        for _ in range(6000):
            daemon = box.daemon
            if daemon is not None:
                executor = daemon.crew.executor
                tasks = (*executor._slots.values(), *executor._destroys.values())
                if any(task.get_name().startswith(f"act:{act}:") for task in tasks):
                    daemon.stop("a story")
                    return
            await asyncio.sleep(0.1)

    return stop


async def _stop_in_a_long_step(universe: Universe, box: OpsBox) -> None:
    """Stop keeper in order while a host works on a job, and again while a big file is sent to it."""
    for is_due in (
        lambda host: any(job.exit_code is None for job in host.jobs.values()),
        lambda host: any(pieces == 1 for _, pieces in host.parcels.values()),
    ):
        for _ in range(6000):
            daemon = box.daemon
            if daemon is not None and any(map(is_due, universe.hosts.by_instance.values())):
                daemon.stop("a story")
                break
            await asyncio.sleep(0.5)


async def _lose_links_while_it_is_sent(universe: Universe, box: OpsBox) -> None:
    """Let a link be lost while a big file goes over it, and stay away for a while."""
    for _ in range(6000):
        found = universe.hosts.by_instance.values()
        if any(pieces == 2 for host in found for _, pieces in host.parcels.values()):
            break
        await asyncio.sleep(0.5)
    universe.own_network_is_down = True
    _break_links(universe)
    await asyncio.sleep(30.0)
    universe.own_network_is_down = False


def _mailbox(status: int, for_s: float) -> Deed:
    async def refuse(universe: Universe, box: OpsBox) -> None:
        universe.mailbox.refuses_with = status
        universe.mailbox.refuse_until = universe.time_s() + for_s

    return refuse


# --- what they declare ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shut(OperatorCommand):
    """A workload whose viewers come through SSH."""

    @override
    def rental(self) -> RentalSpec:
        return replace(OperatorCommand.rental(self), ports=())


@dataclass(frozen=True, slots=True)
class _Choosy(OperatorCommand):
    """A workload whose host must be put right first, and whose port must be reached."""

    is_right: list[bool] = field(default_factory=list)

    @override
    def audition(self) -> tuple[Check, ...]:
        look = Command(name="audition.icd", script="cat icd.json")
        opener = Command(name="audition.opener", script="listen")
        mend = Command(name="audition.icd.fix", script="write icd.json")
        port = PortLook(container_port=8000, opener=opener)
        return (
            Check(
                name=CheckName.VULKAN_ICD, expected="one", look=look, judge=self._judge, fix=mend
            ),
            Check(name=CheckName.PORT, expected="open", look=port, judge=_forgiving),
        )

    def _judge(self, _result: CommandResult, _now: datetime) -> Finding:
        is_right = bool(self.is_right)
        self.is_right.append(True)
        return Finding(
            check=CheckName.VULKAN_ICD,
            status=Status.TRUE if is_right else Status.FALSE,
            saw="one" if is_right else "none",
            expected="one",
            meaning=None if is_right else Meaning.FIX,
        )


@dataclass(frozen=True, slots=True)
class _Patient(OperatorCommand):
    """A workload with a long step before its start, and viewers who want to see the end."""

    @override
    def deploy(self) -> tuple[Step, ...]:
        job = Job(name="deploy.model", script="fetch it", timeout_s=20.0, mark="model 1")
        parcel = Parcel(
            name="deploy.archive", local_path="/srv/game.zip", sha256="ab" * 32,
            path="/workspace/archive", timeout_s=600.0,
        )  # fmt: skip
        after = Command(name="deploy.after", script="say much", output_max_bytes=8, is_closing=True)
        return (job, parcel, *OperatorCommand.deploy(self), after)

    @override
    def drain(self) -> Drain:
        return Drain(
            begin=(Command(name="drain.begin", script="end after this one"),),
            look=Command(name="drain.look", script="has it ended?"),
            bound_s=60.0,
        )


@dataclass(frozen=True, slots=True)
class _Watched(OperatorCommand):
    """A workload whose viewers can be asked after, and stay for a while."""

    @override
    def drain(self) -> Drain:
        look = Command(name="lull.look", script="does nobody watch?")
        return Drain(begin=(), look=look, bound_s=_LULL_S)


def _with_viewers(declared: Declared) -> Declared:
    running = _running("tcp", _Watched)(declared)
    (stream,) = running.desired.streams
    stream = replace(stream, lull_max_s=_LULL_S)
    return replace(running, desired=replace(running.desired, streams=(stream,)))


async def _let_viewers_stay(universe: Universe, box: OpsBox) -> None:
    """Let viewers stay for some looks, and one of these not be answered."""
    hosts = universe.hosts
    carry_out, looks = hosts.carry_out, [1, 2, 1]

    def carried_out(
        host: VirtualHost, name: str, env: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, str]:
        if name == "lull.look" and looks:
            return looks.pop(), "somebody watches"
        return carry_out(host, name, env)

    hosts.carry_out = carried_out  # type: ignore[method-assign]


async def _trouble_a_job(universe: Universe, box: OpsBox) -> None:
    """Let a host answer nonsense, lose what a job has printed, be busy, and not end it in time."""
    hosts = universe.hosts
    begin, stands, carry_out = hosts.begin_job, hosts.job_stands, hosts.carry_out
    begun = ["job busy - 0 0 none\nanother\n"]
    standing = [
        "what?", "job running - 0 6 x\nhello\n", "job running - 90 96 x\nhello\n",
        *["job running - 96 96 x\n"] * 45,
    ]  # fmt: skip
    begins, looks, fails = [1], [1, 1], [1]

    def begin_job(host: VirtualHost, order: JobOrder) -> str:
        return begun.pop() if begun else begin(host, order)

    def job_stands(host: VirtualHost, name: str) -> str:
        if name in host.jobs and host.jobs[name].is_taken:
            standing.clear()
        return standing.pop(0) if standing and host.jobs else stands(host, name)

    def carried_out(
        host: VirtualHost, name: str, env: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, str]:
        if name == "drain.begin" and begins:
            return begins.pop(), "another time"
        if name == "drain.look" and looks:
            return looks.pop(), ""
        if name == "deploy.model" and fails:
            return fails.pop(), "broken"
        return carry_out(host, name, env)

    hosts.begin_job, hosts.job_stands = begin_job, job_stands  # type: ignore[method-assign]
    hosts.carry_out = carried_out  # type: ignore[method-assign]
    await asyncio.sleep(0.0)
    for _ in range(6000):
        if any(host.jobs for host in hosts.by_instance.values()):
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(5.0)
    _break_links(universe)


async def _stick_the_archive(universe: Universe, box: OpsBox) -> None:
    """Let a disk hang, and order a host's end."""
    assert isinstance(box._archive, MemoryArchive)
    box._archive.is_stuck = True
    await give(box, OrderKind.DESTROY)


def _forgiving(_result: CommandResult, _now: datetime) -> Finding:
    return Finding(check=CheckName.PORT, status=Status.TRUE, saw="open", expected="open")


@dataclass(frozen=True, slots=True)
class _Played(OperatorCommand):
    """A workload whose viewers are players."""

    @override
    def view(self) -> View:
        return View(kind=ViewKind.WEBRTC, container_port=8000)


def _looked_at(kind: str, *, is_shut: bool) -> Change:
    return _running(kind, _Shut if is_shut else OperatorCommand)


def _running(kind: str, made: type[OperatorCommand]) -> Change:
    def change(declared: Declared) -> Declared:
        settings = CommandSettings.model_validate(
            {
                "kind": "command", "image": "arena:1", "ports": [], "start": "./serve",
                "view": {"kind": kind, "port": 8000},
            }
        )  # fmt: skip
        workload = made(settings, {})
        (stream,) = declared.desired.streams
        stream = replace(stream, rental=workload.rental(), rungs=workload.rungs())
        return replace(
            declared,
            desired=replace(declared.desired, streams=(stream,)),
            workloads={_DUEL: workload},
        )

    return change


def _registering(declared: Declared) -> Declared:
    return replace(declared, register_ssh_key=True)


def _guarded(declared: Declared, after_s: float | None = 1800.0) -> Declared:
    (stream,) = declared.desired.streams
    streams = (replace(stream, policy=replace(stream.policy, dead_man_after_s=after_s)),)
    desired = replace(declared.desired, streams=streams)
    return replace(declared, desired=desired, api_url="https://market.example")


async def _take_the_guard_away(universe: Universe, box: OpsBox) -> None:
    """Let the stream have no dead man any more, as a reload does."""
    if box.daemon is not None:
        box.daemon.ground.declared = _guarded(box.daemon.ground.declared, None)
        box.daemon.nudge()


def _quickly_proven(declared: Declared) -> Declared:
    (stream,) = declared.desired.streams
    stream = replace(stream, policy=replace(stream.policy, deploy_proof_s=60.0))
    return replace(declared, desired=replace(declared.desired, streams=(stream,)))


def _deploy(flaw: str = "") -> Deed:
    """Declare something else, and let keeper read it."""

    async def release(universe: Universe, box: OpsBox) -> None:
        assert box.releases is not None
        box.releases.release(0, flaw)
        box.note_order(SLOT)
        box.reload()

    return release


def _spared(declared: Declared) -> Declared:
    """Declare a spare on which everything is, and nothing started."""
    (stream,) = declared.desired.streams
    streams = (replace(stream, spares=Spares(count=1, is_started=False)),)
    return replace(declared, desired=replace(declared.desired, streams=streams))


def _still(declared: Declared) -> Declared:
    """Declare a spare that stands still once everything is on it."""
    (stream,) = declared.desired.streams
    spares = Spares(count=1, kind=SpareKind.STOPPED, is_started=False)
    streams = (replace(stream, spares=spares),)
    return replace(declared, desired=replace(declared.desired, streams=streams))


def _keyed(declared: Declared) -> Declared:
    """Declare that the ingest takes one publisher."""
    (stream,) = declared.desired.streams
    streams = (replace(stream, publishers=Publishers.ONE),)
    return replace(declared, desired=replace(declared.desired, streams=streams))


async def _spoil_the_next_host(universe: Universe, box: OpsBox) -> None:
    """Let what is started on the next host die again and again, and order that host."""
    known = set(universe.hosts.by_instance)
    await give(box, OrderKind.REPLACE)
    async with asyncio.timeout(600.0):
        while not (new := universe.hosts.by_instance.keys() - known):  # noqa: ASYNC110
            await asyncio.sleep(1.0)
    universe.hosts.by_instance[new.pop()].troubles[FaultKind.CRASH_LOOP] = Cure.REPLACE


async def _end_the_host(universe: Universe, box: OpsBox) -> None:
    """Let somebody else end the host of the slot, and nothing else."""
    record = box.disk.records.get(SLOT)
    tenure = None if record is None else record.tenure
    if tenure is not None and tenure.instance_id in universe.market.contracts:
        universe.market.destroy(tenure.instance_id)
        universe.wind()


def _watching(declared: Declared) -> Declared:
    (stream,) = declared.desired.streams
    streams = (replace(stream, mode=Mode.OBSERVE),)
    return replace(declared, desired=replace(declared.desired, streams=streams))


# --- the stories ----------------------------------------------------------------------------------

# Rents, deploys, restarts by order and by itself, hands over, destroys and rents again.
LIFE = Story(
    name="life",
    acts=(
        (320.0, OrderKind.RESTART),
        (420.0, _fault(FaultKind.PROCESS_KILLED)),
        (520.0, OrderKind.REPLACE),
        (1150.0, OrderKind.DESTROY),
        (1300.0, OrderKind.RESUME),
    ),
    thorough_from_s=0.0,
    over_s=1700.0,
)

STORIES = (
    LIFE,
    Story(
        name="repair",
        acts=(
            (300.0, _fault(FaultKind.PICTURE_FROZEN, cured_by="reboot")),
            (1900.0, _fault(FaultKind.GPU_LOST)),
        ),
        thorough_from_s=300.0,
        over_s=2700.0,
    ),
    Story(
        name="lost links",
        acts=(
            (200.0, _restart_while_the_link_breaks),
            (300.0, _fault(FaultKind.SSH_DEAD_WHILE_RUNNING, for_s=60.0)),
            (400.0, _fault(FaultKind.ADDRESS_CHANGES)),
            (500.0, _forget_addresses),
        ),
        thorough_from_s=200.0,
        over_s=800.0,
    ),
    Story(
        name="bids",
        acts=((300.0, _fault(FaultKind.OUTBID, by="rival")),),
        thorough_from_s=300.0,
        over_s=900.0,
        bidders=frozenset({"duel"}),
    ),
    Story(
        name="scarcity",
        acts=(
            (0.0, _fault(FaultKind.SEARCH_EMPTY, for_s=60.0)),
            (0.0, _fault(FaultKind.HTTP_502, count=1, endpoint=_SEARCHES)),
            (30.0, _rent_one_offer),
            (60.0, _fault(FaultKind.HTTP_502, for_s=40.0, endpoint=_LISTS)),
        ),
        thorough_from_s=0.0,
        over_s=700.0,
    ),
    Story(
        name="messages",
        acts=(
            (250.0, _mailbox(503, 200.0)),
            (250.0, _fault(FaultKind.HOST_VANISHES, absent_after_s=60.0)),
            (700.0, _mailbox(410, 3600.0)),
            (1100.0, _fault(FaultKind.GPU_LOST)),
            (1800.0, _fault(FaultKind.GPU_LOST)),
        ),
        over_s=2600.0,
    ),
    Story(name="two at once", replicas=2, thorough_from_s=0.0, over_s=500.0),
    Story(
        name="one key for all",
        acts=((0.0, _fault(FaultKind.HTTP_502, count=1, endpoint=_KEYS)),),
        over_s=400.0,
        change=_registering,
    ),
    Story(
        name="a spare",
        acts=((600.0, OrderKind.REPLACE), (1000.0, _end_the_host)),
        thorough_from_s=1000.0,
        over_s=1500.0,
        spares=1,
        change=_spared,
    ),
    Story(
        name="a spare that stands still",
        acts=((400.0, _end_the_host),),
        thorough_from_s=322.0,  # from the order to stop until it is the slot's host
        thorough_until_s=461.0,
        over_s=600.0,
        spares=1,
        change=_still,
    ),
    Story(
        name="one publisher",
        acts=((400.0, OrderKind.REPLACE),),
        thorough_from_s=500.0,  # from the order to change places until the old host is to end
        thorough_until_s=640.0,
        over_s=900.0,
        change=_keyed,
        has_one_publisher=True,
    ),
    Story(
        name="one publisher, and the next host shows nothing",
        acts=((400.0, _spoil_the_next_host),),
        thorough_from_s=625.0,  # from the order to go back until the new host is to end
        thorough_until_s=660.0,
        over_s=1900.0,
        calm_s=3000.0,
        change=_keyed,
        has_one_publisher=True,
    ),
    Story(name="by http", over_s=400.0, change=_looked_at("http", is_shut=False)),
    Story(name="by tcp through ssh", over_s=400.0, change=_looked_at("tcp", is_shut=True)),
    Story(name="by picture", over_s=400.0, change=_looked_at("mjpeg", is_shut=False)),
    Story(name="by playlist", over_s=400.0, change=_looked_at("hls", is_shut=False)),
    Story(name="by a player", over_s=400.0, change=_running("tcp", _Played)),
    Story(name="an audition", thorough_from_s=0.0, over_s=400.0, change=_running("tcp", _Choosy)),
    Story(
        name="long steps and last words",
        acts=(
            (0.0, _trouble_a_job),
            (0.0, _lose_links_while_it_is_sent),
            (800.0, OrderKind.RESTART),
            (900.0, OrderKind.DESTROY),
            (960.0, OrderKind.RESUME),
            (1500.0, _stick_the_archive),
            (1560.0, OrderKind.RESUME),
        ),
        thorough_from_s=880.0,
        thorough_until_s=960.0,
        over_s=2000.0,
        change=_running("tcp", _Patient),
        has_archive=True,
    ),
    Story(
        name="stop in a long step",
        acts=((0.0, _stop_in_a_long_step),),
        thorough_from_s=0.0,
        over_s=900.0,
        change=_running("tcp", _Patient),
        has_archive=True,
    ),
    Story(name="a bug", acts=((200.0, _meet_a_bug),), over_s=400.0, meets_bugs=True),
    Story(
        name="stop",
        acts=((0.0, _stop_when("deploy")),),
        thorough_from_s=0.0,
        over_s=700.0,
    ),
    Story(
        name="viewers who stay",
        acts=((0.0, _let_viewers_stay), (260.0, OrderKind.REPLACE)),
        over_s=900.0,
        change=_with_viewers,
    ),
    Story(
        name="stop on air",
        acts=((300.0, OrderKind.REPLACE), (310.0, _stop_when("destroy"))),
        thorough_from_s=300.0,
        over_s=1200.0,
    ),
    Story(
        name="a dead man",
        acts=((260.0, _take_the_guard_away),),
        over_s=500.0,
        change=_guarded,
    ),
    Story(
        name="deploys",
        acts=((320.0, _deploy(CRASHES)), (460.0, _deploy())),
        thorough_from_s=320.0,
        over_s=640.0,
        change=_quickly_proven,
        has_releases=True,
        rentals_max=1,
    ),
    Story(name="alone", thorough_from_s=0.0, over_s=400.0, is_alone=True),
    Story(name="a night", over_s=22_000.0, change=_watching, is_dark=True),
)
