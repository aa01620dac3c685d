"""Every row of the failure catalogue is named by its workload, and played under the whole daemon.

The catalogue's rows by their numbers (workloads.md, section 8: A is the duel, B SD-Turbo, C Pixel Streaming, H
any host), held against the workloads' own symptoms and against the tables that the tests of the whole daemon
play. What is in neither says here why, and where else it is tested.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from keeper.workloads.hyperscape_duel import symptoms as duel
from keeper.workloads.pixel_streaming import symptoms as pixel
from keeper.workloads.sd_turbo import symptoms as turbo
from tests.components import REPOSITORY
from tests.duel import FAULTS as DUEL_FAULTS
from tests.e2e import test_workload_duel, test_workload_pixel
from tests.sd_turbo import FAULTS as TURBO_FAULTS
from tests.standins.pixel.image import Image

_ROW = re.compile(r"\b[ABCH]\d{1,2}\b")


def numbered(letter: str, *numbers: range) -> list[str]:
    return [f"{letter}{number}" for some in numbers for number in some]


CATALOGUES = {
    "A": numbered("A", range(1, 13), range(20, 41)),
    "B": numbered("B", range(1, 18)),
    "C": numbered("C", range(1, 21)),
}

# --- what the workload itself names ------------------------------------------------------------------

NAMED: Mapping[str, set[str]] = {
    "A": {row for rule in duel.ROWS for row in rule.rows},
    "B": {rule.catalogue for rule in turbo.ROWS},
    "C": {row for rule in pixel.CATALOGUE for row in rule.rows},
}
OTHERS_NAME: Mapping[str, str] = {
    "A10": "no symptom: the deploy's job has a deadline, and nothing of it holds the channel",
    "A11": "no symptom: the deploy's step and its exit code",
    "A22": "a stall that was recovered is none",
    "B13": "no symptom: keeper's own tunnel says that the port is in use",
    "B14": "no symptom: the link's own beats tell, and it is dialled again",
    "B17": "no symptom: the server's port is not rented and listens on loopback",
    "C2": "offer_missing, which only a player sees",
    "C13": "no fault",
    "C14": "server_full, which only a player sees",
    "C15": "two_streamers, which only a player sees",
}

# --- what is played under the whole daemon -----------------------------------------------------------


def rows_in(texts: Iterable[str]) -> set[str]:
    return {row for text in texts for row in _ROW.findall(text)}


def duel_rows() -> set[str]:
    played = {
        *test_workload_duel.PLATFORM, *test_workload_duel.BRIDGE, *test_workload_duel.HOST,
        "idle_disconnect",
    }  # fmt: skip
    return rows_in(fault.id for fault in DUEL_FAULTS if fault.symptom in played)


def pixel_rows() -> set[str]:
    ports = iter(range(1, 100))
    image = Image(folder=Path("/nowhere"), free_port=lambda: next(ports))
    guests = test_workload_pixel.Guests(image)
    tables = (
        *test_workload_pixel.seen_or_left(image, guests), *test_workload_pixel.told_by_host(image),
    )  # fmt: skip
    return rows_in([*(row.id for row in tables), test_workload_pixel.AT_FIRST])


PLAYED: Mapping[str, set[str]] = {
    "A": duel_rows(),
    "B": rows_in(fault.row.partition("-")[0] for fault in TURBO_FAULTS) | {"B17"},
    "C": pixel_rows(),
}
PLAYED_ELSEWHERE: Mapping[str, str] = {
    "A10": "a deploy's deadline: tests/integration/workloads/test_jobs.py",
    "A11": "a deploy's failing step: tests/integration/workloads/test_jobs.py",
    "A22": "passes by itself, and is not seen: tests/unit/workloads/test_hyperscape_duel.py",
    "B7": "ten minutes without a first picture: tests/unit/workloads/test_sd_turbo.py",
    "B8": "needs the real libraries: tests/integration/workloads/test_sd_turbo_model.py",
    "B12": "ten quiet minutes: tests/integration/workloads/test_sd_turbo_catalogue.py",
    "B13": "keeper's own tunnel: tests/integration/cli/test_passage.py",
    "B14": "the link's own: tests/integration/adapters/test_ssh_hostile.py",
}


@pytest.mark.parametrize("letter", CATALOGUES)
def test_every_row_is_named_by_its_workload_or_says_who_does(letter: str) -> None:
    of_others = {row for row in OTHERS_NAME if row.startswith(letter)}
    assert set(CATALOGUES[letter]) - NAMED[letter] == of_others


@pytest.mark.parametrize("letter", CATALOGUES)
def test_every_row_is_played_under_the_daemon_or_says_where_else(letter: str) -> None:
    elsewhere = {row for row in PLAYED_ELSEWHERE if row.startswith(letter)}
    assert set(CATALOGUES[letter]) - PLAYED[letter] == elsewhere


@pytest.mark.parametrize("letter", CATALOGUES)
def test_no_workload_names_or_plays_a_row_that_the_catalogue_has_not(letter: str) -> None:
    known = {*CATALOGUES[letter], *numbered("H", range(1, 20))}
    assert NAMED[letter] | PLAYED[letter] <= known


def test_what_is_played_elsewhere_is_there() -> None:
    for where in PLAYED_ELSEWHERE.values():
        (path,) = re.findall(r"tests/[\w/]+\.py", where)
        assert (REPOSITORY / path).exists(), where
