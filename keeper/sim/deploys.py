"""What the simulated operator deploys: a prompt and an image for each stream, changed by a reload.

The words tell deploys apart: a host writes down which one it starts, and a flaw that is known by its
word makes that deploy fail on whatever host it is put.

Some things that befall a host look as if what runs there did them: a deploy on trial is taken back for
them, as it must be. The operator who reads of it and finds nothing wrong orders it once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import BaseModel

from keeper.core.model import SlotId, Stream, StreamName
from keeper.daemon.declared import Declared
from keeper.sim.ailing import made_to_ail
from keeper.sim.evidence import STARTED, Deployed
from keeper.sim.faults import FaultKind
from keeper.sim.ledger import HostEntry
from keeper.sim.notices import FIRING, RESOLVED, UPDATE, Notice, read_notices
from keeper.sim.stage import secret_of
from keeper.sim.universe import Universe
from keeper.sim.virtual_hosts import CURED_BY
from keeper.workloads import Workload, registered
from keeper.workloads.identity import Made, identify, make

_WORKLOAD = "sd-turbo"
_KEY = b"a key for marks in simulations"
# What befalls a host and is held against what is on trial there (docs/deploys.md): all but these. That a
# display is lost only who needs one can know, and what is deployed here needs none.
_NOT_ALIKE = {FaultKind.GPU_LOST, FaultKind.HOST_KEY_CHANGED}
_ALIKE = frozenset(
    kind.value for kind in (CURED_BY.keys() | {FaultKind.WORKLOAD_AILS}) - _NOT_ALIKE
)
_UNSEEN_S = 50.0  # to put something on a host takes 40 s, and the look before was up to 10 s old
_TRIAL_S = 1800.0  # a warm-up, and the time in which a deploy proves itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """What a stream is to run."""

    prompt: str = "cat"
    image: str = "vastai/pytorch:2.6.0-cuda-12.4.1-ipv2"


def with_deploys(declared: Declared, deploys: Mapping[str, Deploy]) -> Declared:
    """Return a declaration in which these streams run something else; the others have no names."""
    made = {name: _made(name, each) for name, each in deploys.items()}
    streams = tuple(
        _with(stream, *made[stream.name]) if stream.name in made else stream
        for stream in declared.desired.streams
    )

    def again(stream: StreamName, recipe: str) -> Made | None:
        made = make(recipe, _secrets(stream), key=_KEY)
        return None if made is None else replace(made, workload=made_to_ail(made.workload))

    return replace(
        declared,
        desired=replace(declared.desired, streams=streams),
        workloads={**declared.workloads, **{StreamName(n): w for n, (w, _) in made.items()}},
        remake=again,
    )


def _secrets(stream: str) -> dict[str, str]:
    return {"STREAM_KEY": secret_of(stream)}


def _made(stream: str, deploy: Deploy) -> tuple[Workload, Deploy]:
    workload = registered()[_WORKLOAD].build(_settings(deploy), _secrets(stream))
    return made_to_ail(workload), deploy


def _settings(deploy: Deploy) -> BaseModel:
    return registered()[_WORKLOAD].settings.model_validate(
        {
            "kind": _WORKLOAD,
            "generator": "test-card",
            "bind": "0.0.0.0",  # noqa: S104 - of a host that does not exist
            "target_frames_per_s": 10.0,
            "prompt": deploy.prompt,
            "image": deploy.image,
        }
    )


def _with(stream: Stream, workload: Workload, deploy: Deploy) -> Stream:
    rental = workload.rental()
    disk_gb = max(stream.needs.disk_gb, rental.disk_gb)
    identity = identify(_settings(deploy), _secrets(stream.name), disk_gb=disk_gb, key=_KEY)
    return replace(
        stream,
        rental=replace(rental, disk_gb=disk_gb),
        revision=identity.name,
        recipe=identity.recipe,
        parts=identity.parts,
        rental_mark=identity.rental_mark,
    )


def wrongly_blamed(
    told: Iterable[Deployed], entries: Iterable[HostEntry], notices: Iterable[Notice]
) -> tuple[str, ...]:
    """Return the streams whose good deploy is said to be bad for what befell its host on trial.

    A verdict without such a cause is nothing an operator would mend: it stays for the auditor.
    """
    last = {each.stream: each for each in told}
    news = tuple(notices)
    deeds = tuple(entries)
    return tuple(
        stream
        for stream, deploy in last.items()
        if not deploy.is_bad and (at := _said_bad_at(stream, news)) is not None
        if _was_struck_on_trial(deploy.word, at, deeds)
    )


def stopped_by_a_flaw(told: Iterable[Deployed], notices: Iterable[Notice]) -> tuple[str, ...]:
    """Return the streams for which keeper rents no more, as they cost too much dark with a bad deploy.

    Who has mended the deploy lets keeper go on. A stop for any other cause stays for the auditor.
    """
    flawed = {each.stream for each in told if each.is_bad}
    latest = {each.key: each.kind for each in notices}
    return tuple(
        stream
        for stream in sorted(flawed)
        if latest.get(f"KeeperDarkSpend:{stream}", RESOLVED) != RESOLVED
    )


def _said_bad_at(stream: str, notices: tuple[Notice, ...]) -> float | None:
    """Return since when the operator hears that a stream's deploy is bad; None: it is not."""
    about = [each for each in notices if each.key == f"KeeperDeployBad:{stream}"]
    if not about or about[-1].kind == RESOLVED:
        return None
    return next((each.at for each in reversed(about) if each.kind in {FIRING, UPDATE}), about[0].at)


def _was_struck_on_trial(word: str, until: float, deeds: tuple[HostEntry, ...]) -> bool:
    began: dict[int, float] = {}
    for deed in deeds:
        if deed.what == STARTED and word in deed.detail.split("|"):
            began.setdefault(deed.instance_id, deed.at)
    return any(
        deed.what == "struck"
        and deed.detail in _ALIKE
        and deed.instance_id in began
        and began[deed.instance_id] - _UNSEEN_S <= deed.at
        and deed.at <= min(until, began[deed.instance_id] + _TRIAL_S)
        for deed in deeds
    )


class Releases:
    """What the operator has each stream run, and a note of each change for the auditor."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._now: dict[str, Deploy] = {}
        self._streams: tuple[str, ...] = ()
        self._slots: dict[str, tuple[SlotId, ...]] = {}
        self.told: list[Deployed] = []
        universe.hosts.flaws[Deploy().prompt] = ""

    def declare(self, declared: Declared) -> Declared:
        """Return a declaration in which every stream runs what it is to run now."""
        self._streams = tuple(stream.name for stream in declared.desired.streams)
        self._slots = {stream.name: stream.slots for stream in declared.desired.streams}
        return with_deploys(declared, {n: self._now.get(n, Deploy()) for n in self._streams})

    def release(self, number: int, flaw: str = "") -> None:
        """Have a stream run something else, which fails on every host if it has a flaw."""
        if not self._streams:
            return  # keeper has never been started
        stream = self._streams[number % len(self._streams)]
        word = f"deploy {len(self.told) + 1}"
        self._now[stream] = Deploy(prompt=word)
        self._universe.hosts.flaws[word] = flaw
        at = self._universe.time_s()
        self.told.append(Deployed(at=at, stream=stream, word=word, is_bad=bool(flaw)))

    def mend(self) -> None:
        """Take every flaw away, and have the streams that were left with one run something good."""
        last = {each.stream: each for each in self.told}
        self._universe.hosts.mend()
        for stream, each in last.items():
            if each.is_bad:
                self.release(self._streams.index(stream))

    def mend_one(self, stream: str) -> bool:
        """Have a stream run something good if what it was left with has a flaw; says whether it had."""
        last = [each for each in self.told if each.stream == stream][-1:]
        if not last or not last[0].is_bad:
            return False
        self.release(self._streams.index(stream))
        return True

    def slots_of(self, stream: str) -> tuple[SlotId, ...]:
        """Return the slots of a stream."""
        return self._slots.get(stream, ())

    def to_order_again(self) -> tuple[SlotId, ...]:
        """Return the slots of the streams whose deploy an operator would order once more by now."""
        blamed = wrongly_blamed(self.told, self._universe.market.ledger.hosts, self._notices())
        return tuple(slot for stream in blamed for slot in self._slots.get(stream, ()))

    def to_resume(self) -> tuple[SlotId, ...]:
        """Return a slot of each stream that keeper has stopped for what was mended since."""
        stopped = stopped_by_a_flaw(self.told, self._notices())
        return tuple(slots[0] for stream in stopped if (slots := self._slots.get(stream)))

    def _notices(self) -> tuple[Notice, ...]:
        return read_notices((each.at, each.body) for each in self._universe.mailbox.messages)
