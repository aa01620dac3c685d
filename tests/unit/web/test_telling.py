"""What people are told, as the API describes it."""

from __future__ import annotations

from keeper.core.silences import FIELDS, Matcher, Silence
from keeper.web.telling import alerts_of, matched
from tests.snapshots import NOW, dark, snapshot


def test_a_silence_is_said_to_mean_what_it_means_by_every_field() -> None:
    (alert, *_) = alerts_of(snapshot(dark("duel/0")), NOW, None)
    shown = {
        "alert": "KeeperStreamDark",
        "stream": "duel",
        "slot": "duel/0",
        "severity": alert.severity.value,
        "key": "KeeperStreamDark:duel/0",
    }
    assert set(shown) == set(FIELDS)
    for field, value in shown.items():
        for pattern, is_meant in ((value, True), (f"{value}x", False)):
            silence = Silence(
                silence_id="1",
                matchers=(Matcher(field=field, pattern=pattern),),
                since=NOW,
                until=NOW,
                actor="ada",
                reason="",
            )
            assert bool(matched(silence, (alert,))) is is_meant, (field, pattern)
