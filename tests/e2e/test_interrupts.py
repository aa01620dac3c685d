"""Ctrl-C at any moment of a provision leaves nothing, or a rental that the next command names.

The simulator's ledger is asked, not keeper: nothing is leaked, and nothing is rented twice.
"""

import asyncio
import re
import signal

import pytest

from keeper.sim.faults import Fault, FaultKind
from tests.e2e.conftest import Box, Running

pytestmark = pytest.mark.timeout(300)

_SLOW_S = 6.0


def slow_create(box: Box, delay_s: float = _SLOW_S) -> None:
    """Let the answer to a create come late; the rental is made at once."""
    slow(box, "PUT /asks/*", delay_s)


def slow(box: Box, endpoint: str, delay_s: float) -> None:
    params = {"endpoint": endpoint, "delay_s": delay_s}
    box.sim.market.arm(Fault(kind=FaultKind.LATENCY, params=params))


async def provision_until(box: Box, words: str) -> Running:
    running = await box.start("provision", "duel", "--yes")
    await running.says(words, stream="err")
    return running


async def interrupted(running: Running, *, times: int = 1) -> str:
    """Interrupt a command as a person does, and return what it said."""
    running.kill(signal.SIGINT)
    for _ in range(times - 1):
        await running.says("once more leaves at once", stream="err")
        running.kill(signal.SIGINT)
    assert await running.ended() == 130, running.everything()
    said = "".join(running.err)
    assert "Traceback" not in said, said
    assert "error: interrupted" in said
    return said


async def must_go_on(box: Box, instance_id: int | None) -> None:
    """The next command names it, the one after brings it on air, and it was rented once."""
    status = await box.keeper("status")
    if instance_id is not None:
        assert str(instance_id) in status.out, status.out
    done = await box.keeper("provision", "duel", "--yes")
    assert done.code == 0, done.err
    (live,) = box.live()
    assert instance_id in (None, live)
    assert f"Instance {live} is ready" in done.out
    made = [each for each in box.creates() if each["status"] == 200]
    assert len(made) == 1
    rentals = box.sim.ledger.plain()["rentals"]
    assert [each["instance_id"] for each in rentals] == [live]


@pytest.mark.parametrize("wait_s", [0.0, 0.3, 0.6, 0.9])
async def test_before_it_has_asked_anything_nothing_is_rented(box: Box, wait_s: float) -> None:
    """Also while the interpreter starts, where Python's own handler is all there is."""
    running = await box.start("provision", "duel", "--yes")
    await asyncio.sleep(wait_s)
    running.kill(signal.SIGINT)
    await running.ended()
    assert box.creates() == []


@pytest.mark.parametrize("words", ["the best is offer", "at most .* for all its slots"])
async def test_between_the_announcement_and_the_create(box: Box, words: str) -> None:
    running = await provision_until(box, words)
    said = await interrupted(running)
    if not box.live():
        assert "interrupted; nothing is rented" in said
    await must_go_on(box, next(iter(box.live()), None))


async def test_while_the_market_is_searched(box: Box) -> None:
    slow(box, "POST /bundles/", 3.0)
    running = await provision_until(box, "asking for fresh ones")
    said = await interrupted(running)
    assert "interrupted; nothing is rented" in said
    assert box.live() == []
    await must_go_on(box, None)


async def test_while_the_create_is_on_its_way(box: Box) -> None:
    """Its answer is waited for, so that the rental can be named by its id."""
    slow_create(box)
    running = await provision_until(box, "renting offer")
    await box.until(lambda: len(box.live()) == 1)
    said = await interrupted(running)
    (instance_id,) = box.live()
    assert "once more leaves at once" in said
    assert f"interrupted; instance {instance_id} (" in said
    assert "that is recorded" in said
    await must_go_on(box, instance_id)


async def test_twice_while_the_create_is_on_its_way(box: Box) -> None:
    """Whoever does not wait for the answer is told the label; the next command finds the rental."""
    slow_create(box, 20.0)
    running = await provision_until(box, "renting offer")
    await box.until(lambda: len(box.live()) == 1)
    said = await interrupted(running, times=2)
    (instance_id,) = box.live()
    label = re.search(r"a rental labelled (\S+) may exist for duel/0; that is recorded", said)
    assert label is not None, said
    (rental,) = box.sim.ledger.plain()["rentals"]
    assert rental["label"] == label[1]
    assert label[1] in (await box.keeper("status", "--json")).out
    await must_go_on(box, None)
    assert rental["instance_id"] == instance_id


async def test_killed_while_the_create_is_on_its_way(box: Box) -> None:
    """No signal handler, no last word: the label on the disk is enough."""
    slow_create(box, 20.0)
    running = await provision_until(box, "renting offer")
    await box.until(lambda: len(box.live()) == 1)
    running.kill(signal.SIGKILL)
    await running.ended()
    await must_go_on(box, None)


async def test_a_create_that_was_refused_leaves_nothing(box: Box) -> None:
    params = {"endpoint": "PUT /asks/*"}
    box.sim.market.arm(Fault(kind=FaultKind.HTTP_502, params=params))
    running = await provision_until(box, "renting offer")
    await interrupted(running)
    await must_go_on(box, None)


@pytest.mark.parametrize("words", ["is booting", "putting the workload", "warms up"])
async def test_while_it_boots_and_while_it_is_deployed(box: Box, words: str) -> None:
    running = await provision_until(box, words)
    said = await interrupted(running)
    (instance_id,) = box.live()
    assert f"interrupted; instance {instance_id} (" in said
    assert "go on with keeper provision duel, or end it with keeper destroy duel/0" in said
    await must_go_on(box, instance_id)


async def test_twice_while_it_is_deployed(box: Box) -> None:
    running = await provision_until(box, "putting the workload")
    said = await interrupted(running, times=2)
    (instance_id,) = box.live()
    assert f"instance {instance_id} (" in said
    await must_go_on(box, instance_id)


async def test_what_an_interrupt_has_left_can_be_ended_at_once(box: Box) -> None:
    running = await provision_until(box, "is booting")
    await interrupted(running)
    done = await box.keeper("destroy", "duel/0", "--yes")
    assert (done.code, box.live()) == (0, []), done.err


async def test_an_interrupt_beside_a_running_keeper_ends_only_the_waiting(box: Box) -> None:
    await box.daemon()
    running = await provision_until(box, "the running keeper brings it on air")
    said = await interrupted(running)
    assert "the running keeper goes on with duel" in said
    done = await box.keeper("provision", "duel")
    assert done.code == 0, done.err
    (live,) = box.live()
    assert f"Instance {live} is ready" in done.out
    assert len(box.creates()) == 1
