"""What an operator writes to silence something: read as meant, or refused with what was meant."""

from __future__ import annotations

import pytest

from keeper.web.matchers import NotUnderstood, read_matchers
from tests.snapshots import dark, record, snapshot

SHOWN = snapshot(dark("duel/0"), record("duel/1"), record("paint/0"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["KeeperStreamDark"], ["alert=KeeperStreamDark"]),
        (
            ["KeeperStreamDark", "stream=duel", "slot=duel/*"],
            ["alert=KeeperStreamDark", "stream=duel", "slot=duel/*"],
        ),
        (["alert=Keeper*"], ["alert=Keeper*"]),
        (["Keeper*"], ["alert=Keeper*"]),
        (["severity=warning", "severity=warning"], ["severity=warning"]),
        ([" slot=paint/0 "], ["slot=paint/0"]),
        (["stream=gone-*"], ["stream=gone-*"]),
        (["key=KeeperStreamDark:duel/0"], ["key=KeeperStreamDark:duel/0"]),
    ],
)
def test_matchers_are_read_as_they_are_written(written: list[str], read: list[str]) -> None:
    assert [str(each) for each in read_matchers(written, SHOWN)] == read


@pytest.mark.parametrize(
    ("written", "what", "cure"),
    [
        ("KeeperStreemDark", "no alert", "did you mean KeeperStreamDark?"),
        ("keeperstreamdark", "no alert", "did you mean KeeperStreamDark?"),
        ("stream=dual", "no stream 'dual'", "did you mean stream=duel?"),
        ("slot=duel/2", "no slot", "did you mean slot=duel/"),
        ("slots=duel/0", "no 'slots'", "did you mean slot=duel/0?"),
        ("severity=bad", "no severity", "critical"),
        ("duel", "no alert 'duel'", "did you mean stream=duel?"),
        ("duel/0", "no alert", "did you mean slot=duel/0?"),
        ("critical", "no alert", "did you mean severity=critical?"),
        ("stream=", "says nothing", "alert=NAME"),
        ("=duel", "no ''", "alert=NAME"),
        ("stream=\x1b[2J*", "says nothing", "alert=NAME"),
    ],
)
def test_what_names_nothing_is_refused_with_what_was_meant(
    written: str, what: str, cure: str
) -> None:
    with pytest.raises(NotUnderstood) as refused:
        read_matchers([written], SHOWN)
    assert what in str(refused.value)
    assert cure in refused.value.cure
    assert "\x1b" not in f"{refused.value}{refused.value.cure}"


def test_two_matchers_that_cannot_both_be_so_are_refused() -> None:
    """Somebody meant either, and would rely on a silence that keeps quiet about nothing."""
    with pytest.raises(NotUnderstood, match="cannot both be so"):
        read_matchers(["stream=duel", "stream=paint"], SHOWN)
