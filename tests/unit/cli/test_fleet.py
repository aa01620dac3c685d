"""What a terminal shows of a fleet: in columns, within the width, with the reason where it matters."""

from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from keeper.cli.explain import shown_explained
from keeper.cli.fleet import shown_fleet, shown_plan
from keeper.core.decisions import Rent
from keeper.core.model import IntentId, MachineId, OfferId, RentalSpec, SlotId
from keeper.core.reasons import Reason
from keeper.web.explain import explain
from keeper.web.status import plan_of, status_of
from tests.snapshots import NOW, ago, dark, hold, record, snapshot, waiting
from tests.unit.cli.fleets import ON_AIR, SICK, VACANT, WELL


def text(parts: Any, width: int) -> list[str]:
    out = Console(file=StringIO(), width=width, color_system=None)
    for part in parts:
        out.print(part)
    assert isinstance(out.file, StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_a_healthy_fleet_is_a_row_a_slot_and_one_sentence() -> None:
    assert text(shown_fleet(WELL, width=80), 80) == [
        "SLOT    STATE     FOR  FPS  HOST      GPU         $/H  LAST ACTION",
        "duel/0  on air  3h12m   30  24817301  RTX 4090  0.412  restart 2h00m ago",
        "The stream is on air. 0.412 of 10.00 $/h.",
    ]


def test_what_is_not_well_says_why_below_its_row() -> None:
    lines = text(shown_fleet(SICK, width=80), 80)
    assert lines[2].startswith("sd/0    DARK       12s    0  24817999  RTX 6000 Ada")
    assert lines[3] == ("            frames arrive, but it is always the same frame; next: restart")
    assert lines[5] == "            no offer passes the filters; next look in 1m58s"
    assert max(len(line) for line in lines) <= 80


def test_a_wide_terminal_has_the_reason_beside_the_numbers() -> None:
    lines = text(shown_fleet(SICK, width=200), 200)
    assert lines[0].endswith("LAST ACTION        WHY / NEXT")
    assert len([line for line in lines if line.startswith(("duel/", "sd/"))]) == 4
    assert lines[3].endswith("no offer passes the filters; next look in 1m58s")


def test_what_holds_for_the_whole_fleet_is_said_below() -> None:
    said = "\n".join(text(shown_fleet(SICK, width=200), 200))
    assert "PAUSED by local:ann until 2026-08-01 03:00 UTC (moving house)" in said
    assert "fuse: too many slots are sick at once" in said
    assert "marketplace: unreadable for 4m00s: HTTP 502 \\x1b[2Jgateway" in said
    assert "ending: instance 24800001 (0.300 $/h), for 2m00s, 2 tries" in said
    assert "orphan: instance 1 (0.200 $/h)" in said
    assert "KeeperStreamDark: sd/0 is dark: look at the workload's log" in said


def test_a_muted_alert_is_not_repeated() -> None:
    muted = replace(SICK, alerts=(replace(SICK.alerts[0], is_muted=True),))
    assert "KeeperStreamDark" not in "\n".join(text(shown_fleet(muted, width=200), 200))


def test_one_stream_is_shown_without_the_rest() -> None:
    lines = text(shown_fleet(SICK, width=80, only=frozenset({"duel/0"})), 80)
    assert len(lines) == 2
    assert text(shown_fleet(SICK, width=80, only=frozenset()), 80) == [
        "This stream has no slot yet."
    ]


@pytest.mark.parametrize("width", [40, 80, 120, 250])
def test_remote_text_cannot_steer_the_terminal_or_break_the_table(width: int) -> None:
    evil = "\x1b]0;owned\x07[red]x[/] " + "\u202e" + "long " * 80
    slot = replace(ON_AIR, why=evil, tone=VACANT.tone, host=replace(ON_AIR.host, gpu_name=evil))  # type: ignore[type-var]
    fleet = replace(WELL, streams=(replace(WELL.streams[0], slots=(slot,)),))
    shown = "\n".join(text(shown_fleet(fleet, width=width), width))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "[red]x[/]" in shown or width < 120
    assert max(len(line) for line in shown.splitlines()) <= width


def test_snapshot_of_the_daemon_can_be_shown() -> None:
    seen = snapshot(record(), dark("sd/0"), decisions=[waiting("duel/0"), waiting("sd/0")])
    lines = text(shown_fleet(status_of(seen, NOW), width=80), 80)
    assert lines[1].startswith("duel/0  on air  5h00m")
    assert any(line.startswith("sd/0    DARK    2m00s") for line in lines)


def plan(*decisions: Any, **given: Any) -> list[str]:
    seen = snapshot(record(), decisions=decisions, **given)
    return text(shown_plan(plan_of(seen)), 100)


RENT = Rent(
    slot=SlotId("duel/0"),
    reason=Reason.VACANT,
    intent_id=IntentId("i"),
    label="l",
    offer_id=OfferId(1),
    machine_id=MachineId(2),
    dollars_per_hour=0.41,
    spec=RentalSpec(image="i", disk_gb=1),
)


def test_plan_says_what_would_be_done_and_why() -> None:
    assert plan(RENT) == [
        "SLOT    DO    WHY",
        "duel/0  rent  no host is rented for this slot (0.410 $/h)",
        "1 act would be done.",
    ]


def test_plan_says_what_is_held_back_and_by_what() -> None:
    lines = plan(hold("duel/0", Reason.BUDGET), fuses=(Reason.MASS_FAILURE,))
    assert lines[1] == "duel/0  hold  would rent, but it would cross a spending limit"
    assert lines[2].startswith("fuse: too many slots are sick at once")
    assert lines[-1] == "Nothing would be done."


def test_plan_says_until_when_it_waits() -> None:
    wait = replace(waiting("duel/0", Reason.BACKING_OFF), until=NOW + timedelta(seconds=30))
    assert plan(wait)[1] == "duel/0  wait  waiting between attempts; until 12:00:30 UTC"


def test_plan_of_nothing_says_so() -> None:
    assert plan() == ["There is nothing to decide: no stream is declared."]


def test_explained_slot_shows_facts_budgets_and_the_decision() -> None:
    seen = snapshot(dark(replaced_at=(ago(hours=1),)))
    found = explain(seen, SlotId("duel/0"), NOW)
    assert found is not None
    lines = text(shown_explained(found), 80)
    said = "\n".join(lines)
    assert "frames arrive, but it is always the same frame" in said
    assert "streaming  false" in said
    assert "replacements of the stream" in said
    assert max(len(line) for line in lines) <= 80


def test_renderables_are_made_once_for_each_width() -> None:
    parts: list[RenderableType] = list(shown_fleet(SICK, width=80))
    assert text(parts, 80) == text(parts, 80)
