"""What it costs to list all rentals: the adapter, beside a bare reader and beside the official client.

The bare reader is aiohttp and msgspec with nothing around; it reads the same fields of the same pages,
25 rows each, from a server in another process. Between two polls one row in fifty differs in a field
that keeper reads. That share is assumed, not measured on a real account, and the adapter profits from
rows that stay: so a listing of news is shown as well.

The official client is ``vastai show instances --raw``, as somebody would run it in a loop: a process
each time. What keeper pays is one more listing of a daemon that runs anyway, and that is what the goal
is about; what a process costs that starts, lists once through the same adapter and ends is shown too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench.measure import Cpu, Row, Side, absent, against, cpu_of_process_s, in_turn
from keeper.adapters.clock import SystemClock
from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_spacing import Endpoint
from keeper.core.model import Instance
from tests.components import locate
from tests.e2e.official import environment

_KEY = "k" * 64


class _Rental(msgspec.Struct):
    """The fields that keeper reads, typed, with no second thoughts."""

    id: int
    label: str | None = None
    actual_status: str | None = None
    intended_status: str | None = None
    cur_state: str | None = None
    next_state: str | None = None
    status_msg: str | None = None
    image_runtype: str | None = None
    machine_id: int | None = None
    host_id: int | None = None
    gpu_name: str | None = None
    gpu_ram: float | None = None
    disk_space: float | None = None
    ssh_host: str | None = None
    ssh_port: int | None = None
    public_ipaddr: str | None = None
    ports: dict[str, Any] | None = None
    dph_total: float | None = None
    dph_base: float | None = None
    storage_total_cost: float | None = None
    is_bid: bool | None = None
    min_bid: float | None = None
    rentable: bool | None = None
    start_date: float | None = None
    end_date: float | None = None
    geolocation: str | None = None


class _Page(msgspec.Struct):
    instances: list[_Rental]
    total_instances: int
    next_token: str | None = None


# What one more listing may cost, of the CPU of `vastai show instances --raw`.
_OF_THE_CLIENT = {1_000: 1 / 40, 10_000: 1 / 20}


async def measure() -> list[Row]:
    rows = []
    for count, polls in ((1_000, 4), (10_000, 1)):
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.vast_server", str(count), stdout=asyncio.subprocess.PIPE
        )
        try:
            assert server.stdout is not None
            port = int(await server.stdout.readline())
            url = f"http://127.0.0.1:{port}"
            rows += await _measure(url, count, polls)
            rows += await _measure_official(url, count, polls)
        finally:
            server.terminate()
            await server.wait()
    return rows


async def _measure(url: str, count: int, polls: int) -> list[Row]:
    market = _market(url)
    decoder = msgspec.json.Decoder(_Page)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {_KEY}"}) as session:

        async def ours() -> float:
            kept: tuple[Instance, ...] = ()
            with Cpu() as cpu:
                for _ in range(polls):
                    kept = await market.list_instances()
            assert len(kept) == count
            return cpu.us_each(polls * count)

        async def first() -> float:
            kept: tuple[Instance, ...] = ()
            with Cpu() as cpu:
                for _ in range(polls):
                    fresh = _market(url, session)
                    kept = await fresh.list_instances()
            assert len(kept) == count
            return cpu.us_each(polls * count)

        async def floor() -> float:
            kept: list[_Rental] = []
            with Cpu() as cpu:
                for _ in range(polls):
                    kept = await _bare(session, decoder, url)
            assert len(kept) == count
            return cpu.us_each(polls * count)

        try:
            again, anew, least = await in_turn(ours, first, floor)
        finally:
            await market.aclose()
    floor_is = f"floor: bare aiohttp and msgspec, {count} rentals in pages of 25"
    unit = "us CPU a rental"
    return [
        against(
            f"vast.{count}",
            again,
            least,
            goal=1.5,
            unit=unit,
            note=f"2 % of the rows have changed since the last listing; {floor_is}",
        ),
        against(
            f"vast.first.{count}",
            anew,
            least,
            goal=None,
            unit=unit,
            note=f"the first listing, every row is news; {floor_is}",
        ),
    ]


async def _measure_official(url: str, count: int, polls: int) -> list[Row]:
    figures = (f"vast.official.{count}", f"vast.process.{count}")
    goal, unit = _OF_THE_CLIENT[count], "ms CPU a listing"
    client = locate("vastai")
    if client is None:
        why = "the official client is not here: scripts/vastai-env.sh builds it"
        return [absent(figures[0], goal, why), absent(figures[1], None, why)]
    listing = [str(client), "show", "instances", "--raw"]
    market = _market(url)

    async def ours() -> float:
        kept: tuple[Instance, ...] = ()
        with Cpu() as cpu:
            for _ in range(polls):
                kept = await market.list_instances()
        assert len(kept) == count
        return cpu.us_each(polls) / 1e3

    async def process() -> float:
        once = [sys.executable, "-m", "bench.vast_once", url, str(count)]
        return cpu_of_process_s(once) * 1e3

    with tempfile.TemporaryDirectory() as folder:
        seen = dict(environment(url, _KEY, Path(folder)))

        async def official() -> float:
            return cpu_of_process_s(listing, environment=seen) * 1e3

        await _expect(count, listing, seen)
        sides: tuple[Side, ...] = (ours, process, official)
        try:
            more, anew, theirs = await in_turn(*sides)
        finally:
            await market.aclose()
    beside = f"peer: a process of vastai 1.9.1 show instances --raw, {count} rentals"
    notes = ("one more listing of a running daemon", "a process that lists once with our adapter")
    return [
        against(figure, mine, theirs, goal=goal, unit=unit, note=f"{note}; {beside}", is_peer=True)
        for figure, mine, goal, note in zip(figures, (more, anew), (goal, None), notes, strict=True)
    ]


async def _expect(count: int, listing: list[str], seen: dict[str, str]) -> None:
    """Make sure that the official client lists all of it; its exit code would not say."""
    child = await asyncio.create_subprocess_exec(*listing, env=seen, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    found = len(json.loads(out))
    if found != count:
        raise RuntimeError(f"the official client lists {found} of {count} rentals")


def _market(url: str, session: aiohttp.ClientSession | None = None) -> VastMarketplace:
    return VastMarketplace(
        url=url,
        api_key=_KEY,
        clock=SystemClock(),
        spacing=dict.fromkeys(Endpoint, 0.0),
        session=session,
    )


async def _bare(
    session: aiohttp.ClientSession, decoder: msgspec.json.Decoder[_Page], url: str
) -> list[_Rental]:
    found: list[_Rental] = []
    token: str | None = None
    while True:
        query = {"limit": "25", "order_by": json.dumps([{"col": "id", "dir": "asc"}])}
        if token:
            query["after_token"] = token
        async with session.get(f"{url}/api/v1/instances/", params=query) as answer:
            page = decoder.decode(await answer.read())
        found += page.instances
        token = page.next_token
        if not token:
            return found
