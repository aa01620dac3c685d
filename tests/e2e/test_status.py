"""What `keeper status` says of bids that are beaten and contracts that end, from a real marketplace."""

import asyncio
import re

import pytest

from keeper.sim.faults import Fault, FaultKind
from tests.e2e.conftest import PATIENCE_S, Box

pytestmark = pytest.mark.timeout(300)


async def shows(box: Box, pattern: str) -> str:
    """Look until a line fits; a narrow terminal's, where numbers have a table of their own."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            done = await box.keeper("status", environ={"COLUMNS": "80"})
            assert done.code == 0, done.err
            assert max(len(line) for line in done.out.splitlines()) <= 80
            if re.search(pattern, done.out):
                return done.out
            await asyncio.sleep(0.2)


async def test_a_bid_is_shown_as_one_and_a_beaten_one_with_what_it_takes_now(box: Box) -> None:
    box.configure("    offer: {pricing: interruptible}")
    await box.daemon(until_on_air=True)
    (instance_id,) = box.live()
    await shows(
        box, r"duel/0 +live +\d+s +[·.]{25,}.*[━=] +[\d,]+"
    )  # what viewers saw, a minute a sign
    await shows(box, rf"{instance_id}  duel/0 +24 GB +120 GB +0\.\d{{3}} bid +0\.\d{{3}} ")
    target = f"instance:{instance_id}"
    box.sim.market.arm(Fault(kind=FaultKind.OUTBID, target=target, params={"by": "rival"}))
    said = " ".join((await shows(box, r"duel/0 +(DARK, )?outbid")).split())
    assert "somebody bids more for the machine, so the rental was interrupted" in said
    ours, floor = (
        float(number)
        for number in re.findall(r"our bid (\S+) \$/h, the least that runs now (\S+) \$/h", said)[0]
    )
    assert floor > ours
    status = (await box.keeper("status", "--json")).json()
    host = status["streams"][0]["slots"][0]["host"]
    assert host["is_bid"]
    view = status["streams"][0]["slots"][0]["view"]
    assert "live" in {run["verdict"] for run in view["strip"]}


async def test_a_contract_that_ends_is_said_ahead_with_the_host_that_follows(box: Box) -> None:
    await box.daemon(until_on_air=True)
    (instance_id,) = box.live()
    box.sim.market.arm(
        Fault(
            kind=FaultKind.CONTRACT_END,
            target=f"instance:{instance_id}",
            params={"notice_s": 26.0},
        )
    )
    said = " ".join((await shows(box, "next host: ")).split())
    assert "duel/0 on air, ends" in said
    assert re.search(r"the rental's contract ends in \d+s \(\d\d-\d\d \d\d:\d\d UTC\)", said)
    assert len(re.findall(r"\d+ duel/0 24 GB 120 GB", said)) >= 1
