"""SD-Turbo: one background process that draws pictures from a prompt and serves them as MJPEG.

Nobody manages it on its host, so keeper does: pid file, log, a certain end. It needs a GPU but no
display. The server is keeper's own (payload/realtime_stream.py): it says what is wrong with it, and
``symptoms.ROWS`` says what helps. The process is a hint; the truth is that the picture keeps changing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import quote

from keeper.core.model import (
    InstanceId,
    OfferNeeds,
    Port,
    Reading,
    RentalSpec,
    Rung,
    Status,
    Subject,
)
from keeper.core.reasons import Reason
from keeper.core.text import plain
from keeper.ports import Command, CommandResult
from keeper.workloads import Drain, ReportLine, Step, View, ViewKind, Workload, register
from keeper.workloads import managers as manager_of
from keeper.workloads.audition import Check
from keeper.workloads.audition_checks import Demands, audition
from keeper.workloads.sd_turbo import report
from keeper.workloads.sd_turbo.deploy import MANAGER, Putting
from keeper.workloads.sd_turbo.facts import (
    Facts,
    Health,
    keepsake_of,
    numbers_of,
    read_facts,
    remembered,
)
from keeper.workloads.sd_turbo.settings import SdTurboSettings
from keeper.workloads.sd_turbo.symptoms import Case, diagnose
from keeper.workloads.viewing import view_of

_DETAIL_MAX = 200
_ANYWHERE = frozenset({"127.0.0.1", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound
# The sentinel's words.
_SUSPENDED = "suspended by a signal"
_NEVER_STARTED = "never started here"
# Libraries and model take about 15 GB; what is rented has room for both and a log.
_MODEL_FREE_MIN_GB = 20.0


@dataclass(frozen=True, slots=True)
class SdTurbo:
    """The workload. Secrets go into the server's environment, by their names."""

    settings: SdTurboSettings
    secrets: Mapping[str, str]
    shown: str = ""  # what the slot's hosts were showing last; "": nothing known

    kind = "sd-turbo"

    def rental(self) -> RentalSpec:
        """Image, disk, and the one port where it is to be seen from outside; nothing secret."""
        published = (Port(container_port=self.settings.port),) if self.settings.is_published else ()
        return RentalSpec(image=self.settings.image, disk_gb=self.settings.disk_gb, ports=published)

    def needs(self, declared: OfferNeeds) -> OfferNeeds:
        """Ask for the disk that is rented, and for a GPU and a driver that the pins know."""
        needed = self.settings.needed
        excluded = (*declared.gpu_names_excluded, *needed.gpu_names_excluded)
        return replace(
            declared,
            disk_gb=max(declared.disk_gb, self.settings.disk_gb),
            cuda_min=max(declared.cuda_min, needed.cuda_min),
            gpu_names_excluded=tuple(dict.fromkeys(excluded)),
        )

    def rungs(self) -> tuple[Rung, ...]:
        """All of them help here."""
        return (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT)

    def audition(self) -> tuple[Check, ...]:
        """Ask for driver, GPU, disk and clock. The test card asks for nothing."""
        if not self.settings.draws_by_model:
            return ()
        demands = Demands(
            workdir=self.settings.workdir,
            disk_free_min_gb=min(_MODEL_FREE_MIN_GB, self.settings.disk_gb / 2),
            has_gpu=self.settings.device == "cuda",
            bitrate_bps=self.settings.bitrate_bps,
            ports=(self.settings.port,) if self.settings.is_published else (),
        )
        return audition(demands, self.settings.audition)

    def deploy(self) -> tuple[Step, ...]:
        """Carry it there, set it up, make room, start, see it stay."""
        return (*self._putting().put("deploy", is_new=True), *self._putting().start("deploy"))

    def prepare(self) -> tuple[Step, ...]:
        """Put everything in place, the model included, and start nothing."""
        return self._putting().put("deploy", is_new=True)

    def start(self) -> tuple[Step, ...]:
        """Make room, start, see it stay."""
        return self._putting().start("swap")

    def stop(self) -> tuple[Command, ...]:
        """End the server for certain, and whatever else of it runs."""
        return self._putting().stop("swap.stop")

    def remembering(self, keepsake: str) -> Workload:
        """Begin with what viewers have asked for last, unless the declared prompt has changed since."""
        shown = remembered(keepsake, self.settings.prompt)
        return self if shown == self.settings.prompt else replace(self, shown=shown)

    def restart_process(self, symptom: str = "") -> tuple[Command, ...]:
        """End the server for certain, and whatever else of it runs, and start it."""
        return self._putting().restart(symptom)

    def restart_workload(self, symptom: str = "") -> tuple[Step, ...]:
        """Do all of a deploy again; the set-up looks at everything once more."""
        act = "restart.workload"
        return (*self._putting().put(act, is_new=False), *self._putting().start(act))

    def drain(self) -> Drain | None:
        """Wait for nothing: no viewer loses more later than now."""
        return None

    def evidence(self) -> tuple[Command, ...]:
        """Look at the log, the process, the GPU and the disk."""
        return manager_of.evidence(MANAGER, workdir=self.settings.workdir)

    def logs(self) -> tuple[str, ...]:
        """Name the log, and the one before it."""
        return manager_of.logs(MANAGER, workdir=self.settings.workdir)

    def report(self) -> Command | None:
        """Ask the server for all it knows, the GPU for a line, the log for its end."""
        return report.question(
            {**self._asked(), "keeper_health": "/healthz"}, self.settings.workdir
        )

    def read_report(self, result: CommandResult) -> tuple[ReportLine, ...]:
        """Read it."""
        return report.lines_of(result)

    def sentinel(self) -> str:
        """Ask for the pid, the disk, the GPU, and the server's own word."""
        questions = "".join(f"{name}={quote(value)}\n" for name, value in self._asked().items())
        return manager_of.sentinel(
            MANAGER,
            workdir=self.settings.workdir,
            has_gpu=self.settings.draws_by_model and self.settings.device == "cuda",
            ask_workload=questions + manager_of.payload("sd_turbo_questions.sh").decode(),
        )

    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        """Read one sentinel line: what everybody says, and what the server says of itself."""
        readings = manager_of.read_line(line, instance_id, at)
        raw = manager_of.workload_facts(line)
        process = next((each for each in readings if each.subject is Subject.PROCESS), None)
        if raw is None or process is None or process.status is Status.UNKNOWN:
            return readings
        facts = read_facts(raw)
        if facts is None:
            return (*readings, _untold(instance_id, at, "the server's word cannot be read"))
        if process.detail == _NEVER_STARTED:
            return (*readings, _untold(instance_id, at, "it was never started here"))
        is_up = process.status is Status.TRUE
        if not is_up and facts.health is not None:
            return readings  # its word is from before its end; the next look knows more
        case = Case(
            facts=facts,
            is_up=is_up,
            is_suspended=is_up and process.detail == _SUSPENDED,
            settings=self.settings,
        )
        return (*readings, self._read(case, instance_id, at))

    def view(self) -> View:
        """Look at the stream itself."""
        settings = self.settings
        view = view_of(
            settings.view, kind=ViewKind.MJPEG, container_port=settings.port, path="/stream"
        )
        return replace(view, target_frames_per_s=settings.target_frames_per_s)

    def _read(self, case: Case, instance_id: InstanceId, at: datetime) -> Reading:
        health, symptom = case.health, diagnose(case)
        if symptom is None and health is None:
            return _untold(instance_id, at, "the server has not answered yet")
        return Reading(
            instance_id=instance_id,
            subject=Subject.WORKLOAD,
            status=Status.TRUE if symptom is None else Status.FALSE,
            reason=Reason.WORKLOAD_WELL if symptom is None else Reason.SYMPTOM,
            at=at,
            detail=_described(case.facts) if symptom is None else symptom.sentence,
            numbers={} if health is None else numbers_of(health),
            symptom=symptom,
            keepsake="" if health is None else keepsake_of(health, self.settings.prompt),
        )

    def _asked(self) -> dict[str, str]:
        bind = self.settings.bind
        # Without a place of its own the host's idea of one holds, as it does for the server.
        own = "" if bind in _ANYWHERE else bind
        return {
            "keeper_server": self.settings.env.get("SERVER_HOST", own),
            "keeper_server_port": str(self.settings.port),
        }

    def _putting(self) -> Putting:
        return Putting(self.settings, self.secrets, self.shown or self.settings.prompt)


def _described(facts: Facts) -> str:
    health = facts.health or Health(phase="unknown")
    said = f"{health.frames_per_s:g} pictures/s of {health.prompt!r} {health.note}"
    return plain(said.strip(), _DETAIL_MAX)


def _untold(instance_id: InstanceId, at: datetime, why: str) -> Reading:
    return Reading(
        instance_id=instance_id,
        subject=Subject.WORKLOAD,
        status=Status.UNKNOWN,
        reason=Reason.PROBE_FAILED,
        at=at,
        detail=why,
    )


def _build(settings: SdTurboSettings, secrets: Mapping[str, str]) -> SdTurbo:
    return SdTurbo(settings, secrets)


register("sd-turbo", SdTurboSettings, _build)
