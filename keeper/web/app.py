"""The HTTP side of keeper, put together: health, metrics, the API, the page.

The same application serves TCP (orders need the token) and the local socket (who may open it may
order). It reads published snapshots and passes orders on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from keeper import __version__
from keeper.core.text import plain
from keeper.ports import Clock, Control
from keeper.ports.asking import Asking
from keeper.web import alerts, api, asking, hooks
from keeper.web.answers import (
    CLOCK,
    CONTROL,
    IS_LOCAL,
    RUNBOOKS_URL,
    TOKEN,
    json_answer,
    problems,
    secure,
)
from keeper.web.hints import HintSource
from keeper.web.page import get_asset, get_page

_BODY_MAX = 65_536


def make_app(
    *,
    control: Control,
    metrics: CollectorRegistry,
    clock: Clock,
    token: str | None,
    is_local: bool,
    hosts: Asking | None = None,
    key_file: str = "",
    hook_secret: Callable[[HintSource], str] = lambda _: "",
    runbooks_url: Callable[[], str] = lambda: "",
) -> web.Application:
    """Build the application. Without ``hosts`` nobody can be asked.

    ``key_file`` is where the private key lies that hosts know. ``hook_secret`` and ``runbooks_url`` are
    asked anew at each call: a reload may change them.

    ``is_local`` is for the unix socket: orders need no token there. Over TCP without a token no
    order is taken at all.
    """
    app = web.Application(middlewares=[problems], client_max_size=_BODY_MAX)
    app[CONTROL] = control
    app[CLOCK] = clock
    app[TOKEN] = token or ""
    app[IS_LOCAL] = is_local
    app[api.FOLLOWERS] = WeakSet[asyncio.Task[Any]]()
    app[asking.HOSTS] = asking.Hosts(hosts, key_file)
    app[hooks.HOOKS] = hooks.Hooks(hook_secret)
    app[RUNBOOKS_URL] = runbooks_url
    app.on_response_prepare.append(secure)
    app.on_shutdown.append(api.end_followers)
    router = app.router
    router.add_get("/", get_page)
    router.add_get("/static/{name}", get_asset)
    router.add_get(r"/thumb/{stream}/{replica:\d{1,6}}.jpg", api.get_thumbnail)
    router.add_get("/metrics", make_aiohttp_handler(metrics))
    router.add_get("/-/healthy", get_healthy)
    router.add_get("/-/ready", get_ready)
    router.add_post("/-/reload", api.post_reload)
    router.add_get("/api/openapi.json", get_openapi)
    router.add_get("/api/v1/status", api.get_status)
    router.add_get("/api/v1/plan", api.get_plan)
    router.add_get("/api/v1/explain", api.get_explain)
    router.add_get("/api/v1/spend", api.get_spend)
    router.add_get("/api/v1/events", api.get_events)
    router.add_get("/api/v1/stream", api.get_stream, allow_head=False)
    router.add_get("/api/v1/way", asking.get_way)
    router.add_get("/api/v1/report", asking.get_report)
    router.add_get("/api/v1/logs", asking.get_host_logs)
    router.add_get("/api/v1/log", asking.get_log, allow_head=False)
    router.add_post("/api/v1/orders", api.post_order)
    router.add_get("/api/v1/alerts", alerts.get_alerts)
    router.add_get("/api/v1/outbox", alerts.get_outbox)
    router.add_post("/api/v1/channels/{name}/test", alerts.post_channel_test)
    router.add_get("/api/v1/silences", alerts.get_silences)
    router.add_post("/api/v1/silences", alerts.post_silence)
    router.add_delete("/api/v1/silences/{id}", alerts.delete_silence)
    router.add_get("/api/v1/prometheus/targets", api.get_targets)
    router.add_post("/hooks/vast", hooks.post_vast)
    router.add_post("/hooks/alertmanager", hooks.post_alertmanager)
    return app


async def get_healthy(request: web.Request) -> web.Response:
    """Whether ticks finish: what a service manager or a load balancer asks."""
    if request.app[CONTROL].is_healthy():
        return web.Response(text="keeper is healthy\n")
    return web.Response(text="ticks do not finish\n", status=503)


async def get_ready(request: web.Request) -> web.Response:
    """Whether keeper knows enough to act."""
    reason = request.app[CONTROL].not_ready_because()
    if not reason:
        return web.Response(text="keeper is ready\n")
    return web.Response(text=f"not ready: {plain(reason)}\n", status=503)


_DOCUMENT: dict[str, Any] = {}


async def get_openapi(_request: web.Request) -> web.Response:
    """Describe the API. Built when first asked for: it costs as much as a start."""
    if not _DOCUMENT:
        from keeper.web.openapi import document  # noqa: PLC0415 - 60 ms that few processes need

        _DOCUMENT.update(document(__version__))
    return json_answer(_DOCUMENT)
