"""What a player hears: of each track of sound the loudest tenth of a second. Runs in the player's process."""

from __future__ import annotations

from array import array
from contextlib import suppress
from operator import mul
from typing import Any

from keeper.adapters.loudness import SILENCE_DBFS, Loudness

# Shorter than this, and nothing is said of what was not heard.
_LISTEN_MIN_S = 0.5
# What every decoder of aiortc gives, packed (its codecs/opus.py, g711.py and g722.py, read 2026-11).
_FORMAT = "s16"
_BYTES = 2
_FULL_SCALE = 32_768.0


class Heard:
    """The tracks of sound of one look."""

    def __init__(self) -> None:
        self._tracks: list[Loudness] = []

    async def listen(self, track: Any) -> None:
        """Take all of a track, or it would pile up; measure it until more would tell nothing."""
        loudness = Loudness()
        self._tracks.append(loudness)
        with suppress(Exception):
            while True:
                frame = await track.recv()
                if not loudness.is_settled and frame.format.name == _FORMAT:
                    loudness.take(_energy(frame), frame.samples, frame.sample_rate)

    def numbers(self, sampled_s: float, packets: int | None) -> dict[str, Any]:
        """Return what a sample has of sound. ``packets``: so many came of it; None: not counted."""
        dbfs = self._loudest_dbfs(packets) if sampled_s >= _LISTEN_MIN_S else None
        return {"has_sound": bool(self._tracks), "sound_dbfs": dbfs}

    def _loudest_dbfs(self, packets: int | None) -> float | None:
        for each in self._tracks:
            if each.loudest_dbfs is None:
                each.end_window()
        levels = [each.loudest_dbfs for each in self._tracks if each.loudest_dbfs is not None]
        if levels:
            return max(levels)
        # A track of which nothing came is silent; one that came and was not understood may be anything.
        return SILENCE_DBFS if self._tracks and packets == 0 else None


def _energy(frame: Any) -> float:
    """Return the sum of a frame's squares, of full scale 1, the mean of its channels."""
    channels = max(1, int(frame.layout.nb_channels))
    samples = array("h", bytes(frame.planes[0])[: _BYTES * frame.samples * channels])
    return float(sum(map(mul, samples, samples))) / (_FULL_SCALE * _FULL_SCALE * channels)
