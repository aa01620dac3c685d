"""A duel of our own to keep on air: a repository to clone, real RTMP servers, faults by name.

`Stage` is what stands around a host: the git repository with the stand-in (`tests/standins/duel`), and two
nginx-rtmp servers that play the platforms. `FAULTS` is the failure catalogue as one table: how each row is
made on a real host, what keeper must call it, the first remedy that it must choose, and how it is undone
where a person has to do it. The rows are played by hand in `tests/integration/workloads` and through the whole
daemon in `tests/e2e`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeper.core.model import Remedy
from tests.components import NGINX_RTMP_MODULE, REPOSITORY, require
from tests.waiting import is_running

STANDIN = REPOSITORY / "tests" / "standins" / "duel"
ADMIN_CODE = "adm1n-c0de-of-the-duel"
KEY = "live_k3y-of-the-duel"
SECRETS = {"ADMIN_CODE": ADMIN_CODE, "TWITCH_STREAM_KEY": KEY, "YOUTUBE_STREAM_KEY": KEY}

_NGINX = """\
load_module {module};
worker_processes 1;
daemon on;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 64; }}
rtmp {{
    server {{
        listen 127.0.0.1:{port};
        ping 5s;
        ping_timeout 5s;
        application live {{ live on; record off; drop_idle_publisher 10s; }}
    }}
}}
"""


class Platform:
    """An RTMP server: real nginx with its RTMP module."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        folder.mkdir(parents=True)
        config = _NGINX.format(module=NGINX_RTMP_MODULE, folder=folder, port=port)
        (folder / "nginx.conf").write_text(config)

    @property
    def start_line(self) -> str:
        """The shell that starts it."""
        return (
            f"{require('nginx-rtmp')} -p {self.folder} -e {self.folder}/error.log "
            f"-c {self.folder}/nginx.conf"
        )

    @property
    def stop_line(self) -> str:
        """The shell that ends it at once."""
        return (
            f"kill -QUIT $(cat {self.folder}/nginx.pid); kill -TERM $(cat {self.folder}/nginx.pid)"
        )

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        with suppress(OSError, ValueError):
            return is_running(int((self.folder / "nginx.pid").read_text()))
        return False

    def start(self) -> None:
        """Start it."""
        subprocess.run(self.start_line, shell=True, check=True, capture_output=True)

    def stop(self) -> None:
        """End it; nothing to end is a success."""
        with suppress(OSError, ValueError):
            os.kill(int((self.folder / "nginx.pid").read_text()), signal.SIGTERM)


class Stage:
    """What stands around the hosts."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder = folder
        self.origin = folder / "origin"
        self.checkout = folder / "home" / "hyperscape"
        self.port = free_port()
        self.first = Platform(folder / "twitch", free_port())
        self.second = Platform(folder / "youtube", free_port())
        self.is_in_doubt = True  # whether a test has left its host well
        self.pm2 = f"{require('node')} {require('pm2').resolve()}"
        shutil.copytree(STANDIN, self.origin)
        self.git("init", "-q", "-b", "main")
        self.commit_id = self.commit("first")

    def git(self, *words: str) -> str:
        """Run git in the repository."""
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(self.origin), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, words: str) -> str:
        """Commit what is there, and return the commit's name."""
        (self.origin / "VERSION").write_text(words)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", words)
        return self.git("rev-parse", "HEAD")

    def open(self) -> None:
        """Start the platforms that do not run."""
        for platform in (self.first, self.second):
            if not platform.is_up:
                platform.start()

    def close(self) -> None:
        """End them."""
        self.first.stop()
        self.second.stop()

    def declared(self, **more: Any) -> dict[str, Any]:
        """Declare the duel with short phases and tight numbers; ``more`` overrides key by key."""
        env = {
            "SERVER_HOST": None,
            "DUEL_BRIDGE_RESPAWN_MS": "300",
            "RTMP_STATUS_EVERY_MS": "200",
            "RTMP_STATUS_MAX_AGE_MS": "1500",
            "RTMP_STATUS_MIN_AGE_MS": "1000",
            "STREAMING_ANNOUNCEMENT_MS": "800",
            "STREAMING_FIGHTING_MS": "2700",
            "STREAMING_END_WARNING_MS": "300",
            "STREAMING_RESOLUTION_MS": "600",
            "STREAM_AUDIO_ENABLED": "false",
            "RTMP_DESTINATIONS": f"twitch=rtmp://127.0.0.1:{self.first.port}/live/,"
            f"youtube=rtmp://127.0.0.1:{self.second.port}/live/",
        }
        patience = {
            "startup_s": 2.5,
            "bridge_start_s": 3.5,
            "recovery_s": 0.5,
            "phase_margin_s": 2,
            "still_s": 1.5,
            "idle_s": 2.5,
            "idle_disconnect_s": 5,
            "loading_s": 1.5,
            "placeholder_s": 1.5,
            "flat_s": 2.5,
            "silent_s": 2,
            "log_s": 4,
            "slow_s": 0.5,
            "memory_max_mb": 300,
        }
        declared: dict[str, Any] = {
            "kind": "hyperscape-duel",
            "port": self.port,
            "repository": str(self.origin),
            "workdir": str(self.folder / "home" / "hyperscape"),
            "secrets_file": str(self.folder / "home" / "secrets.env"),
            "deploy_log": str(self.folder / "home" / "log" / "deploy-vast.log"),
            "setup": "",
            "runtime": str(require("node")),
            "path": "",
            "display": "",
            "ingest": "",
            "maintenance_wait_s": 2,
            "verify_timeout_s": 20,
            "drain_margin_s": 5,
            "database_drain_s": 1.5,
        }
        pm2 = {"command": self.pm2, "home": str(self.folder / "pm2")}
        return {
            **declared,
            **more,
            "env": {**env, **more.get("env", {})},
            "patience": {**patience, **more.get("patience", {})},
            "pm2": {**pm2, **more.get("pm2", {})},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row of the catalogue. Scripts run in the checkout; ``{…}`` stands for parts of the stage."""

    id: str
    symptom: str
    remedy: Remedy
    make: str
    mend: str = ""  # a person's work; or what keeper's cure cannot undo in a stand-in
    settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # where the table's are not bad enough
    note: str = ""

    @property
    def spoils_view(self) -> bool:
        """Whether viewers see something else than the stream, so that keeper acts at once."""
        is_for_others = self.remedy in {Remedy.PERSON, Remedy.NOTHING}
        return not is_for_others or self.symptom in {"no_outputs", "platform_refuses"}

    def script(self, text: str, stage: Stage) -> str:
        """Fill in the stage's parts."""
        return (
            text.replace("{stop second}", stage.second.stop_line)
            .replace("{start second}", stage.second.start_line)
            .replace("{stop first}", stage.first.stop_line)
            .replace("{start first}", stage.first.start_line)
            .replace("{port}", str(stage.port))
            .replace("{pm2}", stage.pm2)
            .replace("{node}", str(require("node")))
        )


_PROCESS, _WORKLOAD = Remedy.RESTART_PROCESS, Remedy.RESTART_WORKLOAD
# A new bridge, so that what it says at its start is said again: by the pid that it has written down.
_NEW_BRIDGE = "kill -TERM $(cat .runtime-locks/rtmp-bridge); true"


def _put(name: str, text: str = "") -> str:
    return f"printf %s '{text}' >faults/{name}"


def by_hand(what: str, code: str = ADMIN_CODE) -> str:
    """Compose a person's call of the admin interface, for the host's shell."""
    head = f"-H 'x-admin-code: {code}' -H 'content-type: application/json' -d '{{}}'"
    return f"curl -sS -m 10 -X POST {head} http://${{SERVER_HOST:-127.0.0.1}}:{{port}}/admin/{what} >/dev/null"


FAULTS: tuple[Fault, ...] = (
    # --- the host, as the duel sees it ---
    Fault(id="H1, A21: no WebGPU", symptom="webgpu_missing", remedy=Remedy.REBOOT,
          make=f"{_put('webgpu')}; {_NEW_BRIDGE}", mend=_NEW_BRIDGE),
    Fault(id="H5: drawn in software", symptom="software_rendering", remedy=Remedy.REPLACE,
          make=f"{_put('software')}; {_NEW_BRIDGE}", mend=_NEW_BRIDGE),
    Fault(id="H4: no X server", symptom="display_dead", remedy=_WORKLOAD,
          make="number=${DISPLAY#:}; kill -KILL $(cat /tmp/.X$number-lock)",
          note="its lock and its socket stay behind"),
    Fault(id="H6: no runtime folder for Vulkan", symptom="vulkan_dir", remedy=_WORKLOAD,
          make=f"{_put('vulkan')}; {_NEW_BRIDGE}", mend="rm -f faults/vulkan"),
    Fault(id="H8: no encoder", symptom="encoder_lost", remedy=_WORKLOAD, make=_put("encoder")),
    Fault(id="H9: GPU memory full", symptom="gpu_memory", remedy=_PROCESS,
          make=_put("gpu_memory")),
    Fault(id="H10: disk full", symptom="no_space", remedy=_WORKLOAD,
          make="{ head -c 1200000 /dev/zero | tr '\\0' '\\n'; echo 'Error: ENOSPC: no space left on device, write'; }"
               " >>logs/duel-error.log",
          note="the remedy trims our own logs and stops nothing"),
    Fault(id="H15: nothing runs, as after a reboot", symptom="nothing_runs", remedy=_WORKLOAD,
          make="kill -KILL $(cat $PM2_HOME/pids/hyperscape-duel-*.pid) $(cat $PM2_HOME/pm2.pid)",
          note="PM2 begins nothing again that was ended with it"),
    Fault(id="H16: no names", symptom="dns", remedy=Remedy.PERSON,
          make="echo 'Error: getaddrinfo EAI_AGAIN live.twitch.tv' >>logs/duel-error.log"),
    Fault(id="H19: clock wrong", symptom="clock", remedy=Remedy.PERSON,
          make="echo 'Error: certificate is not yet valid' >>logs/duel-error.log"),
    # --- platform and database ---
    Fault(id="A1: database without connections", symptom="database", remedy=_WORKLOAD,
          make=f"{_put('db', '1200')}; {_put('crash')}",
          note="a faster start finds the connections taken again"),
    Fault(id="A2: broken build", symptom="bad_build", remedy=_WORKLOAD,
          make="mv packages/server/game-server.mjs moved; "
               "printf 'import \"./nowhere.mjs\";' >packages/server/game-server.mjs; "
               "touch faults/crash; sleep 1; rm -f faults/crash",
          mend="mv moved packages/server/game-server.mjs"),
    Fault(id="A3: an orphan holds the port", symptom="port_held", remedy=_WORKLOAD,
          make="kill -STOP $(cat $PM2_HOME/pids/hyperscape-duel-*.pid); "
               "kill -KILL $(cat $PM2_HOME/pids/hyperscape-duel-*.pid)",
          note="SIGKILL leaves the children, detached as they are, where they were"),
    Fault(id="A4: nobody fights", symptom="no_fighters", remedy=_WORKLOAD,
          make=_put("no_fighters"), mend="rm -f faults/no_fighters",
          settings={"patience": {"idle_disconnect_s": 1000}}),
    Fault(id="A5: phase stuck", symptom="phase_stuck", remedy=_PROCESS, make=_put("stuck_phase")),
    Fault(id="A5: event loop blocked", symptom="server_silent", remedy=_PROCESS,
          make=_put("block")),
    Fault(id="A6: both stand still", symptom="agents_stand_still", remedy=_PROCESS,
          make=_put("stand_still")),
    Fault(id="A7: streaming switched off", symptom="not_active", remedy=Remedy.PERSON,
          make=_put("not_active"), mend="rm -f faults/not_active"),
    Fault(id="A8: delayed after a start", symptom="starting", remedy=Remedy.NOTHING,
          make=_put("warmup"), mend="rm -f faults/warmup"),
    Fault(id="A9: another commit", symptom="other_commit", remedy=_WORKLOAD,
          make="printf 0123456789012345678901234567890123456789 >dist/commit",
          settings={"commit": "{commit}"}),
    Fault(id="A12: memory near the limit", symptom="memory_near_limit", remedy=_PROCESS,
          make=_put("memory", "330000000")),
    # --- browser and bridge ---
    Fault(id="A20: page does not load", symptom="page_timeout", remedy=_WORKLOAD,
          make="sed -i 's/^DUEL_USE_PRODUCTION_CLIENT=.*/DUEL_USE_PRODUCTION_CLIENT=false/' "
               f"packages/server/.env; {_put('page_timeout')}; {_NEW_BRIDGE}",
          mend="rm -f faults/page_timeout",
          settings={"env": {"DUEL_USE_PRODUCTION_CLIENT": "false"}}),
    Fault(id="A21: no canvas", symptom="no_canvas", remedy=_WORKLOAD,
          make=f"{_put('no_canvas')}; {_NEW_BRIDGE}"),
    Fault(id="A23: capture stalled", symptom="capture_stalled", remedy=_PROCESS,
          make=_put("stalled")),
    Fault(id="A23: capture flips", symptom="capture_stalled", remedy=_PROCESS,
          make=_put("flipping")),
    Fault(id="A24: scene frozen", symptom="scene_frozen", remedy=_PROCESS,
          make=_put("renderer", "renderer_health_stale")),
    Fault(id="A25: black", symptom="black", remedy=_PROCESS,
          make=_put("renderer", "canvas_missing")),
    Fault(id="A26: loading screen", symptom="loading_screen", remedy=_PROCESS,
          make=_put("renderer", "loading_overlay_active")),
    Fault(id="A27: ffmpeg given up", symptom="ffmpeg_gave_up", remedy=_PROCESS,
          make=_put("gave_up")),
    Fault(id="A27: ffmpeg crashes in itself", symptom="ffmpeg_segfault", remedy=_WORKLOAD,
          make=_put("segfault"), mend="rm -f faults/segfault"),
    Fault(id="A27: nowhere to go", symptom="no_outputs", remedy=Remedy.PERSON,
          make="echo '[RTMPBridge] No RTMP outputs configured' >>logs/duel-error.log",
          mend="echo '[RTMPBridge] Loaded 2 destinations:' >>logs/duel-out.log"),
    Fault(id="A34: settings of before", symptom="stale_environment", remedy=_WORKLOAD,
          # A platform takes no stream with the old keys, and takes one with the new.
          make="{stop second}; sed -i 's/^KEEPER_MARK=.*/KEEPER_MARK=before/' packages/server/.env; "
               "{pm2} restart ecosystem.config.cjs --update-env -s >/dev/null </dev/null; "
               "( while grep -q '^KEEPER_MARK=before' packages/server/.env; do sleep 0.2; done; "
               "{start second} ) >/dev/null 2>&1 </dev/null &"),
    Fault(id="A37: no sound", symptom="sound_gone", remedy=_PROCESS, make="rm $HOME/sources"),
    Fault(id="maintenance of a person", symptom="in_maintenance", remedy=Remedy.PERSON,
          make=by_hand("maintenance/enter"), mend=by_hand("maintenance/exit")),
    Fault(id="maintenance of a deploy that was cut off", symptom="in_maintenance", remedy=_PROCESS,
          make="pid=$(cat .runtime-locks/game-server); set -- $(cat /proc/$pid/stat); shift 21; "
               'mkdir -p .keeper; echo "{\\"server\\": \\"$pid:$1\\"}" >.keeper/maintenance; '
               + by_hand("maintenance/enter"),
          note="nothing is restarted: keeper lets the server out again"),
    Fault(id="A35: platform refuses", symptom="platform_refuses", remedy=Remedy.PERSON,
          make=_put("refused"), mend=_NEW_BRIDGE),
    Fault(id="A28: one platform down", symptom="platform_down", remedy=Remedy.PERSON,
          make="{stop second}", mend="{start second}"),
    Fault(id="A29, H17: all platforms down", symptom="all_platforms_down", remedy=_PROCESS,
          make="{stop first}; {stop second}", mend="{start first}; {start second}"),
    Fault(id="A30: idle for too long", symptom="idle_disconnect", remedy=_WORKLOAD,
          make=_put("no_fighters"), mend="rm -f faults/no_fighters",
          settings={"env": {"STREAM_PLACEHOLDER_ENABLED": "false"},
                    "patience": {"idle_disconnect_s": 2, "idle_s": 60}}),
    Fault(id="A31: filler picture", symptom="placeholder_shown", remedy=_PROCESS,
          make=_put("placeholder")),
    Fault(id="A32: bridge hangs", symptom="bridge_hung", remedy=_PROCESS, make=_put("hang")),
    Fault(id="A33: says connected, sends nothing", symptom="output_flat", remedy=_PROCESS,
          make=_put("output_flat")),
    Fault(id="A36: browser rotation", symptom="rotation", remedy=Remedy.NOTHING,
          make=_put("rotation")),
    Fault(id="A38: browser missing", symptom="chrome_missing", remedy=_WORKLOAD,
          make=f"{_put('chrome_missing')}; {_NEW_BRIDGE}", mend="rm -f faults/chrome_missing"),
    Fault(id="A39: 48 hours", symptom="stream_too_old", remedy=_PROCESS, make=_put("old")),
    Fault(id="A40: encoder too slow", symptom="encoder_slow", remedy=Remedy.REPLACE,
          make=_put("slow"), mend=_NEW_BRIDGE),
)  # fmt: skip
