"""Whatever fires, in any order, over crashes, silences and clocks that are set: incidents are told once, and well."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from keeper.alerts import Alert, LineStatus, Notice, Severity
from keeper.alerts.dispatch import Numbers, dispatch, next_due_at
from keeper.alerts.inhibitions import inhibited
from keeper.alerts.silencing import silenced_by
from keeper.core.model import SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.core.silences import Matcher, Silence
from keeper.ports import NoticeKind

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NUMBERS = Numbers()
HELD_DARK = frozenset({LineStatus.NEW, LineStatus.WORSE, LineStatus.HOLDS})


def _alert(name: str, about: str = "", **given: Any) -> Alert:
    slot = SlotId(about) if "/" in about else None
    stream = about.partition("/")[0]
    return Alert(
        **{
            "name": name, "key": f"{name}:{about}" if about else name, "severity": Severity.WARNING,
            "slot": slot, "stream": StreamName(stream) if stream else None, "summary": name,
            "why": "", "did": "", "needs_human": "", "since": NOW, **given,
        }
    )  # fmt: skip


def _dark(slot: str, severity: Severity = Severity.WARNING) -> Alert:
    return _alert(
        "KeeperStreamDark", slot, severity=severity, reason=Reason.UNREACHABLE, dollars=0.4
    )


# What may fire, by a letter; no two of one key fire at once.
CAST: dict[str, Alert] = {
    "a": _dark("duel/0"),
    "A": _dark("duel/0", Severity.CRITICAL),
    "b": _dark("duel/1"),
    "B": _dark("duel/1", Severity.CRITICAL),
    "c": _dark("turbo/0"),
    "h": _alert("KeeperSlotHeld", "duel/0", severity=Severity.CRITICAL),
    "n": _alert("KeeperNoOffer", "duel"),
    "m": _alert("KeeperMassFailure", severity=Severity.CRITICAL),
    "u": _alert("KeeperMarketUnreadable"),
    "o": _alert("KeeperBudgetUsed", "duel", is_once=True, severity=Severity.INFO),
    "p": _alert("KeeperPaused", severity=Severity.INFO),
}
LETTERS = "aabbABcchnmuop"  # most of it is about one stream
SILENCES = (
    (),
    (Silence(
        silence_id="s1", matchers=(Matcher(field="stream", pattern="duel"),), since=NOW,
        until=NOW + timedelta(days=900), actor="ada", reason="moving",
    ),),
)  # fmt: skip


def firing_of(letters: Iterable[str]) -> tuple[Alert, ...]:
    found: dict[str, Alert] = {}
    for letter in sorted(letters):
        found.setdefault(CAST[letter].key, CAST[letter])
    return tuple(found.values())


@dataclass(frozen=True)
class Step:
    wait_s: float
    letters: frozenset[str]  # of what fires
    is_lost: bool  # keeper dies before it has committed what it decided
    is_silenced: bool


def steps(waits: st.SearchStrategy[float]) -> st.SearchStrategy[list[Step]]:
    """Return histories in which one or two things begin or end at a time, and most go on."""
    turn = st.tuples(
        waits,
        st.frozensets(st.sampled_from(LETTERS), max_size=2),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([False, False, False, True]),
    )

    def told(turns: list[tuple[float, frozenset[str], bool, bool]]) -> list[Step]:
        firing: frozenset[str] = frozenset()
        found = []
        for wait_s, changed, is_lost, is_silenced in turns:
            firing ^= changed
            found.append(
                Step(wait_s=wait_s, letters=firing, is_lost=is_lost, is_silenced=is_silenced)
            )
        return found

    return st.lists(turn, min_size=1, max_size=25).map(told)


FORWARD = st.sampled_from(
    [0.2, 5.0, 31.0, 31.0, 31.0, 60.0, 120.0, 301.0, 301.0, 400.0, 5000.0, 15_000.0]
)
ANY_CLOCK = FORWARD | st.sampled_from([-3600.0, -40.0, 3600.0])


@dataclass
class World:
    """Runs a history, and judges every message when it is made."""

    now: datetime = NOW
    state: Mapping[str, Any] = field(default_factory=dict)
    sent: list[Notice] = field(default_factory=list)
    spoken_since: dict[str, datetime] = field(default_factory=dict)  # firing and not muted
    told: set[str] = field(default_factory=set)
    is_even: bool = True  # the clock was never set back

    def play(self, history: list[Step]) -> None:
        for step in history:
            self.now += timedelta(seconds=step.wait_s)
            self.is_even = self.is_even and step.wait_s >= 0
            self.tick(firing_of(step.letters), SILENCES[step.is_silenced], is_lost=step.is_lost)

    def tick(
        self, firing: tuple[Alert, ...], silences: tuple[Silence, ...], *, is_lost: bool = False
    ) -> None:
        muted = inhibited(firing)
        speakable = {alert.key for alert in firing if alert.key not in muted}
        state, notices = dispatch(self.state, firing, self.now, NUMBERS, silences)
        if is_lost:
            # A crash: nothing of it happened, and the next process begins with what it had read.
            self.state = json.loads(json.dumps(self.state))
            return
        self.spoken_since = {k: self.spoken_since.get(k, self.now) for k in sorted(speakable)}
        silenced = {alert.key for alert in firing if silenced_by(alert, silences)}
        for notice in notices:
            self.judge(notice, {alert.key: alert for alert in firing}, speakable - silenced)
        self.sent += notices
        again, more = dispatch(state, firing, self.now, NUMBERS, silences)
        assert not more, "its own result calls for nothing"
        assert again == state
        self.state = json.loads(json.dumps(state))

    def judge(self, notice: Notice, firing: Mapping[str, Alert], speakable: set[str]) -> None:
        keys = [line.alert.key for line in notice.lines]
        assert len(keys) == len(set(keys)) >= 1
        for line in notice.lines:
            key = line.alert.key
            if line.status is LineStatus.OVER:
                assert key in self.told
                assert key not in firing
                self.told.remove(key)
                continue
            assert key in speakable, "what is muted or silenced is not spoken of"
            assert (key in self.told) is (line.status is not LineStatus.NEW)
            self.told.add(key)
            if line.status is LineStatus.NEW and self.is_even:
                held_s = (self.now - self.spoken_since[key]).total_seconds()
                assert held_s >= NUMBERS.group_wait_s, "cured within the group wait, it is not told"

    def end(self) -> None:
        """Let all be well for long: whatever was told must be told to be over."""
        for seconds in (1, 400, 400, 400):
            self.now += timedelta(seconds=seconds)
            self.tick((), ())
        assert self.told == set()
        assert set(self.state) <= {"@"}


def by_incident(sent: Iterable[Notice]) -> dict[str, list[Notice]]:
    found: dict[str, list[Notice]] = defaultdict(list)
    for notice in sent:
        found[notice.incident_id].append(notice)
    return found


def one_after_the_other(*letters: str) -> list[Step]:
    """What luck seldom brings about: the second joins while the first one holds."""
    return [
        Step(wait_s=31.0, letters=frozenset(each), is_lost=False, is_silenced=False)
        for each in letters
    ]


ONE_AFTER_THE_OTHER = one_after_the_other("a", "a", "ab", "ab", "ab")
TWO_IN_NEED = one_after_the_other("A", "A", "AB", "AB", "AB")


@example(TWO_IN_NEED)
@given(steps(ANY_CLOCK))
def test_every_incident_is_a_story_with_one_beginning_one_end_and_one_page(
    history: list[Step],
) -> None:
    world = World()
    world.play(history)
    world.end()
    ids = Counter(notice.notice_id for notice in world.sent)
    assert all(count == 1 for count in ids.values()), "another message has another id"
    for story in by_incident(world.sent).values():
        kinds = [notice.kind for notice in story]
        assert kinds[0] is NoticeKind.FIRING
        assert kinds[-1] is NoticeKind.RESOLVED
        assert not {NoticeKind.FIRING, NoticeKind.RESOLVED} & set(kinds[1:-1])
        needed = [
            any(
                line.alert.severity is Severity.CRITICAL and line.status is not LineStatus.OVER
                for line in notice.lines
            )
            for notice in story
        ]
        pages = [notice.is_page for notice in story]
        assert pages.count(True) == any(needed)
        assert not any(needed) or pages.index(True) == needed.index(True)


@settings(max_examples=200)
@example(ONE_AFTER_THE_OTHER)
@given(steps(FORWARD))
def test_messages_of_an_incident_keep_their_distance_unless_a_person_is_newly_needed(
    history: list[Step],
) -> None:
    world = World()
    at: dict[str, datetime] = {}
    for step in history:
        before = len(world.sent)
        world.play([step])
        for notice in world.sent[before:]:
            is_needed = any(
                line.status in (LineStatus.NEW, LineStatus.WORSE)
                and line.alert.severity is Severity.CRITICAL
                for line in notice.lines
            )
            last = at.get(notice.incident_id)
            if last is not None and not is_needed:
                assert (world.now - last).total_seconds() >= NUMBERS.group_interval_s
            at[notice.incident_id] = world.now


@given(steps(FORWARD))
def test_the_next_message_comes_when_it_was_foretold_and_not_before(history: list[Step]) -> None:
    state: Mapping[str, Any] = {}
    now = NOW
    for step in history:
        firing, silences = firing_of(step.letters), SILENCES[step.is_silenced]
        state, _ = dispatch(state, firing, now, NUMBERS, silences)
        due_at = next_due_at(state, firing, NUMBERS)
        until = now + timedelta(seconds=step.wait_s)
        while due_at is not None and due_at < until:
            assert due_at > now, "no tick upon tick"
            early = due_at - timedelta(milliseconds=1)
            if early > now:
                quiet, notices = dispatch(state, firing, early, NUMBERS, silences)
                assert not notices
                assert quiet == state
            state, notices = dispatch(state, firing, due_at, NUMBERS, silences)
            assert notices
            now, due_at = due_at, next_due_at(state, firing, NUMBERS)
        now = until


@given(steps(FORWARD), st.integers(0, 24))
def test_what_an_older_keeper_left_is_told_to_be_over_and_nothing_twice(
    history: list[Step], turn: int
) -> None:
    """An older keeper takes over for a while: it knows no incidents, and leaves rows that name none."""
    world = World()
    world.play(history[:turn])
    rows = {
        key: {
            name: value for name, value in row.items()
            if name in {"fired_at", "waiting_since", "told_at", "told", "quiet_since", "dark_s", "alert"}
        }
        for key, row in world.state.items()
        if not key.startswith("@")
    }  # fmt: skip
    world.state, seen = rows, len(world.sent)
    world.sent = [replace(each, notice_id=f"before {each.notice_id}") for each in world.sent]
    world.play(history[turn:])
    world.end()
    assert len({each.notice_id for each in world.sent[seen:]}) == len(world.sent) - seen
