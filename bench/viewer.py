"""Whether looks at pictures are right, and what they cost."""

from __future__ import annotations

from bench.measure import Row
from bench.viewer_cost import costs


async def measure() -> list[Row]:
    return await costs()
