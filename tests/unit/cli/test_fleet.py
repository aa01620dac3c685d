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
from keeper.core.windows import ALLOWS, Allowance
from keeper.web.explain import explain
from keeper.web.shapes import Because, FleetStatus, ProgressStatus, SlotStatus, WindowStatus
from keeper.web.status import plan_of, status_of
from keeper.web.tone import Tone
from tests.snapshots import NOW, ago, dark, hold, record, snapshot, tenure, waiting
from tests.unit.cli.fleets import ENDING, ON_AIR, OUTBID, SICK, VACANT, WELL


def text(parts: Any, width: int) -> list[str]:
    out = Console(file=StringIO(), width=width, color_system=None)
    for part in parts:
        out.print(part)
    assert isinstance(out.file, StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_a_healthy_fleet_is_a_row_a_slot_what_it_costs_and_how_long_that_can_be_paid() -> None:
    assert text(shown_fleet(WELL, width=80), 80) == [
        "SLOT    STATE     FOR  FPS  ID        GPU         $/H  LAST ACTION",
        "duel/0  on air  3h12m   30  24817301  RTX 4090  0.463  restart 2h ago",
        "",
        "ID        SLOT     VRAM    DISK  GPU $/H  +DISK  +TRAFFIC     UP  SPENT $",
        "24817301  duel/0  24 GB  120 GB    0.380  0.033     0.050  3h58m     1.65",
        "",
        "The stream is on air. 0.463 of 10.00 $/h.",
        "Account: 12.34 $ of credit, 0.463 $/h; it lasts 26.7 h, until 08-02 05:40 UTC.",
    ]


def test_with_room_a_slot_is_one_row() -> None:
    lines = text(shown_fleet(WELL, width=140), 140)
    assert lines[0].split() == [
        *("SLOT", "STATE", "FOR", "FPS", "ID", "GPU", "$/H", "VRAM", "DISK", "=GPU", "+DISK"),
        *("+TRAFFIC", "UP", "SPENT", "$", "LAST", "ACTION"),
    ]
    assert lines[1].endswith(
        "0.463  24 GB  120 GB  0.380  0.033     0.050  3h58m     1.65  restart 2h ago"
    )
    assert len(lines) == 4


def test_what_is_not_well_says_why_below_its_row() -> None:
    lines = text(shown_fleet(SICK, width=80), 80)
    assert lines[2].startswith("sd/0    DARK       12s    0  24817999  RTX 6000 Ad…")
    assert lines[3] == ("            frames arrive, but it is always the same frame; next: restart")
    assert lines[5] == "            no offer passes the filters; next look in 1m58s"
    assert max(len(line) for line in lines) <= 80


def test_a_wide_terminal_has_the_reason_beside_the_numbers() -> None:
    lines = text(shown_fleet(SICK, width=200), 200)
    assert lines[0].endswith("LAST ACTION     WHY / NEXT")
    assert len([line for line in lines if line.startswith(("duel/", "sd/"))]) == 4
    assert lines[3].endswith("no offer passes the filters; next look in 1m58s")


def of(*slots: SlotStatus) -> FleetStatus:
    return replace(WELL, streams=(replace(WELL.streams[0], slots=slots),))


@pytest.mark.parametrize("width", [80, 140, 250])
def test_a_beaten_bid_has_its_own_word_and_its_numbers(width: int) -> None:
    said = " ".join(" ".join(text(shown_fleet(of(ON_AIR, OUTBID), width=width), width)).split())
    assert "duel/1 DARK, outbid 40s" in said
    assert "0.380 bid" in said
    for words in ("somebody bids more for the machine", "our bid 0.380 $/h, the least that runs"):
        assert words in said


def test_a_bid_that_is_beaten_does_not_count_as_up() -> None:
    lines = text(shown_fleet(of(OUTBID), width=80), 80)
    rented = next(line for line in lines if line.startswith("24817302"))
    assert rented.split()[-2:] == ["-", "1.65"]


@pytest.mark.parametrize("width", [80, 140, 250])
def test_a_contract_that_ends_says_when_and_what_follows(width: int) -> None:
    said = " ".join(" ".join(text(shown_fleet(of(ENDING), width=width), width)).split())
    assert "duel/2 on air, ends 3h12m" in said
    assert "the rental's contract ends in 2h40m (08-01 05:40 UTC)" in said
    assert "ends soon" not in said
    assert "next host: being rented, RTX 4090, 0.463 $/h" in said


def test_what_does_not_fit_is_said_below_instead_of_being_cut() -> None:
    long = replace(OUTBID, slot="a-longer-name/17", last_act=ON_AIR.last_act)
    lines = text(shown_fleet(of(long), width=80), 80)
    assert "LAST ACTION" not in lines[0]
    assert lines[1].startswith("a-longer-name/17  DARK, outbid  40s   30  24817302  RTX 4090")
    assert "last: restart 2h ago" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ({"runway_s": 3600.0 * 5, "is_low": True}, "it lasts 5.0 h, until 08-02 05:40 UTC."),
        ({"runway_s": 0.0}, "0.463 $/h; it is used up."),
        (
            {"runway_s": 0.0, "spendable_dollars": -0.0004},
            "Account: 0.00 $ of credit, 0.463 $/h; it is used up.",
        ),
        (
            {"runway_s": None, "empty_at": None, "dollars_per_hour": 0.0},
            "12.34 $ of credit, 0.000 $/h; nothing uses it up.",
        ),
        ({"runway_s": None, "empty_at": None, "dollars_per_hour": None}, "12.34 $ of credit."),
        ({"runway_s": 3600.0 * 2400, "empty_at": None}, "it lasts 2,400 h."),
    ],
)
def test_says_how_long_the_account_can_pay(account: dict[str, Any], said: str) -> None:
    assert WELL.account is not None
    fleet = replace(WELL, account=replace(WELL.account, **account))
    assert text(shown_fleet(fleet, width=80), 80)[-1].endswith(said)


def test_an_account_that_may_not_be_asked_is_not_made_up() -> None:
    said = "\n".join(text(shown_fleet(replace(WELL, account=None), width=80), 80))
    assert "Account" not in said


def test_what_holds_for_the_whole_fleet_is_said_below() -> None:
    said = "\n".join(text(shown_fleet(SICK, width=200), 200))
    assert "PAUSED by local:ann until 2026-08-01 03:00 UTC (moving house)" in said
    assert "fuse: too many slots are sick at once" in said
    assert "marketplace: unreadable for 4m00s: HTTP 502 \\x1b[2Jgateway" in said
    assert "ending: instance 24800001 (0.300 $/h), for 2m00s, 2 tries" in said
    once = replace(SICK, condemned=(replace(SICK.condemned[0], tries=1),))
    assert "for 2m00s, 1 try: " in "\n".join(text(shown_fleet(once, width=200), 200))
    assert "orphan: instance 1 (0.200 $/h)" in said
    assert "not keeper's, and not touched: instances 5, 77 (0.800 $/h)" in said
    assert "KeeperStreamDark: sd/0 is dark. Look at the workload's log" in said


def test_what_a_line_says_with_its_commands_is_not_said_twice() -> None:
    """And no command is cut off, however long the alert is that ends with it."""
    told = SICK.alerts[0]
    alerts = (
        replace(told, name="KeeperOrphan", key="KeeperOrphan:1", needs_human="end it"),
        replace(told, name="KeeperPaused", key="KeeperPaused", needs_human="resume it"),
        replace(told, name="KeeperPaused", key="KeeperPaused:sd/0", needs_human="resume `sd/0`"),
        replace(told, summary="dark " * 60, needs_human="then `keeper destroy sd/0`"),
    )
    fuses = (Because(reason="paused", because="an operator has paused keeper"),)
    said = "\n".join(text(shown_fleet(replace(SICK, alerts=alerts, fuses=fuses), width=999), 999))
    assert said.count("keeper destroy --orphan") == 0 == said.count("KeeperOrphan")
    assert said.count("KeeperPaused") == 1
    assert "touches nothing. When done: `keeper resume`." in said
    assert "Resume `sd/0`" in said
    assert "an operator has paused keeper" not in said
    assert "Then `keeper destroy sd/0`" in said


@pytest.mark.parametrize("allow", list(Allowance))
def test_a_window_says_what_it_allows_to_whom(allow: Allowance) -> None:
    one = WindowStatus(name="night", stream=None, allow=allow, since=NOW, until=NOW)
    fleet = replace(WELL, windows=(one, replace(one, stream="duel")))
    said = text(shown_fleet(fleet, width=120), 120)
    assert f"window night: {ALLOWS[allow]}, until {NOW:%Y-%m-%d %H:%M} UTC" in said
    assert f"window night (duel): {ALLOWS[allow]}, until {NOW:%Y-%m-%d %H:%M} UTC" in said


def test_a_muted_alert_is_not_repeated() -> None:
    muted = replace(SICK, alerts=(replace(SICK.alerts[0], is_muted=True),))
    assert "KeeperStreamDark" not in "\n".join(text(shown_fleet(muted, width=200), 200))


def test_one_stream_is_shown_without_the_rest() -> None:
    lines = text(shown_fleet(SICK, width=80, only=frozenset({"duel/0"})), 80)
    assert len(lines) == 5
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
    assert "[red]x[/]" in shown or width < 180
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
    lines = text(shown_explained(found, width=80), 80)
    said = "\n".join(lines)
    assert "frames arrive, but it is always the same frame" in said
    assert "streaming  false" in said
    assert "replacements of the stream" in said
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"revision": "r1"}, "deployed: revision r1, for 3h30m"),
        ({"revision": "r1", "deployed_at": None}, "deployed: revision r1, not yet"),
        (
            {"revision": "r1", "putting": "r2"},
            "deployed: revision r1, for 3h30m; r2 is being put in its place",
        ),
    ],
)
def test_explained_slot_says_what_is_on_its_host(given: dict[str, Any], said: str) -> None:
    seen = snapshot(record(tenure=tenure(**{"deployed_at": ago(minutes=210), **given})))
    found = explain(seen, SlotId("duel/0"), NOW)
    assert found is not None
    assert said in text(shown_explained(found, width=80), 80)


def test_renderables_are_made_once_for_each_width() -> None:
    parts: list[RenderableType] = list(shown_fleet(SICK, width=80))
    assert text(parts, 80) == text(parts, 80)


def test_a_deploy_under_way_says_which_step_and_its_last_line() -> None:
    (stream, *_) = SICK.streams
    progress = ProgressStatus(
        instance_id=7, began_at=SICK.now, number=3, of=5, step="deploy.run", since=SICK.now - timedelta(minutes=4),
        line="building packages/server", log="",
    )  # fmt: skip
    slot = replace(stream.slots[0], tone=Tone.WORK, progress=progress)
    fleet = replace(SICK, streams=(replace(stream, slots=(slot,)),))
    lines = text(shown_fleet(fleet, width=80), 80)
    said = " ".join(line.strip() for line in lines)
    assert "step 3 of 5, deploy.run, for 4m00s: building packages/server" in said
    assert max(len(line) for line in lines) <= 80
