"""Rents machines on Vast.ai: the Marketplace port over aiohttp.

What is asked and what counts as an answer is here, for the account itself in vastai_keys.py; the
course of one call is in vastai_calls.py, how it travels in vastai_http.py, how far calls are kept
apart in vastai_spacing.py, what a refusal means in vastai_errors.py, and how JSON
becomes values in vastai_wire.py and vastai_rows.py. Nothing is retried here: the daemon's next tick is the retry, and
a create is never sent twice. What was assumed about Vast.ai is in docs/vast-assumptions.md.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import aiohttp
from typing_extensions import override

from keeper.adapters.vastai_calls import Calls, decoded
from keeper.adapters.vastai_errors import Judge, fits_port, says_no_such_instance
from keeper.adapters.vastai_http import Connection, VastHttp
from keeper.adapters.vastai_keys import VastAccount
from keeper.adapters.vastai_reply import Effect
from keeper.adapters.vastai_rows import (
    MIB_PER_GB,
    Listing,
    Readings,
    instance_of,
    offers_of,
)
from keeper.adapters.vastai_secrets import redactor
from keeper.adapters.vastai_spacing import PUBLISHED_INTERVAL_S, Endpoint, Limiter
from keeper.adapters.vastai_wire import (
    Created,
    InstanceRow,
    Offers,
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
    QuotaSpent,
    Uncertain,
)

T = TypeVar("T")

PAGE_ROWS: Final = 25  # the most the server gives (Vast API docs, show instances, read 2026-08)
_ORDER_BY_ID: Final = '[{"col":"id","dir":"asc"}]'
# The server caps a search at 64 rows whatever is asked for (reports from the field, 2026-08). They
# come cheapest first, so what is cut off is dearer than everything that was seen.
_OFFERS_MAX: Final = 64
# A card sold as 24 GB reports 24564 MiB, one sold as 20 GB 20470, and some hold back a little for
# themselves. The filter lets those through; core.market looks again.
_GPU_RAM_MARGIN: Final = 0.95


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
        redact = redactor(api_key)
        self._clock = clock
        self._public_key = " ".join(public_key.split())
        self._limiter = Limiter(
            monotonic=clock.monotonic, interval_s=spacing, wait_max_s=wait_max_s
        )
        self._http: Connection = connection or VastHttp(
            url=url,
            api_key=api_key,
            clock=clock,
            timeout_s=timeout_s,
            redact=redact,
            session=session,
        )
        self._calls = Calls(
            connection=self._http,
            limiter=self._limiter,
            judge=Judge(redact=redact),
            now=clock.now,
        )
        self._account = VastAccount(self._calls)
        self._quota_until: datetime | None = None
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
        listing = Listing(self._readings)
        while not listing.is_complete:
            query = {"limit": str(PAGE_ROWS), "order_by": _ORDER_BY_ID}
            if listing.next_token:
                query["after_token"] = listing.next_token
            reply = await self._calls.read(
                Endpoint.LIST, "/api/v1/instances/", query=query, holds=Page
            )
            listing.add(decoded(reply, Page, Endpoint.LIST))
        self._readings = listing.readings()
        return listing.instances()

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
        instance = instance_of(row)
        if instance.instance_id != instance_id:
            raise Malformed(f"{Endpoint.SHOW}: asked for {instance_id}, told of another")
        return instance

    async def search_offers(
        self, needs: OfferNeeds, *, offer_id: OfferId | None = None
    ) -> tuple[Offer, ...]:
        """Return rentable offers near the needs, cheapest first, priced for the disk asked for."""
        if self._quota_until is not None and self._clock.now() < self._quota_until:
            raise QuotaSpent(f"{Endpoint.SEARCH}: not sent", until=self._quota_until)
        try:
            reply = await self._calls.read(
                Endpoint.SEARCH,
                "/api/v0/bundles/",
                body=search_body(needs) if offer_id is None else one_offer_body(needs, offer_id),
                allows=(Invalid, QuotaSpent),
            )
        except QuotaSpent as spent:
            self._quota_until = spent.until
            raise
        self._quota_until = None
        return offers_of(decoded(reply, Offers, Endpoint.SEARCH), needs.disk_gb)

    async def survey_offers(self, needs: OfferNeeds) -> tuple[Offer, ...]:
        """Return what is on the market around the needs, for an explanation."""
        reply = await self._calls.read(
            Endpoint.SEARCH,
            "/api/v0/bundles/",
            body=survey_body(needs),
            allows=(Invalid, QuotaSpent),
        )
        return offers_of(decoded(reply, Offers, Endpoint.SEARCH), needs.disk_gb)

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

    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        """Let this SSH public key log in. May be repeated: a key that is there already is fine."""
        await self._account.attach_key(instance_id, public_key)

    async def change_bid(self, instance_id: InstanceId, dollars_per_hour: float) -> None:
        """Bid this for the GPU part of an interruptible rental."""
        path = f"/api/v0/instances/bid_price/{instance_id}/"
        await self._calls.change(
            Endpoint.CHANGE_BID, path, body={"client_id": "me", "price": dollars_per_hour}
        )

    async def register_key(self, public_key: str) -> bool:
        """Register this SSH public key with the account; False: it was there."""
        return await self._account.register_key(public_key)


# --------------------------------------------------------------------------------------------------
# What is sent. Pure.
# --------------------------------------------------------------------------------------------------


def search_body(needs: OfferNeeds) -> dict[str, Any]:
    """Return the search for these needs: every filter an object of operator and value.

    Filters that a server may add by itself are sent too, so that its defaults do not matter. Only
    ``verified`` is left out when it does not matter to us: no value of it is known to mean "any".
    """
    body: dict[str, Any] = {
        "rentable": {"eq": True},
        "rented": {"eq": False},
        "external": {"eq": False},
        "num_gpus": {"eq": needs.gpu_count},
        "gpu_ram": {"gte": round(needs.gpu_ram_min_gb * MIB_PER_GB * _GPU_RAM_MARGIN)},
        "reliability": {"gte": needs.reliability_min},
        "disk_space": {"gte": needs.disk_gb},
        "dph_total": {"lte": needs.price_max_dollars_per_hour},
        "direct_port_count": {"gte": needs.direct_ports_min},
        "duration": {"gte": needs.duration_min_s},
        "order": [["dph_total", "asc"]],
        "type": "on-demand",
        "limit": _OFFERS_MAX,
        # The price depends on it; without it the answer is for 8 GB.
        "allocated_storage": needs.disk_gb,
    }
    if needs.gpu_display_active:
        body["gpu_display_active"] = {"eq": True}
    if needs.verified:
        body["verified"] = {"eq": True}
    names: dict[str, list[str]] = {}
    if needs.gpu_names:
        names["in"] = [_market_name(name) for name in needs.gpu_names]
    if needs.gpu_names_excluded:
        names["notin"] = [_market_name(name) for name in needs.gpu_names_excluded]
    if names:
        body["gpu_name"] = names
    if needs.geolocations:
        body["geolocation"] = {"in": [code.upper() for code in needs.geolocations]}
    for key, least in (
        ("inet_up", needs.inet_up_min_mbps),
        ("inet_down", needs.inet_down_min_mbps),
        ("cuda_max_good", needs.cuda_min),
    ):
        if least > 0:
            body[key] = {"gte": least}
    return body


def one_offer_body(needs: OfferNeeds, offer_id: OfferId) -> dict[str, Any]:
    """Return the search for one offer. A filter on ``id`` matches nothing (field reports, 2026-08)."""
    return {
        "ask_contract_id": {"eq": int(offer_id)},
        "order": [["dph_total", "asc"]],
        "type": "on-demand",
        "limit": 1,
        "allocated_storage": needs.disk_gb,
    }


def survey_body(needs: OfferNeeds) -> dict[str, Any]:
    """Return the search for everything around the needs."""
    return {
        "rentable": {"eq": True},
        "num_gpus": {"eq": needs.gpu_count},
        "order": [["dph_total", "asc"]],
        "type": "on-demand",
        "limit": 1000,
        "disable_bundling": True,
        "allocated_storage": needs.disk_gb,
    }


def _market_name(gpu_name: str) -> str:
    """Vast's command line writes RTX_4090 where the market says "RTX 4090"; both are accepted."""
    return gpu_name.replace("_", " ").strip()


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
    with the modes that sshd insists on.
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
    return "\n".join([*lines, onstart] if onstart else lines)
