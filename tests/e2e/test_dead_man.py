"""The dead man, from the setting to the rental that stands still: a real daemon, shell, SSH and API."""

import asyncio
import signal
from pathlib import Path

import pytest

from keeper.sim.ssh_host import LoopbackHost
from keeper.sim.warden import Found
from tests.e2e.conftest import Box

pytestmark = pytest.mark.timeout(300)

SETTING = "  dead_man_after_s: {}\n  unreachable_s: 3\n  probe_stale_s: 3\n  fatal_state_s: 1\n"


def _host(box: Box) -> LoopbackHost:
    (instance_id,) = box.live()
    return box.sim.hosts.host(instance_id)


def _guards(host: LoopbackHost) -> list[str]:
    return [title for title in map(_title, host.processes()) if "dead_man.sh" in title]


def _title(process: Found) -> str:
    """The command of a process; one that has ended since it was listed has none."""
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    except OSError:
        return ""


def _own_calls(box: Box) -> list[dict[str, object]]:
    """What was asked to change with the instance's own key: keeper never stops a rental."""
    requests = box.sim.ledger.plain()["requests"]
    return [
        each
        for each in requests
        if (each["method"], each["endpoint"]) == ("PUT", "/instances/{id}/")
    ]


def _configure(box: Box, after_s: int) -> None:
    box.configure()
    text = box.config.read_text().replace("  probe_stale_s: 20\n", "")
    box.config.write_text(text.replace("policy:\n", f"policy:\n{SETTING.format(after_s)}"))


async def test_a_host_that_hears_no_keeper_stops_itself_and_is_replaced_blamelessly(
    box: Box,
) -> None:
    # Longer than the next process may take to start on a busy machine.
    _configure(box, 100)
    first = await box.daemon()
    await first.says(r'"event":"dead_man.armed".*"after_s":100')
    host = _host(box)
    assert len(_guards(host)) == 1
    first.kill(signal.SIGKILL)
    await first.ended()
    # Without the setting it is taken away, also by a keeper that only its record tells of it.
    box.configure()
    second = await box.daemon()
    await second.says(r'"event":"dead_man.removed"')
    assert _guards(host) == []
    assert not (host.home / ".keeper-dead-man").exists()
    _configure(box, 6)
    second.kill(signal.SIGHUP)
    await second.says(r'"event":"dead_man.armed".*"after_s":6\b')
    # A pause is no reason to stop: whoever is paused is there.
    assert (await box.keeper("pause", "--for", "7s", "--reason", "a look")).code == 0
    await asyncio.sleep(7.0)
    assert len(_guards(host)) == 1
    assert _own_calls(box) == []
    # Nobody is there for long: the host stops itself, by its own key, once.
    second.kill(signal.SIGKILL)
    await second.ended()
    (instance_id,) = box.live()
    contract = box.sim.market.contracts[instance_id]
    await box.until(lambda: contract.intended == "stopped")
    (call,) = _own_calls(box)
    assert (call["instance_id"], call["status"]) == (instance_id, 200)
    # keeper comes back, says why, and blames no machine.
    third = await box.daemon()
    await third.says(r'"event":"instance.condemned".*"reason":"dead_man_stopped"')
    third.kill(signal.SIGTERM)
    assert await third.ended() == 0
    assert not [line for line in third.out if '"event":"machine.quarantined"' in line]
