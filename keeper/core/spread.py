"""Where a spare must not be: with the owner, or in the network, of a host that it is to stand in for.

A spare that fails together with the host is none. The market tells the owner of an offer, mostly its
address, and the country; where it tells no address, another country is taken for another network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from keeper.core.model import HostId, MachineId, Offer, Tenure
from keeper.core.spare import Spread

# About what one site is given: closer than what one provider is (cause.network_of).
_SITE_BITS = {4: 24, 6: 48}

MACHINE = "machine in use"
OWNER = "owner in use"
NETWORK = "network in use"
WORDS = (MACHINE, OWNER, NETWORK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """What the stream's other hosts have, as far as a spare must do without it."""

    machines: frozenset[MachineId] = frozenset()
    owners: frozenset[HostId] = frozenset()
    networks: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()  # looked at where an offer tells no address
    is_network_unsure: bool = False  # of some host neither address nor country is known

    def lacks(self, offer: Offer) -> str:
        """Say what an offer shares with another host of the stream; "" when nothing."""
        if offer.machine_id in self.machines:
            return MACHINE
        if offer.host_id in self.owners:
            return OWNER
        if not self.networks and not self.is_network_unsure:
            return ""
        network = site_of(offer.public_ip)
        if network in self.networks:
            return NETWORK
        if network and not self.is_network_unsure:
            return ""
        is_elsewhere = offer.geolocation and offer.geolocation not in self.regions
        return "" if is_elsewhere else NETWORK


def site_of(address: str) -> str:
    """Return the network that an address is in, about as large as one site's; "" of none."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network(f"{ip}/{_SITE_BITS[ip.version]}", strict=False))


def apart_from(others: Iterable[tuple[Tenure, str]], spread: Spread) -> Apart:
    """Say what an offer must not share with these hosts, each given with its address or ""."""
    hosts = tuple(others)
    machines = frozenset(tenure.machine_id for tenure, _ in hosts if tenure.machine_id)
    if spread is Spread.MACHINE:
        return Apart(machines=machines)
    # Host 0 stands for "not told": nobody is known to share it.
    owners = frozenset(tenure.host_id for tenure, _ in hosts if tenure.host_id)
    if spread is Spread.OWNER:
        return Apart(machines=machines, owners=owners)
    networks = frozenset(network for _, address in hosts if (network := site_of(address)))
    return Apart(
        machines=machines,
        owners=owners,
        networks=networks,
        regions=frozenset(tenure.region for tenure, _ in hosts if tenure.region),
        is_network_unsure=any(not site_of(address) for _, address in hosts),
    )
