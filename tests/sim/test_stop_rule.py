"""Dollars flow and the picture does not: no more hosts, one message, and a person who begins it anew."""

from dataclasses import replace

from keeper.core.world import OrderKind
from keeper.daemon.declared import Declared
from keeper.sim.notices import FIRING, read_notices
from keeper.sim.opsbox import OpsBox
from keeper.sim.stage import declared
from keeper.sim.universe import Universe
from keeper.sim.virtual_hosts import FREEZES
from tests.sim.awaits import Marked
from tests.sim.interrupted import Ending, Story, give, play

_HOUR_S = 3600.0
_LIMIT_DOLLARS = 0.30  # about forty minutes of a host


def _limited(given: Declared, dollars: float) -> Declared:
    (stream,) = given.desired.streams
    stream = replace(stream, policy=replace(stream.policy, dark_spend_max_dollars=dollars))
    return replace(given, desired=replace(given.desired, streams=(stream,)))


def _played(limit_dollars: float) -> tuple[Ending, list[int], list[str]]:
    """Six hours in which every host freezes, a kill in between; then the image is mended."""
    rented: list[int] = []
    told: list[str] = []

    (stream,) = declared({"duel": 1}).desired.streams

    async def spoil(universe: Universe, _: OpsBox) -> None:
        universe.hosts.flaws[stream.rental.image] = FREEZES

    async def die(_: Universe, box: OpsBox) -> None:
        box.kill(down_s=600.0)

    async def look(universe: Universe, _: OpsBox) -> None:
        rented.append(len(universe.market.ledger.rentals))

    async def mend(universe: Universe, box: OpsBox) -> None:
        messages = tuple((each.at, each.body) for each in universe.mailbox.messages)
        told.extend(
            each.name
            for each in read_notices(messages)
            if each.kind == FIRING and each.name == "KeeperDarkSpend"
        )
        universe.hosts.flaws.clear()
        await give(box, OrderKind.REPLACE)

    story = Story(
        name="a bad image",
        acts=(
            (0.0, spoil),
            (3.0 * _HOUR_S, look),
            (4.0 * _HOUR_S, die),
            (6.0 * _HOUR_S, look),
            (6.0 * _HOUR_S, mend),
        ),
        over_s=7.5 * _HOUR_S,
        change=lambda given: _limited(given, limit_dollars),
    )
    return play(story, Marked(())), rented, told


def test_what_shows_no_picture_gets_no_more_hosts_until_a_person_has_looked() -> None:
    ending, rented, told = _played(_LIMIT_DOLLARS)
    assert rented[0] == rented[1] <= 3, "nor after a restart"
    assert told == ["KeeperDarkSpend"]
    assert ending.is_on_air
    # Dark it was, by a flaw that no other host cures; nothing else may be wrong.
    assert [each for each in ending.broken if not each.startswith("I18")] == []


def test_without_the_rule_hosts_are_changed_as_often_as_the_ladder_allows() -> None:
    ending, rented, told = _played(1000.0)
    assert rented[1] >= 6
    assert told == []
    assert ending.is_on_air


def test_who_is_on_call_mends_what_was_declared_and_lets_keeper_go_on() -> None:
    """Three hours after the message, and without that keeper rents no more: seeds 6487, 9091 of any fleet."""
    rented: list[int] = []

    async def declare_badly(_: Universe, box: OpsBox) -> None:
        assert box.releases is not None
        box.releases.release(0, FREEZES)
        box.reload()
        box.be_on_call()

    async def look(universe: Universe, _: OpsBox) -> None:
        rented.append(len(universe.market.ledger.rentals))

    story = Story(
        name="somebody is on call",
        acts=((5.0, declare_badly), (2.5 * _HOUR_S, look), (3.4 * _HOUR_S, look)),
        over_s=6.0 * _HOUR_S,
        change=lambda given: _limited(given, _LIMIT_DOLLARS),
        has_releases=True,
    )
    ending = play(story, Marked(()))
    assert rented[0] == rented[1] <= 3
    assert ending.is_on_air
    assert ending.facts["order.accepted"] == 1
    assert ending.broken == ()
