"""Checks of the promises about deploys: a bad one goes to one host and no further, a good one to all.

Each yields what is ``Broken`` in the ``Evidence``. No code is shared with what is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import inf

from keeper.sim.evidence import COMMAND, COMMAND_ENDED, STARTED, Broken, Deployed, Evidence
from keeper.sim.ledger import Rental

_LIVES = ("created", "running", "rebooting", "readdressed", "destroyed")
_AROUND_S = 1800.0  # what befalls a host so near to a start may be why it is given up
_WARM_UP_S = 300.0  # for so long what was started is not judged
_DEPLOY_START, _PROOF = "deploy.start", "verify.process"  # the last commands of a deploy
_BOOTED = "booted"  # nothing runs that ran before
_WRITTEN_S = 1.0  # so soon after the last answer keeper has it on disk that a deploy is done
_SURE_S = 1200.0  # on air for so long, a deploy has shown that it works
_ARRIVES_S = 10_800.0  # so long after the calm a deploy is on the first host
_PUT_S = 300.0  # a deploy is put on a host, and has warmed up
_EACH_S = 3600.0  # and so much later on each other one


def a_bad_deploy_stays_where_it_was_tried(seen: Evidence) -> Iterator[Broken]:
    """While something else is known to work, what fails is started on one host: one slot, one loss."""
    for number, each in enumerate(seen.deploys):
        if not each.is_bad or not _worked_before(seen, seen.deploys[:number], each):
            continue
        hosts = [
            (at, instance_id)
            for at, instance_id in _starts_of(seen, each)
            if not _was_struck(seen, instance_id, at)
            and not _ended_unjudged(seen, instance_id, at)
            and not _came_in_the_dark(seen, instance_id, at)
        ]
        for at, instance_id in hosts[1:]:
            yield Broken(
                invariant="I13",
                at=at,
                text=f"{each.word!r} of {each.stream} was started on {instance_id}, and had failed"
                f" on {hosts[0][1]} already",
            )


def what_is_declared_arrives(seen: Evidence) -> Iterator[Broken]:
    """In the end every host of a stream runs what was declared last."""
    last = {each.stream: each for each in seen.deploys}
    for stream, each in last.items():
        replicas = seen.desired.get(stream, 0)
        deadline = max(each.at, seen.calm_at) + _ARRIVES_S + _EACH_S * replicas
        spans = (*seen.observed.get(stream, ()), *seen.unreplaced.get(stream, ()))
        is_tied = any(ends > seen.calm_at for _, ends in spans)
        if each.is_bad or seen.ended_at < deadline or is_tied:
            continue
        for rental in seen.ours:
            slot = seen.slot_of(rental.label) or ""
            if slot.rpartition("/")[0] != stream or rental.ended_at is not None:
                continue
            words = _words_on(seen, rental.instance_id)
            if is_strange(seen, rental.instance_id):
                continue  # with another key nothing is put there, and a person decides (I23)
            if slot not in seen.slots and _nobody_can_prove(seen, each):
                continue  # a spare gets what has proven itself on a slot, and nothing before
            if words and each.word not in words[-1]:
                yield Broken(
                    invariant="I18",
                    at=deadline,
                    text=f"{slot} still runs {' '.join(words[-1])!r}, and {each.word!r} was declared"
                    f" at {each.at:.0f}",
                )


def hopeless(seen: Evidence, stream: str) -> Iterator[tuple[float, float]]:
    """Yield when a stream was to run what fails everywhere, and nothing was known to work."""
    of_stream = [(n, each) for n, each in enumerate(seen.deploys) if each.stream == stream]
    ends = [each.at for _, each in of_stream[1:]] + [seen.ended_at]
    for (number, each), until in zip(of_stream, ends, strict=False):
        if each.is_bad and not _worked_before(seen, seen.deploys[:number], each):
            yield each.at, until


def is_being_deployed(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether a host does not run what its stream should, so that something else is put there.

    Or whether nobody can know that it does: an exchange that broke off is done again.
    """
    slot = seen.slot_of_instance(instance_id) or ""
    declared = [d for d in seen.deploys if d.at <= at and d.stream == slot.rpartition("/")[0]]
    if not declared:
        return False
    words = _words_on(seen, instance_id, at)
    is_another = declared[-1].is_bad or not words or declared[-1].word not in words[-1]
    return is_another or _exchange_broke_off(seen, instance_id, at)


def _exchange_broke_off(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether keeper died in the deploy that a host runs, where something else had run until then.

    A part of each may be there, and no host can say. What a first deploy has started is looked at.
    """
    deeds = [entry for entry in seen.deeds.get(instance_id, ()) if entry.at < at]
    booted_at = max((e.at for e in deeds if e.what == _BOOTED), default=0.0)
    starts = [e for e in deeds if e.what == STARTED and e.at >= booted_at]
    if not any(each.detail != starts[-1].detail for each in starts):
        return False
    started_at = starts[-1].at
    orders = [e for e in deeds if e.what == COMMAND and e.at <= started_at]
    orders = [each for each in orders if each.detail.endswith(".start")]
    if not orders or orders[-1].detail != _DEPLOY_START:
        return False
    proofs = (e.at for e in deeds if e.what == COMMAND_ENDED and e.detail == _PROOF)
    proven_at = next((each for each in proofs if each > started_at), at)
    return any(orders[-1].at <= each <= proven_at + _WRITTEN_S for each in seen.killed_at)


def ended_with_a_bad_deploy(seen: Evidence, rental: Rental, at: float) -> bool:
    """Whether what was started last on a host, by then, fails everywhere: its machine need not be bad."""
    words = _words_on(seen, rental.instance_id, at)
    stream = (seen.slot_of(rental.label) or "").rpartition("/")[0]
    return bool(words) and any(
        each.is_bad and each.stream == stream and each.word in words[-1] for each in seen.deploys
    )


def _starts_of(seen: Evidence, deploy: Deployed) -> list[tuple[float, int]]:
    """Return the first start of a deploy on each host."""
    found: dict[int, float] = {}
    for entry in seen.ledger.hosts:
        if entry.what == STARTED and deploy.word in entry.detail.split("|"):
            found.setdefault(entry.instance_id, entry.at)
    return sorted((at, instance_id) for instance_id, at in found.items())


def _worked_before(seen: Evidence, before: tuple[Deployed, ...], bad: Deployed) -> bool:
    """Whether a host of the stream had been on air for long with the deploy before."""
    earlier = [each for each in before if each.stream == bad.stream]
    if earlier and earlier[-1].is_bad:
        return False  # which of those before it proved itself is keeper's to know
    since = earlier[-1].at if earlier else seen.began_at
    word = earlier[-1].word if earlier else ""
    return any(
        _was_on_air_with(seen, rental, word, since, bad.at)
        for rental in seen.ours
        if (seen.slot_of(rental.label) or "").rpartition("/")[0] == bad.stream
    )


def _was_on_air_with(seen: Evidence, host: Rental, word: str, since: float, until: float) -> bool:
    """Whether a host was on air for long with what had been started there in a stretch of time."""
    starts = [
        e.at
        for e in seen.deeds.get(host.instance_id, ())
        if e.what == STARTED and since <= e.at < until and word in e.detail
    ]
    spans = seen.on_air(host.instance_id)
    return any(
        min(end, until) - max(begin, start) >= _SURE_S for start in starts for begin, end in spans
    )


def _nobody_can_prove(seen: Evidence, deploy: Deployed) -> bool:
    """Whether each slot of a stream keeps a host with another key, and none had it on air before."""
    slots = [slot for slot in seen.slots if slot.rpartition("/")[0] == deploy.stream]
    hosts = [(slot, host) for slot in slots for host in seen.rentals.get(slot, ())]
    kept = [(slot, host) for slot, host in hosts if host.ended_at is None]
    if {slot for slot, _ in kept} != set(slots):
        return False
    return all(is_strange(seen, host.instance_id) for _, host in kept) and not any(
        _was_on_air_with(seen, host, deploy.word, deploy.at, _strange_at(seen, host.instance_id))
        for _, host in hosts
    )


def _was_struck(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether something else befell a host at about that time."""
    rental = seen.ledger.rentals[instance_id]
    around = (at - _AROUND_S, at + _AROUND_S)
    return any(
        around[0] <= entry.at <= around[1] and entry.what == "struck"
        for entry in seen.deeds.get(instance_id, ())
    ) or any(
        around[0] <= c.at <= around[1]
        and (c.what not in _LIVES or (c.what == "destroyed" and c.by != "account"))
        for c in rental.changes
    )


def _came_in_the_dark(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether viewers had seen nothing of a host for long, on which something else had run."""
    had_another = any(
        entry.what == STARTED and entry.at < at for entry in seen.deeds.get(instance_id, ())
    )
    was_lit = any(start < at and end >= at - _PUT_S / 2 for start, end in seen.on_air(instance_id))
    return had_another and not was_lit


def _ended_unjudged(seen: Evidence, instance_id: int, at: float) -> bool:
    """Whether a host was ended, as for a cap, while what had just been put there could still warm up."""
    return seen.end_of_use(seen.ledger.rentals[instance_id]) - at < _WARM_UP_S


def is_strange(seen: Evidence, instance_id: int) -> bool:
    """Whether a host shows another key by now: nobody who minds that hears what it says."""
    return _strange_at(seen, instance_id) < inf


def _strange_at(seen: Evidence, instance_id: int) -> float:
    """Return since when a host shows another key; if it does not, a moment that never comes."""
    return next(
        (
            entry.at
            for entry in seen.deeds.get(instance_id, ())
            if entry.what == "struck" and entry.detail == "host_key_changed"
        ),
        inf,
    )


def is_of_a_deploy(seen: Evidence, slot: str, lost_at: float, again_at: float) -> bool:
    """Whether a short darkness is that of a host which gets something else than it had."""
    if again_at - lost_at > _PUT_S:
        return False
    for rental in seen.rentals.get(slot, ()):
        starts = [e for e in seen.deeds.get(rental.instance_id, ()) if e.what == STARTED]
        if any(
            lost_at <= later.at <= again_at and later.detail != earlier.detail
            for earlier, later in pairwise(starts)
        ):
            return True
    return False


def _words_on(seen: Evidence, instance_id: int, until: float = float("inf")) -> list[list[str]]:
    """Return which deploys were started on a host, in order."""
    return [
        entry.detail.split("|")
        for entry in seen.deeds.get(instance_id, ())
        if entry.what == STARTED and entry.at <= until
    ]
