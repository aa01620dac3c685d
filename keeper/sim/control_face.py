"""The control API under ``/sim/``, for this machine only: arm faults, order answers, read the truth.

It is no part of the marketplace; nothing of keeper or of the official client knows it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import orjson
from aiohttp import web

from keeper.sim.access import Grant
from keeper.sim.api import Api
from keeper.sim.faults import Fault
from keeper.sim.script import Cue
from keeper.sim.shapes import MENU

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control(Protocol):
    """What the control API may do to the hosts."""

    def describe(self) -> list[dict[str, Any]]:
        """Return every living host: addresses, processes, folder."""
        ...

    def act(self, instance_id: int, verb: str) -> bool:
        """Do something to a host. False: nothing there to do it to. Raises KeyError, ValueError."""
        ...

    def lie(self, lie: str, count: int) -> None:
        """Spoil the next deliveries of notifications. Raises ValueError."""
        ...


class ControlFace:
    """The handlers of the control API."""

    def __init__(self, api: Api, control: Control) -> None:
        self._api = api
        self._control = control

    def join(self, app: web.Application) -> None:
        """Put the routes into the application."""
        router = app.router
        router.add_post("/sim/faults", _local(self._arm))
        router.add_get("/sim/faults", _local(self._armed))
        router.add_delete("/sim/faults", _local(self._disarm))
        router.add_get("/sim/shapes", _local(self._shapes))
        router.add_post("/sim/answers", _local(self._cue))
        router.add_get("/sim/answers", _local(self._cues))
        router.add_delete("/sim/answers", _local(self._uncue))
        router.add_post("/sim/keys", _local(self._give_key))
        router.add_delete("/sim/keys", _local(self._take_key))
        router.add_put("/sim/limits", _local(self._limit))
        router.add_post("/sim/credit", _local(self._credit))
        router.add_post("/sim/notifications", _local(self._notify))
        router.add_get("/sim/ledger", _local(self._ledger))
        router.add_get("/sim/hosts", _local(self._hosts))
        router.add_post("/sim/hosts/{id}/{verb}", _local(self._act))

    # --- faults and answers -------------------------------------------------------------------

    async def _arm(self, request: web.Request) -> web.Response:
        try:
            faults = [Fault.parse(one) for one in await _rows(request)]
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

    async def _shapes(self, _: web.Request) -> web.Response:
        return _json(
            {
                name: {
                    "status": shape.status,
                    "body": shape.body,
                    "headers": dict(shape.headers),
                    "delivery": shape.delivery,
                    "after": shape.is_after,
                    "source": shape.source,
                }
                for name, shape in MENU.items()
            }
        )

    async def _cue(self, request: web.Request) -> web.Response:
        try:
            cues = [Cue.parse(one) for one in await _rows(request)]
        except ValueError as problem:
            return _json({"error": str(problem)}, status=400)
        for cue in cues:
            self._api.script.add(cue)
        return _json({"standing": len(self._api.script.plain())})

    async def _cues(self, _: web.Request) -> web.Response:
        return _json(self._api.script.plain())

    async def _uncue(self, _: web.Request) -> web.Response:
        return _json({"cleared": self._api.script.clear()})

    # --- the account --------------------------------------------------------------------------

    async def _give_key(self, request: web.Request) -> web.Response:
        try:
            for row in await _rows(request):
                if not row.get("key"):
                    raise ValueError("key: is missing")
                self._api.keys.give(str(row["key"]), Grant.parse(row))
        except (ValueError, TypeError, AttributeError) as problem:
            return _json({"error": str(problem)}, status=400)
        return _json({"done": True})

    async def _take_key(self, request: web.Request) -> web.Response:
        return _json({"done": self._api.keys.take(request.query.get("key", ""))})

    async def _limit(self, request: web.Request) -> web.Response:
        try:
            (row,) = await _rows(request)
            self._api.limits.change(row)
        except (ValueError, TypeError, AttributeError) as problem:
            return _json({"error": str(problem)}, status=400)
        return _json({"done": True})

    async def _credit(self, request: web.Request) -> web.Response:
        market = self._api.market
        try:
            (row,) = await _rows(request)
            market.give_credit(float(row.get("dollars", 0.0)))
        except (ValueError, TypeError, AttributeError) as problem:
            return _json({"error": str(problem)}, status=400)
        return _json({"credit": market.credit(market.now())})

    async def _notify(self, request: web.Request) -> web.Response:
        """Let the next deliveries of notifications be lost, doubled, late or forged."""
        try:
            for row in await _rows(request):
                self._control.lie(str(row.get("lie", "")), int(row.get("count", 1)))
        except (ValueError, TypeError, AttributeError) as problem:
            return _json({"error": str(problem)}, status=400)
        return _json({"done": True})

    # --- the truth ----------------------------------------------------------------------------

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


async def _rows(request: web.Request) -> list[Any]:
    """Read one value or a list of them."""
    value = orjson.loads(await request.read())
    return value if isinstance(value, list) else [value]


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
