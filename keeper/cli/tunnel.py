"""`keeper tunnel STREAM`: a local port that leads to a stream, whichever host it is on."""

from __future__ import annotations

import errno
import re
import socket as sockets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from keeper.cli.app import Verb
from keeper.cli.options import complete_slots, config_option, json_option, socket_option

if TYPE_CHECKING:
    from keeper.cli.passage import Told

_HERE = "127.0.0.1"
_PORT_MAX = 65_535
_PRIVILEGED_BELOW = 1024
_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp


class _Ports(click.ParamType[tuple[int, int | None]]):
    """LOCAL:REMOTE, either of them left out: a free port here, the viewers' port there."""

    name = "local:remote"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int | None]:
        local, _, remote = str(value).rpartition(":")
        if not all(re.fullmatch(r"\d{0,5}", each, re.ASCII) for each in (local, remote)):
            self.fail(
                f"{value!r} is not LOCAL:REMOTE, such as 8888:8000, 8888: or :8000", param, ctx
            )
        if value and ":" not in str(value):
            self.fail(
                f"write {value}: for that port here, or :{value} for that port there", param, ctx
            )
        here, there = int(local or 0), int(remote or 0)
        if max(here, there) > _PORT_MAX:
            self.fail(f"a port is at most {_PORT_MAX}", param, ctx)
        return here, there or None


@click.command(
    cls=Verb,
    examples=(
        "keeper tunnel duel                 # a free port here, the viewers' port there",
        "keeper tunnel duel 8888:5555",
        "keeper tunnel duel/1 8888:         # port 8888 here, the viewers' port there",
        "keeper tunnel sd :8000 --json | jq -r 'select(.fact == \"listening\").local'",
    ),
)
@click.argument("stream", metavar="STREAM|SLOT", shell_complete=complete_slots)
@click.argument("ports", metavar="[LOCAL:REMOTE]", required=False, default=":", type=_Ports())
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Another private key. Default: keeper's own.",
)
@json_option
@config_option
@socket_option
def tunnel(
    stream: str,
    ports: tuple[int, int | None],
    key: Path | None,
    as_json: bool,
    config: Path,
    socket: Path | None,
) -> int:
    """A local port that leads to a stream, whichever host it is on.

    Listens on 127.0.0.1 and leads every connection to a port of the host that the stream is on at that
    moment. When the stream moves, connections to the old host are closed and new ones lead to the new
    host. A lost link is made again. Every change is one line; with --json one object a line. Ctrl-C
    ends it.

    Exit 75 if the local port is in use, 7 if no keeper runs at the start. Later it goes on without
    one, to the host that it knows.
    """
    from keeper.cli.client import socket_of
    from keeper.cli.terminal import run_async

    local, remote = ports
    where = socket_of(config, socket)
    run_async(_tunnel(where, stream, local, remote, key, _teller(as_json=as_json)))
    return 0


async def _tunnel(
    socket: Path,
    name: str,
    local: int,
    remote: int | None,
    key: Path | None,
    tell: Callable[[Told], None],
) -> None:
    import asyncio
    from contextlib import aclosing

    from keeper.cli.client import local_keeper
    from keeper.cli.passage import Passage, Told
    from keeper.cli.way import hosts_of, key_file_of, slot_of, way_to, ways

    async with local_keeper(socket) as keeper:
        slot = await slot_of(keeper, name)
        way = await way_to(keeper, slot)
    hosts = hosts_of(key_file_of(way, key))
    port = remote or way.view_port
    passage = Passage(hosts=hosts, slot=slot, remote_port=remote, tell=tell)
    with _listener(local, name, remote) as listener:
        server = await asyncio.start_server(passage.carry, sock=listener)
        here = "{}:{}".format(*listener.getsockname())
        where = f"port {port} of {slot}" if port else f"the viewers' port of {slot}"
        tell(
            Told(
                fact="listening",
                says=f"{here} leads to {where}",
                instance_id=way.instance_id,
                local=here,
                remote_port=port,
            )
        )
        try:
            async with asyncio.TaskGroup() as group, aclosing(ways(socket, slot)) as following:
                group.create_task(passage.keep_link())
                await passage.follow(following)
        finally:
            server.close()
            passage.close()


def _teller(*, as_json: bool) -> Callable[[Told], None]:
    """Return what tells a fact: one JSON object a line, or a sentence with its time."""
    import json

    from keeper.adapters.clock import SystemClock
    from keeper.cli.terminal import say

    clock = SystemClock()

    def tell(told: Told) -> None:
        now = clock.now()
        if not as_json:
            say(f"{now:%H:%M:%S} {told.says}")
            return
        line = {"at": now.isoformat(), "fact": told.fact, "says": told.says}
        line |= {"instance_id": told.instance_id}  # type: ignore[dict-item]
        if told.local:
            line |= {"local": told.local, "remote_port": told.remote_port}  # type: ignore[dict-item]
        click.echo(json.dumps(line, ensure_ascii=False))

    return tell


def _listener(port: int, stream: str, remote: int | None) -> sockets.socket:
    """Take the local port. Raises Stopped when it cannot be had."""
    from keeper.cli.errors import Stopped
    from keeper.cli.exit_codes import ExitCode

    listener = sockets.socket()
    listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
    listener.setblocking(False)
    there = remote or ""
    free = f"choose another, or any free one: keeper tunnel {stream} 0:{there}"
    try:
        listener.bind((_HERE, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            holder = holder_of(port)
            by = f" by {holder}" if holder else ""
            what = f"{_HERE}:{port} is in use{by}"
            raise Stopped(ExitCode.TRY_AGAIN, what, free) from error
        if error.errno in {errno.EACCES, errno.EPERM} and port < _PRIVILEGED_BELOW:
            what = f"this user may not listen on port {port}"
            raise Stopped(ExitCode.FAILED, what, free) from error
        raise
    return listener


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """Name the process that listens on a local port; "" when that cannot be told."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{words[9]}]")
    for folder in proc.glob("[0-9]*"):
        try:
            if any(str(each.readlink()) in inodes for each in (folder / "fd").iterdir()):
                title = (folder / "comm").read_text().strip()
                return f"{title} (pid {folder.name})"
        except OSError:
            continue  # another user's, or gone
    return ""
