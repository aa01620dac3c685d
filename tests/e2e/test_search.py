"""`keeper search` as people and programs use it: beside a running keeper and without one."""

import asyncio
from typing import Any

import pytest

from tests.e2e.conftest import PATIENCE_S, Box

pytestmark = pytest.mark.timeout(300)

NOTHING_SUITS = "    offer: {gpu_names: [RTX 9999]}"


async def test_it_shows_what_keeper_would_take_with_its_price_in_parts(box: Box) -> None:
    done = await box.keeper("search", "duel")
    assert done.code == 0, done.err
    head, columns, first, *_ = done.out.splitlines()
    assert head.startswith("duel: ")
    headings = "# OFFER GPU GB $/H GPU $ DISK $ NET $ RELIABLE PLACE"
    assert " ".join(columns.split()) == headings
    (found,) = (await box.keeper("search", "duel", "--json")).json()
    best = found["suitable"][0]
    assert first.split()[1] == str(best["offer_id"])
    parts = ("gpu_dollars_per_hour", "disk_dollars_per_hour", "traffic_dollars_per_hour")
    assert best["dollars_per_hour"] == pytest.approx(sum(best[part] for part in parts), abs=1e-5)
    done = await box.keeper("provision", "duel", "--dry-run")
    assert f"the best is offer {best['offer_id']}: " in done.err
    assert box.creates() == []


async def test_it_explains_what_was_filtered_out_and_what_would_help(box: Box) -> None:
    done = await box.keeper("search", "duel", "--explain")
    assert done.code == 0, done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "REMOVED LEFT BY WHICH ASKS FOR" in lines
    assert any("display" in line and "a GPU that drives a display" in line for line in lines)
    assert any("offer.gpu_display_active: false (no display, " in line for line in lines)


async def test_it_says_what_the_running_keeper_says_when_nothing_suits(box: Box) -> None:
    box.configure(NOTHING_SUITS)
    daemon = await box.daemon()
    await daemon.says('"reason":"no_suitable_offer"')
    said = ""
    async with asyncio.timeout(PATIENCE_S):
        while not said:
            said = (await slot_of(box))["rent_detail"]
    done = await box.keeper("search", "duel", "--json")
    assert done.code == 5
    (found,) = done.json()
    assert found["suitable"] == []
    assert found["is_wide"] is True
    assert found["sentence"] == said
    assert "removed" in said
    assert "would suit with offer.gpu_names: [RTX 9999, " in said


async def slot_of(box: Box) -> Any:
    (stream,) = (await box.keeper("status", "--json")).json()["streams"]
    (slot,) = stream["slots"]
    return slot


async def test_an_unknown_stream_is_answered_with_the_known_ones(box: Box) -> None:
    done = await box.keeper("search", "deul")
    assert done.code == 5
    assert "there is no stream 'deul' (did you mean 'duel'?)" in done.err
