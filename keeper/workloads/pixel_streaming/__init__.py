"""Unreal Engine Pixel Streaming on Vast.ai's own image: deployed, watched as a player does, repaired."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.workloads import register
from keeper.workloads.pixel_streaming.settings import PixelStreamingSettings
from keeper.workloads.pixel_streaming.workload import PixelStreaming


def _build(settings: PixelStreamingSettings, secrets: Mapping[str, str]) -> PixelStreaming:
    archive = settings.archive
    if archive is not None and archive.url_secret and archive.url_secret not in secrets:
        raise ValueError(
            f"archive.url_secret names {archive.url_secret!r}, which is none of the stream's secrets"
        )
    return PixelStreaming(settings, secrets)


register("pixel-streaming", PixelStreamingSettings, _build)
