"""Where a rental says that it can be reached, and what of that keeper goes to. Pure.

The address of a rental is what its host has reported of itself, and keeper looks there several times a
minute. A host that names keeper's own box, its network or the cloud's metadata service would have it
ask there in the host's place.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any, Final

from yarl import URL

from keeper.adapters.vastai_wire import NAME_MAX, text

# Names and addresses end up in SSH configurations and commands, so nothing else gets through.
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_NAME_MAX: Final = 253
# IANA's registries of special-purpose addresses (read 2026-11): what never is a host of somebody else's
# on the Internet. The ranges kept for documentation are nobody's, so they may stay.
_NEAR: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # between a provider and its customers; the metadata service of one cloud
        "127.0.0.0/8",  # this box
        "169.254.0.0/16",  # this link; the metadata service of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # between protocols; the metadata service of one cloud
        "192.168.0.0/16",  # private
        "224.0.0.0/3",  # to many at once, and what is kept for later
        "::/127",  # this host and this box
        "64:ff9b::/96",  # IPv4 in other clothes: any of the above
        "64:ff9b:1::/48",
        "fc00::/7",  # private
        "fe80::/10",  # this link
        "ff00::/8",  # to many at once
    )
)


def address_of(value: Any, *, may_be_near: bool = False) -> str:
    """Read an IP address that may carry blanks; "" when it is none, or one that is near.

    ``may_be_near``: the marketplace itself is near (a simulation), and so may its hosts be.
    """
    address = _ip_address(text(value, NAME_MAX).partition(" ")[0])
    return "" if address and not may_be_near and is_near(address) else address


def host_name_of(value: Any, *, may_be_near: bool = False) -> str:
    """Read a host's name or address; "" when it is none, or one that is near."""
    name = text(value, _NAME_MAX).strip()
    if not _HOST_NAME.fullmatch(name):
        return address_of(name, may_be_near=may_be_near)
    return "" if not may_be_near and is_near(name) else name


@lru_cache(maxsize=4096)
def is_near(host: str) -> bool:
    """Whether this names keeper's own box, its link or its private network."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return _is_number(name)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in _NEAR)


def is_near_url(url: str) -> bool:
    """Whether a server is on this box or in its network."""
    return is_near(URL(url).host or "")


def _is_number(name: str) -> bool:
    """Whether it is no name but another way to write an address, such as 127.1 or 0x7f000001.

    A name's last part is never a number, so that the two cannot be taken for each other (WHATWG URL,
    "ends in a number", read 2026-11); the system's resolver reads all of them.
    """
    last = name.rpartition(".")[2]
    return re.fullmatch(r"\d+|0x[0-9a-f]*", last) is not None


@lru_cache(maxsize=4096)
def _ip_address(said: str) -> str:
    """Return an address as it is written; the same few hosts are read every few seconds.

    Without a zone ("%eth0"): that names an interface of the box that reads it.
    """
    try:
        return "" if "%" in said else str(ipaddress.ip_address(said))
    except ValueError:
        return ""
