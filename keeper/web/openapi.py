"""The API, described for machines: one row per route, schemas from the answers themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from openapi_pydantic import OpenAPI
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from keeper.web.alerts import SilenceBody
from keeper.web.api import OrderBody
from keeper.web.asking import HostLogs, StreamReport
from keeper.web.hooks import AlertmanagerMessage, VastNotification
from keeper.web.shapes import (
    EventPage,
    Explained,
    FleetStatus,
    OrderStatus,
    PlanStatus,
    Refusal,
    ReloadStatus,
)
from keeper.web.spending import SpendStatus
from keeper.web.targets import PORT_DEFAULT, PORT_MAX, TargetGroup
from keeper.web.telling_shapes import (
    AlertPage,
    ChannelTested,
    HintAnswer,
    OutboxStatus,
    SilenceOrdered,
    SilencePage,
)
from keeper.web.way import WayStatus

_REF = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One route as documented. ``answer`` None: not JSON of ours; ``media`` says what."""

    method: str
    path: str
    summary: str
    answer: type | None = None
    media: str = "text/plain"
    status: int = 200
    query: tuple[tuple[str, str, dict[str, Any]], ...] = ()  # name, meaning, schema
    body: type | None = None
    is_order: bool = False
    refusals: tuple[int, ...] = ()
    is_list: bool = False  # of such answers
    has_etag: bool = False  # who has it already is told so, with 304


_SLOT = ("slot", "Which slot, as STREAM/REPLICA.", {"type": "string"})
_LOGS_OF = (
    "of",
    "Whose logs: the host's, or those that deploys have left. Default: host.",
    {"type": "string", "enum": ["host", "deploy"]},
)
DESCRIBED: tuple[Described, ...] = (
    Described(
        method="GET",
        path="/api/v1/status",
        summary="Everything, at one moment",
        answer=FleetStatus,
        refusals=(503,),
    ),
    Described(
        method="GET",
        path="/api/v1/plan",
        summary="What the last tick decided, and why",
        answer=PlanStatus,
        refusals=(503,),
    ),
    Described(
        method="GET",
        path="/api/v1/explain",
        summary="Why keeper does, or does not, act for a slot",
        answer=Explained,
        query=(_SLOT,),
        refusals=(400, 404, 503),
    ),
    Described(
        method="GET",
        path="/api/v1/spend",
        summary="What was spent, what runs, the caps and where it leads",
        answer=SpendStatus,
        refusals=(503,),
    ),
    Described(
        method="GET",
        path="/api/v1/events",
        summary="Facts of the journal, oldest first: the newest, or those after a number",
        answer=EventPage,
        query=(
            _SLOT,
            ("after", "Only facts after this number.", {"type": "integer", "minimum": 0}),
            ("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 1000}),
        ),
        refusals=(400, 503),
    ),
    Described(
        method="GET",
        path="/api/v1/stream",
        summary="Follow: a server-sent event per new snapshot",
        media="text/event-stream",
        refusals=(503,),
    ),
    Described(
        method="GET",
        path="/api/v1/way",
        summary="Where a slot is now, and how to get there",
        answer=WayStatus,
        query=(_SLOT,),
        is_order=True,
        refusals=(400, 401, 403, 404, 503),
    ),
    Described(
        method="GET",
        path="/api/v1/report",
        summary="What the workload of a slot tells of itself; what keeper knows, if that is nothing",
        answer=StreamReport,
        query=(_SLOT,),
        is_order=True,
        refusals=(400, 401, 403, 404, 503),
    ),
    Described(
        method="GET",
        path="/api/v1/logs",
        summary="Which logs there are: on a slot's host, or of its deploys",
        answer=HostLogs,
        query=(_SLOT, _LOGS_OF),
        is_order=True,
        refusals=(400, 401, 403, 404, 502, 503),
    ),
    Described(
        method="GET",
        path="/api/v1/log",
        summary="The end of a log: one JSON object a line",
        media="application/x-ndjson",
        query=(
            _SLOT,
            _LOGS_OF,
            (
                "file",
                "Which log, by its path or the end of it. Default: the best.",
                {"type": "string"},
            ),
            ("lines", "At most so many.", {"type": "integer", "minimum": 0, "maximum": 1000}),
            ("follow", "1: go on as more is written.", {"type": "string", "enum": ["0", "1"]}),
        ),
        is_order=True,
        refusals=(400, 401, 403, 404, 502, 503),
    ),
    Described(
        method="POST",
        path="/api/v1/orders",
        summary="Order something; the next tick acts on it",
        answer=OrderStatus,
        status=202,
        body=OrderBody,
        is_order=True,
        refusals=(401, 403, 404, 409, 422, 503, 504),
    ),
    Described(
        method="GET",
        path="/api/v1/alerts",
        summary="What holds, what became of it, who is told, and what is kept from people",
        answer=AlertPage,
        refusals=(503,),
    ),
    Described(
        method="GET",
        path="/api/v1/outbox",
        summary="The messages that no channel has taken yet",
        answer=OutboxStatus,
    ),
    Described(
        method="POST",
        path="/api/v1/channels/{name}/test",
        summary="Send a test message through one channel, now",
        answer=ChannelTested,
        is_order=True,
        refusals=(401, 403, 404),
    ),
    Described(
        method="GET",
        path="/api/v1/silences",
        summary="The silences that hold",
        answer=SilencePage,
        refusals=(503,),
    ),
    Described(
        method="POST",
        path="/api/v1/silences",
        summary="Tell nobody of some alerts for a while; it is on disk when this is answered",
        answer=SilenceOrdered,
        status=201,
        body=SilenceBody,
        is_order=True,
        refusals=(401, 403, 409, 422, 503, 504),
    ),
    Described(
        method="DELETE",
        path="/api/v1/silences/{id}",
        summary="End a silence; it is on disk when this is answered",
        answer=SilenceOrdered,
        is_order=True,
        refusals=(401, 403, 404, 503, 504),
    ),
    Described(
        method="POST",
        path="/hooks/vast",
        summary="A notification of Vast.ai: look sooner. Absent unless hooks.vast_secret is set",
        answer=HintAnswer,
        body=VastNotification,
        refusals=(400, 401, 404, 408, 413, 415, 429),
    ),
    Described(
        method="POST",
        path="/hooks/alertmanager",
        summary="Alertmanager's webhook: look sooner. Absent unless hooks.alertmanager_secret is set",
        answer=HintAnswer,
        body=AlertmanagerMessage,
        refusals=(400, 401, 404, 408, 413, 415, 429),
    ),
    Described(
        method="GET",
        path="/thumb/{stream}/{replica}.jpg",
        summary="The newest picture that viewers of a slot saw",
        media="image/jpeg",
        refusals=(404,),
        has_etag=True,
    ),
    Described(
        method="GET",
        path="/api/v1/prometheus/targets",
        summary="Where Prometheus finds the GPU hosts (http_sd)",
        answer=TargetGroup,
        is_list=True,
        query=(
            (
                "port",
                "The TCP port in the container; hosts that do not open it are left out.",
                {"type": "integer", "minimum": 1, "maximum": PORT_MAX, "default": PORT_DEFAULT},
            ),
        ),
        refusals=(400, 503),
    ),
    Described(
        method="GET",
        path="/metrics",
        summary="Metrics, as text or OpenMetrics",
    ),
    Described(
        method="GET",
        path="/-/healthy",
        summary="Whether ticks finish",
        refusals=(503,),
    ),
    Described(
        method="GET",
        path="/-/ready",
        summary="Whether the store is open and a complete listing was seen",
        refusals=(503,),
    ),
    Described(
        method="POST",
        path="/-/reload",
        summary="Read the configuration again; a bad one keeps the old",
        answer=ReloadStatus,
        is_order=True,
        refusals=(401, 403, 422),
    ),
)


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of everything above."""
    answers = sorted(
        {row.answer for row in DESCRIBED if row.answer is not None} | {Refusal},
        key=lambda shape: shape.__name__,
    )
    adapters: list[tuple[type, Literal["serialization"], TypeAdapter[Any]]] = [
        (shape, "serialization", TypeAdapter(shape)) for shape in answers
    ]
    schemas: dict[str, Any] = {}
    _, shared = TypeAdapter.json_schemas(adapters, ref_template=_REF)
    schemas |= shared.get("$defs", {})
    _, bodies = models_json_schema(
        [
            (body, "validation")
            for body in (OrderBody, SilenceBody, VastNotification, AlertmanagerMessage)
        ],
        ref_template=_REF,
    )
    schemas |= bodies.get("$defs", {})
    paths: dict[str, dict[str, Any]] = {}
    for row in DESCRIBED:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    api = {
        "openapi": "3.1.1",
        "info": {
            "title": "keeper",
            "version": version,
            "summary": "Keeps GPU streams on air.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "For orders over TCP. The local socket needs none.",
                }
            },
        },
    }
    OpenAPI.model_validate(api)  # a description that is no OpenAPI is a bug of ours
    return api


def _operation(row: Described) -> dict[str, Any]:
    content = {row.media: {}} if row.answer is None else _json(row.answer, is_list=row.is_list)
    answers: dict[str, Any] = {str(row.status): {"description": row.summary, "content": content}}
    refusal = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Refusal")}}}
    for status in row.refusals:
        answers[str(status)] = {"description": "a problem", "content": refusal}
    if row.has_etag:
        answers["304"] = {"description": "it is still the one that If-None-Match names"}
    operation: dict[str, Any] = {"summary": row.summary, "responses": answers}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "description": meaning, "schema": schema}
        for name, meaning, schema in row.query
    ]
    parameters += [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
        for part in row.path.replace(".jpg", "").split("/")
        if part.startswith("{")
    ]
    if parameters:
        operation["parameters"] = parameters
    if row.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(row.body)}
    if row.is_order:
        operation["security"] = [{"token": []}, {}]
    return operation


def _json(shape: type, *, is_list: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": _REF.format(model=shape.__name__)}
    if is_list:
        schema = {"type": "array", "items": schema}
    return {"application/json": {"schema": schema}}
