"""The failure catalogue of Pixel Streaming, as far as its host can tell: facts in, one symptom out.

A table: the first row that fits is the symptom, so the gravest and the causes stand above what follows
from them. What only a player can see is in keeper.probes.player.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.core.model import Remedy, Rung, Symptom
from keeper.core.text import plain
from keeper.workloads.pixel_streaming.facts import Facts
from keeper.workloads.pixel_streaming.settings import PixelStreamingSettings

_SENTENCE_MAX = 200
# Before it starts a program again supervisord says for a moment that it has ended.
_BETWEEN_S = 3.0
_GONE = frozenset({"EXITED", "STOPPED", "FATAL"})

_Fits = Callable[[Facts, PixelStreamingSettings], bool]
_Wait = Callable[[PixelStreamingSettings], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the catalogue."""

    code: str
    rows: tuple[str, ...]  # of the catalogue
    fits: _Fits
    sentence: str
    remedy: Remedy
    wait: _Wait = lambda _: 0.0
    dearest: Rung = Rung.REPLACE
    is_partial: bool = False  # where keeper's own player sees no picture, something else is wrong
    spoils_view: bool = False  # keeper's own player sees the picture all the same, others do not


def symptom_of(facts: Facts, settings: PixelStreamingSettings) -> Symptom | None:
    """Return the first row that fits; None: the host says that all is well."""
    for row in CATALOGUE:
        if row.fits(facts, settings):
            said = (
                f": {facts.boot_failure}"
                if row.code == "boot_failed" and facts.boot_failure
                else ""
            )
            return Symptom(
                code=row.code,
                sentence=plain(f"{row.sentence}{said}", _SENTENCE_MAX),
                remedy=row.remedy,
                wait_s=row.wait(settings),
                spoils_view=row.spoils_view,
                dearest=row.dearest,
                is_partial=row.is_partial,
            )
    return None


def _signalling_gone(facts: Facts, settings: PixelStreamingSettings) -> bool:
    program = facts.program(settings.image_layout.signalling)
    return program.state in _GONE and not program.is_skipped


def _signalling_respawned(facts: Facts, settings: PixelStreamingSettings) -> bool:
    return facts.program(settings.image_layout.signalling).is_respawned


def _app_is(*words: str) -> _Fits:
    """The application cannot stay up, and its log says why."""

    def fits(facts: Facts, settings: PixelStreamingSettings) -> bool:
        return facts.app_log in words and not _is_app_up(facts, settings)

    return fits


def _is_app_up(facts: Facts, settings: PixelStreamingSettings) -> bool:
    return facts.program(settings.app.program).state == "RUNNING"


def _app_in(*states: str) -> _Fits:
    return lambda facts, settings: facts.program(settings.app.program).state in states


def _relay_down(facts: Facts, settings: PixelStreamingSettings) -> bool:
    if facts.relay == "external" or not settings.player.needs_relay:
        return False  # it is not started then, and says EXITED: that is right
    program = facts.program(settings.image_layout.relay)
    is_down = program.state in _GONE or program.state == "ABSENT"
    return (is_down or program.is_respawned) and not program.is_skipped


def _relay_is(word: str) -> _Fits:
    return lambda facts, settings: settings.player.needs_relay and facts.relay == word


def _audio_down(facts: Facts, settings: PixelStreamingSettings) -> bool:
    programs = [facts.program(name) for name in settings.image_layout.audio]
    return any(
        (each.state in _GONE or each.is_respawned) and not each.is_skipped for each in programs
    )


def _portal_down(facts: Facts, settings: PixelStreamingSettings) -> bool:
    program = facts.program(settings.image_layout.portal)
    return not facts.is_portal_open and program.state != "ABSENT" and not program.is_skipped


CATALOGUE: tuple[Row, ...] = (
    Row(
        code="supervisor_down",
        rows=("C19",),
        fits=lambda facts, _: not facts.has_supervisor,
        sentence="supervisord does not answer: nothing on the host is looked after",
        remedy=Remedy.REBOOT,
        wait=lambda settings: settings.image_layout.settle_s,
    ),
    Row(
        code="boot_failed",
        rows=("C16",),
        fits=lambda facts, _: facts.boot == "failed",
        sentence="the image's provisioning has failed",
        remedy=Remedy.REPLACE,
    ),
    Row(
        code="provisioning",
        rows=("C16",),
        fits=lambda facts, _: facts.boot == "provisioning",
        sentence="the image is still provisioning",
        remedy=Remedy.NOTHING,
        wait=lambda settings: settings.image_layout.boot_s,
    ),
    Row(
        code="portal_file_empty",
        rows=("C17",),
        fits=lambda facts, _: not facts.has_portal_file,
        sentence="portal.yaml is missing or empty: PORTAL_CONFIG is malformed, and no app is shown",
        remedy=Remedy.PERSON,
        wait=lambda settings: settings.image_layout.caddy_restart_s,
    ),
    Row(
        code="driver_missing",
        rows=("C8",),
        fits=lambda facts, _: facts.driver == "failed",
        sentence="the image could not fetch the GPU driver's libraries: nothing can be rendered here",
        remedy=Remedy.REPLACE,
    ),
    Row(
        code="start_hangs",
        rows=("C7",),
        fits=lambda facts, _: facts.hanging_pid > 0,
        sentence="the signalling server's start waits for its own address, without a time limit",
        remedy=Remedy.RESTART_PROCESS,
    ),
    Row(
        code="signalling_respawned",
        rows=("C5",),
        fits=_signalling_respawned,
        sentence="the signalling server is started again and again, whatever supervisord calls it",
        remedy=Remedy.RESTART_PROCESS,
    ),
    Row(
        code="signalling_ended",
        rows=("C6",),
        fits=_signalling_gone,
        sentence="the signalling server has ended, and supervisord is content with that",
        remedy=Remedy.RESTART_PROCESS,
        wait=lambda _: _BETWEEN_S,
    ),
    Row(
        code="app_as_root",
        rows=("C4",),
        fits=_app_is("root"),
        sentence="the application refuses to run as root: see app.account",
        remedy=Remedy.PERSON,
    ),
    Row(
        code="app_not_startable",
        rows=("C4",),
        fits=_app_is("missing", "permission"),
        sentence="the application cannot be started: its path or its permissions are wrong",
        remedy=Remedy.PERSON,
    ),
    Row(
        code="vulkan_missing",
        rows=("C4", "H1", "H2"),
        fits=_app_is("vulkan"),
        sentence="the application finds no Vulkan driver",
        remedy=Remedy.REPLACE,
    ),
    Row(
        code="gpu_crashed",
        rows=("C3", "H7"),
        fits=lambda facts, _: facts.app_log == "gpu_lost",
        sentence="the application has lost the GPU",
        remedy=Remedy.RESTART_PROCESS,
    ),
    Row(
        code="encoder_spent",
        rows=("H8",),
        fits=lambda facts, _: facts.app_log == "encoder",
        sentence="the GPU gives no encoder session",
        remedy=Remedy.RESTART_WORKLOAD,
    ),
    Row(
        code="gpu_memory_full",
        rows=("H9",),
        fits=lambda facts, _: facts.app_log == "memory",
        sentence="the GPU's memory is full",
        remedy=Remedy.RESTART_PROCESS,
    ),
    Row(
        code="app_not_installed",
        rows=("C1", "H15"),
        fits=_app_in("ABSENT"),
        sentence="supervisord does not know the application's program",
        remedy=Remedy.RESTART_WORKLOAD,
    ),
    Row(
        code="app_gave_up",
        rows=("C1",),
        fits=_app_in("FATAL"),
        sentence="the application did not stay up, and supervisord has given up on it",
        remedy=Remedy.RESTART_PROCESS,
    ),
    Row(
        code="app_ended",
        rows=("C1",),
        fits=_app_in("EXITED", "STOPPED"),
        sentence="the application is not running, and nobody starts it",
        remedy=Remedy.RESTART_PROCESS,
    ),
    Row(
        code="page_down",
        rows=("C9",),
        fits=lambda facts, _: not facts.is_page_open,
        sentence="nobody listens for players; the proxy shows its placeholder",
        remedy=Remedy.RESTART_PROCESS,
        wait=lambda settings: settings.image_layout.hang_s + settings.image_layout.settle_s,
    ),
    Row(
        code="signalling_silent",
        rows=("C9",),
        fits=lambda facts, _: facts.is_page_silent,
        sentence="the signalling server takes connections and answers none, so the proxy has nothing",
        remedy=Remedy.RESTART_PROCESS,
        wait=lambda settings: settings.image_layout.settle_s,
    ),
    Row(
        code="placeholder",
        rows=("C9",),
        fits=lambda facts, _: facts.caddy == "placeholder",
        sentence="the proxy shows its placeholder, though somebody listens behind it",
        remedy=Remedy.RESTART_PROCESS,
        dearest=Rung.REBOOT,
        is_partial=True,
        wait=lambda settings: settings.image_layout.settle_s,
        spoils_view=True,
    ),
    Row(
        code="token_refused",
        rows=("C10",),
        fits=lambda facts, _: facts.caddy == "unauthorized",
        sentence="the proxy refuses the container's own token, read again just now",
        remedy=Remedy.PERSON,
    ),
    Row(
        code="caddy_down",
        rows=("C11",),
        fits=lambda facts, _: facts.caddy in {"refused", "silent"} and facts.is_page_open,
        sentence="the proxy does not answer, though the page behind it does",
        remedy=Remedy.RESTART_PROCESS,
        dearest=Rung.RESTART_PROCESS,
        is_partial=True,
        wait=lambda settings: settings.image_layout.caddy_restart_s,
        spoils_view=True,
    ),
    Row(
        code="relay_names_differ",
        rows=("C12",),
        fits=_relay_is("names_differ"),
        sentence="TURN_USER and TURN_USERNAME differ: the relay refuses every player",
        remedy=Remedy.PERSON,
    ),
    Row(
        code="relay_not_mapped",
        rows=("C12",),
        fits=_relay_is("unmapped"),
        sentence="the relay's UDP port is not mapped, and cannot be on a container that runs",
        remedy=Remedy.REPLACE,
        spoils_view=True,
    ),
    Row(
        code="relay_down",
        rows=("C12",),
        fits=_relay_down,
        sentence="the relay does not run: viewers behind NAT see nothing",
        remedy=Remedy.RESTART_PROCESS,
        dearest=Rung.RESTART_PROCESS,
        is_partial=True,
        spoils_view=True,
    ),
    Row(
        code="audio_down",
        rows=("C18",),
        fits=_audio_down,
        sentence="the chain of sound is broken",
        remedy=Remedy.RESTART_PROCESS,
        dearest=Rung.RESTART_PROCESS,
        is_partial=True,
        spoils_view=True,
    ),
    Row(
        code="portal_down",
        rows=(),
        fits=_portal_down,
        sentence="the instance portal does not answer",
        remedy=Remedy.RESTART_PROCESS,
        dearest=Rung.RESTART_PROCESS,
        is_partial=True,
        wait=lambda settings: settings.image_layout.caddy_restart_s,
    ),
    Row(
        code="tunnel_gone",
        rows=("C20",),
        fits=lambda facts, _: facts.tunnel == "gone",
        sentence="the Cloudflare tunnel has expired",
        remedy=Remedy.RESTART_PROCESS,
        dearest=Rung.RESTART_PROCESS,
        is_partial=True,
        spoils_view=True,
    ),
)
