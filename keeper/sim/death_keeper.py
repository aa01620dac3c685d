"""The process of the campaign of real deaths: killed or frozen at a word, and begun again.

It is the installed command with a configuration file. Each time it was killed its store is read as
it lies there, as the next process finds it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from typing_extensions import override

from keeper.sim.demo_keeper import KeeperProcess

_LOOK_S = 0.05
_HAS_SLOTS = "SELECT 1 FROM sqlite_master WHERE name = 'slots'"

# Timers are shortened by settings. ``policy`` and ``stream`` are what a life declares beside.
CONFIG = """\
vast: {{url: "{url}", timeout_s: 10}}
state_dir: {state_dir}
socket: {socket}
http: {{listen: "127.0.0.1:0"}}
canary: {{addresses: []}}
fleet:
  list_interval_s: 2
  list_interval_busy_s: 1
  listing_stale_s: 12
  absence_apart_s: 2
  destroy_quick_retry_s: 3
  tick_interval_s: 2
policy:
  probe_interval_s: 1.6
  probe_timeout_s: 1.4
  probe_stale_s: 12
  fatal_state_s: 3
  boot_max_s: 120
  boot_hard_max_s: 180
  create_settle_s: 20
  absence_apart_s: 2
  warmup_grace_s: 20
  warmup_max_s: 40
  restart_backoff_min_s: 1
  restart_backoff_max_s: 2
  restart_settle_s: 2
  restarts_forgiven_s: 20
  replace_after_s: 20
  unreachable_s: 30
  replacements_max: 10
  replacements_apart_s: 1
  handover_good_probes: 3
  handover_max_s: 90
  no_offer_backoff_s: [1, 2, 5]
  {policy}
streams:
  - name: arena
    {stream}
    workload:
      kind: command
      image: vastai/base-image:demo
      disk_gb: 20
      workdir: arena
      files: {files}
      start: exec python3 -u realtime_stream.py --backend test-card
      env: {{TARGET_FPS: "4", SERVER_PORT: "8000"}}
      view: {{kind: mjpeg, port: 8000, path: /stream}}
alerts:
  group_wait_s: 1
  resolved_after_s: 2
  channels: [{{kind: webhook, name: phone, url: "{webhook}"}}]
"""


class Deed(StrEnum):
    """What befalls the process."""

    KILL = "kill"
    FREEZE = "freeze"


class MortalKeeper(KeeperProcess):
    """The process, its death and its resurrection."""

    def __init__(self, folder: Path, *, mark: str, freeze_s: float, restart_s: float) -> None:
        super().__init__(folder, mark=mark)
        self._freeze_s = freeze_s
        self._restart_s = restart_s
        self._work: set[asyncio.Task[None]] = set()
        self.killed_at: list[float] = []
        self.is_down = False
        self.owners: Counter[str] = (
            Counter()
        )  # by label: the most records that have held it at once

    @override
    def configure(self, **values: object) -> None:
        self.config.write_text(CONFIG.format(state_dir=self.state, socket=self.socket, **values))

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.config.parent / "state"

    def strike(self, deed: str) -> None:
        """Do it, at once; what follows is done beside."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL if deed == Deed.KILL else signal.SIGSTOP)
        self.is_down = deed == Deed.KILL

    def struck(self, deed: str) -> None:
        """Begin what follows."""
        if deed == Deed.KILL:
            self.killed_at.append(time.time())
        task = asyncio.get_running_loop().create_task(self._follow(deed))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _follow(self, deed: str) -> None:
        assert self._process is not None
        if deed == Deed.KILL:
            await self._process.wait()
            self._look_at_the_store()
            await asyncio.sleep(self._restart_s)
            await self.start()
            self.is_down = False
        else:
            await asyncio.sleep(self._freeze_s)
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)

    async def rest(self) -> None:
        """Wait until nothing is down or frozen."""
        while self._work:
            await asyncio.wait(set(self._work))

    async def drain(self) -> int:
        """Let it stop in order (SIGTERM) and begin the next; one killed meanwhile is asked once more.

        Returns the exit code.
        """
        while True:
            await self.rest()
            assert self._process is not None
            with suppress(ProcessLookupError):
                self._process.terminate()
            code = await self._process.wait()
            if not self.is_down:
                break
            while self.is_down:  # the next one begins by itself
                await asyncio.sleep(_LOOK_S)
                await self.rest()
            if code != -signal.SIGKILL:
                return code
        self.is_down = True
        self._look_at_the_store()
        await asyncio.sleep(self._restart_s)
        await self.start()
        self.is_down = False
        return code

    def _look_at_the_store(self) -> None:
        """Count the records that hold a label, in a copy: a look must not change what is found next."""
        with tempfile.TemporaryDirectory(dir=self.config.parent) as folder:
            for part in self.state.glob("keeper.db*"):
                shutil.copy(part, folder)
            if not (copy := Path(folder) / "keeper.db").exists():
                return
            with closing(sqlite3.connect(copy)) as store:
                if not store.execute(_HAS_SLOTS).fetchone():
                    return
                rows = store.execute("SELECT record FROM slots").fetchall()
                held = Counter(label for (row,) in rows for label in _labels(json.loads(row)))
                self.owners |= held


def _labels(record: dict[str, Any]) -> list[str]:
    """Return the labels of the rentals that a slot's record holds."""
    return [each["label"] for name in ("tenure", "incoming") if (each := record.get(name))]
