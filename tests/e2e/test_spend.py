"""What `keeper spend` says of a real daemon: counted, held to a cap that a reload sets, and kept."""

import signal

import pytest

from tests.e2e.conftest import Box

pytestmark = pytest.mark.timeout(300)


async def test_what_is_spent_is_shown_held_to_a_new_cap_and_remembered(box: Box) -> None:
    daemon = await box.daemon(until_on_air=True)
    # By the way: who else has an account on this box reads nothing of what keeper keeps.
    kept = [box.state, *box.state.iterdir()]
    assert [each.name for each in kept if each.stat().st_mode & 0o077] == []
    assert {"keeper.db", "id_ed25519"} <= {each.name for each in kept}
    shown = await box.keeper("spend", "duel", environ={"COLUMNS": "80"})
    assert shown.out.split()[:2] == ["STREAM", "TODAY"]
    assert max(len(line) for line in shown.out.splitlines()) <= 80
    box.configure("    spend_max_dollars_per_day: 0.001")
    daemon.kill(signal.SIGHUP)
    await box.until(lambda: not box.live(), running=daemon)  # a cap that is used up ends its host
    said = (await box.keeper("spend", "--json")).json()
    (duel,) = said["streams"]
    assert [cap["is_stopped"] for cap in duel["caps"]] == [False, True]  # per hour, per day
    assert 0 < duel["today"]["dollars"] == duel["total"]["dollars"]
    assert said["account"]["spendable_dollars"] > 0
    daemon.kill(signal.SIGTERM)
    await daemon.ended()
    alone = (await box.keeper("spend", "--json")).json()
    assert alone["is_live"] is False
    assert alone["fleet"]["total"]["dollars"] >= duel["total"]["dollars"]
