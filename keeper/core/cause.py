"""What failed hosts share and the healthy ones lack: the common cause, with an honest base rate.

Pure arithmetic on values. A trait that the whole fleet has explains nothing; one that only the failed
have is named as soon as luck alone is an unlikely explanation. What follows from a name is for others:
suspects.py asks, fuses.py and market.py act on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address, ip_network
from math import comb

from keeper.core.model import Failure, Tenure
from keeper.core.moments import elapsed_s

# A chance below this is no luck: one false name in twenty questions, and a name costs only a rank.
_LUCK_MAX = 0.05
# So many that share what no healthy host has are named even where the fleet is too small to tell.
_NAMED_WITHIN = 3
_HOSTS_MIN = 2  # one machine is for the quarantine
_NETWORK_BITS = {4: 16, 6: 32}  # about what one provider is given


class Trait(StrEnum):
    """What hosts may have in common, the narrowest first: of equals the first is named."""

    OWNER = "owner"
    NETWORK = "network"
    DRIVER = "driver"
    GPU = "gpu"
    REGION = "region"
    IMAGE = "image"
    REVISION = "revision"


# What the next choice of a host can avoid; the others are the operator's own.
AVOIDABLE = frozenset({Trait.OWNER, Trait.DRIVER, Trait.GPU, Trait.REGION})
_NOUNS = {
    Trait.OWNER: "machines of owner {}",
    Trait.NETWORK: "machines in the network {}",
    Trait.DRIVER: "machines with driver {}",
    Trait.GPU: "machines with an {}",
    Trait.REGION: "machines in {}",
    Trait.IMAGE: "hosts with the image {}",
    Trait.REVISION: "hosts with workload revision {}",
}

Traits = Mapping[str, str]  # by Trait; one that was not told is not in it
Columns = Mapping[Trait, Sequence[str]]  # of many hosts: what was told of each kind, one by one
_TOLD: Mapping[Trait, Callable[[Tenure], str]] = {
    Trait.OWNER: lambda t: str(t.host_id) if t.host_id else "",
    Trait.NETWORK: lambda t: t.network,
    Trait.DRIVER: lambda t: t.driver,
    Trait.GPU: lambda t: t.gpu_name,
    Trait.REGION: lambda t: t.region,
    Trait.IMAGE: lambda t: t.image,
    Trait.REVISION: lambda t: t.revision,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A trait that failed hosts share, and how well it tells them from the healthy."""

    trait: Trait
    value: str
    failed: int  # machines with it that failed
    failed_in_all: int  # whose trait of this kind is known
    healthy: int  # the same of those on air
    healthy_in_all: int
    luck: float  # how likely so clear a split is by chance alone

    def sentence(self) -> str:
        """Say it with its numbers: who is blamed sees what for."""
        what = _NOUNS[self.trait].format(self.value)
        return (
            f"{what}: {self.failed} of {self.failed_in_all} failed hosts,"
            f" {self.healthy} of {self.healthy_in_all} healthy ones"
        )


def network_of(address: str) -> str:
    """Return the network that an address is in, about as large as one provider's; "" of none."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network(f"{ip}/{_NETWORK_BITS[ip.version]}", strict=False))


def traits_of(tenure: Tenure) -> Traits:
    """Return what is known of a rental that others may share."""
    return {kind.value: value for kind, told in _TOLD.items() if (value := told(tenure))}


def columns_of(tenures: Sequence[Tenure]) -> Columns:
    """Return the traits of many hosts by their kind: a thousand are looked through in a moment."""
    return {
        kind: [value for tenure in tenures if (value := told(tenure))]
        for kind, told in _TOLD.items()
    }


def recent(failures: Iterable[Failure], now: datetime, memory_s: float) -> list[Failure]:
    """Return the failures that still count, the oldest first; one of the future counts as now."""
    kept = [each for each in failures if elapsed_s(each.at, now) < memory_s]
    return sorted(kept, key=lambda each: (each.at, each.label))


def named(failures: Iterable[Failure], healthy: Columns) -> tuple[Cause, ...]:
    """Name what tells failed hosts from healthy ones, the clearest first; each kind once at most.

    A machine that failed more than once counts once: it would not make its owner a suspect.
    """
    failed = {each.machine_id or each.label: each.traits for each in failures}
    if len(failed) < _HOSTS_MIN:
        return ()
    bad = tuple(failed.values())
    found = [cause for kind in Trait if (cause := _clearest(kind, bad, healthy.get(kind, ())))]
    order = list(Trait)
    return tuple(sorted(found, key=lambda each: (each.luck, order.index(each.trait))))


def _clearest(kind: Trait, failed: Sequence[Traits], good: Sequence[str]) -> Cause | None:
    bad = [each[kind] for each in failed if kind in each]
    often = sorted(value for value, count in Counter(bad).items() if count >= _HOSTS_MIN)
    causes = [_weighed(kind, value, bad, good) for value in often]
    return min((each for each in causes if _is_telling(each)), key=_clarity, default=None)


def _clarity(cause: Cause) -> tuple[float, str]:
    return cause.luck, cause.value  # of one kind, equal luck is an equal split


def _weighed(kind: Trait, value: str, bad: Sequence[str], good: Sequence[str]) -> Cause:
    return Cause(
        trait=kind,
        value=value,
        failed=bad.count(value),
        failed_in_all=len(bad),
        healthy=good.count(value),
        healthy_in_all=len(good),
        luck=luck(bad.count(value), len(bad), good.count(value), len(good)),
    )


def _is_telling(cause: Cause) -> bool:
    if cause.failed < _HOSTS_MIN or cause.healthy == cause.healthy_in_all:
        return False  # nobody is known to be well without it
    is_perfect = cause.healthy == 0 and cause.failed == cause.failed_in_all
    return cause.luck <= _LUCK_MAX or (is_perfect and cause.failed >= _NAMED_WITHIN)


def luck(failed: int, failed_in_all: int, healthy: int, healthy_in_all: int) -> float:
    """Return how likely it is that so many of the failed have a trait if it did not matter.

    Fisher's exact test, one-sided: drawing the failed at random from all hosts.
    """
    if failed * healthy_in_all <= healthy * failed_in_all:
        return 1.0  # the healthy have it as often: no need to count
    having, hosts = failed + healthy, failed_in_all + healthy_in_all
    at_most = min(having, failed_in_all)
    ways = sum(
        comb(having, count) * comb(hosts - having, failed_in_all - count)
        for count in range(failed, at_most + 1)
    )
    return ways / comb(hosts, failed_in_all)


def shared(failures: Sequence[Failure], healthy: Columns) -> str:
    """Say what some failures all have and not every healthy host has; "" when there is nothing."""
    found = []
    for kind in Trait:
        values = {each.traits.get(kind) for each in failures}
        value = next(iter(values))
        if len(values) != 1 or not value:
            continue
        told = healthy.get(kind)
        if told and all(each == value for each in told):
            continue  # so has everybody
        found.append(f"{kind} {value}" + ("" if told else " (no healthy host to compare)"))
    return ", ".join(found)


def together(failures: Sequence[Failure], one: Failure, window_s: float) -> tuple[Failure, ...]:
    """Return the failures of the same kind on other machines within so long of one, it included."""
    return tuple(
        each
        for each in failures
        if each.label == one.label
        or (
            each.reason is one.reason
            and each.machine_id != one.machine_id
            and abs((each.at - one.at).total_seconds()) <= window_s
        )
    )
