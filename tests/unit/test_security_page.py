"""docs/security.md claims nothing that is not there: each file and each test that it names exists."""

import re

import pytest

from keeper.adapters.vastai_rights import RIGHT
from tests.components import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:keeper|tests|deploy)/[\w./-]+(?:::\w+)?)`", PAGE)))


@pytest.mark.parametrize("named", NAMED)
def test_what_it_points_to_is_there(named: str) -> None:
    path, _, test = named.partition("::")
    assert (REPOSITORY / path).exists()
    if test:
        assert re.search(rf"^(async )?def {test}\(", (REPOSITORY / path).read_text(), re.MULTILINE)


def test_it_names_enough() -> None:
    assert len(NAMED) > 30


def test_it_asks_for_the_rights_that_the_calls_need_and_no_others() -> None:
    table = PAGE.partition("## Least rights")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(RIGHT.values())


@pytest.mark.parametrize("page", ["docs/security.md", "SECURITY.md"])
def test_its_links_lead_somewhere(page: str) -> None:
    path = REPOSITORY / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
