"""What is shipped for Prometheus and Grafana asks only for what there is, and can be read."""

import json
import runpy
from itertools import combinations

import pytest

from tests.components import REPOSITORY
from tests.expressions import DASHBOARD, asked_by_the_dashboard, panels, selected, series, shipped

KNOWN = series()
UNITS = {
    "none", "short", "s", "percentunit", "currencyUSD", "Bps", "bytes",
}  # fmt: skip


@pytest.mark.parametrize(("where", "expression"), shipped(), ids=lambda text: text[:60])
def test_expression_asks_for_series_that_exist_by_labels_that_they_have(
    where: str, expression: str
) -> None:
    found = dict(selected(expression))
    assert found or expression == "vector(1)", where
    for name, labels in found.items():
        assert name in KNOWN, f"{where}: there is no {name}"
        assert labels <= KNOWN[name], f"{where}: {name} has no {labels - KNOWN[name]}"


def test_names_and_labels_are_found_in_an_expression() -> None:
    """The test above would pass for everything if it found nothing."""
    expression = 'sum by (le) (rate(keeper_x_total{a="1",b=~"y"}[5m])) / on (job) (1 - up) or p:q:r'
    found = dict(selected(expression))
    assert found == {"keeper_x_total": {"a", "b"}, "up": set(), "p:q:r": set()}


def test_dashboard_is_what_the_script_writes() -> None:
    """Write it again: python scripts/grafana.py > deploy/grafana/keeper.json."""
    script = runpy.run_path(str(REPOSITORY / "scripts" / "grafana.py"))
    assert json.loads(DASHBOARD.read_text()) == script["dashboard"]()


def test_every_panel_can_be_read_by_whoever_is_woken() -> None:
    for panel in panels():
        if panel["type"] == "row":
            continue
        assert panel["title"].strip()
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["targets"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        names = [target["refId"] for target in panel["targets"]]
        assert len(names) == len(set(names))


def test_panels_lie_beside_each_other_and_have_numbers_of_their_own() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    titles = [panel["title"] for panel in found if panel["type"] == "row"]
    assert titles == ["Fleet", "Stream: $stream", "Money", "Keeper itself"]
    for panel in found:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24
        assert at["h"] > 0
    for one, other in combinations((panel["gridPos"] for panel in found), 2):
        is_apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert is_apart, (one, other)


def test_dashboard_is_of_a_schema_that_grafana_imports() -> None:
    whole = json.loads(DASHBOARD.read_text())
    assert whole["uid"] == whole["title"] == "keeper"
    assert "id" not in whole  # of somebody's own Grafana
    assert whole["schemaVersion"] == 39
    variables = {each["name"]: each for each in whole["templating"]["list"]}
    assert list(variables) == ["datasource", "keeper", "stream"]
    assert variables["datasource"]["type"] == "datasource"
    # No variable that is asked for is missing: Grafana would send its name.
    for title, expression in asked_by_the_dashboard():
        assert "$" not in expression, title
