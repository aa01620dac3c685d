"""In which order the messages for one channel go out, when it takes some of them amiss."""

from datetime import UTC, datetime, timedelta

from keeper.daemon.outbox import Tray
from keeper.ports import NoticeKind, OutboxRow

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _row(number: int, incident: str, *keys: str) -> OutboxRow:
    lines = [{"status": "new", "alert": {"key": key}} for key in keys]
    return OutboxRow(
        notice_id=str(number), channel="ops", alert=keys[0], kind=NoticeKind.UPDATE,
        payload={"incident_id": incident, "lines": lines},
        created_at=NOW + timedelta(seconds=number),
    )  # fmt: skip


def _refused(tray: Tray, row: OutboxRow) -> None:
    """The channel has answered this one amiss so often that it lets others pass."""
    tray.reached[row.notice_id] = 5
    tray.put(
        OutboxRow(
            notice_id=row.notice_id, channel=row.channel, alert=row.alert, kind=row.kind,
            payload=row.payload, created_at=row.created_at, attempts=5,
            next_try_at=NOW + timedelta(minutes=15),
        )
    )  # fmt: skip


def _next(tray: Tray) -> str:
    found = tray.next(NOW, 0.0)
    assert found is not None
    row, wait_s = found
    return row.notice_id if wait_s == 0.0 else ""


def test_a_message_nobody_can_digest_lets_others_pass() -> None:
    tray, bad = Tray(channel="ops"), _row(1, "a", "Dark:duel/0")
    for row in (bad, _row(2, "b", "Dark:paint/0")):
        tray.put(row)
    assert _next(tray) == "1"
    _refused(tray, bad)
    assert _next(tray) == "2"


def test_what_is_said_of_one_alert_keeps_its_order_in_whichever_incident() -> None:
    """A channel was down for long: the end of a darkness came after the beginning and the end of the next."""
    tray, bad = Tray(channel="ops"), _row(1, "a", "Dark:duel/0")
    for row in (bad, _row(2, "b", "Dark:duel/0", "Held:duel/1"), _row(3, "c", "Held:duel/1")):
        tray.put(row)
    _refused(tray, bad)
    assert _next(tray) == ""
    tray.put(_row(4, "d", "Dark:paint/0"))
    assert _next(tray) == "4"
