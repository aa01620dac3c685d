"""What an operator declares of an SD-Turbo stream. Every key has a default that works."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from keeper.workloads.audition_checks import AuditionSettings
from keeper.workloads.sd_turbo.pins import NO_PINS, PRESETS, Pins, PinsName
from keeper.workloads.viewing import PictureSettings

PROMPT_MAX = 200
_PASSWORD = re.compile(r"(?<!ssh)://[^\s/@]*@")
# A picture of this size at the quality that is the default.
_FRAME_BYTES = 40_000
_FRAME_SIZE = 512


class SdTurboSettings(BaseModel):
    """What an operator declares of an SD-Turbo stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Who changes these puts nothing else on a host.
    not_on_hosts: ClassVar[frozenset[str]] = frozenset(
        {"audition", "view", "slow_ratio", "slow_s", "load_max_s", "stuck_s"}
    )

    kind: Literal["sd-turbo"]
    # What draws the pictures. "test-card" needs no model and no GPU.
    generator: Literal["diffusers", "test-card"] = "diffusers"
    # The port of the MJPEG server, inside the container.
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    # Where the server listens. Anybody who reaches it may change the prompt, so it is the host's own
    # loopback, and viewers come through `keeper tunnel`. 0.0.0.0: the port is published, too.
    bind: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]{2,45}$")] = "127.0.0.1"
    # What is drawn at first. A viewer's wish survives restarts and hosts, until this line changes.
    prompt: Annotated[str, Field(min_length=1, max_length=PROMPT_MAX)] = "cat"
    # New frames a second; far fewer is reported as slow.
    target_frames_per_s: Annotated[float, Field(gt=0, le=60)] = 30.0
    # A name at the model hub, or a folder on the host.
    model: Annotated[str, Field(min_length=1, max_length=300)] = "stabilityai/sd-turbo"
    # cuda: fail where there is no GPU. auto: draw on the CPU there, one picture in seconds.
    device: Literal["cuda", "auto", "cpu"] = "cuda"
    # auto: float16 on a GPU, float32 on a CPU.
    dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    # A mode of torch.compile. A start then takes about a minute longer; if it fails, it is done without.
    compile: Literal["", "default", "reduce-overhead", "max-autotune"] = ""
    # Attention by xformers, which must be among the requirements. Today's torch has its own, as fast.
    xformers: bool = False
    image_size: Annotated[int, Field(ge=64, le=2048, multiple_of=8)] = 512
    jpeg_quality: Annotated[int, Field(ge=10, le=95)] = 80
    # Each viewer takes about 40 kB a frame. One more than this is turned away.
    viewers_max: Annotated[int, Field(ge=1, le=1000)] = 32
    # So many errors while drawing, without one picture in between, end the process.
    errors_max: Annotated[int, Field(ge=1, le=1000)] = 8
    # Versions that go together. current: today's GPUs, Blackwell included, by CUDA 13. cuda-12: the same
    # for hosts with older drivers. seed-2023: as first published; no GPU newer than Ada. custom: yours.
    pins: PinsName = PinsName.CURRENT
    # custom: what pip installs, one requirement each, torch first.
    requirements: tuple[Annotated[str, Field(min_length=1, max_length=300)], ...] = ()
    # More words for pip: another index, say. One that asks for a password is a secret, PIP_INDEX_URL.
    pip_args: tuple[Annotated[str, Field(pattern=r"^\S{1,300}$")], ...] = ()
    # For all of the set-up: several GB of libraries, and the model.
    setup_max_s: Annotated[float, Field(ge=10, le=3600)] = 1500.0
    # Longer than this without a first picture is no loading any more.
    load_max_s: Annotated[float, Field(ge=10, le=3600)] = 600.0
    # A generator without an error and without a picture for so long hangs.
    stuck_s: Annotated[float, Field(ge=5, le=3600)] = 30.0
    # Fewer new frames than this part of the target, for slow_s, need a person's eye.
    slow_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    slow_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    image: str = "vastai/pytorch:2.6.0-cuda-12.4.1-ipv2"
    # The image's Python, 3.10 to 3.13. What it lacks goes into an environment beside the server.
    python: Annotated[str, Field(min_length=1)] = "python3"
    # Where everything goes; a relative one begins at the home of the SSH user.
    workdir: Annotated[str, Field(min_length=1)] = "/workspace"
    disk_gb: Annotated[float, Field(ge=1)] = 35.0
    # More environment for the server and its set-up.
    env: Mapping[str, str] = {}
    audition: AuditionSettings = AuditionSettings()
    # What its picture may be without being a fault: dark prompts, a caption that moves by itself.
    view: PictureSettings = PictureSettings()

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        is_custom = self.pins is PinsName.CUSTOM
        if is_custom != bool(self.requirements):
            message = "requirements are given with `pins: custom`, and only with it"
            raise ValueError(message)
        if any(_PASSWORD.search(word) for word in (*self.pip_args, *self.requirements)):
            raise ValueError(
                "an address with a password in it would stand in pip's command line, for everybody on"
                " the host: make it a secret of the stream by the name PIP_INDEX_URL"
            )
        return self

    @property
    def draws_by_model(self) -> bool:
        """Whether libraries, a model and a GPU are needed."""
        return self.generator == "diffusers"

    @property
    def is_published(self) -> bool:
        """Whether the port is to be reached from outside the host."""
        return self.bind != "localhost" and not self.bind.startswith("127.") and self.bind != "::1"

    @property
    def bitrate_bps(self) -> float:
        """What one viewer takes: MJPEG has each picture whole."""
        frame_bytes = _FRAME_BYTES * (self.image_size / _FRAME_SIZE) ** 2
        return self.target_frames_per_s * frame_bytes * 8

    @property
    def needed(self) -> Pins:
        """What has to be installed, and what that asks of a host."""
        if not self.draws_by_model:
            return NO_PINS
        if self.pins is PinsName.CUSTOM:
            return Pins(requirements=self.requirements)
        return PRESETS[self.pins]
