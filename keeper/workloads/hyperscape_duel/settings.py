"""What an operator declares of a duel: every key with its default, each overridable by itself.

The defaults are those of the provisioning page of March 2026 and of the code of that week; where the two
differ, the code counts and a comment says so.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from keeper.workloads import ViewKind
from keeper.workloads.audition_checks import AuditionSettings, IngestPlace
from keeper.workloads.viewing import BroadcastSettings, fault_of

_EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_AppName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
_Seconds = Annotated[float, Field(gt=0, le=7200)]
_Port = Annotated[int, Field(ge=1, le=65_535)]
_Place = Annotated[str, Field(pattern=r"^[A-Za-z0-9_/][^\s]{0,200}$")]
_Text = Annotated[str, Field(min_length=1, max_length=400)]

# The page's environment for Vast.ai, required and optional parts, as it prints them (March 2026).
SEED_ENV: Mapping[str, str] = {
    "NODE_ENV": "production",
    "DUEL_USE_PRODUCTION_CLIENT": "true",
    "POSTGRES_POOL_MAX": "3",
    "POSTGRES_POOL_MIN": "0",
    "SPAWN_MODEL_AGENTS": "true",
    "STREAM_PLACEHOLDER_ENABLED": "true",
    "STREAM_CAPTURE_EXECUTABLE": "/usr/bin/google-chrome-unstable",
    "STREAM_LOW_LATENCY": "true",
    "STREAM_GOP_SIZE": "60",
    "STREAM_AUDIO_ENABLED": "true",
    "PULSE_AUDIO_DEVICE": "chrome_audio.monitor",
}

# What the stack takes when these are not set (its own defaults, not the server's): milliseconds.
_PHASES_MS = {
    "STREAMING_ANNOUNCEMENT_MS": 30_000,
    "STREAMING_FIGHTING_MS": 150_000,
    "STREAMING_END_WARNING_MS": 10_000,
    "STREAMING_RESOLUTION_MS": 5_000,
}
# COUNTDOWN is three ticks of the game.
_COUNTDOWN_S = 5.0

# Memory, or written to by everybody, and gone after a reboot; /var/run and /var/lock lead to /run.
_EMPTIED = ("/tmp", "/var/tmp", "/run", "/var/run", "/var/lock", "/dev", "/proc", "/sys")  # noqa: S108

# git for the checkout; curl and unzip for bun's installer, which takes a version.
SETUP = """\
if ! command -v git >/dev/null || ! command -v curl >/dev/null || ! command -v unzip >/dev/null; then
    apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install \\
        --no-install-recommends ca-certificates curl git unzip || exit 1
fi
command -v bun >/dev/null || curl -fsSL https://bun.sh/install | bash -s "bun-v1.3.1"
"""

# The mode that needs no GPU's display comes second in the original, and is the one that always starts.
START_DISPLAY = 'Xvfb "$DISPLAY" -screen 0 1280x720x24 -nolisten tcp'
START_SOUND = (
    "pulseaudio --start --exit-idle-time=-1 && "
    "{ pactl list short sinks | grep -q chrome_audio || "
    "pactl load-module module-null-sink sink_name=chrome_audio; }"
)

# Settings that a cure changes before it starts the stack again, by the symptom's code.
CURES: Mapping[str, Mapping[str, str]] = {
    "idle_disconnect": {"STREAM_PLACEHOLDER_ENABLED": "true"},
    # So that the platforms keep it, whatever comes of the restart.
    "no_fighters": {"STREAM_PLACEHOLDER_ENABLED": "true"},
    "page_timeout": {"NODE_ENV": "production", "DUEL_USE_PRODUCTION_CLIENT": "true"},
    "chrome_missing": {"STREAM_CAPTURE_CHANNEL": "chrome-beta", "STREAM_CAPTURE_EXECUTABLE": ""},
    "ffmpeg_segfault": {"FFMPEG_PATH": "/usr/bin/ffmpeg"},
    "vulkan_dir": {"XDG_RUNTIME_DIR": "/root/.keeper-xdg"},
}


class PatienceSettings(BaseModel):
    """How long what the duel says of itself may last before it is a symptom, and how it is seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # A cold start: server 7 min, state 30 s, first segment 3 min (the orchestrator's own budgets).
    startup_s: _Seconds = 630.0
    # A bridge that was begun again: the page may take its 180 s, then the first segment.
    bridge_start_s: _Seconds = 300.0
    # The bridge's own recovery: page, browser, everything takes about 90 s; it may try twice.
    recovery_s: _Seconds = 180.0
    # A phase may be late by this much.
    phase_margin_s: _Seconds = 60.0
    # A fight without a blow.
    still_s: _Seconds = 60.0
    # IDLE for so long means that there are no two fighters; less than two cycles of phases are ordinary.
    idle_s: _Seconds = 600.0
    # Platforms are said to drop what has been idle for 30 min: this is acted upon before.
    idle_disconnect_s: _Seconds = 1500.0
    loading_s: _Seconds = 180.0
    placeholder_s: _Seconds = 60.0
    # No bytes from the browser, no new segment, no status snapshot: all of them come every few seconds.
    flat_s: _Seconds = 60.0
    # The server does not answer although its process runs.
    silent_s: _Seconds = 60.0
    # Signs in logs count for so long after they were last seen.
    log_s: _Seconds = 120.0
    # Twitch ends a broadcast after 48 h: it is begun again before, at the end of a fight.
    stream_max_s: Annotated[float, Field(gt=0)] = 171_000.0
    # PM2 restarts the app at 4 GiB: it is done before, at the end of a fight.
    memory_max_mb: Annotated[int, Field(ge=1)] = 3_700
    # Encoding slower than real time, or nothing to be heard, may pass.
    slow_s: _Seconds = 180.0


class Pm2Settings(BaseModel):
    """The stack's apps under PM2."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # As in the ecosystem file, the orchestrator's first. The page shows two, the code has one.
    apps: Annotated[tuple[_AppName, ...], Field(min_length=1, max_length=5)] = ("hyperscape-duel",)
    # The app that is the bridge; "": the orchestrator runs it, unseen by PM2.
    bridge_app: Annotated[str, Field(max_length=60)] = ""
    # Where it is no app: the word of its command line, below the orchestrator.
    bridge_word: _Text = "stream:rtmp"
    ecosystem: _Text = "ecosystem.config.cjs"
    # How PM2 is called on the host; may be several words.
    command: _Text = "bunx pm2"
    # PM2_HOME; "": PM2's default.
    home: str = ""

    @model_validator(mode="after")
    def _bridge_is_an_app(self) -> Pm2Settings:
        if self.bridge_app and self.bridge_app not in self.apps:
            raise ValueError(f"`bridge_app` {self.bridge_app!r} is none of `apps`")
        return self


class DuelViewSettings(BroadcastSettings):
    """What viewers see and hear of a duel: by its own playlist, or by that of a platform."""

    # http: only whether the playlist answers. rtmp: what `url` plays.
    kind: Literal[ViewKind.HLS, ViewKind.RTMP, ViewKind.HTTP] = ViewKind.HLS

    @model_validator(mode="after")
    def _fits_its_kind(self) -> DuelViewSettings:
        if self.is_elsewhere and self.kind is ViewKind.HTTP:
            raise ValueError(
                "`http` sees no picture, and an answer from elsewhere says nothing of the host: look there by"
                " `hls` or `rtmp`"
            )
        if self.kind is ViewKind.RTMP and not self.is_elsewhere:
            raise ValueError("the host itself plays nothing by `rtmp`: say where, by `url`")
        if self.url and (found := fault_of(self.url, self.kind)):
            raise ValueError(f"`url`: {found}")
        if self.expects_sound and self.kind is ViewKind.HTTP:
            raise ValueError("`http` hears no sound: look by `hls`, or leave `expects_sound` out")
        return self


class HyperscapeDuelSettings(BaseModel):
    """What an operator declares of a duel."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # Who changes these puts nothing else on a host.
    not_on_hosts: ClassVar[frozenset[str]] = frozenset(
        {"patience", "audition", "ingest", "bitrate_bps", "hls_path", "view"}
        | {"deploy_timeout_s", "verify_timeout_s", "maintenance_wait_s", "drain_margin_s"}
    )

    kind: Literal["hyperscape-duel"]
    image: Annotated[str, Field(min_length=1)] = "nvidia/cuda:12.4.0-runtime-ubuntu22.04"
    disk_gb: Annotated[float, Field(ge=1)] = 120.0
    # The game server's port. Asked over SSH; published only where `publish` names it.
    port: _Port = 5555
    # Where it listens, seen from the host; the host's own variables may stand in it.
    address: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:${}_-]{1,100}$")] = "127.0.0.1"
    publish: tuple[_Port, ...] = ()
    # Where the code is, which branch, and better a commit: a branch that moves changes what is deployed.
    repository: _Text = "https://github.com/HyperscapeAI/hyperscape.git"
    branch: _Text = "main"
    commit: Annotated[str, Field(pattern=r"^([0-9a-f]{7,40})?$")] = ""
    # Here and in the next ones: a relative path begins at the home of the SSH user.
    workdir: _Place = "/root/hyperscape"
    # The settings below and every secret of the stream, mode 0600. /tmp is emptied at a reboot.
    secrets_file: _Place = "/root/hyperscape-secrets.env"
    # Where the stack reads them, below workdir; "": the deploy script sees to it.
    env_file: str = "packages/server/.env"
    deploy_script: _Text = "scripts/deploy-vast.sh"
    deploy_log: _Place = "/var/log/deploy-vast.log"
    # What the checkout and the deploy script need; must bear repetition.
    setup: str = SETUP
    # Over the page's environment, key by key. null takes a key away.
    env: Mapping[_EnvName, str | None] = {}
    # The runtime for keeper's questions on the host: bun or node.
    runtime: _Text = "bun"
    # In front of PATH: a shell that nobody has logged in to knows no bun.
    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9./:${}_-]{0,400}$")] = (
        "$HOME/.bun/bin:/usr/local/bin"
    )
    pm2: Pm2Settings = Pm2Settings(apps=("hyperscape-duel",))
    # The orchestrator's logs, below workdir: errors first.
    logs: tuple[_Text, ...] = ("logs/duel-error.log", "logs/duel-out.log")
    # The X display; "": not looked at. How it is started when the stack must come up without a deploy.
    display: Annotated[str, Field(pattern=r"^(:\d{1,3})?$")] = ":99"
    start_display: str = START_DISPLAY
    start_sound: str = START_SOUND
    # The playlist that the server has of its own stream; "": it has none.
    hls_path: Annotated[str, Field(pattern=r"^(/\S*)?$")] = "/live/stream.m3u8"
    view: DuelViewSettings = DuelViewSettings()
    # The name of the secret that opens the admin calls; without it nothing is drained or put into
    # maintenance.
    admin_code_secret: _EnvName = "ADMIN_CODE"  # noqa: S105 - a name
    # Where the stream goes, for the audition, which greets it as RTMP does: host:port, or
    # rtmps://host:port for another port than 443. "": not tried.
    ingest: IngestPlace = "live.twitch.tv:1935"
    # Video and audio together, for the audition's upload.
    bitrate_bps: Annotated[float, Field(ge=0)] = 4_628_000.0
    audition: AuditionSettings = AuditionSettings()
    # Set-up, checkout and deploy script together.
    deploy_timeout_s: _Seconds = 1800.0
    verify_timeout_s: _Seconds = 480.0
    # How long a deploy waits for the duel to end (maintenance/enter). Bounded by itself.
    maintenance_wait_s: Annotated[float, Field(ge=0, le=1800)] = 300.0
    # Over one full cycle of phases and a start, for a graceful restart.
    drain_margin_s: _Seconds = 60.0
    # Connections to the database drain in 30 to 60 s; a faster start finds them taken.
    database_drain_s: Annotated[float, Field(ge=0, le=300)] = 45.0
    # Settings that a cure changes, by symptom; over the built-in ones.
    cures: Mapping[str, Mapping[_EnvName, str]] = {}
    patience: PatienceSettings = PatienceSettings()

    @field_validator("secrets_file")
    @classmethod
    def _survives_a_reboot(cls, path: str) -> str:
        # As the kernel would take it: "//" and ".." may lead there, too.
        plain = posixpath.normpath(path).replace("//", "/")
        if plain.startswith("../"):
            raise ValueError(
                "a path that leaves the SSH user's home says where it goes from the root"
            )
        if any(plain.startswith(f"{folder}/") for folder in _EMPTIED):
            raise ValueError("a host's temporary folders are emptied when its container starts")
        return path

    @property
    def has_sound(self) -> bool:
        """Whether the stack is told to send sound."""
        return self.environment().get("STREAM_AUDIO_ENABLED", "true").lower() == "true"

    @property
    def encodes_on_gpu(self) -> bool:
        """Whether the picture is encoded by NVENC (`STREAM_CAPTURE_MODE: x11_nvenc`, or an encoder's name)."""
        return any("nvenc" in value.lower() for value in self.environment().values())

    def environment(self) -> dict[str, str]:
        """Return the page's environment with what the operator declares over it; no secret."""
        named = {"PORT": str(self.port), "DISPLAY": self.display} if self.display else {}
        merged = {**SEED_ENV, "PORT": str(self.port), **named, **self.env}
        return {name: value for name, value in merged.items() if value is not None}

    def phases_s(self) -> dict[str, float]:
        """Return how long each phase may last, by the environment or the stack's defaults."""
        given = self.environment()
        length = {
            name: _milliseconds(given.get(name), standard) / 1000
            for name, standard in _PHASES_MS.items()
        }
        return {
            "ANNOUNCEMENT": length["STREAMING_ANNOUNCEMENT_MS"],
            "COUNTDOWN": _COUNTDOWN_S,
            "FIGHTING": length["STREAMING_FIGHTING_MS"] + length["STREAMING_END_WARNING_MS"],
            "RESOLUTION": length["STREAMING_RESOLUTION_MS"],
        }

    def silence_max_s(self) -> float:
        """Return for how long no sound is no fault: fighters may be waited for, and nothing plays then.

        That PulseAudio is gone is known sooner, by the host's own word (sound_gone).
        """
        if self.view.silence_max_s is not None:
            return self.view.silence_max_s
        return max(self.cycle_s(), self.patience.idle_s) + self.patience.phase_margin_s

    def cycle_s(self) -> float:
        """Return how long one whole duel takes."""
        return sum(self.phases_s().values())


def _milliseconds(text: str | None, standard: int) -> float:
    try:
        value = float(text) if text is not None else float(standard)
    except ValueError:
        return float(standard)  # the stack reads it so, too
    return value if 0 < value < 86_400_000 else float(standard)  # noqa: PLR2004 - a day
