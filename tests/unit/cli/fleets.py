"""A fleet in every state that a terminal has to show."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from keeper.alerts import Severity
from keeper.core.model import Mode
from keeper.core.viewing import Verdict
from keeper.web.shapes import (
    AccountStatus,
    ActStatus,
    Because,
    CondemnedStatus,
    DecisionStatus,
    FleetStatus,
    HostStatus,
    MarketStatus,
    OrphanStatus,
    OthersStatus,
    PauseStatus,
    SlotStatus,
    StreamStatus,
)
from keeper.web.telling_shapes import AlertStatus
from keeper.web.tone import Tone

NOW = datetime(2026, 8, 1, 3, 0, tzinfo=UTC)


def ago(**words: float) -> datetime:
    return NOW - timedelta(**words)


def host(instance_id: int | None = 24_817_301, gpu_name: str = "RTX 4090") -> HostStatus:
    return HostStatus(
        instance_id=instance_id,
        label="keeper-0bb544d0-duel-0-3",
        machine_id=5511,
        host_id=77,
        gpu_name=gpu_name,
        geolocation="SE",
        public_ip="203.0.113.7",
        market_state="running",
        market_text="",
        dollars_per_hour=0.413,
        requested_at=ago(hours=4),
        rented_at=ago(hours=4),
        deployed_at=ago(hours=3, minutes=50),
        first_live_at=ago(hours=3, minutes=40),
        ends_at=None,
        gpu_ram_gb=24.564,
        disk_gb=120.0,
        gpu_dollars_per_hour=0.38,
        disk_dollars_per_hour=0.033,
        traffic_dollars_per_hour=0.05,
        running_at=ago(hours=3, minutes=58),
        spent_dollars=1.654,
    )


def decision(name: str = "wait", because: str = "all is well", **words: object) -> DecisionStatus:
    whole = DecisionStatus(
        slot="duel/0",
        decision=name,
        reason="healthy",
        because=because,
        wanted="",
        until=None,
        is_act=False,
        instance_id=None,
        label="",
        dollars_per_hour=0.0,
    )
    return replace(whole, **words)  # type: ignore[arg-type]


ON_AIR = SlotStatus(
    slot="duel/0",
    stream="duel",
    replica=0,
    phase="serving",
    tone=Tone.GOOD,
    state="On air",
    why="the viewer sees a moving picture",
    since=ago(hours=3, minutes=12),
    is_on_air=True,
    dark_since=None,
    dark_s=0.0,
    frames_per_s=29.7,
    verdict=Verdict.LIVE,
    dollars_per_hour=0.463,
    host=host(),
    incoming=None,
    conditions=(),
    incident=None,
    decision=decision(),
    last_act=ActStatus(
        decision="restart", reason="process_gone", because="the process is gone", at=ago(hours=2)
    ),
    next_check_at=NOW + timedelta(seconds=9),
    pause=None,
)
OUTBID = replace(
    ON_AIR,
    slot="duel/1",
    replica=1,
    phase="degraded",
    tone=Tone.BAD,
    state="Dark, outbid",
    why="somebody bids more for the machine, so the rental was interrupted",
    since=ago(seconds=40),
    is_on_air=False,
    dark_since=ago(seconds=40),
    host=replace(
        host(24_817_302),
        is_bid=True,
        outbid_since=ago(seconds=40),
        min_bid_dollars_per_hour=0.41,
    ),
    last_act=None,
)
ENDING = replace(
    ON_AIR,
    slot="duel/2",
    replica=2,
    tone=Tone.WARN,
    state="On air, contract ending",
    why="the rental's contract ends soon",
    host=replace(
        host(24_817_303),
        ending_since=ago(minutes=1),
        ends_at=NOW + timedelta(hours=2, minutes=40),
    ),
    incoming=replace(host(None), running_at=None, spent_dollars=0.0),
)
DARK = replace(
    ON_AIR,
    slot="sd/0",
    stream="sd",
    phase="degraded",
    tone=Tone.BAD,
    state="Dark, in repair",
    why="frames arrive, but it is always the same frame",
    since=ago(seconds=12),
    is_on_air=False,
    dark_since=ago(seconds=12),
    frames_per_s=0.0,
    verdict=Verdict.FROZEN,
    host=host(24_817_999, "RTX 6000 Ada Generation"),
    decision=decision("restart", is_act=True),
    last_act=None,
)
VACANT = replace(
    ON_AIR,
    slot="sd/1",
    stream="sd",
    replica=1,
    phase="vacant",
    tone=Tone.WARN,
    state="No suitable offer",
    why="no offer passes the filters",
    since=None,
    is_on_air=False,
    frames_per_s=None,
    verdict=None,
    dollars_per_hour=0.0,
    host=None,
    last_act=None,
    next_check_at=NOW + timedelta(seconds=118),
)
RENTING = replace(
    VACANT,
    slot="sd/2",
    replica=2,
    phase="renting",
    tone=Tone.WORK,
    state="Renting a host",
    why="the answer to a create was lost; looking for its label before anything else",
    since=ago(seconds=31),
    host=host(None),
)


def stream(name: str, *slots: SlotStatus) -> StreamStatus:
    return StreamStatus(
        stream=name,
        mode=Mode.ACT,
        replicas=len(slots),
        on_air=sum(slot.is_on_air for slot in slots),
        dollars_per_hour=sum(slot.dollars_per_hour for slot in slots),
        spend_max_dollars_per_hour=5.0,
        is_declared=True,
        slots=slots,
    )


WELL = FleetStatus(
    at=NOW,
    now=NOW,
    tick=7,
    tone=Tone.GOOD,
    sentence="The stream is on air.",
    doing="all is well",
    slots=1,
    on_air=1,
    dollars_per_hour=0.463,
    spend_max_dollars_per_hour=10.0,
    pause=None,
    fuses=(),
    market=MarketStatus(is_readable=True, listed_at=NOW, unreadable_since=None, error=""),
    alerts=(),
    streams=(stream("duel", ON_AIR),),
    condemned=(),
    orphans=(),
    account=AccountStatus(
        spendable_dollars=12.34,
        seen_at=ago(minutes=2),
        dollars_per_hour=0.463,
        runway_s=96_000.0,
        empty_at=NOW + timedelta(seconds=96_000),
    ),
)
SICK = replace(
    WELL,
    tone=Tone.BAD,
    sentence="1 of 4 on air; sd/0 dark; 2 on the way.",
    slots=4,
    dollars_per_hour=1.234,
    pause=PauseStatus(since=ago(hours=1), until=NOW, actor="local:ann", reason="moving house"),
    fuses=(Because(reason="mass_failure", because="too many slots are sick at once"),),
    market=MarketStatus(
        is_readable=False,
        listed_at=ago(minutes=4),
        unreadable_since=ago(minutes=4),
        error="HTTP 502 \x1b[2Jgateway",
    ),
    alerts=(
        AlertStatus(
            name="KeeperStreamDark",
            key="KeeperStreamDark:sd/0",
            severity=Severity.CRITICAL,
            slot="sd/0",
            summary="sd/0 is dark",
            why="frozen",
            did="",
            needs_human="look at the workload's log",
            since=ago(minutes=4),
            is_muted=False,
        ),
    ),
    streams=(stream("duel", ON_AIR), stream("sd", DARK, VACANT, RENTING)),
    condemned=(
        CondemnedStatus(
            instance_id=24_800_001,
            label="keeper-0bb544d0-sd-0-1",
            slot="sd/0",
            reason="market_says_dead",
            because="the marketplace reports the host as down",
            condemned_at=ago(minutes=2),
            tries=2,
            dollars_per_hour=0.3,
        ),
    ),
    orphans=(OrphanStatus(instance_id=1, label="keeper-x", dollars_per_hour=0.2),),
    others=OthersStatus(instance_ids=(5, 77), dollars_per_hour=0.8),
)
