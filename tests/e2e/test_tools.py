"""The verbs that need no account and no daemon: the simulator, completion, help."""

import asyncio
import json
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import Box

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_simulator_is_served_and_leaves_nothing(box: Box, number: signal.Signals) -> None:
    folder = box.folder / "hosts"
    faults = box.folder / "faults.yaml"
    faults.write_text("[{kind: http_502, for_s: 600}]")
    serving = await box.start(
        *("sim", "serve", "--port", "0", "--state", str(folder), "--faults", str(faults)),
        *("--api-key", "k"),
    )
    url = (await serving.says("marketplace open at ")).split()[-1]
    async with aiohttp.ClientSession(url) as session:
        async with session.get("/sim/faults") as reply:
            assert [each["kind"] for each in await reply.json()] == ["http_502"]
        headers = {"Authorization": "Bearer other"}
        async with session.get("/api/v0/users/current/", headers=headers) as reply:
            assert reply.status in (401, 502)
    assert list(folder.iterdir())
    serving.kill(number)
    assert await serving.ended() == 0
    assert serving.err == []
    assert list(folder.iterdir()) == []


async def test_a_simulated_run_ends_with_one_line_for_programs(box: Box) -> None:
    journals = [box.folder / "a.jsonl", box.folder / "b.jsonl"]
    for journal in journals:
        done = await box.keeper(
            *("sim", "run", "--seed", "3", "--days", "0.05", "--jobs", "1"),
            *("--journal", str(journal)),
        )
        assert done.code == 0, done.err
        last = json.loads(done.out.splitlines()[-1])
        assert (last["event"], last["seeds"], last["broken"]) == ("sim.finished", 1, [])
    assert journals[0].read_bytes() == journals[1].read_bytes()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("keeper stat", "plain,status"),
        ("keeper status d", "plain,duel"),
        ("keeper destroy duel/", "plain,duel/0"),
        ("keeper completion z", "plain,zsh"),
    ],
)
async def test_the_shell_completes_verbs_and_names(box: Box, words: str, found: str) -> None:
    environ = {
        "_KEEPER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = await box.keeper(environ=environ)
    assert done.out.splitlines() == [found]


async def test_completion_scripts_are_understood_by_bash(box: Box) -> None:
    script = box.folder / "keeper.bash"
    script.write_text((await box.keeper("completion", "bash")).out)
    check = await asyncio.create_subprocess_exec("bash", "-n", str(script))
    assert await check.wait() == 0


async def test_schema_is_json_and_knows_the_example(box: Box) -> None:
    done = await box.keeper("schema")
    assert done.code == 0
    assert json.loads(done.out)["title"] == "keeper's configuration"
    example = Path(__file__).parents[2] / "config" / "keeper.example.yaml"
    done = await box.keeper("check-config", str(example), "--json")
    assert done.json()["problems"] == []


async def test_python_m_keeper_is_the_same_command(box: Box) -> None:
    import sys

    done = await box.shell(f'"{sys.executable}" -m keeper --version')
    assert done.out == (await box.keeper("--version")).out
