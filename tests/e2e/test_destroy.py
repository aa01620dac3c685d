"""Rentals ended for certain: what is said, what the marketplace's ledger says, and what Ctrl-C leaves."""

import re
import signal
from typing import Any

import aiohttp
import pytest

from tests.e2e.conftest import API_KEY, Box

pytestmark = pytest.mark.timeout(300)

TWO = "    replicas: 2"
GONE = (
    r"{slot}: instance {id} is confirmed gone: missing from the complete listings of"
    r" \d\d:\d\d:\d\d and \d\d:\d\d:\d\d UTC, unknown by its id at \d\d:\d\d:\d\d;"
    r" it cost about \d+\.\d\d \$\n"
)


def gone(slot: str, instance_id: int) -> str:
    return GONE.format(slot=slot, id=instance_id)


def destroys(box: Box) -> list[Any]:
    """Return the requests to destroy that have reached the marketplace."""
    return [each for each in box.sim.ledger.plain()["requests"] if each["method"] == "DELETE"]


async def stranger(box: Box) -> int:
    """Let another program rent on the same account."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(box.sim.url, headers=headers) as session:
        query = {"rentable": {"eq": True}, "type": "on-demand"}
        async with session.post("/api/v0/bundles/", json=query) as reply:
            offer = (await reply.json())["offers"][-1]["id"]
        body = {"client_id": "me", "image": "other/image", "disk": 8, "label": "training"}
        async with session.put(f"/api/v0/asks/{offer}/", json=body) as reply:
            return int((await reply.json())["new_contract"])


def stand(box: Box, label: str) -> int:
    """Let a rental stand on the account, whoever made it."""
    market = box.sim.market
    ask = next(each for each in market.asks() if not each.machine.has_display)
    body = {"image": "other/image", "disk": 8, "label": label}
    return int(market.create(ask.offer_id, body)["new_contract"])


async def test_an_end_with_a_running_keeper_says_when_it_was_confirmed(box: Box) -> None:
    box.configure(TWO)
    daemon = await box.daemon()
    await daemon.says(r'"event":"stream.on_air","slot":"duel/0"')
    await daemon.says(r'"event":"stream.on_air","slot":"duel/1"')
    other = await stranger(box)
    ids = {slot: await instance_of(box, slot) for slot in ("duel/0", "duel/1")}
    # Whoever may use the socket may order, with a key or without one.
    done = await box.keeper("destroy", "--all", "--yes", environ={"VAST_API_KEY": ""})
    assert done.code == 0, done.err
    assert re.fullmatch("".join(gone(*each) for each in sorted(ids.items())), in_order(done.out))
    assert "its picture is ON AIR now" in done.err
    assert "destroys are sent 3 s apart" in done.err
    assert f"instance {other} (" in done.err
    assert "not keeper's, so not touched" in done.err
    assert box.live() == [other]
    first, second = destroys(box)
    assert second["at"] - first["at"] >= 3.0
    done = await box.keeper("destroy", "--all", "--yes")
    assert (done.code, done.out) == (0, "")
    assert "nothing is rented there, so there is nothing to end" in done.err
    assert len(destroys(box)) == 2
    assert "0 of 2 on air; 2 paused." in (await box.keeper("status")).out


async def test_an_end_without_a_keeper_is_the_same(box: Box) -> None:
    assert (await box.keeper("provision", "duel", "--yes")).code == 0
    (instance_id,) = box.live()
    other = await stranger(box)
    done = await box.keeper("destroy", "duel", "--dry-run")
    assert (done.code, done.out) == (0, "")
    assert "nobody watches its picture now; it was on air when keeper last looked" in done.err
    assert "each end is confirmed by two complete listings 2s apart" in done.err
    done = await box.keeper("destroy", "duel")
    assert done.code == 6
    assert destroys(box) == []
    done = await box.keeper("destroy", "--all", "--yes")
    assert done.code == 0, done.err
    assert re.fullmatch(gone("duel/0", instance_id), done.out)
    assert f"instance {other} (" in done.err
    assert box.live() == [other]
    done = await box.keeper("destroy", "duel", "--yes")
    assert (done.code, done.out) == (0, "")
    assert "nothing is rented there" in done.err
    assert len(destroys(box)) == 1


async def test_an_end_that_was_interrupted_is_recorded_and_named_by_the_next_command(
    box: Box,
) -> None:
    """The first listing without it is not enough: until it is confirmed it may still be billed."""
    assert (await box.keeper("provision", "duel", "--yes")).code == 0
    (instance_id,) = box.live()
    running = await box.start("destroy", "duel", "--yes")
    await running.says("destroy sent|took the destroy|missing from", stream="err")
    running.kill(signal.SIGINT)
    assert await running.ended() == 130
    said = "".join(running.err)
    assert f"interrupted; the end of duel/0 (instance {instance_id}) is recorded" in said
    assert "Traceback" not in said
    status = await box.keeper("status")
    assert f"ending: instance {instance_id} (" in status.out
    done = await box.keeper("destroy", "duel", "--yes")
    assert done.code == 0, done.err
    assert f"instance {instance_id}, which is being ended already" in done.err
    assert re.fullmatch(gone("duel/0", instance_id), done.out)
    assert box.live() == []
    assert {each["instance_id"] for each in destroys(box)} == {instance_id}


async def test_an_interrupt_before_the_order_is_written_leaves_the_rental(box: Box) -> None:
    assert (await box.keeper("provision", "duel", "--yes")).code == 0
    rentals = box.live()
    running = await box.start("destroy", "duel", "--yes")
    await running.says("Nothing is rented for it again before", stream="err")
    running.kill(signal.SIGINT)
    assert await running.ended() == 130
    said = "".join(running.err)
    assert "Traceback" not in said
    if "is recorded" not in said:
        assert box.live() == rentals
        assert destroys(box) == []


async def test_a_running_keeper_goes_on_when_nobody_follows(box: Box) -> None:
    daemon = await box.daemon(until_on_air=True)
    (instance_id,) = box.live()
    running = await box.start("destroy", "duel", "--yes", "--reason", "over")
    await running.says(f"instance {instance_id}: ", stream="err")
    running.kill(signal.SIGINT)
    assert await running.ended() == 130
    said = "".join(running.err)
    assert "interrupted; the end of duel/0 is ordered and recorded, and keeper goes on" in said
    assert "Traceback" not in said
    await daemon.says(r'"event":"instance.ended"')
    assert box.live() == []
    events = await box.keeper("events", "--slot", "duel/0")
    assert "ordered: destroy (over)" in events.out


async def test_time_up_says_what_goes_on(box: Box) -> None:
    await box.daemon(until_on_air=True)
    done = await box.keeper("destroy", "duel", "--yes", "--timeout", "1")
    assert done.code == 75
    assert "not confirmed gone after 1 s; the end of duel/0 is ordered and recorded" in done.err
    await box.until(lambda: box.live() == [])


async def test_names_that_are_not_there_and_lines_that_are_not_clear(box: Box) -> None:
    assert (await box.keeper("destroy")).code == 2
    assert (await box.keeper("destroy", "duel/0", "--all")).code == 2
    done = await box.keeper("destroy", "deul/0", "--yes")
    assert done.code == 5
    assert "did you mean 'duel/0'?" in done.err
    done = await box.keeper("destroy", "--all", "--yes")
    assert (done.code, done.out) == (0, "")
    assert destroys(box) == []


async def instance_of(box: Box, slot: str) -> int:
    status = (await box.keeper("status", slot, "--json")).json()
    return int(status["streams"][0]["slots"][0]["host"]["instance_id"])


def in_order(lines: str) -> str:
    return "".join(sorted(lines.splitlines(keepends=True)))


async def test_strays_are_shown_with_their_commands_ended_and_adopted(box: Box) -> None:
    """An earlier keeper's store was lost, and its rentals go on costing.

    The stream only observes, so that its slot stays empty.
    """
    box.configure("    mode: observe")
    kept = stand(box, "keeper:0123abcd:duel/0:4")
    useless, other = stand(box, "keeper:0123abcd:gone/0:4"), stand(box, "training")
    daemon = await box.daemon()
    await daemon.says(rf'"event":"orphan.seen","instance_id":{useless}')
    shown = await box.keeper("status")
    assert f"  end it: keeper destroy --orphan {useless}\n" in shown.out
    assert f"  or take it over: keeper adopt {kept} --as duel/0\n" in shown.out
    assert (await box.keeper("destroy", "duel/0", "--orphan", str(kept))).code == 2
    assert (await box.keeper("destroy", "--orphan", str(other), "--yes")).code == 6
    asked = await box.keeper("destroy", "--orphan", str(kept))
    assert (asked.code, asked.out) == (6, "")  # nobody said yes
    tried = await box.keeper("destroy", "--orphan", str(kept), "--dry-run", "--json")
    assert (tried.code, tried.json()["instance_id"]) == (0, kept)
    assert destroys(box) == []

    adopt = ("adopt", str(kept), "--as", "duel/0", "--yes", "--json")
    while (done := await box.keeper(*adopt)).code == 75:
        pass  # one listing alone could be a slip
    assert (done.code, done.json()["slot"]) == (0, "duel/0"), done.err
    await daemon.says(rf'"event":"instance.adopted","slot":"duel/0","instance_id":{kept}')
    taken = await box.keeper("adopt", str(useless), "--as", "duel/0", "--dry-run")
    assert (taken.code, "duel/0 has a host" in taken.err) == (6, True)
    ended = await box.keeper("destroy", "--orphan", str(useless), "--yes", "--reason", "left over")
    assert ended.code == 0, ended.err
    assert re.fullmatch(
        rf"rental {useless} is confirmed gone; it cost about \$\d+\.\d\d\n", ended.out
    )
    assert [each["instance_id"] for each in destroys(box)] == [useless]
    assert set(box.live()) == {kept, other}
