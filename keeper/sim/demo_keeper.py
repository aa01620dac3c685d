"""The daemon of the demo as a process of its own: started, killed, asked over its local socket.

It is the installed command with a configuration file, nothing less: what the demo shows is what an
operator gets.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import orjson

from keeper.sim import warden
from keeper.workloads.managers import payload

_ANSWER_S = 5.0
_STOP_S = 60.0

# Timers of a person who watches. Every one is a setting; production's are in the example file.
CONFIG = """\
# The configuration of `keeper demo`: production's rules with a spectator's patience.
vast: {{url: "{url}", timeout_s: 10}}
state_dir: {state_dir}
socket: {socket}
http: {{listen: "127.0.0.1:{port}"}}
canary: {{addresses: []}}
fleet:
  list_interval_s: 2
  list_interval_busy_s: 1
  listing_stale_s: 12
  absence_apart_s: 2
  destroy_quick_retry_s: 3
  tick_interval_s: 2
  spend_max_dollars_per_hour: 6
policy:
  probe_interval_s: 1.6
  probe_timeout_s: 1.4
  probe_stale_s: 12
  fatal_state_s: 3
  boot_max_s: 60
  boot_hard_max_s: 90
  create_settle_s: 20
  absence_apart_s: 2
  warmup_grace_s: 15
  warmup_max_s: 30
  restart_backoff_min_s: 1
  restart_backoff_max_s: 2
  restart_settle_s: 3
  restarts_forgiven_s: 20
  crash_loop_window_s: 20
  replace_after_s: 6
  unreachable_s: 12
  replacements_max: 10
  replacements_apart_s: 1
  handover_good_probes: 4
  handover_max_s: 60
  no_offer_backoff_s: [1, 2, 5]
streams:
  - name: dream
    spend_max_dollars_per_hour: 4.5
    workload:
      kind: sd-turbo
      generator: test-card
      bind: 0.0.0.0
      workdir: dream
      target_frames_per_s: 12
      prompt: "a lighthouse at dawn"
  - name: arena
    spend_max_dollars_per_hour: 4.5
    workload:
      kind: command
      image: vastai/base-image:demo
      disk_gb: 20
      ports: [8000]
      workdir: arena
      files: {files}
      # A deploy leaves a clean folder and a supervisord that runs.
      setup: |
        rm -f fault crashloop
        supervisorctl -c supervisord.conf pid >/dev/null 2>&1 || supervisord -c supervisord.conf
      env: {{INITIAL_PROMPT: "two duelists, round one", TARGET_FPS: "12", SERVER_PORT: "8000"}}
      manager:
        kind: supervisor
        name: arena
        command: supervisorctl -c $HOME/arena/supervisord.conf
      view: {{kind: mjpeg, port: 8000, path: /stream, target_frames_per_s: 12}}
alerts:
  group_wait_s: 1
  resolved_after_s: 2
  channels:
    - {{kind: webhook, name: phone, url: "{webhook}"}}
"""


# startsecs=0 is what the Unreal image has: supervisord then calls a program RUNNING that dies a second
# after each of its starts, for ever. By TCP, because a unix socket's path may have 107 bytes and a
# temporary folder may be deep.
SUPERVISORD = """\
[inet_http_server]
port=%(ENV_SERVER_HOST)s:9001
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=http://%(ENV_SERVER_HOST)s:9001
[supervisord]
directory=%(here)s
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid
[program:arena]
command=python3 -u realtime_stream.py --backend test-card
directory=%(here)s
startsecs=0
autorestart=true
stopwaitsecs=2
stopasgroup=true
killasgroup=true
"""


CARD_FILES = ("realtime_stream.py", "sd_turbo_state.py", "sd_turbo_http.py", "sd_turbo_card.py")


def card_files(more: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the files of a server that shows the test card, as YAML has them (JSON is YAML, too)."""
    files = {name: payload(name).decode() for name in CARD_FILES} | dict(more)
    return json.dumps([{"path": path, "content": content} for path, content in files.items()])


class KeeperProcess:
    """One keeper after another, on one state folder."""

    def __init__(self, folder: Path, *, mark: str) -> None:
        self._folder = folder
        self._mark = mark
        self._process: asyncio.subprocess.Process | None = None
        self.config = folder / "keeper.yaml"
        self.socket = folder / "keeper.sock"
        self.log = folder / "keeper.log"

    def configure(self, **values: object) -> None:
        """Write the configuration file."""
        text = CONFIG.format(
            state_dir=self._folder / "state",
            socket=self.socket,
            files=card_files({"supervisord.conf": SUPERVISORD}),
            **values,
        )
        self.config.write_text(text, encoding="utf-8")

    async def start(self) -> None:
        """Start the next process. It logs to a file, JSON a line."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "keeper", "run"),
                *("--config", str(self.config), "--log-format", "json"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is the demo's to handle
            )

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """SIGKILL: no drain, no farewell."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                await self.kill()
        return self._process.returncode or 0

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON enters here
        """Ask the local API; None when nobody answers."""
        return await self._ask("GET", path, None)

    async def order(self, kind: str, slot: str, reason: str, **more: object) -> bool:
        """Give an operator's order; says whether it was taken."""
        body = {"kind": kind, "slot": slot, "reason": reason, **more}
        return await self._ask("POST", "orders", body) is not None

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:  # noqa: ANN401 - JSON enters here
        connector = aiohttp.UnixConnector(path=str(self.socket))
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S if body is None else 40.0)
        with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(method, f"http://keeper/api/v1/{path}", json=body) as reply,
            ):
                if reply.ok:
                    return orjson.loads(await reply.read())
        return None

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        # The mark lets the simulator's warden end this process too, should the demo be killed.
        return {**kept, "VAST_API_KEY": "demo-key-of-no-account", warden.MARK: self._mark}
