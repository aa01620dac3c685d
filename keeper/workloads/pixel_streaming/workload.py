"""The workload: Vast.ai's Pixel Streaming image as it is, and the application under a program of our own.

The image looks after everything but the application itself; keeper brings a supervisord program for that,
and looks as a player, because a hung application stays listed and a frozen one goes on sending.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

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
from keeper.ports import Command, CommandResult, Upload
from keeper.workloads import Drain, PlayerView, ReportLine, Step, View, ViewKind, Workload
from keeper.workloads import managers as manager_of
from keeper.workloads.audition import Check
from keeper.workloads.audition_checks import Demands, audition
from keeper.workloads.pixel_streaming import cures, report, scripts
from keeper.workloads.pixel_streaming.facts import read
from keeper.workloads.pixel_streaming.settings import PixelStreamingSettings
from keeper.workloads.pixel_streaming.symptoms import symptom_of
from keeper.workloads.viewing import view_of

_QUESTIONS = "pixel_questions.sh"
_REPORT_S = 40.0
_DRAIN_LOOK_S = 10.0
_CONTROL_S = 60.0
# An archive of some gigabytes, what is unpacked of it, and what the engine compiles and logs.
_PROJECT_FREE_MIN_GB = 30.0

# Each subscriber is an object with its playerId; keeper's own looks last two seconds.
_LOOK_FOR_PLAYERS = r"""
list=$(curl -fsS -m 5 "http://127.0.0.1:$page/api/streamers" 2>/dev/null) || exit 2
case $list in '['*) ;; *) exit 2 ;; esac
case $list in *'"playerId"'*) exit 1 ;; esac
exit 0
"""


@dataclass(frozen=True, slots=True)
class PixelStreaming:
    """The workload. Secrets go into the application's environment, by their names."""

    settings: PixelStreamingSettings
    secrets: Mapping[str, str]

    kind = "pixel-streaming"

    @property
    def _manager(self) -> manager_of.Supervisor:
        return manager_of.Supervisor(
            kind="supervisor",
            name=self.settings.app.program,
            command=self.settings.image_layout.supervisorctl,
        )

    def rental(self) -> RentalSpec:
        """Image, ports and environment, as the image's own template has them; nothing secret.

        Driver capabilities and ports cannot be changed on a container that runs.
        """
        image = self.settings.image_layout
        ports = tuple(
            Port(container_port=port)
            for port in dict.fromkeys((image.portal_port, image.page_port, image.jupyter_port))
        )
        if image.relay_port:
            ports = (*ports, Port(container_port=image.relay_port, protocol="udp"))
        return RentalSpec(
            image=self.settings.image,
            disk_gb=self.settings.disk_gb,
            ports=ports,
            env=self._rental_env(),
        )

    def _rental_env(self) -> dict[str, str]:
        settings, image = self.settings, self.settings.image_layout
        words = (*settings.signalling_args, *(("--rest_api",) if settings.player.rest_api else ()))
        portal = settings.portal_config or "|".join(
            (
                f"localhost:{image.portal_port}:{image.portal_port_inside}:/:Instance Portal",
                f"localhost:{image.page_port}:{image.page_port_inside}:/:Pixel Streaming",
                f"localhost:{image.jupyter_port}:{image.jupyter_port}:/:Jupyter",
            )
        )
        env = {
            "NVIDIA_DRIVER_CAPABILITIES": "all",
            "OPEN_BUTTON_PORT": str(image.portal_port),
            "PORTAL_CONFIG": portal,
            # One name for players, another for the relay; only one of them set breaks it.
            "TURN_USER": settings.relay_user,
            "TURN_USERNAME": settings.relay_user,
        }
        if words:
            env["PIXEL_STREAMING_ARGS"] = " ".join(words)
        if settings.provisioning_script:
            env["PROVISIONING_SCRIPT"] = settings.provisioning_script
        return {**env, **settings.env}

    def needs(self, declared: OfferNeeds) -> OfferNeeds:
        """Ask for the disk that is rented, a line for a viewer, and the GPU's display.

        Without a display Vulkan may fail.
        """
        settings = self.settings
        return replace(
            declared,
            disk_gb=max(declared.disk_gb, settings.disk_gb),
            gpu_display_active=True,
            inet_up_min_mbps=max(
                declared.inet_up_min_mbps, settings.audition.upload_mbps(settings.bitrate_bps)
            ),
        )

    def rungs(self) -> tuple[Rung, ...]:
        """All of them help here."""
        return (Rung.RESTART_PROCESS, Rung.RESTART_WORKLOAD, Rung.REBOOT)

    def audition(self) -> tuple[Check, ...]:
        """Ask for a GPU that renders by Vulkan and encodes, a disk with room, and open ports.

        The relay's port is not dialled: it is UDP. That it relays, the player finds out.
        """
        settings = self.settings
        demands = Demands(
            workdir=settings.workdir,
            disk_free_min_gb=min(_PROJECT_FREE_MIN_GB, settings.disk_gb / 4)
            if settings.disk_free_min_gb is None
            else settings.disk_free_min_gb,
            renders=True,
            encodes=True,
            bitrate_bps=settings.bitrate_bps,
            ports=tuple(
                port.container_port for port in self.rental().ports if port.protocol == "tcp"
            ),
        )
        return audition(demands, settings.audition)

    def deploy(self) -> tuple[Step, ...]:
        """Wait for the boot, fetch or send, unpack, install the program, start it, prove it."""
        return (*self._put("deploy"), *self._install_and_start("deploy"))

    def prepare(self) -> tuple[Step, ...]:
        """Put the project in place; the program comes with the deploy, or a reboot would start it."""
        return self._put("deploy")

    def start(self) -> tuple[Step, ...]:
        """Install the program, start it, prove it."""
        return self._install_and_start("swap")

    def stop(self) -> tuple[Command, ...]:
        """End the application by supervisord, and see that it has ended."""
        return manager_of.end(self._manager, name="swap.stop", workdir=self.settings.workdir)

    def remembering(self, keepsake: str) -> Workload:
        """Have nothing to remember: what viewers see is the application's own."""
        return self

    def restart_process(self, symptom: str = "") -> tuple[Command, ...]:
        """Do what helps against the symptom; else make a fresh application."""
        return cures.cure(self.settings, symptom)

    def restart_workload(self, symptom: str = "") -> tuple[Step, ...]:
        """Put everything there again, with a fresh signalling server and relay, and start it."""
        act = "restart.workload"
        return (
            *self._put(act),
            *self._program(),
            scripts.install(self.settings, name=f"{act}.install"),
            *cures.cure(self.settings, "relay_down"),
            *cures.cure(self.settings, "page_down"),
            *self._start(f"{act}.start"),
        )

    def drain(self) -> Drain | None:
        """Wait until nobody watches. Without the server's REST interface that cannot be told."""
        if not self.settings.drain_s:
            return None
        page = self.settings.image_layout.page_port_inside
        return Drain(
            begin=(),
            look=Command(
                name="drain.look", script=f"page={page}\n{_LOOK_FOR_PLAYERS}", timeout_s=15.0
            ),
            bound_s=self.settings.drain_s,
            look_s=_DRAIN_LOOK_S,
        )

    def evidence(self) -> tuple[Command, ...]:
        """Look at the programs and the system, and at the ends of their logs."""
        tails = "\n".join(
            f"echo '== {path}'; tail -c 30000 -- '{path}' 2>&1; echo" for path in self.logs()
        )
        own = Command(
            name="evidence.programs",
            script=f"{tails}\nexit 0",
            timeout_s=_CONTROL_S / 6,
            output_max_bytes=262_144,
        )
        return (own, *manager_of.evidence(self._manager, workdir=self.settings.workdir))

    def logs(self) -> tuple[str, ...]:
        """Name the application's log first, then those of the image's programs."""
        image = self.settings.image_layout
        others = (image.signalling, image.relay, image.caddy, image.portal)
        return (
            scripts.app_log(self.settings),
            *(f"{image.logs_folder}/{name}.log" for name in others),
        )

    def report(self) -> Command | None:
        """Ask the sentinel's own questions, once."""
        script = (
            scripts.assignments(scripts.questions(self.settings))
            + manager_of.sentinel_parts()
            + manager_of.payload(_QUESTIONS).decode()
            + f"\nsupervisor_text=$({self.settings.image_layout.supervisorctl} status 2>&1)\n"
            + "ask_workload\nprintf '%s\\n' \"$workload\"\n"
        )
        return Command(name="report", script=script, timeout_s=_REPORT_S)

    def read_report(self, result: CommandResult) -> tuple[ReportLine, ...]:
        """Read the answer, line by line."""
        return report.lines_of(result, self.settings)

    def sentinel(self) -> str:
        """Ask for the application, the disk and the GPU, and what the image can tell of the rest."""
        asked = scripts.assignments(scripts.questions(self.settings))
        asked += manager_of.payload(_QUESTIONS).decode()
        return manager_of.sentinel(self._manager, workdir=self.settings.workdir, ask_workload=asked)

    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        """Read one sentinel line: the application, the disk, the GPU, and the host's own symptom."""
        readings = manager_of.read_line(line, instance_id, at)
        raw = manager_of.workload_facts(line)
        if raw is None:
            return readings
        return (*readings, self._judge(raw, instance_id, at))

    def _judge(self, raw: bytes, instance_id: InstanceId, at: datetime) -> Reading:
        facts = read(raw)
        if facts is None:
            status, reason, symptom = Status.UNKNOWN, Reason.PROBE_FAILED, None
        else:
            symptom = symptom_of(facts, self.settings)
            status = Status.TRUE if symptom is None else Status.FALSE
            reason = Reason.WORKLOAD_WELL if symptom is None else Reason.SYMPTOM
        return Reading(
            instance_id=instance_id,
            subject=Subject.WORKLOAD,
            status=status,
            reason=reason,
            at=at,
            detail="" if symptom is None else symptom.sentence,
            symptom=symptom,
        )

    def view(self) -> View:
        """Look as a player, past the proxy: its own answers are asked for on the host."""
        settings, player = self.settings, self.settings.player
        view = view_of(
            player, kind=ViewKind.WEBRTC, container_port=settings.image_layout.page_port_inside
        )
        return replace(
            view,
            target_frames_per_s=player.target_frames_per_s,
            player=PlayerView(
                streamer_id=settings.app.streamer_id,
                watch_every_s=player.watch_every_s,
                offer_s=player.offer_s,
                sample_s=player.sample_s,
                has_rest=player.rest_api,
                places=settings.places,
                needs_relay=player.needs_relay,
                start_s=settings.app.stream_s,
            ),
        )

    def _put(self, act: str) -> tuple[Step, ...]:
        archive = self.settings.archive
        steps: tuple[Step, ...] = (scripts.boot(self.settings, name=f"{act}.boot"),)
        if archive is not None and archive.local_path:
            steps += (scripts.parcel(self.settings, archive, name=f"{act}.archive"),)
        if archive is not None:
            url = self.secrets[archive.url_secret] if archive.url_secret else archive.url
            steps += (scripts.project(self.settings, archive, url, name=f"{act}.project"),)
        return steps

    def _program(self) -> tuple[Upload, ...]:
        archive = self.settings.archive
        kept = archive.url_secret if archive is not None else ""
        own = {name: value for name, value in self.secrets.items() if name != kept}
        return scripts.program(self.settings, own)

    def _install_and_start(self, act: str) -> tuple[Step, ...]:
        return (
            *self._program(),
            scripts.install(self.settings, name=f"{act}.install"),
            *self._start(f"{act}.start"),
        )

    def _start(self, act: str) -> tuple[Command, ...]:
        return (
            replace(cures.start_app(self.settings), name=act),
            scripts.verify(self.settings, name="verify.process"),
        )
