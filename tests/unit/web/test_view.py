"""What viewers saw of a slot, in the API's words."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from keeper.core.model import InstanceId, Reading, SlotId, Status
from keeper.core.reasons import Reason
from keeper.core.strip import NOTHING_SEEN, Strip, looked
from keeper.ports import Thumbnail
from keeper.web.status import slot_status, status_of
from keeper.web.view import NOBODY_LOOKS, view_status
from tests.snapshots import NOW, ago, dark, picture, record, snapshot, tenure

SLOT = SlotId("duel/0")
HOST = InstanceId(7001)
JPEG = b"\xff\xd8\xff\xe0"


@dataclass
class Looks:
    """Fulfils Looks."""

    strips: dict[SlotId, Strip] = field(default_factory=dict)
    pictures: dict[SlotId, Thumbnail] = field(default_factory=dict)

    def strip(self, slot: SlotId) -> Strip:
        return self.strips.get(slot, NOTHING_SEEN)

    def thumbnail(self, slot: SlotId) -> Thumbnail | None:
        return self.pictures.get(slot)


def look(at: datetime, reason: Reason = Reason.LIVE, number: int = 1) -> Reading:
    status = Status.TRUE if reason is Reason.LIVE else Status.FALSE
    return replace(picture(number), at=at, reason=reason, status=status)


def strip(*looks: Reading) -> Strip:
    seen = NOTHING_SEEN
    for each in looks:
        seen = looked(seen, each, 45.0)
    return seen


def test_a_slot_tells_its_verdict_since_when_and_what_was_measured() -> None:
    seen = strip(look(ago(seconds=30), Reason.FROZEN), look(ago(seconds=20)), look(ago(seconds=10)))
    pictures = {SLOT: Thumbnail(at=ago(seconds=10), jpeg=JPEG)}
    found = slot_status(snapshot(record()), SLOT, NOW, Looks({SLOT: seen}, pictures))
    assert found is not None
    assert found.view is not None
    assert (found.verdict, found.frames_per_s) == ("live", 29.7)
    assert (found.view.verdict, found.view.since) == ("live", ago(seconds=20))
    assert found.view.looked_at == ago(seconds=10)
    assert found.view.numbers == {"unique_frames_per_s": 29.7}
    assert [(run.verdict, run.since) for run in found.view.strip] == [
        ("frozen", ago(seconds=30)), ("live", ago(seconds=20)),
    ]  # fmt: skip
    assert (found.view.thumbnail, found.view.thumbnail_at) == ("/thumb/duel/0.jpg", ago(seconds=10))


def test_numbers_of_before_nobody_looked_say_nothing_of_now() -> None:
    view = view_status(SLOT, HOST, Looks({SLOT: strip(look(ago(minutes=5)))}), NOW, None)
    assert (view.verdict, view.since) == ("unknown", ago(minutes=4, seconds=15))
    assert (view.numbers, view.looked_at) == ({}, ago(minutes=5))


def test_without_a_host_nothing_is_seen_and_the_strip_says_since_when() -> None:
    view = view_status(SLOT, None, Looks({SLOT: strip(look(ago(minutes=5)))}), NOW, None)
    assert (view.verdict, view.looked_at, view.numbers) == (None, None, {})
    assert view.since == ago(minutes=4, seconds=50)


def test_what_is_no_jpeg_and_what_no_json_can_say_is_left_out() -> None:
    hostile = replace(look(ago(seconds=3)), numbers={"motion": float("nan"), "mean_luma": 9.0})
    looks = Looks({SLOT: strip(hostile)}, {SLOT: Thumbnail(at=NOW, jpeg=b"<html>")})
    view = view_status(SLOT, HOST, looks, NOW, None)
    assert (view.numbers, view.thumbnail, view.thumbnail_at) == ({"mean_luma": 9.0}, "", None)


def test_as_the_last_keeper_left_it_the_latest_look_is_all_there_is() -> None:
    view = view_status(SLOT, HOST, NOBODY_LOOKS, NOW, picture(1))
    assert (view.verdict, view.since, view.looked_at) == ("live", picture(1).at, picture(1).at)
    assert view_status(SLOT, HOST, NOBODY_LOOKS, NOW, None).verdict is None


def test_a_stream_tells_the_gravest_of_its_slots() -> None:
    looks = Looks(
        {
            SLOT: strip(look(ago(minutes=2)), look(ago(seconds=90)), look(ago(seconds=50)), look(ago(seconds=10))),
            SlotId("duel/1"): strip(
                look(ago(seconds=80), number=2),
                look(ago(seconds=60), Reason.BLACK, 2),
                look(ago(seconds=20), number=2),
            ),
        }
    )  # fmt: skip
    fleet = status_of(snapshot(record(), dark("duel/1", tenure=tenure(2))), NOW, looks)
    assert [(run.verdict, NOW - run.since) for run in fleet.streams[0].strip] == [
        ("live", timedelta(minutes=2)),
        ("black", timedelta(seconds=60)),
        ("live", timedelta(seconds=20)),
    ]
