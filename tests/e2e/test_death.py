"""The real process dies and stands still at exact calls. `make soak` does it at every one of them."""

from pathlib import Path

import pytest

from keeper.sim.death import Record, batches, points_of
from keeper.sim.death_run import Deed, Point, play

pytestmark = pytest.mark.slow


@pytest.mark.timeout(240)
async def test_killed_at_a_create_a_command_and_a_commit_the_process_comes_right() -> None:
    """I1, I2, I10: the create was carried out, and nobody was told."""
    points = tuple(
        map(
            Point.parse,
            (
                "kill|PUT /asks/{id}/|acted|1",
                "kill|ssh command|arrived|3",
                "kill|commit|arrived|14",
            ),
        )
    )
    told = await play(points, restart_s=0.5, is_short=True)
    assert told.complaints == ()
    assert set(told.struck) == set(points)


@pytest.mark.timeout(240)
async def test_frozen_at_a_create_and_at_a_command_the_process_comes_right() -> None:
    points = tuple(
        map(Point.parse, ("freeze|PUT /asks/{id}/|arrived|1", "freeze|ssh command|acted|2"))
    )
    told = await play(points, freeze_s=4.0, is_short=True)
    assert told.complaints == ()
    assert set(told.struck) == set(points)


def test_the_campaign_has_a_point_for_each_moment_and_forgets_none() -> None:
    order = ("a|arrived", "a|acted", "a|arrived", "b|arrived", "a|acted")
    points = tuple(points_of(order, Deed.KILL))
    assert len(set(points)) == len(order)
    assert {each.name for each in points} >= {"kill|a|arrived|2", "kill|b|arrived|1"}
    spread = list(batches(points, Deed.FREEZE))
    assert sorted(point for batch in spread for point in batch) == sorted(points)


def test_the_campaign_goes_on_from_its_record(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = Record(order=("a|arrived", "a|arrived", "b|acted"), done={"kill|a|arrived|2"})
    record.missed["kill|b|acted|1"] = 2
    record.write(path)
    again = Record.read(path)
    assert again == record
    assert [point.name for point in again.left(Deed.KILL)] == ["kill|a|arrived|1"]
    assert len(again.left(Deed.FREEZE)) == 3
