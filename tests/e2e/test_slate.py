"""The slate under the whole daemon: no host to be had, a crash, a host at last; one publisher all along."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import Box
from tests.rtmp_sink import FrameViewer, RtmpSink
from tests.waiting import eventually, look_until

pytestmark = [
    pytest.mark.real("nginx-rtmp", "ffmpeg"),
    pytest.mark.timeout(400),
]

KEY = "sk-9Q4t-the-key-of-the-ingest"
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
        assert KEY not in running.everything()
