"""Told once, told well, and when it is over: messages as a play in seconds."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.alerts import Alert, Notice, Severity
from keeper.alerts.dispatch import Numbers, dispatch, next_due_at
from keeper.alerts.inhibitions import inhibited
from keeper.alerts.payloads import from_payload, to_payload
from keeper.core.model import SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.core.silences import Silence
from keeper.ports import NoticeKind
from tests.snapshots import NOW

NUMBERS = Numbers()


def alert(name: str = "KeeperStreamDark", about: str = "duel/0", **given: Any) -> Alert:
    return Alert(
        **{
            "name": name,
            "key": f"{name}:{about}" if about else name,
            "severity": Severity.WARNING,
            "slot": SlotId(about) if about else None,
            "stream": StreamName("duel"),
            "summary": f"{about} is dark",
            "why": "frozen",
            "did": "keeper restarted it",
            "needs_human": "",
            "since": NOW,
            "reason": Reason.FROZEN,
            "dark_since": NOW,
            **given,
        }
    )


class Play:
    """Drives dispatch through time; every tick starts from what was committed, as JSON."""

    def __init__(self, numbers: Numbers = NUMBERS) -> None:
        self.numbers = numbers
        self.state: Mapping[str, Any] = {}
        self.sent: list[Notice] = []
        self.silences: tuple[Silence, ...] = ()

    def at(self, seconds: float, *firing: Alert) -> list[NoticeKind]:
        state, notices = dispatch(self.state, firing, moment(seconds), self.numbers, self.silences)
        self.state = json.loads(json.dumps(state))
        self.sent += notices
        return [notice.kind for notice in notices]

    @property
    def remembered(self) -> dict[str, Any]:
        """What is remembered beside how many incidents there were."""
        return {key: row for key, row in self.state.items() if key != "@"}


def moment(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_waits_before_the_first_word() -> None:
    play = Play()
    assert play.at(0, alert()) == []
    assert play.at(29, alert()) == []
    assert play.at(30, alert()) == [NoticeKind.FIRING]
    assert play.sent[0].reason == "first message"


def test_what_is_cured_within_the_wait_is_never_told() -> None:
    play = Play()
    play.at(0, alert())
    assert play.at(20) == []
    assert play.at(10_000) == []
    assert play.state == {}


def test_says_nothing_new_until_something_is() -> None:
    play = Play()
    play.at(0, alert())
    play.at(30, alert())
    before = play.state
    for seconds in range(60, 14_400, 600):
        assert play.at(seconds, alert()) == []
        assert play.state == before, "an idle tick writes nothing"


def test_repeats_after_four_hours() -> None:
    play = Play()
    play.at(0, alert())
    play.at(30, alert())
    assert play.at(14_429, alert()) == []
    assert play.at(14_430, alert()) == [NoticeKind.REPEAT]
    assert play.at(14_431, alert()) == []
    assert play.at(28_830, alert()) == [NoticeKind.REPEAT]
    assert play.sent[-1].reason == "repeated every 4 h"


def test_news_is_told_once_and_again_when_it_gets_worse() -> None:
    """Half of a month's budget was said ninety times before the month was over."""
    play = Play()
    half = alert(severity=Severity.INFO, is_once=True)
    play.at(0, half)
    assert play.at(30, half) == [NoticeKind.FIRING]
    assert play.at(86_400, half) == []
    more = alert(severity=Severity.WARNING, is_once=True)
    assert play.at(86_430, more) == [NoticeKind.UPDATE]
    assert play.at(172_800, more) == []
    # And no tick is called for: five in a second were, once the time of a repeat had passed.
    assert next_due_at(play.state, (more,), NUMBERS) is None


def test_each_further_stage_of_news_is_told_once_though_it_is_no_worse() -> None:
    """Nine tenths of a cap were never told where the period ends before all of it is used."""
    play = Play()
    half, most = alert(is_once=True, stage=75), alert(is_once=True, stage=90, summary="90 % used")
    play.at(0, half)
    assert play.at(30, half) == [NoticeKind.FIRING]
    assert play.at(60, most) == []  # not within the interval
    assert next_due_at(play.state, (most,), NUMBERS) == moment(330)
    assert play.at(330, most) == [NoticeKind.UPDATE]
    assert play.sent[-1].alert.summary == "90 % used"
    assert play.sent[-1].reason == "goes on"
    assert play.at(86_400, most) == []
    assert play.at(86_430, half) == []  # and going back is no news
    assert play.at(86_460, most) == []
    assert next_due_at(play.state, (most,), NUMBERS) is None


def test_another_case_of_what_still_holds_is_told() -> None:
    """A mended deploy was taken back as well, and the message about the one before it still stood."""
    play = Play()
    first = alert(case="one", severity=Severity.CRITICAL)
    second = alert(case="two", summary="the second", since=moment(60))
    play.at(0, first)
    assert play.at(30, first) == [NoticeKind.FIRING]
    assert play.at(60, second) == []  # not within the interval
    assert next_due_at(play.state, (second,), NUMBERS) == moment(330)
    assert play.at(330, second) == [NoticeKind.UPDATE]
    told = play.sent[-1]
    assert told.reason == "another one"
    assert told.alert == second
    assert play.at(700, second) == []


def test_tells_at_once_that_a_person_is_needed_now() -> None:
    play = Play()
    play.at(0, alert())
    play.at(30, alert())
    worse = alert(severity=Severity.CRITICAL, needs_human="do something")
    assert play.at(40, worse) == [NoticeKind.UPDATE]
    assert play.sent[-1].reason == "now critical, was warning"
    assert play.sent[-1].alert.needs_human == "do something"
    assert play.at(41, worse) == []
    # Going down and up again is no news.
    assert play.at(42, alert()) == []
    assert play.at(43, worse) == []


def test_lesser_rises_keep_their_distance() -> None:
    play = Play()
    play.at(0, alert(severity=Severity.INFO))
    play.at(30, alert(severity=Severity.INFO))
    assert play.at(60, alert()) == []
    assert play.at(330, alert()) == [NoticeKind.UPDATE]


def test_resolves_after_quiet_with_the_downtime() -> None:
    play = Play()
    play.at(0, alert(acts=0))
    play.at(30, alert(acts=1))
    play.at(90, alert(acts=3))
    assert play.at(120) == []
    assert play.at(419) == []
    assert play.at(420) == [NoticeKind.RESOLVED]
    over = play.sent[-1]
    assert over.dark_s == 120
    assert over.acts == 3
    assert over.at == moment(120), "it was over when it fell silent, not when we believed it"
    assert play.remembered == {}


def test_a_relapse_within_the_quiet_is_the_same_incident() -> None:
    play = Play()
    play.at(0, alert())
    play.at(30, alert())
    play.at(60)
    assert play.at(200, alert(dark_since=moment(180))) == []
    assert play.at(240, alert(dark_since=moment(180))) == []
    assert play.at(300) == []
    assert play.at(600) == [NoticeKind.RESOLVED]
    assert play.sent[-1].dark_s == 60 + 120
    assert play.sent[-1].alert.since == NOW


def test_after_the_end_a_new_incident_is_a_new_message() -> None:
    play = Play()
    for start in (0, 10_000):
        play.at(start, alert())
        play.at(start + 30, alert())
        play.at(start + 60)
        play.at(start + 400)
    kinds = [notice.kind for notice in play.sent]
    assert kinds == [NoticeKind.FIRING, NoticeKind.RESOLVED] * 2
    assert len({notice.notice_id for notice in play.sent}) == 4


def test_a_crash_before_the_commit_says_the_same_again_under_the_same_id() -> None:
    play = Play()
    play.at(0, alert())
    _, lost = dispatch(play.state, (alert(),), moment(30), NUMBERS)  # never committed
    play.at(31, alert())
    assert [notice.notice_id for notice in lost] == [notice.notice_id for notice in play.sent]


def test_a_crash_after_the_commit_says_it_once() -> None:
    play = Play()
    play.at(0, alert())
    play.at(30, alert())
    again = Play()
    again.state = play.state
    assert again.at(31, alert()) == []
    assert again.at(60) == []
    assert again.at(400) == [NoticeKind.RESOLVED]


def test_a_clock_that_steps_back_neither_repeats_nor_raises() -> None:
    play = Play()
    play.at(0, alert())
    play.at(30, alert())
    assert play.at(-3600, alert()) == []
    assert play.at(-3500) == []
    assert play.sent[-1].kind is NoticeKind.FIRING


def test_no_wait_lasts_longer_because_the_clock_was_set_back() -> None:
    """Seed 30081: two hosts were outbid, a minute later the clock was set back, and nobody was told for an hour."""
    play = Play()
    play.at(0, alert())
    assert play.at(-3590, alert()) == []
    assert play.at(-3561, alert()) == []
    assert play.at(-3560, alert()) == [NoticeKind.FIRING]
    assert play.at(-3500) == []
    assert play.at(-7000) == []  # back again, while it is quiet
    assert play.at(-6701) == []
    assert play.at(-6700) == [NoticeKind.RESOLVED]
    play.at(-6600, alert())
    play.at(-6570, alert())
    assert play.at(-9000, alert()) == []
    assert play.at(-9000 + 14_400, alert()) == [NoticeKind.REPEAT]
    names = [notice.notice_id for notice in play.sent]
    assert len(set(names)) == len(names)


MARKET = alert("KeeperMarketUnreadable", "", reason=Reason.MARKET_UNREADABLE, dark_since=None)
MASS = alert("KeeperMassFailure", "", severity=Severity.CRITICAL, reason=Reason.MASS_FAILURE)
CRITICAL = alert(severity=Severity.CRITICAL, reason=Reason.FROZEN)
HELD = alert("KeeperSlotHeld", reason=Reason.REPLACEMENTS_SPENT, severity=Severity.CRITICAL)


@pytest.mark.parametrize(
    ("louder", "quieter", "is_muted"),
    [
        (MARKET, alert(reason=Reason.UNREACHABLE), True),
        (MARKET, alert(reason=Reason.FROZEN), False),
        (MARKET, alert("KeeperDestroyStuck", "7009"), True),
        (MARKET, alert("KeeperNoOffer", "duel"), True),
        (MARKET, HELD, False),
        (MASS, alert(reason=Reason.FROZEN), True),
        (MASS, CRITICAL, False),
        (MASS, alert("KeeperRestartsHideSickness"), True),
        (MASS, MARKET, True),
        (MASS, HELD, False),
        (CRITICAL, HELD, True),
        (alert(), HELD, False),
        (CRITICAL, replace(HELD, slot=SlotId("duel/1")), False),
        (alert(), alert("KeeperNoOffer"), True),
        (alert(), alert("KeeperNoOffer", "other"), False),
        (
            alert("KeeperSlotHeld", "", reason=Reason.OUT_OF_CREDIT),
            alert("KeeperNoOffer", "duel"),
            True,
        ),
    ],
)
def test_one_cause_is_one_message(louder: Alert, quieter: Alert, is_muted: bool) -> None:
    assert (quieter.key in inhibited((louder, quieter))) is is_muted
    assert louder.key not in inhibited((louder, quieter))
    assert quieter.key not in inhibited((quieter,))


def test_a_muted_alert_waits_its_turn_and_speaks_when_it_stays() -> None:
    play = Play()
    dark = alert(reason=Reason.UNREACHABLE)
    for seconds in (0, 60, 120):
        play.at(seconds, MARKET, dark)
    assert [notice.alert.name for notice in play.sent] == ["KeeperMarketUnreadable"]
    # The market is back: what was unknown gets the group wait to clear up, and belongs to its story.
    assert play.at(150, dark) == []
    assert play.at(359, dark) == []  # the group interval
    assert play.at(360, dark) == [NoticeKind.UPDATE]
    assert [line.alert.name for line in play.sent[-1].lines] == ["KeeperStreamDark"]
    assert play.sent[0].incident_id == play.sent[1].incident_id


def test_a_slot_that_a_cap_holds_is_told_and_repeated_by_itself_or_by_the_dark_stream() -> None:
    """Somebody hears of it every four hours, whichever of the two messages says it."""
    play = Play()
    held = alert("KeeperSlotHeld", reason=Reason.BUDGET, severity=Severity.CRITICAL)
    dark = alert(severity=Severity.CRITICAL, reason=Reason.GONE)
    for minutes in range(0, 24 * 60, 5):
        is_dark = 2 * 60 <= minutes < 15 * 60
        play.at(minutes * 60.0, held, *([dark] if is_dark else []))
    about_it = [n.at for n in play.sent if n.kind is not NoticeKind.RESOLVED]
    gaps = [(later - earlier).total_seconds() / 3600 for earlier, later in pairwise(about_it)]
    assert max(gaps) <= 4.1
    assert [n.alert.name for n in play.sent].count("KeeperSlotHeld") == 4  # at 0, 15, 19, 23 h


def test_a_muted_alert_that_clears_with_its_cause_is_never_told() -> None:
    play = Play()
    play.at(0, MARKET, alert(reason=Reason.UNREACHABLE))
    play.at(60, MARKET, alert(reason=Reason.UNREACHABLE))
    play.at(90)
    play.at(600)
    assert {notice.alert.name for notice in play.sent} == {"KeeperMarketUnreadable"}


def test_payload_survives_the_store() -> None:
    play = Play()
    play.at(0, alert(labels={"slot": "duel/0"}, dollars=0.5))
    play.at(30, alert(labels={"slot": "duel/0"}, dollars=0.5))
    (notice,) = play.sent
    assert from_payload(json.loads(json.dumps(to_payload(notice)))) == notice


def test_payload_of_another_version_is_read_as_far_as_it_goes() -> None:
    flat = to_payload(Notice(notice_id="m", kind=NoticeKind.FIRING, alert=alert(), at=NOW))
    flat["alert"]["reason"] = "a_reason_of_tomorrow"
    flat["alert"]["more"] = 1
    del flat["alert"]["acts"]
    assert from_payload(flat).alert.reason is None


@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.sampled_from(["", "warning", "critical"])),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_happens_a_told_alert_ends_resolved_and_ids_never_repeat(
    acts: list[tuple[int, str]],
) -> None:
    """I19: every fired alert is resolved, repeated or silenced."""
    play, seconds = Play(), 0
    for wait_s, severity in acts:
        seconds += wait_s
        play.at(seconds, *([alert(severity=Severity(severity))] if severity else []))
    play.at(seconds + 1)
    play.at(seconds + 1000)
    assert play.remembered == {}
    kinds = [notice.kind for notice in play.sent]
    assert kinds.count(NoticeKind.FIRING) == kinds.count(NoticeKind.RESOLVED)
    assert len({notice.notice_id for notice in play.sent}) == len(play.sent)
    opened = False
    for kind in kinds:
        assert opened != (kind is NoticeKind.FIRING)
        opened = kind is not NoticeKind.RESOLVED


@given(
    st.lists(
        st.tuples(
            st.integers(1, 400) | st.integers(14_000, 30_000),
            st.sampled_from(["", "w", "c", "wc", "m", "o"]),
        ),
        max_size=12,
    )
)
def test_nothing_is_said_before_it_is_due_and_something_then(
    story: list[tuple[int, str]],
) -> None:
    """Between two changes the next message comes at the moment foretold, and not before."""
    firing: dict[str, tuple[Alert, ...]] = {
        "": (),
        "w": (alert(),),
        "c": (alert(severity=Severity.CRITICAL),),
        "wc": (alert(), alert("KeeperNoOffer", "turbo/0", severity=Severity.CRITICAL)),
        "m": (alert(), alert("KeeperMarketUnreadable", "")),
        "o": (alert("KeeperBudgetLow", "", is_once=True),),
    }
    state: Mapping[str, Any] = {}
    at_s = 0.0
    for wait_s, now_firing in story:
        alerts = firing[now_firing]
        state, _ = dispatch(state, alerts, moment(at_s), NUMBERS)
        due_at = next_due_at(state, alerts, NUMBERS)
        end_s = at_s + wait_s
        while due_at is not None and due_at < moment(end_s):
            early = due_at - timedelta(milliseconds=1)
            quiet, notices = dispatch(state, alerts, early, NUMBERS)
            assert not notices
            assert quiet == state
            state, notices = dispatch(state, alerts, due_at, NUMBERS)
            assert notices
            due_at = next_due_at(state, alerts, NUMBERS)
        at_s = end_s
