"""What the views of all streams name besides themselves: secrets and images of this box, and each other.

The models of a view see one view. What contradicts the stream around it, or this box, is said here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from keeper.core.model import Publishers
from keeper.settings.document import Place
from keeper.settings.scenes import Unreadable, grid_of
from keeper.settings.tree import Settings, StreamSection
from keeper.workloads import ViewKind, registered
from keeper.workloads.viewing import (
    NEEDS_MEDIA,
    Aids,
    BroadcastSettings,
    PictureSettings,
    fault_of,
)

# What decodes pictures that are not MJPEG; it brings FFmpeg, and not everybody needs it.
_DECODER = "av"


def declared_views(settings: Settings) -> Iterator[tuple[Place, StreamSection, PictureSettings]]:
    """Name every view with its place, whatever its workload calls it."""
    for index, stream in enumerate(settings.streams):
        for key in type(stream.workload).model_fields:
            view = getattr(stream.workload, key)
            if isinstance(view, PictureSettings):
                yield ("streams", index, "workload", key), stream, view


def address_secrets(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Name the secrets that hold addresses to look at. They are keeper's alone: no host gets them."""
    for place, _, view in declared_views(settings):
        if isinstance(view, BroadcastSettings) and view.url_secret:
            yield (*place, "url_secret"), view.url_secret


def faults_of_secrets(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Say which of those secrets hold no address, without showing any."""
    for place, _, view in declared_views(settings):
        name = view.url_secret if isinstance(view, BroadcastSettings) else ""
        value = settings.named_secrets.get(name) if name else None
        if value is not None and (fault := fault_of(value.get_secret_value(), _kind(view))):
            yield (
                (*place, "url_secret"),
                f"what the secret {name} holds is no address to look at: {fault}",
            )


def images(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Name the images of scenes, by their places."""
    for place, _, view in declared_views(settings):
        for at, scene in enumerate(view.scenes):
            yield (*place, "scenes", at, "image"), scene.image


def aids_of(settings: Settings) -> Aids:
    """Read what keeper's own box has for its looks. An image that cannot be read is left out."""
    grids: dict[str, bytes] = {}
    for image in dict.fromkeys(image for _, image in images(settings)):
        try:
            grids[image] = grid_of(Path(image))
        except Unreadable:  # told by whoever reads the configuration
            continue
    urls = {
        name: value.get_secret_value()
        for _, name in address_secrets(settings)
        if (value := settings.named_secrets.get(name)) is not None
    }
    return Aids(urls=urls, grids=grids)


def contradicting(settings: Settings) -> Iterator[tuple[tuple[Place, ...], str]]:
    """Find views that this box, or the stream around them, does not allow."""
    seen: dict[str, tuple[Place, str]] = {}
    has_decoder = importlib.util.find_spec(_DECODER) is not None
    for place, stream, view in declared_views(settings):
        said = f"stream '{stream.name}'"
        kind = _kind(view)
        if kind in NEEDS_MEDIA and not has_decoder:
            yield (
                ((*place, "kind"),),
                (
                    f"{said}: looking by `{kind}` needs the extra media, which is not installed: pip install "
                    "'vast-keeper[media]', or look by `http`, which sees no picture"
                ),
            )
        if isinstance(view, BroadcastSettings) and view.is_elsewhere:
            yield from _elsewhere(place, stream, view)
            named = view.url or f"secret {view.url_secret}"
            if (before := seen.setdefault(named, (place, stream.name)))[0] != place:
                key = _key(view)
                yield (
                    ((*before[0], key), (*place, key)),
                    f"{said} is looked at where stream '{before[1]}' is: the picture there can be of one alone",
                )


def _elsewhere(
    place: Place, stream: StreamSection, view: BroadcastSettings
) -> Iterator[tuple[tuple[Place, ...], str]]:
    """Find what a look elsewhere does not go with: it sees one picture, whoever sends it."""
    said = f"stream '{stream.name}'"
    key = _key(view)
    if stream.replicas > 1:
        yield (
            ((*place, key), ("streams", place[1], "replicas")),
            (
                f"{said}: what is seen at `{key}` is one picture, and {stream.replicas} replicas would be "
                "judged by it, whoever sends it: make streams of them with one replica each, or look at "
                "the hosts' own"
            ),
        )
    elif stream.publishers is Publishers.SEVERAL and not _has_own_picture(stream):
        yield (
            ((*place, key), ("streams", place[1], "publishers")),
            (
                f"{said}: what is seen at `{key}` does not tell two hosts apart, so while both may publish "
                "no replacement could prove itself: say `publishers: one`, or look at the host's own `port`"
            ),
        )
    if view.url_secret and view.url_secret in stream.secrets:
        at = stream.secrets.index(view.url_secret)
        yield (
            ((*place, key), ("streams", place[1], "secrets", at)),
            (
                f"{said}: the secret {view.url_secret} would reach its hosts, and only keeper needs it: leave "
                "it out of the stream's `secrets`"
            ),
        )


def _key(view: BroadcastSettings) -> str:
    return "url_secret" if view.url_secret else "url"


def _has_own_picture(stream: StreamSection) -> bool:
    """Whether a host can be looked at by itself, too."""
    plugin = registered()[str(getattr(stream.workload, "kind", ""))]
    try:
        workload = plugin.build(stream.workload, dict.fromkeys(stream.secrets, ""))
    except ValueError:  # what is wrong with it is said elsewhere
        return True
    return workload.view().own is not None


def _kind(view: PictureSettings) -> ViewKind | None:
    kind = getattr(view, "kind", None)
    return kind if isinstance(kind, ViewKind) else None
