"""One SSH entrance to a simulated host through a real ``sshd``, a process of its own.

Chosen with ``sshd=openssh``: what a test then meets is OpenSSH itself, with its channels, its sftp-server
and its ways to end a session. Who may come in, and when, stays the simulator's to say. It knows
nothing of hosts but where they live and what a login of theirs sees.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Any

import asyncssh

from keeper.sim import warden
from keeper.sim.ssh_door import BANNER

_SBIN = (os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin")
_SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",  # Debian, Ubuntu
    "/usr/libexec/openssh/sftp-server",  # Fedora
    "/usr/lib/ssh/sftp-server",  # Alpine, Arch
    "/usr/libexec/sftp-server",
)
# From this release on a server shuts out an address that often fails to log in. Every client of a
# simulated host has the same address, and some are meant to fail (sshd_config(5), OpenSSH 9.8, 2024-07).
_PENALTIES_SINCE = (9, 8)
_LINES_KEPT = 50
_OPEN_TRIES = 100
_OPEN_S = 20.0

_CONFIG = """\
ListenAddress {address}:{port}
HostKey "{folder}/host_key"
AuthorizedKeysFile "{folder}/authorized_keys"
PidFile none
Banner "{folder}/banner"
# The simulator looks at the modes itself: above a temporary folder there is always one that anybody
# may write to.
StrictModes no
UsePAM no
UseDNS no
AllowUsers root
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
PermitUserRC no
PermitOpen localhost:* 127.0.0.1:* [::1]:* 0.0.0.0:* {address}:*
PrintMotd no
PrintLastLog no
LoginGraceTime 20
MaxStartups 100
LogLevel VERBOSE
Subsystem sftp {sftp_server}
SetEnv {variables}
ForceCommand exec {login}
"""

# What a login runs instead of the shell of this box's root: the same, as the host's.
_LOGIN = """\
#!/bin/sh
# Makes a login one of a simulated host: its home, its environment and nothing of this box's.
command=${{SSH_ORIGINAL_COMMAND:-}} terminal=${{SSH_TTY:-}} kind=${{TERM:-dumb}}
cd {home} || exit 1
if [ -n "$terminal" ] || [ -z "$command" ]; then
    # Vast.ai's automatic tmux, which runs nothing of what it was told (field reports).
    if [ ! -e .no_auto_tmux ]; then
        [ -n "$terminal" ] || carriage='\\r' # a terminal makes one by itself
        printf "no sessions${{carriage:-}}\\n"
        exit 1
    fi
fi
set -- env -i
if [ -r etc/environment ]; then
    while IFS= read -r line; do
        case ${{line%%=*}} in
        '' | *[!A-Za-z0-9_]* | "$line") ;;
        *) set -- "$@" "$line" ;;
        esac
    done <etc/environment
fi
set -- "$@" {variables}
[ -z "$terminal" ] || set -- "$@" "TERM=$kind" "SSH_TTY=$terminal"
if [ -n "$command" ]; then
    exec "$@" sh -c "$command"
fi
exec "$@" sh
"""


class NoSshd(Exception):
    """This box cannot run OpenSSH hosts. Its text says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where OpenSSH is on this box."""

    sshd: str
    sftp_server: str
    setpriv: str  # lets the kernel end an sshd with its simulator, however that ends
    has_penalties: bool


@cache
def programs() -> Programs:
    """Find what an OpenSSH host needs. Raises NoSshd."""
    path = os.pathsep.join(_SBIN)
    sshd, setpriv = shutil.which("sshd", path=path), shutil.which("setpriv", path=path)
    sftp_server = next((each for each in _SFTP_SERVERS if os.access(each, os.X_OK)), None)
    if sshd is None or sftp_server is None:
        raise NoSshd("sshd and its sftp-server are not on this box; install openssh-server")
    if setpriv is None:
        raise NoSshd("setpriv is not on this box; install util-linux")
    if os.geteuid() != 0:
        raise NoSshd(
            "OpenSSH lets root log in only when it runs as root; run the simulator as root"
        )
    said = subprocess.run([sshd, "-V"], capture_output=True, text=True, check=False)
    version = re.search(r"OpenSSH_(\d+)\.(\d+)", said.stdout + said.stderr)
    return Programs(
        # Started anew for each connection, it insists on an absolute path.
        sshd=os.path.realpath(sshd),
        sftp_server=sftp_server,
        setpriv=setpriv,
        has_penalties=version is not None
        and (int(version[1]), int(version[2])) >= _PENALTIES_SINCE,
    )


class SshdEntrance:
    """An sshd that can be opened and closed many times. Nothing waits but ``open``.

    ``keys`` are the lines of its authorized_keys, asked for by ``refresh`` before each connection;
    ``heard`` is told what sshd says, and ``begin`` takes the hearing, to be awaited at the host's end.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        folder: Path,
        home: Path,
        host_key: asyncssh.SSHKey,
        keys: Callable[[], Sequence[str]],
        environment: Callable[[], Mapping[str, str]],
        heard: Callable[[str], None],
        begin: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.host_key = host_key
        self.inside, self._port = address
        self._programs = programs()
        self._folder = folder
        self._home = home
        self._keys = keys
        self._environment = environment
        self._heard = heard
        self._begin = begin
        self._process: asyncio.subprocess.Process | None = None
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)

    async def open(self, is_wanted: Callable[[], bool]) -> bool:
        """Listen. False: the address cannot be had, or by now nobody wants it any more."""
        config = self._write()
        for _ in range(_OPEN_TRIES):
            if not is_wanted():
                return False
            process = await self._start(config)
            if await self._listens(process):
                break
            await asyncio.sleep(0.02)  # the server before this one has not let go yet
        else:
            return False
        self._begin(self._listen_to(process))
        if not is_wanted():
            _end(process)
            return False
        self._process = process
        return True

    def close(self) -> None:
        """Stop listening and cut whoever is in. May be repeated."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def refresh(self) -> None:
        """Bring its authorized_keys up to date: somebody is about to come in."""
        if self._folder.exists():
            path = self._folder / "authorized_keys"
            new = path.with_suffix(".new")
            new.write_text("".join(f"{line}\n" for line in self._keys()))
            new.replace(path)

    def _write(self) -> Path:
        """Write everything that sshd reads; returns its configuration."""
        with suppress(OSError):  # where Debian's sshd separates its privileges
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "banner").write_text(BANNER.replace("\r\n", "\n"))
        key = self._folder / "host_key"
        key.touch(mode=0o600)
        key.write_bytes(self.host_key.export_private_key("openssh"))
        variables = self._environment()
        login = self._folder / "login"
        login.write_text(
            _LOGIN.format(
                home=quote(str(self._home)),
                variables=" ".join(quote(f"{name}={value}") for name, value in variables.items()),
            )
        )
        login.chmod(0o755)
        self.refresh()
        # The shell of this box's root comes before the login: it must find no start files of root's,
        # and be known as one of the host's.
        early = {name: variables[name] for name in ("HOME", warden.MARK)}
        text = _CONFIG.format(
            address=self.inside,
            port=self._port,
            folder=self._folder,
            sftp_server=self._programs.sftp_server,
            variables=" ".join(f'"{name}={value}"' for name, value in early.items()),
            login=quote(str(login)),
        )
        if self._programs.has_penalties:
            text += "PerSourcePenalties no\n"
        config = self._folder / "sshd_config"
        config.write_text(text)
        return config

    async def _start(self, config: Path) -> asyncio.subprocess.Process:
        self._said.clear()
        return await asyncio.create_subprocess_exec(
            *(self._programs.setpriv, "--pdeathsig", "KILL"),
            *(self._programs.sshd, "-D", "-e", "-f", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.defpath},
            start_new_session=True,
        )

    async def _listens(self, process: asyncio.subprocess.Process) -> bool:
        """Read until it listens. False: it ended. Raises NoSshd when it refuses its configuration."""
        assert process.stderr is not None
        try:
            async with asyncio.timeout(_OPEN_S):
                while line := await process.stderr.readline():
                    self._hear(line)
                    if b"Server listening on" in line:
                        return True
                await process.wait()
        except TimeoutError:
            _end(process)
        if not any("Address already in use" in line for line in self._said):
            raise NoSshd("sshd does not start: " + "; ".join(self._said))
        return False

    async def _listen_to(self, process: asyncio.subprocess.Process) -> None:
        """Take what it says to its end, or it would stand still; then let the kernel forget it."""
        assert process.stderr is not None
        with suppress(ValueError):  # a line longer than any of sshd's
            while line := await process.stderr.readline():
                self._hear(line)
        await process.wait()

    def _hear(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()[:300]
        self._said.append(text)
        self._heard(text)


def _end(process: asyncio.subprocess.Process) -> None:
    """Kill an sshd and those of its children that serve a connection; sessions have a mark."""
    if process.returncode is not None:
        return
    family = [process.pid]
    for pid in family:
        family += [child.pid for child in warden.children(pid) if child.name == "sshd"]
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
