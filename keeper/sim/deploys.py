"""What the simulated operator deploys: a prompt and an image for each stream, changed by a reload.

The words tell deploys apart: a host writes down which one it starts, and a flaw that is known by its
word makes that deploy fail on whatever host it is put.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import BaseModel

from keeper.core.model import Stream, StreamName
from keeper.daemon.declared import Declared
from keeper.sim.stage import secret_of
from keeper.workloads import Workload, registered
from keeper.workloads.identity import Made, identify, make

_WORKLOAD = "sd-turbo"
_KEY = b"a key for marks in simulations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """What a stream is to run."""

    prompt: str = "cat"
    image: str = "arena:1"


def with_deploys(declared: Declared, deploys: Mapping[str, Deploy]) -> Declared:
    """Return a declaration in which these streams run something else; the others have no names."""
    made = {name: _made(name, each) for name, each in deploys.items()}
    streams = tuple(
        _with(stream, *made[stream.name]) if stream.name in made else stream
        for stream in declared.desired.streams
    )

    def again(stream: StreamName, recipe: str) -> Made | None:
        return make(recipe, _secrets(stream), key=_KEY)

    return replace(
        declared,
        desired=replace(declared.desired, streams=streams),
        workloads={**declared.workloads, **{StreamName(n): w for n, (w, _) in made.items()}},
        remake=again,
    )


def _secrets(stream: str) -> dict[str, str]:
    return {"STREAM_KEY": secret_of(stream)}


def _made(stream: str, deploy: Deploy) -> tuple[Workload, Deploy]:
    return registered()[_WORKLOAD].build(_settings(deploy), _secrets(stream)), deploy


def _settings(deploy: Deploy) -> BaseModel:
    return registered()[_WORKLOAD].settings.model_validate(
        {"kind": _WORKLOAD, "prompt": deploy.prompt, "image": deploy.image}
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
