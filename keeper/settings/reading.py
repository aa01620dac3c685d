"""Reads a configuration from all its sources, and reports everything that is wrong with it at once.

After a first look the bad values are set aside and the rest is looked at again, so that one typing
mistake does not hide a contradiction elsewhere. Nothing is ever used of a configuration with
problems.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from keeper.ports import ConfigError, Parcel
from keeper.settings.channels import build_channel
from keeper.settings.crosschecks import Contradiction, contradictions
from keeper.settings.desired import build_workload, secret_places
from keeper.settings.document import Document, Place, Problem, places, read_document, value_at
from keeper.settings.local_files import LocalFile, NamedFile
from keeper.settings.report import describe
from keeper.settings.scenes import SceneFile
from keeper.settings.shape import dotted, field_at, is_secret, place_of
from keeper.settings.slates import try_slate
from keeper.settings.sources import (
    Layer,
    LayerSource,
    credentials,
    environment,
    named_secret,
    read_secret,
)
from keeper.settings.tree import SECRET_NAMES, SOURCES, Settings
from keeper.settings.views import faults_of_secrets, images

# Setting bad values aside can uncover others; each round sets at least one aside.
_ROUNDS_MAX = 20


def load_settings(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the configuration: overrides > environment > credentials > file > defaults.

    ``path`` None: no file. ``overrides`` is a tree of what the command line says, such as
    ``{"vast": {"url": …}}``. Raises ConfigError with every problem.
    """
    document = (
        read_document(path) if path is not None else Document(name="configuration", is_file=False)
    )
    from_environment, problems = environment(environ)
    from_credentials, found = credentials(environ)
    problems = [*document.problems, *problems, *found]
    if not document.is_readable:
        raise _refusal(problems)
    file = Layer(values=document.values, document=document)
    explicit = Layer(values=copy.deepcopy(dict(overrides or {})))
    reading = _Reading((explicit, from_environment, from_credentials, file))
    problems += _secrets_written(file)
    problems += reading.read_secret_files()
    settings, found = reading.settle(_watchdog_s(environ))
    problems += found
    if settings is not None:
        problems += reading.attach_secrets(settings, environ)
        problems += reading.try_plugins(settings)
    if problems or settings is None:
        raise _refusal(problems)
    settings.note_local_files(tuple(reading.local_files(settings)))
    return settings


def find_socket(path: Path, environ: Mapping[str, str], default: Path) -> Path:
    """Say where the daemon of a configuration listens, reading nothing else of it.

    A client needs no secrets, and the file may be unreadable for it: then the default holds.
    """
    if written := environ.get("KEEPER_SOCKET"):
        return Path(written).expanduser()
    written = read_document(path).values.get("socket")
    return Path(written).expanduser() if isinstance(written, str) else default


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Read sd_watchdog_enabled(3)'s variable; systemd sets it for a unit with WatchdogSec."""
    written = environ.get("WATCHDOG_USEC", "")
    return int(written) / 1e6 if written.isascii() and written.isdigit() else None


def _refusal(problems: Sequence[Problem]) -> ConfigError:
    """Put the findings in the order of the file; those of other sources first."""
    unique = dict.fromkeys(str(found) for found in sorted(problems, key=lambda one: one.order))
    return ConfigError(tuple(unique))


def _secrets_written(file: Layer) -> Iterator[Problem]:
    """Complain about secrets in the file: files are copied, committed and shown on screens."""
    for place in places(file.values):
        if is_secret(field_at(place, file.values)) and value_at(file.values, place) is not None:
            key = dotted(place)
            ways = f"name a file in {place[-1]}_file"
            if len(place) == 2:  # noqa: PLR2004 - a section's own key
                variable = "KEEPER_" + "__".join(map(str, place)).upper()
                ways = f"set {variable}, use the credential {'_'.join(map(str, place))}, or {ways}"
            yield file.problem(place, f"{key} is a secret and does not belong in this file: {ways}")


class _Reading:
    """The sources of one reading, highest first, and what had to be set aside."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._values = _merged([layer.values for layer in layers])
        self._aside: set[Place] = set()
        self._indexes = _Indexes()

    def read_secret_files(self) -> Iterator[Problem]:
        """Put the content of ``X_file`` in place of an absent secret X."""
        for layer in self._layers:
            for place in list(places(layer.values)):
                name = str(place[-1])
                secret = (*place[:-1], name.removesuffix("_file"))
                if not name.endswith("_file") or not is_secret(field_at(secret, self._values)):
                    continue
                written = value_at(layer.values, place)
                if not isinstance(written, str) or any(one.holds(secret) for one in self._layers):
                    continue
                path = Path(written).expanduser()
                try:
                    value = read_secret(path)
                    value_at(layer.values, place[:-1])[secret[-1]] = value
                    if not value:
                        yield layer.problem(place, f"{dotted(place)}: {path} is empty")
                except (OSError, UnicodeDecodeError) as error:
                    why = getattr(error, "strerror", None) or str(error)
                    what = f"{dotted(place)}: {path} cannot be read: {why}"
                    yield layer.problem(place, what)
        self._values = _merged([layer.values for layer in self._layers])

    def settle(self, watchdog_s: float | None) -> tuple[Settings | None, list[Problem]]:
        """Validate until something stands, then look for contradictions in it."""
        layers = [copy.deepcopy(layer.values) for layer in self._layers]
        problems: list[Problem] = []
        for round_ in range(_ROUNDS_MAX):
            try:
                settings = _validated(layers)
            except ValidationError as error:
                present = _merged(layers)
                doomed: set[Place] = set()
                for detail in error.errors(include_url=False):
                    place = place_of(detail, present)
                    original = self._indexes.original(place)
                    self._aside.add(original)
                    doomed.add(_torn_out(place, detail["type"]))
                    if round_ == 0:  # later rounds complain about what the first has torn out
                        what = describe(detail, original, self._values)
                        problems.append(self._problem(original, what))
                if not _set_aside(doomed, layers, self._indexes):
                    return None, problems
            else:
                problems += self._contradictions(settings, watchdog_s)
                return settings, problems
        return None, problems

    def attach_secrets(self, settings: Settings, environ: Mapping[str, str]) -> Iterator[Problem]:
        """Find the value of each secret that a stream or a channel names."""
        values: dict[str, SecretStr] = {}
        for present, name in secret_places(settings):
            place = self._indexes.original(present)
            if not SECRET_NAMES.fullmatch(name):
                what = f"{dotted(place)} is the name of a secret, in letters, digits and _"
                yield self._problem(place, f"{what}; its value does not belong here")
                continue
            try:
                value = named_secret(name, environ)
            except (OSError, UnicodeDecodeError) as error:
                yield self._problem(place, f"the secret {name} cannot be read: {error}")
                continue
            if value is None:
                yield self._problem(
                    place,
                    f"the secret {name} is named but not given: set KEEPER_SECRET_{name.upper()}, "
                    f"or the credential secret_{name.lower()}",
                )
            else:
                values[name] = SecretStr(value)
        settings.attach(values)
        for present, fault in faults_of_secrets(settings):
            yield self._problem(self._indexes.original(present), fault)

    def try_plugins(self, settings: Settings) -> Iterator[Problem]:
        """Let each plug-in look at its settings and secrets: what it refuses is a finding."""
        for index, section in enumerate(settings.streams):
            place = self._indexes.original(("streams", index, "workload"))
            yield from self._tried(place, partial(build_workload, settings, section))
            place = self._indexes.original(("streams", index, "slate"))
            yield from self._tried(place, partial(try_slate, settings, section))
        for index, channel in enumerate(settings.alerts.channels):
            place = self._indexes.original(("alerts", "channels", index))
            yield from self._tried(place, partial(build_channel, settings, channel))

    def local_files(self, settings: Settings) -> Iterator[NamedFile]:
        """Name the files of this box that workloads send or are looked at by, and where each is written."""
        for present, image in images(settings):
            place = self._indexes.original(present)
            yield SceneFile(self._problem(place, "").where, dotted(place), image)
        for index, section in enumerate(settings.streams):
            here = self._indexes.original(("streams", index, "workload"))
            for step in build_workload(settings, section).deploy():
                if isinstance(step, Parcel):
                    written = (
                        place
                        for place in places(self._values)
                        if place[: len(here)] == here
                        and value_at(self._values, place) == step.local_path
                    )
                    place = next(written, here)
                    yield LocalFile(self._problem(place, "").where, dotted(place), step)

    def _tried(self, place: Place, build: Callable[[], object]) -> Iterator[Problem]:
        try:
            build()
        except KeyError:
            return  # a secret that is not given; it is in the report already
        except ValueError as error:
            if not any(place == aside[: len(place)] for aside in self._aside):
                yield self._problem(place, str(error))

    def _contradictions(self, settings: Settings, watchdog_s: float | None) -> Iterator[Problem]:
        for found in contradictions(settings, watchdog_s):
            places = [self._indexes.original(place) for place in found.places]
            if not any(self._is_aside(place) for place in places):
                yield self._later(places, found)

    def _is_aside(self, place: Place) -> bool:
        return any(place[:length] in self._aside for length in range(1, len(place) + 1))

    def _later(self, places: Sequence[Place], found: Contradiction) -> Problem:
        """Point at the key that is written later; a default is written nowhere."""
        written = [p for p in places if any(layer.holds(p) for layer in self._layers)]
        candidates = [self._problem(place, found.what) for place in written or places]
        return max(candidates, key=lambda problem: problem.order)

    def _problem(self, place: Place, what: str) -> Problem:
        """Blame the source that had the last word on a place, or on its nearest ancestor."""
        for length in range(len(place), 0, -1):
            for layer in self._layers:
                if layer.holds(place[:length]):
                    return layer.problem(place[:length], what)
        return self._layers[-1].problem((), what)


class _Indexes:
    """Which item of a list an index means, after items before it have been set aside."""

    def __init__(self) -> None:
        self._removed: dict[Place, list[int]] = {}

    def remove(self, place: Place) -> None:
        """Note that the item at this present place goes."""
        original = self.original(place)
        index = original[-1]
        assert isinstance(index, int)
        self._removed.setdefault(original[:-1], []).append(index)

    def original(self, place: Place) -> Place:
        """Translate a present place to that of the first round."""
        found: Place = ()
        for key in place:
            if isinstance(key, int):
                for gone in sorted(self._removed.get(found, ())):
                    key += gone <= key  # noqa: PLW2901 - walked back one removed item at a time
            found = (*found, key)
        return found


def _validated(layers: Sequence[dict[str, Any]]) -> Settings:
    token = SOURCES.set(lambda cls: tuple(LayerSource(cls, Layer(values=one)) for one in layers))
    try:
        return Settings()
    finally:
        SOURCES.reset(token)


def _set_aside(
    doomed: AbstractSet[Place], layers: Sequence[dict[str, Any]], indexes: _Indexes
) -> bool:
    """Take the bad values out of every source. False: nothing could be taken out."""
    removed = False
    # From the back, so that an index is still right when its turn comes.
    for place in sorted(
        doomed - {()}, key=lambda one: [(isinstance(k, int), k) for k in one], reverse=True
    ):
        taken = [_remove(values, place) for values in layers]
        if any(taken):
            removed = True
            if isinstance(place[-1], int):
                indexes.remove(place)
    return removed


def _torn_out(place: Place, kind: str) -> Place:
    """Say what has to go: the value itself, or the list item that lacks something."""
    if kind in {"missing", "kind_missing", "kind_unknown"}:
        while place and not isinstance(place[-1], int):
            place = place[:-1]
    return place


def _remove(values: Any, place: Place) -> bool:
    """Remove the value at a place, or the nearest ancestor below the top that is there."""
    above = value_at(values, place[:-1])
    key = place[-1]
    if isinstance(above, dict) and key in above:
        del above[key]
        return True
    if isinstance(above, list) and isinstance(key, int) and key < len(above):
        del above[key]
        return True
    return False


def _merged(trees: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Lay the sources over each other as pydantic-settings does: mappings merge, lists replace."""
    values: dict[str, Any] = {}
    for tree in reversed(trees):
        values = _over(values, tree)
    return values


def _over(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(low)
    for key, value in high.items():
        below = values.get(key)
        is_both = isinstance(below, Mapping) and isinstance(value, Mapping)
        values[key] = _over(below, value) if is_both else value  # type: ignore[arg-type] # is_both
    return values
