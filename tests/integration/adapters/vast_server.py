"""A real HTTP server on loopback that says, in Vast.ai's place, exactly what a test scripts."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_spacing import Endpoint

KEY = "k3y-that-must-never-be-seen-0f9e8d7c"

LIST = "GET /api/v1/instances/"
SEARCH = "POST /api/v0/bundles/"
CREATE = "PUT /api/v0/asks/7/"
DESTROY = "DELETE /api/v0/instances/5/"
SHOW = "GET /api/v0/instances/5/"
SET_STATE = "PUT /api/v0/instances/5/"
REBOOT = "PUT /api/v0/instances/reboot/5/"
CHANGE_BID = "PUT /api/v0/instances/bid_price/5/"
ATTACH = "POST /api/v0/instances/5/ssh/"
ACCOUNT = "GET /api/v0/users/current"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Seen:
    call: str
    query: dict[str, str]
    body: bytes
    headers: Mapping[str, str]
    at_s: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Script:
    """Answers of each call in turn; the last one of a call is repeated."""

    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    seen: list[Seen] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def on(self, call: str, *answers: Answer) -> "Script":
        self.answers[call] += answers
        return self

    def count(self, call: str) -> int:
        return sum(one.call == call for one in self.seen)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        call = f"{request.method} {request.path}"
        self.seen.append(
            Seen(
                call=call,
                query=dict(request.query),
                body=await request.read(),
                headers=request.headers.copy(),
                at_s=asyncio.get_running_loop().time(),
            )
        )
        self.arrived.set()
        answers = self.answers[call]
        if not answers:
            return web.Response(status=418, text=f"nothing scripted for {call}")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)


def says(
    body: Any, status: int = 200, *, content_type: str = "application/json", **headers: str
) -> Answer:
    """Answer with JSON, or with the text or bytes as they are."""
    raw = body if isinstance(body, bytes) else None
    if raw is None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, body=raw, headers={"Content-Type": content_type, **names}
        )

    return answer


def hangs_up() -> Answer:
    """Take the request and close the connection without a word."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return answer


def hangs(release: asyncio.Event) -> Answer:
    """Take the request and say nothing until the test is over."""

    async def answer(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    return answer


def breaks_off(body: bytes, promised: int) -> Answer:
    """Promise more bytes than are sent, then close."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = promised
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def never_ends(chunk: bytes = b"[" * 65_536) -> Answer:
    """Send chunk after chunk until the client goes away."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(100_000):
            try:
                await response.write(chunk)
            except ConnectionError:
                break
        return response

    return answer


@asynccontextmanager
async def scripted() -> AsyncIterator[Script]:
    """Run a server for one script."""
    script = Script()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    server = TestServer(app)
    await server.start_server()
    script.url = str(server.make_url("/")).rstrip("/")
    try:
        yield script
    finally:
        await server.close()


@asynccontextmanager
async def market_at(
    url: str, *, timeout_s: float = 10.0, key: str = KEY, **rest: Any
) -> AsyncIterator[VastMarketplace]:
    """Open the real adapter, with no spacing unless the test asks for it."""
    rest = {"spacing": dict.fromkeys(Endpoint, 0.0), "clock": RealClock(), **rest}
    market = VastMarketplace(url=url, api_key=key, timeout_s=timeout_s, **rest)
    try:
        yield market
    finally:
        await market.aclose()


def row(instance_id: int, **fields: Any) -> dict[str, Any]:
    """Give a running rental as the list shows it."""
    return {
        "id": instance_id,
        "label": f"keeper:{instance_id}",
        "actual_status": "running",
        "intended_status": "running",
        "cur_state": "running",
        "next_state": "running",
        "status_msg": "success, running image/ssh",
        "machine_id": 40120,
        "host_id": 90210,
        "gpu_name": "RTX 4090",
        "gpu_ram": 24564,
        "disk_space": 120.0,
        "ssh_host": "ssh5.vast.ai",
        "ssh_port": 24136,
        "image_runtype": "ssh ssh_direc ssh_proxy",
        "public_ipaddr": "198.51.100.7 \n",
        "ports": {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "40022"}]},
        "dph_total": 0.325,
        "start_date": 1795200000.1,
        "end_date": 1797800000.0,
        "jupyter_token": "f" * 64,
    } | fields


def page(rows: list[dict[str, Any]], total: int, token: str | None = None) -> dict[str, Any]:
    return {
        "success": True,
        "instances_found": len(rows),
        "total_instances": total,
        "label_counts": {},
        "next_token": token,
        "instances": rows,
    }


def offer(offer_id: int, **fields: Any) -> dict[str, Any]:
    """Give an offer; the arithmetic of the prices is the market's own, for 120 GB."""
    return {
        "id": offer_id,
        "ask_contract_id": offer_id,
        "machine_id": 40120,
        "host_id": 90210,
        "is_bid": False,
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "gpu_ram": 24564,
        "gpu_display_active": True,
        "verification": "verified",
        "rentable": True,
        "reliability": 0.9961,
        "reliability2": 0.9961,
        "disk_space": 812.4,
        "inet_up": 640.2,
        "inet_down": 900.0,
        "inet_up_cost": 0.00195,
        "inet_down_cost": 0.00195,
        "dph_base": 0.30,
        "storage_cost": 0.15,
        "storage_total_cost": 0.025,
        "dph_total": 0.325,
        "direct_port_count": 180,
        "duration": 2592000.4,
        "geolocation": "Texas, US",
        "cuda_max_good": 12.8,
    } | fields
