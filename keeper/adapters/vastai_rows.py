"""Makes core values of Vast.ai's rows: rentals, lists of them, the account.

Here is what a field means: which word is which state, which of the four shapes ``ports`` came in,
what a price is made of, and when a paged list is whole. Offers are in vastai_offers.py. Pure; knows
no HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from keeper.adapters.vastai_addresses import address_of, host_name_of
from keeper.adapters.vastai_wire import (
    NAME_MAX,
    InstanceRow,
    Page,
    User,
    amount,
    cleaned,
    flag,
    identity,
    integer,
    moment,
    number,
    price,
    text,
)
from keeper.core.model import HostId, Instance, InstanceId, MachineId, MarketState
from keeper.ports import Account, Malformed, Transient

# Vast counts GPU memory in MiB and calls a thousand of them a GB: its own command line sends
# gpu_ram>=24 as 24000, and a "24 GB" card reports 24564. The same arithmetic keeps both true.
MIB_PER_GB: Final = 1000.0
# storage_cost is dollars per GB and month; a month has 720 hours (exact in every sample seen).
HOURS_PER_MONTH: Final = 720.0

_LABEL_MAX: Final = 1024  # the longest label that the API takes
_PORT_MAX: Final = 65_535
_COUNTRY_CODE_LENGTH: Final = 2
# How far a total may lie from the sum of its parts: they are rounded on their way.
_SUM_ERROR_DOLLARS: Final = 0.002
_SUM_ERROR_RATIO: Final = 0.02
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


def _ssh_port(row: InstanceRow) -> int:
    """Return the proxy's port; with a jupyter runtype the usable one is the next.

    So does the official client (read 2026-08).
    """
    port = integer(row.ssh_port)
    if port is None:
        return 0
    port += "jupyter" in text(row.image_runtype)
    return port if 0 < port <= _PORT_MAX else 0


def _as_it_is(said: str) -> str:
    return said


def instance_of(
    row: InstanceRow, redact: Callable[[str], str] = _as_it_is, *, may_be_near: bool = False
) -> Instance:
    """Make a rental of a row. Raises Malformed when it has no id.

    ``redact`` clears what the host's Docker says: its errors repeat the container's environment, and
    with it the instance's own key.
    """
    instance_id = identity(row.id)
    if instance_id is None:
        raise Malformed("a row of the answer has no id")
    machine_id, host_id = identity(row.machine_id), identity(row.host_id)
    status_text = text(row.status_msg)
    dollars, gpu, disk = _prices(row)
    is_bid = flag(row.is_bid) is True
    return Instance(
        instance_id=InstanceId(instance_id),
        label=text(row.label, _LABEL_MAX),
        state=state_of(row.actual_status),
        is_meant_to_run=is_meant_to_run(row),
        has_daemon_error=has_daemon_error(status_text),
        status_text=redact(status_text) if status_text else "",
        machine_id=None if machine_id is None else MachineId(machine_id),
        host_id=None if host_id is None else HostId(host_id),
        gpu_name=text(row.gpu_name, NAME_MAX),
        ssh_host=host_name_of(row.ssh_host, may_be_near=may_be_near),
        ssh_port=_ssh_port(row),
        public_ip=address_of(row.public_ipaddr, may_be_near=may_be_near),
        ports=ports_of(row.ports),
        dollars_per_hour=dollars,
        started_at=moment(row.start_date),
        ends_at=moment(row.end_date),
        gpu_ram_gb=(amount(row.gpu_ram) or 0.0) / MIB_PER_GB,
        disk_gb=amount(row.disk_space) or 0.0,
        geolocation=country_of(row.geolocation),
        gpu_dollars_per_hour=gpu,
        disk_dollars_per_hour=disk,
        is_bid=is_bid,
        # Nobody bids against a rental on demand, and the market moves: no news for nothing.
        min_bid_dollars_per_hour=price(row.min_bid) or 0.0 if is_bid else 0.0,
        is_machine_listed=row.rentable is True or flag(row.rentable) is not False,
    )


def _prices(row: InstanceRow) -> tuple[float, float, float]:
    """Read what a contract costs, and its GPU and disk of that; 0.0 for what is not told.

    The sum is exact in every sample seen. So a total that its parts contradict is not told: a host
    on air is left for a price, and one wrong field of an answer must not cost it.
    """
    total = price(row.dph_total) or 0.0
    base, storage = price(row.dph_base), price(row.storage_total_cost)
    if base is not None and storage is not None and not _adds_up(base + storage, total):
        return 0.0, 0.0, 0.0
    gpu, disk = _parts(total, base, storage)
    return total, gpu, disk


def _adds_up(dollars: float, total: float) -> bool:
    return abs(dollars - total) <= _SUM_ERROR_DOLLARS + _SUM_ERROR_RATIO * total


def _parts(total: float, base: float | None, storage: float | None) -> tuple[float, float]:
    """Take a part that is above the total, or is not told, for what the other leaves of it."""
    gpu = base if base is not None and base <= total else None
    disk = storage if storage is not None and storage <= total else None
    if gpu is None:
        return (0.0, 0.0) if disk is None else (total - disk, disk)
    return gpu, total - gpu if disk is None else disk


# What a row said in the fields that keeper reads, and what was made of it.
Reading = tuple[InstanceRow, Instance]
Readings = Mapping[InstanceId, Reading]


def is_same(row: InstanceRow, before: InstanceRow) -> bool:
    """Whether two rows say the same; no when they cannot be compared."""
    try:
        return row == before
    except RecursionError:
        return False


def reading_of(
    row: InstanceRow, redact: Callable[[str], str] = _as_it_is, *, may_be_near: bool = False
) -> Reading:
    """Read a row. Raises Malformed."""
    row.ports = row.ports.copy()  # else the row keeps all of its page
    return row, instance_of(row, redact, may_be_near=may_be_near)


def _none_of(page: Page, total: int | None, found: int | None) -> list[InstanceRow]:
    """Read null for rentals as none, where the page says in three more ways that there are none.

    The schema has an array (docs, show instances, read 2026-08), but a server that writes null for an
    empty one is common, and an account that could not be read could never rent its first host.
    """
    if flag(page.success) is not True or total != 0 or found != 0 or page.next_token:
        raise Malformed("a page of the list holds null, and does not say that there is nothing")
    return []


class Listing:
    """Puts the pages of a list together and believes them only as a whole (I9).

    Acting on a part of the list once meant renting again what was on page two. So the rows must
    add up to the total that each page states, no row may come twice, and the cursor must move.
    """

    def __init__(
        self,
        before: Readings = MappingProxyType({}),
        redact: Callable[[str], str] = _as_it_is,
        *,
        may_be_near: bool = False,
    ) -> None:
        """Begin a list. ``before`` are the readings of an earlier one, to read less anew."""
        self._before = before
        self._redact = redact
        self._may_be_near = may_be_near
        self._rows: dict[InstanceId, Reading] = {}
        self._tokens: set[str] = set()
        self._total: int | None = None
        self.next_token = ""
        self.is_complete = False

    def add(self, page: Page) -> None:
        """Take one page. Raises Malformed, or Transient when the list moved while it was read."""
        total, found = integer(page.total_instances), integer(page.instances_found)
        listed = page.instances
        if listed is None:
            listed = _none_of(page, total, found)
        if flag(page.success) is False or total is None or total < 0:
            raise Malformed("a page of the list does not state the total")
        if total > _LIST_ROWS_MAX:
            raise Malformed(f"the list claims {total} rentals")
        if self._total is not None and total != self._total:
            raise Transient("the list changed while it was being read")
        self._total = total
        if found is not None and found != len(listed):
            raise Malformed(f"a page says {found} rows and holds {len(listed)}")
        before, rows = self._before, self._rows
        for row in listed:
            instance_id = row.id
            known = before.get(InstanceId(instance_id)) if type(instance_id) is int else None
            if known is None or not is_same(row, known[0]):  # few rows, most of the time
                known = reading_of(row, self._redact, may_be_near=self._may_be_near)
                instance_id = known[1].instance_id
            if instance_id in rows:
                raise Malformed(f"rental {instance_id} is listed twice")
            rows[instance_id] = known
        self._move(page, listed)

    def _move(self, page: Page, listed: Sequence[InstanceRow]) -> None:
        token = page.next_token or ""
        if not isinstance(token, str) or len(token) > _CURSOR_MAX or not token.isprintable():
            raise Malformed("the cursor of the list is no short line of text")
        self.next_token, self.is_complete = token, not token
        if len(self._rows) > (self._total or 0) or (
            self.is_complete and len(self._rows) != self._total
        ):
            raise Malformed(f"the list holds {len(self._rows)} rows of {self._total}")
        if token and (token in self._tokens or not listed):
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


def country_of(geolocation: Any) -> str:
    """Return the two-letter code at the end of "Texas, US"; "" when there is none."""
    code = text(geolocation, NAME_MAX).rpartition(",")[2].strip()
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
        credit_dollars=credit, balance_dollars=balance or 0.0, email=text(user.email, NAME_MAX)
    )
