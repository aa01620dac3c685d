"""Slates as the rest of keeper gets them, and what of them cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from keeper.core.model import StreamName
from keeper.core.slate import SecondPublisher, SlateTerms
from keeper.core.spare import SpareKind
from keeper.daemon.slate import DeclaredSlate
from keeper.ports import SlateLook
from keeper.probes.ingest import place_of
from keeper.settings.desired import build_workload
from keeper.settings.document import Place
from keeper.settings.slate_section import SlateSection
from keeper.settings.tree import Settings, StreamSection
from keeper.workloads import View, ViewKind

_SCHEMES = ("rtmp://", "rtmps://")
# What these look at is an answer, not a picture: nobody would know when a host is back.
_BLIND = (ViewKind.HTTP, ViewKind.TCP)


@dataclass(frozen=True, slots=True)
class SlateProblem:
    """What cannot be meant, and where it is written."""

    places: tuple[Place, ...]
    what: str


def declared_slates(settings: Settings) -> Mapping[StreamName, DeclaredSlate]:
    """Say which streams have a slate, with the addresses of their ingests."""
    return {
        StreamName(stream.name): _declared(
            stream.name,
            stream.slate,
            settings.named_secrets[stream.slate.ingest_url_secret].get_secret_value(),
        )
        for stream in settings.streams
        if stream.slate is not None
    }


def _declared(name: str, said: SlateSection, ingest_url: str) -> DeclaredSlate:
    return DeclaredSlate(
        terms=SlateTerms(
            after_s=said.after_s,
            on_max_s=said.on_max_s,
            second_publisher=said.second_publisher,
        ),
        look=SlateLook(
            title=name if said.title is None else said.title,
            subtitle=said.subtitle,
            waiting=said.waiting,
            ending=said.ending,
            background=said.background,
            foreground=said.foreground,
            accent=said.accent,
            logo_file="" if said.logo_file is None else str(said.logo_file),
            font_file="" if said.font_file is None else str(said.font_file),
            width=said.width,
            height=said.height,
            frames_per_s=said.frames_per_s,
            bitrate_bps=said.bitrate_bps,
        ),
        ingest_url=ingest_url.strip(),
        stat_url=said.stat_url or "",
    )


def slate_problems(settings: Settings) -> Iterator[SlateProblem]:
    """Find slates that would make a second publisher, or could not be told from a host's picture."""
    seen: dict[str, Place] = {}
    for index, stream in enumerate(settings.streams):
        said, here = stream.slate, ("streams", index)
        if said is None:
            continue
        slate: Place = (*here, "slate")
        if stream.replicas > 1:
            yield SlateProblem(
                ((*here, "replicas"), slate),
                f"stream '{stream.name}': a slate is for a stream with one host: with {stream.replicas},"
                " another one may be publishing while this one is dark",
            )
        spares = stream.spares
        if spares.count and spares.kind is SpareKind.WARM and spares.is_started:
            yield SlateProblem(
                ((*here, "spares", "is_started"), slate),
                f"stream '{stream.name}': a spare that is started may publish at any time, and the slate"
                " would never begin: set spares.is_started to false, or keep stopped ones",
            )
        policy = settings.policy_of(stream)
        needed_s = policy.probe_interval_s + policy.probe_timeout_s
        if said.after_s < needed_s:
            yield SlateProblem(
                ((*here, "policy", "probe_interval_s"), (*slate, "after_s")),
                f"stream '{stream.name}': slate.after_s ({said.after_s:g}) must be at least"
                f" {needed_s:g}: a host on air is looked at no more often",
            )
        name = said.ingest_url_secret
        if name in seen:
            yield SlateProblem(
                (seen[name], (*slate, "ingest_url_secret")),
                f"two slates go to the ingest of the secret {name}: they would be two publishers",
            )
        seen[name] = (*slate, "ingest_url_secret")


def slate_notes(settings: Settings) -> Iterator[str]:
    """Say of which slates less will be seen than their operator may think."""
    for stream in settings.streams:
        said = stream.slate
        if said is None or said.second_publisher is SecondPublisher.REFUSED or said.stat_url:
            continue
        yield (
            f"stream '{stream.name}': the slate begins only while no host runs, or nothing was started on it"
            " yet, and never beside one whose process has ended: that may come again by itself, and the"
            f" ingest would let both in (second_publisher: {said.second_publisher}); with slate.stat_url it"
            " begins, too, where the process manager has given up and the ingest is empty"
        )


def slate_view_problem(view: View) -> str | None:
    """Say why a stream that is looked at in this way cannot have a slate; None: it can."""
    if view.url or view.url_secret:
        return (
            "what is looked at is the platform's own output, where keeper would see its slate and take it"
            " for the host's picture: look at the host itself, or leave the slate out"
        )
    if view.kind in _BLIND:
        return (
            "only an answer of the host is looked at, not its picture, so nobody would know when to make"
            " way: look at the picture, or leave the slate out"
        )
    return None


def ingest_problem(ingest_url: str) -> str | None:
    """Say why a secret is no address of an ingest, without repeating it; None: it is one."""
    address = ingest_url.strip()
    if not address.startswith(_SCHEMES) or any(map(str.isspace, address)):
        return "expected rtmp://host/app/KEY or rtmps://…"
    return None if place_of(address) else "it has no application and no key after the host"


def try_slate(settings: Settings, stream: StreamSection) -> None:
    """Raise ValueError where a stream's slate would go nowhere, or could not know when to make way.

    KeyError: the secret is not given, or has no name that one can have; that is said elsewhere.
    """
    if stream.slate is None:
        return
    name = stream.slate.ingest_url_secret
    address = settings.named_secrets[name].get_secret_value()
    if problem := ingest_problem(address):
        raise ValueError(f"the secret {name}: {problem}")
    others = {each.slate.ingest_url_secret for each in settings.streams if each.slate} - {name}
    for other in sorted(others & settings.named_secrets.keys()):
        if settings.named_secrets[other].get_secret_value().strip() == address.strip():
            raise ValueError(
                f"the secrets {name} and {other} are one ingest: two slates would be two publishers"
            )
    if problem := slate_view_problem(build_workload(settings, stream).view()):
        raise ValueError(f"stream '{stream.name}': {problem}")
