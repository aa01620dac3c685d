"""What the marketplace and the hosts have written down: the only thing that the auditor reads.

Entries are only ever appended. The ledger knows nothing of keeper and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

# A create was refused, and the answer names the contract that it has left behind all the same.
NAMED = "named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to the marketplace, as it arrived and as it was really answered."""

    at: float  # epoch seconds of the marketplace's clock
    method: str
    endpoint: str  # "/instances/{id}/": without /api/vN, ids folded
    path: str
    identity: str  # a digest of the key and the caller's address
    status: int  # 0: no answer was given
    is_mutating: bool
    instance_id: int | None = None
    label: str = ""
    state: str = ""  # that an order to stop or to start asked for
    note: str = ""  # what was done to the answer, e.g. the fault's word
    late_s: float = 0.0  # so long after that its answer came


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of a rental, and what it had cost until then."""

    at: float
    what: str  # created, running, stopped, bid, price raised, offline, back, destroyed, …
    by: str  # account, market, host, renter, fault
    dollars: float
    dollars_per_hour: float = 0.0  # its price while running, from here on


@dataclass(slots=True, kw_only=True)
class Rental:
    """One contract from its beginning to its end."""

    instance_id: int
    label: str
    machine_id: int
    host_id: int
    created_at: float
    dollars_per_hour: float
    offered_dollars_per_hour: float = 0.0  # as the open offer said; 0.0: a bid
    understated_dollars_per_hour: float = 0.0  # as a search said that lied about it; 0.0: none did
    disk_dollars_per_hour: float = 0.0  # the part of its price that is paid while it stands still
    is_bid: bool = False
    ends_at: float | None = None  # the contract's own end, as agreed at the beginning
    changes: list[Change] = field(default_factory=list)
    ended_at: float | None = None  # no longer billed, no longer exists
    dollars: float = 0.0  # as of the last change
    # Stretches in which no answer showed it though it lived: it came late, or its end was a lie.
    hidden: list[tuple[float, float]] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Whether it exists, and may cost."""
        return self.ended_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """What a host did or suffered."""

    at: float
    instance_id: int
    what: str  # booted, command, process.started, process.ended, uploaded, killed, vanished, …
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """An offer that really stood open and was what the operator asks for, but for its price."""

    offer_id: int
    machine_id: int
    host_id: int
    dollars_per_hour: float  # on demand, with the disk that is asked for
    floor_dollars_per_hour: float  # of its GPU alone: what a bid must reach
    disk_dollars_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A text that arrived at a host, or at the marketplace, the first time that it did."""

    at: float
    instance_id: int | None  # None: the marketplace
    text: str


class Ledger:
    """Every request, every rental, every deed of a host."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.rentals: dict[int, Rental] = {}
        self.hosts: list[HostEntry] = []
        # What really stood open when somebody searched, whatever the answer said.
        self.looks: list[tuple[float, tuple[Stall, ...]]] = []
        self.credit: list[tuple[float, bool]] = []  # since when the account is empty, or not
        self.arrivals: dict[tuple[int | None, str], Arrival] = {}  # each different text once

    def request(self, entry: Request) -> None:
        """Write down a call."""
        self.requests.append(entry)

    def begin(self, rental: Rental) -> None:
        """Write down a new contract."""
        self.rentals[rental.instance_id] = rental

    def change(self, instance_id: int, change: Change, *, is_end: bool = False) -> None:
        """Write down what became of a contract."""
        rental = self.rentals[instance_id]
        rental.changes.append(change)
        rental.dollars = change.dollars
        if is_end:
            rental.ended_at = change.at

    def empty(self, at: float, *, is_empty: bool) -> None:
        """Write down that the account has run out of credit, or has some again."""
        if (self.credit[-1][1] if self.credit else False) is not is_empty:
            self.credit.append((at, is_empty))

    def host(self, entry: HostEntry) -> None:
        """Write down what a host did."""
        self.hosts.append(entry)

    def arrive(self, at: float, text: str, instance_id: int | None = None) -> None:
        """Write down what somebody sent."""
        if (instance_id, text) not in self.arrivals:
            arrival = Arrival(at=at, instance_id=instance_id, text=text)
            self.arrivals[instance_id, text] = arrival

    def live(self) -> Iterator[Rental]:
        """Yield the rentals that exist."""
        return (rental for rental in self.rentals.values() if rental.is_live)

    def plain(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {
            "requests": [asdict(entry) for entry in self.requests],
            "rentals": [asdict(rental) for rental in self.rentals.values()],
            "credit": [{"at": at, "is_empty": empty} for at, empty in self.credit],
            "hosts": [asdict(entry) for entry in self.hosts],
        }
