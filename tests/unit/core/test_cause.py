"""What failed hosts share: named when the numbers say so, and never because everybody has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.core.cause import Trait, luck, named, network_of, recent, shared, together, traits_of
from keeper.core.model import Failure, MachineId
from keeper.core.reasons import Reason
from tests.builders import NOW, a_tenure, ago


def a_failure(
    machine: int,
    traits: dict[str, str] | None = None,
    *,
    age_s: float = 60.0,
    reason: str = "frozen",
) -> Failure:
    return Failure(
        label=f"keeper:k1:duel/{machine}:1", machine_id=MachineId(machine), at=ago(age_s),
        reason=Reason(reason), traits=traits or {},
    )  # fmt: skip


def columns(*hosts: dict[str, str]) -> dict[Trait, list[str]]:
    return {kind: [host[kind] for host in hosts if kind in host] for kind in Trait}


def failed(*hosts: dict[str, str]) -> list[Failure]:
    return [a_failure(number, host) for number, host in enumerate(hosts, 1)]


A = {"owner": "7", "region": "SE"}
# sentence, failed, healthy, what is named (trait, value)
NAMES = [
    ("a bad owner is named at the third failure, with one healthy host of another",
     [{"owner": "7"}] * 3, [{"owner": "8"}], [("owner", "7")]),
    ("a bad driver is named across owners, at the third failure",
     [{"owner": str(n), "driver": "550"} for n in range(3)],
     [{"owner": "9", "driver": "560"}], [("driver", "550")]),
    ("what every host has says nothing",
     [{"image": "x"}] * 3, [{"image": "x"}] * 5, []),
    ("without one healthy host to compare with, nothing is named",
     [{"owner": "7"}] * 3, [], []),
    ("most of the fleet has it, so most of the failed do",
     [{"region": "SE"}] * 3, [{"region": "SE"}] * 6 + [{"region": "US"}], []),
    ("two failures are luck in a small fleet",
     [A, A], [{"owner": "8", "region": "US"}] * 4, []),
    ("two failures are none in a larger one",
     [{"owner": "7"}] * 2, [{"owner": "8"}] * 6, [("owner", "7")]),
    ("one failure is one failure",
     [{"owner": "7"}], [{"owner": "8"}] * 50, []),
    ("failures that share nothing name nothing",
     [{"owner": "1"}, {"owner": "2"}, {"owner": "3"}], [{"owner": "4"}] * 5, []),
    ("a healthy host of the same owner acquits it in a small fleet",
     [{"owner": "7"}] * 3, [{"owner": "7"}, {"owner": "8"}], []),
    ("and does not in a large one",
     [{"owner": "7"}] * 3, [{"owner": "7"}] + [{"owner": "8"}] * 9, [("owner", "7")]),
    ("an unrelated failure does not hide the cause in a larger fleet",
     [{"owner": "7"}] * 3 + [{"owner": "8"}], [{"owner": str(n)} for n in range(20, 30)],
     [("owner", "7")]),
    ("a chance of one in twenty is no luck any more",
     [{"owner": "7"}] * 2 + [{"owner": "1"}, {"owner": "2"}], [{"owner": "8"}] * 12, [("owner", "7")]),
    ("of equals the narrower is named first",
     [A] * 3, [{"owner": "8", "region": "US"}] * 3, [("owner", "7"), ("region", "SE")]),
    ("the region is at fault when its owners differ",
     [{"owner": str(n), "region": "SE"} for n in range(3)],
     [{"owner": "9", "region": "US"}] * 3, [("region", "SE")]),
    ("a trait that was not told of anybody is none",
     [{}] * 3, [{}] * 3, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "good", "expected"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES]
)
def test_what_is_named(
    bad: list[dict[str, str]], good: list[dict[str, str]], expected: list[tuple[str, str]]
) -> None:
    found = named(failed(*bad), columns(*good))
    assert [(each.trait.value, each.value) for each in found] == expected


def test_one_machine_that_fails_thrice_is_a_bad_machine() -> None:
    """Each time it was rented under another label."""
    thrice = [
        replace(a_failure(1, {"owner": "7"}), label=f"keeper:k1:duel/0:{attempt}")
        for attempt in (1, 2, 3)
    ]
    assert named(thrice, columns(*[{"owner": "8"}] * 9)) == ()


def test_rentals_whose_machine_nobody_knows_are_told_apart_by_their_labels() -> None:
    unknown = [
        replace(each, machine_id=MachineId(0)) for each in failed({"owner": "7"}, {"owner": "7"})
    ]
    (found,) = named(unknown, columns(*[{"owner": "8"}] * 9))
    assert (found.value, found.failed) == ("7", 2)


def test_a_cause_says_what_it_is_blamed_for() -> None:
    (found,) = named(failed(*[{"owner": "7"}] * 3), columns(*[{"owner": "8"}] * 5))
    assert found.sentence() == ("machines of owner 7: 3 of 3 failed hosts, 0 of 5 healthy ones")
    assert found.luck == pytest.approx(1 / 56)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((3, 3, 0, 7), 1 / 120),
        ((1, 1, 0, 1), 1 / 2),
        ((2, 2, 3, 3), 1.0),
        ((2, 3, 0, 3), 0.2),
        ((1, 2, 1, 2), 1.0),
    ],
)
def test_luck_is_fishers(counts: tuple[int, int, int, int], expected: float) -> None:
    assert luck(*counts) == pytest.approx(expected)


def test_what_a_burst_shares_leaves_out_what_everybody_has() -> None:
    both = failed({"owner": "7", "image": "x", "gpu": "RTX"}, {"owner": "7", "image": "x"})
    assert shared(both, columns({"owner": "8", "image": "x"})) == "owner 7"
    assert shared(both, {}) == (
        "owner 7 (no healthy host to compare), image x (no healthy host to compare)"
    )
    assert shared(failed({"owner": "1"}, {"owner": "2"}), {}) == ""
    one_gpu = failed({"gpu": "RTX", "image": "x"}, {"gpu": "RTX", "image": "x"})
    assert shared(one_gpu, columns({"gpu": "RTX", "image": "y"})) == "image x"


@pytest.mark.parametrize(
    ("machine", "reason", "age_s", "count"),
    [
        (2, "frozen", 60.0 + 300.0, 2),
        (2, "frozen", 60.0 + 301.0, 1),
        (2, "black", 60.0, 1),
        (1, "frozen", 120.0, 1),  # the same machine again
    ],
)
def test_a_burst_is_the_same_fault_on_another_machine_within_minutes(
    machine: int, reason: str, age_s: float, count: int
) -> None:
    one = a_failure(1)
    other = a_failure(machine, reason=reason, age_s=age_s)
    other = other if machine != 1 else Failure(
        label="another", machine_id=other.machine_id, at=other.at, reason=other.reason
    )  # fmt: skip
    assert len(together([one, other], one, 300.0)) == count


def test_old_failures_do_not_count() -> None:
    kept = [a_failure(1, age_s=10), a_failure(2, age_s=3599), a_failure(3, age_s=3600)]
    assert [each.machine_id for each in recent(kept, NOW, 3600.0)] == [2, 1]


def test_a_network_is_as_large_as_a_provider() -> None:
    assert network_of("192.0.2.7") == "192.0.0.0/16"
    assert network_of("2001:db8:1::7") == "2001:db8::/32"
    assert network_of("") == network_of("example.net") == ""


def test_traits_of_a_rental_are_what_was_told() -> None:
    tenure = a_tenure(
        driver="550.1", region="SE", network="192.0.0.0/16", image="duel:1", revision="r1"
    )
    assert traits_of(tenure) == {
        Trait.OWNER: "301", Trait.GPU: "RTX 4090", Trait.DRIVER: "550.1", Trait.REGION: "SE",
        Trait.NETWORK: "192.0.0.0/16", Trait.IMAGE: "duel:1", Trait.REVISION: "r1",
    }  # fmt: skip
    assert not {Trait.IMAGE, Trait.REGION} & traits_of(replace(tenure, image="", region="")).keys()
