"""The description and the routes say the same."""

import json
import re

from openapi_pydantic import OpenAPI
from prometheus_client import CollectorRegistry

from keeper.web.app import make_app
from keeper.web.openapi import DESCRIBED, document

# For people and browsers, not for programs.
_UNDESCRIBED = {"/", "/static/{name}", "/api/openapi.json"}


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    app = make_app(
        control=None,  # type: ignore[arg-type]
        metrics=CollectorRegistry(),
        clock=None,  # type: ignore[arg-type]
        token=None,
        is_local=False,
    )
    routes = {
        (route.method, re.sub(r":[^}]*\}+", "}", route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    routes = {(m, p) for m, p in routes if p not in _UNDESCRIBED}
    assert routes == {(row.method, row.path) for row in DESCRIBED}


def test_is_openapi_and_every_reference_leads_somewhere() -> None:
    api = document("1.2.3")
    OpenAPI.model_validate(api)
    text = json.dumps(api)
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names <= set(api["components"]["schemas"])
    assert api["info"]["version"] == "1.2.3"


def test_what_viewers_saw_is_described_with_the_numbers_that_a_look_may_have() -> None:
    schemas = document("1.2.3")["components"]["schemas"]
    told = schemas["ViewStatus"]
    assert set(told["properties"]) == {
        *("verdict", "since", "looked_at", "detail", "numbers", "strip"),
        *("thumbnail", "thumbnail_at"),
    }
    for name in ("unique_frames_per_s", "bitrate_bps", "mean_luma", "motion", "sound_dbfs"):
        assert f"``{name}``" in told["description"]
    for name in ("keyframe_interval_s", "latency_s", "newest_age_s"):
        assert f"``{name}``" in told["description"]
    assert "304" in document("1.2.3")["paths"]["/thumb/{stream}/{replica}.jpg"]["get"]["responses"]
