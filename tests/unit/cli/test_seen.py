"""What viewers saw, in a terminal: a sign a minute, letters for trouble, within the width."""

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from keeper.cli.explain import shown_explained
from keeper.cli.fleet import shown_fleet
from keeper.cli.seen import StripLine
from keeper.cli.stream_status import _shown
from keeper.core.viewing import Verdict
from keeper.web.explain import explain
from keeper.web.shapes import FleetStatus
from keeper.web.view_shapes import ObjectiveStatus, RunStatus, ViewStatus
from tests.snapshots import NOW, picture, record, snapshot
from tests.unit.cli.fleets import WELL
from tests.unit.cli.test_fleet import text
from tests.unit.cli.test_stream_status import report

NUMBERS = {
    "unique_frames_per_s": 29.7,
    "bitrate_bps": 4_212_345.0,
    "sound_dbfs": -12.3,
    "latency_s": 3.1,
}


def view(*runs: tuple[Verdict | None, float], numbers: Mapping[str, float] = NUMBERS) -> ViewStatus:
    """Have seen this so many minutes before now."""
    strip = tuple(RunStatus(verdict=v, since=WELL.now - timedelta(minutes=m)) for v, m in runs)
    return ViewStatus(
        verdict=strip[-1].verdict if strip else None,
        since=strip[-1].since if strip else None,
        looked_at=WELL.now,
        detail="",
        numbers=numbers,
        strip=strip,
    )


TROUBLE = view(
    (Verdict.LIVE, 25), (Verdict.FROZEN, 20), (Verdict.LIVE, 19.8), (None, 10), (Verdict.LIVE, 2)
)


def seeing(shown: ViewStatus, **given: Any) -> FleetStatus:
    (stream,) = WELL.streams
    slot = replace(stream.slots[0], view=shown, **given)
    return replace(WELL, streams=(replace(stream, slots=(slot,)),))


def test_a_slot_has_a_row_of_what_viewers_saw_in_80_columns() -> None:
    lines = text(shown_fleet(seeing(TROUBLE), width=80), 80)
    assert lines[6:9] == [
        "SLOT    SEEN    FOR  LAST 30 MIN                     KBIT/S  SOUND  BEHIND",
        "duel/0  live  2m00s  ·····━━━━━F━━━━━━━━━xxxxxxxx━━   4,212  -12dB      3s",
        "F frozen, x no host",
    ]
    assert max(len(line) for line in lines) <= 80


def test_what_does_not_fit_is_left_out_number_by_number() -> None:
    (line,) = (
        line
        for line in text(shown_fleet(seeing(TROUBLE, slot="a-long-name/0"), width=80), 80)
        if line.startswith("SLOT") and "SEEN" in line
    )
    assert line.split()[-2:] == ["KBIT/S", "SOUND"]


def test_numbers_that_nobody_has_measured_have_no_column() -> None:
    numbers = {"unique_frames_per_s": 30.0, "bitrate_bps": 800.0}
    lines = text(shown_fleet(seeing(view((Verdict.LIVE, 5), numbers=numbers)), width=140), 140)
    assert lines[3].split() == ["SLOT", "SEEN", "FOR", "LAST", "30", "MIN", "KBIT/S"]
    assert lines[5] == ""


def test_a_line_a_stream_says_what_was_promised_and_that_viewers_see_the_slate() -> None:
    (stream,) = WELL.streams
    kept = ObjectiveStatus(
        ratio=0.995,
        window_s=2_592_000.0,
        availability_ratio=0.9962,
        good_s=2_582_150.0,
        dark_s=9_850.0,
        silent_s=0.0,
        starting_s=0.0,
        allowed_s=12_960.0,
        remaining_s=3_110.0,
        remaining_ratio=0.24,
        burn_ratio=1.0,
    )
    told = replace(stream, objective=kept, slate="The slate is on: no host shows a picture yet.")
    lines = text(shown_fleet(replace(WELL, streams=(told,)), width=120), 120)
    assert (
        "duel: a picture for 99.62 % of 30 days (objective 99.5 %); 24 % of the error budget left,"
        " 51 min 50 s" in lines
    )
    assert "duel: The slate is on: no host shows a picture yet." in lines


def test_where_nobody_has_looked_nothing_is_shown() -> None:
    assert "SEEN" not in " ".join(text(shown_fleet(seeing(view()), width=80), 80))


@pytest.mark.parametrize("verdict", [*Verdict, None])
def test_every_verdict_has_a_sign_without_colours_and_without_unicode(
    verdict: Verdict | None,
) -> None:
    buffer = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    out = Console(file=buffer, width=80, color_system=None)
    out.print(StripLine(view((verdict, 10)).strip, WELL.now))
    buffer.seek(0)
    drawn = buffer.read().rstrip("\n")
    assert len(drawn) == 30
    assert drawn[:20] == "." * 20
    assert len(set(drawn[20:])) == 1
    is_well = verdict in {Verdict.LIVE, Verdict.STATIC}
    assert drawn[-1] in ("=-" if is_well else "?~SWBFCNUx")


def test_stream_status_says_what_viewers_see_before_what_the_host_says() -> None:
    out = Console(width=80, color_system=None, markup=False, emoji=False, highlight=False)
    with out.capture() as capture:
        for part in _shown(report(view=TROUBLE, at=WELL.now)):
            out.print(part)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert (
        lines[1]
        == "  Viewers see    ok   live for 2m00s: 30 fps, 4,212 kbit/s, sound -12 dB, 3.1 s"
    )
    assert lines[3] == "  Last 30 min         ·····━━━━━F━━━━━━━━━xxxxxxxx━━"
    assert lines[4] == "                      F frozen, x no host"
    assert lines[5] == "  Server health  ok   HTTP 200, up 3h12m"


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (view((Verdict.FROZEN, 1), numbers={}), "  Viewers see    BAD  frozen for 1m00s"),
        (view((Verdict.UNKNOWN, 1), numbers={}), "  Viewers see    ?    unknown for 1m00s"),
        (view((None, 1), numbers={}), "  Viewers see    BAD  no host for 1m00s"),
        (view(numbers={}), "  Viewers see    ?    nobody has looked"),
    ],
)
def test_what_is_not_known_is_not_called_bad(seen: ViewStatus, said: str) -> None:
    assert said in text(_shown(report(view=seen, at=WELL.now)), 80)


def test_explain_shows_the_strip_of_its_slot() -> None:
    latest = {(p.instance_id, p.subject): p for p in (picture(1),)}
    found = explain(snapshot(record(), latest=latest), record().slot, NOW)
    assert found is not None
    lines = text(shown_explained(found, width=80), 80)
    assert any(line.split()[:3] == ["duel/0", "live", "4s"] for line in lines)
