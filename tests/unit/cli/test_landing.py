"""However a provision ends, what is rented is named, and the next command with it."""

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.cli.errors import Stopped
from keeper.cli.exit_codes import ExitCode
from keeper.cli.landing import (
    interrupted,
    landings_of,
    landings_shown,
    left_behind,
    must_be_writable,
    slots_shown,
    tell,
)
from keeper.cli.oneshot import Pursuit
from keeper.core.model import OfferId, SlotId, SlotRecord, StreamName
from keeper.core.world import Listing, Snapshot
from keeper.ports import Saved
from keeper.settings import Settings, load_settings
from keeper.web.status import status_of
from tests.snapshots import NOW, condemned, instance, record, snapshot, stream, tenure

CONFIG = """\
state_dir: {folder}
streams:
  - name: duel
    workload: {{kind: sd-turbo}}
"""
KEY = "ssh-ed25519 AAAAC3Nz"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "keeper.yaml"
    file.write_text(CONFIG.format(folder=tmp_path / "state"))
    return load_settings(file, {"VAST_API_KEY": "k"})


def pursuit(seen: Snapshot | None, **given: Any) -> Pursuit:
    return Pursuit(
        **{"is_done": False, "is_interrupted": True, "hopeless": None, "snapshot": seen, **given}
    )


def test_an_interrupt_with_nothing_rented_says_so() -> None:
    for seen in (None, snapshot(SlotRecord(slot=SlotId("duel/0")))):
        found = left_behind(pursuit(seen), stream(), 60)
        assert (found.code, found.what) == (ExitCode.INTERRUPTED, "interrupted; nothing is rented")


def test_an_interrupt_names_the_rental_and_both_ways_on() -> None:
    found = left_behind(pursuit(snapshot(record())), stream(), 60)
    assert found.code is ExitCode.INTERRUPTED
    assert found.what == (
        "interrupted; instance 7001 (0.420 $/h) is rented for duel/0; that is recorded"
    )
    assert found.cure == "go on with keeper provision duel, or end it with keeper destroy duel/0"


def test_an_unsettled_create_is_named_by_its_label() -> None:
    seen = snapshot(record(tenure=tenure(instance_id=None)))
    found = left_behind(pursuit(seen, is_interrupted=False), stream(), 60)
    assert found.code is ExitCode.TRY_AGAIN
    assert found.what.startswith("duel is not on air after 60 s; a rental labelled keeper-k1-1 may")


def test_a_rental_that_is_not_confirmed_gone_is_named() -> None:
    vacant = snapshot(SlotRecord(slot=SlotId("duel/0")), condemned=(condemned(),))
    found = left_behind(pursuit(vacant), stream(), 60)
    assert "instance 7009 (0.500 $/h) must end and is not confirmed gone" in found.what


def test_what_is_hopeless_is_said_as_it_is() -> None:
    no = Stopped(ExitCode.NOT_FOUND, "no offer passes the filters", "wait")
    seen = snapshot(SlotRecord(slot=SlotId("duel/0")))
    assert left_behind(pursuit(seen, hopeless=no), stream(), 60) is no


def test_the_connection_is_the_same_from_a_snapshot_and_from_the_api(settings: Settings) -> None:
    seen = snapshot(record(tenure=tenure(host_key=KEY)))
    (own,) = landings_of(settings, seen, stream())
    slots = slots_shown(status_of(seen, NOW), StreamName("duel"))
    assert landings_shown(settings, slots) == (own,)
    assert (own.connection.host, own.connection.port) == ("203.0.113.7", 40022)
    assert own.connection.forwards == (8000,)
    assert own.host_key == KEY


def test_a_keeper_with_another_configuration_does_not_know_the_stream() -> None:
    with pytest.raises(Stopped) as stopped:
        slots_shown(status_of(snapshot(record("sd/0")), NOW), StreamName("duel"))
    assert stopped.value.code is ExitCode.NOT_FOUND
    assert "reload" in stopped.value.cure


def test_what_is_saved_is_for_its_owner_alone(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    landings = landings_of(settings, snapshot(record(tenure=tenure(host_key=KEY))), stream())
    tell(settings, landings, export=None, out=None)
    tell(settings, landings, export=None, out=None)  # over the first, whole or not at all
    folder = settings.state_dir / "connect"
    assert sorted(path.name for path in folder.iterdir()) == [
        "duel-0.env",
        "duel-0.env.known_hosts",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert f"Configuration saved to: {folder}/duel-0.env" in capsys.readouterr().out


def test_what_cannot_be_saved_is_said_all_the_same(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    landings = landings_of(settings, snapshot(record()), stream())
    (tmp_path / "file").write_text("")
    tell(settings, landings, export="env", out=tmp_path / "file" / "x.env")
    shown = capsys.readouterr()
    assert shown.out.startswith("VAST_SSH_HOST=203.0.113.7\n")
    assert "warning: not saved" in shown.err


def test_several_slots_are_saved_beside_each_other(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = snapshot(record(), record("duel/1", tenure=tenure(2)))
    out = tmp_path / "x.env"
    tell(settings, landings_of(settings, seen, stream(replicas=2)), export=None, out=out)
    assert "VAST_INSTANCE_ID=7001" in out.read_text()
    assert "VAST_INSTANCE_ID=7002" in (tmp_path / "x.env.1").read_text()


def test_the_price_is_told_in_its_parts(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = snapshot(record(tenure=tenure(traffic_dollars_per_hour=0.02)))
    told = replace(
        instance(), dollars_per_hour=0.45, gpu_dollars_per_hour=0.4, disk_dollars_per_hour=0.05
    )
    seen = replace(seen, world=replace(seen.world, listing=Listing(instances=(told,), at=NOW)))
    tell(settings, landings_of(settings, seen, stream()), export=None, out=None)
    out = capsys.readouterr().out
    assert "Price: 0.470 $/h (GPU 0.400 + disk 0.050 + expected traffic 0.020)\n" in out


def test_a_price_of_unknown_parts_is_told_as_it_is(settings: Settings) -> None:
    (landing,) = landings_of(settings, snapshot(record()), stream())
    assert landing.price == "0.450 $/h"


@pytest.mark.parametrize("at", ["file/x.env", "file/deeper/x.env"])
def test_a_place_that_cannot_be_written_is_found_before_anything_is_rented(
    tmp_path: Path, at: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Stopped) as stopped:
        must_be_writable(tmp_path / at)
    assert stopped.value.code is ExitCode.FAILED
    assert "nothing was rented" in stopped.value.what
    assert "--out" in stopped.value.cure


def test_trying_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    out = tmp_path / "new" / "x.env"
    must_be_writable(out)
    assert list(out.parent.iterdir()) == []
    out.write_text("before")
    must_be_writable(out)
    assert out.read_text() == "before"
    must_be_writable(None)


def saved(*records: SlotRecord, **given: Any) -> Saved:
    return Saved(keeper_id="k1", records=records, **given)


def test_an_interrupt_is_answered_by_what_is_on_the_disk() -> None:
    found = interrupted(saved(), stream(), is_served=False)
    assert (found.code, found.what) == (ExitCode.INTERRUPTED, "interrupted; nothing is rented")
    others = saved(record("other/0"), condemned=(condemned(slot="other/0"), condemned(slot=None)))
    assert interrupted(others, stream(), is_served=False).what == "interrupted; nothing is rented"
    found = interrupted(saved(record(tenure=tenure(instance_id=None))), stream(), is_served=False)
    assert "a rental labelled keeper-k1-1 may exist for duel/0; that is recorded" in found.what
    two = saved(record(incoming=tenure(2)), condemned=(condemned(),))
    found = interrupted(two, stream(), is_served=False)
    for number in (7001, 7002, 7009):
        assert f"instance {number} (" in found.what
    assert found.cure == "go on with keeper provision duel, or end it with keeper destroy duel/0"


def test_an_interrupt_beside_a_running_keeper_changes_nothing() -> None:
    found = interrupted(saved(record()), stream(), is_served=True)
    assert found.code is ExitCode.INTERRUPTED
    assert "the running keeper goes on with duel" in found.what
    assert found.cure == "watch it: keeper status duel --watch"


def test_a_wish_that_outlives_the_command_is_said() -> None:
    vacant = SlotRecord(slot=SlotId("duel/0"), offer_asked=OfferId(5))
    said = "interrupted; offer 5 stays asked for duel/0; nothing is rented"
    assert interrupted(saved(vacant), stream(), is_served=False).what == said
    assert left_behind(pursuit(snapshot(vacant)), stream(), 60).what == said
    others = SlotRecord(slot=SlotId("other/0"), offer_asked=OfferId(5))
    assert interrupted(saved(others), stream(), is_served=False).what == (
        "interrupted; nothing is rented"
    )
