"""What is deployed where, and what is to come: one line, and no value of any setting."""

from dataclasses import replace
from io import StringIO

import pytest
from markupsafe import escape
from rich.console import Console

from keeper.cli.rollouts import shown_deploys
from keeper.core.model import Revision, SlotId, StreamName
from keeper.core.reasons import Reason
from keeper.core.world import Snapshot
from keeper.web.deploys import deploys_of, news_of
from keeper.web.page import render
from keeper.web.status import plan_of, status_of
from tests.snapshots import NOW, ago, record, snapshot, tenure

NEW = Revision(
    stream=StreamName("duel"), name="r2", declared_at=ago(hours=1), rental_mark="m",
    parts={"prompt": "2", "image": "1"},
)  # fmt: skip
OLD = replace(NEW, name="r1", parts={"prompt": "1", "image": "1"}, proven_at=ago(hours=9))
BAD = replace(NEW, bad_at=ago(minutes=5), bad_reason=Reason.FROZEN, bad_slot=SlotId("duel/0"))
OTHER_IMAGE = replace(NEW, rental_mark="m2", parts={"prompt": "1", "image": "2"})
DONE = replace(NEW, proven_at=ago(minutes=1))


def seen(*hosts: str, declared: Revision = NEW) -> Snapshot:
    """Hosts with these revisions, and r2 is declared."""
    records = [
        record(f"duel/{n}", tenure=replace(tenure(n), revision=name))
        for n, name in enumerate(hosts)
    ]
    found = snapshot(*records)
    (stream,) = found.desired.streams
    return replace(
        found,
        desired=replace(found.desired, streams=(replace(stream, revision="r2"),)),
        world=replace(found.world, revisions={stream.name: (OLD, declared)}),
    )


# hosts, line
ROWS = [
    (seen("r1", "r1"), "still to come to 2 of 2 hosts, in place, one slot first"),
    (seen("r2", "r1", declared=DONE), "still to come to 1 of 2 hosts, in place, one by one"),
    (
        seen("r1", declared=OTHER_IMAGE),
        "still to come to 1 of 1 host, by handing over to other rentals, one slot first",
    ),
    (
        seen("r1", declared=BAD),
        "bad on duel/0: frames arrive, but it is always the same frame; r1 is kept",
    ),
    (seen("r2", declared=DONE), ""),
]


@pytest.mark.parametrize(("given", "line"), ROWS, ids=[row[1] or "done" for row in ROWS])
def test_a_deploy_is_told_until_it_is_everywhere(given: Snapshot, line: str) -> None:
    out = Console(file=StringIO(), width=300, color_system=None)
    for each in shown_deploys(deploys_of(given)):
        out.print(each)
    assert isinstance(out.file, StringIO)
    changed = "image" if "other rentals" in line else "prompt"
    said = f"deploy of duel: revision r2 (changed: {changed}) is {line}\n"
    assert out.file.getvalue() == (said if line else "")


def test_it_is_in_the_plan_and_with_its_stream_and_its_hosts() -> None:
    given = seen("r1")
    assert plan_of(given).deploys == deploys_of(given)
    (stream,) = status_of(given, NOW).streams
    assert stream.deploy == deploys_of(given)[0]
    host = stream.slots[0].host
    assert host is not None
    assert (host.revision, host.putting) == ("r1", "")


@pytest.mark.parametrize(("given", "line"), ROWS, ids=[row[1] or "done" for row in ROWS])
def test_the_page_tells_it_above_the_hosts_of_the_stream(given: Snapshot, line: str) -> None:
    page = render(status_of(given, NOW), ())
    told = f"<b>Deploy:</b> {escape(news_of(deploys_of(given)[0]))}."
    assert (told in page) is bool(line)
    assert page.count("<dt>Deploy</dt>") == len(given.records)
