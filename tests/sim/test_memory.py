"""The in-memory ports keep the promises of keeper.ports, and die with their process."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from keeper.adapters.vastai import VastMarketplace
from keeper.core.model import Instance, InstanceId, MarketState, OfferNeeds, Port, RentalSpec
from keeper.ports import (
    Address,
    Batch,
    Command,
    HostKeyChanged,
    HttpRequest,
    JournalEntry,
    Link,
    PictureLimits,
    PlayerLimits,
    Reached,
    StoreError,
    StoreFull,
    TimedOut,
    Unauthorized,
    Uncertain,
    Unreachable,
    Upload,
)
from keeper.sim.disk import Disk, MemoryStore
from keeper.sim.faults import Fault, FaultKind
from keeper.sim.loop import EPOCH, VirtualClock, run
from keeper.sim.memory import (
    CANARY,
    MAILBOX_URL,
    MemoryMarketplace,
    MemoryNetwork,
)
from keeper.sim.memory_hosts import PUBLIC_KEY, MemoryHosts
from keeper.sim.power import Power
from keeper.sim.universe import Universe
from tests.integration.contract_marketplace import LONG_STORIES, STORIES, Story

SPEC = RentalSpec(image="workload:1", disk_gb=120.0, ports=(Port(container_port=8000),))
LABEL = "keeper:test:duel/0:1"


class Box:
    """One ops box in a universe: its ports, and a rental when asked for."""

    def __init__(self, seed: int = 1) -> None:
        self.universe = Universe(seed)
        self.power = Power()
        self.clock = VirtualClock()
        self.marketplace: VastMarketplace = MemoryMarketplace(
            self.universe, self.power, clock=self.clock
        )
        self.hosts = MemoryHosts(self.universe, self.power)
        self.network = MemoryNetwork(self.universe, self.power)

    async def rent(self) -> Instance:
        offers = await self.marketplace.search_offers(OfferNeeds())
        instance_id = await self.marketplace.create(offers[0].offer_id, LABEL, SPEC)
        await self.marketplace.attach_key(instance_id, PUBLIC_KEY)
        async with asyncio.timeout(600):
            while True:
                await asyncio.sleep(10)
                found = await self.marketplace.list_instances()
                if found and found[0].state is MarketState.RUNNING:
                    await asyncio.sleep(10)
                    return found[0]

    async def connect(self, instance: Instance, *, pinned: str = "") -> Link:
        address = Address(host=instance.public_ip, port=instance.ports["22/tcp"])
        return await self.hosts.connect((address,), pinned_host_key=pinned, timeout_s=10)

    async def deployed(self) -> tuple[Instance, Link]:
        instance = await self.rent()
        link = await self.connect(instance)
        await link.run(Command(name="deploy.start", script=""))
        await asyncio.sleep(120)
        return instance, link

    def url(self, instance: Instance) -> str:
        return f"http://{instance.public_ip}:{instance.ports['8000/tcp']}/stream"

    def strike(self, kind: FaultKind, **fields: Any) -> None:
        self.universe.market.arm(Fault(kind=kind, **fields))
        self.universe.wind()


def in_box(story: Callable[[Box], Awaitable[None]]) -> Callable[[], None]:
    """Run a story in virtual time, in a box of its own."""

    async def main() -> None:
        await story(Box())

    def test() -> None:
        run(main())

    test.__name__ = story.__name__
    return test


# --- the store -------------------------------------------------------------------------------


def entry(name: str) -> JournalEntry:
    return JournalEntry(at=EPOCH, tick=1, event=name, slot=None, facts={"event": name})


def test_only_what_was_committed_survives_a_kill() -> None:
    async def story() -> None:
        disk, power = Disk(keeper_id="k"), Power()
        store = MemoryStore(disk, power)
        await store.load()
        await store.commit(Batch(journal=(entry("a.b"),)))
        power.cut_at(2)  # the gate between the wait and the write
        late = asyncio.ensure_future(store.commit(Batch(journal=(entry("c.d"),))))
        await asyncio.sleep(10)
        assert not late.done()
        late.cancel()
        again = MemoryStore(disk, Power())
        saved = await again.load()
        assert not saved.clean_stop
        assert [each.event for each in await again.journal()] == ["a.b"]

    run(story())


def test_a_kill_right_after_the_write_keeps_it() -> None:
    async def story() -> None:
        disk, power = Disk(keeper_id="k"), Power()
        power.cut_at(3)
        late = asyncio.ensure_future(
            MemoryStore(disk, power).commit(Batch(journal=(entry("a.b"),)))
        )
        await asyncio.sleep(10)
        assert not late.done()
        late.cancel()
        assert len(disk.journal) == 1

    run(story())


def test_a_refused_commit_changes_nothing_and_the_next_one_works() -> None:
    async def story() -> None:
        disk = Disk(keeper_id="k", commits_to_refuse=1)
        store = MemoryStore(disk, Power())
        with pytest.raises(StoreFull):
            await store.commit(Batch(journal=(entry("a.b"),)))
        assert disk.journal == []
        await store.commit(Batch(journal=(entry("a.b"),)))
        assert len(disk.journal) == 1

    run(story())


def test_a_closed_store_takes_nothing_and_remembers_the_clean_stop() -> None:
    async def story() -> None:
        disk = Disk(keeper_id="k")
        store = MemoryStore(disk, Power())
        await store.load()
        await store.close()
        with pytest.raises(StoreError):
            await store.commit(Batch(journal=(entry("a.b"),)))
        assert (await MemoryStore(disk, Power()).load()).clean_stop

    run(story())


def test_old_facts_are_forgotten_when_asked() -> None:
    async def story() -> None:
        disk = Disk(keeper_id="k")
        store = MemoryStore(disk, Power())
        await store.commit(Batch(journal=(entry("a.b"), entry("c.d"))))
        assert await store.prune(EPOCH + timedelta(days=1)) == 2
        assert await store.journal() == ()

    run(story())


# --- the marketplace, by the real adapter -------------------------------------------------------


@in_box
async def test_a_rental_boots_and_is_listed(box: Box) -> None:
    instance = await box.rent()
    assert instance.label == LABEL
    assert await box.marketplace.show_instance(instance.instance_id) == instance
    await box.marketplace.destroy(instance.instance_id)
    assert await box.marketplace.list_instances() == ()


@in_box
async def test_a_quick_listing_says_the_same_as_a_whole_one(box: Box) -> None:
    await box.rent()
    market, compared = box.marketplace, 0
    box.strike(FaultKind.HOST_OFFLINE, for_s=300)
    for _ in range(60):
        await asyncio.sleep(10)
        before = box.universe.market.fingerprint()
        quick, whole = await market.list_instances(), await VastMarketplace.list_instances(market)
        if before == box.universe.market.fingerprint():  # else it moved between the two
            assert quick == whole
            compared += 1
    assert compared > 30


@in_box
async def test_a_lost_answer_to_a_create_is_a_doubt(box: Box) -> None:
    offers = await box.marketplace.search_offers(OfferNeeds())
    box.strike(FaultKind.CREATE_REPLY_LOST)
    with pytest.raises(Uncertain):
        await box.marketplace.create(offers[0].offer_id, LABEL, SPEC)
    assert [found.label for found in await box.marketplace.list_instances()] == [LABEL]


@in_box
async def test_without_a_network_nothing_is_sent(box: Box) -> None:
    box.universe.own_network_is_down = True
    with pytest.raises(Unreachable):
        await box.marketplace.list_instances()
    with pytest.raises(Unreachable):
        await box.network.dial(CANARY, 3)
    assert box.universe.market.ledger.requests == []


def test_a_create_killed_before_it_leaves_rents_nothing() -> None:
    async def story() -> None:
        for call, expected in ((1, 0), (2, 0), (3, 1)):
            box = Box()
            offers = await box.marketplace.search_offers(OfferNeeds())
            box.power.cut_at(call)
            late = asyncio.ensure_future(box.marketplace.create(offers[0].offer_id, LABEL, SPEC))
            await asyncio.sleep(10)
            assert not late.done()
            late.cancel()
            assert len(box.universe.market.ledger.rentals) == expected

    run(story())


@pytest.mark.parametrize("story", [*STORIES, *LONG_STORIES], ids=lambda story: story.__name__)
def test_keeps_the_marketplace_contract(story: Story) -> None:
    async def main() -> None:
        await story(Box().marketplace)

    run(main())


# --- hosts ------------------------------------------------------------------------------------


@in_box
async def test_a_deployed_workload_shows_a_moving_picture(box: Box) -> None:
    instance, _ = await box.deployed()
    sample = await box.network.sample_mjpeg(box.url(instance), PictureLimits())
    assert sample.http_status == 200
    assert sample.unique_frames > 10
    await box.network.dial(Address(host=instance.public_ip, port=instance.ports["8000/tcp"]), 3)
    await box.network.fetch(HttpRequest(method="GET", url=box.url(instance)))


@in_box
async def test_the_sentinel_speaks_on_change_and_else_each_ten_seconds(box: Box) -> None:
    _, link = await box.deployed()
    lines = link.watch("")
    first = json.loads(await anext(lines))
    assert first["facts"]["process"]["state"] == "up"
    before_s = box.clock.monotonic()
    assert json.loads(await anext(lines)) == {"hb": 1}
    assert box.clock.monotonic() - before_s == pytest.approx(10, abs=0.2)
    box.strike(FaultKind.PROCESS_KILLED)
    struck_s = box.clock.monotonic()
    assert json.loads(await anext(lines))["facts"]["process"]["state"] == "gone"
    assert box.clock.monotonic() - struck_s <= 2.0


@in_box
async def test_a_cut_link_ends_its_sentinel_with_an_error(box: Box) -> None:
    _, link = await box.deployed()
    lines = link.watch("")
    await anext(lines)
    box.strike(FaultKind.SSH_DEAD_WHILE_RUNNING, for_s=60)
    with pytest.raises(Unreachable):
        await anext(lines)
    with pytest.raises(Unreachable):
        await link.run(Command(name="logs.tail", script=""))


@in_box
async def test_a_host_that_falls_off_the_network_is_silent(box: Box) -> None:
    _, link = await box.deployed()
    lines = link.watch("")
    await anext(lines)
    box.strike(FaultKind.HOST_OFFLINE, for_s=100)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(90):
            await anext(lines)
    assert json.loads(await anext(link.watch("")))["facts"]


PICTURES = [
    (FaultKind.PICTURE_FROZEN, {"http_status": 200, "unique_frames": 1}),
    (FaultKind.PICTURE_BLACK, {"http_status": 200, "mean_luma": 0.4}),
    (FaultKind.NO_FRAMES, {"http_status": 200, "frames": 0}),
    (FaultKind.SOUND_LOST, {"unique_frames": 50, "has_sound": True, "sound_dbfs": -91.0}),
    (FaultKind.PROCESS_HUNG, {"http_status": 0, "error": "timeout"}),
    (FaultKind.PROCESS_KILLED, {"http_status": 0, "error": "refused"}),
]


@pytest.mark.parametrize(("kind", "expected"), PICTURES, ids=[kind for kind, _ in PICTURES])
def test_a_spoiled_picture_is_seen_and_cured_by_a_restart(
    kind: FaultKind, expected: dict[str, Any]
) -> None:
    async def story() -> None:
        box = Box()
        instance, link = await box.deployed()
        box.strike(kind)
        sample = await box.network.sample_mjpeg(box.url(instance), PictureLimits())
        assert {name: getattr(sample, name) for name in expected} == expected
        await link.run(Command(name="restart.process.start", script=""))
        await asyncio.sleep(30)
        sample = await box.network.sample_mjpeg(box.url(instance), PictureLimits())
        assert sample.unique_frames > 10

    run(story())


@in_box
async def test_a_picture_that_stutters_moves_and_no_restart_makes_it_faster(box: Box) -> None:
    instance, link = await box.deployed()
    box.strike(FaultKind.PICTURE_STUTTERS, for_s=600)
    await link.run(Command(name="restart.process.start", script=""))
    await asyncio.sleep(30)
    sample = await box.network.sample_mjpeg(box.url(instance), PictureLimits())
    assert 1 < sample.unique_frames < 0.25 * 10 * sample.sampled_s
    await asyncio.sleep(600)
    sample = await box.network.sample_mjpeg(box.url(instance), PictureLimits())
    assert sample.unique_frames == 50


@in_box
async def test_the_ledger_knows_a_silent_picture_from_none(box: Box) -> None:
    await box.deployed()
    box.strike(FaultKind.SOUND_LOST)
    box.strike(FaultKind.PROCESS_KILLED)
    await asyncio.sleep(1)
    kinds = ("picture", "sound", "mute")
    seen = [e.what for e in box.universe.market.ledger.hosts if e.what.startswith(kinds)]
    assert seen == ["picture.live", "sound.lost", "picture.lost", "mute no more"]


@in_box
async def test_a_crash_loop_needs_the_second_rung(box: Box) -> None:
    instance, link = await box.deployed()
    box.strike(FaultKind.CRASH_LOOP)
    await link.run(Command(name="restart.process.start", script=""))
    await asyncio.sleep(30)
    seen = await box.network.sample_mjpeg(box.url(instance), PictureLimits())
    assert seen.error == "refused"
    await link.run(Command(name="restart.workload.start", script=""))
    await asyncio.sleep(30)
    seen = await box.network.sample_mjpeg(box.url(instance), PictureLimits())
    assert seen.unique_frames > 10


@in_box
async def test_an_inner_supervisor_retries_and_gives_up(box: Box) -> None:
    _, link = await box.deployed()
    lines = link.watch("")
    box.strike(FaultKind.CRASH_LOOP, params={"supervised": True})
    await asyncio.sleep(120)
    states: list[str] = []
    while not states or states[-1] != "given_up":
        line = json.loads(await anext(lines))
        states += [line["facts"]["process"]["state"]] if "facts" in line else []
    assert states.count("retrying") >= 2


@in_box
async def test_a_failing_deploy_says_so(box: Box) -> None:
    instance = await box.rent()
    box.strike(FaultKind.DEPLOY_FAILS)
    link = await box.connect(instance)
    result = await link.run(Command(name="deploy.start", script=""))
    assert result.exit_code == 1
    assert result.stderr


@in_box
async def test_dialling_a_strange_host_is_refused_for_its_reason(box: Box) -> None:
    instance, link = await box.deployed()
    with pytest.raises(HostKeyChanged):
        await box.connect(instance, pinned="ssh-ed25519 another")
    await box.connect(instance, pinned=link.host_key)
    box.strike(FaultKind.SSH_HANG, for_s=60)
    with pytest.raises(TimedOut):
        await box.connect(instance)
    await asyncio.sleep(60)
    contract = box.universe.market.contracts[instance.instance_id]
    contract.keys.clear()
    with pytest.raises(Unauthorized):
        await box.connect(instance)
    with pytest.raises(Unreachable):
        await box.hosts.connect((), pinned_host_key="", timeout_s=1)


@in_box
async def test_a_forward_leads_to_the_same_server(box: Box) -> None:
    _, link = await box.deployed()
    address = await link.forward(8000)
    url = f"http://{address.host}:{address.port}/stream"
    assert (await box.network.sample_mjpeg(url, PictureLimits())).unique_frames > 10
    await link.upload(Upload(path="/root/a", content=b"x"))
    await link.close()
    with pytest.raises(Unreachable):
        await link.upload(Upload(path="/root/a", content=b"x"))


@pytest.mark.parametrize(
    ("kind", "does_move"), [(None, True), (FaultKind.PICTURE_FROZEN, False)], ids=["well", "frozen"]
)
def test_a_player_meets_the_same_picture(kind: FaultKind | None, does_move: bool) -> None:
    async def story() -> None:
        box = Box()
        instance, _ = await box.deployed()
        if kind is not None:
            box.strike(kind)
        sample = await box.network.sample_webrtc(box.url(instance), PlayerLimits())
        assert (sample.reached, sample.picture) == (Reached.LISTED, None)
        limits = PlayerLimits(is_subscribing=True)
        sample = await box.network.sample_webrtc(box.url(instance), limits)
        assert (sample.reached, sample.has_relay) == (Reached.MEDIA, True)
        assert sample.picture is not None
        assert (sample.picture.unique_frames > 10) is does_move
        gone = await box.network.sample_webrtc("http://203.0.113.9:1/", PlayerLimits())
        assert (gone.reached, gone.error) == (Reached.NOWHERE, "refused")

    run(story())


@in_box
async def test_the_ledger_knows_when_the_picture_was_really_there(box: Box) -> None:
    instance, _ = await box.deployed()
    box.strike(FaultKind.PICTURE_FROZEN)
    box.strike(FaultKind.DESTROYED_BY_OTHERS)
    await asyncio.sleep(1)
    seen = [e.what for e in box.universe.market.ledger.hosts if e.what.startswith("picture")]
    assert seen == ["picture.live", "picture.lost"]
    assert await box.marketplace.show_instance(InstanceId(instance.instance_id)) is None


@in_box
async def test_the_mailbox_takes_messages_and_can_refuse_them(box: Box) -> None:
    request = HttpRequest(method="POST", url=MAILBOX_URL + "ops", body=b"dark")
    assert (await box.network.fetch(request)).status == 200
    box.universe.mailbox.refuse_until = box.universe.time_s() + 60
    assert (await box.network.fetch(request)).status == 503
    assert [message.body for message in box.universe.mailbox.messages] == [b"dark"]


def test_a_killed_process_hangs_up_its_links() -> None:
    async def story() -> None:
        box = Box()
        instance, _ = await box.deployed()
        host = box.universe.hosts.by_instance[instance.instance_id]
        assert host.listeners
        box.power.cut()
        box.power.cut()
        assert host.listeners == []

    run(story())
