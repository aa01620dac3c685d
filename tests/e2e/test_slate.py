"""The slate under the whole daemon: no host to be had, a crash, a host at last; one publisher all along."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.canaries import Flock, canary, processes_below
from tests.e2e.conftest import Box, Running
from tests.rtmp_sink import FrameViewer, RtmpSink
from tests.waiting import eventually, look_until

pytestmark = [
    pytest.mark.real("nginx-rtmp", "ffmpeg"),
    pytest.mark.timeout(400),
]

KEY = canary("the key of an ingest")
FLOCK = Flock({"the ingest's key": KEY})
# Where keeper tells what it does.
TELLING = (
    "/", "/metrics", "/api/openapi.json", "/api/v1/status", "/api/v1/plan", "/api/v1/events?limit=1000",
    "/api/v1/explain?slot=duel/0", "/api/v1/report?slot=duel/0", "/api/v1/way?slot=duel/0",
)  # fmt: skip
# Nothing is to be had below a cent, and everything below five dollars.
MORE = """\
    offer: {{price_max_dollars_per_hour: {price}}}
    slate:
      ingest_url_secret: INGEST
      after_s: 15s
      title: Back in a moment
      width: 160
      height: 90
      frames_per_s: 12
"""


@pytest.fixture
def sink(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[RtmpSink]:
    with RtmpSink(tmp_path / "sink", free_port) as made:
        yield made


def declare(box: Box, listen: str, price: float) -> None:
    box.configure(MORE.format(price=price), listen=listen)


async def metric(address: str, name: str) -> float | None:
    async with aiohttp.ClientSession() as http, http.get(f"{address}/metrics") as reply:
        found = re.search(rf"^{name}{{[^}}]*}} (\S+)$", await reply.text(), re.MULTILINE)
    return None if found is None else float(found.group(1))


async def hunt(box: Box, running: Running, address: str) -> None:
    """Look for the ingest's key wherever a keeper whose slate is on could have left it."""
    top = running.process.pid
    titles = []
    for pid in processes_below(top):
        with suppress(OSError):  # one that has ended since it was listed
            titles.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    assert any(b"slate_push" in each for each in titles), "nobody publishes"
    assert FLOCK.found_in_processes(top) == {}
    assert FLOCK.found_in_files(box.folder) == {}
    async with aiohttp.ClientSession() as http:
        for path in TELLING:
            async with http.get(address + path) as reply:
                told = repr(reply.headers).encode() + await reply.read()
            assert FLOCK.found(told) == [], path
    for verb in (("status", "--json"), ("stream-status", "duel")):
        done = await box.keeper(*verb)
        assert FLOCK.found(done.out + done.err) == [], verb


async def test_broadcast_is_kept_open_until_a_host_shows_its_picture(
    box: Box, sink: RtmpSink, free_port: Callable[[], int]
) -> None:
    listen = f"127.0.0.1:{free_port()}"
    address = f"http://{listen}"
    declare(box, listen, price=0.001)
    box.environ["KEEPER_SECRET_INGEST"] = sink.url(KEY)
    first = await box.daemon()
    await first.says(r'"event":"slate.started"')
    assert await metric(address, "keeper_slate_on") == 1.0
    async with aiohttp.ClientSession() as http, http.get(address) as reply:
        assert "The slate is on" in await reply.text()
    await hunt(box, first, address)

    with FrameViewer(sink.url(KEY)) as viewer:
        await eventually(lambda: len(viewer.seen_at) > 3)
        first.kill(signal.SIGKILL)  # and nothing of it goes on
        await first.ended()
        await eventually(lambda: not sink.publishing(KEY))

        again = await box.daemon()
        await again.says(r'"event":"slate.started"')
        seen = len(viewer.seen_at)
        await eventually(lambda: len(viewer.seen_at) > seen + 3)

    declare(box, listen, price=5.0)
    again.kill(signal.SIGHUP)
    said = json.loads(await again.says(r'"event":"slate.yielded"'))
    assert said["why"] == "good_frame"
    print(f"from the good look to a free ingest: {said['yield_s']} s")
    assert not sink.publishing(KEY)
    assert box.live()

    async def is_off() -> bool:
        return await metric(address, "keeper_slate_on") == 0.0

    await look_until(is_off)
    again.kill(signal.SIGTERM)
    assert await again.ended() == 0
    assert len(sink.begun) == 2
    for running in (first, again):
        assert FLOCK.found("".join([*running.out, *running.err])) == []
    assert FLOCK.found_in_files(box.folder) == {}
