"""What an operator declares of a Pixel Streaming stream: every key with its default, each overridable.

The defaults are those of Vast.ai's image (its sources read 2026-08). Folders and ports of the image are
settings as well, because derived images move them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from keeper.workloads.audition_checks import AuditionSettings
from keeper.workloads.viewing import HeardSettings

_Port = Annotated[int, Field(ge=1, le=65_535)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
_EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_Path = Annotated[str, Field(pattern=r"^/[^\x00-\x1f%]*$", max_length=400)]
_Seconds = Annotated[float, Field(gt=0, le=3600)]
_LISTEN_S = 1.0


class ArchiveSettings(BaseModel):
    """The packaged application: fetched by the host, there already, or sent by keeper.

    A host's own line is the fast one: what can be fetched is better fetched. What is nowhere but on
    keeper's box, keeper carries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Fetched on the host; a fetch that was cut short goes on where it ended.
    url: Annotated[str, Field(pattern=r"^(?:https?://\S+)?$", max_length=2000)] = ""
    # The name of a secret that holds the URL, where the URL itself opens the archive (signed ones).
    url_secret: str = ""
    # A file on the host, put there by the provisioning script, by hand, or by `keeper ssh`.
    path: Annotated[str, Field(pattern=r"^(?:/[^\x00-\x1f]*)?$", max_length=400)] = ""
    # A file on keeper's own box. keeper sends it, and goes on where a cut one ended.
    local_path: Annotated[str, Field(pattern=r"^(?:/[^\x00-\x1f]*)?$", max_length=400)] = ""
    # Its checksum. Without it an archive on the host that was exchanged is not noticed.
    sha256: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{64})?$")] = ""
    # How long fetching and unpacking may take together; where keeper sends it, each of the two.
    timeout_s: Annotated[float, Field(gt=0, le=14_400)] = 3600.0
    # So long without a byte getting further, and keeper's sending has stalled.
    stall_s: Annotated[float, Field(ge=5, le=600)] = 60.0

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> ArchiveSettings:
        places = (self.url, self.url_secret, self.path, self.local_path)
        if sum(bool(each) for each in places) != 1:
            raise ValueError("an archive has one of `url`, `url_secret`, `path` and `local_path`")
        if self.local_path and not self.sha256:
            raise ValueError(
                "an archive that keeper sends needs its `sha256`, which says when it is another one:"
                f" sha256sum '{self.local_path}'"
            )
        if not self.path and not self.sha256:
            raise ValueError("an archive that is fetched needs its `sha256`")
        return self


class AppSettings(BaseModel):
    """How the application is started: by keeper's own program under the image's supervisord."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Relative to `folder`, or absolute.
    executable: Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$", max_length=400)]
    # After the address of the signalling server and the streamer's name, which keeper adds.
    args: tuple[str, ...] = ("-RenderOffscreen", "-Vulkan", "-Unattended", "-StdOut")
    # Commands in front of the executable; [] for none.
    launcher: tuple[str, ...] = ("xvfb-run", "-a")
    # Its name at the signalling server; "": the engine's own.
    streamer_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,40}$")] = "Keeper"
    # The engine refuses root. "": as whoever runs supervisord.
    account: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$|^$")] = "user"
    # The program's name at supervisord.
    program: _Name = "ue-app"
    # Where the archive is unpacked, relative to the working directory.
    folder: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")] = "project"
    # More environment. Secrets join it by their names.
    env: Mapping[_EnvName, str] = {}
    # Up so long is started: an application that cannot start ends within seconds.
    start_s: Annotated[int, Field(ge=1, le=600)] = 10
    # supervisord's tries before it gives up and keeper takes its turn.
    start_retries: Annotated[int, Field(ge=0, le=20)] = 3
    # Between SIGTERM and SIGKILL.
    stop_s: Annotated[int, Field(ge=1, le=120)] = 10
    # From its start until it is listed: shaders are compiled first.
    stream_s: _Seconds = 180.0


class PlayerSettings(HeardSettings):
    """How keeper looks as a player, and what may be seen and heard."""

    # A look that watches costs the application an encoder session; one that lists costs nothing.
    watch_every_s: Annotated[float, Field(ge=5, le=3600)] = 60.0
    offer_s: Annotated[float, Field(gt=0, le=5)] = 4.0
    sample_s: Annotated[float, Field(gt=0, le=4)] = 2.0
    # Turns on the server's REST interface: only by it can keeper tell who else watches, and yield. It shows
    # players nothing that the server does not send each of them anyway.
    rest_api: bool = True
    # Whether players depend on the relay. Most networks of viewers do.
    needs_relay: bool = True
    # New frames a second; 0: no target.
    target_frames_per_s: Annotated[float, Field(ge=0, le=240)] = 0.0
    # Many applications are silent until somebody plays, and keeper plays nothing: only for one that sounds
    # by itself.
    expects_sound: bool = False
    # Told when it is watched, so up to `watch_every_s` later.
    silence_max_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0

    @model_validator(mode="after")
    def _listens_long_enough(self) -> PlayerSettings:
        if self.expects_sound and self.sample_s < _LISTEN_S:
            raise ValueError(
                f"silence of {self.sample_s:g} s proves nothing: with `expects_sound` a look takes `sample_s` of"
                f" {_LISTEN_S:g} at least"
            )
        return self


class ImageSettings(BaseModel):
    """Where things are in the image, and what its programs are called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Ports that the container publishes …
    page_port: _Port = 3000
    portal_port: _Port = 1111
    jupyter_port: _Port = 8080
    # Above 65535 Vast.ai gives the same port inside and outside; 0: no relay of our own.
    relay_port: Annotated[int, Field(ge=0, le=79_999)] = 70_000
    # … and those behind its proxy.
    page_port_inside: _Port = 13_000
    portal_port_inside: _Port = 11_111
    streamer_port: _Port = 8888
    # How to call supervisorctl; may be several words.
    supervisorctl: Annotated[str, Field(min_length=1, max_length=200)] = "supervisorctl"
    programs_folder: _Path = "/etc/supervisor/conf.d"
    logs_folder: _Path = "/var/log/portal"
    portal_file: _Path = "/etc/portal.yaml"
    # Where the boot leaves its markers, and what failed by it.
    markers_folder: _Path = "/"
    failures_file: _Path = "/var/log/vast_boot_failures"
    skips_folder: _Path = "/tmp/supervisor-skip"  # noqa: S108 - the image's, not ours
    # The environment that the container was started with.
    environ_file: _Path = "/proc/1/environ"
    caddy: _Name = "caddy"
    portal: _Name = "instance_portal"
    tunnels: _Name = "tunnel_manager"
    signalling: _Name = "pixel-streaming"
    relay: _Name = "coturn"
    # The chain of sound, in the order of its start; []: the stream has none.
    audio: tuple[_Name, ...] = (
        "dbus-system",
        "dbus-user",
        "pipewire",
        "pipewire-pulse",
        "wireplumber",
    )
    # How long the boot may take until supervisord answers.
    boot_s: _Seconds = 900.0
    # Caddy takes this long to bind again after a restart.
    caddy_restart_s: _Seconds = 120.0
    # A start script that waits longer than this for its own address waits for ever.
    hang_s: Annotated[int, Field(ge=1, le=3600)] = 60
    # What was restarted listens, and answers, after this long.
    settle_s: _Seconds = 30.0


class PixelStreamingSettings(BaseModel):
    """What an operator declares of a Pixel Streaming stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # Who changes these puts nothing else on a host.
    not_on_hosts: ClassVar[frozenset[str]] = frozenset(
        {
            "player", "audition", "bitrate_bps", "disk_free_min_gb", "drain_s", "tunnel_url", "archive.local_path",
            "archive.timeout_s", "archive.stall_s",
        }
    )  # fmt: skip

    kind: Literal["pixel-streaming"]
    image: Annotated[str, Field(min_length=1)] = "vastai/pixel-streaming:latest"
    disk_gb: Annotated[float, Field(ge=1)] = 120.0
    # Where the project goes.
    workdir: _Path = "/workspace"
    app: AppSettings
    # null: the provisioning script, or the image itself, brings the application.
    archive: ArchiveSettings | None = None
    # Run by the image once, at its first start. A URL.
    provisioning_script: Annotated[str, Field(pattern=r"^(?:https?://\S+)?$", max_length=2000)] = ""
    # "": of the ports below. host:outside:inside:path:Name, joined by "|".
    portal_config: Annotated[str, Field(max_length=2000)] = ""
    # The relay's user, told to players and to the relay: two names in the image, one here.
    relay_user: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")] = "user"
    # More arguments of the signalling server.
    signalling_args: tuple[Annotated[str, Field(pattern=r"""^[^\s'"]+$""")], ...] = ()
    # More environment of the container. The marketplace sees it: nothing secret belongs here.
    env: Mapping[_EnvName, str] = {}
    # A Cloudflare tunnel that is to be there, as http://localhost:3000; "": none is looked after.
    tunnel_url: Annotated[str, Field(pattern=r"^(?:https?://[A-Za-z0-9.-]+:\d{1,5})?$")] = ""
    # How long a planned end waits for the last viewer to go. Told only with player.rest_api.
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = 1800.0
    # Room for the archive and for what is unpacked of it, which the audition asks for. null: a quarter of
    # the disk, 30 GB at most.
    disk_free_min_gb: Annotated[float, Field(ge=0)] | None = None
    # What one viewer takes, for the audition's upload: 1080p at 60 frames a second.
    bitrate_bps: Annotated[float, Field(gt=0)] = 20_000_000.0
    player: PlayerSettings = PlayerSettings()
    image_layout: ImageSettings = ImageSettings()
    audition: AuditionSettings = AuditionSettings()

    @property
    def places(self) -> int:
        """How many players the server takes, by its own arguments; 0: as many as come."""
        words = " ".join(self.signalling_args).replace("=", " ").split()
        found = [after for word, after in pairwise(words) if word.lstrip("-") == "max_players"]
        return int(found[-1]) if found and found[-1].isascii() and found[-1].isdigit() else 0

    @model_validator(mode="after")
    def _lets_keeper_look(self) -> PixelStreamingSettings:
        if self.places and not self.player.rest_api:
            raise ValueError(
                f"`signalling_args` let {self.places} players in, and without `player.rest_api` nobody says"
                " whether a place is free: keeper would take a person's, or never look. Leave rest_api on, or"
                " --max_players out"
            )
        return self

    @model_validator(mode="after")
    def _has_sound_to_expect(self) -> PixelStreamingSettings:
        if self.player.expects_sound and not self.image_layout.audio:
            raise ValueError(
                "`image_layout.audio: []` says that the stream has no sound, and `player.expects_sound` waits for"
                " it: leave one out"
            )
        return self

    @field_validator("env")
    @classmethod
    def _keeps_its_own(cls, env: Mapping[str, str]) -> Mapping[str, str]:
        taken = sorted(env.keys() & {"TURN_USER", "TURN_USERNAME", "OPEN_BUTTON_TOKEN"})
        if taken:
            raise ValueError(
                f"{', '.join(taken)}: the relay's user is `relay_user`, and the token is Vast.ai's"
            )
        return env
