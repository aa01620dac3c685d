"""What a host has shown before it got the workload is explained for as long as it serves."""

import io

from rich.console import Console

from keeper.cli.explain import shown_explained
from keeper.core.model import Audition, Meaning, SlotId
from keeper.web.explain import explain
from tests.snapshots import NOW, ago, record, snapshot, tenure

SLOT = SlotId("duel/0")
PASSED = "webgpu: headless-vulkan draws on nvidia; upload: 9.4 Mbit/s went through"


def told(audition: Audition | None) -> str:
    found = explain(snapshot(record(tenure=tenure(audition=audition))), SLOT, NOW)
    assert found is not None
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*shown_explained(found, width=200), sep="\n")
    return console.export_text()


def test_what_was_as_expected_is_explained() -> None:
    said = told(Audition(meaning=None, at=ago(minutes=3), since=ago(minutes=3), passed=PASSED))
    assert PASSED in said
    assert "failed" not in said


def test_a_failure_is_explained_beside_it() -> None:
    failed = Audition(
        meaning=Meaning.WAIT, at=ago(minutes=3), since=ago(minutes=9), check="port",
        saw="port 3000 does not answer", expected="port 3000 can be reached", passed=PASSED,
    )  # fmt: skip
    said = told(failed)
    assert "failed (wait), port: port 3000 does not answer; expected: port 3000 can be" in said
    assert PASSED in said


def test_a_host_that_held_none_is_not_spoken_of() -> None:
    assert "Audition" not in told(None)
