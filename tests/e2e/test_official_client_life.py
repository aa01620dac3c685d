"""The official client walks whole lives of instances, through `keeper sim serve` and beside it."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keeper.sim.contract import Contract
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.market import MarketShape
from keeper.sim.serve import SimServer, quick_tempo
from tests.e2e.conftest import KEEPER
from tests.e2e.official import Official, Said, new_key, public, scp, ssh
from tests.waiting import look_until

pytestmark = [pytest.mark.real("vastai", "sshd"), pytest.mark.timeout(300)]

KEY = "1" * 64
PATIENCE_S = 120.0


async def until(
    look: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], *, every_s: float = 0.1
) -> Any:
    """Look until it holds, and return what was seen."""
    return await look_until(look, holds, every_s=every_s, patience_s=PATIENCE_S)


async def state(vastai: Official, instance_id: int, *words: str) -> dict[str, Any]:
    """Wait until the client shows one of these states."""
    shown = await until(
        lambda: vastai.raw("show", "instance", instance_id),
        lambda row: row["actual_status"] in words,
    )
    return dict(shown)


async def logged_in(url: str, key: Path, command: str, *, before_it_works: set[str]) -> str:
    """Log in until it works; before, only these may be the reasons why it does not."""

    async def attempt() -> Said:
        said = await ssh(url, key, command)
        if said.code == 255:
            assert any(reason in said.err for reason in before_it_works), said.err
        return said

    said = await until(attempt, lambda one: one.code != 255)
    assert said.code == 0, said.err
    return str(said.out)


YOUNG = {"Permission denied", "closed", "reset"}


# --- against the served marketplace ----------------------------------------------------------


class Served:
    """`keeper sim serve` as a process, and its book."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def ledger(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as web, web.get(f"{self.url}/sim/ledger") as answer:
            return dict(await answer.json())

    async def rental(self, instance_id: int) -> dict[str, Any]:
        rentals = (await self.ledger())["rentals"]
        return next(one for one in rentals if one["instance_id"] == instance_id)


@pytest.fixture
async def served(short_path: Path) -> AsyncIterator[Served]:
    """A marketplace twenty times as fast as real, its limits on calls included."""
    process = await asyncio.create_subprocess_exec(
        *(KEEPER, "sim", "serve", "--port", "0", "--seed", "3", "--time-scale", "20"),
        *("--api-key", KEY, "--state", str(short_path)),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        line = (await process.stdout.readline()).decode()
    found = re.search(r"http://\S+", line)
    assert found, line
    yield Served(found[0])
    process.terminate()
    await process.wait()


async def test_the_whole_life_of_an_instance(served: Served, tmp_path: Path) -> None:
    vastai = Official(served.url, KEY, tmp_path / "home")
    key, second = new_key(tmp_path / "id"), new_key(tmp_path / "second")

    # The account and its keys.
    user = await vastai.raw("show", "user")
    assert user["credit"] == 100.0
    assert "api_key" not in user
    assert "operator@example.com" in (await vastai("show", "user")).out
    assert "Failed with error 404" in (await vastai("show", "ssh-keys")).err, "there is none yet"
    said = await vastai("create", "ssh-key", public(key))
    assert "ssh-key created {'success': True" in said.out
    said = await vastai("show", "ssh-keys")
    assert " ".join(public(key).split()[:2]) in said.out
    key_id = int(re.findall(r"'id': (\d+)", said.out)[0])

    # Rent the cheapest that is still there, and wait.
    offers = await vastai.raw("search", "offers", "-o", "dph", "direct_port_count>=2 num_gpus=1")
    instance_id = 0
    for offer in offers[:3]:  # others rent here too
        said = await vastai(
            *("--raw", "create", "instance", offer["id"], "--image", "vastai/base-image"),
            *("--disk", 32, "--ssh", "--direct", "--label", "official"),
            *("--env", "-e A=1 -e B=two -p 8000:8000 -p 53:53/udp -h box"),
            *("--onstart-cmd", "touch ~/.no_auto_tmux; env >> /etc/environment"),
        )
        if said.out:
            instance_id = said.json()["new_contract"]
            break
        assert "no_such_ask" in said.err or "taken" in said.err
    again = await vastai("create", "instance", offer["id"], "--image", "x", "--disk", 20)
    assert re.match(r"Failed with error (400|404|409|410): ", again.err), again
    row = await state(vastai, instance_id, "running")
    assert row["label"] == "official"
    assert row["extra_env"]["A"] == "1"
    assert row["dph_total"] == pytest.approx(offer["dph_base"] + offer["storage_cost"] * 32 / 720)
    assert {"22/tcp", "8000/tcp"} <= set(row["ports"])
    table = (await vastai("show", "instance", instance_id)).out
    for word in (str(instance_id), "running", "official", row["gpu_name"].replace(" ", "_")):
        assert word in table
    (listed,) = await vastai.raw("show", "instances")
    assert listed["id"] == instance_id
    table = (await vastai("show", "instances", "--verbose")).out
    for word in (str(instance_id), "running", "official", "Total: 1 instances", "official: 1"):
        assert word in table
    assert (await vastai("show", "instances", "-q")).out.split() == [str(instance_id)]
    assert len(await vastai.raw("show", "instances", "--label", "official")) == 1
    assert await vastai.raw("show", "instances", "--label", "other") == []
    assert await vastai.raw("show", "instances", "--status", "exited") == []

    # It is really there.
    url = (await vastai("ssh-url", instance_id)).out.strip()
    assert url == f"ssh://root@127.0.0.1:{row['ports']['22/tcp'][0]['HostPort']}"
    assert await logged_in(url, key, "echo $A $B", before_it_works=YOUNG) == "1 two\n"
    file = tmp_path / "file"
    file.write_text("carried")
    scp_url = (await vastai("scp-url", instance_id)).out.strip()
    assert scp_url == url.replace("ssh:", "scp:")
    assert (await scp(scp_url, key, file, "workspace/file")).code == 0
    assert (await ssh(url, key, "cat workspace/file; nvidia-smi -L")).out.startswith("carriedGPU 0")

    # A key more, a name more, the log.
    assert "Permission denied" in (await ssh(url, second, "true")).err
    said = await vastai("attach", "ssh", instance_id, public(second))
    assert "SSH key added to instance." in said.out
    assert await logged_in(url, second, "echo in", before_it_works=YOUNG) == "in\n"
    said = await vastai("attach", "ssh", instance_id, public(second))
    assert "SSH key already associated with instance." in said.out, "quirk 36, and fine"
    said = await vastai("label", "instance", instance_id, "renamed")
    assert said.out == f"label for {instance_id} set to renamed.\n"
    assert (await vastai.raw("show", "instance", instance_id))["label"] == "renamed"
    said = await vastai("logs", instance_id, "--tail", "50")
    assert "sshd: Failed publickey for root" in said.out

    # Reboot keeps disk and ports; recycle keeps neither.
    said = await vastai("reboot", "instance", instance_id)
    assert said.out == f"Rebooting instance {instance_id}.\n"
    await until(
        lambda: served.rental(instance_id),
        lambda rental: [one["what"] for one in rental["changes"]][-2:] == ["rebooting", "running"],
    )
    await state(vastai, instance_id, "running")
    assert await logged_in(url, key, "cat workspace/file", before_it_works=YOUNG) == "carried"
    said = await vastai("recycle", "instance", instance_id)
    assert said.out == f"Recycling instance {instance_id}.\n"
    await until(
        lambda: served.rental(instance_id),
        lambda rental: [one["what"] for one in rental["changes"]][-2:] == ["recycling", "running"],
    )
    await state(vastai, instance_id, "running")
    assert (await vastai("ssh-url", instance_id)).out.strip() == url, "it believes its cache"
    vastai.forget_addresses()
    new_url = await until(
        lambda: _ssh_url(vastai, instance_id), lambda one: one not in {url, "error: ssh port"}
    )
    gone = await logged_in(new_url, key, "ls workspace; echo $A", before_it_works=YOUNG)
    assert gone == "1\n"

    # Stop gives the GPU back; start gets it again.
    said = await vastai("stop", "instance", instance_id)
    assert said.out == f"stopping instance {instance_id}.\n"
    row = await state(vastai, instance_id, "exited", "stopped")
    assert row["intended_status"] == "stopped"
    assert "refused" in (await ssh(new_url, key, "true")).err
    said = await vastai("start", "instance", instance_id)
    assert said.out == f"starting instance {instance_id}.\n"
    await state(vastai, instance_id, "running")

    # What else an account has.
    assert "success" in (await vastai("show", "deposit", instance_id)).json()
    assert "No environment variables found." in (await vastai("show", "env-vars")).out
    assert "added successfully" in (await vastai("create", "env-var", "token", "x")).out
    said = await vastai("show", "env-vars")
    assert ("Name: TOKEN" in said.out, "Value: *****" in said.out) == (True, True)
    assert "deleted successfully" in (await vastai("delete", "env-var", "token")).out
    said = await vastai("execute", instance_id, "ls /")
    assert "AttributeError: 'str' object has no attribute 'get'" in said.err, "quirk 29"
    assert "Failed with error 400" in (await vastai("execute", instance_id, "sh")).err

    # The end.
    said = await vastai("destroy", "instance", instance_id, "-y")
    assert said.out == f"destroying instance {instance_id}.\n"
    said = await until(
        lambda: vastai("show", "instance", instance_id), lambda one: "not found" in one.err
    )
    assert said.code == 1
    assert await vastai.raw("show", "instances") == []
    assert "No instances found." in (await vastai("show", "instances")).out
    said = await vastai("destroy", "instance", instance_id, "-y")
    assert (said.code, "Failed with error 404" in said.err) == (0, True)
    assert "'success': True" in (await vastai("delete", "ssh-key", key_id)).out
    assert "Failed with error 400" in (await vastai("delete", "ssh-key", key_id)).err

    # The marketplace's own book.
    rental = await served.rental(instance_id)
    assert [(one["what"], one["by"]) for one in rental["changes"]] == [
        ("created", "account"),
        ("running", "host"),
        ("rebooting", "account"),
        ("running", "host"),
        ("recycling", "account"),
        ("running", "host"),
        ("stopped", "account"),
        ("running", "host"),
        ("destroyed", "account"),
    ]
    assert rental["ended_at"] is not None
    await asyncio.sleep(0.3)
    after = await served.rental(instance_id)
    assert after["dollars"] == rental["dollars"] > 0, "nothing is billed any more"
    assert [one for one in (await served.ledger())["rentals"] if one["ended_at"] is None] == []


async def _ssh_url(vastai: Official, instance_id: int) -> str:
    vastai.forget_addresses()
    return (await vastai("ssh-url", instance_id)).out.strip()


# --- beside a marketplace of our own ---------------------------------------------------------


@pytest.fixture
async def sim(short_path: Path) -> AsyncIterator[SimServer]:
    shape = MarketShape(
        renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0, tempo=quick_tempo(0.5)
    )
    async with SimServer(
        seed=7, state_dir=short_path, api_key=KEY, spacing_scale=0, shape=shape
    ) as server:
        yield server


@pytest.fixture
def vastai(sim: SimServer, tmp_path: Path) -> Official:
    return Official(sim.url, KEY, tmp_path / "home")


def offers(sim: SimServer, count: int) -> list[dict[str, Any]]:
    """Return offers on different machines, so that none vanishes with another."""
    query = {"rentable": {"eq": True}, "num_gpus": {"eq": 1}, "order": [["dph_total", "asc"]]}
    by_machine = {row["machine_id"]: row for row in sim.market.search(query)}
    return list(by_machine.values())[:count]


# What is typed, what the marketplace is sent, how the rental comes back, and the way in.
MODES = (
    ((), "ssh", "ssh ssh_proxy", "proxy"),
    (("--ssh",), "ssh_proxy", "ssh ssh_proxy", "proxy"),
    (("--direct",), "ssh", "ssh ssh_proxy", "proxy"),  # the flag alone is ignored
    (("--ssh", "--direct"), "ssh_direc ssh_proxy", "ssh ssh_direc ssh_proxy", "direct"),
    (("--jupyter",), "jupyter_proxy ssh_proxy", "ssh jupyter ssh_proxy", "proxy"),
    (
        ("--jupyter", "--direct"),
        "jupyter_direc ssh_direc ssh_proxy",
        "ssh jupyter ssh_direc ssh_proxy",
        "direct",
    ),
    (("--args", "-c", "sleep infinity"), "args", "args", ""),
)


@pytest.mark.parametrize(("flags", "sent", "shown", "way"), MODES, ids=lambda one: str(one)[:40])
async def test_launch_mode(
    sim: SimServer,
    vastai: Official,
    tmp_path: Path,
    flags: tuple[str, ...],
    sent: str,
    shown: str,
    way: str,
) -> None:
    key = new_key(tmp_path / "id")
    await vastai("create", "ssh-key", public(key))
    instance_id = await vastai.create(
        offers(sim, 1)[0]["id"], "--image", "vastai/base-image", "--disk", 16, *flags
    )
    assert sim.market.contracts[instance_id].runtype == sent
    row = await state(vastai, instance_id, "running")
    assert row["image_runtype"] == shown
    assert ("22/tcp" in row["ports"]) == (way == "direct")
    assert ("8080/tcp" in row["ports"]) == ("jupyter_direc" in sent)
    url = (await vastai("ssh-url", instance_id)).out.strip()
    if way == "direct":
        assert url == f"ssh://root@127.0.0.1:{row['ports']['22/tcp'][0]['HostPort']}"
    else:
        port = int(row["ssh_port"]) + ("jupyter" in sent)
        assert url == f"ssh://root@{row['ssh_host']}:{port}"
    if way:
        assert await logged_in(url, key, "echo in", before_it_works=YOUNG) == "in\n"
    else:
        await asyncio.sleep(0.6)
        said = await ssh(url, key, "echo in")
        assert (said.code, "closed" in said.err or "reset" in said.err) == (255, True)


async def test_a_bid_is_made_and_changed(sim: SimServer, vastai: Official) -> None:
    (offer,) = await vastai.raw("search", "offers", "--type", "bid", "-o", "dph", "--limit", 1)
    floor = offer["min_bid"]
    instance_id = await vastai.create(
        offer["id"], "--image", "x", "--disk", 16, "--bid_price", round(floor * 1.2, 4)
    )
    row = await state(vastai, instance_id, "running")
    assert row["is_bid"] is True
    assert row["dph_base"] == pytest.approx(floor * 1.2, abs=1e-4)
    said = await vastai("change", "bid", instance_id, "--price", round(floor * 1.5, 4))
    assert said.out == "Per gpu bid price changed\n"
    row = await vastai.raw("show", "instance", instance_id)
    assert row["dph_base"] == pytest.approx(floor * 1.5, abs=1e-4)
    said = await vastai("change", "bid", instance_id, "--price", "0.0001")
    assert "Failed with error 400" in said.err
    said = await vastai("change", "bid", 12, "--price", "0.3")
    assert "Failed with error 404" in said.err


async def test_several_are_stopped_started_and_destroyed_at_once(
    sim: SimServer, vastai: Official
) -> None:
    ids = [
        await vastai.create(offer["id"], "--image", "x", "--disk", 16) for offer in offers(sim, 3)
    ]
    for instance_id in ids:
        await state(vastai, instance_id, "running")
    said = await vastai("stop", "instances", *ids[:2])
    assert said.out == f"stopping instance {ids[:2]}.\n"
    for instance_id in ids[:2]:
        await state(vastai, instance_id, "exited", "stopped")
    assert (await vastai.raw("show", "instance", ids[2]))["actual_status"] == "running"
    said = await vastai("start", "instances", *ids[:2])
    assert said.out == f"starting instance {ids[:2]}.\n"
    for instance_id in ids[:2]:
        await state(vastai, instance_id, "running")
    said = await vastai("destroy", "instances", *ids, "-y")
    assert said.out == f"destroying instance {ids}.\n"
    assert await vastai.raw("show", "instances") == []
    assert list(sim.ledger.live()) == []


async def test_a_start_on_a_taken_gpu_is_said_and_exits_as_success(
    sim: SimServer, vastai: Official
) -> None:
    """Quirk 13: the start is queued, and may come up days later."""
    instance_id = await vastai.create(offers(sim, 1)[0]["id"], "--image", "x", "--disk", 16)
    await state(vastai, instance_id, "running")
    await vastai("stop", "instance", instance_id)
    await state(vastai, instance_id, "exited", "stopped")
    contract = sim.market.contracts[instance_id]
    contract.machine.occupy(contract.gpus, "other:1")
    said = await vastai("start", "instance", instance_id)
    assert (said.code, "state change queued" in said.out + said.err) == (0, True)
    row = await vastai.raw("show", "instance", instance_id)
    assert (row["intended_status"], row["actual_status"]) == ("running", "exited")


async def test_more_than_a_page_is_shown_whole(sim: SimServer, vastai: Official) -> None:
    """Quirk 38: it needs `start_date` and `extra_env` in every row, or it crashes."""
    made = []
    for number, offer in enumerate(offers(sim, 27)):
        body = {"image": "x", "disk": 16, "label": f"n{number % 3}", "runtype": "args"}
        made.append(sim.market.create(offer["id"], body)["new_contract"])
    rows = await vastai.raw("show", "instances")
    assert [row["id"] for row in rows] == made
    assert (await vastai("show", "instances", "-q")).out.split() == [str(one) for one in made]
    table = (await vastai("show", "instances")).out
    assert "Total: 27 instances" in table
    assert all(str(one) in table for one in made)
    page = await vastai.raw("show", "instances", "--limit", "10", "--order-by", "id desc")
    assert [row["id"] for row in page["instances"]] == made[:-11:-1]
    rest = await vastai.raw("show", "instances", "--limit", "25", "-t", page["next_token"],
                            "--order-by", "id desc")  # fmt: skip
    assert [row["id"] for row in rest["instances"]] == made[-11::-1]


async def test_a_502_after_a_create_makes_the_official_client_send_it_again(
    sim: SimServer, vastai: Official
) -> None:
    """Quirk 2: it retries a create that had succeeded, and says failed of what it pays for."""
    sim.market.arm(
        Fault(kind=FaultKind.HTTP_502_AFTER, params={"endpoint": "PUT /asks/{id}/"}, count=1)
    )
    said = await vastai("create", "instance", offers(sim, 1)[0]["id"], "--image", "x", "--disk", 16)
    assert (said.code, "Failed with error" in said.err) == (0, True)
    creates = [one for one in sim.ledger.requests if one.endpoint == "/asks/{id}/"]
    assert creates[0].status == 502
    assert len(creates) == 2
    assert len(list(sim.ledger.live())) == 1, "it says failed, and pays"


SDK = """
import json
from vastai import VastAI
vast = VastAI()
offer = vast.search_offers(query="num_gpus=1", order="dph", limit=3)[0]
made = vast.create_instance(id=offer["id"], image="vastai/base-image", disk=20, ssh=True,
                            direct=True, label="sdk", env={"A": "1", "-p 8000:8000": "1"})
rows = vast.show_instances()
one = vast.show_instance(id=made["new_contract"])
label = vast.label_instance(id=made["new_contract"], label="sdk-2")
reboot = vast.reboot_instance(id=made["new_contract"])
ended = vast.destroy_instance(id=made["new_contract"])
print(json.dumps([offer, made, rows, one, label, reboot, ended, vast.show_instances()]))
"""


async def test_the_sdk_walks_too(sim: SimServer, vastai: Official) -> None:
    offer, made, rows, one, label, reboot, ended, left = await vastai.python(SDK)
    assert offer["rentable"]
    assert made["success"]
    assert [row["id"] for row in rows] == [made["new_contract"]] == [one["id"]]
    assert rows[0]["extra_env"] == {"A": "1", "-p 8000:8000": "1"}
    assert [answer["success"] for answer in (label, reboot, ended)] == [True] * 3
    assert left == []
    contract: Contract = sim.market.contracts[made["new_contract"]]
    assert (contract.label, contract.runtype) == ("sdk-2", "ssh_direc ssh_proxy")
    assert list(sim.ledger.live()) == []


async def test_url_on_the_command_line_is_as_good_as_the_variable(
    sim: SimServer, vastai: Official
) -> None:
    said = await vastai("--url", sim.url, "--raw", "show", "user", VAST_URL="http://127.0.0.1:1")
    assert json.loads(said.out)["email"] == "operator@example.com"
