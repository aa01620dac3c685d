"""Reads Vast.ai's JSON: only the fields keeper uses, and each of them with suspicion.

Numbers come as int, float or text, texts carry blanks and newlines, keys are absent while a host
boots, raw dumps hold NaN. A value that makes no sense becomes None or empty; a structure that makes
no sense becomes Malformed. What the fields mean is in vastai_rows.py and vastai_offers.py. Pure;
knows no HTTP.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from keeper.ports import Malformed

T = TypeVar("T")

TEXT_MAX: Final = 500
NAME_MAX: Final = 80
_NUMBER_TEXT_MAX: Final = 40
_DIGITS_MAX: Final = 18
_ID_MAX: Final = 2**63 - 1
# No price, size, speed or duration is larger; what claims to be is a slip or a trap, and its products
# would not be finite.
_AMOUNT_MAX: Final = 1e12
# A host with eight of the dearest GPUs costs some 40 $/h. What claims more than this is not a price, and
# is as good as not told; so is less than nothing.
_PRICE_MAX: Final = 1000.0
_MOMENT_MIN: Final = 1e9  # in 2001; before that there was nothing to rent, and no time to be meant


# --------------------------------------------------------------------------------------------------
# The answers. Every field may be anything; the readers below make sense of it.
# --------------------------------------------------------------------------------------------------


class Complaint(msgspec.Struct):
    """What any answer may carry when it is a no."""

    success: Any = None
    error: Any = None
    msg: Any = None
    message: Any = None
    detail: Any = None
    retry_after: Any = None
    new_contract: Any = None


NOTHING: Final = msgspec.Raw(b"null")


class InstanceRow(msgspec.Struct, gc=False):
    """A rental, as listed or shown. During boot it can hold little more than its id.

    The port map stays as it was written: most listings say of it what the one before said. What JSON
    holds cannot point back at its row, so the garbage collector need not walk ten thousand of them.
    """

    id: Any = None
    label: Any = None
    actual_status: Any = None
    intended_status: Any = None
    cur_state: Any = None
    next_state: Any = None
    status_msg: Any = None
    image_runtype: Any = None
    machine_id: Any = None
    host_id: Any = None
    gpu_name: Any = None
    gpu_ram: Any = None
    disk_space: Any = None
    ssh_host: Any = None
    ssh_port: Any = None
    public_ipaddr: Any = None
    ports: msgspec.Raw = NOTHING
    dph_total: Any = None
    dph_base: Any = None
    storage_total_cost: Any = None
    is_bid: Any = None
    min_bid: Any = None
    rentable: Any = None
    start_date: Any = None
    end_date: Any = None
    geolocation: Any = None


class Page(Complaint, kw_only=True):
    """One page of the list. ``instances`` must be there, or nothing is known (I9).

    It is an array of objects; null is an empty one where everything else says so too.

    It can hold a complaint as well, so that a hundred kilobytes are gone through once, not twice.
    """

    instances: list[InstanceRow] | None
    total_instances: Any = None
    instances_found: Any = None
    next_token: Any = None


class Shown(msgspec.Struct):
    """The by-id read: one object under a plural name; null when there is no such rental."""

    instances: InstanceRow | list[InstanceRow] | None


class OfferRow(msgspec.Struct):
    """An ask."""

    id: Any = None
    ask_contract_id: Any = None
    machine_id: Any = None
    host_id: Any = None
    is_bid: Any = None
    gpu_name: Any = None
    num_gpus: Any = None
    gpu_ram: Any = None
    gpu_display_active: Any = None
    verification: Any = None
    verified: Any = None
    rentable: Any = None
    reliability: Any = None
    reliability2: Any = None
    disk_space: Any = None
    inet_up: Any = None
    inet_down: Any = None
    inet_up_cost: Any = None
    inet_down_cost: Any = None
    internet_up_cost_per_tb: Any = None
    internet_down_cost_per_tb: Any = None
    dph_total: Any = None
    dph_base: Any = None
    min_bid: Any = None
    storage_cost: Any = None
    storage_total_cost: Any = None
    direct_port_count: Any = None
    duration: Any = None
    geolocation: Any = None
    cuda_max_good: Any = None
    driver_version: Any = None
    public_ipaddr: Any = None


class Offers(msgspec.Struct):
    """The answer to a search. A row that is no object spoils only itself."""

    offers: list[Any]


class Created(msgspec.Struct):
    """The answer to a create. It also holds a key of the instance, which is left unread."""

    new_contract: Any = None


class User(msgspec.Struct):
    """The account. It also holds its API key, which is left unread."""

    credit: Any = None
    balance: Any = None
    email: Any = None


_DECODERS: Final[dict[type, msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (Complaint, InstanceRow, Page, Shown, Offers, Created, User)
}


def decode(body: bytes, kind: type[T]) -> T:
    """Read a body as ``kind``. Raises Malformed.

    What the fast decoder refuses is read again by a forgiving one, because one host's broken
    ``status_msg`` must not blind keeper to all other rentals.
    """
    try:
        found: T = _DECODERS[kind].decode(body)
        return found
    except (msgspec.DecodeError, UnicodeDecodeError):  # endless numbers are "of another shape"
        return _decode_dirty(body, kind)
    except RecursionError:
        raise Malformed("the answer is nested too deeply") from None


def _decode_dirty(body: bytes, kind: type[T]) -> T:
    """Read JSON that holds NaN, 1e999, broken UTF-8, half surrogates or raw control characters."""
    try:
        found: T = _DECODERS[kind].decode(cleaned(body))
        return found
    except msgspec.ValidationError as error:
        raise Malformed(f"the answer has another shape: {error}") from None
    except RecursionError:
        raise Malformed("the answer is nested too deeply") from None
    except ValueError:
        raise Malformed("the answer is not JSON, or only a part of it") from None


def cleaned(body: bytes) -> bytes:
    """Write JSON of a kind anew as the standard has it; what has no place there becomes text.

    Raises ValueError, RecursionError.
    """
    loose = json.loads(
        body.decode("utf-8-sig", "replace"),
        strict=False,
        # Not null: a rental that is "NaN" does not read as "there is no such rental".
        parse_constant=str,
        parse_float=_finite,
    )
    return json.dumps(loose, ensure_ascii=False).encode("utf-8", "replace")


def _finite(said: str) -> float | str:
    read = float(said)
    return read if math.isfinite(read) else said


# --------------------------------------------------------------------------------------------------
# Readers of single values. They never raise.
# --------------------------------------------------------------------------------------------------


def number(value: Any) -> float | None:
    """Read a finite number that may come as text; None for anything else."""
    if type(value) is float:  # nearly all of them
        return value if math.isfinite(value) else None
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()
        if not value or len(value) > _NUMBER_TEXT_MAX or "_" in value:
            return None
    elif not isinstance(value, int | float):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def amount(value: Any) -> float | None:
    """Read a number that cannot be negative or endless (a price, a size)."""
    read = number(value)
    return read if read is not None and 0 <= read <= _AMOUNT_MAX else None


def price(value: Any) -> float | None:
    """Read dollars; None when they are not told, or are nothing that anybody would ask for."""
    read = value if type(value) is float else number(value)
    return read if read is not None and 0.0 <= read <= _PRICE_MAX else None


def integer(value: Any) -> int | None:
    """Read a whole number that may come as text or float; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -_ID_MAX <= value <= _ID_MAX else None
    if isinstance(value, str) and len(value) < _DIGITS_MAX and value.isascii() and value.isdigit():
        return int(value)  # nearly all of them, at a fifth of the cost
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    read = number(value)
    if read is None or not read.is_integer() or abs(read) > 2**53:
        return None
    return int(read)


def identity(value: Any) -> int | None:
    """Read an id: a whole number above zero."""
    read = integer(value)
    return read if read is not None and read > 0 else None


def flag(value: Any) -> bool | None:
    """Read a truth value that may come as 0, 1 or text; None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    read = number(value)
    return None if read not in {0.0, 1.0} else bool(read)


def text(value: Any, length_max: int = TEXT_MAX) -> str:
    """Read a text as one bounded line without control characters; "" for anything else."""
    if not isinstance(value, str):
        return ""
    if len(value) <= length_max and (line := value.strip()).isprintable() and "  " not in line:
        return line  # nearly all of them, at a tenth of the cost
    # Cut before cleaning: what is cut may be a gigabyte.
    line = " ".join(value[: 4 * length_max].split())
    return "".join(c if c.isprintable() else "�" for c in line[:length_max])


def moment(value: Any) -> datetime | None:
    """Read seconds since 1970; None when absent, long ago or beyond the calendar."""
    read = number(value)
    if read is None or read < _MOMENT_MIN:
        return None
    try:
        return datetime.fromtimestamp(read, UTC)
    except (ValueError, OverflowError, OSError):
        return None
