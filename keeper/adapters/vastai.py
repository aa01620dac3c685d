"""Rents machines on Vast.ai: the Marketplace port over aiohttp.

What is asked and what counts as an answer is here, of offers in vastai_search.py, of the account
itself in vastai_keys.py; the course of one call is in vastai_calls.py, how it travels in
vastai_http.py, how far calls are kept apart in vastai_spacing.py, what a refusal means in
vastai_errors.py, whose clock counts in vastai_clock.py, and how JSON becomes values in
vastai_wire.py, vastai_rows.py and vastai_offers.py. Nothing is retried here: the daemon's next tick
is the retry, and a create is never sent twice. What was assumed about Vast.ai is in
docs/vast-assumptions.md.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from keeper.adapters.vastai_addresses import is_near_url
from keeper.adapters.vastai_calls import Calls, Connection, decoded
from keeper.adapters.vastai_clock import ends_by_our_clock
from keeper.adapters.vastai_errors import Judge, fits_port, says_no_such_instance
from keeper.adapters.vastai_keys import VastAccount
from keeper.adapters.vastai_reply import Effect
from keeper.adapters.vastai_rows import (
    Listing,
    Readings,
    instance_of,
)
from keeper.adapters.vastai_search import OfferSearch
from keeper.adapters.vastai_secrets import redactor
from keeper.adapters.vastai_spacing import (
    PUBLISHED_INTERVAL_S,
    Endpoint,
    Lanes,
    Limiter,
    lanes_of,
)
from keeper.adapters.vastai_wire import (
    Created,
    InstanceRow,
    Page,
    Shown,
    decode,
    identity,
)
from keeper.core.model import Instance, InstanceId, Offer, OfferId, OfferNeeds, RentalSpec
from keeper.ports import (
    Account,
    Clock,
    Invalid,
    Malformed,
    Missing,
    OfferGone,
    Uncertain,
)
from keeper.workloads.managers import dead_man

if TYPE_CHECKING:
    import aiohttp

PAGE_ROWS: Final = 25  # the most the server gives (Vast API docs, show instances, read 2026-08)
# Dollars per hour for the whole chunk of the machine (Vast API docs, create instance, read 2026-08).
BID_MIN: Final = 0.001
BID_MAX: Final = 128.0
_ORDER_BY_ID: Final = '[{"col":"id","dir":"asc"}]'


class VastMarketplace:
    """The Marketplace port, for one account.

    One call waits at most ``wait_max_s`` for its turn (see vastai_spacing.py) and then at most
    ``timeout_s`` for its answer; a listing makes one call a page. ``public_key`` is put into each
    new container, because keys attached by the API are ignored by some images' sshd. ``connection``
    replaces the way to the server; ``url``, ``timeout_s`` and ``session`` then mean nothing.
    """

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        clock: Clock,
        timeout_s: float = 20.0,
        wait_max_s: float = 60.0,
        public_key: str = "",
        session: aiohttp.ClientSession | None = None,
        spacing: Mapping[Endpoint, float] = PUBLISHED_INTERVAL_S,
        connection: Connection | None = None,
    ) -> None:
        api_key = api_key.strip()  # a credential file ends in a newline
        redact = self._redact = redactor(api_key)
        self._clock = clock
        self._may_be_near = is_near_url(url)
        self._public_key = " ".join(public_key.split())
        # Whoever brings a connection of their own is alone on it: in the simulator a killed keeper
        # leaves nothing to the next.
        lanes = (
            lanes_of(url, api_key, monotonic=clock.monotonic, interval_s=spacing)
            if connection is None
            else Lanes(monotonic=clock.monotonic, interval_s=spacing)
        )
        self._limiter = Limiter(lanes, wait_max_s=wait_max_s)
        if connection is None:
            # Here, for a fifth of a simulator's start is the HTTP client that it has no use for.
            from keeper.adapters.vastai_http import VastHttp

            connection = VastHttp(
                url=url,
                api_key=api_key,
                clock=clock,
                timeout_s=timeout_s,
                redact=redact,
                session=session,
            )
        self._http = connection
        self._calls = Calls(
            connection=self._http,
            limiter=self._limiter,
            judge=Judge(redact=redact),
            now=clock.now,
        )
        self._account = VastAccount(self._calls)
        self._offers = OfferSearch(self._calls, clock.now)
        self._readings: Readings = {}  # of the last complete listing

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http!r})"

    @property
    def server_clock_offset_s(self) -> float | None:
        """How far the marketplace's clock is ahead of ours; None before the first answer."""
        return self._http.server_clock_offset_s

    async def aclose(self) -> None:
        """Close the connections. May be repeated; later calls raise Unreachable."""
        await self._http.close()

    # --- reading ---------------------------------------------------------------------------------

    async def list_instances(self) -> tuple[Instance, ...]:
        """Return all rentals of the account, or raise: never a part of them (I9)."""
        listing = Listing(self._readings, self._redact, may_be_near=self._may_be_near)
        while not listing.is_complete:
            query = {"limit": str(PAGE_ROWS), "order_by": _ORDER_BY_ID}
            if listing.next_token:
                query["after_token"] = listing.next_token
            reply = await self._calls.read(
                Endpoint.LIST, "/api/v1/instances/", query=query, holds=Page
            )
            page = decoded(reply, Page, Endpoint.LIST)
            if not page.instances and reply.body.count(b'"instances"') > 1:
                # Of a name that is there twice the last one counts; an empty one is no absence (I9).
                raise Malformed(f"{Endpoint.LIST}: a page holds the list twice")
            listing.add(page)
        self._readings = listing.readings()
        return ends_by_our_clock(listing.instances(), self.server_clock_offset_s)

    async def show_instance(self, instance_id: InstanceId) -> Instance | None:
        """Return one rental, or None when the marketplace says that it does not exist."""
        path = f"/api/v0/instances/{instance_id}/"
        reply = await self._calls.send(
            Endpoint.SHOW, path, query={"owner": "me"}, effect=Effect.READ
        )
        error = self._calls.failure(reply, Endpoint.SHOW, Effect.READ)
        if isinstance(error, Missing) and says_no_such_instance(reply):
            return None
        if error is not None:
            raise fits_port(error)
        rows = decoded(reply, Shown, Endpoint.SHOW).instances
        if rows is None:
            return None
        # A list of one was seen by others; an empty one is not the documented way to say "none".
        row = rows if isinstance(rows, InstanceRow) else next(iter(rows), None)
        if row is None or (isinstance(rows, list) and len(rows) != 1):
            raise Malformed(f"{Endpoint.SHOW}: the answer is not about one rental")
        instance = instance_of(row, self._redact, may_be_near=self._may_be_near)
        if instance.instance_id != instance_id:
            raise Malformed(f"{Endpoint.SHOW}: asked for {instance_id}, told of another")
        (instance,) = ends_by_our_clock((instance,), self.server_clock_offset_s)
        return instance

    async def search_offers(
        self, needs: OfferNeeds, *, offer_id: OfferId | None = None
    ) -> tuple[Offer, ...]:
        """Return rentable offers near the needs, cheapest first, priced for the disk asked for."""
        return await self._offers.search(needs, offer_id)

    async def survey_offers(self, needs: OfferNeeds) -> tuple[Offer, ...]:
        """Return what is on the market around the needs, for an explanation of what they exclude."""
        return await self._offers.survey(needs)

    async def account(self) -> Account:
        """Return what is left to spend."""
        return await self._account.account()

    # --- changing --------------------------------------------------------------------------------

    async def create(
        self,
        offer_id: OfferId,
        label: str,
        spec: RentalSpec,
        *,
        bid_dollars_per_hour: float | None = None,
    ) -> InstanceId:
        """Rent an offer. Sent once, never again; see the port for what each error means."""
        if bid_dollars_per_hour is not None:
            _check_bid(bid_dollars_per_hour, Endpoint.CREATE)
        reply = await self._calls.send(
            Endpoint.CREATE,
            f"/api/v0/asks/{offer_id}/",
            body=create_body(label, spec, self._public_key, bid_dollars_per_hour),
            effect=Effect.ONCE,
        )
        error = self._calls.failure(reply, Endpoint.CREATE, Effect.ONCE)
        if isinstance(error, Missing) or (
            isinstance(error, Invalid) and reply.status == HTTPStatus.CONFLICT
        ):
            # Documented as 404 and 410, seen as 400 and once as 409: what is missing is the offer.
            raise OfferGone(str(error))
        if error is not None:
            raise error
        try:
            instance_id = identity(decode(reply.body, Created).new_contract)
        except Malformed:
            instance_id = None
        if instance_id is None:
            raise Uncertain(f"{Endpoint.CREATE}: HTTP {reply.status} without a contract's id")
        return InstanceId(instance_id)

    async def destroy(self, instance_id: InstanceId) -> None:
        """End a rental. May be repeated, so a lost answer is Transient; Missing means it is gone."""
        await self._calls.change(Endpoint.DESTROY, f"/api/v0/instances/{instance_id}/")

    async def reboot(self, instance_id: InstanceId) -> None:
        """Stop and start the container. A lost answer is Uncertain: a second one cuts the first."""
        path = f"/api/v0/instances/reboot/{instance_id}/"
        await self._calls.change(Endpoint.REBOOT, path, effect=Effect.ONCE)

    async def stop(self, instance_id: InstanceId) -> None:
        """Stop the container. A lost answer is Uncertain: a listing says whether it stands still."""
        await self._set_state(instance_id, "stopped")

    async def start(self, instance_id: InstanceId) -> None:
        """Start it again. Where its GPU is let, the order waits in a queue: Queued, whatever it says."""
        await self._set_state(instance_id, "running")

    async def _set_state(self, instance_id: InstanceId, state: str) -> None:
        path = f"/api/v0/instances/{instance_id}/"
        await self._calls.change(
            Endpoint.SET_STATE, path, body={"state": state}, effect=Effect.ONCE
        )

    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        """Let this SSH public key log in. May be repeated: a key that is there already is fine."""
        await self._account.attach_key(instance_id, public_key)

    async def change_bid(self, instance_id: InstanceId, dollars_per_hour: float) -> None:
        """Bid this for the GPU part of an interruptible rental. The same bid twice is one bid."""
        _check_bid(dollars_per_hour, Endpoint.CHANGE_BID)
        path = f"/api/v0/instances/bid_price/{instance_id}/"
        await self._calls.change(
            Endpoint.CHANGE_BID, path, body={"client_id": "me", "price": dollars_per_hour}
        )

    async def register_key(self, public_key: str) -> bool:
        """Register this SSH public key with the account; False: it was there."""
        return await self._account.register_key(public_key)

    async def knows_key(self, public_key: str) -> bool:
        """Whether this SSH public key is registered with the account. Reads only."""
        return await self._account.knows_key(public_key)


# --------------------------------------------------------------------------------------------------
# What is sent. Pure.
# --------------------------------------------------------------------------------------------------


def _check_bid(dollars_per_hour: float, endpoint: Endpoint) -> None:
    """Let only a bid out. Raises Invalid.

    What is no number would be written as null: "on demand" to a create, "whatever wins" to a bid.
    """
    if not BID_MIN <= dollars_per_hour <= BID_MAX:
        raise Invalid(f"{endpoint}: not sent: {dollars_per_hour} $/h is no bid")


def create_body(
    label: str, spec: RentalSpec, public_key: str, bid_dollars_per_hour: float | None = None
) -> dict[str, Any]:
    """Return the order for one container, on demand unless a bid is named.

    ``env`` is an object, ports among it: the string form of the schema is for templates and its
    variables never take effect (Vast API guide, creating instances, read 2026-08).
    ``cancel_unavail`` makes a taken GPU an error; else a stopped contract would stay and bill.
    """
    env = dict(spec.env)
    for port in spec.ports:
        suffix = "" if port.protocol == "tcp" else f"/{port.protocol}"
        env[f"-p {port.container_port}:{port.container_port}{suffix}"] = "1"
    return {
        "client_id": "me",
        "image": spec.image,
        "disk": spec.disk_gb,
        "label": label,
        "env": env,
        "onstart": onstart_script(spec.onstart, public_key),
        "runtype": "ssh_direct",
        "target_state": "running",
        "cancel_unavail": True,
        "price": bid_dollars_per_hour,  # null is on demand: nobody can outbid it
    }


def onstart_script(onstart: str, public_key: str) -> str:
    """Return what runs at every start of the container: ours first, then the workload's.

    The marker keeps login shells out of tmux, where commands have been seen to vanish. The key is
    written here as well as attached by the API, because some images' sshd ignores the latter, and
    with the modes that sshd insists on. A dead man that was put there begins to wait again.
    """
    lines = ["touch ~/.no_auto_tmux;"]
    if public_key:
        key = shlex.quote(public_key)
        keys = "~/.ssh/authorized_keys"
        lines += [
            "mkdir -p ~/.ssh; chmod 700 ~/.ssh;",
            f"grep -qxF {key} {keys} 2>/dev/null || printf '\\n%s\\n' {key} >> {keys};",
            f"chmod 600 {keys};",
        ]
    lines.append(dead_man.ONSTART)
    return "\n".join([*lines, onstart] if onstart else lines)
