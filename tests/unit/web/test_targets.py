"""Prometheus is told where the hosts are, and nothing that a host made up."""

from dataclasses import replace
from typing import Any

import pytest

from keeper.core.model import SlotId
from keeper.core.world import Snapshot
from keeper.web.targets import targets_of
from tests.snapshots import instance, record, snapshot, tenure

OPEN = {"22/tcp": 40022, "9400/tcp": 40400}


def shown(**more: Any) -> Snapshot:
    """A slot that serves with a host to come, a spare that stands still, a slot without a host."""
    seen = snapshot(
        record("duel/0", incoming=tenure(2)),
        record("duel/spare-0", tenure=tenure(3)),
        record("sd/0", tenure=None),
    )
    listing = seen.world.listing
    assert listing is not None
    given: dict[int, dict[str, Any]] = {
        1: more,
        2: {"public_ip": "2001:db8::7"},
        3: {"is_meant_to_run": False},
    }
    instances = tuple(
        replace(instance(number), **{"ports": OPEN, **facts}) for number, facts in given.items()
    )
    return replace(seen, world=replace(seen.world, listing=replace(listing, instances=instances)))


def test_lists_each_host_that_opens_the_port_where_it_is_from_outside() -> None:
    found = targets_of(shown(), 9400)
    assert [(each.targets, each.labels["__meta_keeper_role"]) for each in found] == [
        (("203.0.113.7:40400",), "serving"),
        (("[2001:db8::7]:40400",), "incoming"),
    ]
    assert found[0].labels == {
        "__meta_keeper_stream": "duel",
        "__meta_keeper_slot": "duel/0",
        "__meta_keeper_role": "serving",
        "__meta_keeper_gpu": "RTX 4090",
        "__meta_keeper_machine": "4001",
        "__meta_keeper_country": "SE",
    }


def test_leaves_out_hosts_that_do_not_open_the_port() -> None:
    assert targets_of(shown(), 9100) == ()


@pytest.mark.parametrize("said", ["", "localhost", "metadata.internal", "127.1", "1.2.3.4/x"])
def test_goes_nowhere_but_to_an_address(said: str) -> None:
    """Prometheus would look names up in its own network."""
    assert [each.labels["__meta_keeper_role"] for each in targets_of(shown(public_ip=said), 9400)] == [
        "incoming"
    ]  # fmt: skip


def test_all_labels_are_meta_and_bounded() -> None:
    hostile = replace(tenure(1), gpu_name="\x1b[31m" + "G" * 5000)
    seen = shown(geolocation="S\nE" * 100)
    records = {**seen.records, SlotId("duel/0"): record("duel/0", tenure=hostile)}
    for group in targets_of(replace(seen, records=records), 9400):
        for name, value in group.labels.items():
            assert name.startswith("__meta_keeper_")
            assert len(value) <= 128
            assert value.isprintable()


def test_without_a_listing_nobody_knows() -> None:
    seen = shown()
    assert targets_of(replace(seen, world=replace(seen.world, listing=None)), 9400) == ()
