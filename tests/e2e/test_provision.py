"""A stream brought on air by one command, with and without a keeper that runs."""

import asyncio
import re
import signal
import stat
import subprocess

import pytest

from keeper.sim.faults import Fault, FaultKind
from tests.e2e.conftest import Box

pytestmark = pytest.mark.timeout(300)


async def test_says_first_what_it_would_rent(box: Box) -> None:
    done = await box.keeper("provision", "duel", "--dry-run")
    assert (done.code, done.out) == (0, "")
    assert "the best is offer" in done.err
    assert box.creates() == []
    done = await box.keeper("provision", "duel")
    assert done.code == 6
    assert "repeat it with --yes" in done.err
    assert box.creates() == []


async def test_brings_a_stream_on_air_and_says_how_to_connect(box: Box) -> None:
    done = await box.keeper("provision", "duel", "--yes")
    assert done.code == 0, done.err
    (instance_id,) = box.live()
    assert f"Instance {instance_id} is ready: duel/0 is on air." in done.out
    assert re.search(r"\nPrice: 0\.\d{3} \$/h \(GPU 0\.\d{3} \+ disk 0\.\d{3}\)\n", done.out)
    assert f"\n  VAST_INSTANCE_ID={instance_id}\n" in done.out
    saved = box.state / "connect" / "duel-0.env"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert f"VAST_INSTANCE_ID={instance_id}" in saved.read_text()
    assert re.search(r"is booting \(.*\); usually 30s to 5m, given up after 15m00s\n", done.err)
    assert "\x1b" not in done.err
    # Once more is no second rental, and the words can be pasted.
    out = box.folder / "ssh_config"
    done = await box.keeper(
        "provision", "duel", "--yes", "--export", "ssh-config", "--out", str(out)
    )
    assert done.code == 0, done.err
    assert len(box.creates()) == 1
    assert done.out == out.read_text()
    login = await asyncio.create_subprocess_exec(
        *("ssh", "-F", str(out), "-o", "ClearAllForwardings=yes", "keeper-duel-0", "echo in"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await login.communicate()
    assert (login.returncode, output) == (0, b"in\n"), errors
    # What was rented by a command is ended by one.
    done = await box.keeper("destroy", "duel", "--yes")
    assert (done.code, box.live()) == (0, []), done.err


async def test_no_offer_is_no_wait(box: Box) -> None:
    box.configure("    offer: {gpu_names: [RTX 9999]}")
    done = await box.keeper("provision", "duel", "--yes")
    assert done.code == 5
    assert "no offer suits duel; nothing was rented" in done.err
    assert "would suit with offer.gpu_names: [RTX 9999, RTX" in " ".join(done.err.split())


@pytest.mark.parametrize("mode", ["observe", "suggest"])
async def test_a_stream_that_is_only_watched_is_not_rented_for(box: Box, mode: str) -> None:
    box.configure(f"    mode: {mode}")
    done = await box.keeper("provision", "duel", "--yes")
    assert done.code == 6
    assert "set its mode to act" in done.err
    assert box.creates() == []


async def test_an_unknown_stream_is_answered_with_the_known_ones(box: Box) -> None:
    done = await box.keeper("provision", "deul", "--yes")
    assert done.code == 5
    assert "there is no stream 'deul' (did you mean 'duel'?)" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_provision_names_what_it_has_rented(
    box: Box, number: signal.Signals
) -> None:
    running = await box.start("provision", "duel", "--yes")
    await running.says("is booting", stream="err")
    running.kill(number)
    assert await running.ended() == 130
    (instance_id,) = box.live()
    said = "".join(running.err)
    assert f"interrupted; instance {instance_id} (" in said
    assert "go on with keeper provision duel, or end it with keeper destroy duel/0" in said
    assert "Traceback" not in said
    done = await box.keeper("provision", "duel", "--yes")
    assert done.code == 0, done.err
    assert box.live() == [instance_id]
    assert len(box.creates()) == 1


async def test_an_interrupt_before_anything_is_rented_leaves_nothing(box: Box) -> None:
    running = await box.start("provision", "duel", "--yes")
    await running.says("the best is offer", stream="err")
    running.kill(signal.SIGINT)
    assert await running.ended() == 130
    said = "".join(running.err)
    assert "error: interrupted" in said
    if not box.live():
        assert "nothing is rented" in said
    assert "Traceback" not in said


async def test_time_up_names_what_is_rented(box: Box) -> None:
    box.sim.market.arm(Fault(kind=FaultKind.STUCK_LOADING))
    running = await box.keeper("provision", "duel", "--yes", "--timeout", "20")
    assert running.code == 75
    (instance_id,) = box.live()
    assert f"duel is not on air after 20 s; instance {instance_id}" in running.err


async def test_with_a_running_keeper_it_waits_and_connects(box: Box) -> None:
    daemon = await box.daemon()
    done = await box.keeper("provision", "duel", "--export", "env")
    assert done.code == 0, done.err
    (instance_id,) = box.live()
    assert f"VAST_INSTANCE_ID={instance_id}\n" in done.out
    assert done.out.count("\n") == 4
    # A slot that was ended by order is held; provision asks before it resumes that.
    assert (await box.keeper("destroy", "duel", "--yes")).code == 0
    done = await box.keeper("provision", "duel")
    assert done.code == 6
    done = await box.keeper("provision", "duel", "--yes", "--export", "github")
    assert done.code == 0, done.err
    assert done.out.startswith("gh secret set VAST_SSH_HOST --body ")
    assert len(box.live()) == 1
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0


# --- what goes wrong --------------------------------------------------------------------------------


async def test_a_place_that_cannot_be_written_is_said_before_money_is_spent(box: Box) -> None:
    (box.folder / "file").write_text("")
    out = box.folder / "file" / "vast.env"
    done = await box.keeper("provision", "duel", "--yes", "--out", str(out))
    assert done.code == 1
    assert f"cannot write {out}: {out.parent} is no folder; nothing was rented" in done.err
    assert box.sim.ledger.plain()["requests"] == []


async def test_a_key_that_is_refused(box: Box) -> None:
    done = await box.keeper("provision", "duel", "--yes", environ={"VAST_API_KEY": "wrong"})
    assert done.code == 4
    assert box.creates() == []


async def test_an_account_without_credit(box: Box) -> None:
    box.sim.market.arm(Fault(kind=FaultKind.CREDIT_ZERO))
    done = await box.keeper("provision", "duel", "--yes")
    assert done.code == 1
    assert "nothing is rented" in done.err
    assert "https://cloud.vast.ai/billing/" in done.err
    assert box.live() == []


async def test_a_second_provision_waits_its_turn(box: Box) -> None:
    running = await box.start("provision", "duel", "--yes")
    await running.says("is booting", stream="err")
    running.kill(signal.SIGSTOP)  # or it might be done before the other has begun
    done = await box.keeper("provision", "duel", "--yes")
    running.kill(signal.SIGCONT)
    assert done.code == 75
    assert await running.ended() == 0
    assert len(box.creates()) == 1


async def test_a_wrong_configuration(box: Box) -> None:
    box.configure("    ofer: {}")
    done = await box.keeper("provision", "duel", "--yes")
    assert done.code == 78
    assert "did you mean" in done.err


async def test_a_running_keeper_that_backs_off_looks_again_for_whoever_waits(box: Box) -> None:
    """Its next search may be minutes away; the market had nothing, and now it has."""
    box.sim.market.arm(Fault(kind=FaultKind.SEARCH_EMPTY, for_s=20.0))
    box.configure("    policy: {no_offer_backoff_s: [10m]}")
    daemon = await box.daemon()
    await daemon.says('"reason":"no_suitable_offer"')
    box.sim.market.faults.clear()
    done = await box.keeper("provision", "duel")
    assert done.code == 0, done.err
    daemon.kill(signal.SIGTERM)
    assert await daemon.ended() == 0
