"""A run in the making, for the auditor: blameless at first, and then doctored."""

from __future__ import annotations

import json
from collections.abc import Mapping

from keeper.sim.evidence import (
    MUTE_NO_MORE,
    PICTURE_LIVE,
    PICTURE_LOST,
    SOUND_LOST,
    Bounds,
    Caps,
    Evidence,
)
from keeper.sim.ledger import Change, HostEntry, Ledger, Rental, Request

BEGAN = 1_767_571_200.0
DAY = 86_400.0
SLOT = "duel/0"


def slot_of(label: str) -> str | None:
    """Labels of this file: k:STREAM/REPLICA:ATTEMPT."""
    prefix, _, rest = label.partition(":")
    return rest.partition(":")[0] if prefix == "k" else None


class Run:
    """A run in the making, by default a blameless one: one rental, on air from minute five."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.labels: list[tuple[float, str]] = []
        self.messages: list[tuple[float, bytes]] = []
        self.rent(100, "k:duel/0:1", at=10.0)
        self.picture(100, 300.0)
        for minute in range(0, 24 * 60, 2):
            self.list_(minute * 60.0)

    def rent(
        self,
        instance_id: int,
        label: str,
        at: float,
        *,
        status: int = 200,
        note: str = "",
        made: bool = True,
        written: bool = True,
        dollars: float = 0.5,
        offered: float = 0.5,
        is_bid: bool = False,
        machine_id: int = 0,
        host_id: int = 0,
        client: str = "key@127.0.0.1",
    ) -> None:
        if written:
            self.labels.append((BEGAN + at - 0.1, label))
        self.request(
            "PUT",
            "/asks/{id}/",
            at,
            label=label,
            status=status,
            note=note,
            client=client,
        )
        if made:
            self.ledger.begin(
                Rental(
                    instance_id=instance_id,
                    label=label,
                    machine_id=machine_id or 7000 + instance_id,
                    host_id=host_id or 9000 + instance_id,
                    created_at=BEGAN + at,
                    dollars_per_hour=dollars,
                    offered_dollars_per_hour=offered,
                    is_bid=is_bid,
                )
            )
            self.change(instance_id, at, "created", dollars=dollars)

    def change(
        self,
        instance_id: int,
        at: float,
        what: str,
        by: str = "account",
        *,
        dollars: float = 0.5,
    ) -> None:
        change = Change(at=BEGAN + at, what=what, by=by, dollars=0.0, dollars_per_hour=dollars)
        self.ledger.change(instance_id, change)

    def bill(self, instance_id: int, at: float, dollars: float) -> None:
        """Write down what a rental has cost until then."""
        change = Change(at=BEGAN + at, what="billed", by="market", dollars=dollars)
        self.ledger.change(instance_id, change)

    def request(
        self,
        method: str,
        endpoint: str,
        at: float,
        *,
        instance_id: int | None = None,
        label: str = "",
        state: str = "",
        status: int = 200,
        note: str = "",
        late_s: float = 0.0,
        client: str = "key@127.0.0.1",
    ) -> None:
        self.ledger.request(
            Request(
                at=BEGAN + at,
                method=method,
                endpoint=endpoint,
                path=endpoint.replace("{id}", str(instance_id)),
                identity=client,
                status=status,
                is_mutating=method != "GET",
                instance_id=instance_id,
                label=label,
                state=state,
                note=note,
                late_s=late_s,
            )
        )

    def order(
        self, instance_id: int, at: float, state: str, *, status: int = 200, note: str = ""
    ) -> None:
        """Tell a rental to stop, or to start."""
        self.request(
            "PUT", "/instances/{id}/", at,
            instance_id=instance_id, state=state, status=status, note=note,
        )  # fmt: skip

    def list_(self, at: float, *, status: int = 200, note: str = "", late_s: float = 0.0) -> None:
        self.request("GET", "/instances/", at, status=status, note=note, late_s=late_s)

    def destroy(
        self,
        instance_id: int,
        at: float,
        *,
        ends: bool = True,
        is_confirmed: bool = True,
    ) -> None:
        self.request("DELETE", "/instances/{id}/", at, instance_id=instance_id)
        if ends:
            self.end(instance_id, at)
        if ends and is_confirmed:
            self.request("GET", "/instances/{id}/", at + 40.0, instance_id=instance_id)

    def end(
        self, instance_id: int, at: float, by: str = "account", *, dollars: float = 1.0
    ) -> None:
        change = Change(at=BEGAN + at, what="destroyed", by=by, dollars=dollars)
        self.ledger.change(instance_id, change, is_end=True)

    def tell(
        self,
        at: float,
        kind: str = "firing",
        key: str = f"KeeperStreamDark:{SLOT}",
        *,
        notice_id: str = "",
        more: str = "",
        slot: str = "",
        incident_id: str = "",
        severity: str = "warning",
        is_page: bool = False,
    ) -> bytes:
        """Let a message about one alert arrive; returns its body."""
        name, _, about = key.partition(":")
        alert = {
            "name": name, "key": key, "slot": slot or about or None, "why": more, "severity": severity,
        }  # fmt: skip
        status = {"firing": "new", "update": "worse", "repeat": "holds", "resolved": "over"}[kind]
        data = {
            "notice_id": notice_id or f"{kind} {key} {at}", "kind": kind, "alert": alert,
            "incident_id": incident_id, "is_page": is_page,
            "lines": [{"alert": alert, "status": status}],
        }  # fmt: skip
        body = json.dumps({"data": data}).encode()
        self.messages.append((BEGAN + at, body))
        return body

    def host(self, instance_id: int, at: float, what: str, detail: str = "") -> None:
        entry = HostEntry(at=BEGAN + at, instance_id=instance_id, what=what, detail=detail)
        self.ledger.host(entry)

    def silence(self, instance_id: int, at: float, *, begins: bool = True) -> None:
        """Let a viewer miss the sound of a picture from then on, or no longer."""
        self.host(instance_id, at, SOUND_LOST if begins else MUTE_NO_MORE)

    def picture(self, instance_id: int, at: float, *, live: bool = True) -> None:
        self.host(instance_id, at, PICTURE_LIVE if live else PICTURE_LOST)

    def command(self, instance_id: int, at: float, name: str, *, lasts_s: float = 1.0) -> None:
        self.host(instance_id, at, "command", name)
        self.host(instance_id, at + lasts_s, "command.ended", name)

    def evidence(self, caps: Mapping[str, Caps] | None = None) -> Evidence:
        self.ledger.requests.sort(key=lambda request: request.at)
        self.ledger.hosts.sort(key=lambda entry: entry.at)
        return Evidence(
            ledger=self.ledger,
            slot_of=slot_of,
            desired={"duel": 1},
            began_at=BEGAN,
            calm_at=BEGAN + DAY - 10_000,
            ended_at=BEGAN + DAY,
            labels_written=tuple(self.labels),
            messages=tuple(self.messages),
            ordered=(),
            bounds=Bounds(price_max_dollars_per_hour={"duel": 1.0}, caps=caps or {}),
        )
