"""The one word for where a spare is: it says ready only of what could take over."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from keeper.core.model import Status, Tenure
from keeper.core.reasons import Reason
from keeper.core.spare_state import SPARE_STATES, spare_state
from tests.builders import a_fresh_tenure, ago, conditions
from tests.unit.core.spares import a_place, a_spare
from tests.unit.core.standing_spares import a_standing_spare, a_starting_spare, a_stopping_spare


@dataclass(frozen=True, kw_only=True)
class Row:
    sentence: str
    tenure: Tenure | None
    word: str


def lost(kind: str, status: Status = Status.FALSE) -> Tenure:
    return a_spare(conditions=conditions(**{kind: (status, Reason.NOT_ASKED)}))


ROWS = [
    Row(sentence="nothing is rented", tenure=None, word="missing"),
    Row(sentence="it boots", tenure=a_fresh_tenure(), word="coming"),
    Row(sentence="it runs and has not proven itself", tenure=a_spare(ready_at=None), word="coming"),
    Row(sentence="it has proven itself", tenure=a_spare(), word="ready"),
    Row(sentence="a list lacks it", tenure=a_spare(missing_since=ago(5)), word="coming"),
    Row(sentence="the market calls it dead", tenure=a_spare(dead_since=ago(5)), word="coming"),
    Row(sentence="nobody reaches it", tenure=lost("reachable"), word="coming"),
    Row(sentence="it has lost its picture", tenure=lost("streaming"), word="coming"),
    Row(sentence="nobody knows of its picture", tenure=lost("streaming", Status.UNKNOWN), word="ready"),
    Row(sentence="it is told to stop", tenure=a_stopping_spare(5), word="coming"),
    Row(sentence="it stands still", tenure=a_standing_spare(), word="stopped"),
    Row(sentence="it stands still, and a list lacks it",
        tenure=a_standing_spare(missing_since=ago(5)), word="coming"),
    Row(sentence="it stands still on a machine that is off",
        tenure=a_standing_spare(dead_since=ago(5)), word="coming"),
    Row(sentence="it is told to start", tenure=a_starting_spare(5), word="starting"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_says(row: Row) -> None:
    assert spare_state(a_place(row.tenure)) == row.word


def test_every_word_is_said() -> None:
    """A metric has a line for each of them, also while it is nought."""
    assert {row.word for row in ROWS} == set(SPARE_STATES)
