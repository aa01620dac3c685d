"""What a look as a player means: for the picture, and for what only a player can see.

A hung application stays in the server's list and offers nothing, a hung server accepts and says
nothing, a broken relay shows to no local look: each stage that was reached is told apart.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from keeper.core.model import InstanceId, Reading, Remedy, Rung, Status, Subject, Symptom
from keeper.core.reasons import Reason
from keeper.core.text import plain
from keeper.ports import PlayerSample, Reached
from keeper.probes.picture import Expected, read_picture

_TEXT_MAX = 200

# Rows of the catalogue that only a player can see.
RELAY_FAILED = "relay_failed"
SERVER_FULL = "server_full"
TWO_STREAMERS = "two_streamers"
OFFER_MISSING = "offer_missing"
NO_STREAMER = "no_streamer"


class ExpectedPlayer(Protocol):
    """What of a workload's PlayerView matters here."""

    @property
    def streamer_id(self) -> str:
        """The name that the application is to have; "": any."""
        ...

    @property
    def needs_relay(self) -> bool:
        """Whether players depend on the relay."""
        ...

    @property
    def start_s(self) -> float:
        """How long the application may take until it streams."""
        ...


def read_player(
    sample: PlayerSample, expected: Expected, instance_id: InstanceId, at: datetime
) -> Reading | None:
    """Judge what viewers see by one look; None: it says nothing new of the picture."""
    if sample.picture is not None and sample.reached is Reached.MEDIA and not sample.is_own_fault:
        if sample.has_left and sample.picture.frames == 0:
            return None
        return read_picture(sample.picture, expected, instance_id, at)
    judged = _judge(sample)
    if judged is None:
        return None
    status, reason, detail = judged
    return Reading(
        instance_id=instance_id,
        subject=Subject.PICTURE,
        status=status,
        reason=reason,
        at=at,
        detail=plain(detail, _TEXT_MAX),
    )


def _judge(sample: PlayerSample) -> tuple[Status, Reason, str] | None:
    if sample.is_own_fault:
        return Status.UNKNOWN, Reason.PROBE_FAILED, f"this box could not look: {sample.error}"
    match sample.reached:
        case Reached.NOWHERE:
            return Status.FALSE, Reason.UNREACHABLE, sample.error
        case Reached.CONNECTED:
            said = sample.error or "connected, and the signalling server says nothing"
            return Status.FALSE, Reason.NO_BYTES, said
        case Reached.GREETED:
            return Status.FALSE, Reason.NO_BYTES, "the signalling server does not say who streams"
        case Reached.LISTED:
            return _judge_listed(sample)
        case Reached.SUBSCRIBED:
            return _judge_subscribed(sample)
        case Reached.OFFERED | Reached.MEDIA:
            return _judge_offered(sample)


def _judge_listed(sample: PlayerSample) -> tuple[Status, Reason, str] | None:
    if sample.streamers:
        return (Status.UNKNOWN, Reason.PROBE_FAILED, sample.error) if sample.error else None
    return Status.FALSE, Reason.NO_BYTES, "no streamer is listed: the application is not there"


def _judge_subscribed(sample: PlayerSample) -> tuple[Status, Reason, str] | None:
    if sample.is_full or sample.has_left:
        return None
    said = sample.error or "listed, and offers nothing: the application hangs"
    return Status.FALSE, Reason.NO_BYTES, said


def _judge_offered(sample: PlayerSample) -> tuple[Status, Reason, str] | None:
    if sample.has_left:
        return None
    if sample.has_relay:
        # The relay gave a place, so packets go to and fro: what is missing is the application's.
        return Status.FALSE, Reason.NO_BYTES, "offered, and no media comes"
    said = sample.error or "offered, and no way for media was found from this box"
    return Status.UNKNOWN, Reason.PROBE_FAILED, said


def symptom_of(sample: PlayerSample, expected: ExpectedPlayer) -> Symptom | None:
    """Name the row of the catalogue that only a player can see; None: there is none."""
    if sample.is_own_fault:
        return None
    if sample.has_relay is False and expected.needs_relay:
        return Symptom(
            code=RELAY_FAILED,
            sentence="the relay gives no place to players; those behind NAT see nothing",
            remedy=Remedy.RESTART_PROCESS,
            spoils_view=True,
            dearest=Rung.RESTART_PROCESS,
            is_partial=True,
        )
    if sample.reached is Reached.LISTED and not sample.streamers:
        return Symptom(
            code=NO_STREAMER,
            sentence="no streamer is listed: the application is not there",
            remedy=Remedy.RESTART_PROCESS,
            wait_s=expected.start_s,
        )
    if sample.reached is Reached.SUBSCRIBED and not (sample.is_full or sample.has_left):
        return Symptom(
            code=OFFER_MISSING,
            sentence=f"{sample.watched} is listed and offers nothing: the application hangs",
            remedy=Remedy.RESTART_PROCESS,
        )
    if sample.is_full:
        return Symptom(
            code=SERVER_FULL,
            sentence="the server takes no more players; viewers watch, keeper does not",
            remedy=Remedy.NOTHING,
        )
    if len(sample.streamers) > 1 and expected.streamer_id:
        names = ", ".join(sample.streamers)
        return Symptom(
            code=TWO_STREAMERS,
            sentence=plain(f"more than one streamer stays listed: {names}", _TEXT_MAX),
            remedy=Remedy.PERSON,
            is_partial=True,
        )
    return None
