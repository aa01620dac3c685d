"""The marketplace: lists, searches, rents and ends, and what the account can still pay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from keeper.core.model import Instance, InstanceId, Offer, OfferId, OfferNeeds, RentalSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the account can still pay for."""

    credit_dollars: float
    balance_dollars: float
    email: str = ""

    @property
    def spendable_dollars(self) -> float:
        """Credit, less what is owed (Vast.ai: a negative balance is a debt)."""
        return self.credit_dollars + min(0.0, self.balance_dollars)


class Marketplace(Protocol):
    """Rents machines. Every method may raise Transient, Unauthorized and Malformed."""

    async def list_instances(self) -> tuple[Instance, ...]:
        """Return *all* rentals of the account, or raise: never a part of them (I9)."""
        ...

    async def show_instance(self, instance_id: InstanceId) -> Instance | None:
        """Return one rental, or None when the marketplace says that it does not exist."""
        ...

    async def search_offers(
        self, needs: OfferNeeds, *, offer_id: OfferId | None = None
    ) -> tuple[Offer, ...]:
        """Return rentable offers near the needs, cheapest first, priced for the disk asked for.

        By ``needs.pricing`` they are on demand, interruptible, or both. The needs are sent as
        filters but are not trusted: core.market filters again. With ``offer_id`` that one offer
        alone, whatever it misses, or nothing. May raise QuotaSpent.
        """
        ...

    async def survey_offers(self, needs: OfferNeeds) -> tuple[Offer, ...]:
        """Return what is on the market around the needs, for an explanation of what they exclude.

        What misses one need alone is among it, also what is only priced on the other basis; of what
        is dearer not all. It takes several searches. May raise QuotaSpent.
        """
        ...

    async def create(
        self,
        offer_id: OfferId,
        label: str,
        spec: RentalSpec,
        *,
        bid_dollars_per_hour: float | None = None,
    ) -> InstanceId:
        """Rent an offer: on demand, or with a bid for its GPU part. Sent once, never again.

        Raises OfferGone, OutOfCredit, Invalid, Unauthorized, RateLimited (nothing is rented) or
        Uncertain (a rental with this label may exist; its id is on the error when it was named).
        """
        ...

    async def destroy(self, instance_id: InstanceId) -> None:
        """End a rental. May be repeated; Missing means it is gone already."""
        ...

    async def reboot(self, instance_id: InstanceId) -> None:
        """Stop and start the container on the same contract. Raises Missing, Uncertain."""
        ...

    async def stop(self, instance_id: InstanceId) -> None:
        """Stop the container; the disk stays and bills, the GPU is free for anybody. Raises Missing.

        A yes is an order taken, no more: it bills in full until a listing shows it stopped. Raises
        Uncertain where the answer is lost.
        """
        ...

    async def start(self, instance_id: InstanceId) -> None:
        """Start a stopped container on its own machine, if its GPU is free; else it raises Queued.

        Raises Missing, OutOfCredit, or Invalid where its contract has ended; Uncertain where the
        answer is lost. A listing says what became of it; a queued start ends with a stop or a destroy.
        """
        ...

    async def change_bid(self, instance_id: InstanceId, dollars_per_hour: float) -> None:
        """Bid this for the GPU part of an interruptible rental. May be repeated. Raises Missing."""
        ...

    async def attach_key(self, instance_id: InstanceId, public_key: str) -> None:
        """Let this SSH public key log in. May be repeated."""
        ...

    async def register_key(self, public_key: str) -> bool:
        """Register this SSH public key with the account; False: it was there. May be repeated.

        The marketplace's proxy lets in only keys of the account. Raises Invalid or Unauthorized
        where an account may have none (a team's).
        """
        ...

    async def account(self) -> Account:
        """Return what is left to spend."""
        ...
