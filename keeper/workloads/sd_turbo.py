"""SD-Turbo: one background process that draws pictures and serves them as MJPEG.

Nobody manages it on its host, so keeper does: pid file, log, a certain end. It needs a GPU but no
display. The process is a hint; the truth is that the picture keeps changing, because a generator that
fails is retried for ever while the server repeats the last frame (workload's source, read 2026-10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import quote
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from keeper.core.model import InstanceId, OfferNeeds, Port, Reading, RentalSpec, Rung
from keeper.ports import Command, CommandResult, Upload
from keeper.workloads import AccountLine, Drain, Step, View, ViewKind, Workload, register
from keeper.workloads import managers as manager_of
from keeper.workloads.audition import Check

_SERVER = "testcard_server.py"
_MANAGER = manager_of.Background(name="server", stop_s=5)
# pip on a slow host, once.
_PREPARE_S = 300.0


class SdTurboSettings(BaseModel):
    """What an operator declares of an SD-Turbo stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sd-turbo"]
    # What draws the pictures. "test-card" needs no model and no GPU.
    generator: str = "test-card"
    # The port of the MJPEG server, inside the container.
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    # What is drawn at first; viewers may change it, a restart brings this one back.
    prompt: Annotated[str, Field(min_length=1, max_length=200)] = "cat"
    # New frames a second; far fewer is reported as slow.
    target_frames_per_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    image: str = "vastai/pytorch:2.6.0-cuda-12.4.1-ipv2"
    # The Python of the image that has Pillow, or can get it by pip.
    python: Annotated[str, Field(min_length=1)] = "python3"
    # Where everything goes; a relative one begins at the home of the SSH user.
    workdir: Annotated[str, Field(min_length=1)] = "/workspace"
    disk_gb: Annotated[float, Field(ge=1)] = 35.0
    # More environment for the server.
    env: Mapping[str, str] = {}

    @field_validator("generator")
    @classmethod
    def _exists(cls, generator: str) -> str:
        if generator != "test-card":
            raise ValueError(
                f"there is no generator {generator!r} in this version of keeper; "
                "the only one so far is 'test-card'"
            )
        return generator


@dataclass(frozen=True, slots=True)
class SdTurbo:
    """The workload. Secrets go into the server's environment, by their names."""

    settings: SdTurboSettings
    secrets: Mapping[str, str]

    kind = "sd-turbo"

    def rental(self) -> RentalSpec:
        """Image, disk and the one port; nothing secret."""
        return RentalSpec(
            image=self.settings.image,
            disk_gb=self.settings.disk_gb,
            ports=(Port(container_port=self.settings.port),),
        )

    def needs(self, declared: OfferNeeds) -> OfferNeeds:
        """Ask for the disk that is rented."""
        return replace(declared, disk_gb=max(declared.disk_gb, self.settings.disk_gb))

    def rungs(self) -> tuple[Rung, ...]:
        """All of them help here."""
        return (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT)

    def audition(self) -> tuple[Check, ...]:
        """Ask nothing of the host yet."""
        return ()

    def deploy(self) -> tuple[Step, ...]:
        """Prepare, upload, make room, start, prove."""
        return self._put_and_start("deploy")

    def prepare(self) -> tuple[Step, ...]:
        """Put everything in place and start nothing."""
        return self._put("deploy")

    def remembering(self, keepsake: str) -> Workload:
        """Have nothing to remember."""
        return self

    def restart_process(self, symptom: str = "") -> tuple[Command, ...]:
        """End the server for certain and start it."""
        return manager_of.restart_process(
            _MANAGER, workdir=self.settings.workdir, start_line=self._start_line(), env=self._env()
        )

    def restart_workload(self, symptom: str = "") -> tuple[Step, ...]:
        """Do all of a deploy again."""
        return self._put_and_start("restart.workload")

    def drain(self) -> Drain | None:
        """Wait for nothing: no viewer loses more later than now."""
        return None

    def evidence(self) -> tuple[Command, ...]:
        """Look at the log, the process, the GPU and the disk."""
        return manager_of.evidence(_MANAGER, workdir=self.settings.workdir)

    def logs(self) -> tuple[str, ...]:
        """Name the log, and the one before it."""
        return manager_of.logs(_MANAGER, workdir=self.settings.workdir)

    def account(self) -> Command | None:
        """Ask nothing more than what keeper sees anyway."""
        return None

    def read_account(self, result: CommandResult) -> tuple[AccountLine, ...]:
        """Have nothing to read."""
        return ()

    def sentinel(self) -> str:
        """Ask for the pid, the disk and the GPU."""
        return manager_of.sentinel(_MANAGER, workdir=self.settings.workdir)

    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        """Read one sentinel line."""
        return manager_of.read_line(line, instance_id, at)

    def view(self) -> View:
        """Look at the stream itself."""
        return View(
            kind=ViewKind.MJPEG,
            container_port=self.settings.port,
            path="/stream",
            target_frames_per_s=self.settings.target_frames_per_s,
        )

    def _put_and_start(self, act: str) -> tuple[Step, ...]:
        workdir = self.settings.workdir
        return (
            *self._put(act),
            *manager_of.stop(_MANAGER, name=f"{act}.stop", workdir=workdir),
            *manager_of.start(
                _MANAGER,
                name=f"{act}.start",
                workdir=workdir,
                start_line=self._start_line(),
                env=self._env(),
            ),
            *manager_of.verify(_MANAGER, workdir=workdir),
        )

    def _put(self, act: str) -> tuple[Step, ...]:
        server = f"{self.settings.workdir}/{_SERVER}"
        return (
            self._prepare(f"{act}.prepare"),
            Upload(path=server, content=manager_of.payload(_SERVER)),
        )

    def _prepare(self, name: str) -> Command:
        python = quote(self.settings.python)
        script = (
            f"mkdir -p -- {quote(self.settings.workdir)} || exit 1\n"
            f"{python} -c 'import PIL' 2>/dev/null && exit 0\n"
            f"{python} -m pip install --quiet --disable-pip-version-check 'pillow>=9.1'"
        )
        return Command(name=name, script=script, timeout_s=_PREPARE_S)

    def _start_line(self) -> str:
        # Unbuffered: a buffered log hid eight seconds of continuous errors in the original.
        return f"exec {quote(self.settings.python)} -u {_SERVER}"

    def _env(self) -> dict[str, str]:
        return {
            **self.settings.env,
            "SERVER_PORT": str(self.settings.port),
            "TARGET_FPS": f"{self.settings.target_frames_per_s:g}",
            "INITIAL_PROMPT": self.settings.prompt,
            **self.secrets,
        }


def _build(settings: SdTurboSettings, secrets: Mapping[str, str]) -> SdTurbo:
    return SdTurbo(settings, secrets)


register("sd-turbo", SdTurboSettings, _build)
