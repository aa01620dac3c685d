"""A marketplace in a process of its own, so that its CPU is nobody's: canned pages over HTTP.

Run as ``python -m bench.vast_server COUNT``; its first line of output is its port.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

from aiohttp import web

PAGE_ROWS = 25
_VARIANTS = 2  # a poll sees other numbers than the one before it
_FILLERS = 96  # a row of the marketplace has some 118 fields and 4.6 kB


async def serve(count: int) -> None:
    """Serve so many rentals until ended."""
    variants = [_pages(count, variant) for variant in range(_VARIANTS)]
    listings = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal listings
        start = int(request.query.get("after_token") or 0)
        listings += start == 0
        page = variants[listings % _VARIANTS][start // PAGE_ROWS]
        return web.Response(body=page, content_type="application/json")

    app = web.Application()
    app.router.add_get("/api/v1/instances/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def _pages(count: int, variant: int) -> list[bytes]:
    return [
        json.dumps(
            {
                "success": True,
                "instances_found": min(PAGE_ROWS, count - start),
                "total_instances": count,
                "label_counts": {},
                "next_token": str(start + PAGE_ROWS) if start + PAGE_ROWS < count else None,
                "instances": [
                    _row(number, variant) for number in range(start, min(start + PAGE_ROWS, count))
                ],
            }
        ).encode()
        for start in range(0, count, PAGE_ROWS)
    ]


def _row(number: int, variant: int) -> dict[str, Any]:
    """Give a rental. What is measured on the host moves; of what keeper reads, one row in fifty."""
    has_moved = variant > 0 and number % 50 == 0
    known = {
        "id": 7_000_000 + number,
        "label": f"keeper:1f2e3d4c:stream-{number}/0:1",
        "actual_status": "running",
        "intended_status": "running",
        "cur_state": "running",
        "next_state": "running",
        "status_msg": "success, running image/ssh" + ("\n" if has_moved else ""),
        "image_runtype": "ssh ssh_direc ssh_proxy",
        "machine_id": 40_000 + number,
        "host_id": 90_000 + number // 4,
        "gpu_name": "RTX 4090",
        "gpu_ram": 24_564,
        "disk_space": 120.0,
        "ssh_host": f"ssh{number % 9}.vast.ai",
        "ssh_port": 10_000 + number,
        "public_ipaddr": f"198.51.{number // 250 % 250}.{number % 250} \n",
        "ports": {
            "22/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(40_000 + number % 9_000)}],
            "3333/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(50_000 + number % 9_000)}],
        },
        "dph_total": 0.3251234 + has_moved / 100,
        "dph_base": 0.3001234 + has_moved / 100,
        "storage_total_cost": 0.025,
        "is_bid": False,
        "min_bid": 0.1950802,
        "rentable": True,
        "start_date": 1_795_200_000.1,
        "end_date": 1_797_800_000.0,
        "geolocation": "Texas, US",
        # The official client cannot read a row without it, nor one without start_date (vastai 1.9.1).
        "extra_env": [["-p 22:22", "1"], ["-p 3333:3333", "1"], ["STREAM", f"stream-{number}"]],
    }
    names = [f"{re.sub('[^a-z]', '_', name)}_{at}" for at, name in enumerate(_NAMES * 20)]
    fillers = {
        name: (number * 31 + at + variant) / 7 if at % 3 else f"{name} of host {number} {variant}"
        for at, name in enumerate(names[:_FILLERS])
    }
    return known | fillers


_NAMES = ["gpu_util", "cpu_util", "disk_usage", "mem_usage", "inet_up_billed", "driver_version"]

if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
