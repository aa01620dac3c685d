"""Hosts without processes: what the machines of the market are in virtual time.

Each container has a process, a picture, a disk, a GPU and an SSH server, as states; commands move
them by their names, faults by their kinds. It writes into the ledger when a viewer would really see
the picture and when not, which is the truth that the auditor goes by. It knows nothing of keeper's
ports: memory.py reaches these states through them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from keeper.sim.ailments import STRENGTH, Ailment, Cure, Flaw, Shows
from keeper.sim.catalog import address_of
from keeper.sim.contract import Box, Contract, Endpoints
from keeper.sim.evidence import (
    COMMAND,
    COMMAND_ENDED,
    LINKED,
    MUTE_NO_MORE,
    PICTURE_LIVE,
    PICTURE_LOST,
    PUBLISHES,
    PUBLISHES_NO_MORE,
    SOUND_LOST,
    STARTED,
)
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.ingest import Ingest
from keeper.sim.ledger import HostEntry
from keeper.sim.market import Market
from keeper.sim.sickbed import Sickbed

_FREE_MB = 84_000
_PORTS = range(40_000, 60_000)
_SSH_TROUBLES = frozenset(
    {FaultKind.SSH_DEAD_WHILE_RUNNING, FaultKind.SSH_HANG, FaultKind.BANNER_ONLY}
)
_DIES_AGAIN = frozenset({FaultKind.CRASH_LOOP, FaultKind.GPU_LOST, FaultKind.DISPLAY_LOST})
_PROCESS_ENDS = _DIES_AGAIN | frozenset({FaultKind.DISK_FULL})
# How a deploy may fail on every host.
CRASHES, FREEZES, FAILS_TO_START = "crashes", "freezes", "fails to start"
_GUARD = ".keeper-dead-man"  # what starts one again with the container
_GUARD_RETRY_S = (10.0, 300.0)  # of a stop that was refused: the first, and the longest pause
_SUPERVISOR_TRIES = 6  # an inner supervisor gives up after so many quick deaths
_SUPERVISOR_RETRY_S = 5.0


CURED_BY = {
    FaultKind.PROCESS_KILLED: Cure.PROCESS,
    FaultKind.PROCESS_HUNG: Cure.PROCESS,
    FaultKind.PICTURE_FROZEN: Cure.PROCESS,
    FaultKind.PICTURE_BLACK: Cure.PROCESS,
    FaultKind.NO_FRAMES: Cure.PROCESS,
    FaultKind.SOUND_LOST: Cure.PROCESS,
    FaultKind.PICTURE_STUTTERS: Cure.REPLACE,
    FaultKind.CRASH_LOOP: Cure.WORKLOAD,
    FaultKind.DISK_FULL: Cure.WORKLOAD,
    FaultKind.SSH_DEAD_WHILE_RUNNING: Cure.REBOOT,
    FaultKind.SSH_HANG: Cure.REBOOT,
    FaultKind.BANNER_ONLY: Cure.REBOOT,
    FaultKind.GPU_LOST: Cure.REPLACE,
    FaultKind.DEPLOY_FAILS: Cure.REPLACE,
    FaultKind.DISPLAY_LOST: Cure.REPLACE,
    FaultKind.HOST_KEY_CHANGED: Cure.REPLACE,
}


class Seen(StrEnum):
    """What a viewer gets."""

    LIVE = "live"
    WRONG = "wrong"  # it moves as a live one does, and is not the stream
    FROZEN = "frozen"
    BLACK = "black"
    NO_FRAMES = "no_frames"
    MUTE = "mute"
    STUTTERING = "stuttering"
    REFUSED = "refused"
    TIMEOUT = "timeout"


_SPOILED = (
    (FaultKind.NO_FRAMES, Seen.NO_FRAMES),
    (FaultKind.PICTURE_BLACK, Seen.BLACK),
    (FaultKind.PICTURE_FROZEN, Seen.FROZEN),
    (FaultKind.SOUND_LOST, Seen.MUTE),
    (FaultKind.PICTURE_STUTTERS, Seen.STUTTERING),
)
_MOVES = frozenset({Seen.LIVE, Seen.STUTTERING})  # with the sound that belongs to it
_OF_AN_AILMENT = {
    Shows.WRONG: Seen.WRONG,
    Shows.BLACK: Seen.BLACK,
    Shows.NO_FRAMES: Seen.NO_FRAMES,
}


class Listener(Protocol):
    """An SSH connection into a host, as the host sees it."""

    def changed(self) -> None:
        """A fact changed: the sentinel will say so at its next look."""
        ...

    def lost(self, why: str) -> None:
        """The connection was cut from this side."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """A job as its host is told of it."""

    name: str
    mark: str
    attempt: str
    is_lasting: bool
    duration_s: float
    env: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class _HostJob:
    order: JobOrder
    is_cut: bool = False  # by a reboot
    exit_code: int | None = None  # None: it runs
    said: str = ""
    is_taken: bool = False


@dataclass(slots=True, kw_only=True)
class VirtualHost:
    """One container's inside. Only ``VirtualHosts`` changes it."""

    contract: Contract
    incarnation: int
    host_key: str
    is_deployed: bool = False
    process: str = "stopped"  # the sentinel's words: up, gone, stopped, retrying, given_up
    pid: int = 0
    restarts: int = 0
    is_warm: bool = False  # a picture comes some time after the start
    stage: int = 0  # planned steps of an older stage are void
    troubles: dict[FaultKind, Cure] = field(default_factory=dict)
    flaps: bool = False  # while it crashes in a loop its manager says "up", and counts on
    listeners: list[Listener] = field(default_factory=list)
    was_on_air: bool = False
    was_mute: bool = False
    is_refused: bool = False  # the ingest has another publisher
    jobs: dict[str, _HostJob] = field(default_factory=dict)  # the latest try of each, by name
    # Big files by their path: which one it is, and how many pieces of it have come.
    parcels: dict[str, tuple[str, int]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)  # of all commands so far
    flaw: str = ""  # of the workload that was started last: how it fails wherever it runs
    ailment: Ailment | None = None  # of its workload, which says so
    unfit: Flaw | None = None  # why it fails its audition
    has_guard: bool = False  # a dead man runs
    is_guard_there: bool = False  # on the disk, which a reboot leaves as it is
    fed_at: float = 0.0  # it heard of a keeper
    starves_after_s: float = 0.0  # then it asks for the rental to be stopped

    @property
    def is_up(self) -> bool:
        """Whether the container runs and the machine has its network."""
        return self.contract.box is Box.UP and self.contract.is_reachable

    def seen(self) -> Seen:
        """Return what a viewer gets right now."""
        if not self.contract.is_reachable:
            return Seen.TIMEOUT
        if self.contract.box is not Box.UP or self.process != "up":
            return Seen.REFUSED
        if FaultKind.PROCESS_HUNG in self.troubles:
            return Seen.TIMEOUT
        if not self.is_warm or self.is_refused:
            return Seen.REFUSED
        if self.flaw == FREEZES:
            return Seen.FROZEN
        spoiled = next((seen for kind, seen in _SPOILED if kind in self.troubles), Seen.LIVE)
        ailment = None if self.ailment is None else _OF_AN_AILMENT.get(self.ailment.shows)
        has_picture = spoiled in (Seen.LIVE, Seen.MUTE, Seen.STUTTERING)
        return ailment if ailment is not None and has_picture else spoiled

    def ssh_trouble(self) -> FaultKind | None:
        """Return what is wrong with its SSH server; None when it answers."""
        return next((kind for kind in self.troubles if kind in _SSH_TROUBLES), None)

    def facts(self) -> dict[str, Any]:
        """Return what the sentinel finds, in the form of its lines."""
        gpu_ok = FaultKind.GPU_LOST not in self.troubles
        return {
            "process": {
                "state": self.process,
                "pid": self.pid,
                "start": f"{self.incarnation}.{self.pid}",
                "restarts": self.restarts,
                "why": "",
            },
            "disk": {"free_mb": 0 if FaultKind.DISK_FULL in self.troubles else _FREE_MB},
            "gpu": {
                "ok": gpu_ok,
                "display": gpu_ok and FaultKind.DISPLAY_LOST not in self.troubles,
            },
            "workload": self._says(),
        }

    def _says(self) -> dict[str, Any]:
        """Return what the workload says of itself; nothing while it cannot answer."""
        is_answering = self.process == "up" and FaultKind.PROCESS_HUNG not in self.troubles
        ailment = self.ailment
        if ailment is not None and (is_answering or ailment.shows is Shows.GONE):
            return ailment.fragment()
        return {"is_well": True} if is_answering and self.is_warm else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How quick the hosts' inside is, in seconds, as ranges."""

    first_start_s: tuple[float, float] = (15.0, 90.0)  # the first picture: a model is loaded
    restart_s: tuple[float, float] = (3.0, 15.0)
    crash_s: tuple[float, float] = (2.0, 8.0)  # a crash loop dies this long after each start


class VirtualHosts:
    """All hosts; the market's host side."""

    def __init__(self, rng: random.Random, pace: Pace | None = None) -> None:
        self._rng = rng
        self._pace = pace or Pace()
        self._market: Market | None = None
        self._next_port = _PORTS.start
        self.sickbed = Sickbed(self)
        self.ingest = Ingest()
        # How deploys fail wherever they run, by a word that is in what they are started with, or by
        # their image; "": they do not.
        self.flaws: dict[str, str] = {}
        self.by_address: dict[tuple[str, int], tuple[VirtualHost, str]] = {}
        self.by_instance: dict[int, VirtualHost] = {}
        self.on_plan: Callable[[], None] = lambda: None  # a step was planned: look at the agenda
        self.on_change: Callable[[], None] = lambda: None  # what is seen of a host changed
        self.stop_by_own_key: Callable[[int], bool] = lambda _: False  # as a container can

    def join(self, market: Market) -> None:
        """Stand under this market from now on."""
        self._market = market

    @property
    def market(self) -> Market:
        """The market above."""
        assert self._market is not None, "join() comes first"
        return self._market

    # --- the market's host side -----------------------------------------------------------------

    def boot(self, contract: Contract) -> Endpoints:
        """Start the container; nothing of the workload runs in it yet."""
        host = self.by_instance.get(contract.instance_id)
        if host is None or host.incarnation != contract.incarnation:
            host = VirtualHost(
                contract=contract,
                incarnation=contract.incarnation,
                host_key=self._new_key(),
            )
            self.by_instance[contract.instance_id] = host
            self.sickbed.furnish(host)
        else:
            self.sickbed.reboot(host)
        self._cure(host, Cure.REBOOT)
        if host.is_guard_there and _GUARD in contract.onstart:
            self.set_guard(host, has_guard=True)
        self.write(host, "booted")
        return self.readdress(contract)

    def halt(self, contract: Contract, *, keeps_disk: bool) -> None:
        """End every process of the container."""
        host = self.by_instance.get(contract.instance_id)
        if host is None:
            return
        host.stage += 1
        # What the real sentinel finds after a restart: a pid file of before, and nobody behind it.
        host.process, host.is_warm = "gone", False
        host.has_guard = False
        for job in host.jobs.values():
            job.is_cut = True
        self._cut(host, "the container was stopped")
        if not keeps_disk:
            host.is_deployed = False
            self._forget_addresses(host)
            del self.by_instance[contract.instance_id]
        self.write(host, "halted")
        self.look(host)

    def set_reachable(self, contract: Contract, *, is_reachable: bool) -> None:
        """Cut or restore the network of the machine; a cut makes no sound."""
        host = self.by_instance.get(contract.instance_id)
        if host is not None:
            self.write(host, "network back" if is_reachable else "network lost")
            self.look(host)

    def readdress(self, contract: Contract) -> Endpoints:
        """Publish the container at new ports; what was connected is cut."""
        host = self.by_instance[contract.instance_id]
        self._forget_addresses(host)
        self._cut(host, "the address changed")
        public_ip = address_of(contract.machine)
        endpoints = Endpoints(
            public_ip=public_ip,
            ports={inside: self._port() for inside in contract.published_ports},
            ssh_host="ssh5.vast.ai",
            ssh_port=10_000 + contract.instance_id % 50_000,
        )
        for inside, outside in endpoints.ports.items():
            self.by_address[public_ip, outside] = host, inside
        self.by_address[endpoints.ssh_host, endpoints.ssh_port] = host, "22/tcp"
        return endpoints

    def strike(self, contract: Contract, fault: Fault) -> bool:
        """Let a fault happen on a host. False: there is nothing there to strike yet."""
        host = self.by_instance.get(contract.instance_id)
        if host is None or not host.is_up:
            return False
        needs_process = fault.kind not in (_SSH_TROUBLES | {FaultKind.DEPLOY_FAILS})
        if needs_process and host.process != "up":
            return False
        if fault.kind is FaultKind.DEPLOY_FAILS and host.is_deployed:
            return False
        if fault.kind is FaultKind.HOST_KEY_CHANGED and fault.kind in host.troubles:
            return False  # it is strange already, and people know: the next one shall be news
        if fault.kind is FaultKind.WORKLOAD_AILS:
            return self.sickbed.strike(host, fault)
        self.write(host, "struck", fault.kind.value)
        cure = Cure(fault.params.get("cured_by", CURED_BY[fault.kind]))
        host.troubles[fault.kind] = cure
        match fault.kind:
            case FaultKind.PROCESS_KILLED:
                del host.troubles[fault.kind]
                self.end_process(host, "gone")
            case FaultKind.CRASH_LOOP if fault.params.get("supervised"):
                host.restarts += 1
                self.end_process(host, "retrying")
                self._later(host, _SUPERVISOR_RETRY_S, lambda: self._retry(host, 1))
            case FaultKind.CRASH_LOOP if fault.params.get("says_up"):
                host.flaps = True
                self._flap(host)
            case kind if kind in _PROCESS_ENDS:
                self.end_process(host, "gone")
            case FaultKind.HOST_KEY_CHANGED:
                host.host_key = self._new_key()
                self._cut(host, "connection reset")
            case FaultKind.SSH_DEAD_WHILE_RUNNING:
                self._cut(host, "connection reset")
            case _:
                pass
        self.look(host)
        return True

    def heal(self, contract: Contract, kind: FaultKind) -> None:
        """End a fault that lasts. A process that died of it stays dead."""
        host = self.by_instance.get(contract.instance_id)
        if host is not None and kind is FaultKind.WORKLOAD_AILS:
            self.sickbed.heal(host)
        elif host is not None and host.troubles.pop(kind, None) is not None:
            self.write(host, "healed", kind.value)
            self.look(host)

    def mend(self) -> None:
        """Let no deploy fail any more, and have a person mend what waits for him.

        A process that died of it stays dead.
        """
        self.sickbed.mend()
        for host in tuple(self.by_instance.values()):
            self.heal(host.contract, FaultKind.SOUND_LOST)
        self.flaws = dict.fromkeys(self.flaws, "")
        for host in self.by_instance.values():
            if host.flaw:
                host.flaw = ""
                self.look(host)

    # --- what commands do -----------------------------------------------------------------------

    def linked(self, host: VirtualHost) -> None:
        """Write down that somebody trusts this host's key, and is connected."""
        self.write(host, LINKED, host.host_key)

    def received(self, host: VirtualHost, text: str) -> None:
        """Write down what was sent here."""
        self.market.ledger.arrive(self.market.present, text, host.contract.instance_id)

    def began(self, host: VirtualHost, name: str) -> None:
        """Write down that a command runs from now on."""
        self.write(host, COMMAND, name)

    def ended(self, host: VirtualHost, name: str) -> None:
        """Write down that a command runs no more."""
        self.write(host, COMMAND_ENDED, name)

    def carry_out(
        self, host: VirtualHost, name: str, env: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, str]:
        """Let a command have its effect, by its name; returns exit code and standard error."""
        if name.startswith("deploy.") and FaultKind.DEPLOY_FAILS in host.troubles:
            return 1, "the package index is broken"
        # The second rung clears what the workload has heaped up; nothing milder gets that far.
        if FaultKind.DISK_FULL in host.troubles and name.startswith(("deploy.", "restart.process")):
            return 1, "No space left on device"
        if name.endswith(".stop"):
            host.stage += 1
            self.end_process(host, "stopped")
        elif name.endswith(".start"):
            if self.flaws:
                self._tell_deploy(host, env)
            if host.flaw == FAILS_TO_START:
                return 1, "the model does not fit"
            self._start(host, Cure.PROCESS if name.startswith("restart.process") else Cure.WORKLOAD)
        elif name.startswith("verify") and host.process != "up":
            return 1, "the process is not there"
        return 0, ""

    # --- jobs, which go on without a link ---------------------------------------------------------

    def begin_job(self, host: VirtualHost, order: JobOrder) -> str:
        """Begin a job unless it runs or was done; returns how it stands, as payload/job.sh does."""
        running = next((job for job in host.jobs.values() if self._job_runs(host, job)), None)
        known = host.jobs.get(order.name)
        if running is not None and (running is not known or running.order.mark != order.mark):
            return f"job busy - 0 0 none\n{running.order.name}\n"
        is_ours = known is not None and known.order.attempt == order.attempt
        was_done = (
            known is not None
            and known.order.mark == order.mark
            and known.exit_code == 0
            and (order.is_lasting or not known.is_taken)
        )
        if running is None and not is_ours and not was_done:
            job = host.jobs[order.name] = _HostJob(order=order)

            def finish(_: float) -> None:
                if self._job_runs(host, job):
                    job.exit_code, job.said = self.carry_out(host, order.name, order.env)

            self.market.plan(self.market.present + order.duration_s, finish)
            self.on_plan()
        return self.job_stands(host, order.name)

    def job_stands(self, host: VirtualHost, name: str) -> str:
        """Return how a job stands, and all that it has printed."""
        job = host.jobs.get(name)
        if job is None:
            return "job absent - 0 0 none\n"
        if job.exit_code is not None:
            said = "done"
            if job.said:
                said = f"{job.said} {dict(job.order.env)}\n"  # a hostile one tells all
            return f"job ended {job.exit_code} 0 {len(said)} {job.order.attempt}\n{said}"
        state = "running" if self._job_runs(host, job) else "gone"
        return f"job {state} - 0 0 {job.order.attempt}\n"

    def end_job(self, host: VirtualHost, name: str) -> None:
        """Note that a result is known, and end what still runs."""
        job = host.jobs.get(name)
        if job is not None:
            job.is_taken = True
            if job.exit_code is None:
                job.exit_code = 137

    def _job_runs(self, host: VirtualHost, job: _HostJob) -> bool:
        return job.exit_code is None and host.contract.box is Box.UP and not job.is_cut

    def _tell_deploy(self, host: VirtualHost, env: Mapping[str, str]) -> None:
        """Write down which deploy is started, and let it have its flaw."""
        words = sorted({*env.values(), host.contract.image} & self.flaws.keys())
        host.flaw = next((self.flaws[word] for word in words if self.flaws[word]), "")
        self.write(host, STARTED, "|".join(words))

    # --- the dead man ---------------------------------------------------------------------------

    def feed(self, host: VirtualHost, after_s: float) -> None:
        """Let the guard know of a keeper, as the heartbeat file does."""
        host.fed_at, host.starves_after_s = self.market.present, after_s

    def set_guard(self, host: VirtualHost, *, has_guard: bool) -> None:
        """Start or end the guard. It was fed before."""
        host.has_guard = host.is_guard_there = has_guard
        if has_guard:
            self._guard_later(host, host.incarnation, host.starves_after_s, _GUARD_RETRY_S[0])

    def _guard_later(
        self, host: VirtualHost, incarnation: int, after_s: float, retry_s: float
    ) -> None:
        def look(at: float) -> None:
            if not host.has_guard or host.incarnation != incarnation:
                return
            left_s = host.fed_at + host.starves_after_s - at
            if left_s > 0.0:
                self._guard_later(host, incarnation, left_s, _GUARD_RETRY_S[0])
            elif not (
                host.contract.is_reachable and self.stop_by_own_key(host.contract.instance_id)
            ):
                again_s = min(2.0 * retry_s, _GUARD_RETRY_S[1])
                self._guard_later(host, incarnation, retry_s, again_s)

        self.market.plan(self.market.present + after_s, look)
        self.on_plan()

    def _start(self, host: VirtualHost, cure: Cure) -> None:
        self._cure(host, cure)
        self.sickbed.catch(host)
        is_first = not host.is_deployed
        host.is_deployed = True
        host.stage += 1
        host.pid += 101
        host.process, host.is_warm = "up", False
        if FaultKind.CRASH_LOOP in host.troubles and host.flaps:
            self._later(host, _SUPERVISOR_RETRY_S, lambda: self._flap(host))
        elif _is_to_die(host):
            after_s = self._rng.uniform(*self._pace.crash_s)
            self._later(host, after_s, lambda: self.end_process(host, "gone"))
        else:
            pace = self._pace.first_start_s if is_first else self._pace.restart_s
            self._later(host, self._rng.uniform(*pace), lambda: self._warm(host))
        self.look(host)

    def _warm(self, host: VirtualHost) -> None:
        host.is_warm = True
        self.look(host)

    def _retry(self, host: VirtualHost, tries: int) -> None:
        """Let the inner supervisor try again; it gives up after a few quick deaths."""
        if FaultKind.CRASH_LOOP not in host.troubles:
            self._start(host, Cure.PROCESS)
        elif tries >= _SUPERVISOR_TRIES:
            self.end_process(host, "given_up")
        else:
            host.restarts += 1
            self.look(host)
            self._later(host, _SUPERVISOR_RETRY_S, lambda: self._retry(host, tries + 1))

    def _flap(self, host: VirtualHost) -> None:
        """Die and be started again, as PM2 does it: "online", with another pid and no picture."""
        if FaultKind.CRASH_LOOP not in host.troubles:
            host.flaps = False
            return
        host.process, host.is_warm = "up", False
        host.restarts += 1
        host.pid += 101
        self.look(host)
        self._later(host, _SUPERVISOR_RETRY_S, lambda: self._flap(host))

    def end_process(self, host: VirtualHost, state: str) -> None:
        """Let the process be as its manager would say then."""
        host.process, host.is_warm = state, False
        self.look(host)

    def _cure(self, host: VirtualHost, by: Cure) -> None:
        """End every trouble that this remedy is strong enough for."""
        for kind, cure in tuple(host.troubles.items()):
            if STRENGTH[cure] <= STRENGTH[by]:
                del host.troubles[kind]
        self.sickbed.treat(host, by)

    # --- shared ---------------------------------------------------------------------------------

    def look(self, host: VirtualHost) -> None:
        """Note whether the picture is really there, and let the sentinels see what changed."""
        self._publish(host)
        seen = host.seen()
        is_mute, is_on_air = seen is Seen.MUTE, seen in _MOVES
        if is_mute is not host.was_mute:
            host.was_mute = is_mute
            self.write(host, SOUND_LOST if is_mute else MUTE_NO_MORE)
        if is_on_air is not host.was_on_air:
            host.was_on_air = is_on_air
            self.write(host, PICTURE_LIVE if is_on_air else PICTURE_LOST)
        for listener in tuple(host.listeners):
            listener.changed()
        self.on_change()

    def _publish(self, host: VirtualHost) -> None:
        """Let the ingest know who sends; whoever waits for its turn is served when the other has gone."""
        stream = self.ingest.stream_of(host.contract.label)
        if not stream:
            return
        instance_id, before = host.contract.instance_id, self.ingest.served(stream)
        publishes = host.is_up and host.process == "up"
        if not self.ingest.note(stream, instance_id, publishes=publishes):
            return
        self.write(host, PUBLISHES if publishes else PUBLISHES_NO_MORE)
        served = self.ingest.served(stream)
        host.is_refused = publishes and served != instance_id
        other = None if served in (None, before, instance_id) else self.by_instance.get(served or 0)
        if other is not None:
            other.is_refused = False
            self.look(other)

    def _cut(self, host: VirtualHost, why: str) -> None:
        listeners, host.listeners = host.listeners, []
        for listener in listeners:
            listener.lost(why)

    def _later(self, host: VirtualHost, after_s: float, step: Callable[[], None]) -> None:
        """Plan a step of the host's present stage."""
        stage = host.stage

        def take(_: float) -> None:
            if host.stage == stage and host.contract.box is Box.UP:
                step()

        self.market.plan(self.market.present + after_s, take)
        self.on_plan()

    def write(self, host: VirtualHost, what: str, detail: str = "") -> None:
        """Write down what a host did or suffered."""
        self.market.ledger.host(
            HostEntry(
                at=self.market.present,
                instance_id=host.contract.instance_id,
                what=what,
                detail=detail,
            )
        )

    def _forget_addresses(self, host: VirtualHost) -> None:
        self.by_address = {
            address: there for address, there in self.by_address.items() if there[0] is not host
        }
        self.on_change()

    def _port(self) -> int:
        self._next_port = self._next_port + 1 if self._next_port + 1 in _PORTS else _PORTS.start
        return self._next_port

    def _new_key(self) -> str:
        return f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{self._rng.getrandbits(160):040x}"


def _is_to_die(host: VirtualHost) -> bool:
    """Whether a process that is started will end again by itself."""
    is_gone = host.ailment is not None and host.ailment.shows is Shows.GONE
    return is_gone or host.flaw == CRASHES or not _DIES_AGAIN.isdisjoint(host.troubles)


def line_of(seq: int, facts: dict[str, Any]) -> str:
    """Return a sentinel's line."""
    return json.dumps({"seq": seq, "facts": facts}, separators=(",", ":"))
