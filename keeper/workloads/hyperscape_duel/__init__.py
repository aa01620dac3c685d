"""The duel: agents fight in a browser game, one GPU host draws it and sends it to the platforms.

Under PM2 runs an orchestrator with a game server, a web client and a bridge (browser and ffmpeg), whose
end PM2 does not see. None of its endpoints means that viewers see a live picture, so several witnesses
are asked on the host and reduced there; ``symptoms.ROWS`` says what they mean, and what helps.
"""

from __future__ import annotations

import posixpath
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
    Symptom,
)
from keeper.core.reasons import Reason
from keeper.core.text import plain
from keeper.ports import Command, CommandResult
from keeper.workloads import Drain, ReportLine, Step, View, ViewKind, Workload, register
from keeper.workloads import managers as manager_of
from keeper.workloads.audition import Check
from keeper.workloads.audition_checks import Demands, Speech, audition, ingest_at
from keeper.workloads.hyperscape_duel import deploy, report, scripts, symptoms
from keeper.workloads.hyperscape_duel.facts import read_facts
from keeper.workloads.hyperscape_duel.settings import HyperscapeDuelSettings
from keeper.workloads.viewing import view_of

_DETAIL_MAX = 200
_REPORT_MAX_BYTES = 32_768
# An order, and each look at what became of it.
_DRAIN_LOOK_S = 5.0
# What the server serves as files lies here, below the checkout: the playlist, and the stream's last seconds.
_PUBLIC = "packages/server/public"


@dataclass(frozen=True, slots=True)
class HyperscapeDuel:
    """The workload. Secrets go into one file on the host, of mode 0600, by their names."""

    settings: HyperscapeDuelSettings
    secrets: Mapping[str, str]

    kind = "hyperscape-duel"

    def rental(self) -> RentalSpec:
        """Image, disk and ports. The image's own capabilities are for computing alone: ask for all."""
        return RentalSpec(
            image=self.settings.image,
            disk_gb=self.settings.disk_gb,
            ports=tuple(Port(container_port=port) for port in self.settings.publish),
            env={"NVIDIA_DRIVER_CAPABILITIES": "all"},
        )

    def needs(self, declared: OfferNeeds) -> OfferNeeds:
        """Ask for the disk that is rented, a GPU that drives a display, and a line for the stream."""
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
        """Ask for everything between the GPU and a picture in a browser, and for the way out."""
        return audition(
            Demands(
                workdir=self.settings.workdir,
                disk_free_min_gb=min(40.0, self.settings.disk_gb / 2),  # build, assets, browser
                renders=True,
                encodes=self.settings.encodes_on_gpu,
                x_display=self.settings.display,
                webgpu=True,
                ingest=ingest_at(self.settings.ingest, unsaid=Speech.RTMP),
                bitrate_bps=self.settings.bitrate_bps,
                ports=self.settings.publish,
            ),
            self.settings.audition,
        )

    def deploy(self) -> tuple[Step, ...]:
        """Maintenance, secrets, checkout and deploy script, proof by health and commit."""
        return deploy.deploy(self.settings, self.secrets)

    def prepare(self) -> tuple[Step, ...]:
        """All but the deploy script, which starts the stream."""
        return deploy.prepare(self.settings, self.secrets)

    def start(self) -> tuple[Step, ...]:
        """The deploy script where it has not run yet; else the start alone. Then the proof."""
        return deploy.start(self.settings, self.secrets)

    def stop(self) -> tuple[Command, ...]:
        """End PM2 and all of its own, and what is left of it."""
        return deploy.stop(self.settings, self.secrets)

    def remembering(self, keepsake: str) -> Workload:
        """Have nothing to remember: the duel keeps its own books."""
        return self

    def restart_process(self, symptom: str = "") -> tuple[Command, ...]:
        """End the bridge's process where it is the bridge; else restart the orchestrator."""
        return deploy.restart_process(self.settings, self.secrets, symptom)

    def restart_workload(self, symptom: str = "") -> tuple[Step, ...]:
        """Stop, clear, wait where that helps, start."""
        return deploy.restart_workload(self.settings, self.secrets, symptom)

    def drain(self) -> Drain | None:
        """Ask the server to restart after the duel; without its code, wait for a quiet phase."""
        cycle_s = self.settings.cycle_s() + self.settings.drain_margin_s
        lull = Drain(
            begin=(),
            look=self._act("boundary_look", "drain.look"),
            bound_s=cycle_s,
            look_s=min(_DRAIN_LOOK_S, cycle_s / 20),
        )
        if self.secrets.get(self.settings.admin_code_secret):
            return Drain(
                begin=(self._act("drain_begin", "drain.begin"),),
                look=self._act("drain_look", "drain.look"),
                bound_s=cycle_s + self.settings.patience.startup_s,
                look_s=_DRAIN_LOOK_S,
                is_restart=True,
                lull=lull,
            )
        return lull

    def evidence(self) -> tuple[Command, ...]:
        """Look at the logs, PM2, the deploy's log, the GPU and the disk, and at the last pictures."""
        looks = manager_of.evidence(
            self._manager(), workdir=self.settings.workdir, files=self.logs()
        )
        if not self.settings.hls_path:
            return looks
        live = f"{self.settings.workdir}/{_PUBLIC}{posixpath.dirname(self.settings.hls_path)}"
        return (*looks, manager_of.frames_of(live, "ts"))

    def logs(self) -> tuple[str, ...]:
        """Name the orchestrator's logs, the deploy's, the X server's, and PM2's journal."""
        # The settings have them as they are to be heeded, errors first; people want what it says now.
        shown = reversed(self.settings.logs)
        own = tuple(f"{_shown(self.settings.workdir)}/{name}" for name in shown)
        display = self.settings.display.lstrip(":")
        x_log = (f"/var/log/Xorg.{display}.log",) if display else ()
        home = self.settings.pm2.home or "~/.pm2"
        return (*own, _shown(self.settings.deploy_log), *x_log, f"{home}/pm2.log")

    def report(self) -> Command | None:
        """Ask what the seed's status script asks, in one go."""
        return replace(self._act("report", "report"), output_max_bytes=_REPORT_MAX_BYTES)

    def read_report(self, result: CommandResult) -> tuple[ReportLine, ...]:
        """Read it as the six lines."""
        return report.lines_of(result)

    def sentinel(self) -> str:
        """Ask PM2, the disk, the GPU, and the duel itself."""
        return manager_of.sentinel(
            self._manager(),
            workdir=self.settings.workdir,
            ask_workload=scripts.asker(self.settings, self.secrets),
        )

    def interpret(self, line: str, instance_id: InstanceId, at: datetime) -> tuple[Reading, ...]:
        """Read one sentinel line."""
        readings = manager_of.read_line(line, instance_id, at, needs_display=True)
        raw = manager_of.workload_facts(line)
        if raw is None:
            return readings
        return (*readings, self._judge(raw, instance_id, at))

    def view(self) -> View:
        """Look at the stream's picture: by its own playlist, or where everybody watches it."""
        settings, seen = self.settings, self.settings.view
        own = self._own_view()
        if not seen.is_elsewhere:
            return own
        view = self._heard(view_of(seen, kind=seen.kind, container_port=settings.port))
        return replace(view, own=own if own.kind is ViewKind.HLS else None)

    def _own_view(self) -> View:
        settings, seen = self.settings, self.settings.view
        if not settings.hls_path:
            return View(kind=ViewKind.TCP, container_port=settings.port)
        kind = ViewKind.HTTP if seen.kind is ViewKind.HTTP else ViewKind.HLS
        view = view_of(seen, kind=kind, container_port=settings.port, path=settings.hls_path)
        return self._heard(replace(view, url="", url_secret=""))

    def _heard(self, view: View) -> View:
        """Expect sound where the stack is told to send it, and be patient while nobody fights."""
        declared = self.settings.view.expects_sound
        expects = self.settings.has_sound if declared is None else declared
        if view.kind is ViewKind.HTTP:
            return view
        return replace(view, expects_sound=expects, silence_max_s=self.settings.silence_max_s())

    def _judge(self, raw: bytes, instance_id: InstanceId, at: datetime) -> Reading:
        facts = read_facts(raw)
        status, reason, detail = Status.UNKNOWN, Reason.PROBE_FAILED, "the duel could not be asked"
        symptom: Symptom | None = None
        if facts is not None:
            symptom = symptoms.diagnose(facts, self.settings)
            detail = symptoms.described(facts)
            if symptom is not None:
                status, reason, detail = Status.FALSE, Reason.SYMPTOM, symptom.sentence
            elif facts.server.code:
                status, reason = Status.TRUE, Reason.WORKLOAD_WELL
        return Reading(
            instance_id=instance_id,
            subject=Subject.WORKLOAD,
            status=status,
            reason=reason,
            at=at,
            detail=plain(detail, _DETAIL_MAX),
            symptom=symptom,
        )

    def _act(self, verb: str, name: str) -> Command:
        return scripts.act(self.settings, self.secrets, verb=verb, name=name)

    def _manager(self) -> manager_of.Pm2:
        pm2 = self.settings.pm2
        return manager_of.Pm2(
            kind="pm2",
            name=" ".join(pm2.apps),
            command=pm2.command,
            node=self.settings.runtime,
            home=pm2.home,
        )


def _shown(path: str) -> str:
    """Return a path as a person and a shell on the host take it."""
    return path if path.startswith("/") else f"~/{path}"


def _build(settings: HyperscapeDuelSettings, secrets: Mapping[str, str]) -> HyperscapeDuel:
    return HyperscapeDuel(settings, secrets)


register("hyperscape-duel", HyperscapeDuelSettings, _build)
