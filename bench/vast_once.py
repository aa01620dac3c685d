"""Lists all rentals once and ends: what keeper's adapter costs as a process of its own.

Run as ``python -m bench.vast_once URL COUNT``.
"""

from __future__ import annotations

import asyncio
import sys

from keeper.adapters.clock import SystemClock
from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_spacing import Endpoint


async def main(url: str, count: int) -> None:
    market = VastMarketplace(
        url=url,
        api_key="k" * 64,
        clock=SystemClock(),
        spacing=dict.fromkeys(Endpoint, 0.0),
    )
    found = await market.list_instances()
    await market.aclose()
    if len(found) != count:
        raise SystemExit(f"{len(found)} of {count} rentals")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
