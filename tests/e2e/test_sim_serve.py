"""`keeper sim serve` as a process: what its options make of the marketplace."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import KEEPER, PATIENCE_S

pytestmark = pytest.mark.timeout(300)

LISTING = "/api/v1/instances/"


@asynccontextmanager
async def serving(state: Path, *words: str) -> AsyncIterator[tuple[str, str]]:
    """Start it on a free port; give its address and, if there is one, its former address."""
    process = await asyncio.create_subprocess_exec(
        *(KEEPER, "sim", "serve", "--port", "0", "--state", str(state), *words),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            lines = [await process.stdout.readline()]
            if "--old-host" in words:
                lines.append(await process.stdout.readline())
        urls = [re.search(r"http://[\d.:]+", line.decode()) for line in lines]
        yield tuple([*(found[0] for found in urls if found), ""][:2])  # type: ignore[misc]
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_options_shape_keys_limits_answers_and_the_former_address(short_path: Path) -> None:
    answers = short_path / "answers.json"
    answers.write_text(json.dumps([{"endpoint": "GET /users/*", "answer": "html_503"}]))
    words = (
        *("--api-key", "right", "--limit-style", "hint", "--searches-per-day", "1"),
        *("--spacing-scale", "60"),  # two calls may be a while apart and still be too close
        *("--answers", str(answers), "--old-host"),
    )
    headers = {"Authorization": "Bearer right"}
    async with (
        serving(short_path, *words) as (url, old_url),
        aiohttp.ClientSession(headers=headers) as web,
    ):
        async with web.get(f"{url}/api/v0/users/current") as reply:
            assert reply.status == 503
        async with web.get(f"{url}/api/v0/users/current") as reply:
            assert reply.status == 200
        async with web.get(f"{url}{LISTING}", headers={"Authorization": "Bearer x"}) as reply:
            assert reply.status == 401
        for expected in (200, 429):
            async with web.get(f"{url}{LISTING}") as reply:
                assert reply.status == expected
        assert "Retry-After" in reply.headers
        body: dict[str, str] = {}
        for expected in (200, 429):
            async with web.post(f"{url}/api/v0/bundles/", json={"limit": 1}) as reply:
                assert reply.status == expected
                body = await reply.json()
        assert body["error"] == "search_quota_exceeded"
        async with web.get(f"{old_url}{LISTING}", allow_redirects=False) as reply:
            assert (reply.status, reply.headers["Location"]) == (308, f"{url}{LISTING}")


async def test_limits_can_be_lifted(short_path: Path) -> None:
    async with (
        serving(short_path, "--spacing-scale", "0") as (url, _),
        aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as web,
    ):
        for _ in range(5):
            async with web.get(f"{url}{LISTING}") as reply:
                assert reply.status == 200


@pytest.mark.parametrize(
    ("content", "said"), [("{}", "a list of answers"), ("[{answer: rain}]", "no answer is called")]
)
async def test_answers_that_are_none_are_refused_before_it_opens(
    short_path: Path, content: str, said: str
) -> None:
    path = short_path / "answers.yaml"
    path.write_text(content)
    process = await asyncio.create_subprocess_exec(
        *(KEEPER, "sim", "serve", "--port", "0", "--answers", str(path)),
        stderr=subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert (process.returncode, said in err.decode()) == (2, True)
