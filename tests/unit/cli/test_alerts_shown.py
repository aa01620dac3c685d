"""Alerts, channels and silences in a terminal: nothing is cut off in 80 columns, and nothing is unsaid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from rich.console import Console, RenderableType

from keeper.alerts import Severity
from keeper.cli.alerts_shown import remarks_on, shown_outbox, shown_page
from keeper.web.telling_shapes import (
    AlertPage,
    AlertStatus,
    ChannelStatus,
    MessageStatus,
    OutboxStatus,
    SilenceStatus,
)
from tests.snapshots import NOW, ago

DARK = AlertStatus(
    name="KeeperStreamDark",
    key="KeeperStreamDark:duel/1",
    severity=Severity.CRITICAL,
    slot="duel/1",
    stream="duel",
    summary="duel/1 is dark",
    why="frames arrive, but it is always the same frame \x1b[2J",
    did="",
    needs_human="look at `keeper explain duel/1`, then order `keeper replace duel/1`, or mend the workload",
    since=ago(minutes=12),
)
ON = ChannelStatus(channel="ops", kind="slack", pending=0)
OFF = replace(ON, channel="pager", off_since=ago(hours=1), off_why="HTTP 410 " + "gone " * 20)
SILENCE = SilenceStatus(
    silence_id="5f2a9c01",
    matchers=("alert=KeeperStreamDark", "slot=duel/*"),
    since=ago(minutes=30),
    until=NOW + timedelta(minutes=90),
    actor="local:ada",
    reason="new ingest",
    mutes=tuple(f"KeeperStreamDark:duel/{n}" for n in range(9)),
)


def text_of(parts: Iterable[RenderableType], width: int = 80) -> str:
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    shown = capture.get()
    assert max(map(len, shown.splitlines()), default=0) <= width
    assert "\x1b" not in shown
    return " ".join(shown.split())


def page(*alerts: AlertStatus, channels: tuple[ChannelStatus, ...] = (ON,)) -> AlertPage:
    return AlertPage(now=NOW, alerts=alerts, channels=channels, silences=())


def test_a_quiet_fleet_says_so_and_one_that_can_tell_nobody_says_that() -> None:
    assert text_of(shown_page(page())).startswith("Nothing holds")
    assert "nobody is told of anything" in text_of(shown_page(page(DARK, channels=())))


def test_what_became_of_an_alert_is_one_of_few_sentences() -> None:
    told = replace(DARK, told_at=ago(minutes=11))
    for alert, said in (
        (DARK, "not told to anybody yet"),
        (told, "told 11m ago"),
        (replace(told, repeat_at=NOW + timedelta(hours=3), repeat_to=("ops", "mail")),
         "told 11m ago; again in 3h00m to ops, mail"),
        (replace(told, repeat_at=NOW + timedelta(hours=3)),
         "told 11m ago; again in 3h00m, but to no channel"),
        (replace(told, waiting_for=("ops",)), "told 11m ago, but ops did not take all of it yet"),
        (replace(DARK, silenced_by="5f2a9c01"), "not told to anybody; silenced by 5f2a9c01"),
        (replace(DARK, muted_by="KeeperMassFailure", is_muted=True),
         "not told to anybody; KeeperMassFailure says it already"),
    ):  # fmt: skip
        assert said in text_of(shown_page(page(alert)))
    shown = text_of(shown_page(page(DARK)))
    assert "You: look at `keeper explain duel/1`, then order `keeper replace duel/1`" in shown


def test_a_silence_names_some_of_what_it_keeps_quiet_and_a_number() -> None:
    shown = text_of(shown_page(replace(page(DARK), silences=(SILENCE,))))
    assert "alert=KeeperStreamDark slot=duel/*" in shown
    assert "1h30m" in shown
    assert "KeeperStreamDark:duel/2 and 6 more" in shown


def test_the_outbox_says_what_waits_since_when_and_why() -> None:
    assert text_of(shown_outbox(OutboxStatus(now=NOW, messages=()))) == "No message waits."
    message = MessageStatus(
        notice_id="msg_1",
        channel="ops",
        alert=DARK.key,
        kind="firing",
        summary="duel/1 is dark " * 12,
        created_at=ago(minutes=3),
        attempts=4,
        next_try_at=NOW + timedelta(seconds=40),
        last_error="HTTP 503 \x9b" + "busy " * 30,
    )
    shown = text_of(shown_outbox(OutboxStatus(now=NOW, messages=(message,))))
    for said in ("firing: duel/1 is dark", "3m00s", "40s", "HTTP 503"):
        assert said in shown


def test_the_status_has_a_line_where_people_are_not_told_what_they_should() -> None:
    assert text_of(remarks_on((ON, replace(ON, pending=1)), (), NOW)) == ""
    stuck = replace(ON, pending=2, last_error="HTTP 503")
    shown = text_of(remarks_on((ON, OFF, stuck), (SILENCE,), NOW))
    assert "channel pager: off for 1h00m: HTTP 410" in shown
    assert "channel ops: 2 messages wait: HTTP 503" in shown
    assert "1 silence until 2026-03-01 13:30 UTC, of 9 alerts: keeper alerts" in shown
    later = replace(SILENCE, until=NOW + timedelta(days=2), mutes=())
    shown = text_of(remarks_on((), (later, SILENCE), NOW))
    assert "2 silences, the first until 2026-03-01 13:30 UTC, of 9 alerts" in shown


def test_a_channel_that_loses_messages_is_not_shown_to_be_on_nor_to_have_told_anybody() -> None:
    lost = replace(
        ON, dropped=2, last_dropped_at=ago(minutes=5), dropped_why="HTTP 307 " + "moved " * 9
    )
    told = replace(DARK, told_at=ago(minutes=11))
    shown = text_of(shown_page(page(told, channels=(lost,))))
    assert "told 11m ago; messages since then to ops are lost" in shown
    assert "2 messages are lost, the last 5m ago: HTTP 307" in shown
    assert "keeper alerts test ops" in shown
    assert "channel ops: 2 messages are lost" in text_of(remarks_on((lost,), (), NOW))
    later = replace(DARK, told_at=ago(minutes=1))
    assert "told 1m ago;" not in text_of(shown_page(page(later, channels=(lost,))))
    well = replace(lost, dropped=0)  # it took one since
    assert text_of(remarks_on((well,), (), NOW)) == ""
    assert "are lost" not in text_of(shown_page(page(told, channels=(well,))))
