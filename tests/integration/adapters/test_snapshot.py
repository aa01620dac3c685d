"""Single pictures against a real server on loopback: the same bytes are the same picture."""

import io
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from keeper.adapters.decoder import Decoders
from keeper.adapters.kept import grids_of, recalled, written
from keeper.adapters.media import Media
from keeper.adapters.mjpeg import FRAME_MAX_BYTES
from keeper.ports import MediaKind, MediaSource, PictureLimits, PictureSample

pytestmark = [pytest.mark.xdist_group("snapshot"), pytest.mark.asyncio(loop_scope="module")]

LIMITS = PictureLimits(timeout_s=30.0, sample_s=0.02)


class Camera:
    """A server that gives one answer after the other, and the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[bytes | int] = []
        self.url = ""
        self.asked = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        found = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(found, int):
            return web.Response(status=found)
        return web.Response(body=found, content_type="text/html")  # nobody believes it


@pytest_asyncio.fixture(loop_scope="module")
async def camera() -> AsyncIterator[Camera]:
    camera, app = Camera(), web.Application()
    app.router.add_get("/", camera.answer)
    async with TestServer(app) as server:
        camera.url = str(server.make_url("/"))
        yield camera


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def media() -> AsyncIterator[Media]:
    media = Media(decoders=Decoders(decoders=1))
    yield media
    await media.close()


def jpeg(luma: int, *, progressive: bool = False) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (luma, luma, luma)).save(out, "JPEG", progressive=progressive)
    return out.getvalue()


async def look(
    media: Media, camera: Camera, before: PictureSample | None = None, **more: object
) -> PictureSample:
    limits = replace(LIMITS, memory=before.memory if before else b"")
    source = MediaSource(kind=MediaKind.JPEG, url=camera.url)
    return await media.sample(source, replace(limits, **more))  # type: ignore[arg-type]


async def test_two_pictures_are_measured_and_compared(media: Media, camera: Camera) -> None:
    camera.answers = [jpeg(50), jpeg(150, progressive=True)]
    sample = await look(media, camera)
    assert (sample.http_status, sample.error, sample.frames, sample.unique_frames) == (
        200,
        "",
        2,
        2,
    )
    assert sample.mean_luma == pytest.approx(150, abs=3)
    assert sample.change
    assert sample.newest_frame
    assert sample.newest_age_s is not None


async def test_the_same_bytes_are_the_same_picture_and_are_not_decoded(
    camera: Camera,
) -> None:
    camera.answers = [jpeg(50)]
    media = Media(decoders=Decoders(decoders=1))
    first = await look(media, camera)
    assert (first.frames, first.unique_frames, first.undecodable_frames) == (2, 1, 0)
    await media.close()  # whatever is to be decoded now is an error
    kept = recalled(first.memory, camera.url)
    kept.since_s -= 100.0
    first = replace(first, memory=written(kept, grids_of(first.memory), camera.url))
    again = await look(media, camera, first)
    assert (again.error, again.change, again.unique_frames) == ("", 0.0, 1)
    assert again.mean_luma == first.mean_luma
    assert again.compared_s >= 100.0
    assert again.newest_age_s == again.compared_s


async def test_a_picture_comes_back_small_once_and_only_if_wanted(
    media: Media, camera: Camera
) -> None:
    """That it stands still shows in looks that had no use for it; one that has gets it all the same."""
    out = io.BytesIO()
    Image.effect_noise((1080, 1920), 80).save(out, "JPEG", quality=95)
    camera.answers = [out.getvalue()]
    plain = await look(media, camera, wants_frame=False)
    shown = await look(media, camera, plain)
    again = await look(media, camera, shown)
    assert (plain.newest_frame, again.newest_frame) == (b"", b"")
    assert Image.open(io.BytesIO(shown.newest_frame)).size == (320, 569)
    assert len(shown.newest_frame) < len(out.getvalue()) / 5
    assert (shown.change, shown.mean_luma) == (0.0, plain.mean_luma)


async def test_a_picture_that_is_made_anew_seldom_shows_from_look_to_look(
    media: Media, camera: Camera
) -> None:
    camera.answers = [jpeg(50)]
    first = await look(media, camera)
    camera.answers = [jpeg(150)]
    second = await look(media, camera, first)
    assert second.change
    assert second.newest_age_s is not None
    assert second.newest_age_s < 30


@pytest.mark.parametrize(
    "body", [b"<html>", b"\xff\xd8\xff\xd9", jpeg(50)[:-40], b"\x89PNG\r\n\x1a\n", b"x" * (FRAME_MAX_BYTES + 9)],
    ids=["page", "no picture", "cut", "another kind", "too large"],
)  # fmt: skip
async def test_what_is_no_picture_is_broken(media: Media, camera: Camera, body: bytes) -> None:
    camera.answers = [body]
    sample = await look(media, camera)
    assert (sample.http_status, sample.mean_luma, sample.is_own_fault) == (200, None, False)
    assert sample.undecodable_frames >= 1
    assert sample.bytes_read <= 2 * FRAME_MAX_BYTES


async def test_an_answer_that_is_none_is_said(media: Media, camera: Camera) -> None:
    camera.answers = [503]
    assert (await look(media, camera)).http_status == 503
    camera.answers = [b""]
    sample = await look(media, camera)
    assert (sample.http_status, sample.frames) == (200, 0)
    camera.answers = [jpeg(50), 503]
    sample = await look(media, camera)
    assert (sample.http_status, sample.frames, sample.unique_frames) == (200, 1, 1)
