"""Every trick of a playlist, of its segments and of an RTMP server: it ends in time, in bounds, as a reading.

Meanwhile the good playlist of another host is looked at over and over, with the same decoders.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from keeper.adapters.network import HttpNetwork
from keeper.core.model import InstanceId, Status
from keeper.core.reasons import Reason
from keeper.ports import MediaKind, MediaSource, PictureLimits, PictureSample
from keeper.probes.picture import read_picture
from keeper.workloads import View, ViewKind
from tests.integration.hostile.media_strangers import PLAYED, PLAYLISTS
from tests.integration.hostile.strangers import (
    CHECKS_MIN,
    ENDS_WITHIN_S,
    GROWTH_MAX_BYTES,
    Strangers,
    measured,
    strangers,
)

pytestmark = [
    pytest.mark.xdist_group("media strangers"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(2 * ENDS_WITHIN_S),
]

# The other host is looked at patiently: a busy box is no fault of its.
GOOD = PictureLimits(sample_s=0.1, timeout_s=60.0, wants_frame=False)
LIMITS = PictureLimits(sample_s=0.1, timeout_s=20.0, bytes_max=3_000_000)
BRIEF = PictureLimits(sample_s=0.1, timeout_s=0.6, bytes_max=3_000_000)
# Only our own deadline ends these.
MUTE = {
    "drips", "drips_a_playlist", "drips_a_segment", "hangs_before_a_segment",
    "rtmp_silence", "rtmp_drips", "rtmp_greets_and_hangs", "rtmp_is_http", "rtmp_zeros",
    "rtmp_greets_and_claims_a_gigabyte",
}  # fmt: skip
VIEW = View(kind=ViewKind.HLS, container_port=8000, path="/")
HOST = InstanceId(5)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
INWARDS = (
    "segment_inside",
    "redirects_a_segment_inside",
    "redirects_a_playlist_inside",
    "rendition_inside",
    "key_inside",
    "head_inside",
)
# A trick that does not hide the picture.
SHOWN = {
    "good", "hundred_thousand_segments", "goes_backwards", "repeats_itself", "absurd_numbers",
    "absurd_dates", "nasty_titles", "gigabyte_after_a_picture",
}  # fmt: skip
# One that may leave enough of it.
PARTLY = {"half_a_segment", "drips_a_segment", "segment_longer_than_it_says"}
UNKNOWN = {"nasty_method"}
# One that the decoder's process does not survive: said of the source only when it happens again.
DEADLY = {"rtmp_greets_and_floods"}
# What an operator reads of those that only a playlist can do.
SAID = {
    "gigabyte_playlist": "too long a playlist",
    "leads_to_itself": "another choice",
    "leads_to_another_and_back": "another choice",
    "redirects_from_segment_to_segment": "redirects without end",
    "segment_is_a_page": "broken frames: it is no stream",
    "segments_that_are_not_there": "HTTP 404",
    "no_segments": "the playlist is empty",
    "ended": "the stream has ended",
    "metadata": "it leads elsewhere",
    "nasty_method": "encrypted in a way",
    **dict.fromkeys(INWARDS, "it leads elsewhere"),
}
NO_PICTURE = {Reason.HTTP_ERROR, Reason.NO_BYTES, Reason.UNREACHABLE, Reason.CORRUPT}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there() -> AsyncIterator[Strangers]:
    async with strangers("tests.integration.hostile.media_strangers") as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(there: Strangers) -> AsyncIterator[HttpNetwork]:
    network = HttpNetwork()
    await look(network, there, "good", GOOD)  # the first decoding starts the decoder
    yield network
    await network.close()


async def look(
    network: HttpNetwork, there: Strangers, name: str, limits: PictureLimits
) -> PictureSample:
    kind = MediaKind.RTMP if name in PLAYED else MediaKind.HLS
    scheme = "rtmp" if kind is MediaKind.RTMP else "http"
    path = "live/key" if kind is MediaKind.RTMP else ""
    url = f"{scheme}://127.0.0.1:{there.ports[name]}/{path}"
    return await network.sample_media(MediaSource(kind=kind, url=url), limits)


@pytest.mark.parametrize("name", [*PLAYLISTS, *INWARDS, *PLAYED])
async def test_a_trick_of_a_source_ends_as_a_reading(
    name: str, there: Strangers, network: HttpNetwork
) -> None:
    async def go_on() -> None:
        other = await look(network, there, "good", GOOD)
        assert other.frames, other.error

    limits = BRIEF if name in MUTE else LIMITS
    async with measured(go_on) as seen:
        sample = await look(network, there, name, limits)
    reading = read_picture(sample, VIEW, HOST, NOW)
    if name in UNKNOWN:
        assert reading.status is Status.UNKNOWN, reading
    elif name in SHOWN:
        assert sample.frames, reading
    elif name in DEADLY:
        assert reading.status is not Status.TRUE, reading
    elif name not in PARTLY:
        assert (reading.status, reading.reason in NO_PICTURE) == (Status.FALSE, True), reading
    assert reading.detail or reading.status is Status.TRUE, "nobody is told why"
    assert len(reading.detail) <= 200
    assert reading.detail.isprintable()
    assert "script" not in reading.detail
    assert "127.0.0.1" not in reading.detail
    assert sample.bytes_read < LIMITS.bytes_max + 4_100_000
    assert len(sample.memory) < 20_000
    assert seen.growth_bytes < GROWTH_MAX_BYTES
    assert seen.checks >= CHECKS_MIN, "the other stream was not looked at meanwhile"
    assert seen.errors == []
    assert there.told("inside") == [], "it was led to a neighbour"
    assert SAID.get(name, "") in reading.detail
