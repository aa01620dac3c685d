"""The disk of a simulated host in real time: its folders, what its start leaves there, its pid files.

Plain files below one folder. It knows no sockets, no SSH and no market.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from keeper.sim import warden
from keeper.sim.contract import Contract

SUPERVISORS = frozenset({"supervisord.pid", "pm2.pid"})
GUARD = "dead_man.pid"  # keeper's, and no workload
NO_AUTO_TMUX = ".no_auto_tmux"


class ContainerDisk:
    """One container's files. A new container has a new one."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.bin = folder / "bin"
        for path in (self.home / "tmp", self.home / "workspace", self.home / "etc"):
            path.mkdir(parents=True)
        self.home.chmod(0o755)

    def run_onstart(self, contract: Contract, ports: Mapping[str, int]) -> None:
        """Do of onstart what matters to SSH, at every start of the container.

        It is kept where Vast.ai keeps it and is not run: it was written for a container's root, and
        this is somebody's own machine.
        """
        onstart = contract.onstart
        (self.home / "onstart.sh").write_text(onstart)
        if NO_AUTO_TMUX in onstart:
            (self.home / NO_AUTO_TMUX).touch()
        # What a container's process 1 was started with: root there may read it.
        variables = contract.environment
        first = self.home / "proc" / "1" / "environ"
        first.parent.mkdir(parents=True, exist_ok=True)
        first.write_text("".join(f"{name}={value}\0" for name, value in variables.items()))
        if "/etc/environment" in onstart:
            lines = [f"{name}={value}\n" for name, value in variables.items()]
            lines += [
                f"VAST_TCP_PORT_{name.removesuffix('/tcp')}={port}\n"
                for name, port in ports.items()
            ]
            (self.home / "etc" / "environment").write_text("".join(lines))

    def exported(self) -> dict[str, str]:
        """Return what a login reads from /etc/environment: nothing, unless somebody wrote it."""
        try:
            lines = (self.home / "etc" / "environment").read_text(errors="replace").splitlines()
        except OSError:
            return {}
        pairs = (line.partition("=") for line in lines)
        return {name: value for name, is_pair, value in pairs if is_pair and name.isidentifier()}

    def workloads(self, mark: str) -> dict[Path, warden.Found]:
        """Return the workload's living processes by pid file; a supervisor's children by theirs."""
        found: dict[Path, warden.Found] = {}
        supervisors: dict[Path, int] = {}
        for path in self.home.glob("**/*.pid"):
            if path.name == GUARD:
                continue
            with suppress(OSError, ValueError, IndexError):  # also one that is being written
                pid = int(path.read_text().split()[0])
                process = warden.look(pid)
                if process is None or not warden.has_mark(pid, mark):
                    continue
                if path.name in SUPERVISORS:
                    supervisors[path] = pid
                else:
                    found[path] = process
        if not found:
            for path, pid in supervisors.items():
                for child in warden.children(pid):
                    found[path.parent / f"{child.pid}"] = child
        return found

    def break_card(self, mark: str, name: str, word: str = "") -> bool:
        """Write the file by which a test card is told to go wrong. False: there is none."""
        folders = {
            Path(f"/proc/{found.pid}/cwd").readlink() for found in self.workloads(mark).values()
        }
        for folder in folders:
            (folder / name).write_text(word)
        return bool(folders)

    def mend_card(self, *names: str) -> None:
        """Take those files away."""
        for name in names:
            for path in self.home.glob(f"**/{name}"):
                path.unlink(missing_ok=True)

    def set_flag(self, name: str, *, is_set: bool) -> None:
        """Change the hardware that the stand-ins report."""
        path = self.bin / name
        if is_set:
            path.touch()
        else:
            path.unlink(missing_ok=True)
