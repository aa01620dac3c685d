"""A deploy on a real host under the real daemon: told while it runs, and left alone when keeper stops."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from keeper.sim.ssh_host import LoopbackHost
from tests.e2e.real_hosts import Fleet
from tests.sd_turbo import TIGHT, TIGHT_ENV
from tests.waiting import eventually

pytestmark = [
    pytest.mark.real("sshd"),
    pytest.mark.timeout(300),
]

PAGE = 'exec python3 -m http.server 8000 --bind "$SERVER_HOST"'


def logs_of(fleet: Fleet) -> list[str]:
    """Read the logs that deploys have left so far, the oldest first."""
    paths = sorted((fleet.folder / "state" / "deploys").glob("*/*.log"))
    return [path.read_text() for path in paths]


async def line_of(fleet: Fleet) -> str:
    """Return the last line that the deploy under way has printed, as the page has it."""
    progress = (await fleet.status()).get("progress") or {}
    return str(progress.get("line", ""))


async def test_what_a_command_prints_is_read_while_it_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    workload = {
        "kind": "command",
        "image": "vastai/base-image:test",
        "workdir": "duel",
        "setup": (
            "printf 'half a line, '; echo and the rest of it\n"
            f"while [ ! -e '{go}' ]; do sleep 0.1; done; echo the last of it >&2"
        ),
        "setup_timeout_s": 250,
        "start": PAGE,
        "manager": {"kind": "background"},
        "view": {"kind": "http", "port": 8000},
    }
    async with Fleet(workload) as fleet:

        async def is_shown() -> bool:
            return await line_of(fleet) == "half a line, and the rest of it"

        await fleet.until("what it prints on the page", is_shown)
        (log,) = logs_of(fleet)
        assert "| half a line, and the rest of it\n" in log
        assert "the last of it" not in log
        go.touch()
        await fleet.on_air()
        (log,) = logs_of(fleet)
        assert log.count("half a line") == log.count("the last of it") == 1


class Held:
    """Holds up the set-up of each host until it is let go of."""

    def __init__(self) -> None:
        self._files = ExitStack()
        self.homes: list[Path] = []

    def furnish(self, host: LoopbackHost) -> None:
        folder = host.home / "turbo" / ".keeper"
        folder.mkdir(parents=True, exist_ok=True)
        file: IO[str] = self._files.enter_context((folder / "setup.lock").open("a"))
        fcntl.flock(file, fcntl.LOCK_EX)
        self.homes.append(host.home)

    def let_go(self) -> None:
        self._files.close()


@contextmanager
def held() -> Iterator[Held]:
    made = Held()
    try:
        yield made
    finally:
        made.let_go()


async def test_a_keeper_that_is_stopped_leaves_a_job_to_its_host_and_finds_it_again() -> None:
    """It waited for 45 seconds, and the job that it waited for goes on by itself."""
    workload: dict[str, Any] = {
        "kind": "sd-turbo",
        **TIGHT,
        "workdir": "turbo",
        "env": TIGHT_ENV,
        "bind": "0.0.0.0",
    }
    with held() as holding:
        async with Fleet(workload, furnish=holding.furnish) as fleet:
            await fleet.fact("deploy.step_started", step="deploy.setup")
            (home,) = holding.homes
            job = home / ".keeper-jobs" / "deploy-setup"
            await eventually((job / "child").exists, patience_s=90.0)
            tries = (job / "try").read_text()
            assert await fleet.keeper.stop() == 0
            # What was waited for is under way still: keeper did not see it through.
            assert not (job / "rc").exists()
            (log,) = logs_of(fleet)
            assert "keeper stops, and takes this up again when it is back" in log
            await fleet.keeper.start()
            since = fleet.mark()
            await fleet.fact("deploy.step_started", step="deploy.setup", since=since)
            holding.let_go()
            await fleet.on_air()
            assert (job / "try").read_text() == tries, "it was begun once"
            assert fleet.spent().rented == 1
