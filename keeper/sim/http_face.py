"""The marketplace over HTTP: bytes in, ``Api.answer``, bytes out, faithfully spoiled where asked."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

from aiohttp import web

from keeper.sim.api import Api, ApiReply, ApiRequest, Delivery
from keeper.sim.control_face import Control, ControlFace

__all__ = ["Control", "HttpFace", "old_host"]


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
        ControlFace(self._api, self._control).join(app)
        return app

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


def old_host(url: str) -> web.Application:
    """Return what stands at a former address: it answers 308 to everything, with the new one."""

    async def moved(request: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": f"{url}{request.path_qs}"})

    app = web.Application()
    app.router.add_route("*", "/api/{tail:.*}", moved)
    return app
