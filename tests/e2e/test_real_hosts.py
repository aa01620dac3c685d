"""keeper over real OpenSSH, with each process manager: deployed, on air, cured by the right rung.

What `real_hosts.py` promises to the tests of the workloads' catalogues is shown here with a page on a port.
"""

import signal
from collections.abc import Mapping
from typing import Any, ClassVar

import asyncssh
import pytest

from keeper.core.model import Remedy
from keeper.core.reasons import Reason
from keeper.sim.ssh_host import LoopbackHost
from tests.components import require
from tests.e2e.real_hosts import Fleet, Row, Spent, play, play_row, put_program

pytestmark = [
    pytest.mark.real("sshd"),
    pytest.mark.timeout(300),
]

CARD = "card.py"
PROGRAM = """\
import os
from http.server import HTTPServer, SimpleHTTPRequestHandler

HTTPServer((os.environ["SERVER_HOST"], 8000), SimpleHTTPRequestHandler).serve_forever()
"""


def declared(
    manager: Mapping[str, object], *, files: Mapping[str, str] | None = None, **more: object
) -> dict[str, Any]:
    """Declare a page on a port under a manager."""
    contents = {CARD: PROGRAM, **(files or {})}
    return {
        "kind": "command",
        "image": "vastai/base-image:test",
        "workdir": "duel",
        "files": [{"path": path, "content": text} for path, text in contents.items()],
        "manager": manager,
        "view": {"kind": "http", "port": 8000},
        **more,
    }


async def killed(fleet: Fleet) -> None:
    await fleet.host.kill(CARD)


async def hung(fleet: Fleet) -> None:
    await fleet.host.kill(CARD, signal.SIGSTOP)


class OtherProcess:
    """Proves that the card's process is another one than before."""

    def __init__(self) -> None:
        self.before: list[int] = []

    async def kill(self, fleet: Fleet) -> None:
        self.before = fleet.host.pids(CARD)
        await fleet.host.kill(CARD)

    async def is_there(self, fleet: Fleet) -> bool:
        now = fleet.host.pids(CARD)
        return bool(now) and set(now).isdisjoint(self.before)


async def gpu_lost(fleet: Fleet) -> None:
    """Lose the GPU, which nobody minds until the picture is gone."""
    since = fleet.mark()
    assert fleet.sim.act(fleet.host.instance_id, "gpulost")
    await fleet.fact("condition.changed", condition="has_gpu", status="false", since=since)
    await fleet.host.kill(CARD)


class OtherKey:
    """A host that shows another key than at first contact: whose it is, no program can say."""

    _before: ClassVar[asyncssh.SSHKey]

    @classmethod
    async def show(cls, fleet: Fleet) -> None:
        cls._before = fleet.host.inner.change_host_key()

    @classmethod
    async def hide(cls, fleet: Fleet) -> None:
        fleet.host.inner.change_host_key(cls._before)


# --- a plain background process -----------------------------------------------------------------


async def test_a_background_process_is_started_again_by_keeper_itself() -> None:
    workload = declared({"kind": "background"}, start=f"exec python3 -u {CARD}")
    async with Fleet(workload) as fleet:
        host = await fleet.on_air()
        # The login is one of a real sshd, and the host's own.
        said = await host.run('echo "$HOME $SERVER_HOST"; ls duel; cat /proc/$PPID/status')
        assert said.stdout.split()[:2] == [str(host.home), host.address]
        assert CARD in said.stdout
        rows = [
            Row(
                id="killed", fault=killed, remedy=Remedy.RESTART_PROCESS,
                reason=Reason.PROCESS_GONE,
            ),
            Row(id="hung", fault=hung, remedy=Remedy.RESTART_PROCESS, reason=Reason.NO_BYTES),
        ]  # fmt: skip
        await play(fleet, rows)
        assert fleet.spent() == Spent(rented=1, deploys=1, process_restarts=2)


async def test_a_person_is_told_of_another_host_key_and_a_lost_gpu_is_left_behind() -> None:
    workload = declared({"kind": "background"}, start=f"exec python3 -u {CARD}")
    async with Fleet(workload) as fleet:
        host = await fleet.on_air()
        rows = [
            Row(
                id="another host key", fault=OtherKey.show, remedy=Remedy.PERSON,
                alert="KeeperSlotHeld", mend=OtherKey.hide,
            ),
            Row(id="gpu lost", fault=gpu_lost, remedy=Remedy.REPLACE, reason=Reason.GPU_LOST),
        ]  # fmt: skip
        await play(fleet, rows)
        assert fleet.spent() == Spent(rented=2, destroyed=1, deploys=2)
        assert fleet.host.instance_id != host.instance_id


# --- supervisord --------------------------------------------------------------------------------

SUPERVISORD = """\
[unix_http_server]
file=%(here)s/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/sock
[supervisord]
directory=%(here)s
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid
[program:card]
command=python3 -u card.py
directory=%(here)s
startsecs=2
startretries=1
stopwaitsecs=2
"""


class GivenUp:
    """Takes the program away until its manager has had enough; then nothing ails it any more.

    The manager would never know.
    """

    def __init__(self, ask: str, word: str) -> None:
        self._ask, self._word = ask, word

    async def __call__(self, fleet: Fleet) -> None:
        host = fleet.host
        program, away = host.home / "duel" / CARD, host.home / "duel" / "away"
        program.rename(away)
        await host.kill(CARD)

        async def has_given_up() -> bool:
            return self._word in (await host.run(self._ask, ok=False)).stdout

        await fleet.until("a manager that has given up", has_given_up)
        away.rename(program)


@pytest.mark.real("supervisord")
async def test_a_program_of_supervisord_is_left_to_it_until_it_gives_up() -> None:
    other = OtherProcess()
    workload = declared(
        {"kind": "supervisor", "name": "card", "command": "supervisorctl -c $HOME/duel/s.conf"},
        files={"s.conf": SUPERVISORD},
        setup="supervisorctl -c s.conf pid >/dev/null 2>&1 || supervisord -c s.conf",
    )
    async with Fleet(workload) as fleet:
        await fleet.on_air()
        rows = [
            Row(id="killed", fault=other.kill, remedy=Remedy.NOTHING, proof=other.is_there),
            Row(
                id="given up", fault=GivenUp("supervisorctl -c duel/s.conf status", "FATAL"),
                remedy=Remedy.RESTART_PROCESS, reason=Reason.MANAGER_GAVE_UP,
            ),
        ]  # fmt: skip
        await play(fleet, rows)


# --- PM2 ----------------------------------------------------------------------------------------

ECOSYSTEM = """\
module.exports = { apps: [
  { name: "card", script: "card.py", interpreter: "python3", interpreter_args: "-u",
    max_restarts: 2, min_uptime: 3000, kill_timeout: 2000 },
] };
"""


def with_pm2(host: LoopbackHost) -> None:
    """Bring PM2 along, as an image would."""
    put_program(host, "pm2", f'exec {require("node")} {require("pm2").resolve()} "$@"')


@pytest.mark.real("pm2", "node")
async def test_an_app_of_pm2_is_left_to_it_until_it_gives_up() -> None:
    other = OtherProcess()
    workload = declared(
        {"kind": "pm2", "name": "card"},
        files={"ecosystem.config.js": ECOSYSTEM},
        start="pm2 start ecosystem.config.js -s",
    )
    async with Fleet(workload, furnish=with_pm2) as fleet:
        await fleet.on_air()
        rows = [
            Row(id="killed", fault=other.kill, remedy=Remedy.NOTHING, proof=other.is_there),
            Row(
                id="given up", fault=GivenUp("pm2 jlist -s", '"status":"errored"'),
                remedy=Remedy.RESTART_PROCESS,
                # On a slow box keeper may lose patience before PM2 does, and restart in vain.
                dearest=Remedy.RESTART_WORKLOAD,
            ),
        ]  # fmt: skip
        await play(fleet, rows)


# --- what the harness itself must notice --------------------------------------------------------


async def deceived() -> None:
    """Expect what keeper does not do, and then let it die."""
    workload = declared({"kind": "background"}, start=f"exec python3 -u {CARD}")
    async with Fleet(workload) as fleet:
        await fleet.on_air()
        too_dear = Row(id="too dear", fault=killed, remedy=Remedy.RESTART_WORKLOAD)
        with pytest.raises(pytest.fail.Exception, match="row too dear: restart_process was used"):
            await play_row(fleet, too_dear)
        restless = Row(id="restless", fault=killed, remedy=Remedy.NOTHING)
        with pytest.raises(pytest.fail.Exception, match="row restless: something was done"):
            await play_row(fleet, restless)
        await fleet.keeper.kill()
        await fleet.ticks(1)


async def test_another_remedy_than_the_row_lists_is_a_failure_and_so_is_a_keeper_that_dies() -> (
    None
):
    with pytest.raises(AssertionError, match="keeper has ended"):
        await deceived()
