"""Puts an audition together: from what a workload demands of its host, and what the operator declares.

The one door to the checks for workloads. Each check is in the module of what it looks at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from keeper.workloads import audition_display as of_display
from keeper.workloads import audition_gpu as of_gpu
from keeper.workloads import audition_host as of_host
from keeper.workloads import audition_ingest as of_ingest
from keeper.workloads.audition import Check, Forced, with_force
from keeper.workloads.audition_ingest import Ingest, Speech, ingest_at
from keeper.workloads.audition_probe import probe
from keeper.workloads.audition_webgpu import BROWSERS, CHOSEN_FILE, CONFIGURATIONS, webgpu

__all__ = [
    "BROWSERS",
    "CHOSEN_FILE",
    "CONFIGURATIONS",
    "AuditionSettings",
    "Demands",
    "Ingest",
    "IngestPlace",
    "Speech",
    "audition",
    "ingest_at",
]


def _spoken(place: str) -> str:
    """Refuse what is none of the ways in which a stream is sent."""
    said, is_said, _ = place.rpartition("://")
    if is_said and said not in set(Speech):
        raise ValueError(f"{said}:// is not known here; there are {', '.join(Speech)}, or none")
    return place


# For a workload's settings: where the stream goes.
IngestPlace = Annotated[str, Field(pattern=r"^(\S+:\d+)?$"), AfterValidator(_spoken)]


class AuditionSettings(BaseModel):
    """What an operator declares of a stream's audition."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Checks that may fail: what they saw is noted, and the host goes on air all the same.
    force: Forced = ()
    # Where some seconds of upload are sent to: https:// (PUT) or rtmp://. Empty: not measured.
    upload_test_url: Annotated[str, Field(pattern=r"^(?:(?:https?|rtmps?)://\S+)?$")] = ""
    # So many times the stream's own bitrate must go through.
    upload_factor: Annotated[float, Field(ge=1, le=10)] = 2.0
    # A name that resolves and takes TCP connections on port 443 whatever happens.
    control_host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")] = "github.com"
    # More than this between the host's clock and keeper's breaks TLS and tokens.
    clock_skew_max_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    # How much of the disk must be free, whatever the workload needs.
    disk_free_min_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    # Whether a browser that draws in software will do.
    allow_software: bool = False

    def upload_mbps(self, bitrate_bps: float) -> float:
        """Return what must go upwards, in the unit of the market's own measurement."""
        return bitrate_bps * self.upload_factor / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a workload needs of its host. What is left at its default is not looked at."""

    workdir: str
    disk_free_min_gb: float = 1.0
    has_gpu: bool = True
    renders: bool = False  # by Vulkan, and so with the graphics half of the driver
    encodes: bool = False  # by the GPU
    x_display: str = ""  # ":99": an X server of that number, started where there is none
    webgpu: bool = False  # a browser that draws by it
    browsers: tuple[str, ...] = BROWSERS
    browser_install: str = ""  # shell that brings the browser; "": Chromium, or on Ubuntu Chrome
    ingest: Ingest | None = None
    bitrate_bps: float = 0.0
    names: tuple[str, ...] = ()  # more host names that must resolve
    ports: tuple[int, ...] = ()  # TCP ports of the container that the outside must reach
    shm_min_gb: float = 0.0


def audition(demands: Demands, settings: AuditionSettings) -> tuple[Check, ...]:
    """Compose the checks, the cheapest looks first, and those that condemn at once before the rest.

    Looks are shared: the duel's twelve checks take six round trips, SD-Turbo's three take two.
    """
    checks = (
        *_gpu(demands),
        *_host(demands, settings),
        *_display(demands),
        *((of_gpu.encoder(),) if demands.encodes else ()),
        *(_upload(demands, settings) if settings.upload_test_url else ()),
        *(of_host.port(number) for number in demands.ports),
        *((_webgpu(demands, settings),) if demands.webgpu else ()),
    )
    return with_force(checks, settings.force)


def _gpu(demands: Demands) -> tuple[Check, ...]:
    if not demands.has_gpu:
        return ()
    sections = ("gpu", "display") if demands.renders else ("gpu",)
    # By itself: a driver in trouble may hang, and then only this look does.
    driver = probe("audition.gpu", *sections, timeout_s=90.0)
    checks = (of_gpu.gpu(driver),)
    return (*checks, of_display.display(driver)) if demands.renders else checks


def _host(demands: Demands, settings: AuditionSettings) -> tuple[Check, ...]:
    names = (*((demands.ingest.host,) if demands.ingest else ()), *demands.names)
    variables = {
        "workdir": demands.workdir,
        "names": " ".join(names),
        "control": settings.control_host,
    }
    has_network = bool(names)
    sections = ["dns"] if has_network else []
    if demands.ingest is not None:
        sections.append("ingest")
        variables["ingest"] = of_ingest.words_of(demands.ingest)
    # The clock last: its answer is read when the whole look has come back.
    look = probe("audition.host", *sections, "disk", "shm", "clock", timeout_s=90.0, **variables)
    return (
        of_host.disk(
            look,
            workdir=demands.workdir,
            free_min_gb=demands.disk_free_min_gb,
            free_min_ratio=settings.disk_free_min_ratio,
        ),
        *((of_host.dns(look, names, settings.control_host),) if has_network else ()),
        *((of_ingest.ingest(look, demands.ingest),) if demands.ingest is not None else ()),
        *((of_host.shm(look, min_gb=demands.shm_min_gb),) if demands.shm_min_gb else ()),
        of_host.clock(look, skew_max_s=settings.clock_skew_max_s),
    )


def _display(demands: Demands) -> tuple[Check, ...]:
    checks: tuple[Check, ...] = ()
    if demands.renders:
        look = probe("audition.graphics", "drm", "dri", "icd", timeout_s=40.0)
        # Apart from the manifest, which its fix may have written in between.
        device = probe("audition.vulkan", "vulkan", timeout_s=40.0)
        checks = (
            of_gpu.nvidia_drm(look),
            of_display.dev_dri(look),
            of_gpu.vulkan_icd(look),
            of_gpu.vulkan(device),
        )
    if demands.x_display:
        checks = (*checks, of_display.x_server(demands.x_display, workdir=demands.workdir))
    return checks


def _upload(demands: Demands, settings: AuditionSettings) -> tuple[Check, ...]:
    if demands.bitrate_bps <= 0:
        return ()
    return (of_host.upload(settings.upload_test_url, demands.bitrate_bps, settings.upload_factor),)


def _webgpu(demands: Demands, settings: AuditionSettings) -> Check:
    return webgpu(
        workdir=demands.workdir,
        display=demands.x_display,
        allow_software=settings.allow_software,
        browsers=demands.browsers,
        install_script=demands.browser_install,
    )
