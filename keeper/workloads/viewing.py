"""What an operator declares of a picture: the common settings of all views, and the View made of them.

Each workload takes as much of it as its picture has: `PictureSettings` what may be seen, `HeardSettings` also
what may be heard, `BroadcastSettings` that it is looked at elsewhere, `ViewSettings` everything. The files and secrets
that are named here are keeper's own: no host gets them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from keeper.ports import Region
from keeper.workloads import Scene, View, ViewKind

_Share = Annotated[float, Field(ge=0, le=1)]
# Some more than anybody draws: each look pays for every one.
_REGIONS_MAX = 16
_SCENES_MAX = 16
# Regions that leave less than this of the picture leave nothing to look at.
_LEFT_MIN = 0.02

# By which schemes a picture that is elsewhere can be had.
SCHEMES: Mapping[ViewKind, tuple[str, ...]] = {
    ViewKind.MJPEG: ("http", "https"),
    ViewKind.JPEG: ("http", "https"),
    ViewKind.HLS: ("http", "https"),
    ViewKind.RTMP: ("rtmp",),  # what plays it speaks no TLS
}
# Where a picture is looked at, and where something is heard with it.
_WITH_SOUND = frozenset({ViewKind.HLS, ViewKind.RTMP})
_WITHOUT_PICTURE = frozenset({ViewKind.HTTP, ViewKind.TCP})
# What these need is in an extra, which not every box has.
NEEDS_MEDIA = _WITH_SOUND


class RegionSettings(BaseModel):
    """A part of the picture, in shares of its width and height from its top left corner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    left: _Share = 0.0
    top: _Share = 0.0
    width: Annotated[float, Field(gt=0, le=1)]
    height: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _lies_inside(self) -> Self:
        for begin, length, words in (
            (self.left, self.width, "left + width"),
            (self.top, self.height, "top + height"),
        ):
            if begin + length > 1 + 1e-9:
                raise ValueError(
                    f"a region lies inside the picture: {words} is {begin + length:g}, and 1 is the whole"
                )
        return self


class SceneSettings(BaseModel):
    """A picture that may stand still by design: a slate, a lobby, a menu."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=40)]
    # A JPEG or PNG of it, on keeper's own box.
    image: Annotated[str, Field(pattern=r"^/[^\x00-\x1f]*$", max_length=400)]


class PictureSettings(BaseModel):
    """What may be seen of a stream that is well."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # A mean brightness (0..255) at or below this is black, where nothing in the picture is bright.
    black_luma_max: Annotated[float, Field(ge=0, le=255)] = 4.0
    # Whether an unchanging picture is by design, whatever it shows.
    is_static_allowed: bool = False
    # Or only for so long.
    still_max_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    # Or only these.
    scenes: Annotated[tuple[SceneSettings, ...], Field(max_length=_SCENES_MAX)] = ()
    # What moves here is no life: a clock over a slate, a ticker.
    ignored: Annotated[tuple[RegionSettings, ...], Field(max_length=_REGIONS_MAX)] = ()

    @model_validator(mode="after")
    def _says_nothing_twice(self) -> Self:
        names = [scene.name for scene in self.scenes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"{names.count(name)} scenes are called '{name}'; each needs its own"
                )
        if self.is_static_allowed and (self.scenes or self.still_max_s):
            raise ValueError(
                "every picture may stand still for ever by `is_static_allowed`: leave it out, or leave"
                " `scenes` and `still_max_s` out"
            )
        if _left_of(self.ignored) < _LEFT_MIN:
            raise ValueError(
                "the `ignored` regions together are the whole picture, and nothing would be left to look at"
            )
        return self


class HeardSettings(PictureSettings):
    """What may be seen and heard of a stream that is well."""

    # Whether sound belongs to the picture. null: as the workload itself is told; else no.
    expects_sound: bool | None = None
    # Sound that stays at or below this is silence, in dB of full scale.
    silence_max_dbfs: Annotated[float, Field(ge=-120, le=0)] = -60.0
    # How long it may be silent before that is a fault. null: as long as the workload may be by itself; else
    # not at all.
    silence_max_s: Annotated[float, Field(ge=0, le=86_400)] | None = None


class BroadcastSettings(HeardSettings):
    """What may be seen and heard of a stream that is well, and where else than on its host."""

    # New frames a second; 0: no target.
    target_frames_per_s: Annotated[float, Field(ge=0, le=240)] = 0.0
    # Where everybody finds the stream: a playlist, or an address that RTMP is played from.
    url: Annotated[str, Field(pattern=r"^(?:[a-z]+://[^\s\x00-\x1f]+)?$", max_length=2000)] = ""
    # The name of a secret that holds it, where the address is a key in itself. It reaches no host.
    url_secret: Annotated[str, Field(pattern=r"^(?:[A-Za-z][A-Za-z0-9_]{0,63})?$")] = ""

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if self.url and self.url_secret:
            raise ValueError(
                "the address is `url`, or what the secret `url_secret` holds: leave one out"
            )
        if "@" in self.url.partition("://")[2].partition("/")[0]:
            raise ValueError(
                "`url` would show its user and password wherever it is: put the whole address into a secret"
                " of keeper's, and name that in `url_secret`"
            )
        if self.url and (found := fault_of(self.url)):
            raise ValueError(f"`url`: {found}")
        return self

    @property
    def is_elsewhere(self) -> bool:
        """Whether the look goes to an address of its own instead of the host's."""
        return bool(self.url or self.url_secret)


class ViewSettings(BroadcastSettings):
    """What a viewer looks at."""

    kind: ViewKind
    # The port inside the container; reached by its public mapping, or through SSH without one.
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    path: Annotated[str, Field(pattern=r"^/\S*$")] = "/"
    expects_sound: bool = False
    silence_max_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        kind = self.kind
        if kind is ViewKind.WEBRTC:
            raise ValueError("players of Pixel Streaming belong to the workload pixel-streaming")
        if self.is_elsewhere:
            if kind not in SCHEMES:
                raise ValueError(
                    f"`{kind}` sees no picture, and an answer from elsewhere says nothing of the host: look"
                    f" there by {_one_of(SCHEMES)}"
                )
            if self.port is not None or self.path != "/":
                raise ValueError(
                    "the look goes to the host's own `port` and `path`, or elsewhere by `url`: leave one out"
                )
            if self.url and (found := fault_of(self.url, kind)):
                raise ValueError(f"`url`: {found}")
        elif self.port is None:
            raise ValueError(
                "a look goes to a `port` of the container, or elsewhere: by `url`, or by `url_secret`"
            )
        if self.expects_sound and kind not in _WITH_SOUND:
            raise ValueError(
                f"`{kind}` carries no sound: look by {_one_of(_WITH_SOUND)}, or leave `expects_sound` out"
            )
        if kind in _WITHOUT_PICTURE and (self.ignored or self.scenes or self.still_max_s):
            raise ValueError(
                f"`{kind}` sees no picture: look by {_one_of(SCHEMES)}, or leave `ignored`, `scenes` and"
                " `still_max_s` out"
            )
        return self


def fault_of(address: str, kind: ViewKind | None = None) -> str:
    """Say why an address is none to look at, without repeating it; "" : it is one."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "that is no address"
    schemes = {each for kinds in SCHEMES.values() for each in kinds}
    known = schemes if kind is None else SCHEMES.get(kind, ())
    if parts.scheme not in known or not parts.hostname or port == 0:
        said = " or ".join(f"{scheme}://" for scheme in sorted(known))
        return f"expected an address that begins with {said}" + (f", for `{kind}`" if kind else "")
    if any(mark.isspace() or not mark.isprintable() for mark in address):
        return "an address has no spaces in it"
    return ""


def kind_by(address: str) -> ViewKind:
    """Return how a broadcast at an address is looked at, where that alone says it."""
    return ViewKind.RTMP if address.startswith(SCHEMES[ViewKind.RTMP]) else ViewKind.HLS


def view_of(
    picture: PictureSettings, *, kind: ViewKind, container_port: int = 0, path: str = "/"
) -> View:
    """Make the view. What a workload knows of it by itself it says over this."""
    view = View(
        kind=kind,
        container_port=container_port,
        path=path,
        black_luma_max=picture.black_luma_max,
        is_static_allowed=picture.is_static_allowed,
        still_max_s=picture.still_max_s,
        scenes=tuple(Scene(name=each.name, image=each.image) for each in picture.scenes),
        ignored=tuple(
            Region(left=each.left, top=each.top, width=each.width, height=each.height)
            for each in picture.ignored
        ),
    )
    if isinstance(picture, HeardSettings):
        view = replace(
            view,
            expects_sound=bool(picture.expects_sound),
            silence_max_dbfs=picture.silence_max_dbfs,
            silence_max_s=picture.silence_max_s or 0.0,
        )
    if isinstance(picture, BroadcastSettings):
        view = replace(
            view,
            url=picture.url,
            url_secret=picture.url_secret,
            target_frames_per_s=picture.target_frames_per_s,
        )
    return view


@dataclass(frozen=True, slots=True, kw_only=True)
class Aids:
    """What keeper's box has for its looks: addresses that are secrets, and how scenes look."""

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)  # by the secret's name
    grids: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # by the image's path

    def complete(self, view: View) -> View:
        """Return a view with what its workload could only name. A scene without its grid excuses nothing."""
        if view.url_secret:
            view = replace(view, url=self.urls.get(view.url_secret, ""))
        if any(scene.image for scene in view.scenes):
            scenes = (
                replace(each, grid=self.grids.get(each.image, b"")) if each.image else each
                for each in view.scenes
            )
            view = replace(view, scenes=tuple(scenes))
        return view if view.own is None else replace(view, own=self.complete(view.own))


def _one_of(kinds: Collection[ViewKind]) -> str:
    return ", ".join(f"`{kind}`" for kind in ViewKind if kind in kinds)


def _left_of(regions: tuple[RegionSettings, ...]) -> float:
    """Return how much of the picture no region covers."""
    edges_x = sorted(
        {0.0, 1.0, *(x for each in regions for x in (each.left, each.left + each.width))}
    )
    edges_y = sorted(
        {0.0, 1.0, *(y for each in regions for y in (each.top, each.top + each.height))}
    )
    return sum(
        (right - left) * (bottom - top)
        for left, right in pairwise(edges_x)
        for top, bottom in pairwise(edges_y)
        if not any(
            each.left <= left < each.left + each.width and each.top <= top < each.top + each.height
            for each in regions
        )
    )
