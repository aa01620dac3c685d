"""The real process dies and stands still at exact calls. `make soak` does it at every one of them."""

from collections import Counter
from pathlib import Path

import pytest

from keeper.sim.death import Book, Record, batches, points_of
from keeper.sim.death_keeper import Deed
from keeper.sim.death_lives import BIRTH, LIVES
from keeper.sim.death_run import Point, play

pytestmark = pytest.mark.slow


def _points(*names: str) -> tuple[Point, ...]:
    return tuple(map(Point.parse, names))


@pytest.mark.timeout(240)
async def test_frozen_and_killed_around_a_create_a_command_and_a_commit_the_process_comes_right() -> (
    None
):
    """I1, I2, I10: the create was carried out, and nobody was told."""
    points = _points(
        "freeze|PUT /asks/{id}/|arrived|1",
        "kill|PUT /asks/{id}/|acted|1",
        "freeze|ssh command|acted|2",
        "kill|ssh command|arrived|5",
        "kill|commit|arrived|14",
    )
    told = await play(BIRTH, points, freeze_s=4.0, restart_s=0.5)
    assert told.complaints == ()
    assert set(told.struck) == set(points)


@pytest.mark.timeout(240)
async def test_killed_around_the_orders_to_stop_and_to_start_a_spare_the_process_comes_right() -> (
    None
):
    """I1, I3, I11: both orders were carried out, and nobody was told."""
    points = _points(
        "kill|PUT /instances/{id}/|acted|1",
        "kill|PUT /instances/{id}/|acted|2",
    )
    told = await play(LIVES["spare"], points, restart_s=0.5)
    assert told.complaints == ()
    assert set(told.struck) == set(points)
    assert set(told.facts) == LIVES["spare"].lived


def test_the_campaign_has_a_point_for_each_moment_and_forgets_none() -> None:
    order = ("a|arrived", "a|acted", "a|arrived", "b|arrived", "a|acted")
    points = tuple(points_of(order, Deed.KILL))
    assert len(set(points)) == len(order)
    assert {each.name for each in points} >= {"kill|a|arrived|2", "kill|b|arrived|1"}
    changing = Point.parse("kill|PUT /b|acted|1")
    spread = list(batches((*points, changing), Deed.FREEZE))
    assert sorted(point for batch in spread for point in batch) == sorted((*points, changing))
    assert spread[0] == (changing,)


def test_the_campaign_goes_on_from_its_record_of_each_life(tmp_path: Path) -> None:
    book = Book(tmp_path / "record.json")
    record = book.of("spare")
    record.order = ("a|arrived", "a|arrived", "b|acted")
    record.done = {"kill|a|arrived|2"}
    record.missed["kill|b|acted|1"] = 2
    record.facts["spare.promoted"] = 3
    book.of("plain").order = ("c|arrived",)
    book.write()
    again = Book.read(book.path)
    assert again == book
    assert [point.name for point in again.of("spare").left(Deed.KILL)] == ["kill|a|arrived|1"]
    assert len(again.of("spare").left(Deed.FREEZE)) == 3
    assert again.of("plain").facts == Counter()
    assert again.of("bids") == Record()
