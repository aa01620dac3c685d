"""Every trick that a host can play at its viewer's port: it ends in time, in bounds, and as a reading.

Each is looked at in all ways that keeper has over HTTP, as pictures, as a playlist and as a page, while the
good stream of another host is looked at over and over.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from keeper.adapters.network import HttpNetwork
from keeper.core.model import InstanceId, Reading, Status
from keeper.core.reasons import Reason
from keeper.ports import (
    HttpReply,
    HttpRequest,
    MediaKind,
    MediaSource,
    PictureLimits,
    PictureSample,
    PortError,
)
from keeper.probes.http import read_http
from keeper.probes.picture import read_picture
from keeper.workloads import View, ViewKind
from tests.integration.hostile.http_strangers import TALKS
from tests.integration.hostile.strangers import (
    CHECKS_MIN,
    ENDS_WITHIN_S,
    GROWTH_MAX_BYTES,
    Strangers,
    measured,
    strangers,
)

pytestmark = [
    pytest.mark.xdist_group("http strangers"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(2 * ENDS_WITHIN_S),
]

LIMITS = PictureLimits(sample_s=0.25, timeout_s=10.0)
BRIEF = PictureLimits(sample_s=0.25, timeout_s=0.4)
MUTE = {
    "silence",
    "dripping_header",
    "endless_continue",
    "dripping_body",
    "ssh",
}  # only our own deadline ends these
VIEW = View(
    kind=ViewKind.MJPEG, container_port=8000, path="/", target_frames_per_s=2.0, black_luma_max=4.0
)
HOST = InstanceId(5)
NOW = datetime(2026, 11, 21, tzinfo=UTC)

# What a picture that is none is called, where it is more than that there is none.
EXPECTED: dict[str, set[Reason]] = {
    "good": {Reason.LIVE},
    "page_in_a_picture": {Reason.LIVE},
    "lying_lengths": {Reason.LIVE, Reason.CORRUPT},
    "one_frame": {Reason.FROZEN, Reason.PROBE_FAILED},
    "black": {Reason.BLACK},
    "three_frames_then_nothing": {Reason.LIVE, Reason.STUTTERING, Reason.NO_BYTES},
    "silence": {Reason.NO_BYTES},
    "slams": {Reason.UNREACHABLE},
    "no_boundary": {Reason.HTTP_ERROR},
    "sixty_thousand_square": {Reason.CORRUPT},
    "forty_million_pixels": {Reason.CORRUPT},
    "ten_thousand_scans": {Reason.CORRUPT},
    "broken_frames": {Reason.CORRUPT},
    "html_as_pictures": {Reason.CORRUPT},
    "separators_only": {Reason.CORRUPT},
    "empty_parts": {Reason.CORRUPT},
    "parts_of_a_byte": {Reason.CORRUPT},
    "boundary_never_comes": {Reason.NO_BYTES},
    "huge_part": {Reason.NO_BYTES, Reason.CORRUPT},
    "part_of_nine_digits": {Reason.NO_BYTES, Reason.CORRUPT},
    "part_without_end": {Reason.NO_BYTES, Reason.CORRUPT},
    "headers_of_a_part_without_end": {Reason.CORRUPT},
    "boundary_of_one_dash": {Reason.CORRUPT, Reason.NO_BYTES},
    "mjpeg_in_gzip": {Reason.NO_BYTES, Reason.CORRUPT},
}
# What takes a second to be made when it is first asked for.
LATE = {"gzip_bomb", "mjpeg_in_gzip", "forty_million_pixels", "ten_thousand_scans"}
NO_PICTURE = {Reason.HTTP_ERROR, Reason.NO_BYTES, Reason.UNREACHABLE}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there() -> AsyncIterator[Strangers]:
    async with strangers("tests.integration.hostile.http_strangers") as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(there: Strangers) -> AsyncIterator[HttpNetwork]:
    network = HttpNetwork()
    await network.sample_mjpeg(url(there, "good"), LIMITS)  # the first decoding loads the decoder
    yield network
    await network.close()


def url(there: Strangers, name: str) -> str:
    return f"http://127.0.0.1:{there.ports[name]}/"


async def as_a_page(network: HttpNetwork, there: Strangers, name: str) -> Reading:
    request = HttpRequest(method="GET", url=url(there, name), timeout_s=0.4)
    answer: HttpReply | PortError
    try:
        answer = await network.fetch(request)
    except PortError as error:
        answer = error
    if isinstance(answer, HttpReply):
        assert len(answer.body) <= request.reply_max_bytes
    return read_http(answer, VIEW, HOST, NOW)


async def as_media(network: HttpNetwork, there: Strangers, name: str) -> PictureSample:
    # Both go the same way; what plays with pictures is asked for one, all else for a playlist.
    kind = MediaKind.JPEG if name in EXPECTED else MediaKind.HLS
    source = MediaSource(kind=kind, url=url(there, name))
    # An endless answer is cut by the time or by the bytes: both are bounds, and the first is cheap.
    return await network.sample_media(source, BRIEF)


@pytest.mark.parametrize("name", [*TALKS, "redirects_inside"])
async def test_a_trick_at_the_viewers_port_ends_as_a_reading(
    name: str, there: Strangers, network: HttpNetwork
) -> None:
    if name in LATE:
        await network.sample_mjpeg(url(there, name), PictureLimits(sample_s=0.1, timeout_s=20.0))
    limits = PictureLimits(sample_s=0.1, timeout_s=20.0)

    async def look() -> None:
        other = await network.sample_mjpeg(url(there, "good"), limits)
        assert other.frames, other.error

    async with measured(look) as seen:
        sample, page, media = await asyncio.gather(
            network.sample_mjpeg(url(there, name), BRIEF if name in MUTE else LIMITS),
            as_a_page(network, there, name),
            as_media(network, there, name),
        )
    picture = read_picture(sample, VIEW, HOST, NOW)
    assert picture.reason in EXPECTED.get(name, NO_PICTURE), picture
    assert sample.bytes_read < LIMITS.bytes_max + 65_536
    other = read_picture(media, VIEW, HOST, NOW)
    assert other.reason in {*NO_PICTURE, Reason.CORRUPT}, other
    assert media.bytes_read < LIMITS.bytes_max + 65_536
    for reading in (picture, page, other):
        assert len(reading.detail) <= 200
        assert reading.detail.isprintable()
        assert reading.status is not Status.TRUE or reading.reason is not Reason.PROBE_FAILED
    assert seen.growth_bytes < GROWTH_MAX_BYTES
    assert seen.checks >= CHECKS_MIN, "the other stream was not looked at meanwhile"
    assert seen.errors == []
    assert there.told("inside") == [], "a redirect was followed"
