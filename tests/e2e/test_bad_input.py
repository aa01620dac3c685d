"""What can be wrong before keeper starts: one sentence with the cure, an exit code, nothing rented."""

import os
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from keeper.adapters.vastai_rights import RIGHT
from keeper.sim.access import Grant, Session
from tests.e2e.conftest import Box, Done

pytestmark = pytest.mark.timeout(300)

ACTING = [("run",), ("provision", "duel", "--yes")]
Ends = Callable[..., Awaitable[Done]]


@pytest.fixture
def ends(box: Box) -> Ends:
    """Run a command that must fail cleanly: said in few lines, and nothing rented by it."""

    async def run(code: int, *arguments: str, environ: dict[str, str] | None = None) -> Done:
        done = await box.keeper(*arguments, environ=environ)
        assert done.code == code, done.err
        assert "error: " in done.err
        assert "bug of its own" not in done.err
        assert len(done.err.splitlines()) < 12
        assert box.creates() == []
        return done

    return run


@pytest.mark.parametrize("verb", [*ACTING, ("plan",), ("search",)])
async def test_a_wrong_key_in_the_file(box: Box, ends: Ends, verb: tuple[str, ...]) -> None:
    box.configure("    replicsa: 3", "retention: 3")
    done = await ends(78, *verb)
    last = len(box.config.read_text().splitlines())
    place = f"{box.config}:{last - 1}:5"
    assert f"{place}: unknown key 'replicsa' in streams[0] (did you mean 'replicas'?)" in done.err
    assert f"{box.config}:{last}:1: unknown key 'retention' in the file" in done.err
    assert "the configuration has 2 problems" in done.err
    assert not box.state.exists()


async def test_every_mistake_is_found_without_contacting_anybody(box: Box, ends: Ends) -> None:
    box.configure("    replicsa: 3")
    done = await ends(78, "check-config", str(box.config))
    assert "did you mean 'replicas'" in done.err
    done = await box.keeper("check-config", str(box.config), "--json")
    assert done.code == 78
    assert done.json()["ok"] is False
    assert len(done.json()["problems"]) == 1
    box.configure()
    done = await box.keeper("check-config", str(box.config), environ={"VAST_API_KEY": ""})
    assert (done.code, done.out) == (0, f"{box.config} is good: 1 stream, 1 slot: duel\n")
    assert "VAST_API_KEY" in done.err
    assert box.sim.ledger.plain()["requests"] == []


@pytest.mark.parametrize("verb", ACTING)
async def test_an_absent_configuration(box: Box, ends: Ends, verb: tuple[str, ...]) -> None:
    box.config.unlink()
    done = await ends(78, *verb)
    assert "there is no such file; copy config/keeper.example.yaml there" in done.err


@pytest.mark.parametrize("verb", ACTING)
async def test_an_absent_ssh_key(box: Box, ends: Ends, verb: tuple[str, ...]) -> None:
    box.configure("ssh: {private_key_file: /nowhere/id}")
    done = await ends(78, *verb)
    assert "there is no SSH key at /nowhere/id: make one with `ssh-keygen" in done.err


@pytest.mark.parametrize("verb", [*ACTING, ("plan",), ("search",)])
async def test_an_absent_api_key(box: Box, ends: Ends, verb: tuple[str, ...]) -> None:
    done = await ends(78, *verb, environ={"VAST_API_KEY": ""})
    assert "there is no Vast.ai API key: set VAST_API_KEY" in done.err


@pytest.mark.parametrize("verb", [*ACTING, ("plan",), ("search",)])
async def test_a_rejected_api_key(box: Box, ends: Ends, verb: tuple[str, ...]) -> None:
    done = await ends(4, *verb, environ={"VAST_API_KEY": "a-wrong-key"})
    assert "the marketplace refuses the API key" in done.err
    assert "set VAST_API_KEY to a valid key" in done.err
    assert "a-wrong-key" not in done.err


@pytest.mark.parametrize(
    ("verb", "lacks"),
    [
        (("search",), "misc"),
        (("plan",), "instance_read"),
        (("provision", "duel", "--yes"), "instance_write"),
    ],
)
async def test_a_key_that_lacks_a_right(box: Box, verb: tuple[str, ...], lacks: str) -> None:
    rights = frozenset(RIGHT.values()) - {lacks}
    box.sim.api.keys.give("scoped", Grant(rights=rights))
    done = await box.keeper(*verb, environ={"VAST_API_KEY": "scoped"})
    assert done.code == 4, done.err
    assert f"the right {lacks}" in done.err
    assert "https://cloud.vast.ai/manage-keys/" in done.err
    assert len(done.err.splitlines()) < 12
    assert box.live() == []


async def test_an_account_with_two_factors_and_no_session(box: Box, ends: Ends) -> None:
    box.sim.api.keys.give("scoped", Grant(session=Session.NEEDED))
    done = await ends(4, "run", environ={"VAST_API_KEY": "scoped"})
    assert "the account asks for two-factor authentication: run `vastai tfa login`" in done.err


async def test_a_marketplace_out_of_reach(box: Box, ends: Ends) -> None:
    done = await ends(75, "search", "--vast-url", "http://127.0.0.1:9")
    assert "the marketplace cannot be reached" in done.err


async def test_a_port_in_use(box: Box, ends: Ends) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        box.configure(f"# on port {port}")
        box.configure(listen=f"127.0.0.1:{port}")
        done = await ends(75, "run")
    assert f"'127.0.0.1', {port}" in done.err
    assert "stop it or choose another port" in done.err
    assert not box.socket.exists()


async def test_a_port_in_use_by_the_simulator_itself(box: Box) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        done = await box.keeper("sim", "serve", "--port", str(taken.getsockname()[1]))
    assert done.code == 75, done.err
    assert "stop it or choose another port" in done.err


@pytest.mark.parametrize("verb", ACTING)
async def test_a_database_that_another_keeper_owns(
    box: Box, ends: Ends, verb: tuple[str, ...]
) -> None:
    other = await box.daemon(until_on_air=True)
    box.socket.rename(box.socket.with_suffix(".hidden"))  # a second one with a socket of its own
    before = len(box.creates())
    done = await box.keeper(*verb)
    assert done.code == 75, done.err
    assert f"is in use by another keeper, process {other.process.pid}" in done.err
    assert len(box.creates()) == before


@pytest.mark.parametrize("verb", ACTING)
async def test_a_database_that_another_program_locks(
    box: Box, ends: Ends, verb: tuple[str, ...]
) -> None:
    path = await _used_store(box)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        done = await ends(75, *verb)
    finally:
        holder.close()
    assert "is held by another program" in done.err


@pytest.mark.parametrize("verb", [*ACTING, ("plan",), ("status",)])
async def test_a_corrupt_database(box: Box, ends: Ends, verb: tuple[str, ...]) -> None:
    path = await _used_store(box)
    damaged = b"SQLite format 3\0" + os.urandom(4096)
    path.write_bytes(damaged)
    for name in ("keeper.db-wal", "keeper.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    done = await ends(1, *verb)
    assert f"{path} is damaged" in done.err
    assert path.read_bytes() == damaged, "what may still be rescued was touched"


async def test_a_full_disk(box: Box, ends: Ends) -> None:
    """The kernel refuses to let files grow, as a full disk does, in whatever is written first."""
    done = await box.shell(_on_a_full_disk(box))
    assert done.code == 75, done.err
    assert "cannot be written" in done.err
    assert "free space on that disk" in done.err
    assert box.creates() == []


async def test_a_full_disk_loses_nothing_that_was_recorded(box: Box) -> None:
    path = await _used_store(box)
    before = path.read_bytes()
    done = await box.shell(_on_a_full_disk(box))
    assert done.code == 75, done.err
    assert "free space on that disk" in done.err
    assert box.creates() == []
    assert path.read_bytes() == before


async def test_a_state_folder_that_is_none(box: Box, ends: Ends) -> None:
    box.state.write_text("")
    done = await ends(1, "run")
    assert str(box.state) in done.err


def _on_a_full_disk(box: Box) -> str:
    """No byte code is written: Python would leave half a file of it in the checkout, for all to trip over."""
    return f'export PYTHONDONTWRITEBYTECODE=1; ulimit -f 8; exec "{Path(box.keeper_path)}" run'


async def _used_store(box: Box) -> Path:
    """A store that a keeper has used and left."""
    from keeper.adapters.clock import SystemClock
    from keeper.adapters.sql import SqlStore

    path = box.state / "keeper.db"
    store = SqlStore(path, clock=SystemClock())
    await store.load()
    await store.close()
    return path
