"""What a slot runs: what to rent, how to put it there, how to restart it, and whom to believe.

A workload is pure: it composes commands and interprets replies; the shell carries them. One file per
workload: settings model (pydantic), class, ``register``. Nothing here waits, connects or reads time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel

from keeper.core.model import InstanceId, OfferNeeds, Reading, RentalSpec, Rung, Status
from keeper.ports import Command, CommandResult, Job, Parcel, Region, Upload
from keeper.workloads.audition import Check

Step = Command | Upload | Job | Parcel


class ViewKind(StrEnum):
    """How a viewer looks at the stream."""

    MJPEG = "mjpeg"  # the picture itself
    JPEG = "jpeg"  # the picture itself, one at a time
    HLS = "hls"  # the picture and the sound
    RTMP = "rtmp"  # the same
    WEBRTC = "webrtc"  # the picture itself, as a player of Pixel Streaming
    HTTP = "http"  # only that something answers (weaker; a hint)
    TCP = "tcp"  # only that a port is open (weakest)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerView:
    """How a player looks: to see who streams costs nothing, to watch costs the application something."""

    streamer_id: str = ""  # the name that the application is to have; "": any
    watch_every_s: float = 60.0  # in between, and while all is well, it only asks who streams
    offer_s: float = 4.0
    sample_s: float = 2.0
    has_rest: bool = False  # the server says who else watches
    places: int = 0  # it takes so many players; 0: as many as come
    needs_relay: bool = True
    start_s: float = 180.0  # from the application's start until it streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture that may stand still by design: a slate, a lobby, a menu.

    ``grid``: how it looks, as probes/grid.py sees it; b"": not known yet, so nothing is excused by it.
    ``image``: the file of keeper's box that shows it, which the shell reads (viewing.Aids).
    """

    name: str
    grid: bytes = b""
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the viewer probe looks at, on a port of the container.

    By its public mapping, or through the host's link when there is none; or, with ``url``, elsewhere: a
    public platform's playlist. What is seen there is the stream's, whichever host sends it.
    """

    kind: ViewKind
    container_port: int  # 0: none of the host's own is looked at
    path: str = "/"
    # HLS, RTMP, JPEG, MJPEG: absolute; then neither port nor path is asked. It may hold a token.
    url: str = field(default="", repr=False)
    url_secret: str = ""  # the name of the secret that is the url; the shell puts it there
    own: View | None = None  # where the look is elsewhere: the host's own picture, for hand-overs
    target_frames_per_s: float = 0.0  # below a quarter of it: stuttering; 0: no target
    black_luma_max: float = (
        4.0  # a mean luma at or below this is black, where nothing in it is bright
    )
    is_static_allowed: bool = False  # a slate: an unchanging picture is by design
    still_max_s: float = 0.0  # a picture may stand still for so long before it counts as frozen
    scenes: tuple[Scene, ...] = ()  # these may stand still for ever
    ignored: tuple[Region, ...] = ()  # what moves there is no life: a clock over a slate
    expects_sound: bool = False
    silence_max_dbfs: float = -60.0  # sound that stays at or below this is silence
    silence_max_s: float = 0.0  # a picture may be silent for so long before it counts as that
    player: PlayerView | None = None  # WEBRTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How to let what viewers are watching come to its end before a stop.

    ``begin`` asks for it; ``look`` is asked every ``look_s`` until it ends with exit code 0 (drained)
    or ``bound_s`` has passed. Exit codes of both: 1 not yet; 2 cannot be told; 3 the workload refuses
    (a wrong code, say): the same process is never asked again with the same declaration.
    """

    begin: tuple[Command, ...]
    look: Command
    bound_s: float
    look_s: float = 5.0
    is_restart: bool = False  # drained means that the workload has restarted itself, too
    # Where it does: how to see a moment at which viewers lose least, and to change nothing by that.
    lull: Drain | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """One line of ``keeper stream-status``: what a person asks first, and the answer."""

    title: str
    status: Status
    text: str  # bounded, made plain


class Workload(Protocol):
    """One way to fill a slot."""

    kind: str

    def rental(self) -> RentalSpec:
        """Image, ports, environment and disk to rent with. Never a secret of the account."""
        ...

    def needs(self, declared: OfferNeeds) -> OfferNeeds:
        """Add what this workload cannot do without to what the operator declared."""
        ...

    def rungs(self) -> tuple[Rung, ...]:
        """Which remedies below replacing the host make sense here, cheapest first."""
        ...

    def deploy(self) -> tuple[Step, ...]:
        """Idempotent steps that put the workload on a fresh host and start it.

        The last ones start and verify. Each Command must end with exit code 0.
        """
        ...

    def prepare(self) -> tuple[Step, ...]:
        """All of a deploy but its start: what a spare gets that must not publish yet. Idempotent."""
        ...

    def start(self) -> tuple[Step, ...]:
        """Start what is prepared on a host, or was stopped there: the rest of a deploy. Idempotent."""
        ...

    def stop(self) -> tuple[Command, ...]:
        """End it for certain, so that nothing on the host starts it again; () where nobody can.

        Idempotent. A Command that cannot see it ended must not end with exit code 0.
        """
        ...

    def audition(self) -> tuple[Check, ...]:
        """Return what a host must show before it gets the workload, the cheapest looks first."""
        ...

    def remembering(self, keepsake: str) -> Workload:
        """Return the same workload, told what its slot's hosts were showing last; "" is nothing."""
        ...

    def restart_process(self, symptom: str = "") -> tuple[Command, ...]:
        """First rung: end the process for certain and start it again (or ask its manager to).

        ``symptom``: the code of what is to be cured, where the way depends on it; "" : nothing known.
        """
        ...

    def restart_workload(self, symptom: str = "") -> tuple[Step, ...]:
        """Second rung: stop everything of ours on the host, put it there again, start it."""
        ...

    def drain(self) -> Drain | None:
        """How viewers lose least by a planned stop; None: there is nothing to wait for."""
        ...

    def evidence(self) -> tuple[Command, ...]:
        """Return bounded looks that change nothing, for those who ask later what went wrong."""
        ...

    def logs(self) -> tuple[str, ...]:
        """Return the paths of the logs worth following, the best first."""
        ...

    def report(self) -> Command | None:
        """Return the question behind ``keeper stream-status``; None: the workload has no report."""
        ...

    def read_report(self, result: CommandResult) -> tuple[ReportLine, ...]:
        """Read the answer. Whatever cannot be read is a line that says so, never an exception."""
        ...

    def sentinel(self) -> str:
        """The POSIX-sh program for Link.watch: payload/sentinel.sh with this workload's questions."""
        ...

    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        """Read one sentinel line. Garbage becomes an Unknown reading, never an exception."""
        ...

    def view(self) -> View:
        """What the viewer looks at."""
        ...


def lull_of(workload: Workload) -> Drain | None:
    """Return how to see a moment at which viewers of a host lose least; None: there is none to see."""
    drain = workload.drain()
    if drain is None or not (drain.begin or drain.is_restart):
        return drain
    return drain.lull


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """One workload kind: its settings model and how to build it."""

    kind: str
    settings: type[BaseModel]
    build: Callable[[Any, Mapping[str, str]], Workload]  # settings, secrets by name


_REGISTRY: dict[str, Registered] = {}


def register(
    kind: str,
    settings: type[BaseModel],
    build: Callable[[Any, Mapping[str, str]], Workload],
) -> None:
    """Make a workload kind known. The settings model has ``kind: Literal[kind]``."""
    if kind in _REGISTRY:
        message = f"workload kind {kind!r} is registered twice"
        raise ValueError(message)
    _REGISTRY[kind] = Registered(kind=kind, settings=settings, build=build)


def registered() -> Mapping[str, Registered]:
    """All workload kinds, after loading every module of this package once."""
    import importlib  # noqa: PLC0415 - plug-ins are loaded when first asked for
    import pkgutil  # noqa: PLC0415

    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(_REGISTRY)
