"""A stand-in for ``systemctl`` that really starts and stops what the installed unit says.

Only the verbs of ``deploy/install.sh``, for one service, below another root: the program and its
configuration are looked for there, credentials are handed over as systemd hands them, ``start`` waits for
READY=1 as ``Type=notify`` does, and ``stop`` sends SIGTERM and waits.

    python standin_systemctl.py ROOT VERB [OPTIONS] [keeper.service]
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_START_S = 120.0
_STOP_S = 90.0
_LOOK_S = 0.05


class Service:
    """The one service, and what is remembered of it between two calls."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.memory = root / "systemd"
        self.memory.mkdir(exist_ok=True)
        self.enabled = self.memory / "enabled"
        self._pid = self.memory / "pid"
        self.failed = self.memory / "failed"

    def told(self, words: list[str]) -> None:
        with (self.memory / "calls").open("a") as file:
            file.write(" ".join(words) + "\n")

    def is_active(self) -> bool:
        try:
            stat = Path(f"/proc/{int(self._pid.read_text())}/stat").read_text()
        except (OSError, ValueError):
            return False
        return stat.rpartition(") ")[2][0] not in "ZX"

    def stop(self) -> int:
        if self.is_active():
            os.kill(int(self._pid.read_text()), signal.SIGTERM)
        by = time.monotonic() + _STOP_S
        while self.is_active() and time.monotonic() < by:
            time.sleep(_LOOK_S)
        self._pid.unlink(missing_ok=True)
        self.failed.unlink(missing_ok=True)
        return 0

    def state(self) -> str:
        """The word that ``is-active`` prints."""
        if self.is_active():
            return "active"
        return "failed" if self.failed.exists() else "inactive"

    def start(self) -> int:
        """Start it and wait for READY=1; 1 when it ends before that, or is too late."""
        if self.is_active():
            return 0
        unit = (self._root / "usr/local/lib/systemd/system/keeper.service").read_text()
        program, *arguments = self._below(
            re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)[0].split()
        )
        credentials = self._credentials(unit)
        address = self.memory / "notify"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(address))
            manager.settimeout(_LOOK_S)
            with (self.memory / "journal").open("ab") as journal:
                process = subprocess.Popen(
                    [program, *arguments],
                    stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, start_new_session=True,
                    env={
                        "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NOTIFY_SOCKET": str(address),
                        "CREDENTIALS_DIRECTORY": str(credentials), "WATCHDOG_USEC": "60000000",
                    },
                )  # fmt: skip
            self._pid.write_text(str(process.pid))
            by = time.monotonic() + _START_S
            while process.poll() is None and time.monotonic() < by:
                try:
                    if "READY=1" in manager.recv(65_536).decode().splitlines():
                        return 0
                except TimeoutError:
                    continue
        if process.poll() is None:
            process.kill()
            process.wait()
        self.failed.touch()
        print("Job for keeper.service failed.", file=sys.stderr)
        return 1

    def _below(self, words: list[str]) -> list[str]:
        return [f"{self._root}{word}" if word.startswith("/") else word for word in words]

    def _credentials(self, unit: str) -> Path:
        folder = self.memory / "credentials"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        for name, path in re.findall(r"^LoadCredential=([^:]+):(.*)$", unit, re.MULTILINE):
            source = Path(f"{self._root}{path}")
            if source.is_dir():
                for each in source.iterdir():
                    shutil.copy(each, folder / f"{name}_{each.name}")
            else:
                shutil.copy(
                    source, folder / name
                )  # a missing one is an error, as it is for systemd
        return folder


def main() -> int:
    """Do one verb."""
    root, verb, *rest = sys.argv[1:]
    service = Service(Path(root))
    service.told([verb, *rest])
    match verb:
        case "daemon-reload" | "reset-failed":
            return 0
        case "enable":
            service.enabled.touch()
            return 0
        case "disable":
            service.enabled.unlink()
            return 0
        case "is-enabled":
            return 0 if service.enabled.exists() else 1
        case "is-active":
            if "--quiet" not in rest:
                print(service.state())
            return 0 if service.is_active() else 3
        case "stop":
            return service.stop()
        case "start":
            return service.start()
        case _:
            print(f"the stand-in knows no {verb}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
