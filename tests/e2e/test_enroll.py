"""Keeper's own SSH key and the account, by the command: put there once, left alone, or refused."""

import signal

import pytest

from keeper.sim.access import Grant
from tests.e2e.conftest import Box

pytestmark = pytest.mark.timeout(300)


def asked(box: Box, call: str) -> int:
    """Count the calls that the marketplace has answered with yes or no."""
    requests = box.sim.ledger.plain()["requests"]
    return sum(f"{each['method']} {each['path']}" == call for each in requests)


async def test_the_key_is_put_into_the_account_once(box: Box) -> None:
    daemon = await box.daemon()
    await daemon.says(r'"event":"key.registered"')
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
    again = await box.daemon()
    await box.until(lambda: asked(box, "GET /ssh/") == 2, running=again)
    await again.says(r'"event":"stream.on_air"')
    assert asked(box, "POST /ssh/") == 1
    (key,) = box.sim.market.account_keys.values()
    assert key.startswith("ssh-ed25519 ")


async def test_the_account_is_left_alone_where_that_is_said(box: Box) -> None:
    box.config.write_text(
        box.config.read_text().replace("vast: {", "vast: {register_ssh_key: false, ", 1)
    )
    assert "register_ssh_key: false" in box.config.read_text()
    await box.daemon(until_on_air=True)
    assert asked(box, "GET /ssh/") == asked(box, "POST /ssh/") == 0


async def test_a_team_that_takes_no_key_is_a_fact_and_the_stream_comes_on_air(box: Box) -> None:
    box.sim.api.keys.give("a-team", Grant(is_team=True))
    daemon = await box.daemon(VAST_API_KEY="a-team")
    said = await daemon.says(r'"event":"key.not_registered"')
    assert "a team has no SSH keys of its own" in str(said)
    await daemon.says(r'"event":"stream.on_air"')
    assert box.sim.market.account_keys == {}
