"""Half an hour of verdicts, drawn and said: nothing of a host's gets into the drawing but as text."""

import re
from datetime import timedelta

import pytest

from keeper.core.viewing import Verdict
from keeper.web.drawing import in_words, measured, strip_svg, token, word
from keeper.web.page import render
from keeper.web.status import status_of
from keeper.web.view_shapes import RunStatus
from tests.snapshots import NOW, picture, record, snapshot


def runs(*told: tuple[Verdict | None, float]) -> tuple[RunStatus, ...]:
    """Have seen this so many minutes before now."""
    return tuple(RunStatus(verdict=v, since=NOW - timedelta(minutes=m)) for v, m in told)


def rects(svg: str) -> list[tuple[str, int, int]]:
    found = re.findall(r'<rect class="([\w-]+)" x="(\d+)" y="\d+" width="(\d+)"', svg)
    return [(name, int(x), int(width)) for name, x, width in found]


def test_each_run_is_drawn_where_it_was_and_as_long_as_it_was() -> None:
    svg = strip_svg(runs((Verdict.LIVE, 240), (Verdict.FROZEN, 10), (None, 5)), NOW, "duel/0")
    assert rects(svg) == [("v-live", 0, 1200), ("v-frozen", 1200, 300), ("v-no-host", 1500, 300)]


def test_one_bad_look_can_be_seen() -> None:
    svg = strip_svg(
        runs((Verdict.LIVE, 30), (Verdict.BLACK, 10), (Verdict.LIVE, 10 - 1 / 60)), NOW, "duel/0"
    )
    assert rects(svg)[1] == ("v-black", 1200, 12)
    (_, x, width) = rects(strip_svg(runs((Verdict.BLACK, 1 / 60)), NOW, "duel/0"))[0]
    assert x + width == 1800


def test_trouble_is_told_by_its_height_too() -> None:
    svg = strip_svg(runs((Verdict.LIVE, 20), (Verdict.FROZEN, 10)), NOW, "duel/0")
    assert re.findall(r'height="(\d+)"><title>(\w+)', svg) == [("6", "live"), ("12", "frozen")]


def test_what_is_drawn_is_said_too() -> None:
    told = runs((Verdict.LIVE, 240), (Verdict.NO_BYTES, 10), (Verdict.LIVE, 9), (None, 5))
    assert in_words(told, NOW) == "live 24 min, no host 5 min, no bytes 1 min"
    assert in_words((), NOW) == "nobody has looked"
    svg = strip_svg(told, NOW, "duel/0")
    assert 'role="img" aria-label="duel/0, the last 30 minutes: live 24 min' in svg
    assert "<title>no bytes from 11:50:00, 1 min</title>" in svg


def test_a_name_is_text() -> None:
    svg = strip_svg((), NOW, 'a"><script>\x1b[2J')
    assert "<script" not in svg
    assert "\x1b" not in svg


@pytest.mark.parametrize("verdict", [*Verdict, None])
def test_every_verdict_has_a_colour_of_its_own(verdict: Verdict | None) -> None:
    from keeper.web import page

    css = (page._HERE / "static" / "page.css").read_text()
    assert f".{token(verdict)} {{ --seen: " in css
    assert word(verdict)


def test_only_what_was_measured_is_said() -> None:
    assert measured({}) == ()
    assert measured({"unique_frames_per_s": 0.4, "mean_luma": 3.0}) == ("0.4 fps",)
    assert measured(
        {
            "latency_s": 3.14,
            "sound_dbfs": -12.3,
            "bitrate_bps": 4_212_345.0,
            "unique_frames_per_s": 30,
        }
    ) == ("30 fps", "4,212 kbit/s", "sound -12 dB", "3.1 s behind live")


def test_the_page_has_a_strip_for_each_slot_and_a_legend_of_what_is_in_them() -> None:
    latest = {(p.instance_id, p.subject): p for p in (picture(1),)}
    page = render(status_of(snapshot(record(), latest=latest), NOW), ())
    assert page.count('<svg class="strip"') == 1
    assert '<p class="legend">' in page
    assert page.count('class="mark v-live"') == 2
    assert "v-frozen" not in page
    blank = render(status_of(snapshot(record()), NOW), ())
    assert "duel/0, the last 30 minutes: nobody has looked" in blank
    assert "legend" not in blank
