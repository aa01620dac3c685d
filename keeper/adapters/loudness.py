"""The loudest tenth of a second of a track of sound, by what others have summed up of its samples.

Pure arithmetic without numpy: a player has none, and to import it would cost more than to do without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SILENCE_DBFS = -120.0  # digital silence has no level; nothing that sounds is as low
_WINDOW_S = 0.1
_WINDOWS_ENOUGH = 10
_LOUD_DBFS = -50.0  # far above what anybody would call silence


@dataclass(slots=True)
class Loudness:
    """The loudest tenth of a second of what was taken so far: its RMS, in dB of full scale."""

    loudest_dbfs: float | None = None
    _energy: float = 0.0
    _count: int = 0
    _windows: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether more of it would tell nothing: it is loud enough, and a second of it was heard."""
        return (
            self._windows >= _WINDOWS_ENOUGH
            and self.loudest_dbfs is not None
            and self.loudest_dbfs > _LOUD_DBFS
        )

    def take(self, energy: float, count: int, sample_rate: int) -> None:
        """Take the sum of the squares of ``count`` samples of full scale 1, the mean of its channels."""
        self._energy += energy
        self._count += count
        if self._count >= _WINDOW_S * sample_rate:
            self.end_window()

    def end_window(self) -> None:
        """Count what was taken as one window."""
        if self._count:
            power = self._energy / self._count
            level = 10 * math.log10(power) if power > 0 and math.isfinite(power) else SILENCE_DBFS
            before = SILENCE_DBFS if self.loudest_dbfs is None else self.loudest_dbfs
            self.loudest_dbfs = max(SILENCE_DBFS, level, before)
            self._windows += 1
        self._energy, self._count = 0.0, 0
