"""Whatever the operator declares: image, files, a set-up script, a start line, a manager, a view.

For workloads that keeper has no file for. The parts are the same as those of the built-in ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import quote
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from keeper.core.model import InstanceId, OfferNeeds, Port, Reading, RentalSpec, Rung
from keeper.ports import Command, CommandResult, Upload
from keeper.workloads import Drain, ReportLine, Step, View, Workload, register
from keeper.workloads import managers as manager_of
from keeper.workloads.audition import Check
from keeper.workloads.audition_checks import (
    AuditionSettings,
    Demands,
    IngestPlace,
    audition,
    ingest_at,
)
from keeper.workloads.viewing import ViewSettings, view_of

_LADDER = (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT)


class FileSettings(BaseModel):
    """A text file for the host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Relative to the working directory, or absolute.
    path: Annotated[str, Field(min_length=1)]
    content: str
    # Permissions, octal digits.
    mode: Annotated[str, Field(pattern=r"^[0-7]{3,4}$")] = "644"


class CommandAudition(AuditionSettings):
    """What a host must show before it gets the workload, and what is looked at for it."""

    # Whether the driver and the GPU must answer.
    gpu: bool = True
    # Whether it draws by the GPU: a display, Vulkan on the hardware.
    renders: bool = False
    # Whether it encodes on the GPU.
    encodes: bool = False
    # An X server that must answer, such as ":99"; one is started where there is none. Empty: none.
    x_display: Annotated[str, Field(pattern=r"^(:\d+)?$")] = ""
    # Whether a browser must draw by WebGPU, on the hardware.
    webgpu: bool = False
    # host:port of where the stream is sent to; rtmp://host:port or rtmps://: it is greeted, too. Empty:
    # nowhere.
    ingest: IngestPlace = ""
    # What is sent there, in bits a second; 0: not measured.
    bitrate_bps: Annotated[float, Field(ge=0)] = 0.0
    # Whether the published ports must be reachable from this box.
    ports: bool = False
    disk_free_min_gb: Annotated[float, Field(ge=0)] = 1.0


class CommandSettings(BaseModel):
    """What an operator declares of a workload of his own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # Who changes these puts nothing else on a host.
    not_on_hosts: ClassVar[frozenset[str]] = frozenset(
        {"view", "rungs", "needs_display", "setup_timeout_s", "audition"}
    )

    kind: Literal["command"]
    image: Annotated[str, Field(min_length=1)]
    disk_gb: Annotated[float, Field(ge=1)] = 35.0
    # TCP ports of the container to publish, besides the view's own.
    ports: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] = ()
    # Environment of the set-up script and the start line. Not for secrets: those go by name.
    env: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str] = {}
    # Where everything goes; a relative one begins at the home of the SSH user.
    workdir: Annotated[str, Field(min_length=1)] = "/workspace"
    files: tuple[FileSettings, ...] = ()
    # Shell script, run in the working directory at every deploy: it must bear repetition.
    setup: str = ""
    setup_timeout_s: Annotated[float, Field(gt=0, le=1800)] = 600.0
    # background: a foreground command, which keeper puts in the background.
    # pm2, supervisor: how to start it, if not by asking the manager for its name. none: as it is.
    start: str = ""
    manager: manager_of.Manager = manager_of.Background()
    view: ViewSettings
    # Whether the GPU must drive a display; losing it is then reported.
    needs_display: bool = False
    audition: CommandAudition = CommandAudition()
    # The remedies that make sense below replacing the host.
    rungs: tuple[Rung, ...] = _LADDER

    @model_validator(mode="after")
    def _fits_together(self) -> CommandSettings:
        if self.manager.kind == "background" and not self.start.strip():
            raise ValueError("a background process needs a `start` line")
        if Rung.REPLACE in self.rungs:
            raise ValueError("`rungs` lists the remedies below replacing the host, not replace")
        return self


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    """The workload. Secrets join the environment of the set-up script and the start line."""

    settings: CommandSettings
    secrets: Mapping[str, str]

    kind = "command"

    def rental(self) -> RentalSpec:
        """Image, disk and ports; the environment goes by SSH, where the marketplace cannot see it."""
        return RentalSpec(
            image=self.settings.image,
            disk_gb=self.settings.disk_gb,
            ports=tuple(Port(container_port=port) for port in self._ports()),
        )

    def needs(self, declared: OfferNeeds) -> OfferNeeds:
        """Ask for the disk that is rented, and for a display when one is needed."""
        return replace(
            declared,
            disk_gb=max(declared.disk_gb, self.settings.disk_gb),
            gpu_display_active=declared.gpu_display_active or self.settings.needs_display,
        )

    def rungs(self) -> tuple[Rung, ...]:
        """Return those declared, cheapest first, without a restart that nobody could carry out."""
        can_restart = self.settings.manager.kind != "none"
        return tuple(
            rung
            for rung in _LADDER
            if rung in self.settings.rungs and (can_restart or rung is not Rung.RESTART_PROCESS)
        )

    def audition(self) -> tuple[Check, ...]:
        """Ask what the operator declares; by itself for the GPU, the disk and the clock."""
        declared = self.settings.audition
        demands = Demands(
            workdir=self.settings.workdir,
            disk_free_min_gb=declared.disk_free_min_gb,
            has_gpu=declared.gpu,
            renders=declared.renders,
            encodes=declared.encodes,
            x_display=declared.x_display,
            webgpu=declared.webgpu,
            ingest=ingest_at(declared.ingest),
            bitrate_bps=declared.bitrate_bps,
            ports=self._ports() if declared.ports else (),
        )
        return audition(demands, declared)

    def deploy(self) -> tuple[Step, ...]:
        """Upload, set up, make room, start, prove."""
        return self._put_and_start("deploy")

    def prepare(self) -> tuple[Step, ...]:
        """Upload and set up; start nothing."""
        return self._put("deploy")

    def start(self) -> tuple[Step, ...]:
        """Make room, start, prove."""
        return self._start("swap")

    def stop(self) -> tuple[Command, ...]:
        """End it by its manager, and see that it has ended."""
        return manager_of.end(
            self.settings.manager, name="swap.stop", workdir=self.settings.workdir
        )

    def remembering(self, keepsake: str) -> Workload:
        """Have nothing to remember."""
        return self

    def restart_process(self, symptom: str = "") -> tuple[Command, ...]:
        """Ask the manager, or end and start the process ourselves."""
        return manager_of.restart_process(
            self.settings.manager,
            workdir=self.settings.workdir,
            start_line=self.settings.start,
            env=self._env(),
        )

    def restart_workload(self, symptom: str = "") -> tuple[Step, ...]:
        """Do all of a deploy again."""
        return self._put_and_start("restart.workload")

    def drain(self) -> Drain | None:
        """Wait for nothing: no viewer loses more later than now."""
        return None

    def evidence(self) -> tuple[Command, ...]:
        """Look at the log, the process, the GPU and the disk."""
        return manager_of.evidence(self.settings.manager, workdir=self.settings.workdir)

    def logs(self) -> tuple[str, ...]:
        """Name the log, and the one before it."""
        return manager_of.logs(self.settings.manager, workdir=self.settings.workdir)

    def report(self) -> Command | None:
        """Ask nothing more than what keeper sees anyway."""
        return None

    def read_report(self, result: CommandResult) -> tuple[ReportLine, ...]:
        """Have nothing to read."""
        return ()

    def sentinel(self) -> str:
        """Ask the manager, the disk and the GPU."""
        return manager_of.sentinel(self.settings.manager, workdir=self.settings.workdir)

    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        """Read one sentinel line."""
        return manager_of.read_line(
            line, instance_id, at, needs_display=self.settings.needs_display
        )

    def view(self) -> View:
        """Return what the operator declared."""
        declared = self.settings.view
        return view_of(
            declared, kind=declared.kind, container_port=declared.port or 0, path=declared.path
        )

    def _ports(self) -> tuple[int, ...]:
        own = () if self.settings.view.port is None else (self.settings.view.port,)
        return tuple(dict.fromkeys((*own, *self.settings.ports)))

    def _put_and_start(self, act: str) -> tuple[Step, ...]:
        return (*self._put(act), *self._start(act))

    def _start(self, act: str) -> tuple[Step, ...]:
        manager, workdir = self.settings.manager, self.settings.workdir
        start = manager_of.start(
            manager,
            name=f"{act}.start",
            workdir=workdir,
            start_line=self.settings.start,
            env=self._env(),
        )
        return (
            *manager_of.stop(manager, name=f"{act}.stop", workdir=workdir),
            *start,
            *manager_of.verify(manager, workdir=workdir),
        )

    def _put(self, act: str) -> tuple[Step, ...]:
        return (
            *(self._upload(file) for file in self.settings.files),
            *self._setup(f"{act}.setup"),
        )

    def _upload(self, file: FileSettings) -> Upload:
        path = file.path if file.path.startswith("/") else f"{self.settings.workdir}/{file.path}"
        return Upload(path=path, content=file.content.encode(), mode=int(file.mode, 8))

    def _setup(self, name: str) -> tuple[Command, ...]:
        if not self.settings.setup.strip():
            return ()
        folder = quote(self.settings.workdir)
        return (
            Command(
                name=name,
                script=f"mkdir -p -- {folder} && cd -- {folder} || exit 1\n{self.settings.setup}",
                env=self._env(),
                timeout_s=self.settings.setup_timeout_s,
            ),
        )

    def _env(self) -> dict[str, str]:
        return {**self.settings.env, **self.secrets}


def _build(settings: CommandSettings, secrets: Mapping[str, str]) -> OperatorCommand:
    return OperatorCommand(settings, secrets)


register("command", CommandSettings, _build)
