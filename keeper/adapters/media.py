"""Looks at playlists, played streams and single pictures: what a viewer gets, in numbers.

Every look is bounded in time, bytes and frames. What strangers made is decoded in a process that can be
killed and that holds no secret. Nothing is raised: whatever happens becomes a sample.
"""

from __future__ import annotations

import importlib.util

import aiohttp

from keeper.ports import MediaSource, PictureLimits, PictureSample


def is_installed() -> bool:
    """Whether this box can decode video: the extra brings FFmpeg, and not everybody needs it."""
    return importlib.util.find_spec("av") is not None


class Media:
    """Looks of one box."""

    async def sample(
        self, session: aiohttp.ClientSession, source: MediaSource, limits: PictureLimits
    ) -> PictureSample:
        """Look once, within the limits."""
        # TODO: playlists, RTMP and single pictures; until then nothing is known of them.
        return PictureSample(
            http_status=0,
            frames=0,
            unique_frames=0,
            undecodable_frames=0,
            bytes_read=0,
            sampled_s=0.0,
            mean_luma=None,
            motion=None,
            newest_frame=b"",
            error=f"{source.kind} is not looked at yet",
            is_own_fault=True,
        )

    async def close(self) -> None:
        """End what decodes."""
