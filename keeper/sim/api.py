"""The marketplace's API without a transport: one request in, one reply out, pure and synchronous.

It keeps the door (key, limits, faults on the way in and out) and the book of requests; what each
call means is in ``routes``. The HTTP face only carries bytes to and from here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from keeper.sim.access import Grant, Keyring, bad_key
from keeper.sim.exchange import HTML, ApiReply, ApiRequest, Delivery
from keeper.sim.faults import Aim, Fault, FaultKind
from keeper.sim.ledger import NAMED, Request
from keeper.sim.limits import SPACING_S, Limits, TooOften, quota_body, refusal_body
from keeper.sim.market import Market, Refusal, ReplyLost
from keeper.sim.routes import Answer, Call, Routes
from keeper.sim.script import Script

__all__ = ["Api", "ApiReply", "ApiRequest", "Delivery", "fold"]

VERSION_PREFIX = re.compile(r"^/api/v[01](?=/)")
READING_ENDPOINTS = frozenset(
    {"POST /bundles/", "PUT /search/asks/", "PUT /instances/request_logs/{id}/"}
)
CREATES = frozenset({"PUT /asks/{id}/", "PUT /launch_instance/"})


class Api:
    """The door of the marketplace."""

    def __init__(
        self,
        market: Market,
        *,
        api_key: str = "",
        limits: Limits | None = None,
        limit_style: str = "detail",
        read_logs: Callable[[int, int], str] | None = None,
        execute: Callable[[int, str], str] | None = None,
    ) -> None:
        self.market = market
        self.limits = limits or Limits()
        self.keys = Keyring(api_key)  # "": any key that is not empty
        self.script = Script()
        self._limit_style = limit_style
        self.routes = Routes(
            market,
            read_logs=read_logs or (lambda _id, _tail: ""),
            execute=execute or (lambda _id, _command: ""),
        )

    def answer(self, request: ApiRequest) -> ApiReply:
        """Take one request to its end, and write it down with what was really answered."""
        now = self.market.now()
        call, endpoint = self._read(request)
        reply = self._answer(call, endpoint, now, url=f"{request.base_url}{request.path}")
        path = VERSION_PREFIX.sub("", request.path)
        if request.body:
            self.market.ledger.arrive(now, request.body.decode("utf-8", "replace"))
        self.market.ledger.request(
            Request(
                at=now,
                method=request.method,
                endpoint=endpoint.partition(" ")[2],
                path=path,
                identity=call.identity,
                status=0 if reply.delivery is Delivery.DROPPED else reply.status,
                is_mutating=request.method != "GET" and endpoint not in READING_ENDPOINTS,
                instance_id=_instance_of(endpoint, call.ids),
                label=_label_of(endpoint, call.body),
                state=_state_of(endpoint, call.body),
                note=reply.note,
                late_s=reply.delay_s,
            )
        )
        return reply

    def _read(self, request: ApiRequest) -> tuple[Call, str]:
        """Take a request apart. A body that is not JSON is kept as None."""
        bearer = request.authorization.removeprefix("Bearer ").strip()
        in_query = request.query.get("api_key", "")
        key = bearer or in_query
        endpoint, ids = fold(request.method, request.path)
        try:
            body = json.loads(request.body) if request.body.strip() else {}
        except ValueError:
            body = None
        # Token, the parameter `api_key` and the address together (docs, rate limits).
        who = f"{bearer} {in_query} {request.client}"
        identity = hashlib.sha256(who.encode()).hexdigest()[:12]
        call = Call(
            ids=ids,
            query=request.query,
            body=body,
            key=key,
            identity=identity,
            base_url=request.base_url,
            is_v0=not request.path.startswith("/api/v1/"),
        )
        return call, endpoint

    def _answer(self, call: Call, endpoint: str, now: float, *, url: str) -> ApiReply:
        aim = self._aim(call, endpoint)
        delay = self.market.faults.take(FaultKind.LATENCY, aim, now)
        delay_s = delay.number("delay_s", 3.0) if delay else 0.0
        cue = self.script.take(endpoint)
        if cue is not None and not cue.is_after:
            return cue.reply(None, number=call.ids[0] if call.ids else 0, url=url)
        reply = self._refuse_early(call, endpoint, aim, now)
        if reply is None:
            reply = self._after(self._act(call, endpoint), aim, now)
        if cue is not None:
            return cue.reply(reply, number=call.ids[0] if call.ids else 0, url=url)
        if delay_s:
            note = reply.note or FaultKind.LATENCY.value
            return _changed(reply, delay_s=delay_s, note=note)
        return reply

    def _refuse_early(self, call: Call, endpoint: str, aim: Aim, now: float) -> ApiReply | None:
        """Answer before anything is done: bad key, too often, or a fault on the way in."""
        faults = self.market.faults
        if faults.take(FaultKind.KEY_REJECTED, aim, now):
            return _changed(bad_key(endpoint), note="key_rejected")
        instance_id = _instance_of(endpoint, call.ids)
        if refused := self.keys.refusal(call.key, endpoint, instance_id):
            return refused
        if too_often := self.limits.refuse(endpoint, call.identity, now):
            return self._too_often(too_often)
        for kind in _EARLY:
            if fault := faults.take(kind, aim, now):
                return _early_reply(fault, endpoint)
        return None

    def _too_often(self, refused: TooOften) -> ApiReply:
        body: str | dict[str, Any]
        if refused.reset_at is not None:
            body, headers = quota_body(refused.reset_at)
        else:
            style = self.limits.style or self._limit_style
            body, headers = refusal_body(style, refused.threshold_s, refused.wait_s)
        return ApiReply(
            status=429, body=body, is_text=isinstance(body, str), headers=headers, note="limit"
        )

    def _act(self, call: Call, endpoint: str) -> ApiReply:
        try:
            answer = self.routes.take(endpoint, call)
        except ReplyLost as lost:
            return ApiReply(status=0, delivery=Delivery.DROPPED, note=lost.note)
        except Refusal as refusal:
            note = NAMED if "new_contract" in refusal.body else ""
            note = note or ("success_false" if refusal.status == 200 else "")
            headers = {}
            if "reset" in refusal.body:
                headers["X-RateLimit-Reset"] = str(int(refusal.body["reset"]))
                note = FaultKind.SEARCH_QUOTA.value
            return ApiReply(status=refusal.status, body=refusal.body, headers=headers, note=note)
        if key := endpoint in CREATES and answer.body.get("instance_api_key"):
            # What the container gets: it can read and end its own rental, and no other.
            rights = frozenset({"instance_read", "instance_write"})
            self.keys.give(key, Grant(rights=rights, instance_id=answer.body["new_contract"]))
        return _reply_of(answer)

    def _after(self, reply: ApiReply, aim: Aim, now: float) -> ApiReply:
        """Spoil the answer to something that was done."""
        faults = self.market.faults
        if reply.delivery is Delivery.DROPPED:
            return reply
        if faults.take(FaultKind.HTTP_502_AFTER, aim, now):
            return ApiReply(status=502, body=HTML, is_text=True, note="http_502_after")
        if faults.take(FaultKind.DROP_AFTER, aim, now):
            return ApiReply(status=0, delivery=Delivery.DROPPED, note="drop_after")
        if faults.take(FaultKind.TRUNCATED_JSON, aim, now):
            return _changed(reply, delivery=Delivery.CUT, note="truncated_json")
        return reply

    def _aim(self, call: Call, endpoint: str) -> Aim:
        """Say what a fault must be aimed at to hit this call."""
        contract = self.market.contracts.get(_instance_of(endpoint, call.ids) or 0)
        if contract is not None:
            found = self.market.aim_of(contract)
            return Aim(
                endpoint=endpoint,
                label=found.label,
                instance_id=found.instance_id,
                machine_id=found.machine_id,
            )
        is_create = endpoint == "PUT /asks/{id}/"
        return Aim(
            endpoint=endpoint,
            label=_label_of(endpoint, call.body),
            offer_id=call.ids[0] if is_create else None,
        )


_EARLY = (
    FaultKind.DROP_BEFORE,
    FaultKind.HTTP_429,
    FaultKind.HTTP_500,
    FaultKind.HTTP_502,
    FaultKind.HTTP_503,
    FaultKind.HTTP_504,
    FaultKind.HTML_FOR_JSON,
)


def fold(method: str, path: str) -> tuple[str, tuple[int, ...]]:
    """Return "METHOD /path/{id}/" without the version, and the ids that were folded."""
    inner = VERSION_PREFIX.sub("", path).strip("/")
    ids, parts = [], []
    for part in inner.split("/"):
        if part.isdecimal():
            ids.append(int(part))
            parts.append("{id}")
        else:
            parts.append(part)
    return f"{method} /{'/'.join(parts)}/", tuple(ids)


def _instance_of(endpoint: str, ids: tuple[int, ...]) -> int | None:
    """Return the rental that a call is about; creates and key calls are about none."""
    return ids[0] if ids and " /instances/" in endpoint else None


def _label_of(endpoint: str, body: Any) -> str:  # noqa: ANN401 - JSON
    """Return the label that a create carries."""
    if endpoint == "PUT /asks/{id}/" and isinstance(body, dict):
        return str(body.get("label") or "")
    return ""


def _state_of(endpoint: str, body: Any) -> str:  # noqa: ANN401 - JSON
    """Return the state that an order to stop or to start asks for."""
    if endpoint == "PUT /instances/{id}/" and isinstance(body, dict):
        return str(body.get("state") or "")
    return ""


def _early_reply(fault: Fault, endpoint: str) -> ApiReply:
    note = fault.kind.value
    match fault.kind:
        case FaultKind.DROP_BEFORE:
            return ApiReply(status=0, delivery=Delivery.DROPPED, note=note)
        case FaultKind.HTTP_429:
            hint = fault.params.get("retry_after_s")
            body, headers = refusal_body(
                str(fault.params.get("style", "text")),
                SPACING_S.get(endpoint, 1.0),
                None if hint is None else float(hint),
            )
            return ApiReply(
                status=429, body=body, is_text=isinstance(body, str), headers=headers, note=note
            )
        case FaultKind.HTML_FOR_JSON:
            return ApiReply(status=200, body=HTML, is_text=True, note=note)
        case _:
            status = int(fault.kind.value.removeprefix("http_"))
            return ApiReply(status=status, body=HTML, is_text=True, note=note)


def _reply_of(answer: Answer) -> ApiReply:
    return ApiReply(
        status=answer.status, body=answer.body, is_text=answer.is_text, note=answer.note
    )


def _changed(reply: ApiReply, **changes: Any) -> ApiReply:  # noqa: ANN401 - fields of the reply
    values = {name: getattr(reply, name) for name in ApiReply.__dataclass_fields__}
    return ApiReply(**(values | changes))
