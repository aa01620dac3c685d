"""What compose says of Alertmanager, with a real one: an alert of others makes a real keeper look."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from tests.components import REPOSITORY, require
from tests.e2e.conftest import API_KEY, Box
from tests.waiting import look_until

pytestmark = [pytest.mark.real("alertmanager"), pytest.mark.timeout(300)]

CONFIG = REPOSITORY / "deploy" / "compose" / "alertmanager.yml"
SECRET = "the-hint-s-own-secret-0123456789"


@asynccontextmanager
async def alertmanager(folder: Path, port: int, keeper_port: int) -> AsyncIterator[str]:
    """Run a real one by the file of compose; only where things are is different."""
    secret = folder / "alertmanager_hook"
    secret.write_text(SECRET + "\n")
    text = CONFIG.read_text().replace("/run/secrets/alertmanager_hook", str(secret))
    config = folder / "alertmanager.yml"
    config.write_text(text.replace("http://keeper:9877", f"http://127.0.0.1:{keeper_port}"))
    process = await asyncio.create_subprocess_exec(
        require("alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def told(session: aiohttp.ClientSession, url: str, *names: str) -> bool:
    """Tell it of alerts; False while it does not answer yet."""
    alerts = [{"labels": {"alertname": each, "severity": "warning"}} for each in names]
    try:
        async with session.post(f"{url}/api/v2/alerts", json=alerts) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_an_alert_of_others_makes_keeper_look(
    short_path: Path, free_port: Callable[[], int]
) -> None:
    shape = MarketShape(tempo=quick_tempo(1.0), renters_every_s=0)
    folder = short_path / "box"
    folder.mkdir()
    async with SimServer(state_dir=short_path / "sim", api_key=API_KEY, shape=shape) as server:
        box = Box(folder, server)
        keeper_port = free_port()
        box.configure(
            "    replicas: 0",
            "hooks: {alertmanager_secret: HINT}",
            listen=f"127.0.0.1:{keeper_port}",
        )
        try:
            running = await box.daemon(
                KEEPER_HTTP__TOKEN="not-the-hint-s", KEEPER_SECRET_HINT=SECRET
            )
            async with (
                alertmanager(short_path, free_port(), keeper_port) as url,
                aiohttp.ClientSession() as session,
            ):
                names = ("KeeperSpareMissing", "PictureGone")
                await look_until(lambda: told(session, url, *names), every_s=0.2)
                line = await running.says(r'"event":"hint\.')
            assert '"event":"hint.taken"' in line
            assert "PictureGone" in line
            assert "KeeperSpareMissing" not in line
            assert SECRET not in running.everything()
        finally:
            await box.close()
