"""What the auditor may look at, and plain questions to it.

Everything here was written down by somebody other than keeper: the marketplace's ledger, the hosts'
own records, the moments at which the simulated disk took a label, the moments at which the
simulated box was killed. Times are epoch seconds of the marketplace's clock. It shares no code with
the core, the daemon or the adapters, or a mistake of theirs would be checked by itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import dropwhile
from math import inf
from typing import Any, TypeVar

from keeper.sim.ledger import NAMED, HostEntry, Ledger, Rental, Request
from keeper.sim.notices import Message, Notice, read_messages, read_notices

LISTING = ("GET", "/instances/")
EMPTY_LIST, STALE_LIST = "list_empty", "list_stale"  # notes of lists that were not true
LATE = "latency"  # note of an answer that came late, and was true when it was asked for
_BEAT_S = 30.0  # lists are asked for at least as often
_BELIEVABLE = ("", EMPTY_LIST, STALE_LIST, LATE)
BY_ID = ("GET", "/instances/{id}/")
CREATE = ("PUT", "/asks/{id}/")
DESTROY = ("DELETE", "/instances/{id}/")
SET_STATE = ("PUT", "/instances/{id}/")
REBOOT = ("PUT", "/instances/reboot/{id}/")
SEARCH = ("POST", "/bundles/")
ACCOUNT = ("GET", "/users/current/")
BID = "bid"  # what a rental's change of bid is called

# What the hosts write down about the picture, from the truth and not from a probe.
PICTURE_LIVE = "picture.live"
PICTURE_LOST = "picture.lost"
SOUND_LOST, MUTE_NO_MORE = (
    "sound.lost",
    "mute no more",
)  # between them a picture, and nothing but that
# A host began to send its stream, and ended; of streams whose ingest takes one publisher.
PUBLISHES, PUBLISHES_NO_MORE = "publishes", "publishes no more"
COMMAND = "command"
COMMAND_ENDED = "command.ended"
REMEDIES = ("deploy.", "restart.")  # what a command that repairs something is called
STARTED = "started"  # a workload, with the words of its deploy in the detail
AILS, AILS_NO_MORE = "ails", "ails no more"  # a workload: what it says of it, as in symptoms.py
SHOWN = "audition"  # what a host showed before it got the workload, and whose fault that is
PLEADS, MENDED = "pleads", "mended"  # its whole stream waits for a person, by the trouble's name
LINKED = "linked"  # over SSH, by somebody who takes the key in the detail for this host's

Span = tuple[float, float]

# Notes on a create's answer after which a caller cannot know whether it rents. A refusal in the 4xx
# range says clearly that it does not.
_CLEAR_REFUSALS = range(400, 500)


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One promise that was not kept, with when, which and why it matters."""

    invariant: str
    at: float
    text: str

    def sentence(self) -> str:
        """Say it in one line."""
        moment = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        return f"{self.invariant} at {moment}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What may be spent at most, in dollars; None: nobody has said."""

    per_hour: float | None = None
    per_day: float | None = None  # of UTC
    per_month: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareBounds:
    """How many spares a stream may have, for how much together, and for how long each."""

    count: int
    dollars_per_hour: float
    expire_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A rental that a slot took over from the place it was rented for, when the disk took that."""

    at: float
    label: str
    slot: str
    owners: int  # records that held it then


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The numbers that were promised, as the operator declared them."""

    restarts_max: int = 3
    restarts_window_s: float = 1800.0
    restarts_forgiven_s: float = 600.0
    workload_restarts_max: int = 1
    reboots_max: int = 1
    climb_window_s: float = 3600.0  # of the second and third rung
    replacements_max: int = 5
    replacements_window_s: float = 21_600.0
    replacements_apart_s: float = 120.0
    replacements_in_flight_max: int = 3  # of the account
    overlap_max_s: float = 3900.0  # a slow boot, a slow warm-up and the proof before the swap
    settle_s: float = 120.0  # an unanswered create is looked for this long
    absence_apart_s: float = 30.0
    answer_within_s: float = 30.0  # an answer is waited for so long
    abandoned_s: float = 1800.0  # a condemned rental hears of it again within this
    converge_s: float = 3600.0  # calm for this long, every stream is on air
    well_s: float = 120.0  # untroubled for this long, a rental is beyond suspicion
    outbid_patience_s: float = 1800.0  # an outbid host is bid for again, or given up, within this
    dear_patience_s: float = 7200.0  # a host that has become too dear is left within this
    drift_ratio: float = 1.25  # a contract may cost so many times its offer
    ending_s: float = 10_800.0  # a contract that ends sooner is replaced ahead of time
    recycle_after_s: float | None = None  # a host that has served so long is replaced
    spares: Mapping[str, SpareBounds] = field(default_factory=dict)  # by stream
    one_publisher: frozenset[str] = frozenset()  # streams whose ingest takes no second one
    publishers_s: float = (
        5.0  # two of them may be there for so long: one ends while the other begins
    )
    ending_notice_s: float = 3600.0  # an end known so long ahead is no surprise
    # what one host may cost, by stream, disk included
    price_max_dollars_per_hour: Mapping[str, float] = field(default_factory=dict)
    # How much more than the floor is bid, of the streams that bid; and which do nothing else.
    bid_margins: Mapping[str, float] = field(default_factory=dict)
    bids_only: frozenset[str] = frozenset()
    spacing_s: Mapping[tuple[str, str], float] = field(default_factory=dict)
    caps: Mapping[str, Caps] = field(default_factory=dict)  # by stream; "": all streams together
    quarantine_s: float = 21_600.0  # the first time; later ones are longer
    proof_s: float = 50.0  # six good looks in a row, ten seconds apart
    mass_failure_ratio: float = 0.2
    mass_failure_trial_s: float = 900.0
    confirmed_s: float = 600.0  # in calm weather a condemned rental has ended within this
    told_s: float = 600.0  # a stream that is dark for longer is told of
    repeat_s: float = 14_400.0  # what still holds is told again
    resent_s: float = 7200.0  # a message that was refused arrives within this
    order_s: float = 3600.0  # what is done so long after an operator's order may be because of it
    dark_s: float = 2700.0  # a stream comes back within this, hands untied
    boot_s: float = 1800.0  # at most so long does a host take that comes to nothing
    dark_dollars_max: float = 5.0  # what a stream may cost in the dark until a person is waited for
    audition_max_s: float = 600.0  # a fresh host that fails gets so long to come right
    audition_max_dollars: float = 0.5  # and may have cost so much, if it fails still
    answer_s: float = 12_900.0  # who is told so has answered within this
    silence_s: float = 180.0  # a keeper that runs asks for its rentals at least so often


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What an operator declared for a stream, by a word that its hosts write down."""

    at: float
    stream: str
    word: str
    is_bad: bool  # it fails on every host


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One run, as seen from outside."""

    ledger: Ledger
    slot_of: Callable[[str], str | None]  # a label of ours names its slot; None: not ours
    desired: Mapping[str, int]  # replicas by stream
    began_at: float
    calm_at: float  # no fault is active from here on
    ended_at: float
    bounds: Bounds = field(default_factory=Bounds)
    labels_written: tuple[tuple[float, str], ...] = ()
    labels_closed: tuple[tuple[float, str], ...] = ()  # when the disk took what became of a create
    moves: tuple[Move, ...] = ()
    paused: tuple[tuple[float, float], ...] = ()
    # By stream, when windows or its mode let keeper only watch, or only repair what it has.
    observed: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    unreplaced: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    # Of these, when it was by its mode: then not even a cap ends its hosts. A window does not stop that.
    watched: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    killed_at: tuple[float, ...] = ()  # moments at which keeper's process was killed
    unhandled: tuple[tuple[float, str], ...] = ()  # errors that nobody in keeper took
    blind: tuple[tuple[float, float], ...] = ()  # keeper's own network was down
    # The world has promised that the list of rentals stays as it is, so nobody need ask for it.
    vouched: tuple[Span, ...] = ()
    clock_steps: tuple[tuple[float, float], ...] = ()  # of keeper's wall clock: when, by how much
    journals: tuple[bytes, ...] = ()  # of the same seed, each time it was run
    # What an operator ordered, when and for which slot; None: nobody has kept it, so it may be
    # anything.
    ordered: tuple[tuple[float, str], ...] | None = None
    # What he asked not to be told of any more, when and by the alert's key.
    silenced: tuple[tuple[float, str], ...] = ()
    deploys: tuple[Deployed, ...] = ()  # in order
    # What reached a channel of the operator's; None: nobody has kept it.
    messages: tuple[tuple[float, bytes], ...] | None = None
    refused: tuple[tuple[float, bytes], ...] = ()  # what the channel would not take then
    secrets: Mapping[str, str] = field(
        default_factory=dict
    )  # by value: of which stream; "": none's
    texts: Mapping[str, str] = field(default_factory=dict)  # what keeper wrote, by what it is

    @property
    def slots(self) -> tuple[str, ...]:
        """Every slot that ought to be filled."""
        return tuple(
            f"{stream}/{replica}"
            for stream, replicas in self.desired.items()
            for replica in range(replicas)
        )

    @cached_property
    def rentals(self) -> Mapping[str, tuple[Rental, ...]]:
        """Our rentals by slot, in the order in which they began."""
        found: dict[str, list[Rental]] = {}
        for rental in sorted(self.ledger.rentals.values(), key=lambda each: each.created_at):
            slot, move = self.slot_of(rental.label), self._moved.get(rental.label)
            if slot is None:
                continue
            is_over = (
                rental.ended_at is not None and move is not None and rental.ended_at <= move.at
            )
            if move is None or is_over:
                found.setdefault(slot, []).append(rental)
                continue
            # A spare that took over: until then it was of its own place, from then on of the slot.
            found.setdefault(slot, []).append(replace(rental, ended_at=move.at))
            found.setdefault(move.slot, []).append(replace(rental, created_at=move.at))
        return {
            slot: tuple(sorted(rentals, key=lambda each: each.created_at))
            for slot, rentals in found.items()
        }

    @cached_property
    def _moved(self) -> Mapping[str, Move]:
        return {move.label: move for move in self.moves}

    def may_have_spare(self, place: str) -> bool:
        """Whether a stream keeps a spare in this place."""
        stream, _, number = place.rpartition("/")
        bounds = self.bounds.spares.get(stream)
        return bounds is not None and number in {f"spare-{each}" for each in range(bounds.count)}

    def has_left(self, rental: Rental) -> bool:
        """Whether a rental, as it is listed for a spare's place, has only gone over to a slot."""
        move = self._moved.get(rental.label)
        return move is not None and rental.ended_at == move.at

    def has_moved(self, rental: Rental) -> bool:
        """Whether a rental, as it is listed for a slot, is one that took over there."""
        move = self._moved.get(rental.label)
        return move is not None and rental.created_at == move.at

    @cached_property
    def ours(self) -> tuple[Rental, ...]:
        """All our rentals, in the order in which they began; each once, whatever it served."""
        every = sorted(self.ledger.rentals.values(), key=lambda each: each.created_at)
        return tuple(rental for rental in every if self.slot_of(rental.label) is not None)

    @cached_property
    def calls(self) -> Mapping[tuple[str, str], tuple[Request, ...]]:
        """Every call that arrived, by method and endpoint."""
        found: dict[tuple[str, str], list[Request]] = {}
        for request in self.ledger.requests:
            found.setdefault((request.method, request.endpoint), []).append(request)
        return {call: tuple(requests) for call, requests in found.items()}

    @cached_property
    def mutations(self) -> tuple[Request, ...]:
        """Every call that arrived and changes something."""
        return tuple(r for r in self.ledger.requests if r.is_mutating)

    @property
    def creates(self) -> tuple[Request, ...]:
        """Every create that arrived."""
        return self.calls.get(CREATE, ())

    @cached_property
    def clean_listings(self) -> tuple[float, ...]:
        """When a whole listing was truly answered, or need not be asked for because it was vouched for.

        Of a list that was promised to stay as it is, keeper takes each beat as read: here the first and
        the last of them stand for all.
        """
        asked = [r.at for r in self.calls.get(LISTING, ()) if r.status == 200 and not r.note]
        vouched = [
            at
            for since, until in self.vouched
            if until - since >= _BEAT_S
            for at in (since + _BEAT_S, until - _BEAT_S)
        ]
        return tuple(sorted((*asked, *vouched)))

    def listings_without(self, ended_at: float, until: float) -> list[Span]:
        """Return from when to when whole lists were read that said nothing false of what had ended by then.

        Nothing tells one that is empty, or told again, from a true one; what lives is saved by the
        answer by its id. One told again is as old as the true one before it, at most. One that came late
        is as true, if somebody still waited for it.
        """
        told = [
            r
            for r in self.calls.get(LISTING, ())
            if ended_at < r.at
            and r.at + r.late_s < until
            and r.late_s < self.bounds.answer_within_s
            if r.status == 200 and r.note in _BELIEVABLE
        ]
        return [(r.at, r.at + r.late_s) for r in dropwhile(lambda r: r.note == STALE_LIST, told)]

    def clean_between(self, since: float, until: float, call: tuple[str, str]) -> list[float]:
        """Return when a call of this kind was truly answered in a stretch of time."""
        return [
            r.at
            for r in self.calls.get(call, ())
            if since <= r.at <= until and r.status == 200 and not r.note
        ]

    @cached_property
    def notices(self) -> tuple[Notice, ...]:
        """What the operator was told, in the order of arrival, each message once."""
        return read_notices(self.messages or ())

    @cached_property
    def told_messages(self) -> tuple[Message, ...]:
        """The messages by which the operator was told so, each once."""
        return read_messages(self.messages or ())

    @cached_property
    def penniless(self) -> tuple[tuple[float, float], ...]:
        """Return the stretches in which the account had no credit."""
        found: list[tuple[float, float]] = []
        since: float | None = None
        for at, is_empty in self.ledger.credit:
            if is_empty and since is None:
                since = at
            elif not is_empty and since is not None:
                found.append((since, at))
                since = None
        return (*found, (since, self.ended_at)) if since is not None else tuple(found)

    @cached_property
    def bad_listings(self) -> tuple[float, ...]:
        """When a listing was failed, empty, partial or otherwise a lie."""
        return tuple(r.at for r in self.calls.get(LISTING, ()) if r.status != 200 or r.note)

    @cached_property
    def deeds(self) -> Mapping[int, tuple[HostEntry, ...]]:
        """What each host wrote down, in order."""
        found: dict[int, list[HostEntry]] = {}
        for entry in self.ledger.hosts:
            found.setdefault(entry.instance_id, []).append(entry)
        return {instance_id: tuple(entries) for instance_id, entries in found.items()}

    @cached_property
    def condemned_at(self) -> Mapping[int, float]:
        """When a rental's destroy was first asked for."""
        found: dict[int, float] = {}
        for request in self.calls.get(DESTROY, ()):
            if request.instance_id is not None:
                found.setdefault(request.instance_id, request.at)
        return found

    def slot_of_instance(self, instance_id: int | None, at: float = inf) -> str | None:
        """Return the slot a rental was in at a time; None when it is not ours or unknown."""
        rental = self.ledger.rentals.get(instance_id) if instance_id is not None else None
        if rental is None:
            return None
        move = self._moved.get(rental.label)
        return move.slot if move is not None and move.at <= at else self.slot_of(rental.label)

    def stream_of_request(self, request: Request) -> str:
        """Return the stream that a call is about; "" when it is not about ours."""
        slot = self.slot_of_instance(request.instance_id) or self.slot_of(request.label)
        return (slot or "").rpartition("/")[0]

    def on_air(self, instance_id: int) -> tuple[tuple[float, float], ...]:
        """Return the stretches in which a viewer of this rental really saw the picture."""
        return self._on_air.get(instance_id, ())

    @cached_property
    def _on_air(self) -> Mapping[int, tuple[tuple[float, float], ...]]:
        return {
            instance_id: tuple(self._stretches(instance_id, entries))
            for instance_id, entries in self.deeds.items()
        }

    def _stretches(
        self,
        instance_id: int,
        entries: tuple[HostEntry, ...],
        begins: str = PICTURE_LIVE,
        ends: str = PICTURE_LOST,
    ) -> Iterator[tuple[float, float]]:
        since: float | None = None
        for entry in entries:
            if entry.what == begins and since is None:
                since = entry.at
            elif entry.what == ends and since is not None:
                yield since, entry.at
                since = None
        if since is not None:
            rental = self.ledger.rentals.get(instance_id)
            end = rental.ended_at if rental is not None else None
            yield since, end if end is not None else self.ended_at

    def mute(self, instance_id: int) -> tuple[Span, ...]:
        """Return the stretches in which a viewer of this rental saw the picture and heard nothing."""
        return tuple(
            self._stretches(instance_id, self.deeds.get(instance_id, ()), SOUND_LOST, MUTE_NO_MORE)
        )

    def slot_on_air(self, slot: str) -> tuple[tuple[float, float], ...]:
        """Return the stretches in which a slot was on air by any of its rentals, merged."""
        spans = sorted(
            (max(start, rental.created_at), end)
            for rental in self.rentals.get(slot, ())
            for start, end in self.on_air(rental.instance_id)
            if end > rental.created_at
        )
        merged: list[tuple[float, float]] = []
        for start, end in spans:
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return tuple(merged)

    def dark_s(self, slot: str) -> float:
        """Return how long a slot was dark after it had been on air for the first time."""
        spans = self.slot_on_air(slot)
        if not spans:
            return self.ended_at - self.began_at
        lit_s = sum(end - start for start, end in spans)
        return max(0.0, self.ended_at - spans[0][0] - lit_s)

    def dark(self, slot: str) -> tuple[Span, ...]:
        """Return the stretches in which nobody saw a slot, from the beginning of the run on."""
        edges = [self.began_at, *(at for span in self.slot_on_air(slot) for at in span)]
        edges.append(self.ended_at)
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return tuple((lost_at, again_at) for lost_at, again_at in pairs if again_at > lost_at)

    def end_of_use(self, rental: Rental) -> float:
        """Return when a rental stopped being in use: its destroy was asked for, or it ended."""
        ends = self.ended_at if rental.ended_at is None else rental.ended_at
        return min(ends, self.condemned_at.get(rental.instance_id, ends))

    def was_used(self, instance_id: int, at: float | None = None) -> bool:
        """Whether keeper had put something onto a host by then."""
        return any(
            entry.what == COMMAND and (at is None or entry.at < at)
            for entry in self.deeds.get(instance_id, ())
        )

    def was_well(self, instance_id: int, at: float) -> bool:
        """Whether nothing at all had befallen a rental for long, and its viewers were watching."""
        since = at - self.bounds.well_s
        if not any(start <= since and end >= at for start, end in self.on_air(instance_id)):
            return False
        rental = self.ledger.rentals[instance_id]
        return not any(since <= change.at < at for change in rental.changes) and not any(
            since <= entry.at < at and entry.what != LINKED
            for entry in self.deeds.get(instance_id, ())
        )

    def is_leftover(self, rental: Rental) -> bool:
        """Whether a create was refused, and left a contract all the same that was never of use."""
        return rental.label in self._refused_labels and not self.was_used(rental.instance_id)

    @cached_property
    def _refused_labels(self) -> frozenset[str]:
        return frozenset(c.label for c in self.creates if c.status >= _CLEAR_REFUSALS.start)

    def expected_to_move(self, rental: Rental, at: float) -> bool:
        """Whether the terms of a rental, as its reads tell them, are a reason to look for another."""
        return self.must_move(rental, at) or self._has_served_its_time(rental, at)

    def must_move(self, rental: Rental, at: float) -> bool:
        """Whether these terms are a reason that does not wait."""
        # By which clock that is sooner: a keeper that is behind has the marketplace's.
        left_s = self.bounds.ending_s + max(0.0, self.clock_ahead_s(at))
        ends_soon = rental.ends_at is not None and rental.ends_at - at <= left_s
        return ends_soon or self.is_dear(rental, at)

    def _has_served_its_time(self, rental: Rental, at: float) -> bool:
        """Whether a host has been on air for so long that it is recycled."""
        after_s, spans = self.bounds.recycle_after_s, self.on_air(rental.instance_id)
        if after_s is None or not spans:
            return False
        began_at = spans[0][0]
        stepped_s = self.clock_ahead_s(at) - self.clock_ahead_s(began_at)
        return at - began_at + stepped_s >= after_s

    def is_dear(self, rental: Rental, at: float) -> bool:
        """Whether a rental costs more by now than its stream may pay for a host."""
        changes = [c for c in rental.changes if c.at <= at]
        slot = self.slot_of(rental.label) or ""
        limit = self.bounds.price_max_dollars_per_hour.get(slot.rpartition("/")[0])
        return bool(changes) and limit is not None and changes[-1].dollars_per_hour > limit

    def clock_ahead_s(self, at: float) -> float:
        """Return how far keeper's wall clock was ahead of the marketplace's; below zero, behind."""
        return sum(step_s for stepped_at, step_s in self.clock_steps if stepped_at <= at)

    def was_ordered(self, slot: str | None, at: float) -> bool:
        """Whether an operator may have asked for what was done for a slot then."""
        return self.ordered is None or any(
            slot == about and 0.0 <= at - ordered_at <= self.bounds.order_s
            for ordered_at, about in self.ordered
        )

    def remembered(self, name: str, found: Callable[..., T], *about: object) -> T:
        """Return what ``found(self, *about)`` says, worked out once under this name."""
        if name not in self._found:
            self._found[name] = found(self, *about)
        value: T = self._found[name]
        return value

    @cached_property
    def _found(self) -> dict[str, Any]:
        return {}

    def is_unclear(self, create: Request, *, by: float = inf) -> bool:
        """Whether the caller of this create could not know if it rents.

        ``by``: when a caller sent the next one; who was killed only then had lived to hear of this.
        """
        for moment in self.killed_at:
            is_amid = 0.0 <= moment - create.at <= 5.0 and moment < by
            if is_amid and not self._was_heard(create, moment):
                return True
        if create.note == NAMED:
            return False  # what is left behind is told with the refusal
        if create.status in _CLEAR_REFUSALS:
            return self._made(create)
        return create.status != 200 or bool(create.note)

    def _was_heard(self, create: Request, killed_at: float) -> bool:
        """Whether a create was refused, and the disk had that before its caller was killed."""
        is_refusal = create.status in _CLEAR_REFUSALS and create.note in {"", NAMED}
        return is_refusal and any(
            label == create.label and create.at < at <= killed_at
            for at, label in self.labels_closed
        )

    def may_have_made(self, create: Request) -> bool:
        """Whether the caller of this create could think that it rents."""
        return create.status not in _CLEAR_REFUSALS or self._made(create)

    def _made(self, create: Request) -> bool:
        """Whether a rental came of it, whatever the answer said."""
        return any(
            rental.label == create.label and abs(rental.created_at - create.at) < 60.0
            for rental in self.ledger.rentals.values()
        )


def between(moments: tuple[float, ...], after: float, until: float) -> tuple[float, ...]:
    """Return the moments strictly between two, of sorted ones."""
    return moments[bisect_right(moments, after) : bisect_left(moments, until)]
