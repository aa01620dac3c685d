"""The page in a real browser: it shows, it stays fresh, and what hosts write in it is only text."""

import contextlib
import io
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import aiohttp
import pytest
from PIL import Image
from playwright.async_api import Page, async_playwright, expect

from keeper.core.events import NoticeFailed, TickFailed
from keeper.core.meter import TOTAL, Meter, Tally, day_of
from keeper.core.model import InstanceId, SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.core.silences import Matcher, Silence
from keeper.core.under_way import DeployProgress, KeptFor
from keeper.core.world import AccountSeen, Listing, Pause, Snapshot
from keeper.ports import ChannelNow
from tests.components import require
from tests.integration.web.conftest import Keeper, Serve, journal_of, rich_snapshot
from tests.integration.web.test_alerts import DARK, SILENCE
from tests.integration.web.test_alerts import keeper as keeper_of_alerts
from tests.snapshots import NOW, ago, dark, hold, instance, record, snapshot, tenure
from tests.waiting import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)

EVIL = (
    "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\x1b[2J"
)


def jpeg(red: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 36), (red, 90, 120)).save(out, "JPEG")
    return out.getvalue()


@dataclass
class Opened:
    """A page and everything it complained about or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def browser(url: str, *, width: int = 1280) -> AsyncIterator[Opened]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=str(require("chromium")),
            timeout=PATIENCE_S * 1000,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        try:
            page = await chromium.new_page(viewport={"width": width, "height": 900})
            page.set_default_timeout(PATIENCE_S * 1000)
            opened = Opened(page=page)
            page.on("console", lambda message: opened.complaints.append(message.text))
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            page.on("request", lambda request: opened.asked.append(request.url))
            await page.goto(url, wait_until="load")
            yield opened
        finally:
            await chromium.close()


@pytest.mark.timeout(120)
@pytest.mark.real("chromium")
async def test_shows_the_fleet_and_asks_nobody_else(serve: Serve, real_now: datetime) -> None:
    keeper = Keeper(shown=rich_snapshot(at=real_now), time=real_now, pictures={"duel/0": jpeg(10)})
    served = await serve(keeper)
    async with browser(served.url) as opened:
        page = opened.page
        assert await page.title() == "1/2 on air · keeper"
        text = await page.inner_text("main")
        for expected in (
            "1 of 2 on air; duel/1 dark.",
            "RTX 4090 · 120 GB disk · SE · rental 7001 on machine 4001",
            "$0.450/h",
            "frames arrive, but it is always the same frame",
            "30 fps",
            "What happened",
        ):
            assert expected in text
        width = await page.evaluate("document.querySelector('img.picture').naturalWidth")
        assert width == 64
        # What viewers saw is drawn in colours of its own, without a word of inline style.
        fills = await page.evaluate(
            "[...document.querySelectorAll('svg.strip rect.v-live')]"
            ".map((rect) => getComputedStyle(rect).fill)"
        )
        assert len(fills) == 2, "of the slot, and of its stream"
        assert "rgb(0, 0, 0)" not in fills
        strip = page.get_by_role("img", name="duel/0, the last 30 minutes: live")
        box = await strip.bounding_box()
        assert box is not None
        assert box["height"] == 12
        assert opened.complaints == []
        assert {url for url in opened.asked if not url.startswith(served.url)} == set()


@pytest.mark.timeout(120)
@pytest.mark.real("chromium")
async def test_stays_fresh_without_a_reload(serve: Serve, real_now: datetime) -> None:
    keeper = Keeper(shown=rich_snapshot(at=real_now), time=real_now, pictures={"duel/0": jpeg(10)})
    served = await serve(keeper)
    async with browser(served.url) as opened:
        page = opened.page
        await page.evaluate("window.mark = 'the same document'")
        well = snapshot(record("duel/0"), record("duel/1", tenure=tenure(2)), at=real_now)
        keeper.pictured_at = real_now
        keeper.tick(replace(well, tick=8))
        await expect(page).to_have_title("2/2 on air · keeper")
        assert "All 2 streams are on air." in await page.inner_text("h1")
        assert await page.evaluate("window.mark") == "the same document"
        # The picture was kept and then brought up to date.
        await expect(page.locator("img.picture")).to_have_attribute(
            "src", re.compile(f"at={real_now.timestamp():.3f}$")
        )
        assert opened.complaints == []


def a_deploy(now: datetime, **said: str) -> DeployProgress:
    """Be at the third of five steps."""
    return DeployProgress(
        slot=SlotId("duel/0"), instance_id=InstanceId(1), began_at=now, number=3, of=5, since=now,
        **{"step": "deploy.run", "line": "building", "log": "", **said},
    )  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.real("chromium")
async def test_a_deploy_under_way_says_how_far_it_is(serve: Serve, real_now: datetime) -> None:
    keeper = Keeper(
        shown=rich_snapshot(at=real_now, deploys={SlotId("duel/0"): a_deploy(real_now)}),
        time=real_now,
    )
    served = await serve(keeper)
    async with browser(served.url) as opened:
        told = opened.page.locator("article.card", has_text="duel/0").locator(".progress")
        await expect(told).to_contain_text("Step 3 of 5 deploy.run")
        await expect(told).to_contain_text("building")
        assert await told.locator("progress").get_attribute("value") == "2"


@pytest.mark.timeout(120)
@pytest.mark.real("chromium")
async def test_what_hosts_write_is_inert(serve: Serve, real_now: datetime) -> None:
    sick = rich_snapshot(at=real_now, fuses=(Reason.PAUSED,))
    listing = sick.world.listing
    assert listing is not None
    evil = replace(instance(), status_text=EVIL, geolocation=EVIL, label=EVIL, public_ip=EVIL)
    world = replace(
        sick.world,
        listing=replace(listing, instances=(evil,)),
        orphans_known=frozenset({evil.instance_id}),
        pause=Pause(since=real_now, until=None, actor=EVIL, reason=EVIL),
        slot_pauses={SlotId("duel/0"): Pause(since=real_now, until=None, actor=EVIL, reason=EVIL)},
        unreadable_since=real_now.replace(year=2020),
        unreadable_error=EVIL,
        silences=(silence_of(EVIL, real_now),),
    )
    shown = {
        SlotId("duel/0"): record(tenure=tenure(gpu_name=EVIL), incoming=tenure(3, gpu_name=EVIL)),
        SlotId(f"{EVIL}/0"): record(f"{EVIL}/0", tenure=tenure(2)),
    }
    plan = replace(sick.plan, decisions=(hold("duel/0", Reason.BUDGET, EVIL),))
    keeper = Keeper(
        shown=replace(
            sick,
            world=world,
            plan=plan,
            records=shown,
            deploys={SlotId("duel/0"): a_deploy(real_now, step=EVIL, line=EVIL, log=EVIL)},
            kept={SlotId("duel/0"): KeptFor(deploy_log=EVIL, post_mortem=EVIL)},
        ),
        time=real_now,
        entries=journal_of(TickFailed(tick=1, error=EVIL)),
        pictures={"duel/0": EVIL.encode()},
        told_through=channels_of(EVIL, real_now),
    )
    served = await serve(keeper)
    async with browser(served.url) as opened:
        page = opened.page
        await page.wait_for_timeout(300)  # time for a script to run, were there one
        assert "owned" not in await page.title()
        assert await page.locator("main script").count() == 0
        assert await page.locator("main img[onerror]").count() == 0
        assert "\x1b" not in await page.content()
        assert "<script>" in await page.inner_text("main"), "it is shown, as text"
        violations = [text for text in opened.complaints if "Content Security Policy" in text]
        assert violations == []


@pytest.mark.timeout(120)
@pytest.mark.real("chromium")
@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_fits_the_screen(serve: Serve, real_now: datetime, width: int) -> None:
    long = "x" * 120
    slots = [record(f"{long}/{n}") for n in range(2)]
    shown = snapshot(*slots, at=real_now, unreadable_since=real_now, unreadable_error=long * 4)
    shown = replace(shown, world=replace(shown.world, silences=(silence_of(long, real_now),)))
    keeper = Keeper(shown=shown, time=real_now, told_through=channels_of(long, real_now))
    served = await serve(keeper)
    async with browser(served.url, width=width) as opened:
        assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width


def silence_of(text: str, now: datetime) -> Silence:
    matchers = (Matcher(field="slot", pattern=text), Matcher(field="alert", pattern="*"))
    until = now + timedelta(hours=1)
    return Silence(
        silence_id=text, matchers=matchers, since=now, until=until, actor=text, reason=text
    )


def channels_of(text: str, now: datetime) -> tuple[ChannelNow, ...]:
    return (
        ChannelNow(name=text, kind=text, pending=1, last_error=text),
        ChannelNow(name=f"{text}2", kind=text, pending=0, off_since=now, off_why=text),
        ChannelNow(name=f"{text}3", kind=text, pending=0, dropped=1, dropped_why=text),
    )


def costly_snapshot(**given: Any) -> Snapshot:
    """A bid that was beaten, a contract that ends, a host to come, strangers, and little credit."""
    beaten = dark("duel/0", tenure=tenure(is_bid=True, outbid_since=ago(minutes=2)))
    ending = {"ending_since": ago(minutes=3), "ends_at": NOW + timedelta(hours=2, minutes=40)}
    lasting = record(
        "duel/1",
        tenure=tenure(2, traffic_dollars_per_hour=0.06, **ending),
        incoming=tenure(3, is_bid=True, bid_dollars_per_hour=0.31, first_live_at=None),
    )
    account = AccountSeen(spendable_dollars=3.0, at=NOW)
    built = snapshot(beaten, lasting, account=account, **given)
    parts = {"gpu_ram_gb": 24.564, "disk_gb": 120.0, "disk_dollars_per_hour": 0.05}
    rows = (
        instance(1, is_bid=True, gpu_dollars_per_hour=0.38, min_bid_dollars_per_hour=0.41, **parts),
        instance(2, gpu_dollars_per_hour=0.4, ends_at=ending["ends_at"], **parts),
        instance(3, is_bid=True, gpu_dollars_per_hour=0.31, **parts),
        instance(80, label="training"),
    )
    listing = Listing(instances=rows, at=NOW)
    tally = {StreamName("duel"): Tally(dollars=12.34, good_s=7200.0)}
    meter = Meter(metered_at=NOW, tallies={day_of(NOW): tally, TOTAL: tally})
    world = replace(built.world, listing=listing, meter=meter)
    return replace(built, world=world, plan=replace(built.plan, meter=None))


async def test_page_says_what_things_cost_and_what_is_about_to_end(serve: Serve) -> None:
    served = await serve(Keeper(shown=costly_snapshot()))
    async with aiohttp.ClientSession() as session, session.get(served.url) as reply:
        text = " ".join(re.sub(r"<[^>]*>", " ", await reply.text()).split())
    for expected in (
        "Dark, outbid",
        "for 2 min : our bid is $0.380/h, the least that runs now $0.410/h",
        "bid $0.380 + disk $0.050",
        "On air, changing host",
        "$0.510/h GPU $0.400 + disk $0.050 + traffic $0.060",
        "ends in 2 h 40 min , 03-01 14:40 UTC",
        "RTX 4090 24 GB · 120 GB disk · SE · rental 7002 on machine 4002",
        "proving itself, for $0.450/h bid $0.310 + disk $0.050",
        "in 6 h · up 5 h 57 min",
        "$12.34 today Credit $3.00 lasts 1.6 h",
        "7080 not keeper&#39;s never touched $0.45/h",
    ):
        assert expected.replace("&#39;", "'") in text.replace("&#39;", "'"), expected


async def test_page_says_who_was_told_what_is_kept_quiet_and_through_whom(serve: Serve) -> None:
    served = await serve(keeper_of_alerts(SILENCE), runbooks_url="https://git.example/runbooks")
    async with aiohttp.ClientSession() as session, session.get(served.url) as reply:
        html = await reply.text()
    text = " ".join(re.sub(r"<[^>]*>", " ", html).split())
    for said in (
        "You: look at the host: keeper ssh duel/1",
        "KeeperStreamDark · critical · for 12 min · told 11 min ago (ops did not take all of it yet), again in 4 h",
        "KeeperDiskFull duel/0, for 12 min",
        "KeeperStreamDark duel/1 says it already",
        "Silence stream=duel ends in 1 h 30 min · by local:ada: new ingest",
        "keeper alerts unsilence 5f2a9c01",
        "keeper alerts silence key=KeeperStreamDark:duel/1 --for 2h",
        "Channel ops has not taken 1 message: HTTP 503",
        "Channel pager has been off for 1 h : HTTP 410. Try it: keeper alerts test pager",
        "Channel moved has lost 2 messages for good, the last 5 min ago: HTTP 307. Mend it",
    ):
        assert said in text
    assert 'href="https://git.example/runbooks/KeeperStreamDark.md"' in html
    # A link in a message leads to the card that it is about.
    for anchor in ("duel", "duel/0", "duel/1"):
        assert html.count(f'id="{anchor}"') == 1


@pytest.mark.parametrize("tries", [0, 300, 30_000])
async def test_what_a_channel_refuses_leaves_place_for_what_happened(
    serve: Serve, tries: int
) -> None:
    """Each try is a fact: after an hour of them nothing else is among the newest."""
    happened = [TickFailed(tick=n, error=f"trouble {n}.") for n in range(50)]
    refused = NoticeFailed(
        channel="ops", alert="KeeperDown", kind="firing", attempt=1, error="HTTP 503"
    )
    entries = journal_of(*happened, *[refused] * tries, TickFailed(tick=60, error="trouble 60."))
    served = await serve(Keeper(entries=entries))
    async with aiohttp.ClientSession() as session, session.get(served.url) as reply:
        text = await reply.text()
    shown = [int(number) for number in re.findall(r"trouble (\d+)\.", text)]
    assert shown == [60, *range(49, 10, -1)]
    assert "HTTP 503" not in text


async def test_a_journal_of_nothing_else_is_no_story(serve: Serve) -> None:
    refused = NoticeFailed(
        channel="ops", alert="KeeperDown", kind="firing", attempt=1, error="HTTP 503"
    )
    for entries in ([], journal_of(refused)):
        served = await serve(Keeper(entries=entries))
        async with aiohttp.ClientSession() as session, session.get(served.url) as reply:
            assert "othing yet" in await reply.text()


async def test_a_command_to_copy_runs_nothing_that_a_host_has_put_into_it(serve: Serve) -> None:
    evil = replace(DARK, key="KeeperCommonCause:driver=$(reboot)';reboot;'", muted_by="")
    served = await serve(Keeper(holding=(evil,)))
    async with aiohttp.ClientSession() as session, session.get(served.url) as reply:
        shown = unescape(await reply.text())
    (line,) = re.findall(r"keeper alerts silence (.*) --for 2h", shown)
    assert shlex.split(line) == [f"key={evil.key}"]


async def test_page_has_spares_below_the_cards_of_their_stream(serve: Serve) -> None:
    spare = record("duel/spare-0", tenure=tenure(8, ready_at=ago(hours=1)), ever_on_air=False)
    served = await serve(Keeper(shown=snapshot(record("duel/0"), spare)))
    async with aiohttp.ClientSession() as session, session.get(served.url) as reply:
        page = await reply.text()
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert page.count("<article") == page.count("data-slot") + page.count('class="nothing"')
    assert "1 /1" in text, "a spare is no slot"
    assert "duel/spare-0 Spare, ready, 1 h" in text
    assert "rental 7008 · machine 4008" in text


@pytest.mark.timeout(120)
@pytest.mark.real("chromium")
@pytest.mark.parametrize("width", [360, 1280])
async def test_prices_fit_the_screen(serve: Serve, width: int) -> None:
    served = await serve(Keeper(shown=costly_snapshot()))
    async with browser(served.url, width=width) as opened:
        page = opened.page
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        figures = page.locator(".figures > div")
        assert await figures.count() == 4
        tops = [(await figures.nth(n).bounding_box() or {"y": -1})["y"] for n in range(4)]
        assert len(set(tops)) == 1, "the figures stand in one row"
        assert opened.complaints == []


@pytest.mark.timeout(120)
@pytest.mark.real("chromium")
async def test_says_when_keeper_has_gone(serve: Serve, real_now: datetime) -> None:
    keeper = Keeper(shown=rich_snapshot(at=real_now), time=real_now)
    served = await serve(keeper)
    async with browser(served.url) as opened:
        await served.runner.cleanup()
        await opened.page.evaluate("refresh()")
        await expect(opened.page.locator("body.lost")).to_be_visible()


async def test_page_without_script_is_whole(serve: Serve) -> None:
    """Everything is in the HTML itself: curl and a text browser see the same."""
    served = await serve()
    async with aiohttp.ClientSession() as session, session.get(served.url) as reply:
        text = await reply.text()
    assert "1 of 2 on air; duel/1 dark." in text
    assert "style=" not in text
    assert "onclick" not in text
