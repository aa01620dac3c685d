"""What the Vast.ai adapter sends once, and what it believes of the answer."""

import asyncio
import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.core.model import InstanceId, OfferId, Port, RentalSpec
from keeper.ports import (
    Invalid,
    Malformed,
    Missing,
    OfferGone,
    OutOfCredit,
    PortError,
    Queued,
    RateLimited,
    TimedOut,
    Transient,
    Unauthorized,
    Uncertain,
    Unreachable,
)
from keeper.workloads.managers import dead_man
from tests.integration.adapters.vast_server import (
    ATTACH,
    CREATE,
    DESTROY,
    KEY,
    REBOOT,
    SET_STATE,
    Answer,
    breaks_off,
    hangs,
    hangs_up,
    market_at,
    never_ends,
    says,
    scripted,
)

SPEC = RentalSpec(
    image="registry/stream:1",
    disk_gb=120.0,
    ports=(Port(container_port=8000), Port(container_port=53, protocol="udp")),
    env={"MODE": "demo"},
    onstart="echo hello",
)
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIexample keeper@ops"
MADE = {"success": True, "new_contract": 4711, "instance_api_key": "secret-of-the-instance"}
LOST_RACE = {
    "success": False,
    "error": "invalid_args",
    "msg": "error 404/3603: no_such_ask  Instance type by id 7 is not available.",
    "ask_id": 7,
}


async def create(answer: Answer, timeout_s: float = 10.0) -> tuple[int, int]:
    """Create against one answer; returns the id and how often it was asked."""
    async with scripted() as script, market_at(script.url, timeout_s=timeout_s) as market:
        script.on(CREATE, answer)
        try:
            made = await market.create(OfferId(7), "keeper:duel/0:1", SPEC)
        finally:
            assert script.count(CREATE) == len(script.seen) == 1, "sent once, never again"
        return made, script.count(CREATE)


async def test_create_sends_a_whole_order() -> None:
    async with scripted() as script, market_at(script.url, public_key=PUBLIC_KEY) as market:
        script.on(CREATE, says(MADE))
        assert await market.create(OfferId(7), "keeper:duel/0:1", SPEC) == 4711
        body = script.seen[0].json
    onstart = body.pop("onstart")
    assert onstart.startswith("touch ~/.no_auto_tmux;\n")
    assert PUBLIC_KEY in onstart
    assert onstart.endswith(f"\n{dead_man.ONSTART}\necho hello")
    assert body == {
        "client_id": "me",
        "image": "registry/stream:1",
        "disk": 120.0,
        "label": "keeper:duel/0:1",
        "env": {"MODE": "demo", "-p 8000:8000": "1", "-p 53:53/udp": "1"},
        "runtype": "ssh_direct",
        "target_state": "running",
        "cancel_unavail": True,
        "price": None,
    }


async def test_the_id_may_come_as_text() -> None:
    assert (await create(says({"new_contract": "4711"})))[0] == 4711


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hangs_up(), id="disconnect after the request"),
        pytest.param(breaks_off(b'{"success": tr', 60), id="body cut"),
        pytest.param(says("<html>502</html>", 502, content_type="text/html"), id="502"),
        pytest.param(says({"error": "insufficient_credit"}, 500), id="500 with a slug"),
        pytest.param(says("", 504), id="504"),
        pytest.param(says("<html>proxy</html>", 400), id="not in the marketplace's words"),
        pytest.param(says("teapot", 418), id="in nobody's words"),
        pytest.param(says({"success": True}, 400), id="a yes with the status of a no"),
        pytest.param(says("", 408), id="408"),
        pytest.param(says('{"success": true, "new_co'), id="JSON cut"),
        pytest.param(says("<html>ok</html>", content_type="text/html"), id="HTML with status 200"),
        pytest.param(says(""), id="nothing with status 200"),
        pytest.param(says("", 204), id="204"),
        pytest.param(says({"success": True}), id="no id"),
        pytest.param(says({"success": True, "new_contract": None}), id="null for id"),
        pytest.param(says({"success": True, "new_contract": 0}), id="zero for id"),
        pytest.param(says({"success": True, "new_contract": "soon"}), id="a word for id"),
        pytest.param(says({"success": False, "msg": "who knows"}), id="an unknown no with 200"),
        pytest.param(
            says({"success": False, "error": "resources_unavailable", "msg": "queued"}, 400),
            id="queued",
        ),
        pytest.param(never_ends(), id="a body without end"),
        pytest.param(says("", 303, Location="/"), id="see other"),
        pytest.param(says("", 301, Location="/"), id="moved, of unknown effect"),
        pytest.param(says("", 302, Location="/"), id="found, of unknown effect"),
    ],
)
async def test_a_create_without_a_clear_answer_is_uncertain(answer: Answer) -> None:
    """Q2."""
    with pytest.raises(Uncertain) as caught:
        await create(answer)
    assert caught.value.instance_id is None


async def test_a_create_without_any_answer_is_uncertain() -> None:
    release = asyncio.Event()
    with pytest.raises(Uncertain):
        await create(hangs(release), timeout_s=1.0)
    release.set()


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500])
async def test_an_error_that_names_a_contract_keeps_its_id(status: int) -> None:
    """Q4: a stopped contract may bill behind a refused bid: third parties met it in production."""
    body = LOST_RACE | {"new_contract": 4711}
    with pytest.raises(Uncertain) as caught:
        await create(says(body, status))
    assert caught.value.instance_id == 4711


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, LOST_RACE, OfferGone),
        (404, LOST_RACE, OfferGone),
        (200, LOST_RACE, OfferGone),
        (
            410,
            {"error": "no_such_ask", "msg": "Instance type 7 is no longer available."},
            OfferGone,
        ),
        (409, {"success": False, "error": "conflict", "msg": "taken"}, OfferGone),
        (404, {"detail": "Not found"}, OfferGone),
        (400, {"error": "insufficient_credit", "msg": "no credit"}, OutOfCredit),
        (400, {"error": "missing_billing"}, OutOfCredit),
        (400, {"error": "invalid_args", "msg": "Spend rate limit exceeded"}, OutOfCredit),
        (400, {"error": "invalid_args", "msg": "error 400/3471: len(args) > 4048"}, Invalid),
        (400, {"error": "bad_request", "msg": "q.x: not an object"}, Invalid),
        (400, {"error": "no_ssh_key_for_vm"}, Invalid),
        (403, {"error": "invalid_args", "msg": "error 403/3586: not your own."}, Invalid),
        (403, {"error": "forbidden", "msg": "no right"}, Unauthorized),
        (401, {"success": False, "error": "auth_error", "msg": "Invalid user key"}, Unauthorized),
        (404, {"success": False, "error": "auth_error", "msg": "Invalid user key"}, Unauthorized),
        (401, "not JSON", Unauthorized),
        (429, {"detail": "API requests too frequent endpoint threshold=4.5"}, RateLimited),
        (429, "API requests too frequent", RateLimited),
        (200, {"success": False, "msg": "API requests too frequent"}, RateLimited),
    ],
)
async def test_a_refused_create_has_rented_nothing(
    status: int, body: Any, error: type[PortError]
) -> None:
    """Q1."""
    with pytest.raises(error) as caught:
        await create(says(body, status))
    assert type(caught.value) is error


async def test_nobody_there_means_nothing_was_sent() -> None:
    async with market_at("http://127.0.0.1:9") as market:
        with pytest.raises(Unreachable, match="not sent"):
            await market.create(OfferId(7), "label", SPEC)


async def test_no_connection_in_time_means_nothing_was_sent() -> None:
    """A listener whose queue is full lets nobody in: the handshake is never answered."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for other in (first, second):
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        async with market_at(f"http://127.0.0.1:{port}", timeout_s=0.4) as market:
            with pytest.raises(TimedOut, match="not sent"):
                await market.create(OfferId(7), "label", SPEC)


async def test_a_kept_connection_is_not_used_for_a_create() -> None:
    """The server may just have closed it, and the create would be uncertain for nothing."""
    peers = []

    async def note(request: Any) -> Any:
        peers.append(request.transport.get_extra_info("peername"))
        return await says(MADE)(request)

    async with scripted() as script, market_at(script.url) as market:
        script.on(CREATE, note)
        await market.create(OfferId(7), "a", SPEC)
        await market.create(OfferId(7), "b", SPEC)
    assert len(set(peers)) == 2


async def test_a_cancelled_create_is_not_sent_again() -> None:
    release = asyncio.Event()
    async with scripted() as script, market_at(script.url) as market:
        script.on(CREATE, hangs(release))
        task = asyncio.get_running_loop().create_task(market.create(OfferId(7), "label", SPEC))
        await script.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert script.count(CREATE) == 1


# --- redirects and the key -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [307, 308])
async def test_an_unprocessed_create_follows_within_its_origin(status: int) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(CREATE, says("", status, Location="/api/v9/asks/7/"))
        script.on("PUT /api/v9/asks/7/", says(MADE))
        assert await market.create(OfferId(7), "label", SPEC) == 4711
        assert [one.call for one in script.seen] == [CREATE, "PUT /api/v9/asks/7/"]
        assert script.seen[0].body == script.seen[1].body


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_key_goes_to_no_other_origin(status: int) -> None:
    async with scripted() as script, scripted() as thief, market_at(script.url) as market:
        script.on(CREATE, says("", status, Location=f"{thief.url}/api/v0/asks/7/"))
        script.on(DESTROY, says("", status, Location=f"{thief.url}/api/v0/instances/5/"))
        script.on("GET /api/v0/users/current", says("", status, Location=f"{thief.url}/"))
        with pytest.raises((Malformed, Uncertain)):
            await market.create(OfferId(7), "label", SPEC)
        with pytest.raises(Malformed):
            await market.destroy(InstanceId(5))
        with pytest.raises(Malformed):
            await market.account()
        assert thief.seen == []


@pytest.mark.parametrize(
    "location", ["", "/api/v0/asks/7/", "http://", "http://[::bad", "ftp://x/"]
)
async def test_a_redirect_to_nowhere_ends(location: str) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(CREATE, says("", 307, Location=location))
        with pytest.raises((Malformed, Uncertain)):
            await market.create(OfferId(7), "label", SPEC)
        assert script.count(CREATE) == 1


async def test_a_ring_of_redirects_ends() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on("GET /api/v0/users/current", says("", 308, Location="/b"))
        script.on("GET /b", says("", 308, Location="/api/v0/users/current"))
        with pytest.raises(Malformed, match="redirects"):
            await market.account()
        assert len(script.seen) == 4


# --- destroy, reboot, attach -----------------------------------------------------------------------


async def destroy(answer: Answer) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(DESTROY, answer)
        await market.destroy(InstanceId(5))
        assert script.seen[0].json == {}


async def test_destroys() -> None:
    await destroy(says({"success": True, "msg": "Instance destroyed successfully"}))
    await destroy(says("", 204))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, {"success": False, "error": "no_such_instance"}, Missing),
        (404, {"success": False, "error": "not_found", "msg": "Instance not found"}, Missing),
        (404, {"detail": "Not found"}, Missing),
        (200, {"success": False, "error": "no_such_instance"}, Missing),
        (404, {"error": "auth_error", "msg": "Invalid user key"}, Unauthorized),
        (404, "<html>404</html>", Malformed),
        (400, {"success": False, "error": "invalid_args", "msg": "invalid instance_id"}, Missing),
        (429, {"error": "rate_limit_exceeded", "msg": "threshold=3.0"}, RateLimited),
        (502, "<html>502</html>", Transient),
        (200, "<html>ok</html>", Malformed),
        (200, {"success": False, "msg": "who knows"}, Malformed),
    ],
)
async def test_a_destroy_that_is_not_done_says_why(
    status: int, body: Any, error: type[PortError]
) -> None:
    """Q15, Q16."""
    kind = "text/html" if isinstance(body, str) else "application/json"
    with pytest.raises(error) as caught:
        await destroy(says(body, status, content_type=kind))
    assert type(caught.value) is error


async def test_a_lost_destroy_may_be_repeated() -> None:
    with pytest.raises(Unreachable):
        await destroy(hangs_up())


async def test_a_lost_reboot_is_uncertain() -> None:
    for answer in (hangs_up(), says("", 502), says("?")):
        async with scripted() as script, market_at(script.url) as market:
            script.on(REBOOT, answer)
            with pytest.raises(Uncertain):
                await market.reboot(InstanceId(5))
            assert script.count(REBOOT) == 1


async def test_reboots_what_exists() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(REBOOT, says({"success": True}), says({"error": "no_such_instance"}, 404))
        await market.reboot(InstanceId(5))
        with pytest.raises(Missing):
            await market.reboot(InstanceId(5))


# --- stop and start --------------------------------------------------------------------------------

QUEUED = "Required resources are currently unavailable, state change queued."


async def test_a_stop_and_a_start_say_which_state_is_meant() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(SET_STATE, says({"success": True}), says({"success": True}))
        await market.stop(InstanceId(5))
        await market.start(InstanceId(5))
        assert [one.json for one in script.seen] == [{"state": "stopped"}, {"state": "running"}]


@pytest.mark.parametrize(
    "answer",
    [hangs_up(), says("", 502), says("?"), says({"success": False})],
    ids=["hangs up", "502", "no JSON", "no slug"],
)
async def test_a_stop_or_a_start_without_an_answer_is_uncertain_and_sent_once(
    answer: Answer,
) -> None:
    """Q14: what became of it a listing says, and a stop is believed only then."""
    for name in ("stop", "start"):
        async with scripted() as script, market_at(script.url) as market:
            script.on(SET_STATE, answer)
            with pytest.raises(Uncertain) as caught:
                await getattr(market, name)(InstanceId(5))
            assert type(caught.value) is Uncertain
            assert script.count(SET_STATE) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"success": False, "error": "resources_unavailable", "msg": QUEUED}),
        (400, {"success": False, "error": "resources_unavailable", "msg": QUEUED}),
        (200, {"success": True, "msg": QUEUED}),
        (200, {"success": False, "msg": QUEUED}),
        (400, {"error": "resources_unavailable", "msg": "Required resources are unavailable."}),
    ],
    ids=["a no with 200", "a no with 400", "a yes", "words alone", "a slug alone"],
)
async def test_a_start_on_a_gpu_that_is_let_is_queued(status: int, body: Any) -> None:
    """Q13: it may come up days later, and bill; a yes with these words is none."""
    async with scripted() as script, market_at(script.url) as market:
        script.on(SET_STATE, says(body, status))
        with pytest.raises(Queued, match="unavailable"):
            await market.start(InstanceId(5))
        assert script.count(SET_STATE) == 1


async def test_a_contract_that_is_made_is_made_whatever_its_answer_says_of_queues() -> None:
    made, _ = await create(says(MADE | {"msg": QUEUED}))
    assert made == MADE["new_contract"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "insufficient_credit", "msg": "Your credit is used up."}, OutOfCredit),
        (400, {"error": "missing_billing"}, OutOfCredit),
        (404, {"success": False, "error": "no_such_instance", "msg": "not found"}, Missing),
        (403, {"error": "forbidden", "msg": "lacks the permission group"}, Unauthorized),
        (401, {"success": False, "msg": "requires Two Factor Authentication"}, Unauthorized),
        (400, {"error": "invalid_args", "msg": "The contract 5 has expired."}, Invalid),
        (429, {"detail": "API requests too frequent endpoint threshold=1.0"}, RateLimited),
    ],
    ids=["no credit", "no billing", "gone", "no right", "2FA", "expired", "too fast"],
)
async def test_a_start_that_is_refused_says_why(
    status: int, body: Any, error: type[PortError]
) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(SET_STATE, says(body, status))
        with pytest.raises(error) as caught:
            await market.start(InstanceId(5))
        assert type(caught.value) is error


async def test_a_key_that_is_attached_already_is_attached() -> None:
    """Q36."""
    said = {"success": False, "msg": "SSH key already associated with instance."}
    for answer in (says({"success": True}), says(said), says(said, 400)):
        async with scripted() as script, market_at(script.url) as market:
            script.on(ATTACH, answer)
            await market.attach_key(InstanceId(5), PUBLIC_KEY + "\n")
            assert script.seen[0].json == {"ssh_key": PUBLIC_KEY}


async def test_a_key_that_cannot_be_attached_says_why() -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(
            ATTACH,
            says({"success": False, "error": "no_ssh_key"}, 400),
            says({"error": "no_such_instance"}, 404),
            hangs_up(),
        )
        for error in (Invalid, Missing, Unreachable):
            with pytest.raises(error):
                await market.attach_key(InstanceId(5), PUBLIC_KEY)


# --- secrets -------------------------------------------------------------------------------------


async def test_no_error_repeats_a_secret() -> None:
    """Servers echo requests; the account and the create answer with keys of their own."""
    other = "c0ffee" * 8
    said = f"key {KEY} (Bearer {KEY}) api_key={KEY[:20]} instance_api_key: {other} " + "x" * 9000
    async with scripted() as script, market_at(script.url) as market:
        answers = [
            says({"success": False, "error": "invalid_args", "msg": said}, 400),
            says({"success": False, "error": KEY, "msg": "?"}, 400),
            says({"success": False, "error": "auth_error", "message": said}, 401),
            says(said, 418, content_type="text/plain"),
            says("y" * (400 - 20) + KEY, 418, content_type="text/plain"),
            says((KEY + " ") * 200, 418, content_type="text/plain"),
            says({"success": True, "new_contract": KEY}, 200),
            says("", 307, Location=f"http://{KEY}.example/"),
            hangs_up(),
        ]
        script.on(CREATE, *answers)
        for _ in answers:
            with pytest.raises(PortError) as caught:
                await market.create(OfferId(7), "label", SPEC)
            error = caught.value
            told = f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"
            assert KEY not in told
            assert KEY[:12] not in told
            assert other not in told
            assert len(str(error)) < 300
        assert KEY not in repr(market)


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)


@given(
    name=st.sampled_from(["success", "error", "msg", "message", "detail", "new_contract"]),
    value=ANYTHING | st.lists(ANYTHING, max_size=2),
    base=st.sampled_from([MADE, LOST_RACE, {"success": True}]),
    status=st.sampled_from([200, 200, 400, 404, 409, 410, 429, 500, 503]),
)
def test_no_answer_to_a_create_can_raise_anything_but_port_errors(
    name: str, value: Any, base: dict[str, Any], status: int
) -> None:
    async def check() -> None:
        try:
            made, count = await create(says(json.dumps(base | {name: value}), status))
        except PortError:
            return
        assert made > 0
        assert count == 1

    asyncio.run(check())
