"""The marketplace over HTTP: bytes in, ``Api.answer``, bytes out, faithfully spoiled where asked.

Beside ``/api/`` there is the control API under ``/sim/``, for this machine only: arm faults, read
the ledger, look at the hosts and lay hands on them.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any, Protocol

import orjson
from aiohttp import web

from keeper.sim.api import Api, ApiReply, ApiRequest, Delivery
from keeper.sim.faults import Fault

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control(Protocol):
    """What the control API may do to the hosts."""

    def describe(self) -> list[dict[str, Any]]:
        """Return every living host: addresses, processes, folder."""
        ...

    def act(self, instance_id: int, verb: str) -> bool:
        """Do something to a host. False: nothing there to do it to. Raises KeyError, ValueError."""
        ...


class HttpFace:
    """Builds the aiohttp application."""

    def __init__(self, api: Api, control: Control) -> None:
        self._api = api
        self._control = control

    def app(self) -> web.Application:
        """Return the application: the marketplace and its control."""
        app = web.Application(client_max_size=4 * 1024**2)
        app.router.add_route("*", "/api/{tail:.*}", self._marketplace)
        app.router.add_get("/sim/results/{name}", self._result)
        app.router.add_post("/sim/faults", _local(self._arm))
        app.router.add_get("/sim/faults", _local(self._armed))
        app.router.add_delete("/sim/faults", _local(self._disarm))
        app.router.add_get("/sim/ledger", _local(self._ledger))
        app.router.add_get("/sim/hosts", _local(self._hosts))
        app.router.add_post("/sim/hosts/{id}/{verb}", _local(self._act))
        return app

    # --- the marketplace ----------------------------------------------------------------------

    async def _marketplace(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        reply = self._api.answer(
            ApiRequest(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                body=body,
                authorization=request.headers.get("Authorization", ""),
                client=request.remote or "",
                base_url=f"{request.scheme}://{request.host}",
            )
        )
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        return await self._deliver(request, reply)

    async def _deliver(self, request: web.Request, reply: ApiReply) -> web.StreamResponse:
        """Send a reply as it should arrive: whole, cut in the middle, or not at all."""
        headers = {
            # Exactly this; the official command line refuses a charset behind it.
            "Content-Type": "text/html" if reply.is_text else "application/json",
            # The marketplace's clock is to be had only here.
            "Date": formatdate(self._api.market.now(), usegmt=True),
            **reply.headers,
        }
        if reply.delivery is Delivery.WHOLE:
            return web.Response(status=reply.status, body=reply.content, headers=headers)
        response = web.StreamResponse(status=reply.status or 200, headers=headers)
        if reply.delivery is Delivery.CUT:
            content = reply.content
            response.content_length = len(content)
            await response.prepare(request)
            await response.write(content[: len(content) // 2])
        if request.transport is not None:
            request.transport.close()
        return response

    async def _result(self, request: web.Request) -> web.Response:
        text = self._api.routes.result(request.match_info["name"])
        if text is None:
            return web.Response(status=404, text="not there yet")
        return web.Response(text=text)

    # --- control ------------------------------------------------------------------------------

    async def _arm(self, request: web.Request) -> web.Response:
        try:
            value = orjson.loads(await request.read())
            faults = [Fault.parse(one) for one in (value if isinstance(value, list) else [value])]
            for fault in faults:
                self._api.market.arm(fault)
        except (ValueError, TypeError, AttributeError) as problem:
            return _json({"error": str(problem)}, status=400)
        return _json({"armed": len(faults)})

    async def _armed(self, _: web.Request) -> web.Response:
        now = self._api.market.now()
        live = self._api.market.faults.live(now)
        return _json(
            [
                {
                    "kind": armed.fault.kind,
                    "target": armed.fault.target,
                    "left": armed.left,
                    "until_s": None if armed.until_at is None else armed.until_at - now,
                    "params": armed.fault.params,
                }
                for armed in live
            ]
        )

    async def _disarm(self, _: web.Request) -> web.Response:
        return _json({"cleared": self._api.market.faults.clear()})

    async def _ledger(self, _: web.Request) -> web.Response:
        self._api.market.settle()
        return _json(self._api.market.ledger.plain())

    async def _hosts(self, _: web.Request) -> web.Response:
        self._api.market.advance()
        return _json(self._control.describe())

    async def _act(self, request: web.Request) -> web.Response:
        try:
            instance_id = int(request.match_info["id"])
            has_acted = self._control.act(instance_id, request.match_info["verb"])
        except KeyError:
            return _json({"error": "no such host"}, status=404)
        except ValueError as problem:
            return _json({"error": str(problem)}, status=400)
        if not has_acted:
            return _json({"error": "there is nothing to do this to"}, status=409)
        return _json({"done": True})


def _local(handler: Handler) -> Handler:
    """Answer only to this machine, and to no page that a browser on it has open."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            is_local = ipaddress.ip_address(request.remote or "").is_loopback
        except ValueError:
            is_local = False
        if not is_local or "Origin" in request.headers:
            return _json({"error": "the control API is for this machine only"}, status=403)
        return await handler(request)

    return guarded


def _json(value: list[Any] | Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(value), headers={"Content-Type": "application/json"}
    )
