"""Every error body of Vast.ai that is documented or was observed, through the real HTTP path.

A row says where it is from, what it means to a read, and what to a create or a destroy where that
is something else. Sources: Vast's documents (docs, oas), its command line 1.9.1 (cli), its own notes
for it (plugin), a third-party client (dstack, tf) and reports from the field, all read 2026-08.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.adapters.vastai import VastMarketplace
from keeper.adapters.vastai_errors import BY_SLUG, Judge
from keeper.adapters.vastai_reply import Effect, Reply
from keeper.adapters.vastai_secrets import redactor
from keeper.adapters.vastai_spacing import Endpoint
from keeper.core.model import InstanceId, OfferId, RentalSpec
from keeper.ports import (
    Invalid,
    Malformed,
    Missing,
    OfferGone,
    OutOfCredit,
    PortError,
    Queued,
    QuotaSpent,
    RateLimited,
    Transient,
    Unauthorized,
    Uncertain,
)
from tests.integration.adapters.vast_server import (
    ACCOUNT,
    CREATE,
    DESTROY,
    Answer,
    market_at,
    says,
    scripted,
)

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
SPEC = RentalSpec(image="i", disk_gb=10)
TOO_OFTEN = "API requests too frequent"


@dataclass(frozen=True)
class Body:
    """One answer, and what it is to each kind of call."""

    id: str
    status: int
    body: Any
    read: type[PortError]
    create: type[PortError] | None = None  # None: as to a read
    destroy: type[PortError] | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self) -> Answer:
        return says(self.body, self.status, content_type=self.content_type, **self.headers)

    def of(self, call: str) -> type[PortError]:
        kinds = {ACCOUNT: self.read, CREATE: self.create, DESTROY: self.destroy}
        return kinds[call] or self.read


def no(slug: str, said: str = "?", **more: Any) -> dict[str, Any]:
    return {"success": False, "error": slug, "msg": said} | more


NO_ASK = "error 404/3603: no_such_ask  Instance type by id 7 is not available."
TWO_FACTOR = "This endpoint requires you to have logged in using Two Factor Authentication."

# Dossier 1.2 and 1.3: keys.
KEYS = (
    Body("a wrong key (oas:show_instance)", 401, no("auth_error", "Invalid user key"), Unauthorized),
    Body("a wrong key on a search (oas, field)", 404, no("auth_error", "Invalid user key"),
         Unauthorized),
    Body("the same without a slug (oas:search_offers)", 404, {"msg": "Invalid user key"},
         Unauthorized),
    Body("a 401 that is no JSON (cli)", 401, "<html>401</html>", Unauthorized,
         content_type="text/html"),
    Body("a 401 in plain words (cli)", 401, "Unauthorized", Unauthorized,
         content_type="text/plain"),
    Body("a scoped key, of the older server (plugin)", 401, {"msg": "Invalid or expired API key"},
         Unauthorized),
    Body("a missing right (field)", 403, {"error": "forbidden", "msg": "no right"}, Unauthorized),
    Body("a missing right by its name (plugin)", 403,
         {"msg": "Your key lacks the machine_read permission group"}, Unauthorized),
    Body("not the owner (oas:logs)", 403, no("not_authorized"), Unauthorized),
    Body("no session of two factors (cli, plugin)", 401, no("auth_error", TWO_FACTOR),
         Unauthorized),
    Body("a session that is over (cli)", 404, {"msg": "Session expired. Please log in again."},
         Unauthorized),
    Body("a team's SSH keys (plugin)", 400, {"msg": "team SSH keys are not supported"},
         Unauthorized),
    Body("a firewall before the server", 403, "<html>Access denied</html>", Unauthorized,
         content_type="text/html"),
)  # fmt: skip

# Dossier 1.4: requests. A read that is told it is wrong has met another API.
REQUESTS = (
    Body("a bare value for a filter (field)", 400, no("bad_request", "q.gpu_ram: not an object"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("no JSON (oas:search_offers)", 400, no("invalid_request", "Invalid json body"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("wrong arguments (oas:create_instance)", 400, no("invalid_args", "error 400/3467: args"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("a start script that is too long (plugin)", 400,
         no("invalid_args", "error 400/3471 len(args) > 4048"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("a bid out of bounds (oas:create_instance)", 400, no("invalid_price"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("a bid of nothing (oas:change_bid)", 400,
         no("invalid_args", "Please set a bid price >= 0.001."),
         Malformed, create=Invalid, destroy=Invalid),
    Body("no offer named (oas:create_instance)", 400,
         no("invalid_args", "error 400/3467: Invalid args: 'id' is required", ask_id=7),
         Malformed, create=Invalid, destroy=Invalid),
    Body("a column that cannot be searched (oas:show_instances)", 400,
         {"error": "invalid_request", "msg": "Error in query parameters: dph_total is not valid"},
         Malformed, create=Invalid, destroy=Invalid),
    Body("a host's own offer (oas:create_instance)", 403,
         no("invalid_args", "error 403/3586: Offer 7 is not your own. Hosts can only rent theirs."),
         Malformed, create=Invalid, destroy=Invalid),
    Body("a label that is too long (oas:label_instance)", 400, no("label_too_long"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("no key for a VM (oas:create_instance)", 400, no("no_ssh_key_for_vm"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("an empty key (oas:create_ssh_key)", 400, no("no_ssh_key"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("no container (oas:execute)", 400, no("invalid_container_id"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("a bad cursor (oas:show_instances)", 400, no("invalid_token"), Malformed),
    Body("malformed JSON of a command (oas:execute)", 483, {"msg": "malformed JSON"},
         Malformed, create=Invalid, destroy=Invalid),
    Body("what the scheduler cannot take (cli)", 422, {"detail": [{"loc": ["body"], "msg": "?"}]},
         Malformed, create=Invalid, destroy=Invalid),
    Body("a slug nobody knows", 400, no("something_new"),
         Malformed, create=Invalid, destroy=Invalid),
    Body("only a message (docs)", 400, {"message": "no"},
         Malformed, create=Invalid, destroy=Invalid),
)  # fmt: skip

# Dossier 1.4 and 2.2: offers and money. To a read of the account these make no sense.
OFFERS = (
    Body("the lost race as it is live (field; Q1)", 400, no("invalid_args", NO_ASK, ask_id=7),
         Malformed, create=OfferGone, destroy=OfferGone),
    Body("the lost race as documented, 404 (oas)", 404, no("invalid_args", NO_ASK),
         Malformed, create=OfferGone, destroy=OfferGone),
    Body("the lost race as documented, 410 (oas)", 410,
         no("no_such_ask", "Instance type 7 is no longer available."),
         Malformed, create=OfferGone, destroy=OfferGone),
    Body("an offer that is gone, with cancel_unavail (oas)", 410,
         no("no_such_ask", "error 410/3907: no_such_ask Instance type 7 is no longer available."),
         Malformed, create=OfferGone, destroy=OfferGone),
    Body("the lost race as 409 (field)", 409, no("conflict", "taken"),
         Malformed, create=OfferGone, destroy=Invalid),
    Body("no credit (field; Q23)", 400, {"error": "insufficient_credit", "msg": "?"},
         Malformed, create=OutOfCredit, destroy=OutOfCredit),
    Body("no payment (oas:stop_instance)", 400, no("missing_billing"),
         Malformed, create=OutOfCredit, destroy=OutOfCredit),
    Body("a new account's cap (docs)", 429, {"msg": "Account spend rate limit reached"},
         Malformed, create=OutOfCredit, destroy=OutOfCredit),
    Body("a bid that is too low (dstack; Q4)", 400, no("invalid_price", new_contract=4711),
         Malformed, create=Uncertain, destroy=Invalid),
    Body("a bid that is too low, with 200 (dstack; Q4)", 200, no("invalid_price", new_contract=9),
         Malformed, create=Uncertain, destroy=Invalid),
    Body("queued (field; Q13)", 200,
         no("resources_unavailable",
            "Required resources are currently unavailable, state change queued."),
         Malformed, create=Queued),
    Body("queued, as a 400 (field; Q13)", 400, no("resources_unavailable", "state change queued."),
         Malformed, create=Queued, destroy=Invalid),
)  # fmt: skip

# Dossier 1.4 and 2.4: rentals.
RENTALS = (
    Body("no such rental (oas:destroy_instance; Q15)", 404, no("no_such_instance"),
         Malformed, create=OfferGone, destroy=Missing),
    Body("not found, slug (oas:logs)", 404, no("not_found", "Instance not found"),
         Malformed, create=OfferGone, destroy=Missing),
    Body("not found, detail (field)", 404, {"detail": "Not found"},
         Malformed, create=OfferGone, destroy=Missing),
    Body("an id that cannot be (oas:reboot_instance)", 400,
         no("invalid_args", "invalid instance_id"),
         Malformed, create=OfferGone, destroy=Missing),
    Body("an id that cannot be (oas)", 404, no("invalid_id"),
         Malformed, create=OfferGone, destroy=Missing),
    Body("no such rental, with 200 (tf)", 200, no("no_such_instance"),
         Malformed, create=OfferGone, destroy=Missing),
    Body("a 404 page, which says nothing", 404, "<html>404</html>", Malformed, create=Uncertain,
         content_type="text/html"),
)  # fmt: skip

# Dossier 1.5 and quirks Q16, Q17: the pace.
PACE = (
    Body("plain text (docs)", 429, TOO_OFTEN, RateLimited, content_type="text/plain"),
    Body("plain text with a threshold (docs)", 429, f"{TOO_OFTEN}: endpoint threshold=4.5",
         RateLimited, content_type="text/plain"),
    Body("detail (oas)", 429, {"detail": f"{TOO_OFTEN} endpoint threshold=4.5"}, RateLimited),
    Body("slug (oas:destroy_instance)", 429, no("rate_limit_exceeded"), RateLimited),
    Body("a hint in the body (field)", 429, {"message": "slow down", "retry_after": 1.0},
         RateLimited),
    Body("a hint in the header (cli)", 429, {"msg": "slow down"}, RateLimited,
         headers={"Retry-After": "1"}),
    Body("nothing at all", 429, "", RateLimited),
    Body("with status 200 (tf)", 200, no("", TOO_OFTEN), RateLimited),
)  # fmt: skip

# Dossier 1.5 and Q18: the quota of a day. Only a search may meet it; see test_vastai_pace.py.
QUOTA = (
    Body("the day's quota (cli)", 429, no("search_quota_exceeded"), Malformed,
         create=QuotaSpent, destroy=QuotaSpent),
    Body("the day's quota in plain words", 429, "Daily search quota exceeded", Malformed,
         create=QuotaSpent, destroy=QuotaSpent, content_type="text/plain"),
)  # fmt: skip

# Dossier 1.4, 1.6 and quirks Q2, Q6: the server, and what stands before it.
SERVER = (
    Body("a 500", 500, no("server_error"), Transient, create=Uncertain),
    Body("a 502 page", 502, "<html>502</html>", Transient, create=Uncertain,
         content_type="text/html"),
    Body("a 503 without a word", 503, "", Transient, create=Uncertain),
    Body("a 504", 504, "", Transient, create=Uncertain),
    Body("a 500 that names a slug", 500, no("no_such_ask"), Transient, create=Uncertain),
    Body("a 503 about the pace", 503, {"msg": TOO_OFTEN}, RateLimited, create=Uncertain),
    Body("a 408", 408, "", Transient, create=Uncertain),
    Body("a list that is no more (field; Q6)", 200, no("deprecated_endpoint"), Malformed),
    Body("a no without a reason, with 200 (tf)", 200, {"success": False}, Malformed,
         create=Uncertain),
    Body("a page, with 200", 200, "<html>ok</html>", Malformed, create=Uncertain,
         content_type="text/html"),
    Body("nothing, with 200", 200, "", Malformed, create=Uncertain),
    Body("an array, with 200", 200, "[1]", Malformed, create=Uncertain),
    Body("half of an object", 200, '{"success": tr', Malformed, create=Uncertain),
    Body("an array as an error (docs)", 400, '["no"]', Malformed, create=Uncertain),
    Body("a yes with the status of a no", 400, {"success": True}, Malformed, create=Uncertain,
         destroy=Invalid),
)  # fmt: skip

BODIES = (*KEYS, *REQUESTS, *OFFERS, *RENTALS, *PACE, *QUOTA, *SERVER)


async def told(market: VastMarketplace, call: str) -> PortError:
    """Make one call and return the error it ends in."""
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        CREATE: lambda: market.create(OfferId(7), "label", SPEC),
        DESTROY: lambda: market.destroy(InstanceId(5)),
        ACCOUNT: market.account,
    }
    with pytest.raises(PortError) as caught:
        await acts[call]()
    return caught.value


@pytest.mark.parametrize("call", [ACCOUNT, CREATE, DESTROY])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.id)
async def test_a_body_is_one_error_to_each_call(body: Body, call: str) -> None:
    async with scripted() as script, market_at(script.url) as market:
        script.on(call, body.answer())
        error = await told(market, call)
        assert type(error) is body.of(call), str(error)
        assert script.count(call) == 1, "whatever it was, it was asked once"
        if isinstance(error, Uncertain):
            named = body.body.get("new_contract") if isinstance(body.body, dict) else None
            assert error.instance_id == named


def test_every_slug_has_a_row() -> None:
    rows = {body.body.get("error") for body in BODIES if isinstance(body.body, dict)}
    assert set(BY_SLUG) - {"unauthorized"} <= rows, "unauthorized is our own guess at a slug"


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
NAMES = ["success", "error", "msg", "message", "detail", "retry_after", "new_contract", "x"]
SLUGS = [*BY_SLUG, "", "invalid_args", "resources_unavailable", NO_ASK, TWO_FACTOR, TOO_OFTEN]


@settings(max_examples=300)
@given(
    status=st.integers(200, 599),
    body=st.dictionaries(
        st.sampled_from(NAMES),
        ANY | st.sampled_from(SLUGS) | st.lists(ANY, max_size=2) | st.dictionaries(st.text(), ANY),
    ).map(json.dumps)
    | st.text(max_size=60)
    | ANY.map(json.dumps),
    content_type=st.sampled_from(["", "application/json", "text/html", "text/plain", "\x00"]),
    headers=st.fixed_dictionaries(
        {}, optional={"retry-after": st.text(max_size=9), "x-ratelimit-reset": st.text(max_size=9)}
    ),
    call=st.sampled_from([Endpoint.LIST, Endpoint.CREATE, Endpoint.DESTROY, "GET /x"]),
    effect=st.sampled_from(Effect),
)
def test_no_body_leads_out_of_the_taxonomy(
    status: int, body: str, content_type: str, headers: dict[str, str], call: str, effect: Effect
) -> None:
    reply = Reply(
        status=status,
        body=body.encode(errors="replace"),
        headers=headers | {"content-type": content_type},
    )
    judge = Judge(redact=redactor("0123456789abcdef"))
    error = judge.failure_of(reply, call=call, effect=effect, now=NOW)
    if error is None:
        assert reply.is_ok
    else:
        assert isinstance(error, PortError)
        assert len(str(error)) < 300
    # What happens once and was answered without a plain no is in doubt.
    if effect is Effect.ONCE and status >= 500:
        assert isinstance(error, Uncertain)
