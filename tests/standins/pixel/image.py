"""Vast.ai's Pixel Streaming image in a folder: real supervisord with the image's program settings.

Real Caddy with its rules, real coturn with its arguments, the signalling server on the published library,
stand-ins for the portal and for the chain of sound. Nothing is where it would be in a container: all of it
is below one folder and on free ports of loopback, and needs no root. The application is not in it.

Faults are files in ``faults/``, read by the signalling server's wrapper at its start: ``hang`` (it waits for
a server that never answers), ``idle`` (it waits for nothing at all), ``exit0`` (it ends well), ``child`` (one of
an earlier start holds the players' port, and closes what it takes), ``mute`` (the server says nothing). All
but the last are over with that start.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.components import require

HERE = Path(__file__).resolve().parent
TOKEN = "0123456789abcdef0123456789abcdef"
AUDIO = ("dbus-system", "dbus-user", "pipewire", "pipewire-pulse", "wireplumber")
COMPONENTS = ("supervisord", "caddy", "turnserver", "pixel-library", "node")
# Where only waiting is at stake: far more than a busy box takes.
PATIENCE_S = 90.0

_SUPERVISORD = """\
[unix_http_server]
file={folder}/sock
[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
directory={folder}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/sock
[include]
files={folder}/conf.d/*.conf
"""
# The image's own settings, read 2026-08, but for startsecs of the patient ones, which is 5 there, and
# stopwaitsecs, which is 10.
_PROGRAM = """\
[program:{name}]
environment=PROC_NAME="%(program_name)s"
command={folder}/scripts/{name}.sh
autostart=true
autorestart=unexpected
exitcodes=0
startsecs={startsecs}
stopasgroup=true
killasgroup=true
stopsignal=TERM
stopwaitsecs=2
stdout_logfile=/dev/null
redirect_stderr=true
"""
_CADDYFILE = """\
{{
    admin off
    auto_https off
}}
http://:{page} {{
    bind 127.0.0.1
    @bearer expression `{{http.request.header.Authorization}} == "Bearer {token}"`
    handle /portal-resolver {{
        respond "ok" 200
    }}
    handle @bearer {{
        reverse_proxy 127.0.0.1:{page_inside}
    }}
    handle {{
        respond "no credentials" 401
    }}
    handle_errors {{
        @tunnelled expression `{{http.error.status_code}} == 502 && {{http.request.header.Cf-Ray}} != ""`
        @down expression `{{http.error.status_code}} == 502`
        header @down X-Portal-Placeholder true
        respond @tunnelled "loading" 200
        respond @down "loading" 502
        respond "{{http.error.status_code}}"
    }}
}}
"""

_CHILD = """\
import socket
server = socket.create_server(("127.0.0.1", {port}))
while True:
    server.accept()[0].close()
"""


@dataclass(slots=True)
class Image:
    """One container of the image."""

    folder: Path
    free_port: Callable[[], int]
    env: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    tunnels: tuple[str, ...] = ()  # that the image has opened at its first start, by their URLs
    _process: subprocess.Popen[bytes] | None = None
    _mute: socket.socket | None = None

    def __post_init__(self) -> None:
        names = ("page", "page_inside", "portal", "portal_inside", "streamer", "relay", "jupyter")
        self.ports = {name: self.free_port() for name in names}
        self.env = {
            "OPEN_BUTTON_TOKEN": TOKEN,
            "TURN_USER": "user",
            "TURN_USERNAME": "user",
            "CONTAINER_ID": "7",
            "VAST_UDP_PORT_70000": str(self.ports["relay"]),
            **self.env,
        }

    # --- life -----------------------------------------------------------------------------------

    def build(self) -> None:
        """Write the whole tree, as the container finds it at its first start."""
        for name in ("conf.d", "scripts", "logs", "skips", "markers", "faults", "workspace"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "supervisord.conf").write_text(_SUPERVISORD.format(folder=self.folder))
        self.write_portal_file()
        for url in self.tunnels:
            self.tunnel(url).parent.mkdir(exist_ok=True)
            self.tunnel(url).touch()
        self.write_environ()
        self.write_caddyfile()
        (self.folder / "child.py").write_text(_CHILD.format(port=self.ports["page_inside"]))
        for name, (startsecs, script) in self._programs().items():
            conf = _PROGRAM.format(name=name, folder=self.folder, startsecs=startsecs)
            (self.folder / "conf.d" / f"{name}.conf").write_text(conf)
            path = self.folder / "scripts" / f"{name}.sh"
            path.write_text(f"#!/bin/bash\ncd {self.folder}\n{script}")
            path.chmod(0o755)

    def write_environ(self) -> None:
        """Write the environment of the container's first process, as /proc shows it."""
        text = "".join(f"{name}={value}\0" for name, value in self.env.items())
        (self.folder / "environ").write_text(text)

    def write_portal_file(self) -> None:
        """Write what the image makes of PORTAL_CONFIG."""
        (self.folder / "portal.yaml").write_text("applications: {}\n")

    def tunnel(self, url: str) -> Path:
        """Return the file by which the portal knows a tunnel."""
        return self.folder / "tunnels" / quote(url, safe="")

    def write_caddyfile(self, token: str = TOKEN) -> None:
        """Write what the proxy lets in, from its next start on."""
        (self.folder / "Caddyfile").write_text(_CADDYFILE.format(token=token, **self.ports))

    def _programs(self) -> Mapping[str, tuple[int, str]]:
        ports, log = self.ports, self.folder / "logs"
        mute = self._never_answers()
        signalling = (
            f"exec >>{log}/pixel-streaming.log 2>&1\n"
            "if [ -e faults/exit0 ]; then rm faults/exit0; exit 0; fi\n"
            f"if [ -e faults/hang ]; then rm faults/hang; curl -s http://127.0.0.1:{mute}/; fi\n"
            "if [ -e faults/idle ]; then rm faults/idle; exec sleep 86400; fi\n"
            "if [ -e faults/child ]; then\n"
            f"    rm faults/child; setsid {sys.executable} {self.folder}/child.py &\n"
            f"    until (: </dev/tcp/127.0.0.1/{ports['page_inside']}) 2>&-; do sleep 0.05; done\n"
            "fi\n"
            "[ ! -e faults/mute ] || more=--mute\n"
            'more="$more $PIXEL_STREAMING_ARGS"\n'
            f"export PIXEL_LIBRARY={require('pixel-library')}\n"
            f"node {HERE}/signalling.cjs --player_port {ports['page_inside']} "
            f"--streamer_port {ports['streamer']} --turn 127.0.0.1:{ports['relay']} "
            '--turn-user "${TURN_USER:-user}" --turn-pass "$OPEN_BUTTON_TOKEN" $more\n'
        )
        relay = (
            '[[ -n $TURN_SERVER ]] && echo "Refusing to start (External TURN_SERVER)" && exit\n'
            f"exec {require('turnserver')} -n -a --log-file=stdout --lt-cred-mech --fingerprint "
            "--no-stun --no-multicast-peers --no-cli --no-tlsv1 --no-tlsv1_1 --realm=vast.ai "
            '--user="${TURN_USERNAME:-user}:${TURN_PASSWORD:-$OPEN_BUTTON_TOKEN}" '
            '-p "$VAST_UDP_PORT_70000" --listening-ip=127.0.0.1 --relay-ip=127.0.0.1 '
            f"--allow-loopback-peers --pidfile={self.folder}/turn.pid >>{log}/coturn.log 2>&1\n"
        )
        caddy = (
            f"export HOME={self.folder} XDG_DATA_HOME={self.folder} XDG_CONFIG_HOME={self.folder}\n"
            f"exec {require('caddy')} run --config {self.folder}/Caddyfile --adapter caddyfile "
            f">>{log}/caddy.log 2>&1\n"
        )
        portal = (
            f"exec {sys.executable} {HERE}/portal.py {ports['portal_inside']} {self.folder}/sock "
            f"{self.folder}/skips {self.folder}/tunnels >>{log}/instance_portal.log 2>&1\n"
        )
        programs: dict[str, tuple[int, str]] = {
            "caddy": (1, caddy),
            "instance_portal": (1, portal),
            "tunnel_manager": (1, "exec sleep 86400\n"),
            "pixel-streaming": (0, signalling),
            "coturn": (0, relay),
            "jupyter": (1, "echo jupyter >skips/jupyter; exit 0\n"),
        }
        before = ""
        for name in AUDIO:
            # Each of them waits for the one before, as the image's do; and ends when that has gone.
            wait = f"until [ -e sound.{before} ]; do sleep 0.1; done\n" if before else ""
            tidy = f"trap 'rm -f sound.{name}; exit 0' TERM\nrm -f sound.{name}\n"
            programs[name] = (0, f"{wait}{tidy}touch sound.{name}\nsleep 86400 & wait\n")
            before = name
        return programs

    def _never_answers(self) -> int:
        """Open a port that accepts and says nothing, for a start that asks for its own address."""
        if self._mute is None:
            self._mute = socket.create_server(("127.0.0.1", 0))
        return int(self._mute.getsockname()[1])

    def start(self) -> None:
        """Start the container's supervisord, and wait until it takes questions."""
        # By this the processes of the container are known, whoever their parent is.
        mine = {"CONTAINER_FOLDER": str(self.folder)}
        environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **mine, **self.env}
        self._process = subprocess.Popen(
            [require("supervisord"), "-n", "-c", self.folder / "supervisord.conf"],
            env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self.until((self.folder / "sock").exists)

    def until(self, holds: Callable[[], object]) -> None:
        """Wait for what a process brings about in its own time."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"in vain; supervisord says\n{self.control('status')}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the container, with everything in it."""
        self._end_processes()
        if self._mute is not None:
            self._mute.close()

    def _end_processes(self) -> None:
        mine = f"CONTAINER_FOLDER={self.folder}\0".encode()
        found = True
        while found:  # one that was just forked is met the next time
            found = False
            for environ in Path("/proc").glob("[0-9]*/environ"):
                with suppress(OSError):
                    if mine in environ.read_bytes():
                        os.kill(int(environ.parent.name), signal.SIGKILL)
                        found = True
        process, self._process = self._process, None
        if process is not None:
            process.wait()

    def replace(self) -> None:
        """Make it another container: nothing that was put or written there is left."""
        self._end_processes()
        for name in ("conf.d", "logs", "skips", "markers", "faults", "workspace", "tunnels"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "sock").unlink(missing_ok=True)
        self.build()
        self.start()

    def reboot(self) -> None:
        """End every process that runs in this container, as a reboot does, and start it again."""
        self._end_processes()
        (self.folder / "sock").unlink(missing_ok=True)
        self.start()

    # --- what tests do to it --------------------------------------------------------------------

    @property
    def supervisorctl(self) -> str:
        """How supervisorctl is called."""
        program = require("supervisord").with_name("supervisorctl")
        return f"{program} -c {self.folder}/supervisord.conf"

    def control(self, *words: str) -> str:
        """Ask supervisorctl for something."""
        done = subprocess.run(
            [*self.supervisorctl.split(), *words], capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        return done.stdout + done.stderr

    def pid(self, program: str) -> int:
        """Return a program's pid, 0 for none."""
        word = self.control("pid", program).strip()
        return int(word) if word.isdecimal() else 0

    def signal(self, program: str, number: signal.Signals) -> None:
        """Send a signal to a program that runs, and to all that it has started."""
        pid = self.pid(program)
        assert pid > 0, f"{program} does not run: {self.control('status')}"
        os.killpg(pid, number)

    def kill_supervisord_and(self, program: str) -> None:
        """Kill supervisord, as the kernel does for memory, and a program that it looked after."""
        pid = self.pid(program)
        assert pid > 0, f"{program} does not run: {self.control('status')}"
        os.kill(int((self.folder / "supervisord.pid").read_text()), signal.SIGKILL)
        os.killpg(pid, signal.SIGKILL)

    def fault(self, name: str) -> None:
        """Make the wrappers do something wrong at their next start."""
        (self.folder / "faults" / name).touch()

    def mood(self, mood: str) -> None:
        """Change what the application draws, or end it."""
        (self.folder / "mood").write_text(mood)

    def project(self) -> tuple[Path, str]:
        """Pack the application as an operator would; the archive, and its checksum."""
        archive = self.folder / "game.tar.gz"
        script = (
            f'#!/bin/sh\nexec {sys.executable} {HERE}/unreal_app.py "$@" -Mood={self.folder}/mood\n'
        )
        source = self.folder / "packed" / "Linux"
        source.mkdir(parents=True, exist_ok=True)
        (source / "Game.sh").write_text(script)
        (source / "Game.sh").chmod(0o755)
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(source, arcname="Linux")
        return archive, sha256(archive.read_bytes()).hexdigest()

    def declared(self, **more: Any) -> dict[str, Any]:
        """Declare the workload on this image, with tight numbers."""
        archive, digest = self.project()
        return {
            "kind": "pixel-streaming",
            "workdir": str(self.folder / "workspace"),
            "archive": {"path": str(archive), "sha256": digest},
            **more,
            "app": {
                "executable": "Linux/Game.sh",
                "streamer_id": "Game",
                "launcher": [],
                "account": "",
                "start_s": 1,
                "start_retries": 1,
                "stream_s": 1,
                **more.get("app", {}),
            },
            "player": {"offer_s": 1.5, "sample_s": 0.6, "watch_every_s": 5, **more.get("player", {})},
            "image_layout": {
                "page_port": self.ports["page"],
                "portal_port": self.ports["portal"],
                "jupyter_port": self.ports["jupyter"],
                "page_port_inside": self.ports["page_inside"],
                "portal_port_inside": self.ports["portal_inside"],
                "streamer_port": self.ports["streamer"],
                "supervisorctl": self.supervisorctl,
                "programs_folder": f"{self.folder}/conf.d",
                "logs_folder": f"{self.folder}/logs",
                "portal_file": f"{self.folder}/portal.yaml",
                "markers_folder": f"{self.folder}/markers",
                "failures_file": f"{self.folder}/logs/boot_failures",
                "skips_folder": f"{self.folder}/skips",
                "environ_file": f"{self.folder}/environ",
                "caddy_restart_s": 1,
                "boot_s": 20,
                "hang_s": 1,
                "settle_s": 8,
                **more.get("image_layout", {}),
            },
        }  # fmt: skip
