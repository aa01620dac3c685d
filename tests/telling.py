"""Who is told of what, as values: for those that count it or show it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from keeper.core.model import SlotId
from keeper.ports import NoticeKind, OutboxRow
from keeper.ports.control import AlertNow, ChannelNow

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def alert_now(
    name: str = "KeeperStreamDark", slot: str = "duel/0", *, told: bool = True,
    severity: str = "critical", muted_by: str = "", silenced_by: str = "",
) -> AlertNow:  # fmt: skip
    return AlertNow(
        name=name, key=f"{name}:{slot}", severity=severity, slot=SlotId(slot),
        stream=slot.partition("/")[0], summary="", why="", did="", needs_human="",
        since=NOW, told_at=NOW if told else None, incident_id=f"i-{slot}", muted_by=muted_by,
        silenced_by=silenced_by,
    )  # fmt: skip


def waiting(channel: str = "slack", *, minutes: float = 5.0) -> OutboxRow:
    return OutboxRow(
        notice_id=f"n{minutes}", channel=channel, alert="KeeperStreamDark",
        kind=NoticeKind.FIRING, payload={}, created_at=NOW - timedelta(minutes=minutes),
    )  # fmt: skip


@dataclass
class Teller:
    """What is counted of those who tell."""

    holding: tuple[AlertNow, ...] = (alert_now(),)
    declared: tuple[ChannelNow, ...] = (
        ChannelNow(name="slack", kind="slack", pending=2, last_dropped_at=NOW),
        ChannelNow(name="am", kind="alertmanager", pending=0, is_taking=True),
    )
    rows: tuple[OutboxRow, ...] = field(default_factory=lambda: (waiting(), waiting(minutes=9.0)))

    def alerts(self) -> tuple[AlertNow, ...]:
        return self.holding

    def channels(self) -> tuple[ChannelNow, ...]:
        return self.declared

    def outbox(self) -> tuple[OutboxRow, ...]:
        return self.rows
