"""Makes core values of Vast.ai's rows: rentals, offers, the account.

Here is what a field means: which word is which state, which of the four shapes ``ports`` came in,
what a price is made of, and when a paged list is whole. Pure; knows no HTTP.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from keeper.adapters.vastai_wire import (
    InstanceRow,
    OfferRow,
    Offers,
    Page,
    User,
    amount,
    cleaned,
    flag,
    identity,
    integer,
    moment,
    number,
    text,
)
from keeper.core.model import HostId, Instance, InstanceId, MachineId, MarketState, Offer, OfferId
from keeper.ports import Account, Malformed, Transient

# Vast counts GPU memory in MiB and calls a thousand of them a GB: its own command line sends
# gpu_ram>=24 as 24000, and a "24 GB" card reports 24564. The same arithmetic keeps both true.
MIB_PER_GB: Final = 1000.0
# storage_cost is dollars per GB and month; a month has 720 hours (exact in every sample seen).
HOURS_PER_MONTH: Final = 720.0
_GB_PER_TB: Final = 1024.0  # likewise

_NAME_MAX: Final = 80
_LABEL_MAX: Final = 1024  # the longest label that the API takes
_PORT_MAX: Final = 65_535
_COUNTRY_CODE_LENGTH: Final = 2
_LIST_ROWS_MAX: Final = 10_000  # 400 pages, far above any fleet; bounds a walk that never ends
_CURSOR_MAX: Final = 4096  # it goes into an address; those seen have some 40 characters


# --------------------------------------------------------------------------------------------------
# Instances
# --------------------------------------------------------------------------------------------------

# Vast API docs, CLI "show instances", and official client, read 2026-08. "" stands for null: the
# contract exists and the host has not reported yet. A word that is not here is OTHER.
STATES: Final[Mapping[str, MarketState]] = {
    "": MarketState.PENDING,
    "created": MarketState.PENDING,
    "loading": MarketState.PENDING,
    "rebooting": MarketState.PENDING,
    "recycling": MarketState.PENDING,
    "scheduling": MarketState.PENDING,
    "running": MarketState.RUNNING,
    "stopped": MarketState.STOPPED,
    "exited": MarketState.STOPPED,
    "offline": MarketState.OFFLINE,
    "unknown": MarketState.UNKNOWN,
}

# Texts of the host's daemon after which a boot never succeeds. Vast's own image tests, the
# official client's self-test and a third party in production look for the same (read 2026-08).
DAEMON_ERRORS: Final = (
    "error response from daemon",
    "failed to pull image",
    "no space left on device",
    "manifest unknown",
    "unauthorized",
    "unexpected eof",
    "oci runtime create failed",
)

_STOPPED_INTENTS: Final = frozenset({"stopped", "exited", "frozen", "unloaded"})
# Names and addresses end up in SSH configurations and commands, so nothing else gets through.
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def state_of(actual_status: Any) -> MarketState:
    """Fold the marketplace's word for a rental to what keeper tells apart."""
    if actual_status is None:
        return MarketState.PENDING
    if not isinstance(actual_status, str):
        return MarketState.OTHER
    return STATES.get(actual_status.strip().lower(), MarketState.OTHER)


def is_meant_to_run(row: InstanceRow) -> bool:
    """Whether the contract is meant to run. Rows of a booting host may not say: then it is."""
    if row.intended_status == "running":  # nearly all of them
        return True
    said = (row.intended_status, row.next_state, row.cur_state)
    word = next((one.strip().lower() for one in said if isinstance(one, str) and one.strip()), "")
    return word not in _STOPPED_INTENTS


@lru_cache(maxsize=1024)
def has_daemon_error(status_msg: str) -> bool:
    """Whether the last line of the host's daemon says that the container cannot start."""
    said = status_msg.lower()
    return any(piece in said for piece in DAEMON_ERRORS)


def ports_of(value: Any) -> dict[str, int]:
    """Read the port map, as JSON or decoded, as {"22/tcp": port of the host}.

    Four shapes are documented or were seen: Docker's own map, a bare array of numbers (which maps
    nothing), null, and absence. In the map, a port that is not published is null.
    """
    if isinstance(value, msgspec.Raw):
        value = _loosely(value)
    if not isinstance(value, dict):
        return {}
    found = {}
    for name, published in value.items():
        inside, port = _port_name(str(name)), _host_port(published)
        if inside and port is not None:
            found[inside] = port
    return found


def _loosely(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        pass
    try:
        return msgspec.json.decode(cleaned(bytes(raw)))
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=1024)
def _port_name(said: str) -> str:
    """Return a container's port as "22/tcp"; "" when it is none."""
    parts = re.fullmatch(r"\s*(\d{1,5})(?:/(tcp|udp|sctp))?\s*", said.lower(), re.ASCII)
    return f"{int(parts[1])}/{parts[2] or 'tcp'}" if parts is not None else ""


def _host_port(published: Any) -> int | None:
    candidates = published if isinstance(published, list) else [published]
    for one in candidates:
        port = integer(one.get("HostPort") if isinstance(one, dict) else one)
        if port is not None and 0 < port <= _PORT_MAX:
            return port
    return None


def address_of(value: Any) -> str:
    """Read an IP address that may carry blanks; "" when it is none."""
    return _ip_address(text(value, _NAME_MAX).partition(" ")[0])


@lru_cache(maxsize=4096)
def _ip_address(said: str) -> str:
    """Return an address as it is written; the same few hosts are read every few seconds."""
    try:
        return str(ipaddress.ip_address(said))
    except ValueError:
        return ""


def _host_name(value: Any) -> str:
    name = text(value, 253).strip()
    return name if _HOST_NAME.fullmatch(name) else address_of(name)


def _ssh_port(row: InstanceRow) -> int:
    """Return the proxy's port; with a jupyter runtype the usable one is the next.

    So does the official client (read 2026-08).
    """
    port = integer(row.ssh_port)
    if port is None:
        return 0
    port += "jupyter" in text(row.image_runtype)
    return port if 0 < port <= _PORT_MAX else 0


def instance_of(row: InstanceRow) -> Instance:
    """Make a rental of a row. Raises Malformed when it has no id."""
    instance_id = identity(row.id)
    if instance_id is None:
        raise Malformed("a row of the answer has no id")
    machine_id, host_id = identity(row.machine_id), identity(row.host_id)
    status_text = text(row.status_msg)
    return Instance(
        instance_id=InstanceId(instance_id),
        label=text(row.label, _LABEL_MAX),
        state=state_of(row.actual_status),
        is_meant_to_run=is_meant_to_run(row),
        has_daemon_error=has_daemon_error(status_text),
        status_text=status_text,
        machine_id=None if machine_id is None else MachineId(machine_id),
        host_id=None if host_id is None else HostId(host_id),
        gpu_name=text(row.gpu_name, _NAME_MAX),
        ssh_host=_host_name(row.ssh_host),
        ssh_port=_ssh_port(row),
        public_ip=address_of(row.public_ipaddr),
        ports=ports_of(row.ports),
        dollars_per_hour=amount(row.dph_total) or 0.0,
        started_at=moment(row.start_date),
        ends_at=moment(row.end_date),
        gpu_ram_gb=(amount(row.gpu_ram) or 0.0) / MIB_PER_GB,
        disk_gb=amount(row.disk_space) or 0.0,
        geolocation=country_of(row.geolocation),
    )


# What a row said in the fields that keeper reads, and what was made of it.
Reading = tuple[InstanceRow, Instance]
Readings = Mapping[InstanceId, Reading]


def is_same(row: InstanceRow, before: InstanceRow) -> bool:
    """Whether two rows say the same; no when they cannot be compared."""
    try:
        return row == before
    except RecursionError:
        return False


def reading_of(row: InstanceRow) -> Reading:
    """Read a row. Raises Malformed."""
    row.ports = row.ports.copy()  # else the row keeps all of its page
    return row, instance_of(row)


class Listing:
    """Puts the pages of a list together and believes them only as a whole (I9).

    Acting on a part of the list once meant renting again what was on page two. So the rows must
    add up to the total that each page states, no row may come twice, and the cursor must move.
    """

    def __init__(self, before: Readings = MappingProxyType({})) -> None:
        """Begin a list. ``before`` are the readings of an earlier one, to read less anew."""
        self._before = before
        self._rows: dict[InstanceId, Reading] = {}
        self._tokens: set[str] = set()
        self._total: int | None = None
        self.next_token = ""
        self.is_complete = False

    def add(self, page: Page) -> None:
        """Take one page. Raises Malformed, or Transient when the list moved while it was read."""
        total, found = integer(page.total_instances), integer(page.instances_found)
        if flag(page.success) is False or total is None or total < 0:
            raise Malformed("a page of the list does not state the total")
        if total > _LIST_ROWS_MAX:
            raise Malformed(f"the list claims {total} rentals")
        if self._total is not None and total != self._total:
            raise Transient("the list changed while it was being read")
        self._total = total
        if found is not None and found != len(page.instances):
            raise Malformed(f"a page says {found} rows and holds {len(page.instances)}")
        before, rows = self._before, self._rows
        for row in page.instances:
            instance_id = row.id
            known = before.get(InstanceId(instance_id)) if type(instance_id) is int else None
            if known is None or not is_same(row, known[0]):  # few rows, most of the time
                known = reading_of(row)
                instance_id = known[1].instance_id
            if instance_id in rows:
                raise Malformed(f"rental {instance_id} is listed twice")
            rows[instance_id] = known
        self._move(page)

    def _move(self, page: Page) -> None:
        token = page.next_token or ""
        if not isinstance(token, str) or len(token) > _CURSOR_MAX or not token.isprintable():
            raise Malformed("the cursor of the list is no short line of text")
        self.next_token, self.is_complete = token, not token
        if len(self._rows) > (self._total or 0) or (
            self.is_complete and len(self._rows) != self._total
        ):
            raise Malformed(f"the list holds {len(self._rows)} rows of {self._total}")
        if token and (token in self._tokens or not page.instances):
            raise Malformed("the cursor of the list does not move")
        self._tokens.add(token)

    def readings(self) -> Readings:
        """Return what each row said and what was read in it."""
        return self._rows

    def instances(self) -> tuple[Instance, ...]:
        """Return all rentals, by id. Only of a complete list."""
        assert self.is_complete
        rows = self._rows
        return tuple([rows[instance_id][1] for instance_id in sorted(rows)])


# --------------------------------------------------------------------------------------------------
# Offers
# --------------------------------------------------------------------------------------------------


def offers_of(answer: Offers, disk_gb: float) -> tuple[Offer, ...]:
    """Make offers of the rows that make sense, cheapest first, each id once.

    A row without id, machine or price cannot be rented and is left out. If no row makes sense,
    the contract has changed: Malformed.
    """
    found: dict[OfferId, Offer] = {}
    for loose in answer.offers:
        offer = _offer_of(loose, disk_gb)
        if offer is not None:
            found.setdefault(offer.offer_id, offer)
    if answer.offers and not found:
        raise Malformed(f"none of {len(answer.offers)} offers has an id, a machine and a price")
    return tuple(sorted(found.values(), key=lambda one: (one.dollars_per_hour, one.offer_id)))


def _offer_of(loose: Any, disk_gb: float) -> Offer | None:
    try:
        row = msgspec.convert(loose, OfferRow)
    except ValueError:  # another shape; or one whose text cannot even be complained of
        return None
    offer_id = identity(row.id) or identity(row.ask_contract_id)
    machine_id = identity(row.machine_id)
    total = amount(row.dph_total)
    if offer_id is None or machine_id is None or total is None:
        return None
    gpu, disk = _price_parts(row, total, disk_gb)
    return Offer(
        offer_id=OfferId(offer_id),
        machine_id=MachineId(machine_id),
        host_id=HostId(identity(row.host_id) or 0),
        gpu_name=text(row.gpu_name, _NAME_MAX),
        gpu_count=integer(row.num_gpus) or 0,
        gpu_ram_gb=(amount(row.gpu_ram) or 0.0) / MIB_PER_GB,
        gpu_display_active=flag(row.gpu_display_active) is True,
        verified=_is_verified(row),
        # An interruptible price is a floor that others may outbid: no offer for keeper.
        rentable=flag(row.rentable) is True and (row.is_bid is None or flag(row.is_bid) is False),
        reliability=amount(row.reliability) or amount(row.reliability2) or 0.0,
        disk_space_gb=amount(row.disk_space) or 0.0,
        inet_up_mbps=amount(row.inet_up) or 0.0,
        inet_down_mbps=amount(row.inet_down) or 0.0,
        inet_up_dollars_per_gb=_traffic_price(row.inet_up_cost, row.internet_up_cost_per_tb),
        inet_down_dollars_per_gb=_traffic_price(row.inet_down_cost, row.internet_down_cost_per_tb),
        # A search that ignored the disk size answers with the total for 8 GB: 12 to 23 % too low.
        dollars_per_hour=max(total, gpu + disk),
        gpu_dollars_per_hour=gpu,
        disk_dollars_per_hour=disk,
        direct_port_count=max(0, integer(row.direct_port_count) or 0),
        duration_s=amount(row.duration) or 0.0,
        geolocation=country_of(row.geolocation),
        cuda_max=amount(row.cuda_max_good) or 0.0,
    )


def _price_parts(row: OfferRow, total: float, disk_gb: float) -> tuple[float, float]:
    """Split a price into GPU and the disk asked for, from whichever parts were given."""
    base, monthly = amount(row.dph_base), amount(row.storage_cost)
    disk = (
        amount(row.storage_total_cost) if monthly is None else monthly * disk_gb / HOURS_PER_MONTH
    )
    if disk is None:
        disk = max(0.0, total - base) if base is not None else 0.0
    return (max(0.0, total - disk) if base is None else base), disk


def _traffic_price(per_gb: Any, per_tb: Any) -> float:
    """Read a price per GB; where it makes no sense, from the other of its two forms."""
    price = amount(per_gb)
    return (amount(per_tb) or 0.0) / _GB_PER_TB if price is None else price


def _is_verified(row: OfferRow) -> bool:
    """Read the state from ``verification``; older answers carry only the convenience flag."""
    word = text(row.verification, _NAME_MAX) or text(row.verified, _NAME_MAX)
    return word.strip().lower() in {"verified", "true"} or (not word and flag(row.verified) is True)


def country_of(geolocation: Any) -> str:
    """Return the two-letter code at the end of "Texas, US"; "" when there is none."""
    code = text(geolocation, _NAME_MAX).rpartition(",")[2].strip()
    is_code = len(code) == _COUNTRY_CODE_LENGTH and code.isascii() and code.isalpha()
    return code.upper() if is_code else ""


# --------------------------------------------------------------------------------------------------
# Account
# --------------------------------------------------------------------------------------------------


def account_of(user: User) -> Account:
    """Make the account of an answer. Raises Malformed when it names neither credit nor balance.

    The documents disagree: the sample shows ``credit`` only, the schema ``balance`` only. What is
    above zero in a lone balance can be spent; a balance below zero is owed.
    """
    credit, balance = number(user.credit), number(user.balance)
    if credit is None and balance is None:
        raise Malformed("the account names neither its credit nor its balance")
    if credit is None:
        credit = max(0.0, balance or 0.0)
    return Account(
        credit_dollars=credit, balance_dollars=balance or 0.0, email=text(user.email, _NAME_MAX)
    )
