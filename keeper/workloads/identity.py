"""What a deploy is called, of what it is made, and how its workload is made again later.

The name is a fingerprint of everything that reaches a host: settings, files, what is rented, and of
each secret a keyed mark, which nobody can turn back or guess without the key. The recipe is the
settings alone: with it and the secrets of today the same workload is made again, or it is said that
this one would be another.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from keeper.core.model import Makeable, RentalSpec
from keeper.ports import Parcel, Upload
from keeper.workloads import Workload, registered

_NAME_LENGTH = 12
_MARK_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a declared workload is called, and of what it is made."""

    name: str
    parts: Mapping[str, str]  # a mark for each key: what changed can be told, and no value
    rental_mark: str
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A workload that was made again from its recipe."""

    name: str  # another one than asked for: the program, a payload or a secret is another today
    workload: Workload
    makeable: Makeable


def identify(
    section: BaseModel, secrets: Mapping[str, str], *, disk_gb: float | None = None, key: bytes
) -> Identity:
    """Name what these settings put on a host. Without a key, of secrets only the names take part.

    ``disk_gb``: what is rented, where the stream asks for more than the workload.
    """
    plugin = registered()[str(section.kind)]  # type: ignore[attr-defined]
    try:
        # With stand-ins for the secrets, so that no mark is made of a value in the clear.
        workload = plugin.build(section, {name: f"<{name}>" for name in secrets})
        files = {f"file {each.path}": _mark_of_file(each) for each in _files(workload)}
    except ValueError:  # one that looks at the secrets it is given
        workload, files = plugin.build(section, secrets), {}
    rental = _rented(workload, disk_gb)
    beside = {"files", *getattr(section, "not_on_hosts", ())}
    told = section.model_dump(mode="json", exclude_defaults=True, exclude=beside)
    parts = {
        **{key: mark for key, mark in _flat("", told) if key not in beside},
        **files,
        **_parts_of(rental),
        **{f"secret {name}": _mark_of_secret(name, secrets[name], key) for name in secrets},
    }
    return Identity(
        name=_digest(parts)[:_NAME_LENGTH],
        parts=dict(sorted(parts.items())),
        rental_mark=_digest(_parts_of(rental))[:_NAME_LENGTH],
        recipe=json.dumps(
            {
                "settings": section.model_dump(mode="json"),
                "secrets": sorted(secrets),
                "disk_gb": disk_gb,
            },
            sort_keys=True,
        ),
    )


def make(recipe: str, secrets: Mapping[str, str], *, key: bytes) -> Made | None:
    """Make a workload from its recipe and today's secrets; None: it cannot be made any more."""
    try:
        written = json.loads(recipe)
        settings, names, disk_gb = written["settings"], written["secrets"], written["disk_gb"]
        plugin = registered()[settings["kind"]]
        section = plugin.settings.model_validate(settings)
        given = {name: secrets[name] for name in names}
    except (ValueError, ValidationError, KeyError, TypeError):
        return None  # a plug-in or a secret is gone, or was changed so much
    workload = plugin.build(section, given)
    return Made(
        name=identify(section, given, disk_gb=disk_gb, key=key).name,
        workload=workload,
        makeable=Makeable(rental=_rented(workload, disk_gb), rungs=workload.rungs()),
    )


def _rented(workload: Workload, disk_gb: float | None) -> RentalSpec:
    rental = workload.rental()
    return rental if disk_gb is None else replace(rental, disk_gb=disk_gb)


def _parts_of(rental: RentalSpec) -> dict[str, str]:
    """Mark what cannot be changed on a host that is rented already."""
    rented: dict[str, Any] = {
        "image": rental.image,
        "disk_gb": float(rental.disk_gb),
        "ports": sorted((port.container_port, port.protocol) for port in rental.ports),
        "rental env": dict(rental.env),
        "onstart": rental.onstart,
    }
    return {name: _digest(value) for name, value in rented.items() if value}


def _files(workload: Workload) -> Iterator[Upload | Parcel]:
    for step in workload.deploy():
        if isinstance(step, Upload | Parcel):
            yield step


def _mark_of_file(file: Upload | Parcel) -> str:
    """Mark a file by its content, wherever it comes from: a parcel says itself which one it means."""
    content = file.sha256 if isinstance(file, Parcel) else hashlib.sha256(file.content).hexdigest()
    return _digest([content, file.mode])


def _mark_of_secret(name: str, value: str, key: bytes) -> str:
    if not key:
        return ""
    text = f"{name}\0{value}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:_MARK_LENGTH]


def _flat(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield a mark for each key of nested settings; a list is one of them."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), item)
    else:
        yield path, _digest(value)


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_LENGTH]
