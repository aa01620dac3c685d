"""The marketplace over HTTP: bytes in, ``Api.answer``, bytes out, faithfully spoiled where asked."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

from aiohttp import web

from keeper.sim.api import Api, ApiReply, ApiRequest, Delivery
from keeper.sim.control_face import Control, ControlFace
from keeper.sim.tap import Edge, Tap, call_of, untapped

__all__ = ["Control", "HttpFace", "old_host"]


class HttpFace:
    """Builds the aiohttp application."""

    def __init__(self, api: Api, control: Control, tap: Tap = untapped) -> None:
        self._api = api
        self._control = control
        self._tap = tap

    def app(self) -> web.Application:
        """Return the application: the marketplace and its control."""
        app = web.Application(client_max_size=4 * 1024**2)
        app.router.add_route("*", "/api/{tail:.*}", self._marketplace)
        app.router.add_get("/sim/results/{name}", self._result)
        ControlFace(self._api, self._control).join(app)
        return app

    async def _marketplace(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = call_of(request.method, request.path)
        if not self._tap(call, Edge.ARRIVED):
            return _hung_up(request)
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
        if not self._tap(call, Edge.ACTED):
            return _hung_up(request)
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        response = await self._deliver(request, reply)
        if reply.delivery is Delivery.WHOLE:
            await response.prepare(request)
            await response.write_eof()
        self._tap(call, Edge.ANSWERED)
        return response

    async def _deliver(self, request: web.Request, reply: ApiReply) -> web.StreamResponse:
        """Send a reply as it should arrive: whole, cut in the middle, or not at all."""
        headers = {
            "Content-Type": reply.content_type,
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


def _hung_up(request: web.Request) -> web.StreamResponse:
    """Say nothing to a caller that is gone."""
    if request.transport is not None:
        request.transport.close()
    return web.StreamResponse()


def old_host(url: str) -> web.Application:
    """Return what stands at a former address: it answers 308 to everything, with the new one."""

    async def moved(request: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": f"{url}{request.path_qs}"})

    app = web.Application()
    app.router.add_route("*", "/api/{tail:.*}", moved)
    return app
