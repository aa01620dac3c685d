"""The sink of the tests that look at hand-overs: what it writes down is what nginx and viewers saw."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rtmp_sink import FrameViewer, RtmpSink, end, longest_gap, overlaps
from tests.waiting import eventually

pytestmark = [pytest.mark.real("nginx-rtmp", "ffmpeg")]


async def test_one_name_has_one_publisher_and_a_viewer_outlives_both(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with RtmpSink(tmp_path / "sink", free_port) as sink, FrameViewer(sink.url("x")) as viewer:
        first = sink.publish("x")
        await eventually(lambda: len(viewer.seen_at) > 5)
        assert sink.stat()["x"].is_publishing
        assert [each.name for each in sink.publishing("x")] == ["x"]

        refused = sink.publish("x")  # the platform takes no second one
        await eventually(lambda: sink.refusals() >= 1)
        await eventually(lambda: refused.poll() is not None)

        end(first)
        await eventually(lambda: not sink.publishing("x"))
        seen, before = len(viewer.seen_at), len(sink.begun)
        sink.publish("x")
        await eventually(lambda: len(viewer.seen_at) > seen + 5)
        assert len(sink.begun) == before + 1
        served = [sink.begun[0], sink.begun[-1]]
        assert overlaps(served) == []
        gap = longest_gap(viewer)
        assert served[0].ended_at is not None
        assert gap.since <= served[1].began_at <= gap.until


async def test_of_two_names_a_viewer_of_both_misses_nothing_while_either_is_fed(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with (
        RtmpSink(tmp_path / "sink", free_port) as sink,
        FrameViewer(sink.url("x")) as main,
        FrameViewer(sink.url("x-backup")) as backup,
    ):
        first = sink.publish("x")
        await eventually(lambda: len(main.seen_at) > 5)
        sink.publish("x-backup")
        await eventually(lambda: len(backup.seen_at) > 5)
        end(first)
        await eventually(lambda: not sink.publishing("x"))
        assert len(overlaps(sink.begun)) == 1
        assert main.seen_at[-1] > backup.seen_at[0]
