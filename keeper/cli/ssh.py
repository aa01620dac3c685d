"""`keeper ssh SLOT`: a login on the slot's host by OpenSSH's own client, with keeper's key and pins.

keeper logs in itself first, so that whatever is wrong has a sentence; then the client takes this
process over, and with it the terminal and every signal. Nothing of the operator's own SSH
configuration, agent or known hosts is used: what counts is given.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from keeper.cli.app import SECRET_NAME, Verb
from keeper.cli.options import complete_slots, config_option, socket_option

if TYPE_CHECKING:
    from keeper.web.way import EntranceStatus, WayStatus

_USER = "root"  # Vast.ai's containers know no other (vast docs, "SSH connection", read 2026-08)
_DIAL_S = 10.0  # by each entrance


@click.command(
    cls=Verb,
    examples=(
        "keeper ssh duel",
        "keeper ssh duel/0 -- nvidia-smi",
        "keeper ssh duel --tty -- htop",
        "keeper ssh duel --print             # the command line, and no login",
    ),
)
@click.argument("slot", metavar="SLOT|STREAM", shell_complete=complete_slots)
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--tty", "-t", "tty", is_flag=True, help="Give the command a terminal.")
@click.option("--print", "prints", is_flag=True, help="Print the command line; do not log in.")
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Another private key. Default: keeper's own.",
)
@config_option
@socket_option
def ssh(
    slot: str,
    command: tuple[str, ...],
    tty: bool,
    prints: bool,
    key: Path | None,
    config: Path,
    socket: Path | None,
) -> int:
    """Log in to the host that a slot is on now, or run a command there.

    The host must show the key that keeper has pinned; with another one nobody is logged in. keeper
    must be running, because it knows where the slot is. What ssh ends with is what this ends with: the
    command's own code, or 255 when the connection is lost.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async, say
    from keeper.cli.way import key_file_of

    client = _client()
    way = run_async(_way(socket_of(config, socket), slot))
    key_file = key_file_of(way, key).absolute()
    entrance = _first(way) if prints else run_async(_entrance(way, key_file))
    known_hosts = _known_hosts(way)
    words = command_line(
        client, entrance, key_file=key_file, known_hosts=known_hosts, command=command, tty=tty
    )
    if prints:
        import shlex

        click.echo(shlex.join(words))
        return 0
    if sys.stderr.isatty():
        say(f"{way.slot} is on instance {way.instance_id}, {entrance.host}:{entrance.port}")
    return _become(client, words)


def _become(client: str, words: list[str]) -> NoReturn:
    """Run the client in place of this process, without what this one holds of secrets."""
    sys.stdout.flush()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, which would be inherited
    environ = {name: text for name, text in os.environ.items() if not SECRET_NAME.match(name)}
    os.execve(client, words, environ)  # noqa: S606 - no shell is wanted


def command_line(
    client: str,
    entrance: EntranceStatus,
    *,
    key_file: Path,
    known_hosts: Path,
    command: tuple[str, ...] = (),
    tty: bool = False,
) -> list[str]:
    """Compose what is run. The command's words are joined by blanks, as ssh always does."""
    options = {
        "IdentityFile": _quoted(key_file),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "ClearAllForwardings": "yes",
        "UserKnownHostsFile": _quoted(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
        "PreferredAuthentications": "publickey",
        "LogLevel": "ERROR",  # without the banners of strangers
        "ControlMaster": "no",
        "ControlPath": "none",
        "PermitLocalCommand": "no",
        # A host that has gone is noticed while somebody still waits for it.
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
    }
    words = [client, "-F", "none"]
    for name, text in options.items():
        words += ["-o", f"{name}={text}"]
    if tty:
        words.append("-t")
    return [*words, "-p", str(entrance.port), "-l", _USER, "--", entrance.host, *command]


def _quoted(path: Path) -> str:
    """Quote a path for ssh's own reading, where a percent sign begins a token."""
    return '"' + str(path).replace("%", "%%") + '"'


def _client() -> str:
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode

    found = shutil.which("ssh")
    if found is None:
        raise Stopped(
            ExitCode.FAILED,
            "there is no OpenSSH client on this box: no `ssh` is on the PATH",
            "install it (apt-get install openssh-client)",
        )
    return str(Path(found).absolute())


async def _way(socket: Path, name: str) -> WayStatus:
    from keeper.cli.client import local_keeper
    from keeper.cli.way import must_be_open, slot_of, way_to

    async with local_keeper(socket) as keeper:
        way = await way_to(keeper, await slot_of(keeper, name))
    must_be_open(way)
    return way


def _first(way: WayStatus) -> EntranceStatus:
    from keeper.cli.way import entrances_of

    return entrances_of(way)[0]


async def _entrance(way: WayStatus, key_file: Path) -> EntranceStatus:
    """Log in by each entrance until one works, and return it. Raises Stopped with the reasons."""
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode
    from keeper.cli.way import address_of, entrances_of, hosts_of, pin_of
    from keeper.core.text import plain
    from keeper.ports import HostKeyChanged, PortError, Unauthorized

    hosts = hosts_of(key_file)
    failures: list[PortError] = []
    for entrance in entrances_of(way):
        try:
            link = await hosts.connect(
                [address_of(entrance)], pinned_host_key=pin_of(entrance), timeout_s=_DIAL_S
            )
        except HostKeyChanged:
            raise  # worded, and refused, where all errors are
        except PortError as error:
            failures.append(error)
            continue
        await link.close()
        return entrance
    where = f"{way.slot} is on instance {way.instance_id}"
    why = "; ".join(plain(str(each), 200) for each in failures)
    if all(isinstance(each, Unauthorized) for each in failures):
        raise Stopped(
            ExitCode.UNAUTHORIZED,
            f"{where}, which does not let keeper's key in: {why}",
            "look whether keeper itself gets in: keeper explain SLOT; --key names another key",
        )
    raise Stopped(
        ExitCode.TRY_AGAIN,
        f"{where}, which does not answer: {why}",
        f"watch it: keeper status {way.slot} --watch",
    )


def _known_hosts(way: WayStatus) -> Path:
    """Write the pinned key of each entrance to a file for ssh: one for each slot, written anew."""
    from keeper.cli.way import entrances_of

    lines = []
    for each in entrances_of(way):
        name = each.host if each.port == 22 else f"[{each.host}]:{each.port}"  # noqa: PLR2004 - as ssh names them
        lines.append(f"{name} {each.host_key}\n")
    path = _own_folder() / f"{way.slot.replace('/', '-')}.known_hosts"
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)  # of one that had this number before and was killed
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.writelines(lines)
    new.rename(path)
    return path


def _own_folder() -> Path:
    """Return a temporary folder that nobody else can write to; who finds a stranger's makes a new one."""
    above = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(above) / f"keeper-ssh-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if is_ours and not status.st_mode & 0o077:
            return folder
    return Path(tempfile.mkdtemp(prefix="keeper-ssh-"))
