"""Notices built by hand: incidents as people meet them, and the worst that could be said in one."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from keeper.alerts import Alert, Line, LineStatus, Notice, Severity
from keeper.core.digest import Digest, MachineWeek, StreamWeek
from keeper.core.model import MachineId, SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.ports import HttpReply, NoticeKind
from tests.snapshots import NOW, ago

# What hosts could try: markup of chats, mentions, links, controls, text that runs backwards, floods.
HOSTILE = (
    "<!channel> <!here> <@U123> <https://evil.example|click> [click](https://evil.example)",
    "*bold* _it_ ~gone~ `code` ```block``` @everyone @here #general",
    "&lt;!channel&gt; &amp;",
    "line\nbreak\r\x1b[31mred\x07\u202e\u2066",
    "x" * 1_000_000,
    "<" * 1_000_000,
    "`" * 999,
    "\ud800 lone \U000e0041",
    "'; DROP TABLE outbox; -- \\u0000 {{ slot }} ${jndi:x}",
)


def alert(name: str = "KeeperStreamDark", about: str = "duel/0", **given: Any) -> Alert:
    """A dark slot at $0.42 an hour, unless told otherwise."""
    return Alert(
        **{
            "name": name,
            "key": f"{name}:{about}" if about else name,
            "severity": Severity.WARNING,
            "slot": SlotId(about) if "/" in about else None,
            "stream": StreamName(about.partition("/")[0] or "duel"),
            "summary": f"{about} is dark",
            "why": "frames arrive, but it is always the same frame",
            "did": "last act: restart process, because frames arrive, but it is always the same frame",
            "needs_human": "",
            "since": ago(minutes=3),
            "reason": Reason.FROZEN,
            "dark_since": ago(minutes=3),
            "dollars": 0.42,
            "acts": 2,
            "over": f"{about} is no longer dark",
            "labels": {"stream": about.partition("/")[0], "slot": about},
            **given,
        }
    )


NEEDED = (
    "Look at why hosts keep failing (`keeper explain duel/0`), then `keeper replace duel/0` "
    "or raise `replacements_max`."
)


def line(status: LineStatus, dark_s: float = 0.0, **given: Any) -> Line:
    return Line(alert=alert(**given), status=status, dark_s=dark_s)


def notice(kind: NoticeKind = NoticeKind.FIRING, *lines: Line, **given: Any) -> Notice:
    """A message about the alert of its first line."""
    shown = lines or (line(LineStatus.NEW),)
    return Notice(
        **{
            "notice_id": "msg_1",
            "incident_id": "inc_1",
            "kind": kind,
            "alert": shown[0].alert,
            "at": NOW,
            "dark_s": 200.0,
            "acts": 2,
            "reason": "first message",
            "cost_dollars": 0.02,
            "lines": shown,
            **given,
        }
    )


def story() -> Iterator[tuple[str, Notice]]:
    """One incident, as a person lives through it."""
    dark = alert()
    held = replace(dark, severity=Severity.CRITICAL, needs_human=NEEDED, since=ago(minutes=34))
    held = replace(held, did="keeper holds: the replacements allowed in 6 h are used up")
    other = alert(about="duel/1", why="no frame for 20 s", since=ago(seconds=50), dollars=0.38)
    yield "first", notice()
    yield (
        "another joins",
        notice(
            NoticeKind.UPDATE,
            Line(alert=dark, status=LineStatus.HOLDS, dark_s=500),
            Line(alert=other, status=LineStatus.NEW, dark_s=50),
            reason="new: duel/1 is dark",
        ),
    )
    yield (
        "a person is needed",
        notice(
            NoticeKind.UPDATE,
            Line(alert=held, status=LineStatus.WORSE, dark_s=2040),
            Line(alert=other, status=LineStatus.HOLDS, dark_s=400),
            is_page=True,
            dark_s=2040.0,
            reason="now critical, was warning",
        ),
    )
    yield (
        "one is over",
        notice(
            NoticeKind.UPDATE,
            Line(alert=held, status=LineStatus.HOLDS, dark_s=3040),
            Line(alert=other, status=LineStatus.OVER, dark_s=420),
            dark_s=3040.0,
            reason="duel/1 is over",
        ),
    )
    late = replace(held, since=ago(hours=4, minutes=3))
    yield (
        "still",
        notice(
            NoticeKind.REPEAT,
            Line(alert=late, status=LineStatus.HOLDS, dark_s=14_580),
            dark_s=14_580.0,
            reason="repeated every 4 h",
        ),
    )
    yield (
        "the end",
        notice(
            NoticeKind.RESOLVED,
            Line(alert=replace(late, needs_human=""), status=LineStatus.OVER, dark_s=15_600),
            dark_s=15_600.0,
            acts=6,
            cost_dollars=1.82,
            reason="resolved",
        ),
    )


def week(streams: int = 3) -> Digest:
    """A week of so many streams, each a little worse than the one before."""
    return Digest(
        since=NOW - timedelta(days=7),
        until=NOW,
        streams=tuple(
            StreamWeek(
                stream=StreamName(f"stream-{index}"),
                good_s=604_800.0 - 400 * index,
                dark_s=400.0 * index,
                starting_s=60.0,
                incidents=index,
                longest_dark_s=90.0 * index,
                time_to_picture_s=None if index == 0 else 290.0,
                dollars=70.5 + index,
            )
            for index in range(streams)
        ),
        worst_machines=(
            MachineWeek(machine_id=MachineId(4711), failures=3, dark_s=600.0, dollars=1.2),
            MachineWeek(machine_id=MachineId(815), failures=1, dark_s=90.0, dollars=0.1),
        ),
        incidents=sum(range(streams)),
        people_needed=1,
        messages=4,
        dollars=220.1,
    )


def weekly(streams: int = 3) -> Notice:
    """The message about a week."""
    return Notice(
        notice_id="msg_week",
        kind=NoticeKind.DIGEST,
        alert=alert(
            "KeeperWeeklyDigest",
            "",
            severity=Severity.INFO,
            summary="last week: 99.93 % on air, $220.10",
            why="",
            did="",
            dollars=220.1,
            since=NOW - timedelta(days=7),
        ),
        at=NOW,
        reason="the week is over",
        digest=week(streams),
    )


def every_notice() -> Iterator[tuple[str, Notice]]:
    """Every kind, page or not, with none, one and a thousand lines; and what hosts could say in them."""
    crowd = tuple(
        line(
            status,
            dark_s=float(index),
            about=f"duel/{index}",
            needs_human=f"Do `keeper x {index}`.",
        )
        for index in range(250)
        for status in LineStatus
    )
    for kind in NoticeKind:
        if kind is NoticeKind.DIGEST:
            continue
        for is_page in (False, True):
            for name, lines in (("none", ()), ("one", crowd[:1]), ("thousand", crowd)):
                made = notice(kind, *lines, is_page=is_page)
                yield f"{kind}-{name}-{is_page}", made if lines else replace(made, lines=())
    for index, text in enumerate(HOSTILE):
        said: dict[str, Any] = {
            "summary": text,
            "why": text,
            "did": text,
            "needs_human": text,
            "over": text,
            "case": text,
            "labels": {"label": text},
            "severity": Severity.CRITICAL,
        }
        lines = tuple(line(status, 60.0, **said) for status in LineStatus) * 5
        for kind in (NoticeKind.FIRING, NoticeKind.UPDATE, NoticeKind.RESOLVED):
            yield f"hostile-{index}-{kind}", notice(kind, *lines, reason=text, is_page=True)
    for streams in (0, 3, 200):
        yield f"digest-{streams}", weekly(streams)


def reply(status: int, body: str = "", **headers: str) -> HttpReply:
    return HttpReply(status=status, headers=headers, body=body.encode(), elapsed_s=0.1)
