"""The official client beyond one life: bids that lose, templates, deposits, and odd answers."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.sim.access import Grant, Session
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.market import MarketShape
from keeper.sim.script import Cue
from keeper.sim.serve import SimServer, quick_tempo
from tests.e2e.official import Official, new_key, public
from tests.e2e.test_official_client_life import YOUNG, logged_in, offers, state

pytestmark = [pytest.mark.real("vastai", "sshd"), pytest.mark.timeout(300)]

KEY = "2" * 64
WEAK, HALF, TEAM = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
async def sim(short_path: Path) -> AsyncIterator[SimServer]:
    shape = MarketShape(
        renters_every_s=0, price_drift_every_s=0, bids_move_every_s=0, tempo=quick_tempo(0.5)
    )
    async with SimServer(
        seed=9,
        state_dir=short_path,
        api_key=KEY,
        spacing_scale=0,
        shape=shape,
        has_old_host=True,
    ) as server:
        yield server


@pytest.fixture
def vastai(sim: SimServer, tmp_path: Path) -> Official:
    return Official(sim.url, KEY, tmp_path / "home")


async def test_a_bid_that_loses_runs_again_when_it_is_raised(
    sim: SimServer, vastai: Official, tmp_path: Path
) -> None:
    key = new_key(tmp_path / "id")
    await vastai("create", "ssh-key", public(key))
    (offer,) = await vastai.raw("search", "offers", "--type", "bid", "-o", "dph", "--limit", 1)
    bid = round(offer["min_bid"] * 1.2, 4)
    instance_id = await vastai.create(
        offer["id"], "--image", "x", "--disk", 16, "--bid_price", bid, "--ssh", "--direct"
    )
    await state(vastai, instance_id, "running")
    sim.market.arm(Fault(kind=FaultKind.OUTBID, target=f"instance:{instance_id}"))
    row = await state(vastai, instance_id, "exited", "stopped")
    assert row["is_bid"]
    assert row["min_bid"] > bid, "somebody bids more"
    said = await vastai("change", "bid", instance_id, "--price", bid)
    assert said.out == "Per gpu bid price changed\n", "it says so, and nothing comes up"
    row = await vastai.raw("show", "instance", instance_id)
    assert row["actual_status"] in {"exited", "stopped"}
    said = await vastai("change", "bid", instance_id)
    assert said.out == "Per gpu bid price changed\n", "without a price: what wins now"
    row = await state(vastai, instance_id, "running")
    assert row["dph_base"] > bid
    url = (await vastai("ssh-url", instance_id)).out.strip()
    assert await logged_in(url, key, "echo in", before_it_works=YOUNG) == "in\n"


async def test_a_bid_below_the_floor_leaves_a_stopped_rental(
    sim: SimServer, vastai: Official
) -> None:
    """Quirk 4: it fails, and there is a contract whose disk bills."""
    (offer,) = await vastai.raw("search", "offers", "--type", "bid", "-o", "dph", "--limit", 1)
    low = round(offer["min_bid"] * 0.5, 4)
    said = await vastai(
        *("create", "instance", offer["id"], "--image", "x", "--disk", 16, "--bid_price", low)
    )
    assert (said.code, "Failed with error 400" in said.err) == (0, True)
    (row,) = await vastai.raw("show", "instances")
    assert row["is_bid"]
    assert row["intended_status"] == "stopped"
    said = await vastai("destroy", "instance", row["id"], "-y")
    assert await vastai.raw("show", "instances") == []


async def test_templates_are_made_searched_used_changed_and_deleted(
    sim: SimServer, vastai: Official
) -> None:
    said = await vastai(
        *("create", "template", "--name", "mine", "--image", "vastai/base-image"),
        *("--env", "-p 3000:3000 -e A=1", "--ssh", "--direct", "--disk_space", "20"),
        *("--onstart-cmd", "touch ~/.no_auto_tmux"),
    )
    assert "New Template: {'name': 'mine'" in said.out
    (row,) = await vastai.raw("search", "templates", "name=mine")
    (public_row,) = await vastai.raw("search", "templates", "recommended=true")
    assert public_row["creator_id"] != row["creator_id"]
    instance_id = await vastai.create(
        offers(sim, 1)[0]["id"], "--template_hash", row["hash_id"], "--env", "-e B=2"
    )
    contract = sim.market.contracts[instance_id]
    assert contract.env == {"-p 3000:3000": "1", "A": "1", "B": "2"}
    assert (contract.runtype, contract.onstart) == ("ssh_direc ssh_proxy", "touch ~/.no_auto_tmux")
    shown = await state(vastai, instance_id, "running")
    assert (shown["template_hash_id"], shown["template_name"]) == (row["hash_id"], "mine")
    said = await vastai("update", "template", row["hash_id"], "--name", "other", "--image", "y")
    assert "updated template" in said.out
    (changed,) = await vastai.raw("search", "templates", "name=other")
    assert (changed["id"], changed["hash_id"] != row["hash_id"]) == (row["id"], True)
    said = await vastai("update", "instance", instance_id, "--template_hash_id", changed["hash_id"])
    assert (contract.image, "updated successfully" in said.out) == ("y", True)
    said = await vastai("delete", "template", "--template-id", row["id"])
    assert "'success': True" in said.out
    assert await vastai.raw("search", "templates", "name=other") == []


async def test_launch_several_offers_at_once_and_deposits(sim: SimServer, vastai: Official) -> None:
    said = await vastai(
        *("launch", "instance", "-g", "RTX_4090", "-n", 1, "-i", "vastai/base-image", "-d", 32)
    )
    found = re.search(r"launched successfully: (\d+)", said.out)
    assert found, said
    first = int(found[1])
    assert sim.market.contracts[first].machine.gpu.name == "RTX 4090"
    ids = [row["id"] for row in offers(sim, 2)]
    said = await vastai("create", "instances", *ids, "--image", "x", "--disk", 16)
    assert said.out.count("'new_contract'") == 2
    assert len(await vastai.raw("show", "instances")) == 3
    said = await vastai("prepay", "instance", first, 5)
    assert "applying $5.0 credits" in said.out
    assert (await vastai("show", "deposit", first)).json()["refundable_deposit"] == 5
    user = await vastai.raw("show", "user")
    assert user["credit"] < 95.0001


async def test_keys_of_ssh_are_changed_and_detached(sim: SimServer, vastai: Official) -> None:
    instance_id = await vastai.create(offers(sim, 1)[0]["id"], "--image", "x", "--disk", 16)
    await vastai("create", "ssh-key", "ssh-ed25519 AAAAone me")
    key_id = next(iter(sim.market.account_keys))
    said = await vastai("update", "ssh-key", key_id, "ssh-ed25519 AAAAtwo me")
    assert "'success': True" in said.out
    assert sim.market.account_keys == {key_id: "ssh-ed25519 AAAAtwo"}
    await vastai("attach", "ssh", instance_id, "ssh-ed25519 AAAAthree me")
    assert sim.market.contracts[instance_id].keys == ["ssh-ed25519 AAAAthree"]
    said = await vastai("detach", "ssh", instance_id, 1)
    assert "'success': True" in said.out
    assert sim.market.contracts[instance_id].keys == []


async def test_a_key_that_may_not_is_told_what_to_do(sim: SimServer, vastai: Official) -> None:
    sim.api.keys.give(WEAK, Grant(rights=frozenset({"misc"})))
    sim.api.keys.give(HALF, Grant(session=Session.NEEDED))
    sim.api.keys.give(TEAM, Grant(is_team=True))
    said = await vastai("--api-key", WEAK, "show", "user")
    assert re.search(r"Failed with error 403: .*user_read", said.err)
    assert (await vastai("--api-key", WEAK, "search", "offers", "--limit", 1)).out
    said = await vastai("--api-key", HALF, "show", "instances")
    assert "logged in using Two Factor Authentication" in said.err
    assert "vastai tfa login" in said.err, "quirk 34: it knows what to do"
    said = await vastai("--api-key", TEAM, "create", "ssh-key", "ssh-ed25519 AAAA me")
    assert "Failed with error 400: team SSH keys are not supported" in said.err


async def test_the_daily_quota_of_searches_is_told_with_its_end(
    sim: SimServer, vastai: Official
) -> None:
    """Quirk 18: it is not retried."""
    sim.api.limits.change({"searches_per_day": 1})
    assert (await vastai("search", "offers", "--limit", 1)).out
    before = len(sim.ledger.requests)
    said = await vastai("search", "offers", "--limit", 1)
    assert re.search(r"error 429: Daily search quota exceeded.*Resets at .* 00:00 UTC", said.err)
    assert [one.status for one in sim.ledger.requests[before:]] == [429]


# What the client says to odd answers to its list, and how often it asks.
ODD = (
    ("html_502", '"status_code": 502, "msg": "(no detail message supplied)"', 3),
    ("429_text", '"status_code": 429', 3),
    ("429_header_hint", '"status_code": 429', 3),
    ("429_far_hint", '"status_code": 429', 1),
    ("detail_404", '"status_code": 404', 1),
    ("session_expired_404", "Session expired", 1),
    ("key_401_text", '"status_code": 401', 1),
    ("empty_200", "Expecting value", 1),
    ("html_200", "Expecting value", 1),
    ("array_400", "AttributeError: 'list' object has no attribute 'get'", 1),
    ("truncated", "ChunkedEncodingError", 1),
)


@pytest.mark.parametrize(("name", "said", "times"), ODD, ids=lambda one: str(one)[:20])
async def test_an_odd_answer_is_met_as_by_every_client_of_that_service(
    sim: SimServer, vastai: Official, name: str, said: str, times: int
) -> None:
    sim.api.script.add(Cue.parse({"answer": name, "count": 0, "endpoint": "GET /instances/"}))
    heard = await vastai("--raw", "show", "instances")
    assert said in heard.err
    listings = [one for one in sim.ledger.requests if one.endpoint == "/instances/"]
    assert len(listings) == times


async def test_a_list_that_is_none_is_shown_as_empty(sim: SimServer, vastai: Official) -> None:
    """Quirk 6: what the official client takes for "nothing" must not end anything here."""
    await vastai.create(offers(sim, 1)[0]["id"], "--image", "x", "--disk", 16)
    sim.api.script.add(Cue.parse({"answer": "deprecated_endpoint", "endpoint": "GET /instances/"}))
    assert await vastai.raw("show", "instances") == []
    assert len(await vastai.raw("show", "instances")) == 1


async def test_the_former_address_is_followed_and_the_key_is_not_sent_on(
    sim: SimServer, vastai: Official
) -> None:
    said = await vastai("--url", sim.old_url, "show", "user")
    assert "Failed with error 401: Invalid user key" in said.err, "another port is another host"
