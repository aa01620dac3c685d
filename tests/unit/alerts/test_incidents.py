"""What a person reads at three in the morning: incidents as plays in seconds."""

from dataclasses import replace

import pytest

from keeper.alerts import LineStatus, Notice, Severity
from keeper.alerts.dispatch import dispatch, next_due_at
from keeper.alerts.grouping import GROUPINGS, group_of
from keeper.alerts.inhibitions import INHIBITIONS, inhibited
from keeper.alerts.remembered import read
from keeper.alerts.rules import RULES
from keeper.alerts.standing import standing, told
from keeper.alerts.wording import is_wanted
from keeper.core.model import StreamName
from keeper.core.reasons import Reason
from keeper.core.silences import Matcher, Silence
from keeper.ports import NoticeKind
from tests.components import REPOSITORY
from tests.unit.alerts.test_dispatch import (
    CRITICAL,
    HELD,
    MARKET,
    MASS,
    NUMBERS,
    Play,
    alert,
    moment,
)

FIRST = alert()
SECOND = alert(about="duel/1")
THIRD = alert(about="duel/2")
NEW, WORSE, HOLDS, OVER = LineStatus.NEW, LineStatus.WORSE, LineStatus.HOLDS, LineStatus.OVER


def lines(notice: Notice) -> list[tuple[str, LineStatus]]:
    return [(line.alert.key.rpartition(":")[2], line.status) for line in notice.lines]


def test_slots_that_go_dark_one_after_the_other_are_one_story() -> None:
    play = Play()
    play.at(0, FIRST)
    assert play.at(30, FIRST, SECOND) == [NoticeKind.FIRING]
    assert play.at(60, FIRST, SECOND, THIRD) == []  # within the interval, and nobody is needed
    assert play.at(330, FIRST, SECOND, THIRD) == [NoticeKind.UPDATE]
    assert lines(play.sent[-1]) == [("duel/0", HOLDS), ("duel/1", NEW), ("duel/2", NEW)]
    assert play.sent[-1].reason == "2 new"
    play.at(400, SECOND, THIRD)
    assert play.at(700, SECOND, THIRD) == [NoticeKind.UPDATE]
    assert lines(play.sent[-1]) == [("duel/1", HOLDS), ("duel/2", HOLDS), ("duel/0", OVER)]
    play.at(900, THIRD)
    play.at(960)
    assert (
        play.at(1259) == []
    )  # the second one has been quiet for long enough, and is not told alone
    assert play.at(1260) == [NoticeKind.RESOLVED]
    assert lines(play.sent[-1]) == [("duel/1", OVER), ("duel/2", OVER)]
    assert len({notice.incident_id for notice in play.sent}) == 1
    assert len(play.sent) == 4


def test_another_stream_is_another_story() -> None:
    play = Play()
    other = alert(about="turbo/0", stream=StreamName("turbo"))
    play.at(0, FIRST, other)
    assert play.at(30, FIRST, other) == [NoticeKind.FIRING] * 2
    assert len({notice.incident_id for notice in play.sent}) == 2


def test_what_joins_is_not_told_before_it_has_held_for_the_group_wait() -> None:
    """Also not as a line of a message that is due for something else."""
    play = Play()
    play.at(0, FIRST)
    play.at(30, FIRST)
    play.at(300, FIRST, SECOND)
    worse = replace(FIRST, severity=Severity.CRITICAL)
    assert play.at(320, worse, SECOND) == [NoticeKind.UPDATE]
    assert lines(play.sent[-1]) == [("duel/0", WORSE)]
    play.at(325, worse)
    assert play.at(3000, worse) == []


def test_a_warning_that_turns_critical_pages_once() -> None:
    play = Play()
    play.at(0, FIRST)
    play.at(30, FIRST)
    for seconds in (40, 400, 20_000):
        play.at(seconds, CRITICAL)
    assert [notice.is_page for notice in play.sent] == [False, True, False]
    assert play.sent[1].reason == "now critical, was warning"


def test_a_second_slot_that_needs_a_person_is_told_at_once_and_is_no_second_page() -> None:
    play = Play()
    play.at(0, CRITICAL)
    play.at(30, CRITICAL)
    second = replace(SECOND, severity=Severity.CRITICAL)
    play.at(40, CRITICAL, second)
    assert play.at(70, CRITICAL, second) == [NoticeKind.UPDATE]
    assert lines(play.sent[-1]) == [("duel/0", HOLDS), ("duel/1", NEW)]
    assert [notice.is_page for notice in play.sent] == [True, False]


def test_who_is_needed_after_the_first_one_was_served_is_paged_again() -> None:
    """The incident goes on for a warning, and its page is long forgotten: another one would be swallowed."""
    play = Play()
    needy = replace(THIRD, severity=Severity.CRITICAL)
    play.at(0, CRITICAL, SECOND)
    play.at(30, CRITICAL, SECOND)
    play.at(60, SECOND)
    play.at(100, SECOND, needy)
    assert play.at(130, SECOND, needy) == [NoticeKind.FIRING]
    assert lines(play.sent[-1]) == [("duel/2", NEW)]
    assert [notice.is_page for notice in play.sent] == [True, True]
    assert len({notice.incident_id for notice in play.sent}) == 2


def test_news_that_holds_is_named_beside_what_is_new_and_reminds_nobody() -> None:
    play = Play()
    bad = alert("KeeperDeployBad", "duel/0", is_once=True, over="mended")
    play.at(0, FIRST, bad)
    play.at(30, FIRST, bad)
    play.at(60, bad)
    assert play.at(360, bad) == [NoticeKind.UPDATE]
    assert [(line.alert.name, line.status) for line in play.sent[-1].lines] == [
        ("KeeperDeployBad", HOLDS), ("KeeperStreamDark", OVER),
    ]  # fmt: skip
    assert play.at(100_000, bad) == []
    play.at(100_001)
    assert play.at(100_301) == [NoticeKind.RESOLVED]
    assert play.sent[-1].alert.over == "mended", "the end is about what has ended now"


def test_what_begins_long_after_the_story_is_a_story_and_a_page_of_its_own() -> None:
    """A stream that somebody leaves dark for days must not swallow the page of its next slot."""
    play = Play()
    second = replace(SECOND, severity=Severity.CRITICAL)
    play.at(0, CRITICAL)
    play.at(30, CRITICAL)
    play.at(14_430, CRITICAL)
    play.at(20_000, CRITICAL, second)
    assert play.at(20_030, CRITICAL, second) == [NoticeKind.FIRING]
    assert play.sent[-1].is_page
    assert lines(play.sent[-1]) == [("duel/1", NEW)]
    assert play.sent[-1].incident_id != play.sent[0].incident_id


def test_what_a_fleet_wide_cause_muted_belongs_to_its_story() -> None:
    play = Play()
    play.at(0, MASS, FIRST, SECOND)
    assert play.at(30, MASS, FIRST, SECOND) == [NoticeKind.FIRING]
    assert lines(play.sent[-1]) == [("KeeperMassFailure", NEW)]
    play.at(600, FIRST, SECOND)
    assert play.at(630, FIRST, SECOND) == [NoticeKind.UPDATE]
    assert lines(play.sent[-1]) == [("duel/0", NEW), ("duel/1", NEW)]
    assert play.at(930, SECOND) == [NoticeKind.UPDATE]
    assert lines(play.sent[-1]) == [("duel/1", HOLDS), ("KeeperMassFailure", OVER)]
    play.at(960)
    assert play.at(1260) == [NoticeKind.RESOLVED]
    end = play.sent[-1]
    assert end.alert.name == "KeeperMassFailure", (
        "the worst of it closes the story, though over before"
    )
    assert lines(end) == [("duel/0", OVER), ("duel/1", OVER)]
    assert len({notice.incident_id for notice in play.sent}) == 1
    assert [notice.is_page for notice in play.sent] == [True, False, False, False]


def test_a_channel_that_hears_of_critical_things_alone_hears_the_end_of_their_story() -> None:
    play = Play()
    play.at(0, CRITICAL, SECOND)
    play.at(30, CRITICAL, SECOND)
    play.at(60, SECOND)
    play.at(360, SECOND)
    play.at(700)
    play.at(1000)
    assert [notice.kind for notice in play.sent] == [
        NoticeKind.FIRING, NoticeKind.UPDATE, NoticeKind.RESOLVED,
    ]  # fmt: skip
    assert lines(play.sent[-1]) == [("duel/1", OVER)]
    assert all(is_wanted(each, Severity.CRITICAL, digest=False) for each in play.sent)


def test_the_end_says_how_long_it_was_dark_and_what_that_cost() -> None:
    play = Play()
    dear = replace(FIRST, dollars=3.6)
    dearer = replace(FIRST, dollars=7.2, acts=2)  # another host beside it
    play.at(0, dear)
    play.at(30, dear)
    play.at(1000, dearer)
    play.at(1500)
    play.at(1800)
    end = play.sent[-1]
    assert (end.kind, end.dark_s, end.acts) == (NoticeKind.RESOLVED, 1500, 2)
    assert end.cost_dollars == pytest.approx(1.0 + 1.0)
    assert end.lines[0].cost_dollars == pytest.approx(2.0)
    assert play.sent[0].cost_dollars == pytest.approx(0.03)


def silence(until: float, pattern: str = "duel", field: str = "stream") -> tuple[Silence, ...]:
    matchers = (Matcher(field=field, pattern=pattern),)
    return (
        Silence(
            silence_id="s1", matchers=matchers, since=moment(0), until=moment(until), actor="ada",
            reason="moving the ingest",
        ),
    )  # fmt: skip


def test_what_is_silenced_is_told_when_the_silence_ends_and_it_still_holds() -> None:
    play = Play()
    play.silences = silence(1000)
    for seconds in (0, 30, 999):
        assert play.at(seconds, CRITICAL, SECOND) == []
    play.silences = ()
    assert play.at(1000, CRITICAL) == [NoticeKind.FIRING]
    assert lines(play.sent[-1]) == [("duel/0", NEW)]
    assert play.sent[-1].is_page


def test_what_was_told_and_is_silenced_is_not_repeated_and_its_end_is_told() -> None:
    play = Play()
    play.at(0, FIRST)
    play.at(30, FIRST)
    play.silences = silence(100_000)
    for seconds in range(60, 60_000, 600):
        assert play.at(seconds, CRITICAL) == []
    play.at(60_000)
    assert play.at(60_300) == [NoticeKind.RESOLVED]


def test_what_grew_worse_in_silence_is_told_when_it_ends() -> None:
    play = Play()
    play.at(0, FIRST)
    play.at(30, FIRST)
    play.silences = silence(1000)
    play.at(60, CRITICAL)
    play.silences = ()
    assert play.at(1000, CRITICAL) == [NoticeKind.UPDATE]
    assert play.sent[-1].is_page


def test_a_silenced_alert_is_no_line_of_another_ones_message() -> None:
    play = Play()
    play.silences = silence(1000, "duel/1", "slot")
    play.at(0, FIRST, SECOND)
    play.at(30, FIRST, SECOND)
    assert lines(play.sent[-1]) == [("duel/0", NEW)]


@pytest.mark.parametrize(
    ("field", "pattern", "is_silenced"),
    [
        ("alert", "KeeperStreamDark", True),
        ("alert", "KeeperStream*", True),
        ("alert", "KeeperSlotHeld", False),
        ("stream", "duel", True),
        ("stream", "turbo", False),
        ("slot", "duel/?", True),
        ("severity", "warning", True),
        ("severity", "critical", False),
    ],
)
def test_a_silence_means_what_it_names(field: str, pattern: str, *, is_silenced: bool) -> None:
    play = Play()
    play.silences = silence(1000, pattern, field)
    play.at(0, FIRST)
    assert (play.at(30, FIRST) == []) is is_silenced


def test_how_each_alert_stands() -> None:
    play = Play()
    no_offer = alert("KeeperNoOffer")
    fired = (CRITICAL, no_offer, SECOND)
    silences = silence(1000, "duel/1", "slot")
    play.silences = silences
    play.at(0, *fired)
    play.at(30, *fired)
    first, muted, silenced = standing(play.state, fired, silences)
    assert (first.told_at, first.incident_id) == (moment(30), play.sent[0].incident_id)
    assert (first.muted_by, first.silenced_by) == ("", "")
    assert (muted.told_at, muted.incident_id, muted.muted_by) == (None, "", CRITICAL.key)
    assert (silenced.told_at, silenced.silenced_by) == (None, "s1")
    assert [each.key for each in told(play.state)] == [CRITICAL.key]
    play.at(60)
    assert [each.key for each in told(play.state)] == [CRITICAL.key], "quiet is not over"
    play.at(360)
    assert told(play.state) == ()


def test_rows_of_a_newer_keeper_are_ignored() -> None:
    play = Play()
    play.at(0, FIRST)
    play.state = {
        **play.state,
        "@picture:duel#1": {"tale": 1},
        "@": {"opened": "many"},
        "!": {"fired_at": "soon"},
        "?": {},
    }
    assert play.at(30, FIRST) == [NoticeKind.FIRING]
    play.at(60)
    assert play.at(360) == [NoticeKind.RESOLVED]
    assert play.remembered == {}


def test_an_older_keeper_drops_the_rows_that_it_does_not_know() -> None:
    """As it read them: an alert that nobody was told of is forgotten when it does not fire."""
    play = Play()
    play.at(0, FIRST)
    play.at(30, FIRST)
    strange = [row for key, row in play.state.items() if key.startswith("@")]
    assert len(strange) == 2
    for row in strange:
        assert row["told_at"] is row["waiting_since"] is row["quiet_since"] is None
        assert {"fired_at", "told", "dark_s"} <= row.keys()
        assert {"name", "key", "severity", "since"} <= row["alert"].keys()


def test_a_thousand_dark_slots_are_one_message_and_no_work_when_nothing_changes() -> None:
    play = Play()
    fleet = tuple(alert(about=f"duel/{number}") for number in range(1000))
    play.at(0, *fleet)
    assert play.at(30, *fleet) == [NoticeKind.FIRING]
    assert len(play.sent[0].lines) == 1000
    state, _ = dispatch(play.state, fleet, moment(31), NUMBERS)
    assert all(state[key] is row for key, row in play.state.items()), "taken over as it is written"
    assert next_due_at(state, fleet, NUMBERS) == moment(30 + 14_400)


def test_incidents_are_counted_so_that_no_two_have_one_name() -> None:
    """A clock that is set back to the microsecond shows the moment of the first one again."""
    play = Play()
    for _ in range(2):
        play.at(0, FIRST)
        play.at(30, FIRST)
        play.at(60)
        play.at(360)
    assert len({notice.notice_id for notice in play.sent}) == len(play.sent) == 4
    assert read(play.state).opened == 2


# --- the tables ----------------------------------------------------------------------------------------


def test_every_alert_has_its_place_and_every_row_a_reason() -> None:
    assert set(RULES) == set(GROUPINGS)
    assert all(row.why for row in GROUPINGS.values())
    assert all(row.why for row in INHIBITIONS)
    assert len({row.why for row in GROUPINGS.values()}) == len(GROUPINGS)
    muting = frozenset().union(*(row.by for row in INHIBITIONS))
    assert muting <= set(RULES)


def test_the_manual_names_whoever_mutes() -> None:
    page = (REPOSITORY / "docs" / "alerts.md").read_text()
    muted = page[page.index("### Muted") : page.index("### Silenced")]
    for row in INHIBITIONS:
        assert all(f"`{name}`" in muted for name in row.by), row.why


@pytest.mark.parametrize(
    ("told_of", "group"),
    [
        (FIRST, "picture:duel"),
        (HELD, "picture:duel"),
        (alert("KeeperSlotHeld", "", stream=None), "account"),
        (alert("KeeperCreditLow", "", stream=None), "account"),
        (alert("KeeperBudgetStop", "fleet:day", stream=None, slot=None), "money:all"),
        (alert("KeeperBudgetStop", "duel:day", slot=None), "money:duel"),
        (MARKET, "market"),
        (MASS, "fleet"),
        (alert("KeeperPaused", ""), "itself:KeeperPaused"),
        (alert("KeeperOfTomorrow", "x"), "itself:KeeperOfTomorrow:x"),
    ],
)
def test_alerts_belong_where_a_person_looks_for_them(told_of: object, group: str) -> None:
    assert group_of(told_of) == group  # type: ignore[arg-type]


def test_a_host_that_is_being_replaced_mutes_what_its_processes_say() -> None:
    """The rule holds its tongue itself: the slot's next host is under way (test_rules.py has the row)."""
    assert inhibited((CRITICAL, alert("KeeperRestartsHideSickness"))).keys() == {
        "KeeperRestartsHideSickness:duel/0"
    }


def test_an_empty_account_is_said_once_for_every_stream() -> None:
    empty = alert(
        "KeeperCreditLow", "", slot=None, stream=None, severity=Severity.CRITICAL,
        reason=Reason.OUT_OF_CREDIT, needs_human="Add credit to the marketplace account.",
    )  # fmt: skip
    waits = [
        alert("KeeperSlotHeld", slot, severity=Severity.CRITICAL, needs_human=empty.needs_human)
        for slot in ("duel/0", "turbo/0")
    ]
    assert inhibited((empty, *waits)) == {each.key: empty.key for each in waits}
