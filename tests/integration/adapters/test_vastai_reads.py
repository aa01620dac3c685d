"""What the Vast.ai adapter believes of lists, by-id reads, searches and the account."""

import asyncio
import copy
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.vastai import VastMarketplace
from keeper.core.model import InstanceId, MarketState, OfferNeeds
from keeper.ports import (
    Malformed,
    PortError,
    RateLimited,
    TimedOut,
    Transient,
    Unauthorized,
    Unreachable,
)
from tests.integration.adapters.vast_server import (
    ACCOUNT,
    KEY,
    LIST,
    SEARCH,
    SHOW,
    Answer,
    breaks_off,
    hangs,
    hangs_up,
    market_at,
    never_ends,
    offer,
    page,
    row,
    says,
    scripted,
)

ROWS = [row(instance_id) for instance_id in range(1, 61)]


async def listed(*answers: Answer) -> tuple[int, ...]:
    async with scripted() as script, market_at(script.url) as market:
        script.on(LIST, *answers)
        return tuple(one.instance_id for one in await market.list_instances())


async def test_walks_all_pages_in_order_of_id() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(
            LIST,
            says(page(ROWS[:25], 60, "eyJ2IjogMjV9+/=")),
            says(page(ROWS[25:50], 60, "second")),
            says(page(ROWS[50:], 60)),
        )
        instances = await market.list_instances()
        assert [one.instance_id for one in instances] == list(range(1, 61))
        queries = [one.query for one in script.seen]
        order = '[{"col":"id","dir":"asc"}]'
        assert queries == [
            {"limit": "25", "order_by": order},
            {"limit": "25", "order_by": order, "after_token": "eyJ2IjogMjV9+/="},
            {"limit": "25", "order_by": order, "after_token": "second"},
        ]
        assert script.seen[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_an_account_without_rentals_lists_none() -> None:
    assert await listed(says(page([], 0))) == ()


async def test_null_for_no_rentals_is_believed_where_all_else_says_so() -> None:
    """The schema has an array, but an account that cannot be read could never rent its first."""
    assert await listed(says(page([], 0) | {"instances": None})) == ()


async def test_a_failed_page_fails_the_whole_list() -> None:
    """Q7: an instance on page two must never read as gone."""
    first = says(page(ROWS[:25], 60, "t"))
    with pytest.raises(Transient):
        await listed(first, says("<html>bad gateway</html>", 502, content_type="text/html"))
    with pytest.raises(Transient):
        await listed(first, hangs_up())
    with pytest.raises(RateLimited):
        await listed(first, says("API requests too frequent", 429, content_type="text/plain"))


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(
            [says({"success": False, "error": "deprecated_endpoint"})], id="deprecated endpoint"
        ),
        pytest.param(
            [says({"success": False, "error": "deprecated_endpoint", "instances": []})],
            id="deprecated endpoint with an empty array",
        ),
        pytest.param([says({"success": True, "total_instances": 0})], id="no array"),
        pytest.param(
            [says({"success": True, "total_instances": 0, "instances": None})],
            id="null that is not counted",
        ),
        pytest.param([says(page([], 0) | {"instances": None, "success": None})], id="null, no yes"),
        pytest.param(
            [says(page([], 3) | {"instances": None})], id="null where there are three rentals"
        ),
        pytest.param(
            [says(page([], 0) | {"instances": None, "instances_found": 1})], id="null for a row"
        ),
        pytest.param(
            [says(page([], 0, "t") | {"instances": None})], id="null with a page after it"
        ),
        pytest.param(
            [says(page(ROWS[:2], 2, "t")), says(page([], 2) | {"instances": None})],
            id="null for a last page",
        ),
        pytest.param(
            [says({"success": True, "total_instances": 0, "instances": {}})], id="object for array"
        ),
        pytest.param([says({"success": True, "instances": []})], id="no total"),
        pytest.param([says(page([], 3))], id="total without rows"),
        pytest.param([says(page(ROWS[:3], 2))], id="more rows than the total"),
        pytest.param([says(page(ROWS[:2], 3))], id="fewer rows than the total"),
        pytest.param([says(page(ROWS[:2], 2) | {"instances_found": 3})], id="page count differs"),
        pytest.param([says(page([row(1), row(1)], 2))], id="row twice on a page"),
        pytest.param(
            [says(page(ROWS[:2], 4, "t")), says(page(ROWS[1:3], 4))], id="row repeated by a page"
        ),
        pytest.param(
            [says(page(ROWS[:2], 4, "t")), says(page(ROWS[3:4], 4))], id="row skipped by a page"
        ),
        pytest.param([says(page(ROWS[:2], 60, "same"))], id="page repeated for ever"),
        pytest.param(
            [says(page(ROWS[:2], 6, "t")), says(page([], 6, "u"))], id="empty page with a cursor"
        ),
        pytest.param(
            [says(page(ROWS[:2], 60, "t")), says(page(ROWS[2:4], 60, "t"))], id="cursor loops"
        ),
        pytest.param([says(page(ROWS[:2], 2) | {"next_token": 7})], id="cursor is no text"),
        pytest.param([says(page([row(1, id=None)], 1))], id="row without id"),
        pytest.param([says(page([row(1, id=0)], 1))], id="row with id zero"),
        pytest.param(
            [says({**page([], 1), "instances": [None], "instances_found": 1})], id="null row"
        ),
        pytest.param([says("[]")], id="array for object"),
        pytest.param([says("")], id="nothing"),
        pytest.param([says(json.dumps(page(ROWS[:2], 2))[:-9])], id="cut JSON"),
        pytest.param([says(b"[" * 200_000)], id="deep JSON"),
        pytest.param([says("<html>hello</html>", content_type="text/html")], id="HTML"),
        pytest.param(
            [says(page(ROWS[:2], 2), content_type="text/html")], id="JSON that claims to be HTML"
        ),
        pytest.param([never_ends()], id="a body without end"),
        pytest.param([says({"detail": "Not Found"}, 404)], id="the endpoint is gone"),
        pytest.param(
            [says({"error": "invalid_request", "msg": "?"}, 400)], id="our query is wrong"
        ),
        pytest.param([says({"error": "invalid_token", "msg": "?"}, 400)], id="our cursor is wrong"),
    ],
)
async def test_a_list_that_is_not_whole_is_malformed(answers: list[Answer]) -> None:
    """Q6."""
    with pytest.raises(Malformed):
        await listed(*answers)


async def test_a_list_that_moves_while_it_is_read_is_transient() -> None:
    with pytest.raises(Transient, match="changed"):
        await listed(says(page(ROWS[:25], 30, "t")), says(page(ROWS[25:31], 31)))


async def test_a_cut_connection_is_no_list() -> None:
    whole = json.dumps(page(ROWS[:2], 2)).encode()
    with pytest.raises(Unreachable):
        await listed(breaks_off(whole, len(whole) + 10))


async def test_content_type_may_carry_a_charset() -> None:
    ids = await listed(says(page([row(4)], 1), content_type="Application/JSON; charset=UTF-8"))
    assert ids == (4,)


async def test_numbers_may_come_as_text() -> None:
    """Q22."""
    body = page([row(1, id="4")], 1) | {"total_instances": "1", "instances_found": 1.0}
    assert await listed(says(body)) == (4,)


async def test_dirty_text_of_one_host_does_not_blind_the_list() -> None:
    """Q22: a status line is written by a stranger's machine."""
    clean = json.dumps(page([row(1, status_msg="HERE"), row(2)], 2)).encode()
    for dirt in (b"\xff\xfe", b"\\ud800", b"a\x01b", b"\\u0000"):
        assert await listed(says(clean.replace(b"HERE", dirt))) == (1, 2)
    assert await listed(says(clean.replace(b"0.325", b"NaN"))) == (1, 2)


async def test_wrong_key_is_unauthorized_everywhere() -> None:
    """Q35."""
    body = {"success": False, "error": "auth_error", "msg": "Invalid user key"}
    for status in (401, 404):
        async with scripted() as script, market_at(script.url) as market:
            for call in (LIST, SHOW, SEARCH, ACCOUNT):
                script.on(call, says(body, status))
            for ask in reads(market):
                with pytest.raises(Unauthorized):
                    await ask


def reads(market: VastMarketplace) -> list[Any]:
    return [
        market.list_instances(),
        market.show_instance(InstanceId(5)),
        market.search_offers(OfferNeeds()),
        market.account(),
    ]


@pytest.mark.parametrize("key", ["", "line\nbreak", "schlüssel"])
async def test_a_key_that_cannot_be_sent_is_not_sent(key: str) -> None:
    async with scripted() as script, market_at(script.url, key=key) as market:
        with pytest.raises(Unauthorized, match="not sent"):
            await market.account()
        assert script.seen == []


async def test_nobody_there_is_unreachable() -> None:
    async with market_at("http://127.0.0.1:9") as market:
        for ask in reads(market):
            with pytest.raises(Unreachable):
                await ask


async def test_silence_is_timed_out() -> None:
    release = asyncio.Event()
    async with scripted() as script, market_at(script.url, timeout_s=0.2) as market:
        script.on(ACCOUNT, hangs(release))
        with pytest.raises(TimedOut):
            await market.account()
        release.set()


async def test_a_lost_read_is_not_resent_by_the_library() -> None:
    """It would break the spacing of the endpoint."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(ACCOUNT, hangs_up(), says({"credit": 1}))
        with pytest.raises(Unreachable):
            await market.account()
        assert script.count(ACCOUNT) == 1


async def test_after_close_nothing_is_sent() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(ACCOUNT, says({"credit": 1}))
        await market.account()
        await market.aclose()
        await market.aclose()
        with pytest.raises(Unreachable):
            await market.account()
        assert script.count(ACCOUNT) == 1


# --- one rental ------------------------------------------------------------------------------


async def shown(answer: Answer) -> Any:
    async with scripted() as script, market_at(script.url) as market:
        script.on(SHOW, answer)
        instance = await market.show_instance(InstanceId(5))
        assert script.seen[0].query == {"owner": "me"}
        return instance


@pytest.mark.parametrize(
    "answer",
    [
        says({"instances": None}),
        says({"success": False, "error": "no_such_instance", "msg": "?"}, 404),
        says({"success": False, "error": "not_found", "msg": "Instance not found"}, 404),
        says({"success": False, "error": "no_such_instance"}),
    ],
    ids=["null", "no_such_instance", "not_found", "not found with status 200"],
)
async def test_a_rental_that_does_not_exist_is_none(answer: Answer) -> None:
    assert await shown(answer) is None


async def test_shows_one_rental() -> None:
    instance = await shown(says({"instances": row(5)}))
    assert instance.instance_id == 5
    assert instance.state is MarketState.RUNNING
    assert instance.ports == {"22/tcp": 40022}
    assert await shown(says({"instances": [row(5)]})) == instance


async def test_shows_a_rental_that_is_little_more_than_its_id() -> None:
    instance = await shown(says({"instances": {"id": 5}}))
    assert instance.state is MarketState.PENDING
    assert instance.is_meant_to_run
    assert instance.ports == {}


@pytest.mark.parametrize(
    "answer",
    [
        says({}),
        says({"instances": []}),
        says({"instances": [row(5), row(6)]}),
        says({"instances": row(6)}),
        says({"instances": {"label": "keeper:5"}}),
        says({"instances": "none"}),
        says({"success": False, "error": "deprecated_endpoint", "instances": None}),
        says({"detail": "Not Found"}, 404),
        says("<html>404</html>", 404, content_type="text/html"),
    ],
    ids=[
        "no key",
        "empty list",
        "two",
        "another",
        "without id",
        "text",
        "deprecated endpoint",
        "bare 404",
        "404 page",
    ],
)
async def test_what_is_no_word_about_the_rental_is_not_absence(answer: Answer) -> None:
    with pytest.raises(Malformed):
        await shown(answer)


# --- account ---------------------------------------------------------------------------------


async def test_account_tells_what_can_be_spent() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(ACCOUNT, says({"credit": 12, "balance": -2.5, "email": "a@b.c", "api_key": KEY}))
        account = await market.account()
        assert account.spendable_dollars == 9.5
        assert KEY not in repr(account)
        offset = market.server_clock_offset_s
        assert offset is not None
        assert abs(offset) < 60


@pytest.mark.parametrize(
    ("date", "ahead_s"),
    [("Thu, 01 Jan 2099 00:00:00 GMT", 2e9), ("Mon, 01 Jan 2001 00:00:00 GMT", -7e8)],
)
async def test_the_servers_clock_is_the_date_of_its_answers(date: str, ahead_s: float) -> None:
    """Q39: it is the only clock that the marketplace shows."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(ACCOUNT, says({"credit": 1}, Date=date))
        assert market.server_clock_offset_s is None
        await market.account()
        offset = market.server_clock_offset_s
        assert offset is not None
        assert (offset > ahead_s) if ahead_s > 0 else (offset < ahead_s)


@pytest.mark.parametrize("ahead_s", [3600.0, 0.0, -3600.0])
async def test_a_contract_ends_sooner_by_a_clock_that_is_behind_the_servers(ahead_s: float) -> None:
    """Q39: the end is a moment of the server's clock, told in a list and by id."""
    end_at = 4_000_000_000.0
    now = datetime.now(UTC)
    date = format_datetime(now + timedelta(seconds=ahead_s), usegmt=True)
    told = row(5) | {"end_date": end_at}
    async with scripted() as script, market_at(script.url) as market:
        script.on(LIST, says(page([told], 1), Date=date))
        script.on(SHOW, says({"instances": told}, Date=date))
        found = (*await market.list_instances(), await market.show_instance(InstanceId(5)))
    for each in found:
        assert each is not None
        assert each.ends_at is not None
        sooner_s = end_at - each.ends_at.timestamp()
        assert abs(sooner_s - max(0.0, ahead_s)) < 60.0


async def test_account_without_money_is_malformed() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(ACCOUNT, says({"id": 1}))
        with pytest.raises(Malformed):
            await market.account()


# --- any single field may be anything ----------------------------------------------------------

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["NaN", "1e999", "-1", "99999999999999999999999", "\ud800", "\x00", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(data=st.data())
def test_no_field_of_an_answer_can_raise_anything_but_port_errors(data: st.DataObject) -> None:
    call, body = data.draw(
        st.sampled_from(
            [
                (LIST, page([row(1), row(2)], 2)),
                (SHOW, {"instances": row(5)}),
                (SEARCH, {"offers": [offer(1), offer(2)]}),
                (ACCOUNT, {"success": True, "credit": 1.0, "balance": 0}),
            ]
        )
    )
    body = copy.deepcopy(body)
    places = list(_places(body))
    holder, name = data.draw(st.sampled_from(places))
    if data.draw(st.booleans()):
        holder[name] = data.draw(ANYTHING)
    else:
        del holder[name]
    status = data.draw(st.sampled_from([200, 200, 200, 400, 404, 429, 500]))

    async def check() -> None:
        async with scripted() as script, market_at(script.url, wait_max_s=1.0) as market:
            script.on(call, says(json.dumps(body), status))
            ask = dict(zip((LIST, SHOW, SEARCH, ACCOUNT), reads(market), strict=True))
            for other, coroutine in ask.items():
                if other != call:
                    coroutine.close()
            said = ""
            try:
                await ask[call]
            except PortError as error:
                said = str(error)
            assert len(said) < 400

    asyncio.run(check())


def _places(value: Any) -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield value, name
            yield from _places(inner)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield value, at
            yield from _places(inner)


async def test_a_row_that_says_the_same_is_read_once_and_a_change_is_seen() -> None:
    """Most rows are the same from one list to the next; none may hide that it is not."""
    broken = row(2, status_msg="\ud800")
    async with scripted() as script, market_at(script.url) as market:
        script.on(
            LIST,
            says(page([row(1), broken, row(3)], 3)),
            says(page([row(1, gpu_util=71.0), broken, row(3, actual_status="exited")], 3)),
            says(page([row(1, ssh_port="24136"), row(3, ssh_port=True)], 2)),
        )
        first, second, third = [await market.list_instances() for _ in range(3)]
    assert second[0] is first[0]
    assert second[1] == first[1]
    assert [one.state for one in second] == [
        MarketState.RUNNING,
        MarketState.RUNNING,
        MarketState.STOPPED,
    ]
    assert third[0] == first[0]
    assert (third[1].instance_id, third[1].state, third[1].ssh_port) == (3, MarketState.RUNNING, 0)


async def test_what_docker_says_of_a_rental_is_cleared_of_its_keys() -> None:
    """Docker's errors repeat the container's environment, and with it the instance's own key."""
    own, token = "Zk39qLw7Xv2Bd5Tn", "9f86d081884c7d659a2feaa0c55ad015"
    said = f"Error response from daemon: -e CONTAINER_API_KEY={own} JUPYTER_TOKEN={token} {KEY}"
    loud = row(5, status_msg=said)
    async with scripted() as script, market_at(script.url) as market:
        script.on(LIST, says(page([loud], 1)))
        script.on(SHOW, says({"instances": loud}))
        shown = [*(await market.list_instances()), await market.show_instance(InstanceId(5))]
    for one in shown:
        assert one is not None
        assert one.has_daemon_error
        assert "Error response from daemon" in one.status_text
        assert not [each for each in (own, token, KEY) if each in one.status_text]
